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

#[cfg(test)]
mod tests {
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, f32s, i64s, numbers};

    fn reduced(op: &str, x: Tensor) -> Vec<f64> {
        numbers(&Single::new(op, 20).int("keepdims", 0).one(&[x]))
    }

    #[test]
    fn nothing_is_reduced_to_the_neutral_element() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for (op, expected) in [
            ("ReduceSum", 0.0),
            ("ReduceMean", nan),
            ("ReduceMax", -inf),
            ("ReduceMin", inf),
            ("ReduceProd", 1.0),
            ("ReduceSumSquare", 0.0),
            ("ReduceL1", 0.0),
            ("ReduceL2", 0.0),
            ("ReduceLogSum", -inf),
            ("ReduceLogSumExp", -inf),
        ] {
            for dtype in [DataType::Float16, DataType::BFloat16, DataType::Float32, DataType::Float64] {
                let x = Tensor::from_f64s(dtype, &[2, 0], vec![]).expect("no elements");
                let got = numbers(&Single::new(op, 20).one(&[x, i64s(&[1], &[-1])]));
                assert!(
                    got.len() == 2 && got.iter().all(|&g| g == expected || (g.is_nan() && expected.is_nan())),
                    "{op} {got:?}"
                );
            }
            // No lanes at all.
            let none = Single::new(op, 20).one(&[f32s(&[2, 0], vec![]), i64s(&[1], &[0])]);
            assert_eq!(none.shape(), [1, 0], "{op}");
        }
        let empty = |dtype| Tensor::from_bytes(dtype, vec![0], vec![]).expect("no elements");
        assert_eq!(
            (reduced("ReduceMax", empty(DataType::Int8)), reduced("ReduceMin", empty(DataType::Int8))),
            (vec![-128.0], vec![127.0])
        );
        assert_eq!(
            (reduced("ReduceMax", empty(DataType::Bool)), reduced("ReduceMin", empty(DataType::Bool))),
            (vec![0.0], vec![1.0])
        );
    }

    #[test]
    fn infinities_nan_and_scalars() {
        let inf = f32::INFINITY;
        let of = |op, values: &[f32]| reduced(op, f32s(&[values.len()], values.to_vec()))[0];
        assert_eq!(
            (of("ReduceLogSumExp", &[-inf, -inf]), of("ReduceLogSumExp", &[inf, 1.0])),
            (-f64::INFINITY, f64::INFINITY)
        );
        assert!((of("ReduceLogSumExp", &[1000.0, 1000.0]) - (1000.0 + 2f64.ln())).abs() < 1e-3);
        assert!(of("ReduceSum", &[inf, -inf]).is_nan() && of("ReduceLogSum", &[-1.0]).is_nan());
        assert_eq!((of("ReduceL2", &[3e30, 4e30]) / 5e30 * 100.0).round(), 100.0);
        for op in ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceL1", "ReduceLogSumExp"] {
            assert!(of(op, &[1.0, f32::NAN, inf]).is_nan(), "{op}");
        }
        assert_eq!(reduced("ReduceSumSquare", f32s(&[], vec![3.0])), [9.0]);
    }

    #[test]
    fn dtypes_and_axes_by_opset() {
        let bools = Tensor::from_bytes(DataType::Bool, vec![2, 2], vec![0, 1, 0, 0]).expect("four");
        assert_eq!(Single::new("ReduceMax", 20).one(&[bools.clone(), i64s(&[1], &[1])]).bytes(), Some(&[1, 0][..]));
        assert_eq!(Single::new("ReduceMin", 20).one(&[bools, i64s(&[1], &[-1])]).bytes(), Some(&[0, 0][..]));
        let x = Tensor::from_vec(vec![2], vec![u64::MAX, 1]).expect("two");
        assert_eq!(Single::new("ReduceMax", 18).one(std::slice::from_ref(&x)).as_slice::<u64>(), Some(&[u64::MAX][..]));
        assert_eq!(Single::new("ReduceSum", 18).one(&[x]).as_slice::<u64>(), Some(&[0][..]));
        let x = || f32s(&[1, 2], vec![1.0, -2.0]);
        for (op, since) in [("ReduceSum", 13), ("ReduceMax", 18), ("ReduceL1", 18)] {
            let old = Single::new(op, since - 1).ints("axes", &[1]).one(&[x()]);
            assert_eq!(old.shape(), [1, 1]);
            assert_eq!(numbers(&old), numbers(&Single::new(op, since).one(&[x(), i64s(&[1], &[1])])), "{op}");
            let untouched = Single::new(op, since).int("noop_with_empty_axes", 1).one(&[x()]);
            assert_eq!(untouched.shape(), [1, 2]);
        }
    }
}
