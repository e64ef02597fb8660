//! Scatter: ScatterElements under its old name.

use super::{Operator, scattering};

/// Scatter.
pub const OPERATOR: Operator = scattering::operator("Scatter", &["axis"], |a| scattering::build(a, true));
