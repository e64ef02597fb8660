//! BitwiseXor: the bits that one of both has.

use super::{Operator, binary};

/// BitwiseXor.
pub const OPERATOR: Operator = binary::on_bits("BitwiseXor", |_| binary::bits(|a, b| a ^ b, false));
