//! StringSplit: the substrings between delimiters along a new last dimension, padded with `""`, and how many there are.
//!
//! Without a delimiter, runs of Unicode white space separate, and none is left at either end.

use super::inputs::{Info, Inputs, Type, Value, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail};
use crate::graph::{DataType, Tensor};

/// StringSplit.
pub const OPERATOR: Operator = Operator {
    name: "StringSplit",
    outputs: 1..=2,
    attributes: &["delimiter", "maxsplit"],
    build,
    ..Operator::DEFAULT
};

struct StringSplit {
    delimiter: Option<String>,
    /// The most substrings.
    most: usize,
    outputs: usize,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let splits = attributes.int("maxsplit")?.and_then(|n| usize::try_from(n).ok());
    Ok(Box::new(StringSplit {
        delimiter: attributes.string("delimiter")?.filter(|d| !d.is_empty()).map(str::to_string),
        most: splits.map_or(usize::MAX, |n| n.saturating_add(1)),
        outputs: attributes.outputs(),
    }))
}

impl StringSplit {
    /// Calls `each` with the substrings of `text`.
    fn split<'a>(&self, text: &'a str, mut each: impl FnMut(&'a str)) {
        if let Some(delimiter) = &self.delimiter {
            return text.splitn(self.most, delimiter.as_str()).for_each(each);
        }
        let mut rest = text.trim();
        for _ in 1..self.most {
            let Some((word, after)) = rest.split_once(char::is_whitespace) else { break };
            each(word);
            rest = after.trim_start();
        }
        if !rest.is_empty() {
            each(rest);
        }
    }
}

impl Op for StringSplit {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::String))?;
        Ok([DataType::String, DataType::Int64].into_iter().take(self.outputs).map(Type::Tensor).collect())
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let Value::Host(tensor) = inputs.value(0)? else { bail!(Internal, "strings are on the host") };
        let counts = tensor.strings().unwrap_or_default().iter().map(|text| {
            let mut count = 0;
            self.split(text, |_| count += 1);
            count
        });
        let (mut substrings, shape) = (tensor.shape().to_vec(), tensor.shape().to_vec());
        substrings.push(counts.max().unwrap_or(0));
        let infos =
            [Info { dtype: DataType::String, shape: substrings }, Info { dtype: DataType::Int64, shape }].map(Some);
        Ok(infos.into_iter().take(self.outputs).collect())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let tensor = inputs.take_host(0)?;
        let shape = shape_of(outputs, 0)?;
        let width = shape.last().copied().unwrap_or(0);
        let mut substrings: Vec<String> = Vec::with_capacity(tensor.len() * width);
        let mut counts = Vec::with_capacity(tensor.len());
        for (row, text) in tensor.strings().unwrap_or_default().iter().enumerate() {
            self.split(text, |part| substrings.push(part.to_string()));
            counts.push((substrings.len() - row * width) as i64);
            substrings.resize((row + 1) * width, String::new());
        }
        let values =
            [Tensor::from_strings(shape.to_vec(), substrings)?, Tensor::from_vec(tensor.shape().to_vec(), counts)?];
        Ok(values.into_iter().take(self.outputs).map(Value::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::support::{Single, i64s, strings};

    fn split(op: Single<'_>, texts: &[&str]) -> Vec<Vec<String>> {
        let outputs = op.outputs(2).run(&[strings(&[texts.len()], texts)]).unwrap();
        let width = outputs[0].shape()[1];
        let all = outputs[0].strings().unwrap();
        let counts = outputs[1].as_slice::<i64>().unwrap();
        let row = |(i, &n): (usize, &i64)| {
            let (kept, padding) = all[i * width..(i + 1) * width].split_at(n as usize);
            assert!(padding.iter().all(String::is_empty));
            kept.to_vec()
        };
        counts.iter().enumerate().map(row).collect()
    }

    #[test]
    fn white_space() {
        let op = || Single::new("StringSplit", 20);
        assert_eq!(split(op(), &["", " \t ", "a\u{a0}b\n c "]), [vec![], vec![], vec!["a", "b", "c"]]);
        assert_eq!(split(op().int("maxsplit", 1), &[" a  b  c "]), [["a", "b  c"]]);
        assert_eq!(split(op().int("maxsplit", 0), &[" a  b "]), [["a  b"]]);
        assert_eq!(split(op().int("maxsplit", -1).string("delimiter", ""), &["a b"]), [["a", "b"]]);
    }

    #[test]
    fn delimiters() {
        let op = || Single::new("StringSplit", 20).string("delimiter", "--");
        assert_eq!(split(op(), &["a----b--", "---", ""]), [vec!["a", "", "b", ""], vec!["", "-"], vec![""]]);
        assert_eq!(split(op().int("maxsplit", i64::MAX), &["a--b"]), [["a", "b"]]);
        assert_eq!(split(op().int("maxsplit", 0), &["a--b"]), [["a--b"]]);
    }

    #[test]
    fn empty() {
        let outputs = Single::new("StringSplit", 20).outputs(2).run(&[strings(&[2, 0], &[])]).unwrap();
        assert_eq!((outputs[0].shape(), outputs[1].shape()), (&[2, 0, 0][..], &[2, 0][..]));
        assert_eq!(Single::new("StringSplit", 20).one(&[strings(&[], &["a b"])]).shape(), [2]);
        Single::new("StringSplit", 20).error(&[i64s(&[1], &[1])]);
    }
}
