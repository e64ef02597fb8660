//! FusedConv: Conv, a sum and an activation.

use super::{Operator, activating, conv};

/// FusedConv.
pub const OPERATOR: Operator = Operator {
    name: "FusedConv",
    domain: "com.microsoft",
    inputs: 2..=4,
    attributes: &[
        "activation",
        "activation_params",
        "auto_pad",
        "dilations",
        "group",
        "kernel_shape",
        "pads",
        "strides",
    ],
    webgpu: true,
    build: |attributes| {
        let given = attributes.floats("activation_params")?.unwrap_or_default();
        let parameters = [0, 1, 2].map(|i| given.get(i).copied());
        let inner = (conv::OPERATOR.build)(attributes)?;
        activating::followed(inner, attributes.string("activation")?, &parameters, Some(3))
    },
    ..Operator::DEFAULT
};
