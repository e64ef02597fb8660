//! GatherND of Microsoft's domain: as ONNX's, without batch dimensions.

use super::{Operator, gather_nd};

/// GatherND.
pub const OPERATOR: Operator = Operator { domain: "com.microsoft", attributes: &[], ..gather_nd::OPERATOR };
