//! FusedGemm: Gemm and an activation.

use super::{Operator, activating, gemm};

/// FusedGemm.
pub const OPERATOR: Operator = Operator {
    name: "FusedGemm",
    domain: "com.microsoft",
    inputs: 2..=3,
    attributes: &[
        "activation",
        "activation_alpha",
        "activation_beta",
        "activation_gamma",
        "alpha",
        "beta",
        "transA",
        "transB",
    ],
    webgpu: true,
    build: |attributes| {
        let float = |name| attributes.float(name);
        let parameters = [float("activation_alpha")?, float("activation_beta")?, float("activation_gamma")?];
        let inner = (gemm::OPERATOR.build)(attributes)?;
        activating::followed(inner, attributes.string("activation")?, &parameters, None)
    },
    ..Operator::DEFAULT
};
