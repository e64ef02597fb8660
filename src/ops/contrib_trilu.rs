//! Trilu of Microsoft's domain: as ONNX's.

use super::{Operator, trilu};

/// Trilu.
pub const OPERATOR: Operator = Operator { domain: "com.microsoft", ..trilu::OPERATOR };
