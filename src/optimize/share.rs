//! Keeps one of equal constants.

use std::collections::HashMap;

use super::PassReport;
use super::rewrite::{Links, redirect};
use crate::graph::{Graph, Tensor};

/// Makes all that reads a constant read the first, by name, of those equal to it.
pub fn share(graph: &mut Graph) -> PassReport {
    let mut report = PassReport::new("share");
    let links = Links::of(graph);
    let mut names: Vec<String> = graph.initializers.keys().filter(|name| !links.is_kept(name)).cloned().collect();
    names.sort_unstable();
    let mut seen: HashMap<Key, String> = HashMap::new();
    for name in names {
        let Some(tensor) = graph.initializers.get(&name) else { continue };
        match seen.get(&Key::of(tensor)) {
            Some(first) => {
                redirect(graph, &name, first);
                graph.initializers.remove(&name);
                report.count("equal constants made one");
            }
            None => {
                seen.insert(Key::of(tensor), name);
            }
        }
    }
    report
}

/// What makes constants equal.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    dtype: i32,
    shape: Vec<usize>,
    hash: [u8; 32],
}

impl Key {
    fn of(tensor: &Tensor) -> Self {
        use sha2::Digest;
        let mut hasher = sha2::Sha256::new();
        match tensor.strings() {
            Some(strings) => strings.iter().for_each(|text| {
                hasher.update((text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }),
            None => hasher.update(tensor.bytes().unwrap_or_default()),
        }
        Self { dtype: tensor.dtype().onnx(), shape: tensor.shape().to_vec(), hash: hasher.finalize().into() }
    }
}
