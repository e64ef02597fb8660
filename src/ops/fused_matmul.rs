//! FusedMatMul: `alpha * A' B'`, where `'` transposes if asked.

use super::activating::times;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of};
use super::real::same_floats;
use super::{Attributes, Op, Operator, broadcast};
use crate::backend::{Array, Device};
use crate::error::{Result, ensure};

/// FusedMatMul.
pub const OPERATOR: Operator = Operator {
    name: "FusedMatMul",
    domain: "com.microsoft",
    inputs: 2..=2,
    attributes: &["alpha", "transA", "transB", "transBatchA", "transBatchB"],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct FusedMatMul {
    alpha: f32,
    /// Of each factor, whether its last two dimensions change places, and whether its rows come first of all.
    turned: [[bool; 2]; 2],
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(FusedMatMul {
        alpha: attributes.float("alpha")?.unwrap_or(1.0),
        turned: [
            [attributes.flag("transA", false)?, attributes.flag("transBatchA", false)?],
            [attributes.flag("transB", false)?, attributes.flag("transBatchB", false)?],
        ],
    }))
}

/// The order that makes matrices of a tensor.
fn order(rank: usize, [transposed, rows_first]: [bool; 2]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    if rows_first {
        order[..rank - 1].rotate_left(1);
    }
    if transposed {
        order.swap(rank - 2, rank - 1);
    }
    order
}

impl Op for FusedMatMul {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(same_floats(inputs, &[1])?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (a, b) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(a.len() >= 2 && b.len() >= 2, ShapeMismatch, "expected two matrices, got {a:?} and {b:?}");
        let of = |shape: &[usize], turned| order(shape.len(), turned).iter().map(|&d| shape[d]).collect::<Vec<_>>();
        let (left, right) = (of(a, self.turned[0]), of(b, self.turned[1]));
        let (l, r) = (left.len(), right.len());
        ensure!(
            left[l - 1] == right[r - 2],
            ShapeMismatch,
            "{a:?} by {b:?}: {} columns against {} rows",
            left[l - 1],
            right[r - 2]
        );
        let mut shape = broadcast(&left[..l - 2], &right[..r - 2])?;
        shape.extend([left[l - 2], right[r - 1]]);
        one(inputs.dtype(0)?, shape)
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        let a = inputs.shape(0)?;
        let depth = order(a.len(), self.turned[0])[a.len() - 1];
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), a[depth]]))
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let mut factor = |index: usize| -> Result<Array> {
            let x = inputs.array(index)?;
            let order = order(x.shape().len(), self.turned[index]);
            if order.is_sorted() { Ok(x) } else { device.transpose(x, &order) }
        };
        let (a, b) = (factor(0)?, factor(1)?);
        output(times(device, device.matmul(a, b)?, self.alpha)?)
    }
}
