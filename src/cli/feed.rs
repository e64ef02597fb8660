//! Inputs: `NAME=FILE` on the command line, as the tensor or sequence that the model declares.

use std::path::Path;

use firebrand::data::npy;
use firebrand::data::picture::{self, PictureOptions};
use firebrand::graph::{Dim, ValueInfo, ValueType};
use firebrand::onnx::{IoDim, IoInfo};
use firebrand::package::Manifest;
use firebrand::{DataType, Feed, Session, Tensor};

use super::failure::{Failure, Outcome};
use super::{host, json, model};

/// Reads every `NAME=FILE` for `session`. Where the options are silent, pictures are made as the manifest says.
pub fn read_all(
    given: &[String],
    session: &Session,
    pictures: &PictureOptions,
    manifest: Option<&Manifest>,
) -> Outcome<Vec<(String, Feed)>> {
    let infos: Vec<&ValueInfo> = session.inputs().collect();
    let mut reader = Reader { pictures, manifest, met_a_picture: false };
    let mut feeds = Vec::with_capacity(given.len());
    for argument in given {
        let (info, value) = find(argument, &infos)?;
        feeds.push((info.name.clone(), reader.feed(info, value)?));
    }
    if pictures.any() && !reader.met_a_picture {
        return Err(Failure::input("--image options are given, but no input is a picture (.png, .jpg)"));
    }
    Ok(feeds)
}

/// Which input an argument is for, and what is given for it. A model's names may hold `=`, and
/// a model of one input needs no name.
fn find<'a, 'b>(argument: &'a str, infos: &[&'b ValueInfo]) -> Outcome<(&'b ValueInfo, &'a str)> {
    let named = |info: &&'b ValueInfo| Some((*info, argument.strip_prefix(&info.name)?.strip_prefix('=')?));
    if let Some(found) = infos.iter().filter_map(named).max_by_key(|(info, _)| info.name.len()) {
        return Ok(found);
    }
    let list = infos.iter().map(|info| format!("\"{}\" ({})", info.name, declared(info))).collect::<Vec<_>>();
    let list = if list.is_empty() { "none".to_string() } else { list.join(", ") };
    match (argument.split_once('='), infos) {
        (Some((name, _)), _) => {
            Err(Failure::input(format!("there is no input \"{name}\"; the model's inputs are: {list}")))
        }
        (None, [only]) => Ok((only, argument)),
        (None, _) => {
            Err(Failure::input(format!("--input {argument}: expected NAME=FILE; the model's inputs are: {list}")))
        }
    }
}

/// A declared type in words: `float32 [1, 3, 224, 224]`.
pub fn declared(info: &ValueInfo) -> String {
    let io = IoInfo::from(info);
    match &info.ty {
        ValueType::Tensor { shape: None, .. } => format!("{} of any shape", io.dtype),
        ValueType::Tensor { .. } => format!("{} {}", io.dtype, shape_in_words(&io.shape)),
        _ => io.dtype,
    }
}

/// `[N, 3, 224, 224]`.
pub fn shape_in_words(shape: &[IoDim]) -> String {
    let dims = shape.iter().map(|dim| match dim {
        IoDim::Size(size) => size.to_string(),
        IoDim::Name(name) => name.clone(),
    });
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

struct Reader<'a> {
    pictures: &'a PictureOptions,
    manifest: Option<&'a Manifest>,
    met_a_picture: bool,
}

impl Reader<'_> {
    fn feed(&mut self, info: &ValueInfo, value: &str) -> Outcome<Feed> {
        let name = &info.name;
        if value.is_empty() {
            return Err(Failure::input(format!("input \"{name}\": expected a file after \"{name}=\"")));
        }
        if let ValueType::Optional(inner) = &info.ty {
            let inner = ValueInfo { name: name.clone(), ty: (**inner).clone() };
            return if value == "none" { Ok(Feed::Absent) } else { self.feed(&inner, value) };
        }
        if value == "none" {
            return Err(Failure::input(format!(
                "input \"{name}\" is not optional: expected {}; a file of that name is ./none",
                declared(info)
            )));
        }
        let list = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match (&info.ty, list) {
            (ValueType::Sequence(inner), Some(list)) => {
                let ValueType::Tensor { dtype, shape } = &**inner else {
                    return Err(Failure::model(format!(
                        "input \"{name}\" is a {}, which is not supported",
                        declared(info)
                    )));
                };
                let paths = list.split(',').map(str::trim).filter(|_| !list.trim().is_empty());
                let tensors = paths.map(|path| self.tensor(name, path, *dtype, shape.as_deref()));
                Ok(Feed::Sequence(*dtype, tensors.collect::<Outcome<_>>()?))
            }
            (ValueType::Sequence(_), None) => Err(Failure::input(format!(
                "input \"{name}\": expected {}, written {name}=[a.npy,b.npy]; got the one file {value}",
                declared(info)
            ))),
            (ValueType::Tensor { dtype, shape }, _) if list.is_none() || host::exists(Path::new(value)) => {
                self.tensor(name, value, *dtype, shape.as_deref()).map(Feed::Tensor)
            }
            (ValueType::Tensor { .. }, _) => Err(Failure::input(format!(
                "input \"{name}\": expected {}, one file; got the sequence {value}",
                declared(info)
            ))),
            _ => Err(Failure::model(format!("input \"{name}\" is a {}, which is not supported", declared(info)))),
        }
    }

    /// How a picture becomes the input of this name.
    fn options(&self, name: &str) -> PictureOptions {
        let inputs = self.manifest.map_or(&[][..], |manifest| &manifest.inputs);
        let input = inputs.iter().find(|input| input.name == name);
        let own = input.and_then(|input| input.preprocessing.as_ref()?.pictures());
        self.pictures.or(&own.unwrap_or_default())
    }

    fn tensor(&mut self, name: &str, file: &str, dtype: DataType, shape: Option<&[Dim]>) -> Outcome<Tensor> {
        let path = Path::new(file);
        let bytes = model::read(path)?;
        let wrong = |message: String| Failure::input(format!("input \"{name}\": {file}: {message}"));
        match Format::of(path, &bytes) {
            Some(Format::Numpy) => {
                let tensor = npy::read(&bytes, Some(dtype)).map_err(wrong)?;
                if tensor.dtype() != dtype {
                    let failure = wrong(format!("expected {dtype}, got {}", tensor.dtype()));
                    return Err(match (tensor.dtype(), dtype) {
                        (DataType::String, _) | (_, DataType::String) => failure,
                        (DataType::Uint16, DataType::BFloat16) => {
                            failure.hint("save raw bits as such with NumPy: array.view(\"V2\")")
                        }
                        (DataType::Uint8, dtype) if dtype.is_storage() => {
                            failure.hint("save raw bits as such with NumPy: array.view(\"V1\")")
                        }
                        (_, dtype) if dtype == DataType::BFloat16 || dtype.is_storage() => {
                            let name = dtype.name().replace("float8e", "float8_e");
                            failure.hint(format!("convert it with NumPy and ml_dtypes: array.astype({name})"))
                        }
                        _ => failure.hint(format!("convert it with NumPy: array.astype(\"{dtype}\")")),
                    });
                }
                Ok(tensor)
            }
            Some(Format::Picture) => {
                self.met_a_picture = true;
                if dtype != DataType::Float32 {
                    let failure = wrong(format!("a picture becomes float32; the model expects {dtype}"));
                    return Err(failure.hint("give the pixels as a .npy file"));
                }
                let pixels = picture::decode(&bytes).map_err(wrong)?;
                self.options(name).preparation(shape).and_then(|how| picture::prepare(&pixels, &how)).map_err(wrong)
            }
            Some(Format::Json) => json::read(&bytes, dtype).map_err(wrong),
            None => Err(wrong("expected a NumPy array (.npy), a picture (.png, .jpg) or JSON (.json)".to_string())),
        }
    }
}

enum Format {
    Numpy,
    Picture,
    Json,
}

impl Format {
    /// By the file's name, else by its first bytes: what the name promises is what an error is about.
    fn of(path: &Path, bytes: &[u8]) -> Option<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("npy") => Some(Self::Numpy),
            Some("png" | "jpg" | "jpeg") => Some(Self::Picture),
            Some("json") => Some(Self::Json),
            _ if npy::is_npy(bytes) => Some(Self::Numpy),
            _ if bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xff\xd8\xff") => Some(Self::Picture),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str) -> ValueInfo {
        ValueInfo { name: name.into(), ty: ValueType::Tensor { dtype: DataType::Float32, shape: None } }
    }

    #[test]
    fn names_may_hold_an_equals_sign() {
        let (short, long) = (info("x"), info("x=y"));
        let find = |argument| find(argument, &[&short, &long]).map(|(info, value)| (info.name.as_str(), value));
        assert_eq!(find("x=y=a.npy").unwrap(), ("x=y", "a.npy"));
        assert_eq!(find("x=a=b.npy").unwrap(), ("x", "a=b.npy"));
        assert!(find("z=a.npy").is_err() && find("a.npy").is_err());
    }

    #[test]
    fn one_input_needs_no_name() {
        let only = info("pixels");
        assert_eq!(find("a.npy", &[&only]).unwrap().1, "a.npy");
    }
}
