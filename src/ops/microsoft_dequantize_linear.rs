//! Microsoft's DequantizeLinear: ONNX's, which had fewer dtypes when it was made.

use super::{Operator, dequantize_linear, qlinear};

/// DequantizeLinear.
pub const OPERATOR: Operator =
    Operator { domain: qlinear::DOMAIN, attributes: &["axis"], ..dequantize_linear::OPERATOR };
