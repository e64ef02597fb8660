//! Pad: adds elements around the input; negative pads cut elements off.

use super::indexing::zero;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::{Array, Cpu, Device, PadMode, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// Pad.
pub const OPERATOR: Operator = Operator {
    name: "Pad",
    domain: "",
    inputs: 1..=4,
    outputs: 1..=1,
    attributes: &["mode", "pads", "value"],
    parameters: &[1, 2, 3],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct Pad {
    mode: PadMode,
    pads: Option<Vec<i64>>,
    value: f32,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pad {
        mode: match attributes.choice("mode", &["constant", "edge", "reflect", "wrap"])? {
            "edge" => PadMode::Edge,
            "reflect" => PadMode::Reflect,
            "wrap" => PadMode::Wrap,
            _ => PadMode::Constant(0.0),
        },
        pads: attributes.ints("pads")?.map(<[i64]>::to_vec),
        value: attributes.float("value")?.unwrap_or(0.0),
    }))
}

impl Pad {
    /// Elements added (or, negative, cut off) before and after each dimension.
    fn amounts(&self, inputs: &Inputs) -> Result<Vec<(i64, i64)>> {
        let rank = inputs.shape(0)?.len();
        let Some(pads) = (if self.pads.is_some() { self.pads.clone() } else { inputs.ints(1)? }) else {
            bail!(InvalidModel, "no pads are given")
        };
        let axes = match inputs.ints(3)? {
            Some(axes) => axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).collect(),
        };
        ensure!(
            pads.len() == 2 * axes.len(),
            ShapeMismatch,
            "pads has {} entries, expected {} (two per axis)",
            pads.len(),
            2 * axes.len()
        );
        let mut amounts = vec![(0, 0); rank];
        for (i, &axis) in axes.iter().enumerate() {
            amounts[axis] = (pads[i], pads[i + axes.len()]);
        }
        Ok(amounts)
    }
}

impl Op for Pad {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::All)?;
        optional_type(inputs, 1, Dtypes::Index)?;
        optional_type(inputs, 2, Dtypes::Only(dtype))?;
        optional_type(inputs, 3, Dtypes::Index)?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let from = inputs.shape(0)?;
        let amounts = self.amounts(inputs)?;
        if inputs.has(2) {
            let value = inputs.shape(2)?;
            ensure!(
                value.iter().product::<usize>() == 1,
                ShapeMismatch,
                "input 2: expected one element, got {value:?}"
            );
        }
        let mut shape = Vec::with_capacity(from.len());
        for (d, (&size, &(before, after))) in from.iter().zip(&amounts).enumerate() {
            let total = i128::from(before) + size as i128 + i128::from(after);
            ensure!(
                (0..=isize::MAX as i128).contains(&total),
                ShapeMismatch,
                "pads ({before}, {after}) leave {total} of dimension {d} of {from:?}"
            );
            let left = size as i128 + i128::from(before.min(0)) + i128::from(after.min(0));
            let constant = matches!(self.mode, PadMode::Constant(_));
            ensure!(
                left >= 0 && (constant || left > 0 || total == 0),
                ShapeMismatch,
                "nothing of dimension {d} of {from:?} is left to pad from"
            );
            shape.push(total as usize);
        }
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let amounts = self.amounts(&inputs)?;
        let dtype = inputs.dtype(0)?;
        let fill = match inputs.host(2)? {
            Some(value) => value.reshaped(&[1])?,
            None if dtype.is_float() => Tensor::from_f64s(dtype, &[1], vec![f64::from(self.value)])?,
            None => zero(dtype)?,
        };
        output(padded(device, inputs.take(0)?, &amounts, self.mode, fill)?)
    }
}

/// `x` with elements added (or, negative, cut off) before and after each dimension; `fill` is the
/// one element of constant padding.
pub fn padded(device: &dyn Device, x: Value, amounts: &[(i64, i64)], mode: PadMode, fill: Tensor) -> Result<Value> {
    let run = |device: &dyn Device, mut x: Array, mode: PadMode| {
        if amounts.iter().any(|&(b, a)| b < 0 || a < 0) {
            let starts: Vec<usize> = amounts.iter().map(|&(b, _)| b.min(0).unsigned_abs() as usize).collect();
            let sizes = x.shape().iter().zip(amounts);
            let kept: Vec<usize> = sizes.map(|(&s, &(b, a))| (s as i64 + b.min(0) + a.min(0)) as usize).collect();
            x = device.slice(x, &starts, &vec![1; kept.len()], &kept)?;
        }
        let pads: Vec<(usize, usize)> = amounts.iter().map(|&(b, a)| (b.max(0) as usize, a.max(0) as usize)).collect();
        device.pad(x, &pads, mode)
    };
    let constant = matches!(mode, PadMode::Constant(_));
    match x {
        Value::Tensor(x) if x.dtype().is_float() || !constant => {
            let mode = if constant { PadMode::Constant(fill.to_f64s()?[0]) } else { mode };
            Ok(Value::Tensor(run(device, x, mode)?))
        }
        // Positions are padded in the place of what float64 may not hold.
        x => {
            let x = x.into_host()?;
            let count = x.len();
            let positions = tensor_of(DataType::Int64, x.shape(), (0..count as i64).collect());
            let mode = if constant { PadMode::Constant(count as f64) } else { mode };
            let positions = run(&Cpu, Array::Cpu(positions), mode)?;
            Value::Tensor(positions).found_in(&Tensor::joined(&[x, fill])?)
        }
    }
}
