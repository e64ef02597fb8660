//! Microsoft's QuantizeLinear: ONNX's, which had fewer dtypes when it was made.

use super::{Operator, qlinear, quantize_linear};

/// QuantizeLinear.
pub const OPERATOR: Operator = Operator { domain: qlinear::DOMAIN, attributes: &["axis"], ..quantize_linear::OPERATOR };
