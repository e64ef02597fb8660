//! Passes over a graph that is to be deployed: each takes a [`Graph`](crate::graph::Graph), changes it, and says what
//! it changed. What a pass does not recognise it leaves as it is.

pub mod calibrate;
pub mod equalize;
pub mod fold;
pub mod fuse;
pub mod prune;
pub mod quantize;
mod rewrite;
pub mod share;
pub mod simplify;
pub mod structured;
pub mod upgrade;

use serde::Serialize;

/// What a pass did.
#[derive(Debug, Clone, Serialize)]
pub struct PassReport {
    /// The pass.
    pub pass: &'static str,
    /// What it did, how often.
    pub changes: Vec<Change>,
}

/// One kind of change.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// In words: "Identity removed".
    pub what: String,
    pub count: usize,
}

impl PassReport {
    /// Nothing done as yet.
    pub fn new(pass: &'static str) -> Self {
        Self { pass, changes: Vec::new() }
    }

    /// Counts one change.
    pub fn count(&mut self, what: impl Into<String>) {
        let what = what.into();
        match self.changes.iter_mut().find(|change| change.what == what) {
            Some(change) => change.count += 1,
            None => self.changes.push(Change { what, count: 1 }),
        }
    }

    /// Changes of all kinds.
    pub fn total(&self) -> usize {
        self.changes.iter().map(|change| change.count).sum()
    }
}
