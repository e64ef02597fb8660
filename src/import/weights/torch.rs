//! PyTorch's checkpoints: the zip files of 1.6 and later, and the row of pickles before. Both hold a pickle whose
//! tensors are views of storages that lie apart.

use std::collections::{BTreeMap, HashMap};

use super::archive::Archive;
use super::pickle::{Object, Pickle, Value};
use super::strided::{Allowance, gather};
use super::{Weights, all_wrong, leaves, numpy};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};

/// How the format before 1.6 begins: the pickle of a number, 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const LEGACY_PROTOCOL: i64 = 1001;

const REMEDY: &str =
    "save the weights alone, torch.save(model.state_dict(), file), or export the model with torch.onnx.export";

/// The keys under which training scripts keep the weights among other things.
const NESTED: [&str; 6] = ["state_dict", "model_state_dict", "model", "module", "net", "params"];

/// Whether a zip file is PyTorch's.
pub fn is_archive(archive: &Archive<'_>) -> bool {
    archive.names().any(|name| matches!(name.rsplit('/').next(), Some("data.pkl" | "constants.pkl")))
}

/// Whether a file begins as PyTorch's did before 1.6.
pub fn is_legacy(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, _, rest @ ..] if rest.starts_with(MAGIC))
}

/// The weights of a checkpoint.
///
/// Errors: those of [`super::read`].
pub fn read(bytes: &[u8], notes: &mut Vec<String>) -> Result<Weights> {
    match bytes.starts_with(b"PK") {
        true => zipped(bytes, notes),
        false => legacy(bytes, notes),
    }
}

fn zipped(bytes: &[u8], notes: &mut Vec<String>) -> Result<Weights> {
    let mut archive = Archive::open(bytes)?;
    let names: Vec<&str> = archive.names().collect();
    if let Some(name) = names.iter().find(|name| name.ends_with("constants.pkl") || name.contains("/code/")) {
        bail!(Unsupported, "a TorchScript archive (it has \"{name}\"), whose program cannot be read: {REMEDY}");
    }
    let Some(name) =
        names.iter().find(|name| **name == "data.pkl" || name.ends_with("/data.pkl")).map(|n| n.to_string())
    else {
        bail!(InvalidModel, "the archive has no data.pkl: it is none of PyTorch's")
    };
    let folder = name.strip_suffix("data.pkl").unwrap_or_default().to_string();
    let order = format!("{folder}byteorder");
    let big_endian = names.contains(&order.as_str()) && archive.read(&order)?.starts_with(b"big");
    ensure!(!big_endian, Unsupported, "the checkpoint was saved on a big-endian machine; expected little-endian data");
    let data = archive.read(&name)?;
    let pickle = Pickle::read(&data, 0)?;
    let mut stored = |key: &str| archive.read(&format!("{folder}data/{key}"));
    tensors(&pickle, bytes.len(), &mut stored, notes)
}

fn legacy(bytes: &[u8], notes: &mut Vec<String>) -> Result<Weights> {
    ensure!(is_legacy(bytes), NotAModel, "not a PyTorch checkpoint: {REMEDY}");
    let magic = Pickle::read(bytes, 0)?;
    let protocol = Pickle::read(bytes, magic.end)?;
    ensure!(
        protocol.int(&protocol.value) == Some(LEGACY_PROTOCOL),
        Unsupported,
        "a checkpoint of another protocol than {LEGACY_PROTOCOL}"
    );
    let system = Pickle::read(bytes, protocol.end)?;
    ensure!(
        !matches!(system.entry(&system.value, "little_endian"), Some(Value::Bool(false))),
        Unsupported,
        "the checkpoint was saved on a big-endian machine; expected little-endian data"
    );
    let pickle = Pickle::read(bytes, system.end)?;
    // Before the storages' places, so that names are told first.
    pickle.allow(is_known, REMEDY)?;
    let keys = Pickle::read(bytes, pickle.end)?;
    let mut sizes = HashMap::new();
    for object in &pickle.objects {
        if let Object::Outside(id) = object
            && let Some(storage) = Storage::parse(&pickle, id)
        {
            sizes.insert(storage.key, (storage.dtype?, storage.count));
        }
    }
    let mut places = BTreeMap::new();
    let mut at = keys.end;
    for key in keys.items(&keys.value).unwrap_or_default() {
        let Some(key) = keys.text(key) else { bail!(InvalidModel, "a storage's key is no text") };
        let Some(&(dtype, count)) = sizes.get(key) else {
            bail!(InvalidModel, "storage \"{key}\" belongs to no tensor, so that its length is not known")
        };
        let cut = || {
            Error::new(
                ErrorKind::Truncated,
                format!("storage \"{key}\" reaches past the end of the file: it is cut short"),
            )
        };
        let said = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(cut)?;
        ensure!(
            usize::try_from(i64::from_le_bytes(*said)) == Ok(count),
            InvalidModel,
            "storage \"{key}\" has {} elements, its tensors expect {count}",
            i64::from_le_bytes(*said)
        );
        let end = count.checked_mul(dtype.size()).and_then(|length| length.checked_add(at + 8));
        let end = end.filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        places.insert(key.to_string(), at + 8..end);
        at = end;
    }
    let mut stored = |key: &str| match places.get(key) {
        Some(place) => Ok(bytes.get(place.clone()).unwrap_or_default().to_vec()),
        None => bail!(InvalidModel, "storage \"{key}\" is not in the file"),
    };
    tensors(&pickle, bytes.len(), &mut stored, notes)
}

/// The dtype of a storage's class or of a tensor, by PyTorch's name.
fn dtype(name: &str) -> Option<DataType> {
    Some(match name.strip_prefix("torch.")?.trim_start_matches("cuda.") {
        "DoubleStorage" | "float64" | "double" => DataType::Float64,
        "FloatStorage" | "float32" | "float" => DataType::Float32,
        "HalfStorage" | "float16" | "half" => DataType::Float16,
        "BFloat16Storage" | "bfloat16" => DataType::BFloat16,
        "LongStorage" | "int64" | "long" => DataType::Int64,
        "IntStorage" | "int32" | "int" => DataType::Int32,
        "ShortStorage" | "int16" | "short" => DataType::Int16,
        "CharStorage" | "int8" => DataType::Int8,
        // Bytes without a type of their own: their tensors say what they are.
        "ByteStorage" | "uint8" | "storage.UntypedStorage" => DataType::Uint8,
        "BoolStorage" | "bool" => DataType::Bool,
        "uint16" => DataType::Uint16,
        "uint32" => DataType::Uint32,
        "uint64" => DataType::Uint64,
        "float8_e4m3fn" => DataType::Float8E4M3FN,
        "float8_e4m3fnuz" => DataType::Float8E4M3FNUZ,
        "float8_e5m2" => DataType::Float8E5M2,
        "float8_e5m2fnuz" => DataType::Float8E5M2FNUZ,
        _ => return None,
    })
}

const REBUILD: [&str; 5] = [
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
];

fn is_known(name: &str) -> bool {
    let opaque = ["torch.Size", "torch.device", "torch.complex64", "torch.complex128", "torch.strided"];
    REBUILD.contains(&name) || opaque.contains(&name) || numpy::is_known(name) || dtype(name).is_some()
}

/// What a persistent id says.
struct Storage {
    key: String,
    dtype: Result<DataType>,
    /// In elements.
    count: usize,
    /// Where the storage that is meant begins in the one that is stored.
    offset: usize,
}

impl Storage {
    /// `("storage", class, key, device, count)`, before 1.6 with a view's `(key, offset, count)` or none behind.
    fn parse(pickle: &Pickle<'_>, id: &Value) -> Option<Self> {
        let [kind, class, key, _, count, view @ ..] = pickle.items(id)? else { return None };
        if pickle.text(kind) != Some("storage") {
            return None;
        }
        let class = pickle.name(class)?;
        let unsupported = || Error::new(ErrorKind::Unsupported, format!("a storage of class {class} cannot be read"));
        let offset = match view.first().and_then(|view| pickle.items(view)) {
            Some([_, offset, _]) => pickle.size(offset)?,
            _ => 0,
        };
        Some(Self {
            key: pickle.text(key)?.to_string(),
            dtype: dtype(class).ok_or_else(unsupported),
            count: pickle.size(count)?,
            offset,
        })
    }
}

/// A tensor as a view of a storage.
struct View {
    dtype: DataType,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// What a record of a tensor's making says: its storage's key and the view.
fn view(pickle: &Pickle<'_>, value: &Value) -> Result<(String, View)> {
    let strange = || Error::new(ErrorKind::InvalidModel, "a tensor whose parts are not where PyTorch puts them");
    let mut value = value;
    // A parameter is a tensor in another guise; more than one around another is none of PyTorch's.
    for _ in 0..2 {
        match pickle.call(value) {
            Some((callee, [inner, ..], _)) if callee.contains("_rebuild_parameter") => value = inner,
            _ => break,
        }
    }
    let (callee, arguments, _) = pickle.call(value).ok_or_else(strange)?;
    ensure!(callee.contains("_rebuild_tensor"), InvalidModel, "a parameter around something else than a tensor");
    let [storage, offset, shape, strides, more @ ..] = arguments else { return Err(strange()) };
    let Some(Object::Outside(id)) = pickle.object(storage) else { return Err(strange()) };
    let storage = Storage::parse(pickle, id).ok_or_else(strange)?;
    // Version 3 tells the dtype, of a storage without one.
    let dtype = match (callee.ends_with("_v3"), more) {
        (true, [_, _, told, ..]) => {
            let name = pickle.name(told).ok_or_else(strange)?;
            dtype(name).ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("dtype {name} cannot be read")))?
        }
        _ => storage.dtype?,
    };
    let offset = pickle.size(offset).and_then(|offset| offset.checked_add(storage.offset)).ok_or_else(strange)?;
    let shape = pickle.sizes(shape).ok_or_else(strange)?;
    let strides = pickle.sizes(strides).ok_or_else(strange)?;
    Ok((storage.key, View { dtype, offset, shape, strides }))
}

fn is_tensor(pickle: &Pickle<'_>, value: &Value) -> bool {
    pickle.call(value).is_some_and(|(callee, _, _)| REBUILD.contains(&callee))
}

/// Where the weights are among what else training scripts save.
fn weights_of<'v>(pickle: &'v Pickle<'_>, notes: &mut Vec<String>) -> &'v Value {
    let mut value = &pickle.value;
    for _ in 0..NESTED.len() {
        let entries = pickle.entries(value).unwrap_or_default();
        if entries.iter().any(|(_, value)| is_tensor(pickle, value)) {
            break;
        }
        let nested = NESTED.iter().find_map(|key| {
            let inner = pickle.entry(value, key)?;
            pickle.entries(inner).map(|_| (key, inner))
        });
        let Some((key, inner)) = nested else { break };
        notes.push(format!("the weights are those under \"{key}\""));
        value = inner;
    }
    value
}

/// The weights of a checkpoint's pickle; `stored` gives a storage's bytes by its key.
fn tensors(
    pickle: &Pickle<'_>,
    length: usize,
    stored: &mut dyn FnMut(&str) -> Result<Vec<u8>>,
    notes: &mut Vec<String>,
) -> Result<Weights> {
    pickle.allow(is_known, REMEDY)?;
    let root = weights_of(pickle, notes);
    let (found, others) = leaves(pickle, root, |value| is_tensor(pickle, value))?;
    // By storage, so that each is in memory once and not for longer than it is needed.
    let mut by_storage: BTreeMap<String, BTreeMap<usize, View>> = BTreeMap::new();
    let mut wrong: BTreeMap<usize, Error> = BTreeMap::new();
    for &index in found.values() {
        match view(pickle, &Value::Object(index)) {
            Ok((key, view)) => _ = by_storage.entry(key).or_default().insert(index, view),
            Err(error) => _ = wrong.insert(index, error),
        }
    }
    let mut made: HashMap<usize, Tensor> = HashMap::new();
    let mut allowance = Allowance::of(length);
    for (key, views) in by_storage {
        // What has no elements has no storage either.
        let bytes = match views.values().all(|view| element_count(&view.shape) == Ok(0)) {
            true => Ok(Vec::new()),
            false => stored(&key),
        };
        for (index, View { dtype, offset, shape, strides }) in views {
            let tensor = match &bytes {
                Ok(bytes) => gather(bytes, dtype.size(), offset, &shape, &strides, &mut allowance)
                    .and_then(|bytes| Tensor::from_bytes(dtype, shape, bytes)),
                Err(error) => Err(error.clone()),
            };
            match tensor {
                Ok(tensor) => _ = made.insert(index, tensor),
                Err(error) => _ = wrong.insert(index, error),
            }
        }
    }
    let of = |(name, index): (&String, &usize)| wrong.get(index).map(|error| (name.clone(), error.clone()));
    all_wrong(found.iter().filter_map(of).collect())?;
    if others > 0 {
        notes.push(format!("{others} values that are no tensors were left out"));
    }
    let weights: Weights =
        found.into_iter().filter_map(|(name, index)| Some((name, made.get(&index)?.clone()))).collect();
    // What DataParallel puts before every name.
    if !weights.is_empty() && weights.keys().all(|name| name.starts_with("module.")) {
        notes.push("\"module.\" was taken off all names".to_string());
        return Ok(weights.into_iter().map(|(name, tensor)| (name["module.".len()..].to_string(), tensor)).collect());
    }
    Ok(weights)
}
