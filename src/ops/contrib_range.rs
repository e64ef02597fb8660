//! Range of Microsoft's domain: as ONNX's.

use super::{Operator, range};

/// Range.
pub const OPERATOR: Operator = Operator { domain: "com.microsoft", ..range::OPERATOR };
