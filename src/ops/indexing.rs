//! What the operators that move elements by index share.

use super::inputs::Inputs;
use crate::backend::{Array, Device};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::layout::row_major;

/// For every element of `shape`, row-major, where it lies under `strides`.
pub fn offsets(shape: &[usize], strides: &[isize]) -> Vec<usize> {
    let mut out = vec![0];
    for (&size, &stride) in shape.iter().zip(strides) {
        let stride = stride as usize;
        out = out.iter().flat_map(|&o| (0..size).map(move |i| o + i * stride)).collect();
    }
    out
}

/// Turns an index, which may count from the end, into one below `size`.
pub fn resolve(index: i64, size: usize) -> Result<usize> {
    let at = if index < 0 { index.saturating_add(size as i64) } else { index };
    ensure!((0..size as i64).contains(&at), InvalidArgument, "index {index} is outside of a dimension of {size}");
    Ok(at as usize)
}

/// All integers of input `index`, int32 or int64 of any shape.
pub fn integers(inputs: &Inputs, index: usize) -> Result<Vec<i64>> {
    match inputs.host(index)? {
        Some(tensor) => tensor.to_i64s(),
        None => bail!(InvalidModel, "input {index} is missing"),
    }
}

/// The elements (runs of `run` of them) of `x` at `positions` (counted in runs), as `shape`.
pub fn picked(device: &dyn Device, x: Array, run: usize, positions: &[usize], shape: &[usize]) -> Result<Array> {
    let runs = x.shape().iter().product::<usize>().checked_div(run).unwrap_or(0);
    if positions.is_empty() || runs == 0 {
        return device.reshape(device.gather(device.reshape(x, &[runs, run])?, 0, &[], &[0])?, shape);
    }
    let rows = device.gather(device.reshape(x, &[runs, run])?, 0, positions, &[positions.len()])?;
    device.reshape(rows, shape)
}

/// Where an index along `axis` for every element of `shape` points to, in a tensor of shape
/// `data`: everything but the index along `axis` stays as it is.
pub fn element_positions(data: &[usize], shape: &[usize], axis: usize, indices: &[i64]) -> Result<Vec<usize>> {
    let mut strides = row_major(data);
    let step = std::mem::replace(&mut strides[axis], 0) as usize;
    let mut positions = offsets(shape, &strides);
    for (position, &index) in positions.iter_mut().zip(indices) {
        *position += resolve(index, data[axis])? * step;
    }
    Ok(positions)
}

/// Checks the indices of [`element_positions`].
pub fn check_element_indices(data: &[usize], indices: &[usize], axis: usize) -> Result<()> {
    let fits = indices.len() == data.len() && (0..data.len()).all(|d| d == axis || indices[d] <= data[d]);
    ensure!(fits, ShapeMismatch, "indices {indices:?} do not fit into data {data:?} along axis {axis}");
    Ok(())
}

/// How many leading dimensions of `data` the last dimension of `indices` indexes, after `batch`
/// dimensions that both have in common.
pub fn depth(data: &[usize], indices: &[usize], batch: usize) -> Result<usize> {
    let Some(&depth) = indices.last() else { bail!(ShapeMismatch, "indices must have a dimension, got a scalar") };
    ensure!(
        batch < indices.len() && batch < data.len() && data[..batch] == indices[..batch],
        ShapeMismatch,
        "data {data:?} and indices {indices:?} do not have {batch} batch dimensions in common"
    );
    ensure!(
        (1..=data.len() - batch).contains(&depth),
        ShapeMismatch,
        "indices {indices:?} hold {depth} indices each, data {data:?} has {} dimensions to index",
        data.len() - batch
    );
    Ok(depth)
}

/// The positions, in runs, that index tuples of `depth` point to.
pub fn run_positions(data: &[usize], depth: usize, batch: usize, indices: &[i64]) -> Result<Vec<usize>> {
    let indexed = &data[batch..batch + depth];
    let strides = row_major(indexed);
    let runs: usize = indexed.iter().product();
    let batches: usize = data[..batch].iter().product();
    let tuples = indices.len() / depth;
    let per_batch = tuples.checked_div(batches).unwrap_or(0).max(1);
    let mut positions = Vec::with_capacity(tuples);
    for (i, tuple) in indices.chunks_exact(depth).enumerate() {
        let mut at = i / per_batch * runs;
        for ((&index, &size), &stride) in tuple.iter().zip(indexed).zip(&strides) {
            at += resolve(index, size)? * stride as usize;
        }
        positions.push(at);
    }
    Ok(positions)
}

/// One element: 0, false or the empty string.
pub fn zero(dtype: DataType) -> Result<Tensor> {
    match dtype {
        DataType::String => Tensor::from_strings(vec![1], vec![String::new()]),
        _ => Tensor::from_bytes(dtype, vec![1], vec![0; dtype.size()]),
    }
}
