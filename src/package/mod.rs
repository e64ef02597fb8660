//! A model as it is published: a folder with `manifest.json`, `graph.onnx` and its larger weights in
//! `weights-<sha256>.bin`. The ONNX is valid by itself; the manifest says what every file holds, what the model takes
//! and gives, how it was made, and what a device must compute before it is trusted (`docs/package.md`).
//!
//! Files go in and out as bytes: nothing here opens one. Equal input gives equal bytes, on every machine.

mod golden;
mod manifest;
mod verify;
mod write;

use sha2::{Digest, Sha256};

pub use golden::{Expected, Sample, SampleInput, Tolerance, random};
pub use manifest::{
    Axis, FileEntry, Golden, Labels, Manifest, Preprocessing, RandomInput, Sizes, SourceFile, StoredSample,
    StoredTensor, Task, Tool, Value, ValueKind,
};
pub use verify::{Check, Comparison, OutputComparison, Report, VerifyOptions};
pub use write::{File, Metadata, TaskMetadata, WriteOptions};

/// The manifest's name in its folder.
pub const MANIFEST: &str = "manifest.json";

/// The graph's name in its folder.
pub const GRAPH: &str = "graph.onnx";

/// The version of the manifest's format that this version writes, and the only one that it reads.
pub const SCHEMA: u32 = 1;

/// Where npm's `firebrand` has the JSON Schema of that version.
pub const SCHEMA_NAME: &str = "firebrand/schema/manifest-1.json";

/// Writing, opening and checking packages.
pub struct Package;

/// The SHA-256 of `bytes` in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
