//! Any bytes as a file of weights, alone and as what a zip file holds; a description in JSON, with the file that it is of
//! behind it. Where the weights are those of a graph, they are put into it.
#![no_main]

use firebrand::import::{Alone, ImportOptions};
use firebrand_fuzz::imported::{archive, import};
use firebrand_fuzz::json;
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};

/// What a description is of where no file follows it.
const DESCRIBED: &[u8] = include_bytes!("../../weights/described.npz");

fuzz_target!(|data: &[u8]| {
    if let Some((_, rest)) = json::split(data) {
        let arch = String::from_utf8_lossy(&data[..data.len() - rest.len()]).into_owned();
        let file = if rest.is_empty() { DESCRIBED } else { rest };
        import("w.npz", file.to_vec(), &Alone, &ImportOptions { arch: Some(arch) });
        return;
    }
    let options = ImportOptions { arch: Some(r#"{"arch": "bert", "heads": 3}"#.to_string()) };
    let read = |name: &str, bytes: Vec<u8>| drop(import(name, bytes, &Alone, &options));
    for name in ["w.safetensors", "w.pth", "w.npz"] {
        read(name, data.to_vec());
    }
    if data.starts_with(b"\x93NUMPY") {
        read("w.npz", archive(&[("a.npy", data)]));
    }
    // A pickle, and the storages that it names.
    if data.starts_with(b"\x80") {
        let storage = [0x3c; 256];
        let storages = ["w/data/0", "w/data/1", "w/data/2", "w/data/3"].map(|name| (name, &storage[..]));
        let members =
            [&[("w/data.pkl", data), ("w/version", b"3\n"), ("w/byteorder", b"little")], &storages[..]].concat();
        read("w.pth", archive(&members));
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| { json::mutate(data, size, most, seed) });
fuzz_crossover!(|a: &[u8], b: &[u8], out: &mut [u8], seed: u32| { json::cross(a, b, out, seed) });
