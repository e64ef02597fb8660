//! CategoryMapper: strings to integers, or integers to strings, by a table; what is not in it becomes a default.

use super::ml::{Lookup, LookupOp, Repeated};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, bail};
use crate::graph::Tensor;

/// CategoryMapper.
pub const OPERATOR: Operator = Operator {
    name: "CategoryMapper",
    domain: ml::DOMAIN,
    attributes: &["cats_int64s", "cats_strings", "default_int64", "default_string"],
    build,
    ..Operator::DEFAULT
};

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    match (attributes.strings("cats_strings")?, attributes.ints("cats_int64s")?) {
        (Some(strings), Some(ints)) => both_ways(attributes, strings, ints.to_vec()),
        _ => bail!(InvalidModel, "attributes \"cats_strings\" and \"cats_int64s\" are needed"),
    }
}

/// From `strings[i]` to `ints[i]` and back, whichever the input is.
pub fn both_ways(attributes: &Attributes<'_>, strings: Vec<String>, ints: Vec<i64>) -> Result<Box<dyn Op>> {
    let strings = Tensor::from_strings(vec![strings.len()], strings)?;
    let ints = Tensor::from_vec(vec![ints.len()], ints)?;
    let text = attributes.string("default_string")?.unwrap_or("_Unused");
    let text = Tensor::from_strings(vec![1], vec![text.to_string()])?;
    let number = Tensor::from_vec(vec![1], vec![attributes.int("default_int64")?.unwrap_or(-1)])?;
    Ok(Box::new(LookupOp(vec![
        Lookup::new(&strings, &ints, &number, Repeated::Last)?,
        Lookup::new(&ints, &strings, &text, Repeated::Last)?,
    ])))
}
