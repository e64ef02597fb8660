//! NumPy's arrays: `.npy`, `.npz`, and pickles of arrays in dictionaries and lists.

use std::collections::HashMap;

use super::archive::Archive;
use super::pickle::{BYTES, Pickle, Value};
use super::strided::{Allowance, dense, gather};
use super::{Weights, all_wrong, leaves};
use crate::error::{Error, Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};

pub const MAGIC: &[u8] = b"\x93NUMPY";

/// What a pickle of arrays may name.
const NAMES: [&str; 11] = [
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "_codecs.encode",
    "collections.OrderedDict",
    "collections.Counter",
];

/// Whether a name is one of those that NumPy's own pickles have; the rebuilding of nothing else is behind them.
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || BYTES.contains(&name)
}

/// Whether a zip file is one of arrays.
pub fn is_archive(archive: &Archive<'_>) -> bool {
    let mut names = archive.names().peekable();
    names.peek().is_some() && names.all(|name| name.ends_with(".npy"))
}

/// The arrays of a file.
///
/// Errors: those of [`super::read`].
pub fn read(bytes: &[u8], notes: &mut Vec<String>) -> Result<Weights> {
    if bytes.starts_with(MAGIC) {
        return Ok(Weights::from([("array".to_string(), npy(bytes)?)]));
    }
    if bytes.starts_with(b"PK") {
        let mut archive = Archive::open(bytes)?;
        let names: Vec<String> = archive.names().map(str::to_string).collect();
        let mut weights = Weights::new();
        let mut wrong = Vec::new();
        for name in names {
            let key = name.strip_suffix(".npy").unwrap_or(&name).to_string();
            match archive.read(&name).and_then(|member| npy(&member)) {
                Ok(tensor) => _ = weights.insert(key, tensor),
                Err(error) => wrong.push((key, error)),
            }
        }
        all_wrong(wrong)?;
        return Ok(weights);
    }
    pickled(bytes, notes)
}

fn pickled(bytes: &[u8], notes: &mut Vec<String>) -> Result<Weights> {
    ensure!(
        matches!(bytes.first(), Some(0x80 | b'(' | b'c' | b'}' | b']')),
        NotAModel,
        "not a pickle of NumPy arrays, nor a .npy or .npz file"
    );
    let pickle = Pickle::read(bytes, 0)?;
    pickle.allow(
        is_known,
        "save the arrays alone, numpy.savez(file, **arrays), or for PyTorch torch.save(model.state_dict(), file)",
    )?;
    let (found, others) = leaves(&pickle, &pickle.value, |value| is_array(&pickle, value))?;
    let mut allowance = Allowance::of(bytes.len());
    let mut made: HashMap<usize, Tensor> = HashMap::new();
    let mut weights = Weights::new();
    let mut wrong = Vec::new();
    for (name, index) in found {
        let tensor = match made.get(&index) {
            Some(tensor) => Ok(tensor.clone()),
            None => array(&pickle, &Value::Object(index), &mut allowance),
        };
        match tensor {
            Ok(tensor) => {
                made.insert(index, tensor.clone());
                weights.insert(name, tensor);
            }
            Err(error) => wrong.push((name, error)),
        }
    }
    all_wrong(wrong)?;
    if others > 0 {
        notes.push(format!("{others} values that are no arrays were left out"));
    }
    Ok(weights)
}

fn is_array(pickle: &Pickle<'_>, value: &Value) -> bool {
    pickle
        .call(value)
        .is_some_and(|(callee, _, _)| callee.ends_with("._reconstruct") || callee.ends_with("._frombuffer"))
}

fn array(pickle: &Pickle<'_>, value: &Value, allowance: &mut Allowance) -> Result<Tensor> {
    let strange = || Error::new(crate::ErrorKind::InvalidModel, "an array whose parts are not where NumPy puts them");
    let (callee, arguments, state) = pickle.call(value).ok_or_else(strange)?;
    let (data, dtype, shape, fortran) = if callee.ends_with("_frombuffer") {
        let [data, dtype, shape, order] = arguments else { return Err(strange()) };
        (data, dtype, shape, pickle.text(order) == Some("F"))
    } else {
        // The array has its parts in its state, behind a version that old ones lack.
        let state = state.and_then(|state| pickle.items(state)).ok_or_else(strange)?;
        let [.., shape, dtype, Value::Bool(fortran), data] = state else { return Err(strange()) };
        (data, dtype, shape, *fortran)
    };
    let shape = pickle.sizes(shape).ok_or_else(strange)?;
    let Some(("numpy.dtype", [code, ..], state)) = pickle.call(dtype) else { return Err(strange()) };
    let code = pickle.text(code).ok_or_else(strange)?;
    let order = state.and_then(|state| pickle.items(state)).and_then(|state| state.get(1)).and_then(|o| pickle.text(o));
    let item = Item::parse(code, order.unwrap_or("<"))?;
    let Some(data) = pickle.raw(data) else {
        bail!(Unsupported, "{code} {shape:?}: its elements are no bytes: only arrays of numbers can be read")
    };
    item.tensor(data, shape, fortran, allowance)
}

/// What one element is.
struct Item {
    dtype: DataType,
    big_endian: bool,
}

impl Item {
    /// `code` is NumPy's letter and size (`f4`), with a byte order before it or apart from it.
    fn parse(code: &str, order: &str) -> Result<Self> {
        let bare = code.trim_start_matches(['<', '>', '=', '|']);
        let big_endian = code.starts_with('>') || order == ">";
        let dtype = match bare {
            "f2" => DataType::Float16,
            "f4" => DataType::Float32,
            "f8" => DataType::Float64,
            "i1" => DataType::Int8,
            "i2" => DataType::Int16,
            "i4" => DataType::Int32,
            "i8" => DataType::Int64,
            "u1" => DataType::Uint8,
            "u2" => DataType::Uint16,
            "u4" => DataType::Uint32,
            "u8" => DataType::Uint64,
            "b1" | "?" => DataType::Bool,
            _ => bail!(Unsupported, "NumPy's dtype \"{code}\" cannot be read: expected numbers"),
        };
        Ok(Self { dtype, big_endian })
    }

    fn tensor(&self, data: &[u8], shape: Vec<usize>, fortran: bool, allowance: &mut Allowance) -> Result<Tensor> {
        let size = self.dtype.size();
        let expected = element_count(&shape)?.saturating_mul(size);
        ensure!(
            data.len() == expected,
            DataLengthMismatch,
            "{} {shape:?} takes {expected} bytes, there are {}",
            self.dtype,
            data.len()
        );
        let mut bytes = gather(data, size, 0, &shape, &dense(&shape, fortran), allowance)?;
        if self.big_endian {
            bytes.chunks_exact_mut(size.max(1)).for_each(<[u8]>::reverse);
        }
        Tensor::from_bytes(self.dtype, shape, bytes)
    }
}

/// The array of a `.npy` file: magic, version, the header's length, the header (a Python dictionary), the elements.
fn npy(bytes: &[u8]) -> Result<Tensor> {
    let cut = || Error::new(crate::ErrorKind::Truncated, "the .npy header is cut short");
    ensure!(bytes.starts_with(MAGIC), InvalidModel, "not a .npy file");
    let version = bytes.get(6).copied().ok_or_else(cut)?;
    let rest = bytes.get(8..).ok_or_else(cut)?;
    let (length, rest) = match version {
        1 => rest.split_first_chunk::<2>().map(|(l, rest)| (usize::from(u16::from_le_bytes(*l)), rest)),
        2 | 3 => rest.split_first_chunk::<4>().map(|(l, rest)| (u32::from_le_bytes(*l) as usize, rest)),
        _ => bail!(Unsupported, "a .npy file of version {version}; 1 to 3 can be read"),
    }
    .ok_or_else(cut)?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = String::from_utf8_lossy(header);
    let field = |key: &str| header.split_once(key).map(|(_, value)| value.trim_start_matches([' ', ':']).trim_start());
    let strange =
        || Error::new(crate::ErrorKind::InvalidModel, format!("the .npy header {:?} is not NumPy's", header.trim()));
    let code = field("'descr'").and_then(|v| v.strip_prefix('\'')?.split('\'').next()).ok_or_else(strange)?;
    let fortran = field("'fortran_order'").ok_or_else(strange)?.starts_with("True");
    let shape = field("'shape'").and_then(|v| v.strip_prefix('(')?.split(')').next()).ok_or_else(strange)?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>();
    let shape = shape.ok_or_else(strange)?;
    Item::parse(code, "<")?.tensor(data, shape, fortran, &mut Allowance::of(bytes.len()))
}
