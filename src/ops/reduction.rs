//! What the Reduce operators share.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, axes_of, optional_type, tensor_type};
use crate::backend::{Array, Cpu, Device, ReduceOp, cast};
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// A reduction: `data`, and from some opset on `axes` as a second input.
pub const fn operator(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator {
        name,
        domain: "",
        inputs: 1..=2,
        outputs: 1..=1,
        attributes: &["axes", "keepdims", "noop_with_empty_axes"],
        parameters: &[1],
        webgpu: true,
        build,
        ..Operator::DEFAULT
    }
}

struct Reduction {
    op: ReduceOp,
    axes: Option<Vec<i64>>,
    keepdims: bool,
    noop_with_empty_axes: bool,
}

/// Reads the attributes; `axes` is an input from opset `axes_input_since` on.
pub fn op(attributes: &Attributes<'_>, op: ReduceOp, axes_input_since: i64) -> Result<Box<dyn Op>> {
    let axes = if attributes.opset < axes_input_since { attributes.ints("axes")?.map(<[i64]>::to_vec) } else { None };
    Ok(Box::new(Reduction {
        op,
        axes,
        keepdims: attributes.flag("keepdims", true)?,
        noop_with_empty_axes: attributes.flag("noop_with_empty_axes", false)?,
    }))
}

impl Reduction {
    /// The axes to reduce; none means that the input passes through.
    fn axes(&self, inputs: &Inputs) -> Result<Option<Vec<usize>>> {
        let rank = inputs.shape(0)?.len();
        let given = match &self.axes {
            Some(axes) => Some(axes.clone()),
            None => inputs.ints(1)?,
        };
        match given {
            Some(axes) if !axes.is_empty() => axes_of(&axes, rank).map(Some),
            _ if self.noop_with_empty_axes => Ok(None),
            _ => Ok(Some((0..rank).collect())),
        }
    }
}

impl Op for Reduction {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        optional_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        let allowed = if matches!(self.op, ReduceOp::Max | ReduceOp::Min) { Dtypes::Any } else { Dtypes::Number };
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, allowed)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        let shape = match self.axes(inputs)? {
            None => shape.to_vec(),
            Some(axes) => {
                let reduced =
                    shape.iter().enumerate().map(|(d, &size)| if axes.contains(&d) { None } else { Some(size) });
                if self.keepdims {
                    reduced.map(|size| size.unwrap_or(1)).collect()
                } else {
                    reduced.flatten().collect()
                }
            }
        };
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let Some(axes) = self.axes(&inputs)? else {
            return self.elementwise(device, inputs.array(0)?).and_then(output);
        };
        let x = inputs.array(0)?;
        let reduced = if x.dtype() == DataType::Bool {
            // The largest and smallest of 0 and 1 are "any" and "all".
            let numbers = cast(&x.into_cpu()?, DataType::Uint8)?;
            let reduced = Cpu.reduce(self.op, Array::Cpu(numbers), &axes)?;
            Array::Cpu(cast(&reduced.into_cpu()?, DataType::Bool)?)
        } else {
            device.reduce(self.op, x, &axes)?
        };
        output(device.reshape(reduced, shape_of(outputs, 0)?)?)
    }
}

impl Reduction {
    /// A reduction over no axes: each element is reduced alone.
    fn elementwise(&self, device: &dyn Device, x: Array) -> Result<Array> {
        let shape = x.shape().to_vec();
        let widened: Vec<usize> = shape.iter().copied().chain([1]).collect();
        let reduced = match self.op {
            ReduceOp::Sum | ReduceOp::Mean | ReduceOp::Max | ReduceOp::Min | ReduceOp::Prod => return Ok(x),
            op => device.reduce(op, device.reshape(x, &widened)?, &[shape.len()])?,
        };
        device.reshape(reduced, &shape)
    }
}

/// A reduction over all spatial dimensions of `[N, C, spatial…]`.
pub const fn global(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator {
        name,
        domain: "",
        inputs: 1..=1,
        outputs: 1..=1,
        attributes: &[],
        parameters: &[],
        webgpu: true,
        build,
        ..Operator::DEFAULT
    }
}

struct Spatial(ReduceOp);

/// Reduces every spatial dimension to 1.
pub fn spatial(op: ReduceOp) -> Result<Box<dyn Op>> {
    Ok(Box::new(Spatial(op)))
}

impl Op for Spatial {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(x.len() >= 2, ShapeMismatch, "expected [N, C, spatial…], got {x:?}");
        one(inputs.dtype(0)?, x.iter().enumerate().map(|(d, &size)| if d < 2 { size } else { 1 }).collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let axes: Vec<usize> = (2..inputs.shape(0)?.len()).collect();
        output(device.reduce(self.0, inputs.array(0)?, &axes)?)
    }
}
