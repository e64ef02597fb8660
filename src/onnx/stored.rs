//! Values stored as protobuf files of their own, as ONNX's test data are.

use bytes::Bytes;
use prost::Message;

use super::proto::{OptionalProto, SequenceProto, TensorProto};
use super::read::{ExternalData, read_tensor};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::graph::{DataType, Tensor};

/// Reads a stored tensor.
///
/// Errors: `InvalidModel`, `Unsupported`, `LimitExceeded`.
pub fn tensor_from_protobuf(bytes: impl Into<Bytes>) -> Result<Tensor> {
    let tensor = TensorProto::decode(bytes.into())
        .map_err(|error| Error::new(ErrorKind::InvalidModel, format!("not a stored tensor: {error}")))?;
    read_tensor(tensor, &ExternalData::new())
}

/// Reads a stored sequence of tensors of one dtype; none is known where it is empty.
///
/// Errors: `InvalidModel`, `Unsupported` for sequences of anything else, `LimitExceeded`.
pub fn sequence_from_protobuf(bytes: impl Into<Bytes>) -> Result<(Option<DataType>, Vec<Tensor>)> {
    let sequence = SequenceProto::decode(bytes.into())
        .map_err(|error| Error::new(ErrorKind::InvalidModel, format!("not a stored sequence: {error}")))?;
    read_sequence(sequence)
}

/// A stored tensor, or sequence of tensors with its dtype where it is not empty.
pub enum StoredValue {
    Tensor(Tensor),
    Sequence(Option<DataType>, Vec<Tensor>),
}

/// Reads a stored optional; nothing where it is absent.
///
/// Errors: `InvalidModel`, `Unsupported` for optionals of anything but tensors and their
/// sequences, `LimitExceeded`.
pub fn optional_from_protobuf(bytes: impl Into<Bytes>) -> Result<Option<StoredValue>> {
    let optional = OptionalProto::decode(bytes.into())
        .map_err(|error| Error::new(ErrorKind::InvalidModel, format!("not a stored optional: {error}")))?;
    // 0 to 3 are UNDEFINED, TENSOR, SPARSE_TENSOR and SEQUENCE of OptionalProto.DataType.
    ensure!(matches!(optional.elem_type, 0 | 1 | 3), Unsupported, "an optional of something else than tensors");
    match (optional.tensor_value, optional.sequence_value) {
        (Some(tensor), _) => read_tensor(tensor, &ExternalData::new()).map(StoredValue::Tensor).map(Some),
        (None, Some(sequence)) => {
            let (dtype, tensors) = read_sequence(sequence)?;
            Ok(Some(StoredValue::Sequence(dtype, tensors)))
        }
        (None, None) => Ok(None),
    }
}

fn read_sequence(sequence: SequenceProto) -> Result<(Option<DataType>, Vec<Tensor>)> {
    // 0 is SequenceProto.DataType.UNDEFINED, which empty sequences have; 1 is TENSOR.
    ensure!(sequence.elem_type <= 1, Unsupported, "a sequence of something else than tensors");
    let external = ExternalData::new();
    let tensors = sequence.tensor_values.into_iter().map(|t| read_tensor(t, &external)).collect::<Result<Vec<_>>>()?;
    let dtype = tensors.first().map(Tensor::dtype);
    ensure!(
        tensors.iter().all(|t| Some(t.dtype()) == dtype),
        InvalidModel,
        "the tensors of a sequence differ in dtype: {tensors:?}"
    );
    Ok((dtype, tensors))
}
