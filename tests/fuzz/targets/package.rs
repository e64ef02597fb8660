//! Any bytes as a package's manifest, over the files of a small package: read, written again, its golden samples taken and
//! checked.
#![no_main]

use firebrand::ExternalData;
use firebrand::package::{Manifest, Package, VerifyOptions};
use firebrand_fuzz::imported::no_defect;
use firebrand_fuzz::json;
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};

macro_rules! tiny {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../package/tiny/", $name)))
    };
}

const FILES: [(&str, &[u8]); 5] = [
    tiny!("graph.onnx"),
    tiny!("golden-b4de96c8dffbf78a051446684fad08f54c897a98a31b804f1b01a701ebd697a9.bin"),
    tiny!("labels-88b846f7a4a3cee3911bdfa7ee8507f4faaf273445f4dc00772079f17761ef61.json"),
    tiny!("weights-63abe597f4469fc251789ca48b2bf38cb51422fc5ad5123a555d382b0d9f0b35.bin"),
    tiny!("weights-f3d19dfe5f4be54c36ff3210c37e6f30ffb80edc84d7d5cf428222443a8cf584.bin"),
];

fuzz_target!(|data: &[u8]| {
    let manifest = match Manifest::parse(data) {
        Ok(manifest) => manifest,
        Err(error) => return drop(no_defect(error)),
    };
    let written = manifest.to_json().expect("what is read can be written");
    assert_eq!(Manifest::parse(&written).expect("what is written can be read"), manifest);
    let files: ExternalData = FILES.into_iter().map(|(name, bytes)| (name.to_string(), bytes.into())).collect();
    if let Err(error) = Package::open(data, &files) {
        no_defect(error);
    }
    if let Err(error) = Package::samples(&manifest, &files) {
        no_defect(error);
    }
    let names = Some(files.keys().cloned().collect());
    match Package::verify_blocking(data, &files, VerifyOptions { names, ..VerifyOptions::default() }) {
        Ok(report) => assert!(report.checks.iter().all(|check| !check.detail.contains("internal")), "{report:?}"),
        Err(error) => drop(no_defect(error)),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| { json::mutate(data, size, most, seed) });
fuzz_crossover!(|a: &[u8], b: &[u8], out: &mut [u8], seed: u32| { json::cross(a, b, out, seed) });
