//! What the operators that move elements by index share.

use super::inputs::Inputs;
use crate::backend::{Array, Device};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::layout::row_major;

/// For every element of `shape`, row-major, where it lies under `strides`.
pub fn offsets(shape: &[usize], strides: &[isize]) -> Vec<usize> {
    if shape.contains(&0) {
        return Vec::new();
    }
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

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use crate::graph::{Attribute, DataType, Tensor};
    use crate::ops::axis_of;
    use crate::support::{Random, Single, bools, compare, f32s, i64s, indices, offset};
    use crate::{Error, ErrorKind};

    fn same(got: &Tensor, expected: &Tensor) {
        compare(got, expected, 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
    }

    fn values(tensor: &Tensor) -> &[f32] {
        tensor.as_slice().expect("float32")
    }

    /// `shape` filled by a function of the index.
    fn built(shape: &[usize], f: impl Fn(&[usize]) -> f32) -> Tensor {
        f32s(shape, indices(shape).iter().map(|i| f(i)).collect())
    }

    fn words(shape: &[usize], text: &str) -> Tensor {
        Tensor::from_strings(shape.to_vec(), text.split(' ').map(String::from).collect()).expect("as many as asked")
    }

    fn kind(error: Error, text: &str) -> ErrorKind {
        assert!(error.message().contains(text), "{error}");
        error.kind()
    }

    #[test]
    fn gather_elements_follows_its_index_along_every_axis() {
        let random = &mut Random::new(1);
        for rank in 1..5 {
            let shape: Vec<usize> = (0..rank).map(|_| random.within(1, 4)).collect();
            for axis in -(rank as i64)..rank as i64 {
                let d = axis_of(axis, rank).expect("inside");
                let mut wanted: Vec<usize> = shape.iter().map(|&s| random.within(0, s)).collect();
                wanted[d] = random.within(0, 6);
                let x = random.tensor(&shape);
                let size = shape[d] as i64;
                let count = wanted.iter().product();
                let at: Vec<i64> = (0..count).map(|_| random.within(0, 2 * size as usize - 1) as i64 - size).collect();
                let expected = built(&wanted, |i| {
                    let mut from = i.to_vec();
                    from[d] = at[offset(&wanted, i)].rem_euclid(size) as usize;
                    values(&x)[offset(&shape, &from)]
                });
                let operator = Single::new("GatherElements", 13).int("axis", axis);
                same(&operator.one(&[x, i64s(&wanted, &at)]), &expected);
            }
        }
    }

    #[test]
    fn gather_nd_follows_index_tuples_after_batch_dimensions() {
        let random = &mut Random::new(2);
        for _ in 0..60 {
            let rank = random.within(1, 5);
            let shape: Vec<usize> = (0..rank).map(|_| random.within(1, 3)).collect();
            let batch = random.within(0, rank - 1);
            let depth = random.within(1, rank - batch);
            let lead = [&shape[..batch], &[random.within(1, 3)]].concat();
            let mut at = Vec::new();
            for _ in 0..lead.iter().product() {
                at.extend(shape[batch..batch + depth].iter().map(|&s| random.within(0, 2 * s - 1) as i64 - s as i64));
            }
            let x = random.tensor(&shape);
            let inner = &shape[batch + depth..];
            let expected = built(&[&lead[..], inner].concat(), |i| {
                let tuple = &at[offset(&lead, &i[..lead.len()]) * depth..][..depth];
                let tuple = tuple.iter().zip(&shape[batch..]).map(|(&v, &s)| v.rem_euclid(s as i64) as usize);
                let from = i[..batch].iter().copied().chain(tuple).chain(i[lead.len()..].iter().copied());
                values(&x)[offset(&shape, &from.collect::<Vec<_>>())]
            });
            let operator = Single::new("GatherND", 13).int("batch_dims", batch as i64);
            same(&operator.one(&[x, i64s(&[&lead[..], &[depth]].concat(), &at)]), &expected);
        }
    }

    #[test]
    fn indices_outside_and_shapes_that_do_not_fit_are_errors() {
        let x = f32s(&[2, 2], vec![0.0; 4]);
        let elements = Single::new("GatherElements", 13);
        for index in [2, -3, i64::MIN, i64::MAX] {
            let at = i64s(&[1, 1], &[index]);
            assert_eq!(kind(elements.error(&[x.clone(), at.clone()]), "outside"), ErrorKind::InvalidArgument);
            assert_eq!(
                kind(Single::new("GatherND", 13).error(&[x.clone(), at.clone()]), "outside"),
                ErrorKind::InvalidArgument
            );
            assert_eq!(kind(Single::new("Gather", 13).error(&[x.clone(), at]), "outside"), ErrorKind::InvalidArgument);
        }
        assert_eq!(kind(elements.error(&[x.clone(), i64s(&[1, 3], &[0; 3])]), "do not fit"), ErrorKind::ShapeMismatch);
        let nd = |batch, at: Tensor| Single::new("GatherND", 13).int("batch_dims", batch).error(&[x.clone(), at]);
        assert_eq!(kind(nd(0, i64s(&[], &[0])), "a scalar"), ErrorKind::ShapeMismatch);
        assert_eq!(kind(nd(0, i64s(&[3], &[0; 3])), "2 dimensions to index"), ErrorKind::ShapeMismatch);
        assert_eq!(kind(nd(1, i64s(&[1, 1], &[0])), "in common"), ErrorKind::ShapeMismatch);
        assert_eq!(kind(nd(-1, i64s(&[1, 1], &[0])), "batch_dims is -1"), ErrorKind::InvalidModel);
        let old = Single::new("GatherND", 11).int("batch_dims", 1).error(&[x.clone(), i64s(&[2, 1], &[0; 2])]);
        assert_eq!(kind(old, "came with opset 12"), ErrorKind::InvalidModel);
    }

    #[test]
    fn every_dtype_moves() {
        let text = words(&[3], "a b c");
        let float8 = Tensor::from_bytes(DataType::Float8E5M2, vec![3], vec![1, 0x7f, 0xff]).expect("three bytes");
        let int4 = Tensor::from_bytes(DataType::Int4, vec![3], vec![1, 0xff, 7]).expect("three bytes");
        let half = Tensor::from_bytes(DataType::Float16, vec![3], vec![1, 2, 3, 4, 5, 6]).expect("six bytes");
        for x in [&text, &float8, &int4, &half, &bools(&[3], &[true, false, true])] {
            let swapped = x.take(&[3], &[2, 1, 0]).expect("inside");
            let back = i64s(&[3], &[2, 1, -3]);
            same(&Single::new("GatherElements", 13).one(&[x.clone(), back.clone()]), &swapped);
            same(&Single::new("Gather", 13).one(&[x.clone(), back.clone()]), &swapped);
            same(&Single::new("ScatterElements", 13).one(&[x.clone(), back, x.clone()]), &swapped);
            let backwards = [i64s(&[1], &[-1]), i64s(&[1], &[i64::MIN]), i64s(&[1], &[0]), i64s(&[1], &[-1])];
            same(&Single::new("Slice", 13).one(&[from_ref(x), &backwards[..]].concat()), &swapped);
            let twice = x.take(&[6], &[0, 1, 2, 0, 1, 2]).expect("inside");
            same(&Single::new("Tile", 13).one(&[x.clone(), i64s(&[1], &[2])]), &twice);
            same(&Single::new("Concat", 13).int("axis", 0).one(&[x.clone(), x.clone()]), &twice);
            let kept = x.take(&[2], &[0, 2]).expect("inside");
            same(&Single::new("Compress", 11).one(&[x.clone(), bools(&[3], &[true, false, true])]), &kept);
            let zero = super::zero(x.dtype()).expect("every dtype has one");
            let padded = Tensor::joined(&[zero.clone(), x.clone(), zero]).expect("one dtype");
            same(&Single::new("Pad", 21).one(&[x.clone(), i64s(&[2], &[1, 1])]), &padded);
            same(&Single::new("CenterCropPad", 18).one(&[x.clone(), i64s(&[1], &[5])]), &padded);
            let lower = Single::new("Trilu", 14).int("upper", 0).one(&[x.clone().reshaped(&[1, 3]).expect("three")]);
            let first = padded.take(&[1, 3], &[1, 0, 0]).expect("inside");
            same(&lower, &first);
        }
    }

    #[test]
    fn tile_repeats() {
        let random = &mut Random::new(3);
        for _ in 0..20 {
            let rank = random.within(0, 5);
            let shape: Vec<usize> = (0..rank).map(|_| random.within(0, 3)).collect();
            let repeats: Vec<usize> = (0..rank).map(|_| random.within(0, 3)).collect();
            let x = random.tensor(&shape);
            let wanted: Vec<usize> = shape.iter().zip(&repeats).map(|(s, r)| s * r).collect();
            let expected = built(&wanted, |i| {
                let from: Vec<usize> = i.iter().zip(&shape).map(|(i, s)| i % s).collect();
                values(&x)[offset(&shape, &from)]
            });
            let repeats: Vec<i64> = repeats.iter().map(|&r| r as i64).collect();
            same(&Single::new("Tile", 13).one(&[x, i64s(&[rank], &repeats)]), &expected);
        }
        let x = f32s(&[1], vec![0.0]);
        let tile = |r| Single::new("Tile", 13).error(&[x.clone(), i64s(&[1], &[r])]);
        assert_eq!(tile(-1).kind(), ErrorKind::InvalidArgument);
        assert_eq!(tile(i64::MAX).kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn triangles_and_diagonals() {
        for k in [i64::MIN, -2, 0, 1, i64::MAX] {
            let kept = |i: &[usize]| i[2] as i128 - i[1] as i128 >= i128::from(k);
            let x = built(&[2, 3, 4], |i| 1.0 + offset(&[2, 3, 4], i) as f32);
            let upper = built(&[2, 3, 4], |i| if kept(i) { 1.0 + offset(&[2, 3, 4], i) as f32 } else { 0.0 });
            same(&Single::new("Trilu", 14).one(&[x, i64s(&[], &[k])]), &upper);
            let eye = Single::new("EyeLike", 9).int("k", k).one(&[f32s(&[3, 4], vec![7.0; 12])]);
            let on = |i: &[usize]| i[1] as i128 - i[0] as i128 == i128::from(k);
            same(&eye, &built(&[3, 4], |i| f32::from(u8::from(on(i)))));
        }
        let empty = Single::new("Trilu", 14).one(&[f32s(&[2, 0], vec![])]);
        assert_eq!(empty.shape(), [2, 0]);
        let eye = Single::new("EyeLike", 9).int("dtype", 9).one(&[f32s(&[1, 2], vec![0.0; 2])]);
        same(&eye, &bools(&[1, 2], &[true, false]));
        assert_eq!(
            Single::new("EyeLike", 9).int("dtype", 8).error(&[f32s(&[1, 1], vec![0.0])]).kind(),
            ErrorKind::Unsupported
        );
    }

    #[test]
    fn one_hot_puts_its_axis_anywhere() {
        let on_off = f32s(&[2], vec![-1.0, 5.0]);
        let at = [0i64, 2, -1, 3, -4, -3];
        for axis in -3..3 {
            let d = axis_of(axis, 3).expect("inside");
            let mut shape = vec![2, 3];
            shape.insert(d, 3);
            let expected = built(&shape, |i| {
                let mut from = i.to_vec();
                let place = from.remove(d) as i64;
                let index = at[offset(&[2, 3], &from)];
                if index == place || index + 3 == place { 5.0 } else { -1.0 }
            });
            let depth = if axis < 0 { i64s(&[], &[3]) } else { i64s(&[1], &[3]) };
            let operator = Single::new("OneHot", 11).int("axis", axis);
            same(&operator.one(&[i64s(&[2, 3], &at), depth, on_off.clone()]), &expected);
        }
        // An unsigned index never counts from the end; fractions are cut off.
        let huge = Tensor::from_vec(vec![1], vec![u64::MAX]).expect("one");
        let one_hot = |at: Tensor| Single::new("OneHot", 11).one(&[at, i64s(&[], &[2]), on_off.clone()]);
        same(&one_hot(huge), &f32s(&[1, 2], vec![-1.0, -1.0]));
        same(&one_hot(f32s(&[1], vec![1.9])), &f32s(&[1, 2], vec![-1.0, 5.0]));
        for depth in [i64s(&[], &[-1]), f32s(&[], vec![f32::NAN])] {
            let error = Single::new("OneHot", 11).error(&[i64s(&[1], &[0]), depth, on_off.clone()]);
            assert_eq!(kind(error, "depth is"), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn non_zero_gives_coordinates() {
        let x = f32s(&[2, 1, 2], vec![0.0, f32::NAN, -0.0, -1.0]);
        same(&Single::new("NonZero", 13).one(&[x]), &i64s(&[3, 2], &[0, 1, 0, 0, 1, 1]));
        same(&Single::new("NonZero", 13).one(&[f32s(&[], vec![3.0])]), &i64s(&[0, 1], &[]));
        same(&Single::new("NonZero", 13).one(&[f32s(&[0, 3], vec![])]), &i64s(&[2, 0], &[]));
    }

    #[test]
    fn compress_takes_what_holds() {
        let x = f32s(&[2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let condition = bools(&[2], &[false, true]);
        let columns = Single::new("Compress", 11).int("axis", -1).one(&[x.clone(), condition.clone()]);
        same(&columns, &f32s(&[2, 1], vec![1.0, 4.0]));
        same(&Single::new("Compress", 11).one(&[x.clone(), condition]), &f32s(&[1], vec![1.0]));
        let long = Single::new("Compress", 11).int("axis", 0).one(&[x.clone(), bools(&[3], &[true, false, true])]);
        same(&long, &f32s(&[1, 3], vec![0.0, 1.0, 2.0]));
        let square = Single::new("Compress", 11).error(&[x, bools(&[1, 1], &[true])]);
        assert_eq!(square.kind(), ErrorKind::ShapeMismatch);
    }

    #[test]
    fn reverse_sequence_reverses_what_each_length_says() {
        let random = &mut Random::new(4);
        for batch_axis in [0, 1] {
            let shape = [3, 4, 2];
            let (batch, time) = (shape[batch_axis], shape[1 - batch_axis]);
            let lengths: Vec<i64> = (0..batch).map(|_| random.within(0, time) as i64).collect();
            let x = random.tensor(&shape);
            let expected = built(&shape, |i| {
                let mut from = i.to_vec();
                let (length, t) = (lengths[i[batch_axis]] as usize, i[1 - batch_axis]);
                from[1 - batch_axis] = if t < length { length - 1 - t } else { t };
                values(&x)[offset(&shape, &from)]
            });
            let operator = Single::new("ReverseSequence", 10);
            let operator = operator.int("batch_axis", batch_axis as i64).int("time_axis", 1 - batch_axis as i64);
            same(&operator.one(&[x.clone(), i64s(&[batch], &lengths)]), &expected);
            let long = i64s(&[batch], &vec![time as i64 + 1; batch]);
            assert_eq!(operator.error(&[x, long]).kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn depth_and_space_undo_each_other() {
        let x = Random::new(5).tensor(&[2, 12, 2, 3]);
        let spread = |mode| Single::new("DepthToSpace", 13).int("blocksize", 2).string("mode", mode).one(from_ref(&x));
        let expected = |channel: fn(usize, usize, usize) -> usize| {
            built(&[2, 3, 4, 6], |i| {
                let c = channel(i[1], i[2] % 2, i[3] % 2);
                values(&x)[offset(&[2, 12, 2, 3], &[i[0], c, i[2] / 2, i[3] / 2])]
            })
        };
        same(&spread("DCR"), &expected(|c, row, column| (row * 2 + column) * 3 + c));
        same(&spread("CRD"), &expected(|c, row, column| c * 4 + row * 2 + column));
        same(&Single::new("SpaceToDepth", 13).int("blocksize", 2).one(&[spread("DCR")]), &x);
        for (name, shape) in [("DepthToSpace", [1, 3, 2, 2]), ("SpaceToDepth", [1, 1, 2, 3])] {
            let operator = Single::new(name, 13).int("blocksize", 2);
            assert_eq!(
                operator.error(&[f32s(&shape, vec![0.0; shape.iter().product()])]).kind(),
                ErrorKind::ShapeMismatch
            );
        }
        for size in [0, -1, i64::MAX] {
            let operator = Single::new("SpaceToDepth", 13).int("blocksize", size);
            assert_eq!(operator.error(from_ref(&x)).kind(), ErrorKind::InvalidModel);
        }
    }

    #[test]
    fn crops_and_pads_around_the_center() {
        let x = f32s(&[4, 3], (0..12).map(|v| v as f32).collect());
        let operator = Single::new("CenterCropPad", 18);
        let out = operator.one(&[x.clone(), i64s(&[2], &[1, 6])]);
        same(&out, &f32s(&[1, 6], vec![0.0, 3.0, 4.0, 5.0, 0.0, 0.0]));
        let narrow = Single::new("CenterCropPad", 18)
            .with("axes", Attribute::Ints(vec![-1]))
            .one(&[x.clone(), i64s(&[1], &[2])]);
        same(&narrow, &f32s(&[4, 2], vec![0.0, 1.0, 3.0, 4.0, 6.0, 7.0, 9.0, 10.0]));
        assert_eq!(operator.error(&[x.clone(), i64s(&[2], &[-1, 2])]).kind(), ErrorKind::InvalidArgument);
        assert_eq!(operator.error(&[x, i64s(&[2], &[i64::MAX, 2])]).kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn columns_add_up_to_images() {
        let random = &mut Random::new(6);
        for _ in 0..20 {
            let [h, w] = [random.within(3, 6), random.within(3, 6)];
            let block = [random.within(1, 2), random.within(1, 3)];
            let (stride, dilation) = ([random.within(1, 2), random.within(1, 2)], [random.within(1, 2), 1]);
            let pads = [random.within(0, 1), random.within(0, 1), random.within(0, 1), random.within(0, 1)];
            let count =
                |d: usize| ([h, w][d] + pads[d] + pads[d + 2] - dilation[d] * (block[d] - 1) - 1) / stride[d] + 1;
            let walk = [1, 2, block[0], block[1], count(0), count(1)];
            let columns = [1, 2 * block[0] * block[1], count(0) * count(1)];
            let x = random.tensor(&columns);
            let mut sums = vec![0f32; 2 * h * w];
            for (i, value) in indices(&walk).iter().zip(values(&x)) {
                let row = (i[4] * stride[0] + i[2] * dilation[0]).wrapping_sub(pads[0]);
                let column = (i[5] * stride[1] + i[3] * dilation[1]).wrapping_sub(pads[1]);
                if row < h && column < w {
                    sums[offset(&[2, h, w], &[i[1], row, column])] += value;
                }
            }
            let operator =
                Single::new("Col2Im", 18).ints("strides", &stride).ints("dilations", &dilation).ints("pads", &pads);
            let image = i64s(&[2], &[h as i64, w as i64]);
            let out = operator.one(&[x, image, i64s(&[2], &[block[0] as i64, block[1] as i64])]);
            compare(&out, &f32s(&[1, 2, h, w], sums), 0.0, 1e-6).unwrap_or_else(|e| panic!("{e}"));
        }
        let error = |image: i64, block: i64| {
            let (image, block) = (i64s(&[1], &[image]), i64s(&[1], &[block]));
            Single::new("Col2Im", 18).error(&[f32s(&[1, 1, 1], vec![0.0]), image, block]).kind()
        };
        assert_eq!(error(1, 2), ErrorKind::ShapeMismatch);
        assert_eq!(error(0, 1), ErrorKind::InvalidArgument);
        assert_eq!(error(i64::MAX, i64::MAX), ErrorKind::LimitExceeded);
    }
}
