//! Inputs: `NAME=FILE` on the command line, as the tensor or sequence that the model declares.

use std::path::Path;

use firebrand::data::npy;
use firebrand::data::picture::{self, Color, Fit, Layout, Preparation};
use firebrand::graph::{Dim, ValueInfo, ValueType};
use firebrand::onnx::{IoDim, IoInfo};
use firebrand::{DataType, Feed, Session, Tensor};

use super::failure::{Failure, Outcome};
use super::{json, model};

/// How pictures become tensors; the defaults are those of `Tensor.fromImage` in JavaScript.
#[derive(clap::Args)]
#[command(next_help_heading = "Pictures as inputs")]
pub struct PictureArguments {
    /// Height and width in pixels, or one number for both [default: what the model declares, else the picture's own]
    #[arg(long, value_name = "H[xW]", value_parser = parse_size)]
    image_size: Option<(usize, usize)>,
    /// Where the channels are [default: what the model's declared shape says, else nchw]
    #[arg(long, value_enum, ignore_case = true)]
    image_layout: Option<Layout>,
    /// The order of the channels [default: rgb]
    #[arg(long, value_enum, ignore_case = true)]
    image_color: Option<Color>,
    /// Subtracted from each pixel (0 to 255): one number, or one per channel in the order of the result [default: 0]
    #[arg(long, value_name = "A[,B,C]", value_parser = parse_per_channel, allow_hyphen_values = true)]
    image_mean: Option<[f64; 3]>,
    /// Multiplied after the mean is subtracted: one number, or one per channel [default: 1/255]
    #[arg(long, value_name = "A[,B,C]", value_parser = parse_per_channel, allow_hyphen_values = true)]
    image_scale: Option<[f64; 3]>,
    /// Where the proportions differ [default: cover]
    #[arg(long, value_enum, ignore_case = true)]
    image_fit: Option<Fit>,
}

/// Canvases and tensors end well below this; it keeps a slip of the hand from filling memory.
const LARGEST_SIDE: usize = 32_768;
const MOST_PIXELS: usize = 1 << 26;

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.trim().parse::<usize>().ok().filter(|side| (1..=LARGEST_SIDE).contains(side));
    let size = match text.split_once(['x', 'X', '×']) {
        Some((height, width)) => side(height).zip(side(width)),
        None => side(text).map(|side| (side, side)),
    };
    let expected = format!("expected a height in pixels, or heightxwidth, each from 1 to {LARGEST_SIDE}");
    size.filter(|(height, width)| height * width <= MOST_PIXELS).ok_or(expected)
}

fn parse_per_channel(text: &str) -> Result<[f64; 3], String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers = text.split(',').map(number).collect::<Option<Vec<f64>>>();
    match numbers.as_deref() {
        Some(&[one]) => Ok([one; 3]),
        Some(&[a, b, c]) => Ok([a, b, c]),
        _ => Err("expected one number, or three with commas between them".to_string()),
    }
}

impl PictureArguments {
    fn any(&self) -> bool {
        self.image_size.is_some()
            || self.image_layout.is_some()
            || self.image_color.is_some()
            || self.image_mean.is_some()
            || self.image_scale.is_some()
            || self.image_fit.is_some()
    }

    /// What the arguments say, and, where they are silent, what the declared shape says.
    fn preparation(&self, declared: Option<&[Dim]>) -> Preparation {
        let three = |dim: &Dim| *dim == Dim::Size(3);
        let layout = self.image_layout.unwrap_or(match declared {
            Some([_, c, _, last]) if three(last) && !three(c) => Layout::Nhwc,
            _ => Layout::Nchw,
        });
        let size = self.image_size.or(match (declared, layout) {
            (Some([_, _, Dim::Size(height), Dim::Size(width)]), Layout::Nchw)
            | (Some([_, Dim::Size(height), Dim::Size(width), _]), Layout::Nhwc) => Some((*height, *width)),
            _ => None,
        });
        Preparation {
            size,
            layout,
            color: self.image_color.unwrap_or(Color::Rgb),
            mean: self.image_mean.unwrap_or([0.0; 3]),
            scale: self.image_scale.unwrap_or([1.0 / 255.0; 3]),
            fit: self.image_fit.unwrap_or(Fit::Cover),
        }
    }
}

/// Reads every `NAME=FILE` for `session`.
pub fn read_all(given: &[String], session: &Session, pictures: &PictureArguments) -> Outcome<Vec<(String, Feed)>> {
    let infos: Vec<&ValueInfo> = session.inputs().collect();
    let mut reader = Reader { pictures, met_a_picture: false };
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
    pictures: &'a PictureArguments,
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
            (ValueType::Tensor { dtype, shape }, _) if list.is_none() || Path::new(value).exists() => {
                self.tensor(name, value, *dtype, shape.as_deref()).map(Feed::Tensor)
            }
            (ValueType::Tensor { .. }, _) => Err(Failure::input(format!(
                "input \"{name}\": expected {}, one file; got the sequence {value}",
                declared(info)
            ))),
            _ => Err(Failure::model(format!("input \"{name}\" is a {}, which is not supported", declared(info)))),
        }
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
                picture::prepare(&pixels, &self.pictures.preparation(shape)).map_err(wrong)
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

    #[test]
    fn sizes_and_means_are_parsed() {
        assert_eq!(parse_size("224"), Ok((224, 224)));
        assert_eq!(parse_size("224x320"), Ok((224, 320)));
        for wrong in ["0", "-1", "x", "2x", "2.5", "40000", "32768", "1x2x3"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_per_channel("-1.5"), Ok([-1.5; 3]));
        assert_eq!(parse_per_channel("1, 2,3"), Ok([1.0, 2.0, 3.0]));
        for wrong in ["", "1,2", "1,2,3,4", "a", "nan"] {
            assert!(parse_per_channel(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_declared_shape_fills_in() {
        let silent = PictureArguments {
            image_size: None,
            image_layout: None,
            image_color: None,
            image_mean: None,
            image_scale: None,
            image_fit: None,
        };
        let (n, s) = (|| Dim::Name("?".into()), Dim::Size);
        let nhwc = silent.preparation(Some(&[n(), s(128), s(160), s(3)]));
        assert_eq!((nhwc.layout, nhwc.size), (Layout::Nhwc, Some((128, 160))));
        let nchw = silent.preparation(Some(&[s(1), s(3), s(224), s(192)]));
        assert_eq!((nchw.layout, nchw.size), (Layout::Nchw, Some((224, 192))));
        let open = silent.preparation(Some(&[s(1), s(3), n(), n()]));
        assert_eq!((open.layout, open.size), (Layout::Nchw, None));
        assert_eq!(silent.preparation(None).scale, [1.0 / 255.0; 3]);
    }
}
