//! Any bytes as a TFLite file.
#![no_main]

use firebrand::import::Alone;
use firebrand_fuzz::imported::import;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = import("model.tflite", data.to_vec(), &Alone, &Default::default());
});
