//! Outputs: `.npy` files, their entries in the JSON report, and a summary for people.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use firebrand::data::npy;
use firebrand::{DataType, Feed, Tensor};
use serde::Serialize;
use serde_json::Value;

use super::failure::{Failure, Outcome};
use super::host;
use super::ranking::Ranked;

/// Outputs of up to this many elements are told in full.
const FEW: usize = 16;

/// An output in the JSON report.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Entry {
    Tensor {
        name: String,
        #[serde(flatten)]
        tensor: TensorEntry,
    },
    Sequence {
        name: String,
        dtype: &'static str,
        sequence: Vec<TensorEntry>,
    },
    Maps {
        name: String,
        keys: TensorEntry,
        values: TensorEntry,
    },
    /// An optional that is absent: `"file": null`.
    Absent {
        name: String,
        file: Option<PathBuf>,
    },
}

/// A tensor in the JSON report.
#[derive(Serialize)]
pub struct TensorEntry {
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    /// Where the tensor was written.
    pub file: Option<PathBuf>,
    /// The elements, row by row, of a small tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<Vec<Ranked>>,
}

/// Writes outputs into a folder, where there is one, each under a name of its own.
pub struct Writer<'a> {
    folder: Option<&'a Path>,
    taken: HashSet<String>,
}

impl<'a> Writer<'a> {
    /// Makes the folder.
    pub fn new(folder: Option<&'a Path>) -> Outcome<Self> {
        if let Some(folder) = folder {
            host::create_dir_all(folder).map_err(|error| Failure::input(format!("{}: {error}", folder.display())))?;
        }
        Ok(Self { folder, taken: HashSet::new() })
    }

    /// Writes an output; `top` gives the largest values of a tensor where they are asked for.
    pub fn write(&mut self, name: &str, feed: &Feed, top: impl Fn(&Tensor) -> Option<Vec<Ranked>>) -> Outcome<Entry> {
        match feed {
            Feed::Tensor(tensor) => {
                let tensor = self.tensor(name, tensor, top(tensor))?;
                Ok(Entry::Tensor { name: name.to_string(), tensor })
            }
            Feed::Sequence(dtype, tensors) => {
                let entries = tensors.iter().enumerate();
                let sequence = entries.map(|(index, tensor)| self.tensor(&format!("{name}-{index}"), tensor, None));
                let sequence = sequence.collect::<Outcome<_>>()?;
                Ok(Entry::Sequence { name: name.to_string(), dtype: dtype.name(), sequence })
            }
            Feed::Absent => Ok(Entry::Absent { name: name.to_string(), file: None }),
            Feed::Maps { keys, values } => Ok(Entry::Maps {
                name: name.to_string(),
                keys: self.tensor(&format!("{name}-keys"), keys, None)?,
                values: self.tensor(&format!("{name}-values"), values, None)?,
            }),
        }
    }

    fn tensor(&mut self, name: &str, tensor: &Tensor, top: Option<Vec<Ranked>>) -> Outcome<TensorEntry> {
        let file = match self.folder {
            Some(folder) => {
                let path = folder.join(self.file_name(name));
                host::write(&path, npy::write(tensor))
                    .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
                Some(path)
            }
            None => None,
        };
        let values = (tensor.len() <= FEW).then(|| values(tensor));
        Ok(TensorEntry { dtype: tensor.dtype().name(), shape: tensor.shape().to_vec(), file, values, top })
    }

    /// A name in which only `A-Za-z0-9._-` are left, and that no other output has.
    fn file_name(&mut self, name: &str) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
        let stem: String = name.chars().map(safe).collect();
        let mut file = format!("{stem}.npy");
        let mut number = 2;
        // File systems may not tell upper from lower case.
        while !self.taken.insert(file.to_ascii_lowercase()) {
            file = format!("{stem}_{number}.npy");
            number += 1;
        }
        file
    }
}

/// The elements as doubles; none for strings.
pub fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    tensor.to_f64s().ok()
}

/// The elements for JSON; what JSON has no number for is `"NaN"`, `"Infinity"`, `"-Infinity"`,
/// as inputs take it.
fn values(tensor: &Tensor) -> Vec<Value> {
    let float = |value: f64| match serde_json::Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    };
    match tensor.dtype() {
        DataType::Int64 => tensor.as_slice::<i64>().unwrap_or(&[]).iter().map(|&v| v.into()).collect(),
        DataType::Uint64 => tensor.as_slice::<u64>().unwrap_or(&[]).iter().map(|&v| v.into()).collect(),
        DataType::Bool => tensor.bytes().unwrap_or(&[]).iter().map(|&v| (v != 0).into()).collect(),
        DataType::String => tensor.strings().unwrap_or(&[]).iter().map(|v| v.as_str().into()).collect(),
        dtype => {
            let whole = dtype.is_int() || dtype.is_4_bit();
            let value = |v: f64| if whole { (v as i64).into() } else { float(v) };
            numbers(tensor).unwrap_or_default().into_iter().map(value).collect()
        }
    }
}

/// A tensor's elements in a few words: all of them where they are few, else their range.
pub fn in_words(tensor: &Tensor) -> String {
    if tensor.is_empty() {
        return "empty".to_string();
    }
    if tensor.len() <= FEW {
        let list = values(tensor).iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        return list;
    }
    let Some(numbers) = numbers(tensor) else {
        let strings = tensor.strings().unwrap_or(&[]);
        let first = strings.iter().take(3).map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", ");
        return format!("{first}, …");
    };
    let known = numbers.iter().copied().filter(|value| !value.is_nan());
    let nan = numbers.len() - known.clone().count();
    let (min, max) = known.clone().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let mean = known.sum::<f64>() / (numbers.len() - nan) as f64;
    match nan {
        0 => format!("from {min:.6} to {max:.6}, mean {mean:.6}"),
        _ if nan == numbers.len() => "NaN, all of it".to_string(),
        _ => format!("from {min:.6} to {max:.6}, mean {mean:.6}, {nan} of {} are NaN", numbers.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_distinct() {
        let mut writer = Writer::new(None).unwrap();
        let names = ["a/b:c", "a:b/c", "A_B_C", "../x", "ok-1.2_z", "é"].map(|name| writer.file_name(name));
        assert_eq!(names, ["a_b_c.npy", "a_b_c_2.npy", "A_B_C_3.npy", ".._x.npy", "ok-1.2_z.npy", "_.npy"]);
    }

    #[test]
    fn values_keep_what_json_can_say() {
        let floats = Tensor::from_vec(vec![4], vec![0.5f32, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).unwrap();
        assert_eq!(Value::from(values(&floats)).to_string(), r#"[0.5,"NaN","Infinity","-Infinity"]"#);
        let big = Tensor::from_vec(vec![1], vec![u64::MAX]).unwrap();
        assert_eq!(Value::from(values(&big)).to_string(), "[18446744073709551615]");
        let small = Tensor::from_vec(vec![2], vec![-128i8, 127]).unwrap();
        assert_eq!(Value::from(values(&small)).to_string(), "[-128,127]");
        let of = |dtype, bytes: &[u8]| Tensor::from_bytes(dtype, vec![bytes.len()], bytes.to_vec()).unwrap();
        assert_eq!(Value::from(values(&of(DataType::Int4, &[0x0f, 0x08]))).to_string(), "[-1,-8]");
        assert_eq!(Value::from(values(&of(DataType::Bool, &[1, 0]))).to_string(), "[true,false]");
        let eight = of(DataType::Float8E5M2, &[0xbc, 0x7c, 0x7f]);
        assert_eq!(Value::from(values(&eight)).to_string(), r#"[-1.0,"Infinity","NaN"]"#);
    }

    #[test]
    fn maps_are_keys_and_numbers() {
        let keys = Tensor::from_strings(vec![2], vec!["cat".into(), "dog".into()]).unwrap();
        let values = Tensor::from_vec(vec![1, 2], vec![0.25f32, 0.75]).unwrap();
        let entry = Writer::new(None).unwrap().write("scores", &Feed::Maps { keys, values }, |_| None).unwrap();
        let expected = serde_json::json!({
            "name": "scores",
            "keys": { "dtype": "string", "shape": [2], "file": null, "values": ["cat", "dog"] },
            "values": { "dtype": "float32", "shape": [1, 2], "file": null, "values": [0.25, 0.75] },
        });
        assert_eq!(serde_json::to_value(&entry).unwrap(), expected);
        let absent = Writer::new(None).unwrap().write("maybe", &Feed::Absent, |_| None).unwrap();
        assert_eq!(serde_json::to_value(&absent).unwrap(), serde_json::json!({ "name": "maybe", "file": null }));
    }

    #[test]
    fn many_numbers_become_a_range() {
        let mut elements = vec![1f32; 20];
        elements[3] = f32::NAN;
        elements[4] = 3.0;
        let said = in_words(&Tensor::from_vec(vec![20], elements).unwrap());
        assert_eq!(said, "from 1.000000 to 3.000000, mean 1.105263, 1 of 20 are NaN");
        assert_eq!(in_words(&Tensor::from_vec(vec![0], Vec::<f32>::new()).unwrap()), "empty");
    }
}
