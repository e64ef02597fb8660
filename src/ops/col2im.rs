//! Col2Im: columns `[N, C · block…, L]` added up into images `[N, C, image…]`, the reverse of taking blocks out.

use super::indexing::offsets;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};
use crate::kernels::layout::row_major;

/// Col2Im.
pub const OPERATOR: Operator = Operator {
    name: "Col2Im",
    inputs: 3..=3,
    attributes: &["dilations", "pads", "strides"],
    parameters: &[1, 2],
    build,
    ..Operator::DEFAULT
};

struct Col2Im {
    dilations: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
    strides: Option<Vec<usize>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Col2Im {
        dilations: attributes.sizes("dilations", 1)?,
        pads: attributes.sizes("pads", 0)?,
        strides: attributes.sizes("strides", 1)?,
    }))
}

/// One spatial dimension.
struct Side {
    image: usize,
    block: usize,
    /// How many blocks lie along it.
    count: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Col2Im {
    fn sides(&self, inputs: &Inputs) -> Result<Vec<Side>> {
        let size = |name: &str, v: i64| {
            ensure!(v > 0, InvalidArgument, "{name} holds {v}, expected 1 or more");
            Ok(usize::try_from(v).unwrap_or(usize::MAX))
        };
        let (image, block) = (inputs.ints(1)?.unwrap_or_default(), inputs.ints(2)?.unwrap_or_default());
        let rank = image.len();
        let given = |own: &Option<Vec<usize>>, default: usize, length: usize| match own {
            None => Ok(vec![default; length]),
            Some(own) if own.len() == length => Ok(own.clone()),
            Some(own) => bail!(ShapeMismatch, "{own:?} for an image of {rank} dimensions"),
        };
        ensure!(rank > 0 && block.len() == rank, ShapeMismatch, "image_shape {image:?}, block_shape {block:?}");
        let (dilations, strides) = (given(&self.dilations, 1, rank)?, given(&self.strides, 1, rank)?);
        let pads = given(&self.pads, 0, 2 * rank)?;
        (0..rank)
            .map(|d| {
                let (image, block) = (size("image_shape", image[d])?, size("block_shape", block[d])?);
                let room = image as i128 + (pads[d] + pads[rank + d]) as i128;
                let free = room - (dilations[d] as i128 * (block as i128 - 1) + 1);
                ensure!(free >= 0, ShapeMismatch, "a block of {block} does not fit into dimension {d} of the image");
                let count = usize::try_from(free / strides[d] as i128 + 1).unwrap_or(usize::MAX);
                Ok(Side { image, block, count, stride: strides[d], dilation: dilations[d], pad: pads[d] })
            })
            .collect()
    }
}

impl Op for Col2Im {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for index in 1..3 {
            tensor_type(inputs, index, Dtypes::Only(DataType::Int64))?;
        }
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Any)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, sides) = (inputs.shape(0)?, self.sides(inputs)?);
        let block = element_count(&sides.iter().map(|s| s.block).collect::<Vec<_>>())?;
        let count = element_count(&sides.iter().map(|s| s.count).collect::<Vec<_>>())?;
        let &[n, columns, length] = x else { bail!(ShapeMismatch, "expected [N, C · block, L], got {x:?}") };
        ensure!(
            columns.is_multiple_of(block) && length == count,
            ShapeMismatch,
            "expected [N, a multiple of {block}, {count}], got {x:?}"
        );
        one(inputs.dtype(0)?, [&[n, columns / block], &sides.iter().map(|s| s.image).collect::<Vec<_>>()[..]].concat())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let sides = self.sides(&inputs)?;
        let x = inputs.take_host(0)?;
        let shape = shape_of(outputs, 0)?;
        let image: usize = shape[2..].iter().product();
        // Where each element of a column lies in the image; `image` where it is in the padding.
        let mut targets = vec![0];
        if !x.is_empty() {
            let (strides, rank) = (row_major(&shape[2..]), sides.len());
            let walk: Vec<usize> = sides.iter().map(|s| s.block).chain(sides.iter().map(|s| s.count)).collect();
            let along: Vec<isize> = row_major(&walk);
            targets = offsets(&walk, &along);
            for target in &mut targets {
                let index = |d: usize| *target / along[d] as usize % walk[d];
                let mut at = Some(0);
                for (d, side) in sides.iter().enumerate() {
                    let place = index(d) * side.dilation + index(rank + d) * side.stride;
                    let inside = place.checked_sub(side.pad).filter(|&p| p < side.image);
                    at = at.zip(inside).map(|(at, p)| at + p * strides[d] as usize);
                }
                *target = at.unwrap_or(image);
            }
        }
        output(if x.dtype().is_float() {
            Tensor::from_f64s(x.dtype(), shape, added(&x.to_f64s()?, &targets, shape, image, |a, b| a + b))?
        } else {
            Tensor::from_i64s(x.dtype(), shape, added(&x.to_i64s()?, &targets, shape, image, i64::wrapping_add))?
        })
    }
}

fn added<T: Copy + Default>(x: &[T], targets: &[usize], shape: &[usize], image: usize, add: fn(T, T) -> T) -> Vec<T> {
    let mut out = vec![T::default(); shape.iter().product()];
    for (out, columns) in out.chunks_exact_mut(image).zip(x.chunks_exact(targets.len())) {
        for (&target, &value) in targets.iter().zip(columns) {
            if let Some(sum) = out.get_mut(target) {
                *sum = add(*sum, value);
            }
        }
    }
    out
}
