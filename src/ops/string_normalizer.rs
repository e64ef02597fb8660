//! StringNormalizer: drops stop words and changes case.

use std::collections::HashSet;

use super::inputs::{Info, Inputs, Type, Value, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// StringNormalizer.
pub const OPERATOR: Operator = Operator {
    name: "StringNormalizer",
    attributes: &["case_change_action", "is_case_sensitive", "locale", "stopwords"],
    build,
    ..Operator::DEFAULT
};

struct StringNormalizer {
    action: &'static str,
    case_sensitive: bool,
    /// In lower case unless case matters.
    stopwords: HashSet<String>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let locale = attributes.string("locale")?.unwrap_or("en_US");
    ensure!(
        !["tr", "az", "lt"].iter().any(|l| locale.starts_with(l)),
        Unsupported,
        "locale \"{locale}\": its case rules differ from Unicode's"
    );
    let case_sensitive = attributes.flag("is_case_sensitive", false)?;
    let stopwords = attributes.strings("stopwords")?.unwrap_or_default();
    Ok(Box::new(StringNormalizer {
        action: attributes.choice("case_change_action", &["NONE", "LOWER", "UPPER"])?,
        case_sensitive,
        stopwords: stopwords.into_iter().map(|s| if case_sensitive { s } else { s.to_lowercase() }).collect(),
    }))
}

impl StringNormalizer {
    fn stops(&self, word: &str) -> bool {
        if self.case_sensitive { self.stopwords.contains(word) } else { self.stopwords.contains(&word.to_lowercase()) }
    }
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
        let tensor = inputs.take_host(0)?;
        let kept = tensor.strings().unwrap_or_default().iter().filter(|word| !self.stops(word));
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
        if let Some(last) = shape.last_mut() {
            *last = words.len();
        }
        output(Tensor::from_strings(shape, words)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::Attribute;
    use crate::support::{Single, strings};

    fn op(stopwords: &[&str]) -> Single<'static> {
        let stopwords = stopwords.iter().map(|s| s.as_bytes().to_vec()).collect();
        Single::new("StringNormalizer", 10).with("stopwords", Attribute::Strings(stopwords))
    }

    #[test]
    fn stop_words() {
        let x = strings(&[1, 3], &["Tag", "NACHT", "Öl"]);
        assert_eq!(op(&["nacht"]).one(std::slice::from_ref(&x)).strings().unwrap(), ["Tag", "Öl"]);
        let upper = op(&["nacht", "Tag"]).int("is_case_sensitive", 1).string("case_change_action", "UPPER");
        assert_eq!(upper.one(std::slice::from_ref(&x)).strings().unwrap(), ["NACHT", "ÖL"]);
        let none = op(&["TAG", "nacht", "öL"]).one(&[x]);
        assert_eq!((none.shape(), none.strings().unwrap()), (&[1, 1][..], &[String::new()][..]));
    }

    #[test]
    fn errors() {
        let word = strings(&[2, 1], &["a", "b"]);
        assert_eq!(op(&[]).error(&[word]).kind(), ErrorKind::ShapeMismatch);
        let word = strings(&[1], &["a"]);
        assert_eq!(op(&[]).string("locale", "tr_TR").error(std::slice::from_ref(&word)).kind(), ErrorKind::Unsupported);
        assert_eq!(op(&[]).string("case_change_action", "TITLE").error(&[word]).kind(), ErrorKind::Unsupported);
    }
}
