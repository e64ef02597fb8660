//! HDF5 files as Keras writes them: groups, attributes of strings, arrays of numbers. Every size is held against the
//! file's before anything is read.

use hdf5_pure::{AttrValue, DType, File, Group};

use super::array::Array;
use crate::error::{Result, bail, ensure};

/// The first bytes of every HDF5 file that Keras writes.
pub const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// How often larger than the file its unpacked arrays may be; only hostile ones are.
const MOST_UNPACKED: u64 = 256;

/// An open file.
pub struct Hdf5 {
    file: File,
    size: u64,
}

impl Hdf5 {
    /// Opens the file in `bytes`.
    ///
    /// Errors: `NotAModel`, `InvalidModel`.
    pub fn open(bytes: Vec<u8>) -> Result<Self> {
        let size = bytes.len() as u64;
        ensure!(bytes.starts_with(SIGNATURE), NotAModel, "expected an HDF5 file, got other bytes");
        match File::from_bytes(bytes) {
            Ok(file) => Ok(Self { file, size }),
            Err(error) => bail!(InvalidModel, "the HDF5 file cannot be read: {error}; it is damaged or cut short"),
        }
    }

    fn group(&self, path: &str) -> Result<Group> {
        if path.is_empty() {
            return Ok(self.file.root());
        }
        match self.file.group(path) {
            Ok(group) => Ok(group),
            Err(error) => bail!(InvalidModel, "the HDF5 file has no group \"{path}\": {error}"),
        }
    }

    /// Whether there is a group at `path`.
    pub fn has_group(&self, path: &str) -> bool {
        self.file.group(path).is_ok()
    }

    /// Whether there is an array at `path`.
    pub fn has_array(&self, path: &str) -> bool {
        self.file.dataset(path).is_ok()
    }

    /// The strings of the attribute `name` of the group at `path`; none where there is no such attribute. Lists over
    /// the size of an attribute are in several, `name0`, `name1` and so on.
    pub fn strings(&self, path: &str, name: &str) -> Result<Option<Vec<String>>> {
        let attributes = match self.group(path)?.attrs() {
            Ok(attributes) => attributes,
            Err(error) => bail!(
                InvalidModel,
                "the attributes of \"/{path}\" cannot be read: {error}; the file is damaged or cut short"
            ),
        };
        if let Some(value) = attributes.get(name) {
            return Ok(Some(texts(value)));
        }
        let parts = (0..).map_while(|index| attributes.get(&format!("{name}{index}")));
        let all: Vec<String> = parts.flat_map(texts).collect();
        Ok(if all.is_empty() { None } else { Some(all) })
    }

    /// The array at `path`, as float32.
    ///
    /// Errors: `InvalidModel`, `LimitExceeded`.
    pub fn array(&self, path: &str) -> Result<Array> {
        let wrong = |error: &dyn std::fmt::Display| -> crate::Error {
            let text = format!("array \"{path}\" cannot be read: {error}; the file is damaged or cut short");
            crate::Error::new(crate::ErrorKind::InvalidModel, text)
        };
        let dataset = self.file.dataset(path).map_err(|e| wrong(&e))?;
        let sizes = dataset.shape().map_err(|e| wrong(&e))?;
        let element = dataset.element_size().map_err(|e| wrong(&e))?;
        let packed = !dataset.filters().is_empty();
        let most = if packed { self.size.saturating_mul(MOST_UNPACKED) } else { self.size };
        let bytes = sizes.iter().try_fold(element.max(1), |bytes, &size| bytes.checked_mul(size.max(1)));
        ensure!(
            sizes.len() <= 16 && bytes.is_some_and(|bytes| bytes <= most),
            LimitExceeded,
            "array \"{path}\" of shape {sizes:?} is larger than the file, which has {} bytes",
            self.size
        );
        if let Ok(Some(chunk)) = dataset.chunk_shape() {
            let bytes = chunk.iter().try_fold(element.max(1), |bytes, &size| bytes.checked_mul(size.max(1)));
            ensure!(
                bytes.is_some_and(|bytes| bytes <= most),
                LimitExceeded,
                "array \"{path}\" is in pieces of {chunk:?}, which are larger than the file"
            );
        }
        let shape: Vec<usize> = sizes.iter().map(|&size| size as usize).collect();
        let data = match dataset.dtype().map_err(|e| wrong(&e))? {
            DType::String | DType::VariableLengthString | DType::Compound(_) | DType::ObjectReference => {
                bail!(InvalidModel, "array \"{path}\" holds no numbers")
            }
            DType::F32 => dataset.read_f32().map_err(|e| wrong(&e))?,
            _ => dataset.read_f64().map_err(|e| wrong(&e))?.into_iter().map(|v| v as f32).collect(),
        };
        Array::new(shape, data)
    }
}

fn texts(value: &AttrValue) -> Vec<String> {
    let clean = |text: &str| text.trim_end_matches('\0').to_string();
    if let Some(text) = value.as_str() {
        return vec![clean(text)];
    }
    value.as_strings().map(|texts| texts.iter().map(|text| clean(text.as_ref())).collect()).unwrap_or_default()
}
