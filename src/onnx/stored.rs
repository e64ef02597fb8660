//! Values stored as protobuf files of their own, as ONNX's test data are.

use bytes::Bytes;
use prost::Message;

use super::proto::{SequenceProto, TensorProto};
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
