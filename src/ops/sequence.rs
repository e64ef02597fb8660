//! What the sequence operators share.

use super::inputs::{Inputs, Type, Value};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// The dtype of the sequence's tensors at input `index`.
pub fn sequence_type(inputs: &[Option<Type>], index: usize) -> Result<DataType> {
    match inputs.get(index) {
        Some(Some(Type::Sequence(dtype))) => Ok(*dtype),
        Some(Some(other)) => bail!(InvalidModel, "input {index}: expected a sequence, got {other}"),
        _ => bail!(InvalidModel, "input {index} is missing"),
    }
}

/// Takes the sequence at input `index` out.
pub fn take_sequence(inputs: &mut Inputs, index: usize) -> Result<(DataType, Vec<Value>)> {
    match inputs.take(index)? {
        Value::Sequence(dtype, values) => Ok((dtype, values)),
        other => bail!(InvalidModel, "input {index}: expected a sequence, got {}", other.describe()),
    }
}

/// Resolves a position that may count from the end; `limit` is the first one too far.
pub fn position(at: i64, length: usize, limit: usize) -> Result<usize> {
    let resolved = if at < 0 { at + length as i64 } else { at };
    ensure!(
        (0..limit as i64).contains(&resolved),
        InvalidArgument,
        "position {at} is outside of a sequence of {length}"
    );
    Ok(resolved as usize)
}
