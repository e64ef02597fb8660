//! GridSample: the input read at the places that a grid gives, from -1 at one end of each
//! spatial dimension to 1 at the other.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::sample::{Grid, Padding, Reading, samples};

/// GridSample.
pub const OPERATOR: Operator = Operator {
    name: "GridSample",
    inputs: 2..=2,
    attributes: &["align_corners", "mode", "padding_mode"],
    build,
    ..Operator::DEFAULT
};

struct GridSample(Grid);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let modes =
        if attributes.opset < 20 { &["bilinear", "nearest", "bicubic"] } else { &["linear", "nearest", "cubic"] };
    Ok(Box::new(GridSample(Grid {
        reading: match attributes.choice("mode", modes)? {
            "nearest" => Reading::Nearest,
            "cubic" | "bicubic" => Reading::Cubic,
            _ => Reading::Linear,
        },
        padding: match attributes.choice("padding_mode", &["zeros", "border", "reflection"])? {
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            _ => Padding::Zeros,
        },
        align_corners: attributes.flag("align_corners", false)?,
    })))
}

impl Op for GridSample {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Float)?;
        let allowed = if self.0.reading == Reading::Nearest { Dtypes::All } else { Dtypes::Number };
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, allowed)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, grid) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!((3..=5).contains(&x.len()), ShapeMismatch, "expected [N, C, 1 to 3 spatial…], got {x:?}");
        let rank = x.len() - 2;
        ensure!(
            grid.len() == x.len() && grid[0] == x[0] && grid[rank + 1] == rank,
            ShapeMismatch,
            "the grid is {grid:?}, expected [{}, {rank} spatial…, {rank}] for input {x:?}",
            x[0]
        );
        ensure!(!x[2..].contains(&0), ShapeMismatch, "an input of {x:?} has nothing to read");
        one(inputs.dtype(0)?, [&x[..2], &grid[1..=rank]].concat())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (x, grid) = (inputs.take_host(0)?, inputs.take_host(1)?);
        let (images, channels, spatial) = (shape[0], shape[1], &x.shape()[2..]);
        let dtype = x.dtype();
        if self.0.reading == Reading::Nearest {
            // One element more, for what lies outside.
            let zero = match dtype {
                DataType::String => Tensor::from_strings(vec![1], vec![String::new()])?,
                _ => Tensor::from_f64s(dtype, &[1], vec![0.0])?,
            };
            let at = self.0.positions(images, channels, spatial, &grid.to_f32s()?);
            return output(Tensor::joined(&[x, zero])?.take(shape, &at)?);
        }
        let narrow = dtype.size() <= 2 || dtype == DataType::Float32;
        output(if narrow {
            let y = samples(&self.0, images, channels, spatial, &x.to_f32s()?, &grid.to_f32s()?);
            Tensor::from_f32s(dtype, shape, y)?
        } else {
            let y = samples(&self.0, images, channels, spatial, &x.to_f64s()?, &grid.to_f64s()?);
            Tensor::from_f64s(dtype, shape, y)?
        })
    }
}
