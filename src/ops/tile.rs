//! Tile: the input, repeated along every dimension.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::DataType;

/// Tile.
pub const OPERATOR: Operator =
    Operator { name: "Tile", inputs: 2..=2, parameters: &[1], webgpu: true, moves: true, build, ..Operator::DEFAULT };

struct Tile;

fn build(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Tile))
}

impl Op for Tile {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::All)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, repeats) = (inputs.shape(0)?, inputs.ints(1)?.unwrap_or_default());
        ensure!(repeats.len() == x.len(), ShapeMismatch, "{} repeats for {x:?}", repeats.len());
        ensure!(repeats.iter().all(|&r| r >= 0), InvalidArgument, "repeats {repeats:?} hold a negative number");
        let sizes = x.iter().zip(&repeats).map(|(&d, &r)| d.saturating_mul(usize::try_from(r).unwrap_or(usize::MAX)));
        one(inputs.dtype(0)?, sizes.collect::<Vec<_>>())
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let mut x = inputs.array(0)?;
        let shape = shape_of(outputs, 0)?;
        if shape.contains(&0) {
            let (starts, steps) = (vec![0; shape.len()], vec![1; shape.len()]);
            return output(device.slice(x, &starts, &steps, shape)?);
        }
        // Only what is repeated gets a dimension more: devices may have few.
        let (mut apart, mut wide) = (Vec::new(), Vec::new());
        for (&size, &wanted) in x.shape().iter().zip(shape) {
            if size != wanted {
                apart.push(1);
                wide.push(wanted / size);
            }
            apart.push(size);
            wide.push(size);
        }
        x = device.reshape(x, &apart)?;
        x = device.expand(x, &wide)?;
        output(device.reshape(x, shape)?)
    }
}
