//! IsInf: whether each element is infinite, of the signs that are asked for.

use super::{Operator, unary};

/// IsInf.
pub const OPERATOR: Operator = Operator {
    attributes: &["detect_negative", "detect_positive"],
    ..unary::on_cpu("IsInf", |attributes| {
        match (attributes.flag("detect_negative", true)?, attributes.flag("detect_positive", true)?) {
            (true, true) => unary::check(f64::is_infinite),
            (true, false) => unary::check(|x| x == f64::NEG_INFINITY),
            (false, true) => unary::check(|x| x == f64::INFINITY),
            (false, false) => unary::check(|_| false),
        }
    })
};
