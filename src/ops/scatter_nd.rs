//! ScatterND: `data` with updates in the slices that index tuples, the last dimension of `indices`, point to, combined
//! with what is there as `reduction` says.

use super::{Operator, scattering};

/// ScatterND.
pub const OPERATOR: Operator = scattering::operator("ScatterND", &["reduction"], |a| scattering::build(a, false));
