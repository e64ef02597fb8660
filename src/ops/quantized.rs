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

/// The float32 that integer sums stand for: `sum * (a's scale * b's scale)`, and the bias of their column.
pub fn scaled(product: &Product, sums: &[i32], a: &[f32], b: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let [m, _, n] = product.sizes;
    let mut out = Vec::with_capacity(sums.len());
    for ((left, right), sums) in product.pairs().into_iter().zip(sums.chunks_exact((m * n).max(1))) {
        for (row, sums) in sums.chunks_exact(n).enumerate() {
            let (a, b) = (a[left * m + row], &b[right * n..][..n]);
            out.extend(sums.iter().zip(b).map(|(&sum, b)| sum as f32 * (a * b)));
            if let Some(bias) = bias {
                let start = out.len() - n;
                out[start..].iter_mut().zip(bias).for_each(|(v, bias)| *v += bias);
            }
        }
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, f32s, numbers};

    fn random_codes(random: &mut Random, dtype: DataType, shape: &[usize]) -> (Tensor, Vec<i64>) {
        let (low, high) = limits(dtype);
        let span = (high - low) as usize;
        let values: Vec<i32> = (0..shape.iter().product()).map(|_| low + random.within(0, span) as i32).collect();
        let tensor = tensor_from_codes(dtype, shape, values.iter().copied()).expect("as many codes");
        (tensor, values.into_iter().map(i64::from).collect())
    }

    fn byte(random: &mut Random) -> DataType {
        [DataType::Uint8, DataType::Int8][random.within(0, 1)]
    }

    fn ints(tensor: &Tensor) -> Vec<i64> {
        tensor.to_i64s().expect("integers")
    }

    /// `numerator / denominator`, ties to even.
    fn rounded(numerator: i64, denominator: i64) -> i64 {
        let (floor, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
        let up = 2 * rest > denominator || 2 * rest == denominator && floor % 2 != 0;
        floor + i64::from(up)
    }

    #[test]
    fn quantising_is_exact_for_every_dtype_axis_and_block() {
        use DataType::{Int4, Int8, Int16, Uint4, Uint8, Uint16};
        let mut random = Random::new(3);
        for round in 0..120 {
            let dtype = [Int4, Uint4, Int8, Uint8, Int16, Uint16][round % 6];
            let shape: Vec<usize> = (0..random.within(1, 4)).map(|_| random.within(1, 5)).collect();
            let axis = random.within(0, shape.len() - 1);
            let block = [0, 0, random.within(1, 6)][round % 3];
            let mut scale_shape = shape.clone();
            match (round % 3, block) {
                (0, _) => scale_shape.clear(),
                (1, _) => scale_shape = vec![shape[axis]],
                _ => scale_shape[axis] = shape[axis].div_ceil(block),
            }
            let place = |mut index: usize| -> usize {
                let mut position = vec![0; shape.len()];
                for d in (0..shape.len()).rev() {
                    position[d] = index % shape[d];
                    index /= shape[d];
                }
                match round % 3 {
                    0 => 0,
                    1 => position[axis],
                    _ => {
                        position[axis] /= block;
                        position.iter().zip(&scale_shape).fold(0, |at, (p, size)| at * size + p)
                    }
                }
            };
            // In eighths, and scales in quarters: every quotient is a fraction that is rounded exactly.
            let count: usize = shape.iter().product();
            let x: Vec<i64> = (0..count).map(|_| random.within(0, 4000) as i64 - 2000).collect();
            let scales: Vec<i64> =
                (0..scale_shape.iter().product::<usize>()).map(|_| 1 << random.within(0, 3)).collect();
            let (zeros, zero_values) = random_codes(&mut random, dtype, &scale_shape);
            let (low, high) = limits(dtype);
            let expected: Vec<i64> = (0..count)
                .map(|i| {
                    let s = place(i);
                    (rounded(x[i], 2 * scales[s]) + zero_values[s]).clamp(i64::from(low), i64::from(high))
                })
                .collect();
            let scale = f32s(&scale_shape, scales.iter().map(|&s| s as f32 / 4.0).collect());
            let axis_from_end = axis as i64 - shape.len() as i64;
            let quantize = Single::new("QuantizeLinear", 21).int("axis", axis_from_end).int("block_size", block as i64);
            let values = f32s(&shape, x.iter().map(|&v| v as f32 / 8.0).collect());
            let y = quantize.one(&[values, scale.clone(), zeros.clone()]);
            assert_eq!((y.dtype(), ints(&y)), (dtype, expected.clone()), "{shape:?} axis {axis} block {block}");
            let back = Single::new("DequantizeLinear", 21).int("axis", axis as i64).int("block_size", block as i64);
            let reals: Vec<f64> = (0..count)
                .map(|i| (expected[i] - zero_values[place(i)]) as f64 * scales[place(i)] as f64 / 4.0)
                .collect();
            assert_eq!(numbers(&back.one(&[y, scale, zeros])), reals);
        }
    }

    #[test]
    fn what_is_no_code_saturates() {
        let x = || f32s(&[7], vec![f32::NAN, f32::INFINITY, -f32::INFINITY, 0.5, 1.5, -0.5, 1e30]);
        for (dtype, zero) in
            [(DataType::Int8, -128), (DataType::Int8, 127), (DataType::Uint8, 255), (DataType::Int4, 7)]
        {
            let (low, high) = limits(dtype);
            let zeros = tensor_from_codes(dtype, &[], std::iter::once(zero)).expect("one");
            let y = Single::new("QuantizeLinear", 21).one(&[x(), f32s(&[], vec![1.0]), zeros]);
            let expected = [low, high, low, zero, (zero + 2).min(high), zero, high].map(i64::from);
            assert_eq!(ints(&y), expected, "{dtype} {zero}");
        }
        let none = Single::new("QuantizeLinear", 21)
            .int("output_dtype", 5)
            .one(&[f32s(&[3, 0], vec![]), f32s(&[], vec![0.0])]);
        assert_eq!((none.dtype(), none.shape()), (DataType::Int16, &[3, 0][..]));
        let zero_scale = Single::new("QuantizeLinear", 10).one(&[f32s(&[2], vec![0.0, 1.0]), f32s(&[1], vec![0.0])]);
        assert_eq!(ints(&zero_scale), [0, 255]);
        let large = Tensor::from_vec(vec![2], vec![i32::MAX, i32::MIN]).expect("two");
        let y = Single::new("DequantizeLinear", 13).one(&[large.clone(), f32s(&[], vec![1.0])]);
        assert_eq!(numbers(&y), [2147483648.0, -2147483648.0]);
        let y = Single::new("QuantizeLinear", 13).one(&[large, f32s(&[], vec![33554432.0])]);
        assert_eq!(ints(&y), [64, 0]);
    }

    #[test]
    fn products_of_integers_are_exact() {
        let mut random = Random::new(4);
        for _ in 0..60 {
            let [m, k, n] = [random.within(0, 5), random.within(0, 6), random.within(1, 4)];
            let batch = [random.within(1, 3), random.within(1, 2)];
            let lead = |random: &mut Random, last: [usize; 2]| match random.within(0, 3) {
                0 => last.to_vec(),
                1 => [&[1, batch[1]], &last[..]].concat(),
                2 => [&[batch[0], 1], &last[..]].concat(),
                _ => [&batch[..], &last[..]].concat(),
            };
            let (a_shape, b_shape) = (lead(&mut random, [m, k]), lead(&mut random, [k, n]));
            let (a_type, b_type) = (byte(&mut random), byte(&mut random));
            let zero_shape = |random: &mut Random, own: &[usize], rows: bool| {
                let mut full = own.to_vec();
                full[if rows { own.len() - 1 } else { own.len() - 2 }] = 1;
                let lines = if rows { own[own.len() - 2] } else { own[own.len() - 1] };
                [vec![], vec![lines], full][random.within(0, 2)].clone()
            };
            let (az_shape, bz_shape) =
                (zero_shape(&mut random, &a_shape, true), zero_shape(&mut random, &b_shape, false));
            let (a, av) = random_codes(&mut random, a_type, &a_shape);
            let (b, bv) = random_codes(&mut random, b_type, &b_shape);
            let (az, azv) = random_codes(&mut random, a_type, &az_shape);
            let (bz, bzv) = random_codes(&mut random, b_type, &bz_shape);
            let y = Single::new("MatMulInteger", 10).one(&[a, b, az, bz]);
            let lead =
                super::super::broadcast(&a_shape[..a_shape.len() - 2], &b_shape[..b_shape.len() - 2]).expect("alike");
            assert_eq!(y.shape(), [&lead[..], &[m, n]].concat());
            let mut at = 0;
            let got = ints(&y);
            // The matrix's place in a stack, leading dimensions of 1 repeated.
            let matrix = |shape: &[usize], i: usize| {
                let own = &shape[..shape.len() - 2];
                let full = [lead.first().copied().unwrap_or(1), lead.get(1).copied().unwrap_or(1)];
                let [p, q] = [i / full[1], i % full[1]];
                if own.is_empty() {
                    0
                } else {
                    (if own[0] == 1 { 0 } else { p }) * own[1] + if own[1] == 1 { 0 } else { q }
                }
            };
            for i in 0..lead.iter().product() {
                let (left, right) = (matrix(&a_shape, i), matrix(&b_shape, i));
                for row in 0..m {
                    for column in 0..n {
                        let zero_a = azv[if az_shape.is_empty() {
                            0
                        } else if az_shape.len() == 1 {
                            row
                        } else {
                            left * m + row
                        }];
                        let zero_b = bzv[if bz_shape.is_empty() {
                            0
                        } else if bz_shape.len() == 1 {
                            column
                        } else {
                            right * n + column
                        }];
                        let sum: i64 = (0..k)
                            .map(|d| {
                                (av[(left * m + row) * k + d] - zero_a) * (bv[(right * k + d) * n + column] - zero_b)
                            })
                            .sum();
                        assert_eq!(got[at], sum, "{a_shape:?} {b_shape:?} {az_shape:?} {bz_shape:?}");
                        at += 1;
                    }
                }
            }
            assert_eq!(at, got.len());
        }
    }

    #[test]
    fn convolutions_of_integers_are_exact() {
        let mut random = Random::new(5);
        for round in 0..60 {
            let rank = 1 + round % 3;
            let (group, depth, per_group) = (random.within(1, 3), random.within(1, 2), random.within(1, 2));
            let mut sizes = |low, high| (0..rank).map(|_| random.within(low, high)).collect::<Vec<_>>();
            let (spatial, kernel) = (sizes(3, 6), sizes(1, 3));
            let (strides, dilations) = (sizes(1, 2), sizes(1, 2));
            let (begin, end) = (sizes(0, 2), sizes(2, 3));
            let outputs = group * per_group;
            let x_shape = [&[2, group * depth], &spatial[..]].concat();
            let w_shape = [&[outputs, depth], &kernel[..]].concat();
            let (x_type, w_type) = (byte(&mut random), byte(&mut random));
            let ((x, xv), (w, wv)) =
                (random_codes(&mut random, x_type, &x_shape), random_codes(&mut random, w_type, &w_shape));
            let (xz, xzv) = random_codes(&mut random, x_type, &[]);
            let (wz, wzv) = random_codes(&mut random, w_type, &[outputs]);
            let conv = Single::new("ConvInteger", 10)
                .int("group", group as i64)
                .ints("strides", &strides)
                .ints("dilations", &dilations)
                .ints("pads", &[&begin[..], &end[..]].concat());
            let y = conv.one(&[x.clone(), w.clone(), xz.clone(), wz.clone()]);
            let out = &y.shape()[2..];
            let unravel = |mut index: usize, shape: &[usize]| {
                let mut position = vec![0; shape.len()];
                for d in (0..shape.len()).rev() {
                    position[d] = index % shape[d];
                    index /= shape[d];
                }
                position
            };
            let (plane, taps): (usize, usize) = (spatial.iter().product(), kernel.iter().product());
            let out_plane: usize = out.iter().product();
            let mut expected = Vec::new();
            for i in 0..2 * outputs * out_plane {
                let (image, m, o) = (i / out_plane / outputs, i / out_plane % outputs, unravel(i % out_plane, out));
                let mut sum = 0;
                for c in 0..depth {
                    for tap in 0..taps {
                        let t = unravel(tap, &kernel);
                        let at: Option<usize> = (0..rank).try_fold(0, |at, d| {
                            let p = (o[d] * strides[d] + t[d] * dilations[d]).checked_sub(begin[d])?;
                            (p < spatial[d]).then_some(at * spatial[d] + p)
                        });
                        let Some(at) = at else { continue };
                        let channel = image * group * depth + m / per_group * depth + c;
                        sum += (xv[channel * plane + at] - xzv[0]) * (wv[(m * depth + c) * taps + tap] - wzv[m]);
                    }
                }
                expected.push(sum);
            }
            assert_eq!(ints(&y), expected, "{x_shape:?} {w_shape:?}");

            // Quantised anew by powers of two, of which every product is exact.
            let quantised = Single { op_type: "QLinearConv", ..conv };
            let one = |v: f32| f32s(&[], vec![v]);
            let scales: Vec<f32> = (0..outputs).map(|m| [0.5, 0.25][m % 2]).collect();
            let zero = tensor_from_codes(DataType::Int8, &[], std::iter::once(-3)).expect("one");
            let bias: Vec<i32> = (0..outputs as i32).map(|m| m * 100 - 50).collect();
            let biased = Tensor::from_vec(vec![outputs], bias.clone()).expect("as many");
            let inputs = [x, one(0.5), xz, w, f32s(&[outputs], scales), wz, one(128.0), zero, biased];
            let requantised: Vec<i64> = expected
                .iter()
                .enumerate()
                .map(|(i, sum)| {
                    let m = i / out_plane % outputs;
                    (rounded(sum + i64::from(bias[m]), [512, 1024][m % 2]) - 3).clamp(-128, 127)
                })
                .collect();
            assert_eq!(ints(&quantised.one(&inputs)), requantised);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bytes = |shape: &[usize]| {
            tensor_from_codes(DataType::Uint8, shape, (0..shape.iter().product::<usize>()).map(|v| v as i32))
                .expect("codes")
        };
        let reals = |shape: &[usize]| f32s(shape, vec![1.0; shape.iter().product()]);
        let quantize = || Single::new("QuantizeLinear", 21);
        let kind = |single: Single, inputs: &[Tensor]| single.error(inputs).kind();
        use ErrorKind::{DtypeMismatch, InvalidArgument, InvalidModel, ShapeMismatch, Unsupported};
        assert_eq!(kind(quantize(), &[reals(&[2, 3]), reals(&[2])]), ShapeMismatch);
        assert_eq!(kind(quantize().int("axis", 2), &[reals(&[2, 3]), reals(&[2])]), ShapeMismatch);
        assert_eq!(kind(quantize(), &[reals(&[2, 3]), reals(&[3]), bytes(&[2])]), ShapeMismatch);
        assert_eq!(kind(quantize().int("block_size", 2), &[reals(&[2, 3]), reals(&[2, 3])]), ShapeMismatch);
        assert_eq!(kind(quantize().int("block_size", -1), &[reals(&[2, 3]), reals(&[2, 3])]), InvalidModel);
        assert_eq!(kind(quantize().int("output_dtype", 7), &[reals(&[2]), reals(&[])]), Unsupported);
        assert_eq!(kind(quantize().int("output_dtype", 3), &[reals(&[2]), reals(&[]), bytes(&[])]), DtypeMismatch);
        let float8 = Tensor::from_bytes(DataType::Float8E5M2, vec![], vec![0x3c]).expect("one");
        assert_eq!(kind(quantize(), &[reals(&[2]), reals(&[]), float8]), InvalidArgument);
        assert_eq!(kind(Single::new("DequantizeLinear", 21), &[reals(&[2]), reals(&[])]), Unsupported);
        let product = || Single::new("MatMulInteger", 10);
        assert_eq!(kind(product(), &[bytes(&[2, 3]), bytes(&[2, 3])]), ShapeMismatch);
        assert_eq!(kind(product(), &[bytes(&[2, 3]), bytes(&[3, 4]), bytes(&[3])]), ShapeMismatch);
        assert_eq!(kind(product(), &[bytes(&[]), bytes(&[3, 4])]), ShapeMismatch);
        assert_eq!(kind(product(), &[reals(&[2, 3]), bytes(&[3, 4])]), Unsupported);
        let conv = || Single::new("ConvInteger", 10);
        assert_eq!(kind(conv(), &[bytes(&[1, 2, 3]), bytes(&[1, 1, 1])]), ShapeMismatch);
        assert_eq!(kind(conv(), &[bytes(&[1, 2, 3]), bytes(&[2, 2, 1]), bytes(&[]), bytes(&[3])]), ShapeMismatch);
        let nbits = |bits| {
            Single::new("com.microsoft.MatMulNBits", 21)
                .int("K", 16)
                .int("N", 2)
                .int("bits", bits)
                .int("block_size", 16)
        };
        let groups = |last| Tensor::from_vec(vec![16], [vec![0; 15], vec![last]].concat()).expect("16");
        let weights = |last: i32| [reals(&[3, 16]), bytes(&[2, 1, 8]), reals(&[2]), bytes(&[2]), groups(last)];
        assert_eq!(nbits(4).one(&weights(0)).shape(), [3, 2]);
        assert_eq!(kind(nbits(4), &weights(1)), InvalidArgument);
        assert_eq!(kind(nbits(4), &weights(-1)), InvalidArgument);
        assert_eq!(kind(nbits(8), &weights(0)), ShapeMismatch);
        assert_eq!(kind(nbits(3), &weights(0)), Unsupported);
    }

    #[test]
    fn the_range_of_a_tensor_holds_0() {
        let dynamic = |x: Vec<f32>| {
            let y = Single::new("DynamicQuantizeLinear", 11).outputs(3).run(&[f32s(&[x.len()], x)]).expect("numbers");
            (ints(&y[0]), numbers(&y[1])[0], ints(&y[2])[0])
        };
        assert_eq!(dynamic(vec![]), (vec![], 1.0, 0));
        assert_eq!(dynamic(vec![0.0, -0.0]), (vec![0, 0], 1.0, 0));
        assert_eq!(dynamic(vec![255.0, 51.5, 52.5]), (vec![255, 52, 52], 1.0, 0));
        assert_eq!(dynamic(vec![-255.0, -1.0]), (vec![0, 254], 1.0, 255));
        assert_eq!(dynamic(vec![1.0, f32::NAN, f32::INFINITY]).2, 0);
    }
}
