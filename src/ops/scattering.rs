//! What Scatter, ScatterElements and ScatterND share: updates at positions, later ones over or
//! combined with earlier ones.

use super::indexing::{check_element_indices, depth, element_positions, integers, run_positions};
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reduction {
    None,
    Add,
    Mul,
    Max,
    Min,
}

struct Scatter {
    /// The axis along which single elements are scattered; none for slices at index tuples.
    axis: Option<i64>,
    reduction: Reduction,
}

/// An operator with data, indices and updates.
pub const fn operator(
    name: &'static str,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator { name, inputs: 3..=3, attributes, parameters: &[1], build, ..Operator::DEFAULT }
}

/// Scatters along the attribute `axis` where `elements`, else slices at index tuples.
pub fn build(attributes: &Attributes<'_>, elements: bool) -> Result<Box<dyn Op>> {
    let axis = if elements { Some(attributes.int("axis")?.unwrap_or(0)) } else { None };
    let name = attributes.choice("reduction", &["none", "add", "mul", "max", "min"])?;
    let (reduction, since) = match name {
        "add" => (Reduction::Add, 16),
        "mul" => (Reduction::Mul, 16),
        "max" => (Reduction::Max, 18),
        "min" => (Reduction::Min, 18),
        _ => (Reduction::None, 0),
    };
    ensure!(
        attributes.opset >= since,
        InvalidModel,
        "reduction \"{name}\" came with opset {since}, the model uses {}",
        attributes.opset
    );
    Ok(Box::new(Scatter { axis, reduction }))
}

impl Op for Scatter {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let allowed = if self.reduction == Reduction::None { Dtypes::All } else { Dtypes::Any };
        let dtype = tensor_type(inputs, 0, allowed)?;
        tensor_type(inputs, 1, if self.axis.is_some() { Dtypes::Index } else { Dtypes::Only(DataType::Int64) })?;
        tensor_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (data, indices, updates) = (inputs.shape(0)?, inputs.shape(1)?, inputs.shape(2)?);
        let expected = match self.axis {
            Some(axis) => {
                check_element_indices(data, indices, axis_of(axis, data.len())?)?;
                indices.to_vec()
            }
            None => [&indices[..indices.len().saturating_sub(1)], &data[depth(data, indices, 0)?..]].concat(),
        };
        ensure!(updates == expected, ShapeMismatch, "updates: expected {expected:?}, got {updates:?}");
        one(inputs.dtype(0)?, data)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (data, shape, indices) = (inputs.shape(0)?, inputs.shape(1)?, integers(&inputs, 1)?);
        let (run, positions) = match self.axis {
            Some(axis) => (1, element_positions(data, shape, axis_of(axis, data.len())?, &indices)?),
            None => {
                let depth = depth(data, shape, 0)?;
                (data[depth..].iter().product(), run_positions(data, depth, 0, &indices)?)
            }
        };
        output(scattered(self.reduction, &inputs.take_host(0)?, &positions, run, &inputs.take_host(2)?)?)
    }
}

fn scattered(reduction: Reduction, data: &Tensor, positions: &[usize], run: usize, updates: &Tensor) -> Result<Tensor> {
    let (dtype, shape) = (data.dtype(), data.shape());
    if run == 0 || data.is_empty() {
        return Ok(data.clone());
    }
    if reduction == Reduction::None {
        return data.with_runs(run, positions, updates);
    }
    if dtype.is_float() {
        let mut out = data.to_f64s()?;
        let f: fn(f64, f64) -> f64 = match reduction {
            Reduction::Add => |a, b| a + b,
            Reduction::Mul => |a, b| a * b,
            // NaN stays, and comes in.
            Reduction::Max => |a, b| if b > a || b.is_nan() { b } else { a },
            Reduction::Min => |a, b| if b < a || b.is_nan() { b } else { a },
            Reduction::None => bail!(Internal, "nothing to reduce"),
        };
        combine(&mut out, positions, run, &updates.to_f64s()?, f);
        return Tensor::from_f64s(dtype, shape, out);
    }
    let mut out = data.to_i64s()?;
    let f: fn(i64, i64) -> i64 = match reduction {
        Reduction::Add => i64::wrapping_add,
        Reduction::Mul => i64::wrapping_mul,
        Reduction::Max if dtype == DataType::Uint64 => |a, b| (a as u64).max(b as u64) as i64,
        Reduction::Min if dtype == DataType::Uint64 => |a, b| (a as u64).min(b as u64) as i64,
        Reduction::Max => i64::max,
        Reduction::Min => i64::min,
        Reduction::None => bail!(Internal, "nothing to reduce"),
    };
    combine(&mut out, positions, run, &updates.to_i64s()?, f);
    Tensor::from_i64s(dtype, shape, out)
}

fn combine<T: Copy>(data: &mut [T], positions: &[usize], run: usize, updates: &[T], f: fn(T, T) -> T) {
    for (&position, update) in positions.iter().zip(updates.chunks_exact(run)) {
        for (a, &b) in data[position * run..(position + 1) * run].iter_mut().zip(update) {
            *a = f(*a, b);
        }
    }
}
