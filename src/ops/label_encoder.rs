//! LabelEncoder: each element's value in a table; what is not in it becomes a default.
//!
//! In version 1 the table is a list of strings, to and from their positions. NaN finds NaN from version 4 on.

use super::category_mapper::both_ways;
use super::ml::{Lookup, LookupOp, Repeated};
use super::{Attributes, Op, Operator, ml};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// LabelEncoder.
pub const OPERATOR: Operator = Operator {
    name: "LabelEncoder",
    domain: ml::DOMAIN,
    attributes: &[
        "classes_strings",
        "default_float",
        "default_int64",
        "default_string",
        "default_tensor",
        "keys_floats",
        "keys_int64s",
        "keys_strings",
        "keys_tensor",
        "values_floats",
        "values_int64s",
        "values_strings",
        "values_tensor",
    ],
    build,
    ..Operator::DEFAULT
};

/// The one list that is there, of `keys_*` or `values_*`.
fn list(attributes: &Attributes<'_>, prefix: &str) -> Result<Tensor> {
    let name = |suffix: &str| format!("{prefix}_{suffix}");
    let mut found = Vec::new();
    if let Some(strings) = attributes.strings(&name("strings"))? {
        found.push(Tensor::from_strings(vec![strings.len()], strings)?);
    }
    if let Some(ints) = attributes.ints(&name("int64s"))? {
        found.push(Tensor::from_vec(vec![ints.len()], ints.to_vec())?);
    }
    if let Some(floats) = attributes.floats(&name("floats"))? {
        found.push(Tensor::from_vec(vec![floats.len()], floats.to_vec())?);
    }
    if let Some(tensor) = attributes.tensor(&name("tensor"))? {
        found.push(tensor.clone());
    }
    found.retain(|list| !list.is_empty());
    match found.pop() {
        Some(list) if found.is_empty() => Ok(list),
        _ => bail!(InvalidModel, "expected exactly one list of {prefix}"),
    }
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    if let Some(classes) = attributes.strings("classes_strings")? {
        let positions = (0..classes.len() as i64).collect();
        return both_ways(attributes, classes, positions);
    }
    let (mut keys, mut values) = (list(attributes, "keys")?, list(attributes, "values")?);
    for dtype in [keys.dtype(), values.dtype()] {
        ensure!(
            matches!(
                dtype,
                DataType::String
                    | DataType::Int64
                    | DataType::Int32
                    | DataType::Int16
                    | DataType::Float32
                    | DataType::Float64
            ),
            Unsupported,
            "keys or values of {dtype}"
        );
    }
    let default = match attributes.tensor("default_tensor")? {
        Some(tensor) => tensor.clone(),
        None => match values.dtype() {
            DataType::String => {
                let text = attributes.string("default_string")?.unwrap_or("_Unused");
                Tensor::from_strings(vec![1], vec![text.to_string()])?
            }
            dtype if dtype.is_float() => {
                Tensor::from_f64s(dtype, &[1], vec![f64::from(attributes.float("default_float")?.unwrap_or(-0.0))])?
            }
            dtype => Tensor::from_i64s(dtype, &[1], vec![attributes.int("default_int64")?.unwrap_or(-1)])?,
        },
    };
    if attributes.opset < 4 && keys.dtype().is_float() && keys.len() == values.len() {
        let numbers = keys.to_f64s()?;
        let kept: Vec<usize> = (0..numbers.len()).filter(|&i| !numbers[i].is_nan()).collect();
        (keys, values) = (keys.take(&[kept.len()], &kept)?, values.take(&[kept.len()], &kept)?);
    }
    Ok(Box::new(LookupOp(vec![Lookup::new(&keys, &values, &default, Repeated::Refused)?])))
}
