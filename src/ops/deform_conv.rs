//! DeformConv: a convolution whose taps are moved by given offsets and read between elements,
//! each multiplied by a mask.

use num_traits::Float;

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::multiply_adds::{MultiplyAdds, count_of, depth_of};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::{Device, Window};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::transposed::{Deformed, Product, fast, plain};

/// DeformConv.
pub const OPERATOR: Operator = Operator {
    name: "DeformConv",
    inputs: 3..=5,
    attributes: &["dilations", "group", "kernel_shape", "offset_group", "pads", "strides"],
    build,
    ..Operator::DEFAULT
};

struct DeformConv {
    window: WindowAttributes,
    group: usize,
    offset_group: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(DeformConv {
        window: WindowAttributes::read(attributes)?,
        group: attributes.count("group", 1)?,
        offset_group: attributes.count("offset_group", 1)?,
    }))
}

impl DeformConv {
    fn window(&self, inputs: &Inputs) -> Result<Window> {
        let (x, weight) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(x.len() >= 3, ShapeMismatch, "expected [N, C, spatial…], got {x:?}");
        ensure!(weight.len() == x.len(), ShapeMismatch, "the weight {weight:?} and the input {x:?} differ in rank");
        self.window.window(x, Some(&weight[2..]))
    }
}

impl Op for DeformConv {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        tensor_type(inputs, 2, Dtypes::Only(dtype))?;
        optional_type(inputs, 3, Dtypes::Only(dtype))?;
        optional_type(inputs, 4, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let window = self.window(inputs)?;
        let (x, weight) = (inputs.shape(0)?, inputs.shape(1)?);
        let (group, offset_group) = (self.group, self.offset_group);
        ensure!(
            weight[1].checked_mul(group) == Some(x[1]) && weight[0].is_multiple_of(group),
            ShapeMismatch,
            "the weight {weight:?} does not fit the input {x:?} in {group} groups"
        );
        ensure!(
            x[1].is_multiple_of(offset_group),
            ShapeMismatch,
            "{} channels do not divide into {offset_group} groups of offsets",
            x[1]
        );
        let taps = weight[2..].iter().fold(offset_group, |all, &k| all.saturating_mul(k));
        let expected = [&[x[0], taps.saturating_mul(x.len() - 2)], &window.output[..]].concat();
        let offset = inputs.shape(2)?;
        ensure!(offset == expected, ShapeMismatch, "the offsets are {offset:?}, expected {expected:?}");
        if inputs.has(3) {
            let bias = inputs.shape(3)?;
            ensure!(bias == [weight[0]], ShapeMismatch, "the bias is {bias:?}, expected [{}]", weight[0]);
        }
        if inputs.has(4) {
            let (mask, expected) = (inputs.shape(4)?, [&[x[0], taps], &window.output[..]].concat());
            ensure!(mask == expected, ShapeMismatch, "the mask is {mask:?}, expected {expected:?}");
        }
        one(inputs.dtype(0)?, [&[x[0], weight[0]], &window.output[..]].concat())
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), depth_of(inputs.shape(1)?)]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        output(if inputs.dtype(0)? == DataType::Float64 {
            Tensor::from_vec(shape.to_vec(), self.all(&inputs, shape, |t| t.to_f64s(), plain)?)?
        } else {
            let y = self.all(&inputs, shape, |t| Ok(t.to_f32s()?.into_owned()), fast)?;
            Tensor::from_f32s(inputs.dtype(0)?, shape, y)?
        })
    }
}

impl DeformConv {
    fn all<T: Float>(
        &self,
        inputs: &Inputs,
        shape: &[usize],
        elements: fn(&Tensor) -> Result<Vec<T>>,
        product: Product<T>,
    ) -> Result<Vec<T>> {
        let given = |index: usize| inputs.host(index)?.as_ref().map(elements).transpose();
        let x = inputs.shape(0)?;
        let deformed = Deformed {
            sizes: [x[0], x[1], shape[1], self.group],
            offset_group: self.offset_group,
            offset: given(2)?.unwrap_or_default(),
            mask: given(4)?,
        };
        let (values, weight) = (given(0)?.unwrap_or_default(), given(1)?.unwrap_or_default());
        Ok(deformed.conv(&values, &weight, given(3)?.as_deref(), &x[2..], &self.window(inputs)?, product))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Random, Single, compare, f32s, numbers};

    fn node(op_type: &str, group: usize, strides: &[usize], dilations: &[usize], pads: &[usize]) -> Single<'static> {
        let op_type = if op_type == "Conv" { "Conv" } else { "DeformConv" };
        let node = Single::new(op_type, 22).int("group", group as i64);
        node.ints("strides", strides).ints("dilations", dilations).ints("pads", pads)
    }

    #[test]
    fn unmoved_taps_make_a_convolution_of_any_rank() {
        let mut random = Random::new(11);
        for round in 0..24 {
            let rank = round % 3 + 1;
            let (group, offset_group) = (random.within(1, 2), random.within(1, 2));
            let (depth, outputs) = (2 * random.within(1, 2), group * random.within(1, 2));
            let mut list = |low: usize, high: usize, count: usize| -> Vec<usize> {
                (0..count).map(|_| random.within(low, high)).collect()
            };
            let (spatial, kernel) = (list(4, 6, rank), list(1, 2, rank));
            let (strides, dilations, pads) = (list(1, 2, rank), list(1, 2, rank), list(0, 1, 2 * rank));
            let x = random.tensor(&[&[2, group * depth], &spatial[..]].concat());
            let weight = random.tensor(&[&[outputs, depth], &kernel[..]].concat());
            let bias = random.tensor(&[outputs]);
            let conv = node("Conv", group, &strides, &dilations, &pads);
            let expected = conv.one(&[x.clone(), weight.clone(), bias.clone()]);
            let taps = offset_group * kernel.iter().product::<usize>();
            let shaped = |rows: usize, value: f32| {
                let shape = [&[2, rows], &expected.shape()[2..]].concat();
                f32s(&shape, vec![value; shape.iter().product()])
            };
            let deform =
                node("DeformConv", group, &strides, &dilations, &pads).int("offset_group", offset_group as i64);
            let inputs = [x, weight, shaped(taps * rank, 0.0), bias, shaped(taps, 1.0)];
            compare(&deform.one(&inputs), &expected, 1e-5, 1e-5).expect("as a convolution");
            let wide = inputs.map(|t| Tensor::from_vec(t.shape().to_vec(), numbers(&t)).expect("float64"));
            let got = Tensor::from_f64s(DataType::Float32, expected.shape(), numbers(&deform.one(&wide)));
            compare(&got.expect("narrowed"), &expected, 1e-5, 1e-5).expect("float64");
        }
    }

    #[test]
    fn moved_taps_read_between_elements_and_zeros_outside() {
        let x = f32s(&[1, 1, 4], vec![1.0, 2.0, 4.0, 8.0]);
        let weight = f32s(&[1, 1, 1], vec![1.0]);
        let offset = f32s(&[1, 1, 4], vec![0.5, -1.5, f32::INFINITY, 0.25]);
        let mask = f32s(&[1, 1, 4], vec![2.0, 1.0, 1.0, 1.0]);
        let got = Single::new("DeformConv", 19).one(&[x, weight, offset, f32s(&[1], vec![0.0]), mask]);
        assert_eq!(numbers(&got), [3.0, 0.5, 0.0, 6.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let (x, weight) = (f32s(&[1, 2, 3], vec![0.0; 6]), f32s(&[1, 2, 2], vec![0.0; 4]));
        let offset = f32s(&[1, 2, 2], vec![0.0; 4]);
        let node = || Single::new("DeformConv", 19);
        node().one(&[x.clone(), weight.clone(), offset.clone()]);
        node().int("group", 2).error(&[x.clone(), weight.clone(), offset.clone()]);
        node().int("offset_group", 2).error(&[x.clone(), weight.clone(), offset.clone()]);
        node().error(&[x.clone(), weight.clone(), f32s(&[1, 2, 3], vec![0.0; 6])]);
        node().error(&[x.clone(), weight.clone(), offset.clone(), f32s(&[2], vec![0.0; 2])]);
        let bias = f32s(&[1], vec![0.0]);
        node().error(&[x, weight, offset, bias, f32s(&[1, 1, 2], vec![0.0; 2])]);
    }
}
