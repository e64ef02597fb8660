//! BitShift: `x << y` or `x >> y` of unsigned integers; 0 where all bits are shifted out.

use super::{Operator, binary};
use crate::error::bail;

/// BitShift.
pub const OPERATOR: Operator = Operator {
    attributes: &["direction"],
    ..binary::on_bits("BitShift", |attributes| match attributes.string("direction")? {
        Some("LEFT") => binary::bits(|a, b| if (0..64).contains(&b) { a << b } else { 0 }, true),
        Some("RIGHT") => binary::bits(|a, b| if (0..64).contains(&b) { (a as u64 >> b) as i64 } else { 0 }, true),
        other => bail!(InvalidModel, "attribute \"direction\": expected LEFT or RIGHT, got {other:?}"),
    })
};
