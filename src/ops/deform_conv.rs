//! DeformConv: a convolution whose taps are moved by given offsets and read between elements,
//! each multiplied by a mask.

use num_traits::Float;

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
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
