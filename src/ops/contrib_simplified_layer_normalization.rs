//! SimplifiedLayerNormalization of Microsoft's domain.

use super::{Operator, simplified_layer_normalization};

/// SimplifiedLayerNormalization.
pub const OPERATOR: Operator = Operator { domain: "com.microsoft", ..simplified_layer_normalization::OPERATOR };
