//! LpNormalization: `x / norm` along an axis; what is all zeros stays so.

use super::{Operator, normalization};

/// LpNormalization.
pub const OPERATOR: Operator =
    Operator { name: "LpNormalization", attributes: &["axis", "p"], build: normalization::lp, ..Operator::DEFAULT };
