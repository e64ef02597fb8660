//! BitwiseOr: the bits that either has.

use super::{Operator, binary};

/// BitwiseOr.
pub const OPERATOR: Operator = binary::on_bits("BitwiseOr", |_| binary::bits(|a, b| a | b, false));
