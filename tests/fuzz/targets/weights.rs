//! Any bytes as a file of weights: read, and put into a graph where they are those of one.
#![no_main]

use firebrand::ErrorKind;
use firebrand::import::{Alone, ImportOptions, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let options = ImportOptions { arch: Some(r#"{"arch": "bert", "heads": 3}"#.to_string()) };
    for name in ["w.safetensors", "w.pth", "w.npz"] {
        if let Err(error) = import(name, data.to_vec().into(), &Alone, &options) {
            assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
        }
    }
});
