//! What the operators on quantised tensors share: `real = (code - zero point) * scale`.

use super::inputs::{Inputs, Type};
use super::{Dtypes, axis_of, tensor_type};
use crate::backend::Window;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};
use crate::kernels::{conv, gemm};

/// The smallest and largest code of an integer type of at most 16 bits.
pub fn limits(dtype: DataType) -> (i32, i32) {
    match dtype {
        DataType::Int4 => (-8, 7),
        DataType::Uint4 => (0, 15),
        DataType::Int8 => (-128, 127),
        DataType::Uint8 => (0, 255),
        DataType::Int16 => (-32768, 32767),
        _ => (0, 65535),
    }
}

/// int8 or uint8, at input `index`.
pub fn byte_type(inputs: &[Option<Type>], index: usize) -> Result<DataType> {
    let dtype = tensor_type(inputs, index, Dtypes::Number)?;
    ensure!(
        matches!(dtype, DataType::Int8 | DataType::Uint8),
        Unsupported,
        "input {index}: expected int8 or uint8, got {dtype}"
    );
    Ok(dtype)
}

/// Codes, or bools, as int32: 64-bit ones wrap.
pub fn codes(tensor: &Tensor) -> Result<Vec<i32>> {
    Ok(match (tensor.dtype(), tensor.bytes(), tensor.as_slice::<i32>()) {
        (_, _, Some(values)) => values.to_vec(),
        (DataType::Int8 | DataType::Int4, Some(bytes), _) => bytes.iter().map(|&v| i32::from(v as i8)).collect(),
        (DataType::Uint8 | DataType::Uint4, Some(bytes), _) => bytes.iter().map(|&v| i32::from(v)).collect(),
        _ => tensor.to_i64s()?.into_iter().map(|v| v as i32).collect(),
    })
}

/// A tensor of an integer type of at most 16 bits.
pub fn tensor_from_codes(dtype: DataType, shape: &[usize], codes: impl Iterator<Item = i32>) -> Result<Tensor> {
    let bytes = match dtype.size() {
        1 => codes.map(|v| v as u8).collect(),
        _ => codes.flat_map(|v| (v as u16).to_le_bytes()).collect(),
    };
    Tensor::from_bytes(dtype, shape.to_vec(), bytes)
}

/// The code of `units`, a real number divided by the scale: rounded to nearest, ties to even,
/// saturated; NaN becomes the smallest code, as in ONNX Runtime.
#[inline]
pub fn code(units: f32, zero: i32, (low, high): (i32, i32)) -> i32 {
    (units.round_ties_even() + zero as f32).max(low as f32).min(high as f32) as i32
}

/// As [`code`], from float64.
#[inline]
pub fn code_of(units: f64, zero: i32, (low, high): (i32, i32)) -> i32 {
    (units.round_ties_even() + f64::from(zero)).max(f64::from(low)).min(f64::from(high)) as i32
}

/// The scale (input `at`) and zero point (the input after it, 0 where it is left out) of a whole
/// tensor.
pub fn per_tensor(inputs: &Inputs, at: usize) -> Result<(f32, i32)> {
    let (scales, zeros) = (scales(inputs, at)?, zeros(inputs, at + 1)?);
    ensure!(
        scales.len() == 1 && zeros.as_ref().is_none_or(|z| z.len() == 1),
        ShapeMismatch,
        "inputs {at} and {}: expected one scale and one zero point, got {} and {}",
        at + 1,
        scales.len(),
        zeros.map_or(1, |z| z.len())
    );
    Ok((scales[0], zeros.map_or(0, |z| z[0])))
}

/// The scales at input `index`.
pub fn scales(inputs: &Inputs, index: usize) -> Result<Vec<f32>> {
    match inputs.host(index)? {
        Some(tensor) => Ok(tensor.to_f32s()?.into_owned()),
        None => bail!(InvalidModel, "input {index}: the scale is missing"),
    }
}

/// The zero points at input `index`, where it is there.
pub fn zeros(inputs: &Inputs, index: usize) -> Result<Option<Vec<i32>>> {
    inputs.host(index)?.map(|tensor| codes(&tensor)).transpose()
}

/// Whether input `index` is left out or holds one element, in no more than one dimension.
pub fn is_single(inputs: &Inputs, index: usize) -> Result<bool> {
    Ok(!inputs.has(index) || matches!(inputs.shape(index)?, [] | [1]))
}

/// Checks that a scale, and its zero point where there is one, are of one element each.
pub fn check_single(inputs: &Inputs, indices: &[usize]) -> Result<()> {
    for &index in indices {
        ensure!(
            is_single(inputs, index)?,
            ShapeMismatch,
            "input {index}: expected one scale or zero point, got {:?}",
            inputs.shape(index)?
        );
    }
    Ok(())
}

/// Which scale each element of a tensor has: one for all, one for each entry of an axis, or one
/// for each block along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granularity {
    outer: usize,
    size: usize,
    inner: usize,
    block: usize,
    strides: [usize; 3],
}

impl Granularity {
    /// How scales of shape `scale` belong to a tensor of shape `x`.
    pub fn new(x: &[usize], scale: &[usize], axis: i64, block: usize) -> Result<Self> {
        if block == 0 && matches!(scale, [] | [1]) {
            return Ok(Self { outer: 1, size: 1, inner: element_count(x)?, block: 1, strides: [0; 3] });
        }
        let axis = axis_of(axis, x.len())?;
        let size = x[axis];
        // Other dimensions of an empty tensor may be of any size.
        let (outer, inner) = match x.contains(&0) {
            true => (0, 0),
            false => (x[..axis].iter().product(), x[axis + 1..].iter().product()),
        };
        let mut grouping = Self { outer, size, inner, block: 1, strides: [0, 1, 0] };
        if block == 0 {
            ensure!(
                scale == [size],
                ShapeMismatch,
                "the scale is {scale:?}; expected one element, or [{size}] for axis {axis} of {x:?}"
            );
        } else {
            let blocks = size.div_ceil(block);
            let mut expected = x.to_vec();
            expected[axis] = blocks;
            ensure!(
                scale == expected,
                ShapeMismatch,
                "the scale is {scale:?}; expected {expected:?} for blocks of {block} along axis {axis} of {x:?}"
            );
            grouping.block = block;
            grouping.strides = [blocks * inner, inner, 1];
        }
        Ok(grouping)
    }

    /// Calls `f` with every element's scale's place, in the elements' order.
    #[inline(always)]
    pub fn for_each(&self, mut f: impl FnMut(usize)) {
        let [outer, along, inner] = self.strides;
        for o in 0..self.outer {
            for d in 0..self.size {
                let first = o * outer + d / self.block * along;
                (0..self.inner).for_each(|i| f(first + i * inner));
            }
        }
    }
}

/// The products of two stacks of matrices, of integers, wrapping.
pub struct Product {
    /// The stacks' shape that both broadcast to.
    batch: Vec<usize>,
    left: Vec<usize>,
    right: Vec<usize>,
    /// Rows, depth and columns.
    pub sizes: [usize; 3],
    /// The result's shape; vectors lose the dimension that they lack.
    pub shape: Vec<usize>,
}

impl Product {
    /// The product of tensors of shapes `a` and `b`, as MatMul has it.
    pub fn new(a: &[usize], b: &[usize]) -> Result<Self> {
        ensure!(!a.is_empty() && !b.is_empty(), ShapeMismatch, "expected matrices or vectors, got {a:?} and {b:?}");
        let left = if let [k] = a { vec![1, *k] } else { a.to_vec() };
        let right = if let [k] = b { vec![*k, 1] } else { b.to_vec() };
        let (l, r) = (left.len(), right.len());
        let (m, k, n) = (left[l - 2], left[l - 1], right[r - 1]);
        ensure!(k == right[r - 2], ShapeMismatch, "{a:?} by {b:?}: {k} columns against {} rows", right[r - 2]);
        let batch = super::broadcast(&left[..l - 2], &right[..r - 2])?;
        let mut shape = batch.clone();
        shape.extend((a.len() > 1).then_some(m));
        shape.extend((b.len() > 1).then_some(n));
        Ok(Self { batch, left, right, sizes: [m, k, n], shape })
    }

    /// How many elements the result has; those that `infer` promised, so that they fit.
    pub fn count(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().product() }
    }

    /// `batch * rows` scales or zero points of the left matrix, from one, one for each row, or
    /// `[batch…, rows, 1]`.
    pub fn rows<T: Copy>(&self, values: &[T], shape: &[usize], of: &str) -> Result<Vec<T>> {
        spread(values, shape, &self.left, true, of)
    }

    /// As `rows`, for the columns of the right matrix: one, one for each, or `[batch…, 1, columns]`.
    pub fn columns<T: Copy>(&self, values: &[T], shape: &[usize], of: &str) -> Result<Vec<T>> {
        spread(values, shape, &self.right, false, of)
    }

    /// Where each product's left and right matrix lie, counted in matrices.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let rank = self.batch.len();
        let place = |own: &[usize], mut index: usize| {
            let (mut place, mut stride) = (0, 1);
            for d in (0..rank).rev() {
                let at = index % self.batch[d];
                index /= self.batch[d];
                if let Some(&size) = (d + own.len()).checked_sub(rank).and_then(|d| own.get(d)) {
                    place += if size == 1 { 0 } else { at * stride };
                    stride *= size;
                }
            }
            place
        };
        let (l, r) = (self.left.len() - 2, self.right.len() - 2);
        let count = self.batch.iter().product();
        (0..count).map(|i| (place(&self.left[..l], i), place(&self.right[..r], i))).collect()
    }

    /// The products of `a` less its rows' zero points by `b` less its columns'.
    pub fn run(&self, a: &[i32], a_zeros: &[i32], b: &[i32], b_zeros: &[i32]) -> Vec<i32> {
        let [m, k, n] = self.sizes;
        let mut c = vec![0i32; self.count()];
        if c.is_empty() || k == 0 {
            return c;
        }
        let pairs = self.pairs();
        let less = |value: i32, zero: i32| value.wrapping_sub(zero);
        let a: Vec<i32> =
            a.chunks_exact(k).zip(a_zeros).flat_map(|(row, &z)| row.iter().map(move |&v| less(v, z))).collect();
        let mut b = b.to_vec();
        for (matrix, zeros) in b.chunks_exact_mut(k * n).zip(b_zeros.chunks_exact(n)) {
            for row in matrix.chunks_exact_mut(n) {
                row.iter_mut().zip(zeros).for_each(|(v, &z)| *v = less(*v, z));
            }
        }
        for ((left, right), c) in pairs.into_iter().zip(c.chunks_exact_mut(m * n)) {
            let (a, b) = (&a[left * m * k..][..m * k], &b[right * k * n..][..k * n]);
            gemm::products(a, b, self.sizes, c, |sum: i32, a, b| sum.wrapping_add(a.wrapping_mul(b)));
        }
        c
    }
}

/// The `batch * lines` values of matrices of shape `matrix`, whose lines are rows or columns.
fn spread<T: Copy>(values: &[T], shape: &[usize], matrix: &[usize], rows: bool, of: &str) -> Result<Vec<T>> {
    let rank = matrix.len();
    let (lines, count) = if rows {
        (matrix[rank - 2], matrix[..rank - 1].iter().product())
    } else {
        (matrix[rank - 1], matrix[..rank - 2].iter().product::<usize>() * matrix[rank - 1])
    };
    let mut full = matrix.to_vec();
    full[if rows { rank - 1 } else { rank - 2 }] = 1;
    match values {
        [one] if shape.len() <= 1 || shape == full => Ok(vec![*one; count]),
        _ if shape == [lines] || shape == full => Ok(values.iter().copied().cycle().take(count).collect()),
        _ => bail!(ShapeMismatch, "{of} is {shape:?}; expected one element, [{lines}], or {full:?}"),
    }
}

/// Shapes and attributes of an integer convolution.
pub struct Convolution {
    window: super::geometry::WindowAttributes,
    group: usize,
}

impl Convolution {
    /// Reads the attributes of Conv.
    pub fn read(attributes: &super::Attributes<'_>) -> Result<Self> {
        let group = attributes.int("group")?.unwrap_or(1);
        ensure!((1..=1 << 24).contains(&group), InvalidModel, "attribute \"group\": expected at least 1, got {group}");
        Ok(Self { window: super::geometry::WindowAttributes::read(attributes)?, group: group as usize })
    }

    /// The window over an input of shape `x`.
    pub fn window(&self, x: &[usize], weight: &[usize]) -> Result<Window> {
        ensure!(x.len() >= 3, ShapeMismatch, "expected [N, C, spatial…], got {x:?}");
        ensure!(weight.len() == x.len(), ShapeMismatch, "the weight {weight:?} and the input {x:?} differ in rank");
        self.window.window(x, Some(&weight[2..]))
    }

    /// Checks the shapes and gives the output's.
    pub fn infer(&self, x: &[usize], weight: &[usize]) -> Result<Vec<usize>> {
        let (window, group) = (self.window(x, weight)?, self.group);
        ensure!(
            weight[1].checked_mul(group) == Some(x[1]),
            ShapeMismatch,
            "the weight {weight:?} has {} channels per group, the input {x:?} has {} (group = {group})",
            weight[1],
            x[1]
        );
        ensure!(
            weight[0].is_multiple_of(group),
            ShapeMismatch,
            "{} output channels do not divide into {group} groups",
            weight[0]
        );
        Ok([&[x[0], weight[0]], &window.output[..]].concat())
    }

    /// The sums of `x` less its zero point by `weight` less its channels' zero points.
    pub fn run(&self, x: &Tensor, x_zero: i32, weight: &Tensor, weight_zeros: &[i32]) -> Result<Vec<i32>> {
        let window = self.window(x.shape(), weight.shape())?;
        let mut codes_x = codes(x)?;
        codes_x.iter_mut().for_each(|v| *v -= x_zero);
        let mut codes_w = codes(weight)?;
        let channel = (codes_w.len() / weight.shape()[0].max(1)).max(1);
        for (weights, zero) in codes_w.chunks_exact_mut(channel).zip(weight_zeros) {
            weights.iter_mut().for_each(|v| *v -= zero);
        }
        Ok(conv::integers((&codes_x, x.shape()), (&codes_w, weight.shape()), &window, self.group))
    }
}

/// One value, or one for each of `count` channels.
pub fn per_channel<T: Copy>(values: &[T], shape: &[usize], count: usize, of: &str) -> Result<Vec<T>> {
    match values {
        [one] if shape.len() <= 1 => Ok(vec![*one; count]),
        _ if shape == [count] => Ok(values.to_vec()),
        _ => bail!(ShapeMismatch, "{of} is {shape:?}; expected one element or [{count}]"),
    }
}
