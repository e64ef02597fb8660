//! ExpandDims of Microsoft's domain: adds a dimension of size 1 at an axis.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::MAX_RANK;

/// ExpandDims.
pub const OPERATOR: Operator = Operator {
    name: "ExpandDims",
    domain: "com.microsoft",
    inputs: 2..=2,
    parameters: &[1],
    webgpu: true,
    moves: true,
    build,
    ..Operator::DEFAULT
};

struct ExpandDims;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(ExpandDims))
}

impl Op for ExpandDims {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Index)?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let mut shape = inputs.shape(0)?.to_vec();
        let Some(axis) = inputs.int(1)? else { bail!(InvalidModel, "no axis is given") };
        ensure!(shape.len() < MAX_RANK, LimitExceeded, "{} dimensions are as many as are possible", shape.len());
        shape.insert(axis_of(axis, shape.len() + 1)?, 1);
        one(inputs.dtype(0)?, shape)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        output(device.reshape(inputs.array(0)?, shape_of(outputs, 0)?)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::Tensor;
    use crate::support::{Single, f32s};

    #[test]
    fn axes() {
        let axis = |axis: i32| [f32s(&[2, 3], vec![0.0; 6]), Tensor::from_vec(vec![], vec![axis]).unwrap()];
        let op = Single::new("com.microsoft.ExpandDims", 1);
        for (at, shape) in [(0, [1, 2, 3]), (2, [2, 3, 1]), (-1, [2, 3, 1]), (-3, [1, 2, 3])] {
            assert_eq!(op.one(&axis(at)).shape(), shape);
        }
        for at in [3, -4, i32::MIN] {
            assert_eq!(op.error(&axis(at)).kind(), ErrorKind::ShapeMismatch);
        }
    }
}
