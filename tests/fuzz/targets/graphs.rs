//! Small graphs of any operators, with bodies inside bodies.
#![no_main]

use arbitrary::Unstructured;
use firebrand_fuzz::{graph, model, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((graph, feeds)) = graph(&mut Unstructured::new(data), 0) {
        run(model(graph), feeds);
    }
});
