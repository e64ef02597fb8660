//! Lowering: what a graph's nodes become on the CPU. Passes over a [`Draft`] put one step with packed
//! weights in the place of several nodes: convolutions with their normalisation, residual and
//! activation; quantised regions that stay 8-bit from end to end; patterns that exporters write out.
//!
//! A pass may only do what gives the same result: up to the rounding of float32 where arithmetic is
//! reordered, and to the last code where values are quantised. What it does not recognise it leaves.

mod draft;
mod dynamic;
mod float;
mod ops;
mod patterns;
mod quantized;

pub use draft::{Draft, Finished, Item};

use crate::error::Result;

/// Runs all passes.
pub fn lower(draft: &mut Draft) -> Result<()> {
    patterns::drop_identities(draft);
    quantized::expand(draft)?;
    quantized::to_unsigned(draft)?;
    patterns::fuse(draft)?;
    float::fold_batch_norm(draft)?;
    quantized::fuse(draft)?;
    dynamic::fuse(draft)?;
    // What is left of the weights' DequantizeLinear is computed now.
    draft.fold()?;
    patterns::fuse_attention(draft)?;
    float::pack(draft)?;
    draft.drop_unused();
    Ok(())
}
