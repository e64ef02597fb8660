//! Conv: convolution over one to three spatial dimensions.

use super::geometry::WindowAttributes;
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::multiply_adds::{MultiplyAdds, count_of, depth_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, Window};
use crate::error::{Result, ensure};

/// Conv.
pub const OPERATOR: Operator = Operator {
    name: "Conv",
    domain: "",
    inputs: 2..=3,
    outputs: 1..=1,
    attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
    parameters: &[],
    webgpu: true,
    build, ..Operator::DEFAULT
};

struct Conv {
    window: WindowAttributes,
    group: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Conv { window: WindowAttributes::read(attributes)?, group: attributes.count("group", 1)? }))
}

impl Conv {
    fn window(&self, inputs: &Inputs) -> Result<Window> {
        let (x, weight) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(x.len() >= 3, ShapeMismatch, "expected [N, C, spatial…], got {x:?}");
        ensure!(weight.len() == x.len(), ShapeMismatch, "the weight {weight:?} and the input {x:?} differ in rank");
        self.window.window(x, Some(&weight[2..]))
    }
}

impl Op for Conv {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        super::optional_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let window = self.window(inputs)?;
        let (x, weight) = (inputs.shape(0)?, inputs.shape(1)?);
        let group = self.group;
        ensure!(
            x[1] == weight[1] * group,
            ShapeMismatch,
            "the weight {weight:?} has {} channels per group, the input {x:?} has {} (group = {group})",
            weight[1],
            x[1]
        );
        ensure!(weight[0].is_multiple_of(group), ShapeMismatch, "{} output channels do not divide into {group} groups", weight[0]);
        if inputs.has(2) {
            let bias = inputs.shape(2)?;
            ensure!(bias == [weight[0]], ShapeMismatch, "the bias is {bias:?}, expected [{}]", weight[0]);
        }
        one(inputs.dtype(0)?, [&[x[0], weight[0]], &window.output[..]].concat())
    }

    fn multiply_adds(&self, inputs: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), depth_of(inputs.shape(1)?)]))
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let window = self.window(&inputs)?;
        output(device.conv(inputs.array(0)?, inputs.array(1)?, inputs.optional_array(2)?, &window, self.group)?)
    }
}
