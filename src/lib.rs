//! Firebrand runs trained models where their users are: in the browser, on WebGPU or the CPU.
//!
//! ```no_run
//! use firebrand::{Model, RunOptions, Session, SessionOptions, Tensor};
//!
//! # fn main() -> firebrand::Result<()> {
//! let file = std::fs::read("squeezenet1.1.onnx").expect("a readable file");
//! let model = Model::from_onnx(file, &Default::default())?;
//! let session = Session::load_blocking(model, SessionOptions::default())?;
//! let image = Tensor::from_vec(vec![1, 3, 227, 227], vec![0f32; 3 * 227 * 227])?;
//! let outputs = session.run_blocking([("data".into(), image.into())], RunOptions::default())?;
//! # Ok(()) }
//! ```
//!
//! A file becomes a [`graph::Graph`]; the [`runtime`] plans it and runs it with [`ops`] on a
//! [`backend`]. `docs/architecture.md` has the whole picture.

#![cfg_attr(not(feature = "all-operators"), allow(dead_code, reason = "the small build lists fewer operators"))]

#[cfg(any(test, all(feature = "cli", feature = "web", target_family = "wasm")))]
extern crate self as firebrand;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub(crate) use firebrand_kernels as kernels;

pub mod backend;
#[cfg(feature = "convert")]
pub mod build;
// Natively the program has it; in WebAssembly there is one module alone.
#[cfg(all(feature = "cli", feature = "web", target_family = "wasm"))]
mod cli;
#[cfg(feature = "convert")]
pub mod data;
mod error;
pub mod graph;
#[cfg(feature = "convert")]
pub mod import;
mod lower;
pub mod onnx;
pub mod ops;
#[cfg(feature = "convert")]
pub mod optimize;
#[cfg(feature = "convert")]
pub mod package;
pub mod runtime;
#[cfg(feature = "web")]
mod web;

pub use backend::DeviceKind;
pub use error::{Error, ErrorKind, Result};
pub use graph::{DataType, Tensor};
pub use onnx::{ExternalData, Model};
pub use runtime::{Feed, GraphOptimizationLevel, RunOptions, Session, SessionOptions};

/// The version of this runtime.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
