//! Pad: adds elements around the input; negative pads cut elements off.

use super::attributes::IntsParameter;
use super::indexing::zero;
use super::inputs::{Context, Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, optional_type, tensor_type};
use crate::backend::{Array, Cpu, Device, PadMode, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// Pad.
pub const OPERATOR: Operator = Operator {
    name: "Pad",
    inputs: 1..=4,
    attributes: &["mode", "paddings", "pads", "value"],
    parameters: &[1, 2, 3],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct Pad {
    mode: PadMode,
    pads: IntsParameter,
    value: f32,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let mode = attributes.choice("mode", &["constant", "edge", "reflect", "wrap"])?;
    let since = |opset: i64, what: &str, used: bool| {
        ensure!(
            !used || attributes.opset >= opset,
            InvalidModel,
            "{what} came with opset {opset}, the model uses {}",
            attributes.opset
        );
        Ok(())
    };
    since(19, "mode \"wrap\"", mode == "wrap")?;
    since(11, "input constant_value", attributes.has_input(2))?;
    since(18, "input axes", attributes.has_input(3))?;
    let value = attributes.float("value")?;
    ensure!(value.is_none() || attributes.opset < 11, InvalidModel, "attribute \"value\" is input 2 from opset 11 on");
    Ok(Box::new(Pad {
        mode: match mode {
            "edge" => PadMode::Edge,
            "reflect" => PadMode::Reflect,
            "wrap" => PadMode::Wrap,
            _ => PadMode::Constant(0.0),
        },
        pads: attributes.ints_until(11, if attributes.opset < 2 { "paddings" } else { "pads" }, 1)?,
        value: value.unwrap_or(0.0),
    }))
}

impl Pad {
    /// Elements added (or, negative, cut off) before and after each dimension.
    fn amounts(&self, inputs: &Inputs) -> Result<Vec<(i64, i64)>> {
        let rank = inputs.shape(0)?.len();
        let Some(pads) = self.pads.get(inputs)? else { bail!(InvalidModel, "no pads are given") };
        let axes = match inputs.ints(3)? {
            Some(axes) => axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).collect(),
        };
        let count = axes.len();
        ensure!(pads.len() == 2 * count, ShapeMismatch, "{} pads, expected {} (two per axis)", pads.len(), 2 * count);
        let mut amounts = vec![(0, 0); rank];
        for (i, &axis) in axes.iter().enumerate() {
            ensure!(!axes[..i].contains(&axis), InvalidArgument, "axes {axes:?} name a dimension twice");
            amounts[axis] = (pads[i], pads[i + count]);
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
        let x = inputs.take(0)?;
        output(padded(device, x, &amounts, self.mode, fill, inputs.context())?)
    }
}

/// `x` with elements added (or, negative, cut off) before and after each dimension; `fill` is the
/// one element of constant padding.
pub fn padded(
    device: &dyn Device,
    x: Value,
    amounts: &[(i64, i64)],
    mode: PadMode,
    fill: Tensor,
    context: &Context,
) -> Result<Value> {
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
            Value::Tensor(positions).found_in(&Tensor::joined(&[x, fill])?, context)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ErrorKind;
    use crate::graph::{Attribute, Tensor};
    use crate::support::{Random, Single, compare, f32s, i64s, indices, numbers, offset};

    /// Where position `i` of a padded dimension of `size` comes from; none is the constant.
    fn source(mode: &str, i: i64, size: i64) -> Option<usize> {
        let at = match mode {
            "edge" => i.clamp(0, size - 1),
            "wrap" => i.rem_euclid(size),
            "reflect" => {
                let mut at = i;
                while size > 1 && !(0..size).contains(&at) {
                    at = if at < 0 { -at } else { 2 * (size - 1) - at };
                }
                if size == 1 { 0 } else { at }
            }
            _ => i,
        };
        (0..size).contains(&at).then_some(at as usize)
    }

    #[test]
    fn every_mode_adds_and_cuts() {
        let random = &mut Random::new(1);
        for mode in ["constant", "edge", "reflect", "wrap"] {
            for rank in 0..4 {
                let shape: Vec<usize> = (0..rank).map(|_| random.within(3, 5)).collect();
                let pads: Vec<i64> = (0..2 * rank).map(|_| random.within(0, 8) as i64 - 1).collect();
                let x = random.tensor(&shape);
                let wanted: Vec<usize> =
                    (0..rank).map(|d| (shape[d] as i64 + pads[d] + pads[rank + d]) as usize).collect();
                let expected = indices(&wanted).into_iter().map(|i| {
                    let from = (0..rank).map(|d| {
                        let cut = (-pads[d]).max(0);
                        let kept = shape[d] as i64 - cut - (-pads[rank + d]).max(0);
                        let at = i[d] as i64 - pads[d].max(0);
                        source(mode, at, kept).map(|p| p + cut as usize)
                    });
                    from.collect::<Option<Vec<_>>>().map_or(9.0, |from| numbers(&x)[offset(&shape, &from)] as f32)
                });
                let expected = f32s(&wanted, expected.collect());
                let operator = Single::new("Pad", 21).string("mode", mode);
                let out = operator.one(&[x.clone(), i64s(&[2 * rank], &pads), f32s(&[], vec![9.0])]);
                compare(&out, &expected, 0.0, 0.0).unwrap_or_else(|e| panic!("{mode}: {e}"));
                // Integers go another way.
                let whole =
                    |t: &Tensor| i64s(t.shape(), &numbers(t).iter().map(|v| (v * 1e6) as i64).collect::<Vec<_>>());
                let out = operator.one(&[whole(&x), i64s(&[2 * rank], &pads), i64s(&[1], &[9_000_000])]);
                compare(&out, &whole(&expected), 0.0, 0.0).unwrap_or_else(|e| panic!("{mode}: {e}"));
            }
        }
    }

    #[test]
    fn constants_are_exact() {
        let large = i64::MAX - 1;
        let out = Single::new("Pad", 13).one(&[i64s(&[1], &[7]), i64s(&[2], &[1, 0]), i64s(&[], &[large])]);
        assert_eq!(out.as_slice::<i64>(), Some(&[large, 7][..]));
        let wide = |v: Vec<u64>| Tensor::from_vec(vec![v.len()], v).expect("as many");
        let out = Single::new("Pad", 13).one(&[wide(vec![7]), i64s(&[2], &[0, 1]), wide(vec![u64::MAX])]);
        assert_eq!(out.as_slice::<u64>(), Some(&[7, u64::MAX][..]));
        let old = Single::new("Pad", 2).with("pads", Attribute::Ints(vec![1, 0])).float("value", 0.5);
        compare(&old.one(&[f32s(&[1], vec![2.0])]), &f32s(&[2], vec![0.5, 2.0]), 0.0, 0.0)
            .unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn what_each_opset_lacks_and_what_does_not_fit_is_refused() {
        let x = || f32s(&[2, 1], vec![0.0; 2]);
        let (pads, value) = (i64s(&[4], &[0; 4]), f32s(&[], vec![0.0]));
        assert_eq!(
            Single::new("Pad", 18).string("mode", "wrap").error(&[x(), pads.clone()]).kind(),
            ErrorKind::InvalidModel
        );
        let axes = Single::new("Pad", 13).error(&[x(), pads.clone(), value, i64s(&[2], &[0, 1])]);
        assert_eq!(axes.kind(), ErrorKind::InvalidModel);
        let attribute = Single::new("Pad", 11).with("pads", Attribute::Ints(vec![0; 4])).error(&[x()]);
        assert_eq!(attribute.kind(), ErrorKind::InvalidModel);
        let pad = |mode, pads: &[i64]| {
            Single::new("Pad", 21).string("mode", mode).error(&[x(), i64s(&[pads.len()], pads)]).kind()
        };
        assert_eq!(pad("constant", &[0; 3]), ErrorKind::ShapeMismatch);
        assert_eq!(pad("constant", &[-1, 0, -2, 0]), ErrorKind::ShapeMismatch);
        assert_eq!(pad("constant", &[i64::MIN, 0, i64::MAX, 0]), ErrorKind::ShapeMismatch);
        assert_eq!(pad("edge", &[0, -1, 0, 1]), ErrorKind::ShapeMismatch);
        assert_eq!(pad("edge", &[1 << 50, 0, 0, 0]), ErrorKind::LimitExceeded);
        let two = Single::new("Pad", 21).error(&[x(), pads, f32s(&[2], vec![0.0; 2])]);
        assert_eq!(two.kind(), ErrorKind::ShapeMismatch);
    }
}
