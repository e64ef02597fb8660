//! BitwiseAnd: the bits that both have.

use super::{Operator, binary};

/// BitwiseAnd.
pub const OPERATOR: Operator = binary::on_bits("BitwiseAnd", |_| binary::bits(|a, b| a & b, false));
