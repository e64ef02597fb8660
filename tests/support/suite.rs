//! ONNX's stored cases: a folder with `model.onnx` and, for each data set, the inputs and outputs as protobuf.

use std::path::{Path, PathBuf};

use firebrand::graph::{ValueInfo, ValueType};
use firebrand::onnx::{StoredValue, optional_from_protobuf, sequence_from_protobuf, tensor_from_protobuf};
use firebrand::{DataType, Feed, RunOptions, Session, Tensor};

use crate::support;

pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn element(ty: &ValueType) -> Option<DataType> {
    match ty {
        ValueType::Tensor { dtype, .. } => Some(*dtype),
        ValueType::Sequence(inner) | ValueType::Optional(inner) => element(inner),
        _ => None,
    }
}

/// A stored value, read as what it is declared to be.
pub fn stored(path: &Path, ty: &ValueType) -> Result<Feed, String> {
    let place = |e: firebrand::Error| format!("{}: {e}", path.display());
    let sequence = |dtype: Option<DataType>, tensors, ty| match dtype.or(element(ty)) {
        Some(dtype) => Ok(Feed::Sequence(dtype, tensors)),
        None => Err("a sequence of unknown type".to_string()),
    };
    match ty {
        ValueType::Sequence(_) => {
            let (dtype, tensors) = sequence_from_protobuf(read(path)).map_err(place)?;
            sequence(dtype, tensors, ty)
        }
        ValueType::Optional(_) => match optional_from_protobuf(read(path)).map_err(place)? {
            None => Ok(Feed::Absent),
            Some(StoredValue::Tensor(tensor)) => Ok(Feed::Tensor(tensor)),
            Some(StoredValue::Sequence(dtype, tensors)) => sequence(dtype, tensors, ty),
        },
        _ => {
            let tensor = tensor_from_protobuf(read(path)).map_err(place)?;
            // Some cases have their bfloat16 numbers stored as the bits, in uint16.
            let bits = tensor.dtype() == DataType::Uint16 && element(ty) == Some(DataType::BFloat16);
            match tensor.bytes().filter(|_| bits) {
                Some(bytes) => Tensor::from_bytes(DataType::BFloat16, tensor.shape().to_vec(), bytes.to_vec())
                    .map(Feed::Tensor)
                    .map_err(place),
                None => Ok(Feed::Tensor(tensor)),
            }
        }
    }
}

/// As [`support::compare`], of any value.
pub fn compare(got: &Feed, expected: &Feed, relative: f64, absolute: f64) -> Result<f64, String> {
    match (got, expected) {
        (Feed::Tensor(got), Feed::Tensor(expected)) => support::compare(got, expected, relative, absolute),
        (Feed::Sequence(_, got), Feed::Sequence(_, expected)) if got.len() == expected.len() => {
            let each = got.iter().zip(expected).map(|(g, e)| support::compare(g, e, relative, absolute));
            each.collect::<Result<Vec<_>, _>>().map(|d| d.into_iter().fold(0.0, f64::max))
        }
        (Feed::Absent, Feed::Absent) => Ok(0.0),
        _ => Err(format!("expected {expected:?}, got {got:?}")),
    }
}

/// Runs `session` on the data sets of a case, and compares with the outputs stored there; gives the largest difference.
pub fn check(session: &Session, folder: &Path, relative: f64, absolute: f64) -> Result<f64, String> {
    let sets: Vec<PathBuf> =
        (0..).map(|set| folder.join(format!("test_data_set_{set}"))).take_while(|set| set.exists()).collect();
    let mut largest = 0f64;
    for set in &sets {
        let feed = |(i, info): (usize, &ValueInfo)| {
            Ok((info.name.clone(), stored(&set.join(format!("input_{i}.pb")), &info.ty)?))
        };
        let inputs = session.inputs().enumerate().map(feed).collect::<Result<Vec<_>, String>>()?;
        let outputs =
            session.run_blocking(inputs, RunOptions::default()).map_err(|e| format!("run: {e} ({})", e.kind()))?;
        for (i, ((name, got), info)) in outputs.iter().zip(session.outputs()).enumerate() {
            let expected = stored(&set.join(format!("output_{i}.pb")), &info.ty)?;
            let difference = compare(got, &expected, relative, absolute);
            largest = largest.max(difference.map_err(|e| format!("output \"{name}\": {e}"))?);
        }
    }
    if sets.is_empty() { Err("no stored data".into()) } else { Ok(largest) }
}
