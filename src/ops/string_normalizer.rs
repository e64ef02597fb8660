//! StringNormalizer: drops stop words and changes case.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// StringNormalizer.
pub const OPERATOR: Operator = Operator {
    name: "StringNormalizer",
    domain: "",
    inputs: 1..=1,
    outputs: 1..=1,
    attributes: &["case_change_action", "is_case_sensitive", "locale", "stopwords"],
    parameters: &[0],
    webgpu: false,
    build, ..Operator::DEFAULT
};

struct StringNormalizer {
    action: &'static str,
    case_sensitive: bool,
    stopwords: Vec<String>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let locale = attributes.string("locale")?.unwrap_or("en_US");
    ensure!(!["tr", "az", "lt"].iter().any(|l| locale.starts_with(l)), Unsupported, "locale \"{locale}\": its case rules differ from Unicode's");
    Ok(Box::new(StringNormalizer {
        action: attributes.choice("case_change_action", &["NONE", "LOWER", "UPPER"])?,
        case_sensitive: attributes.flag("is_case_sensitive", false)?,
        stopwords: attributes.strings("stopwords")?.unwrap_or_default(),
    }))
}

impl Op for StringNormalizer {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Only(DataType::String))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = inputs.shape(0)?;
        ensure!(matches!(shape, [_] | [1, _]), ShapeMismatch, "expected [C] or [1, C], got {shape:?}");
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let Value::Host(tensor) = inputs.take(0)? else { bail!(Internal, "a number passed as a string") };
        let stops = |word: &str| {
            if self.case_sensitive {
                self.stopwords.iter().any(|s| s == word)
            } else {
                self.stopwords.iter().any(|s| s.to_lowercase() == word.to_lowercase())
            }
        };
        let kept = tensor.strings().unwrap_or_default().iter().filter(|word| !stops(word));
        let mut words: Vec<String> = kept
            .map(|word| match self.action {
                "LOWER" => word.to_lowercase(),
                "UPPER" => word.to_uppercase(),
                _ => word.clone(),
            })
            .collect();
        if words.is_empty() {
            words.push(String::new());
        }
        let mut shape = tensor.shape().to_vec();
        *shape.last_mut().expect("infer asked for a dimension") = words.len();
        Ok(vec![Value::Host(Tensor::from_strings(shape, words)?)])
    }
}
