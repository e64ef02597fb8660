//! One node of any operator with any attributes and inputs: whatever `infer` lets pass must run.
#![no_main]

use arbitrary::Unstructured;
use firebrand_fuzz::{model, run, single};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((graph, feeds)) = single(&mut Unstructured::new(data)) {
        run(model(graph), feeds);
    }
});
