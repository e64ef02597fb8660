//! Any bytes as what samples are in: a NumPy array, alone and in a `.npz`, a table, a picture.
#![no_main]

use firebrand::data::dataset::{Dataset, DatasetOptions, Files};
use firebrand::data::npy;
use firebrand::graph::{Dim, ValueInfo, ValueType};
use firebrand::optimize::calibrate::Samples;
use firebrand::{DataType, Result};
use firebrand_fuzz::imported::{archive, no_defect};
use libfuzzer_sys::fuzz_target;

/// A folder with one file.
struct One<'a>(&'a str, &'a [u8]);

impl Files for One<'_> {
    fn place(&self) -> String {
        "fuzz".to_string()
    }

    fn names(&self) -> Result<Vec<String>> {
        Ok(vec![self.0.to_string()])
    }

    fn read(&self, _: &str) -> Result<bytes::Bytes> {
        Ok(self.1.to_vec().into())
    }
}

fn input(dtype: DataType, sizes: &[Option<usize>]) -> Vec<ValueInfo> {
    let dim = |size: &Option<usize>| size.map_or(Dim::Name("N".to_string()), Dim::Size);
    let ty = ValueType::Tensor { dtype, shape: Some(sizes.iter().map(dim).collect()) };
    vec![ValueInfo { name: "x".to_string(), ty }]
}

/// The first samples of a file, for a model of one input.
fn samples(name: &str, bytes: &[u8], inputs: Vec<ValueInfo>) {
    let folder = One(name, bytes);
    let dataset = match Dataset::open(&folder, inputs, DatasetOptions::default()) {
        Ok(dataset) => dataset,
        Err(error) => return drop(no_defect(error)),
    };
    for index in 0..dataset.len().min(2) {
        if let Err(error) = dataset.get(index) {
            no_defect(error);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let rows = || input(DataType::Float32, &[None, Some(3)]);
    match data {
        [0x93, ..] => {
            for declared in [None, Some(DataType::BFloat16), Some(DataType::Int4), Some(DataType::Float8E4M3FN)] {
                if let Ok(tensor) = npy::read(data, declared) {
                    let again =
                        npy::read(&npy::write(&tensor), Some(tensor.dtype())).expect("what is written can be read");
                    assert_eq!((again.shape(), again.bytes()), (tensor.shape(), tensor.bytes()));
                    assert_eq!((again.dtype(), again.strings()), (tensor.dtype(), tensor.strings()));
                }
            }
            samples("a.npy", data, rows());
            samples("a.npz", &archive(&[("x.npy", data), ("y.npy", data)]), input(DataType::Int64, &[None, None]));
        }
        [b'P', b'K', ..] => samples("a.npz", data, rows()),
        [0x89, ..] | [0xff, ..] => {
            let image = |sizes: &[Option<usize>]| samples("a.png", data, input(DataType::Float32, sizes));
            image(&[None, Some(3), Some(5), Some(7)]);
            image(&[None, None, None, Some(3)]);
        }
        _ => samples("a.csv", data, rows()),
    }
});
