//! MaxUnpool: puts elements where MaxPool found them, 0 everywhere else;
//! `out = stride * (in - 1) + kernel - pads`.

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// MaxUnpool.
pub const OPERATOR: Operator = Operator {
    name: "MaxUnpool",
    inputs: 2..=3,
    attributes: &["kernel_shape", "pads", "strides"],
    parameters: &[2],
    build,
    ..Operator::DEFAULT
};

struct MaxUnpool(WindowAttributes);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MaxUnpool(WindowAttributes::read(attributes)?)))
}

impl MaxUnpool {
    /// The shape that the indices count in, which the output's may exceed.
    fn indexed(&self, x: &[usize]) -> Result<Vec<usize>> {
        let window = self.0.placed(x, None)?;
        let mut shape = x[..2].to_vec();
        for (d, &size) in x[2..].iter().enumerate() {
            let whole = (size as i64 - 1) * window.strides[d] as i64 + window.kernel[d] as i64;
            let left = whole - window.pads_begin[d] as i64 - window.pads_end[d] as i64;
            ensure!(left >= 0, ShapeMismatch, "spatial dimension {d} of {x:?} would unpool to {left} elements");
            shape.push(left as usize);
        }
        Ok(shape)
    }
}

impl Op for MaxUnpool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        optional_type(inputs, 2, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Number)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, indices) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(x == indices, ShapeMismatch, "the indices are {indices:?}, the input is {x:?}");
        let indexed = self.indexed(x)?;
        crate::graph::element_count(&indexed)?;
        let Some(given) = inputs.ints(2)? else { return one(inputs.dtype(0)?, indexed) };
        let fits = given.len() == indexed.len() && given.iter().zip(&indexed).all(|(&g, &i)| g >= i as i64);
        ensure!(fits, ShapeMismatch, "output_shape is {given:?}, expected at least {indexed:?}");
        one(inputs.dtype(0)?, given.iter().map(|&g| g as usize).collect::<Vec<_>>())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (x, indices) = (inputs.take_host(0)?, inputs.take_host(1)?.to_i64s()?);
        let indexed = self.indexed(x.shape())?;
        let end = indexed.iter().product::<usize>();
        // The position after the last is a zero, joined to the elements.
        let mut from = vec![x.len(); shape.iter().product()];
        for (source, &index) in indices.iter().enumerate() {
            let Some(mut at) = usize::try_from(index).ok().filter(|&i| i < end) else {
                bail!(InvalidArgument, "index {index} is outside of {end} elements of {indexed:?}")
            };
            let (mut position, mut stride) = (0, 1);
            for (&size, &whole) in indexed.iter().zip(shape).rev() {
                (position, at, stride) = (position + at % size * stride, at / size, stride * whole);
            }
            from[position] = source;
        }
        let zero = Tensor::from_f64s(x.dtype(), &[1], vec![0.0])?;
        output(Tensor::joined(&[x, zero])?.take(shape, &from)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::support::{Random, Single, f32s, i64s, numbers};

    #[test]
    fn what_max_pool_took_comes_back_where_it_was() {
        let x = Random::new(2).tensor(&[2, 3, 4, 6]);
        let window = |node: Single<'static>| node.ints("kernel_shape", &[2, 3]).ints("strides", &[2, 3]);
        let pooled = window(Single::new("MaxPool", 12)).outputs(2).run(std::slice::from_ref(&x)).expect("pooled");
        let got = window(Single::new("MaxUnpool", 11)).one(&pooled);
        assert_eq!(got.shape(), x.shape());
        let (kept, from) = (numbers(&got), numbers(&x));
        assert!(kept.iter().zip(&from).all(|(k, x)| *k == 0.0 || k == x));
        assert_eq!(kept.iter().filter(|v| **v != 0.0).count(), pooled[0].len());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let node = || Single::new("MaxUnpool", 11).ints("kernel_shape", &[2]);
        let x = f32s(&[1, 1, 2], vec![5.0, 6.0]);
        assert_eq!(numbers(&node().one(&[x.clone(), i64s(&[1, 1, 2], &[2, 0])])), [6.0, 0.0, 5.0]);
        for index in [-1, 3, i64::MIN, i64::MAX] {
            node().error(&[x.clone(), i64s(&[1, 1, 2], &[0, index])]);
        }
        node().error(&[x.clone(), i64s(&[1, 2, 1], &[0, 1])]);
        let indices = i64s(&[1, 1, 2], &[0, 1]);
        for shape in [&[1, 1][..], &[1, 1, 2], &[1, 1, -1], &[1, 1, i64::MAX]] {
            node().error(&[x.clone(), indices.clone(), i64s(&[shape.len()], shape)]);
        }
        node().ints("pads", &[2, 2]).error(&[x.clone(), indices.clone()]);
        Single::new("MaxUnpool", 11).error(&[x, indices]);
    }
}
