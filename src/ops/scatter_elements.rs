//! ScatterElements: `data` with `y[index[i, j, …], j, …] = update[i, j, …]` for axis 0, combined with what is there as
//! `reduction` says.

use super::{Operator, scattering};

/// ScatterElements.
pub const OPERATOR: Operator =
    scattering::operator("ScatterElements", &["axis", "reduction"], |a| scattering::build(a, true));
