//! Any bytes as a model, a stored tensor, a sequence, an optional: read, planned and run.
#![no_main]

use firebrand::{ErrorKind, Feed, Model};
use firebrand_fuzz::{run, zeros};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = firebrand::onnx::inspect(data.to_vec());
    let _ = firebrand::onnx::tensor_from_protobuf(data.to_vec());
    let _ = firebrand::onnx::sequence_from_protobuf(data.to_vec());
    let _ = firebrand::onnx::optional_from_protobuf(data.to_vec());
    let model = match Model::from_onnx(data.to_vec(), &Default::default()) {
        Ok(model) => model,
        Err(error) => return assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
    };
    let free = 1 + data.len() % 3;
    let inputs: Option<Vec<(String, Feed)>> =
        model.graph.inputs.iter().map(|i| Some((i.name.clone(), zeros(&i.ty, free)?))).collect();
    run(model, inputs.unwrap_or_default());
});
