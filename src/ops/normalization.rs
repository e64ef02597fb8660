//! What the normalizations share: `(x - mean) / sqrt(variance + epsilon) * scale + bias`.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Op, axes_of, axis_of, broadcast};
use crate::backend::{Array, BinaryOp, Cpu, Device, DeviceKind, ReduceOp, UnaryOp, cast, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::normalize::{moments, scale_elements};

/// A constant of `dtype` on the device.
fn constant(device: &dyn Device, value: f64, dtype: DataType) -> Result<Array> {
    device.to_device(cast(&tensor_of(DataType::Float64, &[], vec![value]), dtype)?)
}

/// `(x - mean) / sqrt(variance + epsilon)` over `axes`, without the mean unless `centred`; or, where
/// `after` the root, `/ (sqrt(variance) + epsilon)`.
fn composed(device: &dyn Device, x: Array, axes: &[usize], epsilon: f64, centred: bool, after: bool) -> Result<Array> {
    let (shape, dtype) = (x.shape().to_vec(), x.dtype());
    let x = if centred {
        let mean = device.reduce(ReduceOp::Mean, x.clone(), axes)?;
        device.binary(BinaryOp::Sub, x, mean, &shape)?
    } else {
        x
    };
    let squares = device.binary(BinaryOp::Mul, x.clone(), x.clone(), &shape)?;
    let mut deviation = device.reduce(ReduceOp::Mean, squares, axes)?;
    let reduced = deviation.shape().to_vec();
    if after {
        deviation = device.unary(UnaryOp::Sqrt, deviation)?;
    }
    deviation = device.binary(BinaryOp::Add, deviation, constant(device, epsilon, dtype)?, &reduced)?;
    if !after {
        deviation = device.unary(UnaryOp::Sqrt, deviation)?;
    }
    device.binary(BinaryOp::Div, x, deviation, &shape)
}

/// Elements of `tensor` for every element of `rows`, dimensions that rows of `row` are cut from:
/// as many as one row has where all rows share them, else one for each of all.
fn spread(tensor: Option<Tensor>, shape: &[usize], axis: usize) -> Result<Option<Tensor>> {
    let Some(tensor) = tensor else { return Ok(None) };
    let own: Vec<usize> = tensor.shape().iter().copied().skip_while(|&d| d == 1).collect();
    let target = if own.len() <= shape.len() - axis { &shape[axis..] } else { shape };
    let Value::Tensor(array) = Value::from(tensor.reshaped(&own)?) else { bail!(Internal, "a scale of no numbers") };
    Ok(Some(Tensor::from_flex(Cpu.expand(array, target)?.into_cpu()?)))
}

/// LayerNormalization and RMSNormalization.
pub struct RowNormalization {
    axis: i64,
    epsilon: f32,
    /// Dtype of the mean and the deviation.
    stash: DataType,
    /// Whether the mean is taken off.
    centred: bool,
}

/// Reads the attributes of a normalization of rows.
pub fn rows(attributes: &Attributes<'_>, centred: bool) -> Result<Box<dyn Op>> {
    let stash = match attributes.int("stash_type")?.unwrap_or(1) {
        1 => DataType::Float32,
        10 => DataType::Float16,
        11 => DataType::Float64,
        16 => DataType::BFloat16,
        other => bail!(Unsupported, "stash_type {other}; supported are 1, 10, 11 and 16 (floats)"),
    };
    let axis = attributes.int("axis")?.unwrap_or(-1);
    Ok(Box::new(RowNormalization { axis, epsilon: attributes.float("epsilon")?.unwrap_or(1e-5), stash, centred }))
}

impl RowNormalization {
    fn compute<T: Number>(
        &self,
        x: &Tensor,
        axis: usize,
        scale: Option<Tensor>,
        bias: Option<Tensor>,
    ) -> Result<Vec<Value>> {
        let shape = x.shape();
        let (scale, bias) = (spread(scale, shape, axis)?, spread(bias, shape, axis)?);
        let scale = scale.as_ref().map(read::<T>).transpose()?;
        let bias = bias.as_ref().map(read::<T>).transpose()?;
        let mut y = read::<T>(x)?.into_owned();
        let (row, count) = (shape[axis..].iter().product::<usize>(), shape[..axis].iter().product::<usize>());
        let mut stashed = Vec::with_capacity(count);
        for r in 0..count {
            let all = r * row..(r + 1) * row;
            let part = |values: &'_ [T]| if values.len() == row { 0..row } else { all.clone() };
            let row = &mut y[all.clone()];
            let found = moments(row, f64::from(self.epsilon), self.centred);
            let scale = scale.as_deref().map(|s| &s[part(s)]);
            scale_elements(row, found, scale, bias.as_deref().map(|b| &b[part(b)]));
            stashed.push(found);
        }
        let reduced = reduced(shape, axis);
        let deviations = write(self.stash, &reduced, stashed.iter().map(|&(_, d)| d).collect())?;
        let mut values = vec![write(x.dtype(), shape, y)?.into()];
        if self.centred {
            values.push(write(self.stash, &reduced, stashed.into_iter().map(|(mean, _)| mean).collect())?.into());
        }
        values.push(deviations.into());
        Ok(values)
    }
}

fn reduced(shape: &[usize], axis: usize) -> Vec<usize> {
    shape.iter().enumerate().map(|(d, &s)| if d < axis { s } else { 1 }).collect()
}

impl Op for RowNormalization {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = super::tensor_type(inputs, 0, super::Dtypes::Float)?;
        super::tensor_type(inputs, 1, super::Dtypes::Float)?;
        super::optional_type(inputs, 2, super::Dtypes::Float)?;
        let stash = Type::Tensor(self.stash);
        Ok(vec![Type::Tensor(dtype), stash.clone(), stash])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        let axis = axis_of(self.axis, x.len())?;
        for (index, name) in [(1, "the scale"), (2, "the bias")] {
            if inputs.has(index) {
                let shape = inputs.shape(index)?;
                ensure!(
                    broadcast(shape, x)? == x,
                    ShapeMismatch,
                    "{name} {shape:?} does not broadcast to the input {x:?}"
                );
            }
        }
        let stashed = Some(Info { dtype: self.stash, shape: reduced(x, axis) });
        let y = Some(Info { dtype: inputs.dtype(0)?, shape: x.to_vec() });
        Ok(if self.centred { vec![y, stashed.clone(), stashed] } else { vec![y, stashed] })
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let axis = axis_of(self.axis, shape.len())?;
        if device.kind() == DeviceKind::Cpu {
            let scale = Some(inputs.take_host(1)?);
            let bias = inputs.host(2)?;
            let x = inputs.take_host(0)?;
            return computed_in!(x.dtype(), T => self.compute::<T>(&x, axis, scale, bias));
        }
        let axes: Vec<usize> = (axis..shape.len()).collect();
        let y = composed(device, inputs.array(0)?, &axes, f64::from(self.epsilon), self.centred, false)?;
        let y = device.binary(BinaryOp::Mul, y, inputs.array(1)?, shape)?;
        output(match inputs.optional_array(2)? {
            Some(bias) => device.binary(BinaryOp::Add, y, bias, shape)?,
            None => y,
        })
    }
}

/// GroupNormalization, and InstanceNormalization: as many groups as channels.
struct GroupNormalization {
    groups: Option<usize>,
    epsilon: f32,
    /// Whether scale and bias are one for each group, instead of each channel.
    per_group: bool,
}

/// Reads the attributes of a normalization of channels.
pub fn groups(attributes: &Attributes<'_>, grouped: bool) -> Result<Box<dyn Op>> {
    let groups = match attributes.int("num_groups")? {
        Some(groups) => {
            ensure!(groups > 0, InvalidModel, "attribute \"num_groups\": expected at least 1, got {groups}");
            Some(usize::try_from(groups).unwrap_or(usize::MAX))
        }
        None if grouped => bail!(InvalidModel, "attribute \"num_groups\" is missing"),
        None => None,
    };
    let epsilon = attributes.float("epsilon")?.unwrap_or(1e-5);
    Ok(Box::new(GroupNormalization { groups, epsilon, per_group: grouped && attributes.opset < 21 }))
}

impl Op for GroupNormalization {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_floats(inputs, &[1, 2])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(x.len() >= 2, ShapeMismatch, "expected [N, C, …], got {x:?}");
        let groups = self.groups.unwrap_or(x[1]);
        ensure!(
            groups == x[1] || x[1].is_multiple_of(groups),
            ShapeMismatch,
            "{} channels do not divide into {groups} groups",
            x[1]
        );
        let expected = if self.per_group { groups } else { x[1] };
        for (index, name) in [(1, "the scale"), (2, "the bias")] {
            let shape = inputs.shape(index)?;
            ensure!(shape == [expected], ShapeMismatch, "{name}: expected [{expected}] for input {x:?}, got {shape:?}");
        }
        one(inputs.dtype(0)?, x)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let groups = self.groups.unwrap_or(shape[1]);
        let element: usize = shape[2..].iter().product();
        let row = shape[1].checked_div(groups).unwrap_or(0) * element;
        if device.kind() == DeviceKind::Cpu {
            let (x, scale, bias) = (inputs.take_host(0)?, inputs.take_host(1)?, inputs.take_host(2)?);
            let plane = if self.per_group { row } else { element };
            return computed_in!(x.dtype(), T => {
                let (scale, bias) = (read::<T>(&scale)?, read::<T>(&bias)?);
                let mut y = read::<T>(&x)?.into_owned();
                if row > 0 {
                    for (g, row) in y.chunks_exact_mut(row).enumerate() {
                        let (mean, deviation) = moments(row, f64::from(self.epsilon), true);
                        let first = g * (row.len() / plane);
                        for (c, plane) in row.chunks_exact_mut(plane).enumerate() {
                            let c = (first + c) % scale.len();
                            let (factor, shift) = (deviation * scale[c], bias[c]);
                            plane.iter_mut().for_each(|v| *v = (*v - mean) * factor + shift);
                        }
                    }
                }
                output(write(x.dtype(), shape, y)?)
            });
        }
        let rows = [shape[0], groups, row];
        let x = device.reshape(inputs.array(0)?, &rows)?;
        let mut y = composed(device, x, &[2], f64::from(self.epsilon), true, false)?;
        let mut target = rows.to_vec();
        let mut each = vec![groups, 1];
        if !self.per_group {
            y = device.reshape(y, shape)?;
            target = shape.to_vec();
            each = vec![1; shape.len() - 1];
            each[0] = shape[1];
        }
        let (scale, bias) = (device.reshape(inputs.array(1)?, &each)?, device.reshape(inputs.array(2)?, &each)?);
        let y = device.binary(BinaryOp::Mul, y, scale, &target)?;
        let y = device.binary(BinaryOp::Add, y, bias, &target)?;
        output(device.reshape(y, shape)?)
    }
}

/// What MeanVarianceNormalization adds to the deviation: its function body in ONNX has it.
const MEAN_VARIANCE_EPSILON: f64 = 1e-9;

struct MeanVariance(Vec<i64>);

/// MeanVarianceNormalization.
pub fn mean_variance(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MeanVariance(attributes.ints("axes")?.unwrap_or(&[0, 2, 3]).to_vec())))
}

impl Op for MeanVariance {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_floats(inputs, &[])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        axes_of(&self.0, inputs.shape(0)?.len())?;
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let axes = axes_of(&self.0, shape_of(outputs, 0)?.len())?;
        let x = inputs.array(0)?;
        let dtype = x.dtype();
        if !matches!(dtype, DataType::Float16 | DataType::BFloat16) {
            return output(composed(device, x, &axes, MEAN_VARIANCE_EPSILON, true, true)?);
        }
        let wide = Array::Cpu(cast(&x.into_cpu()?, DataType::Float32)?);
        let y = composed(device, wide, &axes, MEAN_VARIANCE_EPSILON, true, true)?;
        output(cast(&y.into_cpu()?, dtype)?)
    }
}

struct LpNormalization {
    axis: i64,
    squares: bool,
}

/// LpNormalization.
pub fn lp(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let p = attributes.int("p")?.unwrap_or(2);
    ensure!(p == 1 || p == 2, Unsupported, "p = {p}; ONNX has 1 and 2");
    Ok(Box::new(LpNormalization { axis: attributes.int("axis")?.unwrap_or(-1), squares: p == 2 }))
}

impl Op for LpNormalization {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_floats(inputs, &[])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        axis_of(self.axis, inputs.shape(0)?.len())?;
        one(inputs.dtype(0)?, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let shape = shape_of(outputs, 0)?;
        let axis = axis_of(self.axis, shape.len())?;
        let (size, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        let mut y = x.to_f64s()?;
        if size * inner > 0 {
            for block in y.chunks_exact_mut(size * inner) {
                for at in 0..inner {
                    let values = block[at..].iter().step_by(inner);
                    let norm = if self.squares {
                        values.map(|v| v * v).sum::<f64>().sqrt()
                    } else {
                        values.map(|v| v.abs()).sum()
                    };
                    // Nothing has no direction: it stays nothing.
                    if norm != 0.0 {
                        block[at..].iter_mut().step_by(inner).for_each(|v| *v /= norm);
                    }
                }
            }
        }
        output(Tensor::from_f64s(x.dtype(), shape, y)?)
    }
}

/// SkipLayerNormalization and SkipSimplifiedLayerNormalization.
struct Skip(RowNormalization);

/// Reads the attributes of a normalization of a sum.
pub fn skip(attributes: &Attributes<'_>, centred: bool) -> Result<Box<dyn Op>> {
    let epsilon = attributes.float("epsilon")?.unwrap_or(1e-12);
    Ok(Box::new(Skip(RowNormalization { axis: -1, epsilon, stash: DataType::Float32, centred })))
}

impl Skip {
    /// Indices of the shift after the scale, where there is one, and of the bias of the sum.
    fn shift_and_bias(&self) -> (Option<usize>, usize) {
        if self.0.centred { (Some(3), 4) } else { (None, 3) }
    }

    fn compute<T: Number>(&self, inputs: &Inputs) -> Result<Vec<Value>> {
        let (shift, bias) = self.shift_and_bias();
        let (Some(x), Some(skip)) = (inputs.host(0)?, inputs.host(1)?) else {
            bail!(Internal, "an input went missing")
        };
        let mut sum = read::<T>(&x)?.into_owned();
        for more in [Some(skip), inputs.host(bias)?].into_iter().flatten() {
            let more = read::<T>(&more)?;
            for block in sum.chunks_mut(more.len().max(1)) {
                block.iter_mut().zip(more.iter()).for_each(|(s, &m)| *s = *s + m);
            }
        }
        let sum = write(T::DTYPE, x.shape(), sum)?;
        let shift = shift.map(|index| inputs.host(index)).transpose()?.flatten();
        let mut values = self.0.compute::<T>(&sum, x.shape().len() - 1, inputs.host(2)?, shift)?;
        if !self.0.centred {
            let none = vec![0.0; reduced(x.shape(), x.shape().len() - 1).iter().product()];
            let mean = Tensor::from_f64s(self.0.stash, &reduced(x.shape(), x.shape().len() - 1), none)?;
            values.insert(1, mean.into());
        }
        values.push(sum.into());
        for index in [0, 3] {
            let value = values.swap_remove(index);
            values.push(Tensor::from_f64s(x.dtype(), x.shape(), value.into_host()?.to_f64s()?)?.into());
            let last = values.len() - 1;
            values.swap(index, last);
        }
        Ok(values)
    }
}

impl Op for Skip {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = Type::Tensor(same_floats(inputs, &[1, 2, 3, 4])?);
        let stash = Type::Tensor(self.0.stash);
        Ok(vec![dtype.clone(), stash.clone(), stash, dtype])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, skip) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(matches!(x.len(), 2 | 3), ShapeMismatch, "expected [batch, sequence, hidden], got {x:?}");
        let inner = skip.strip_prefix(&[1]).unwrap_or(skip);
        ensure!(
            skip == x || inner == &x[1..] || inner == x,
            ShapeMismatch,
            "the skip {skip:?} does not fit the input {x:?}"
        );
        let hidden = x[x.len() - 1];
        let (shift, bias) = self.shift_and_bias();
        for index in [Some(2), shift, Some(bias)].into_iter().flatten() {
            if inputs.has(index) {
                let shape = inputs.shape(index)?;
                ensure!(shape == [hidden], ShapeMismatch, "input {index}: expected [{hidden}], got {shape:?}");
            }
        }
        ensure!(inputs.has(2), InvalidModel, "input 2 is missing");
        let y = Some(Info { dtype: inputs.dtype(0)?, shape: x.to_vec() });
        let stashed = Some(Info { dtype: self.0.stash, shape: reduced(x, x.len() - 1) });
        Ok(vec![y.clone(), stashed.clone(), stashed, y])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        computed_in!(inputs.dtype(0)?, T => self.compute::<T>(&inputs))
    }
}

/// LayerNormalization of a tensor over its last dimension; for those that make the tensor themselves.
pub fn last_dimension<T: Number>(x: &Tensor, scale: Tensor, bias: Tensor, epsilon: f32) -> Result<Value> {
    let rows = RowNormalization { axis: -1, epsilon, stash: DataType::Float32, centred: true };
    let mut values = rows.compute::<T>(x, x.shape().len() - 1, Some(scale), Some(bias))?;
    Ok(values.swap_remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::support::{Random, Single, compare, f32s, numbers};

    /// `(x - mean) / sqrt(variance + epsilon)` of groups of positions, `group(position)` naming each one's.
    fn naive(x: &[f64], group: impl Fn(usize) -> usize, epsilon: f64, centred: bool) -> Vec<f64> {
        let count = (0..x.len()).map(&group).max().map_or(0, |g| g + 1);
        let mut members = vec![Vec::new(); count];
        (0..x.len()).for_each(|i| members[group(i)].push(i));
        let mut out = vec![0.0; x.len()];
        for group in members {
            let n = group.len() as f64;
            let mean = if centred { group.iter().map(|&i| x[i]).sum::<f64>() / n } else { 0.0 };
            let variance = group.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / n;
            group.iter().for_each(|&i| out[i] = (x[i] - mean) / (variance + epsilon).sqrt());
        }
        out
    }

    fn close(got: &Tensor, expected: &[f64], tolerance: f64, what: &str) {
        assert_eq!(got.len(), expected.len(), "{what}");
        for (g, e) in numbers(got).iter().zip(expected) {
            assert!((g - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {g}, expected {e}");
        }
    }

    #[test]
    fn rows_match_float64_on_both_ways() {
        let mut random = Random::new(3);
        for round in 0..60 {
            let rank = random.within(1, 4);
            let shape: Vec<usize> = (0..rank).map(|_| random.within(1, if rank == 1 { 1500 } else { 9 })).collect();
            let axis = random.within(0, rank - 1);
            let row: usize = shape[axis..].iter().product();
            let x = random.tensor(&shape);
            // As wide as the rows, or as everything, or one for all.
            let of = match round % 3 {
                0 => shape[axis..].to_vec(),
                1 => shape.clone(),
                _ => vec![1],
            };
            let (scale, bias) = (random.tensor(&of), random.tensor(&of));
            let at = |t: &Tensor, i: usize| numbers(t)[if t.len() == row { i % row } else { i % t.len() }];
            for centred in [true, false] {
                let standard = naive(&numbers(&x), |i| i / row, 1e-3, centred);
                let shift = |i: usize| if centred { at(&bias, i) } else { 0.0 };
                let expected: Vec<f64> =
                    standard.iter().enumerate().map(|(i, v)| v * at(&scale, i) + shift(i)).collect();
                let (name, opset) = if centred { ("LayerNormalization", 17) } else { ("RMSNormalization", 23) };
                let node = Single::new(name, opset).int("axis", axis as i64 - rank as i64).float("epsilon", 1e-3);
                let inputs =
                    if centred { vec![x.clone(), scale.clone(), bias.clone()] } else { vec![x.clone(), scale.clone()] };
                close(&node.one(&inputs), &expected, 1e-5, name);
                let axes: Vec<usize> = (axis..rank).collect();
                let array = Array::Cpu(x.to_flex().expect("numbers"));
                let other = composed(&Cpu, array, &axes, f64::from(1e-3f32), centred, false).expect("the shapes fit");
                close(&Tensor::from_flex(other.into_cpu().expect("on the CPU")), &standard, 1e-5, "composed");
            }
        }
    }

    #[test]
    fn means_and_deviations_come_in_the_stashed_type() {
        let x = Tensor::from_vec(vec![2, 2], vec![1f64, 3.0, 5.0, 9.0]).expect("4 elements");
        let scale = Tensor::from_vec(vec![2], vec![1f64, 1.0]).expect("2 elements");
        let out = Single::new("LayerNormalization", 17)
            .outputs(3)
            .float("epsilon", 0.0)
            .run(&[x.clone(), scale.clone()])
            .expect("fits");
        assert_eq!(numbers(&out[0]), [-1.0, 1.0, -1.0, 1.0]);
        assert!(compare(&out[1], &f32s(&[2, 1], vec![2.0, 7.0]), 0.0, 0.0).is_ok());
        assert!(compare(&out[2], &f32s(&[2, 1], vec![1.0, 0.5]), 0.0, 0.0).is_ok());
        let error = Single::new("LayerNormalization", 17).int("stash_type", 6).error(&[x, scale]);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn large_offsets_do_not_drown_the_deviation() {
        let x: Vec<f32> = (0..4096).map(|i| 1000.0 + (i % 7) as f32).collect();
        let expected = naive(&x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), |_| 0, 1e-5, true);
        let inputs = [f32s(&[1, 4096], x), f32s(&[1], vec![1.0])];
        close(&Single::new("LayerNormalization", 17).one(&inputs), &expected, 1e-4, "offset");
    }

    #[test]
    fn groups_match_float64() {
        let mut random = Random::new(4);
        for _ in 0..40 {
            let (groups, each) = (random.within(1, 4), random.within(1, 3));
            let channels = groups * each;
            let shape = [random.within(1, 3), channels, random.within(1, 5), random.within(1, 4)];
            let plane = shape[2] * shape[3];
            let x = random.tensor(&shape);
            let standard = naive(&numbers(&x), |i| i / (plane * each), f64::from(1e-5f32), true);
            for (opset, of) in [(18, groups), (21, channels)] {
                let (scale, bias) = (random.tensor(&[of]), random.tensor(&[of]));
                let at = |t: &Tensor, i: usize| numbers(t)[i / plane % channels / (channels / of)];
                let expected: Vec<f64> =
                    standard.iter().enumerate().map(|(i, v)| v * at(&scale, i) + at(&bias, i)).collect();
                let node = Single::new("GroupNormalization", opset).int("num_groups", groups as i64);
                close(&node.one(&[x.clone(), scale.clone(), bias.clone()]), &expected, 1e-5, "groups");
                if groups == channels {
                    let node = Single::new("InstanceNormalization", 22);
                    close(&node.one(&[x.clone(), scale, bias]), &expected, 1e-5, "instances");
                }
            }
        }
    }

    #[test]
    fn empty_tensors_stay_empty() {
        let empty = |shape: &[usize]| f32s(shape, Vec::new());
        assert_eq!(Single::new("LayerNormalization", 17).one(&[empty(&[2, 0]), empty(&[0])]).shape(), [2, 0]);
        assert_eq!(
            Single::new("LayerNormalization", 17).one(&[empty(&[0, 2]), f32s(&[2], vec![1.0; 2])]).shape(),
            [0, 2]
        );
        let scale = f32s(&[3], vec![1.0; 3]);
        for shape in [[0, 3, 2], [2, 3, 0]] {
            let inputs = [empty(&shape), scale.clone(), scale.clone()];
            assert_eq!(Single::new("InstanceNormalization", 6).one(&inputs).shape(), shape);
        }
        let inputs = [empty(&[2, 0, 2]), empty(&[0]), empty(&[0])];
        assert_eq!(Single::new("InstanceNormalization", 6).one(&inputs).shape(), [2, 0, 2]);
        assert_eq!(Single::new("LpNormalization", 22).one(&[empty(&[2, 0])]).shape(), [2, 0]);
        assert_eq!(
            Single::new("MeanVarianceNormalization", 13).ints("axes", &[0]).one(&[empty(&[0, 2])]).shape(),
            [0, 2]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let t = |shape: &[usize]| f32s(shape, vec![1.0; shape.iter().product()]);
        let mismatch =
            |node: Single<'_>, inputs: &[Tensor]| assert_eq!(node.error(inputs).kind(), ErrorKind::ShapeMismatch);
        mismatch(Single::new("LayerNormalization", 17), &[t(&[2, 3]), t(&[2])]);
        mismatch(Single::new("LayerNormalization", 17), &[t(&[3]), t(&[2, 3])]);
        mismatch(Single::new("LayerNormalization", 17).int("axis", 2), &[t(&[2, 3]), t(&[3])]);
        mismatch(Single::new("InstanceNormalization", 6), &[t(&[2]), t(&[2]), t(&[2])]);
        mismatch(Single::new("InstanceNormalization", 6), &[t(&[2, 3]), t(&[2]), t(&[3])]);
        mismatch(Single::new("GroupNormalization", 21).int("num_groups", 2), &[t(&[1, 3, 2]), t(&[3]), t(&[3])]);
        mismatch(Single::new("GroupNormalization", 21).int("num_groups", 2), &[t(&[1, 4, 2]), t(&[2]), t(&[2])]);
        mismatch(Single::new("MeanVarianceNormalization", 13), &[t(&[2, 2, 2])]);
        let four = [t(&[1, 4, 2]), t(&[4]), t(&[4])];
        assert_eq!(Single::new("GroupNormalization", 21).error(&four).kind(), ErrorKind::InvalidModel);
        assert_eq!(
            Single::new("GroupNormalization", 21).int("num_groups", 0).error(&four).kind(),
            ErrorKind::InvalidModel
        );
        assert_eq!(Single::new("LpNormalization", 22).int("p", 3).error(&[t(&[2])]).kind(), ErrorKind::Unsupported);
    }
}
