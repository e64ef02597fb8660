//! Where a model's weights are, in the three forms that Keras' files have: by layer and name (`.h5`, TensorFlow.js),
//! and as a tree of places (`.keras`).

use super::array::Array;
use super::hdf5::Hdf5;
use crate::error::Result;

/// Where a layer is: its name and its key in the tree, behind those of what it is in.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub names: Vec<String>,
    pub keys: Vec<String>,
}

impl Place {
    /// The place `key` in this one, of a layer called `name`; a part without a name of its own has an empty one.
    pub fn inside(&self, name: &str, key: &[&str]) -> Self {
        let mut place = self.clone();
        if !name.is_empty() {
            place.names.push(name.to_string());
        }
        place.keys.extend(key.iter().map(ToString::to_string));
        place
    }
}

/// The weights of a file.
pub enum Weights {
    /// A tree of groups, arrays numbered in each layer's `vars`.
    Tree(Hdf5),
    /// A list by name.
    Named(Named),
}

/// Weights by name, each in a group that is called after the outermost layer, where the file has groups.
pub struct Named {
    file: Option<Hdf5>,
    entries: Vec<Entry>,
}

struct Entry {
    group: Option<String>,
    parts: Vec<String>,
    source: Source,
    /// Whose it was found to be.
    taken: Option<String>,
}

enum Source {
    /// The array at a path of the file.
    Path(String),
    Array(Array),
}

impl Weights {
    /// Those of a Keras `.h5` file, in the group `root`, whose attributes list layers and their weights.
    ///
    /// Errors: `InvalidModel`.
    pub fn legacy(file: Hdf5, root: &str) -> Result<Self> {
        let under = |name: &str| if root.is_empty() { name.to_string() } else { format!("{root}/{name}") };
        let layers = file.strings(root, "layer_names")?.unwrap_or_default();
        let mut entries = Vec::new();
        for layer in layers {
            let group = under(&layer);
            if !file.has_group(&group) {
                continue;
            }
            for weight in file.strings(&group, "weight_names")?.unwrap_or_default() {
                let source = Source::Path(format!("{group}/{weight}"));
                entries.push(Entry { group: Some(layer.clone()), parts: parts(&weight), source, taken: None });
            }
        }
        Ok(Self::Named(Named { file: Some(file), entries }))
    }

    /// Arrays with their names.
    pub fn named(arrays: Vec<(String, Array)>) -> Self {
        let entries = arrays.into_iter().map(|(name, array)| {
            let source = Source::Array(array);
            Entry { group: None, parts: parts(&name), source, taken: None }
        });
        Self::Named(Named { file: None, entries: entries.collect() })
    }

    /// The weight `name`, the layer's number `index`; none where it is not there.
    ///
    /// Errors: `InvalidModel`, `LimitExceeded`.
    pub fn get(&mut self, place: &Place, name: &str, index: usize) -> Result<Option<Array>> {
        match self {
            Self::Tree(file) => {
                // Keras 3 of the first releases called parts of a layer `_dense`; Keras 2 separated keys by `\`.
                let path = format!("{}/vars/{index}", place.keys.join("/"));
                if file.has_array(&path) {
                    return file.array(&path).map(Some);
                }
                let Some((last, before)) = place.keys.split_last() else { return Ok(None) };
                let path = format!("{}/_{last}/vars/{index}", before.join("/"));
                if file.has_array(&path) { file.array(&path).map(Some) } else { Ok(None) }
            }
            Self::Named(named) => named.get(place, name),
        }
    }
}

/// A weight's name in its parts, without TensorFlow's number of the output.
fn parts(name: &str) -> Vec<String> {
    name.split('/').map(|part| part.split(':').next().unwrap_or("").to_string()).collect()
}

/// Whether `part` is `name`, as the first (2) or as a later one of that name (1).
fn likeness(part: &str, name: &str) -> usize {
    match part.strip_prefix(name) {
        Some("") => 2,
        Some(rest)
            if rest.strip_prefix('_').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) =>
        {
            1
        }
        _ => 0,
    }
}

impl Named {
    fn get(&mut self, place: &Place, name: &str) -> Result<Option<Array>> {
        let owner = format!("{}/{name}", place.names.join("/"));
        let index = match self.entries.iter().position(|entry| entry.taken.as_ref() == Some(&owner)) {
            Some(index) => index,
            None => match self.find(place, name) {
                Some(index) => index,
                None => return Ok(None),
            },
        };
        let entry = &mut self.entries[index];
        entry.taken = Some(owner);
        match (&entry.source, &self.file) {
            (Source::Array(array), _) => Ok(Some(array.clone())),
            (Source::Path(path), Some(file)) => file.array(path).map(Some),
            (Source::Path(_), None) => Ok(None),
        }
    }

    /// The weight that fits best: the more of the names of the layer and of what it is in it has, the better. Where
    /// the names say nothing, it must be the only one of its group.
    fn find(&self, place: &Place, name: &str) -> Option<usize> {
        let mut best: Vec<usize> = Vec::new();
        let mut most = 0;
        for (index, entry) in self.entries.iter().enumerate() {
            let Some((last, before)) = entry.parts.split_last() else { continue };
            if last != name
                || entry.taken.is_some()
                || entry.group.as_ref().is_some_and(|g| Some(g) != place.names.first())
            {
                continue;
            }
            let score = place.names.iter().rev().enumerate().fold(0, |score, (depth, wanted)| {
                let weight = if depth == 0 { 100 } else { 10 };
                score + weight * before.iter().map(|part| likeness(part, wanted)).max().unwrap_or(0)
            });
            if score == 0 && entry.group.is_none() {
                continue;
            }
            if score > most {
                (best, most) = (Vec::new(), score);
            }
            if score == most {
                best.push(index);
            }
        }
        // Equal names: the order of the file is the order of the layers. No names: only what cannot be another's.
        if most >= 100 || best.len() == 1 { best.first().copied() } else { None }
    }
}
