//! Files of weights alone, as a dictionary of tensors by name: safetensors, PyTorch's checkpoints, and NumPy's arrays.
//! Pickles are read as data and can run nothing (see `pickle`); sizes are checked against the bytes that are there
//! before anything is allocated. What graph the weights belong to is the business of `import::arch`.

mod archive;
mod numpy;
mod pickle;
mod safetensors;
mod strided;
mod torch;

use std::collections::BTreeMap;

use self::archive::Archive;
use self::pickle::{Budget, Object, Pickle, Value};
use super::Format;
use crate::error::{Error, Result, bail};
use crate::graph::Tensor;

/// The tensors of a file by name, as PyTorch's state dictionaries have them: `layer1.0.conv1.weight`.
pub type Weights = BTreeMap<String, Tensor>;

/// The format of a file of weights, by its first bytes and, where they say nothing, by its name; none for others.
pub fn format(name: &str, bytes: &[u8]) -> Option<Format> {
    let ends = |extension: &str| name.to_ascii_lowercase().ends_with(extension);
    if bytes.starts_with(b"PK\x03\x04") {
        let Ok(archive) = Archive::open(bytes) else {
            return match () {
                () if ends(".npz") => Some(Format::Numpy),
                () if ends(".pth") || ends(".pt") || ends(".bin") || ends(".ckpt") => Some(Format::PyTorch),
                () => None,
            };
        };
        if torch::is_archive(&archive) {
            return Some(Format::PyTorch);
        }
        return numpy::is_archive(&archive).then_some(Format::Numpy);
    }
    if safetensors::is_safetensors(bytes) || ends(".safetensors") {
        return Some(Format::Safetensors);
    }
    if torch::is_legacy(bytes) {
        return Some(Format::PyTorch);
    }
    let is_pickle = matches!(bytes, [0x80, 2..=5, ..]);
    (bytes.starts_with(numpy::MAGIC) || is_pickle || ends(".npz")).then_some(Format::Numpy)
}

/// Reads a file of weights; what was left out of it is told in sentences.
///
/// Errors: `NotAModel` for another `format`, `Truncated`, `InvalidModel`, `Unsupported` naming everything that may not
/// be in such files, `LimitExceeded`.
pub fn read(format: Format, bytes: &[u8]) -> Result<(Weights, Vec<String>)> {
    let mut notes = Vec::new();
    let weights = match format {
        Format::Safetensors => safetensors::read(bytes)?,
        Format::PyTorch => torch::read(bytes, &mut notes)?,
        Format::Numpy => numpy::read(bytes, &mut notes)?,
        _ => bail!(NotAModel, "a model of format {} is no file of weights", format.as_str()),
    };
    if weights.is_empty() {
        bail!(InvalidModel, "the file holds no tensors");
    }
    Ok((weights, notes))
}

/// How many tensors an error names at most.
const SHOWN: usize = 50;

/// How deep dictionaries and lists may lie in each other.
const DEEPEST: usize = 16;

/// Finds the values of a pickle that `is_leaf` names tensors, in dictionaries and lists within each other; gives their
/// names, keys and positions joined by dots, and the objects that they are.
///
/// Errors: `LimitExceeded`, `InvalidModel` for two of one name.
fn leaves(
    pickle: &Pickle<'_>,
    root: &Value,
    is_leaf: impl Fn(&Value) -> bool,
) -> Result<(BTreeMap<String, usize>, usize)> {
    let mut found = BTreeMap::new();
    let mut budget = Budget::of(pickle.bytes);
    let mut others = 0;
    let mut waiting = vec![(String::new(), root, 0usize)];
    while let Some((name, value, depth)) = waiting.pop() {
        budget.step()?;
        if let (true, Value::Object(index)) = (is_leaf(value), value) {
            if found.insert(name.clone(), *index).is_some() {
                bail!(InvalidModel, "two tensors are named \"{name}\"");
            }
            continue;
        }
        let inner: Vec<(String, &Value)> = match pickle.object(value) {
            Some(Object::Dict(entries)) => {
                // The last value of a key, as Python has it.
                let key = |key: &Value| match (pickle.text(key), pickle.int(key)) {
                    (Some(text), _) => Some(text.to_string()),
                    (None, int) => int.map(|int| int.to_string()),
                };
                entries.iter().filter_map(|(k, v)| Some((key(k)?, v))).collect::<BTreeMap<_, _>>().into_iter().collect()
            }
            Some(Object::List(items) | Object::Tuple(items)) => {
                items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect()
            }
            _ => {
                others += 1;
                continue;
            }
        };
        if depth == DEEPEST {
            bail!(LimitExceeded, "\"{name}\": dictionaries and lists lie more than {DEEPEST} deep in each other");
        }
        for (part, value) in inner {
            let name = if name.is_empty() { part } else { format!("{name}.{part}") };
            // Names that grow with every level are no more than the file can have.
            if name.len() > 4096 {
                bail!(LimitExceeded, "a tensor's name is longer than 4096 bytes");
            }
            waiting.push((name, value, depth + 1));
        }
    }
    Ok((found, others))
}

/// Everything that is wrong with tensors as one error, of the first one's kind.
fn all_wrong(wrong: Vec<(String, Error)>) -> Result<()> {
    let Some(kind) = wrong.first().map(|(_, error)| error.kind()) else { return Ok(()) };
    let list = wrong.iter().take(SHOWN).map(|(name, error)| format!("\"{name}\": {}", error.message()));
    let list = list.collect::<Vec<_>>().join("; ");
    let more = if wrong.len() > SHOWN { format!("; and {} more", wrong.len() - SHOWN) } else { String::new() };
    Err(Error::new(kind, format!("{list}{more}")))
}
