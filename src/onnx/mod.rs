//! ONNX files: bytes to [`Model`] and back. Nothing in a file is trusted: sizes are checked against the
//! bytes that are there before anything is allocated.

mod functions;
mod inspect;
mod proto;
mod read;
mod source;
mod stored;
#[cfg(feature = "convert")]
mod write;

pub use inspect::{Inspection, IoDim, IoInfo, OperatorUse, inspect};
pub use read::{ExternalData, Model};
pub use source::Source;
pub use stored::{StoredValue, optional_from_protobuf, sequence_from_protobuf, tensor_from_protobuf};
#[cfg(feature = "convert")]
pub use write::ExternalFile;
