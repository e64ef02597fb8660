//! Samples out of files: a folder of pictures, NumPy arrays, a table.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use bytes::Bytes;

use super::npy;
use super::picture::{self, PictureOptions};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Dim, Tensor, ValueInfo, ValueType};
use crate::optimize::calibrate::Samples;
use crate::runtime::Feed;

/// Files by name, wherever they are.
pub trait Files {
    /// What errors call all of them together: a folder's path, an option's name.
    fn place(&self) -> String;

    /// The names of all files, folders before them with `/`, in any order.
    ///
    /// Errors: `Io`.
    fn names(&self) -> Result<Vec<String>>;

    /// The bytes of one.
    ///
    /// Errors: `Io`.
    fn read(&self, name: &str) -> Result<Bytes>;
}

/// What is known of the samples before they are read.
#[derive(Debug, Clone, Default)]
pub struct DatasetOptions {
    /// How pictures, and arrays of bytes that stand for pixels, become float32.
    pub pictures: PictureOptions,
    /// The label of each sample, where a file of its own has them.
    pub labels: Option<Vec<i64>>,
    /// The names of the classes in the order of the model's output: folders are named after them.
    pub classes: Option<Vec<String>>,
}

/// An unpacked `.npz` may take this much; more is hostile, or better cut into parts.
const MOST_BYTES: u64 = 1 << 32;

/// Samples, each read when it is asked for.
pub struct Dataset<'a> {
    files: &'a dyn Files,
    inputs: Vec<ValueInfo>,
    options: DatasetOptions,
    content: Content,
    labels: Option<Vec<i64>>,
    /// How many folders there are, where their order alone makes the labels.
    ordered_folders: Option<usize>,
}

enum Content {
    /// The names of pictures.
    Pictures(Vec<String>),
    /// An array for each input, samples along the first axis.
    Arrays(BTreeMap<String, Tensor>, usize),
}

impl<'a> Dataset<'a> {
    /// Looks at `files`, for a model of `inputs`:
    ///
    /// - pictures (.png, .jpg), for a model with one input. Where all lie in folders, a folder is a class: its number, a
    ///   name of `classes`, or else its place among all in alphabetical order;
    /// - one `.npz` with an array for each input, by its name, and at will `labels` (or `y`);
    /// - one `.npy`, for a model with one input;
    /// - one `.csv` with a header, for a model with one input of rows; a column `label`, `class`, `target` or `y` is the label.
    ///
    /// Errors: `InvalidArgument` for anything else, and for data that do not fit; `Io`.
    pub fn open(files: &'a dyn Files, inputs: Vec<ValueInfo>, options: DatasetOptions) -> Result<Self> {
        Self::read(files, inputs, options).map_err(|error| error.in_file(files.place()))
    }

    fn read(files: &'a dyn Files, inputs: Vec<ValueInfo>, options: DatasetOptions) -> Result<Self> {
        let mut names = files.names()?;
        names.retain(|name| !name.split('/').any(|part| part.starts_with('.')));
        names.sort_unstable();
        let ending =
            |name: &str| name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        let pictures: Vec<String> =
            names.iter().filter(|name| matches!(ending(name).as_str(), "png" | "jpg" | "jpeg")).cloned().collect();
        let mut ordered_folders = None;
        let (content, found) = if !pictures.is_empty() {
            only_input(&inputs)?;
            let (labels, ordered) = folder_labels(&pictures, options.classes.as_deref())?;
            ordered_folders = ordered.filter(|_| options.labels.is_none());
            (Content::Pictures(pictures), labels)
        } else {
            let Some(name) = names.iter().find(|name| matches!(ending(name).as_str(), "npz" | "npy" | "csv")) else {
                bail!(
                    InvalidArgument,
                    "there are no samples: expected pictures (.png, .jpg), a .npz, .npy or .csv file, got {}",
                    if names.is_empty() { "no file".to_string() } else { names.join(", ") }
                );
            };
            let (bytes, kind) = (files.read(name)?, ending(name));
            // Where there is no other file, the place says its name.
            let name = if names.len() == 1 && files.place().ends_with(name.as_str()) { "" } else { name };
            let (arrays, labels) = match kind.as_str() {
                "npz" => npz(&bytes)?,
                "npy" => (BTreeMap::from([(only_input(&inputs)?.name.clone(), numpy(name, &bytes)?)]), None),
                _ => csv(name, &bytes, only_input(&inputs)?)?,
            };
            let count = check_arrays(&arrays, &inputs)?;
            (Content::Arrays(arrays, count), labels)
        };
        let labels = options.labels.clone().or(found);
        let dataset = Self { files, inputs, options, content, labels, ordered_folders };
        ensure!(!dataset.is_empty(), InvalidArgument, "there are no samples in the data");
        if let Some(labels) = &dataset.labels {
            ensure!(
                labels.len() == dataset.len(),
                InvalidArgument,
                "there are {} labels for {} samples",
                labels.len(),
                dataset.len()
            );
        }
        Ok(dataset)
    }

    /// The right answer of each sample, where it is known.
    pub fn labels(&self) -> Option<&[i64]> {
        self.labels.as_deref()
    }

    /// Checks the labels against a model that gives `scores` of them.
    ///
    /// Errors: `InvalidArgument`.
    pub fn check_labels(&self, scores: usize) -> Result<()> {
        self.labels_fit(scores).map_err(|error| error.in_file(self.files.place()))
    }

    fn labels_fit(&self, scores: usize) -> Result<()> {
        if let Some(folders) = self.ordered_folders.filter(|&folders| folders != scores) {
            bail!(
                InvalidArgument,
                "expected {scores} folders, one for each of the model's scores in alphabetical order, got {folders}: \
                 name the classes (classes), or call the folders by their numbers"
            );
        }
        let wrong = |label: &&i64| usize::try_from(**label).map_or(true, |label| label >= scores);
        if let Some(label) = self.labels().and_then(|labels| labels.iter().find(wrong)) {
            bail!(
                InvalidArgument,
                "expected labels from 0 to {}, as the model gives {scores} scores, got {label}",
                scores - 1
            );
        }
        Ok(())
    }

    /// Whether the samples are pictures.
    pub fn are_pictures(&self) -> bool {
        matches!(self.content, Content::Pictures(_))
    }

    /// What sample `index` is called.
    pub fn name(&self, index: usize) -> String {
        match &self.content {
            Content::Pictures(names) => names[index].clone(),
            Content::Arrays(..) => format!("sample {index}"),
        }
    }
}

impl Samples for Dataset<'_> {
    fn len(&self) -> usize {
        match &self.content {
            Content::Pictures(names) => names.len(),
            Content::Arrays(_, count) => *count,
        }
    }

    fn get(&self, index: usize) -> Result<Vec<(String, Feed)>> {
        self.sample(index).map_err(|error| error.in_file(self.files.place()))
    }
}

impl Dataset<'_> {
    fn sample(&self, index: usize) -> Result<Vec<(String, Feed)>> {
        match &self.content {
            Content::Pictures(names) => {
                let name = &names[index];
                let input = only_input(&self.inputs)?;
                let (dtype, shape) = declared(input)?;
                ensure!(
                    dtype == DataType::Float32,
                    InvalidArgument,
                    "{name}: a picture becomes float32; input \"{}\" is {dtype}: give the pixels as a .npz file",
                    input.name
                );
                let wrong = |said: String| Error::new(ErrorKind::InvalidArgument, format!("{name}: {said}"));
                let pixels = picture::decode(&self.files.read(name)?).map_err(wrong)?;
                let preparation = self.options.pictures.preparation(shape);
                let tensor = preparation.and_then(|how| picture::prepare(&pixels, &how)).map_err(wrong)?;
                Ok(vec![(input.name.clone(), tensor.into())])
            }
            Content::Arrays(arrays, _) => self
                .inputs
                .iter()
                .map(|input| match arrays.get(&input.name) {
                    Some(array) => Ok((input.name.clone(), self.row(input, array, index)?.into())),
                    None => bail!(InvalidArgument, "the data have no array for input \"{}\"", input.name),
                })
                .collect(),
        }
    }

    /// Sample `index` of an array, as the input wants it.
    fn row(&self, input: &ValueInfo, array: &Tensor, index: usize) -> Result<Tensor> {
        let (dtype, shape) = declared(input)?;
        let inner: Vec<usize> = array.shape()[1..].to_vec();
        let count: usize = inner.iter().product();
        let positions: Vec<usize> = (index * count..(index + 1) * count).collect();
        let sizes = match shape {
            None => [&[1], &inner[..]].concat(),
            Some(dims) => fit(dims, &inner).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    format!("input \"{}\": expected samples for {}, got one of shape {inner:?}", input.name, input.ty),
                )
            })?,
        };
        let row = array.take(&sizes, &positions)?;
        if row.dtype() == dtype {
            return Ok(row);
        }
        let pixels = array.dtype() == DataType::Uint8 && dtype == DataType::Float32;
        let known = dtype.is_float() && (array.dtype().is_float() || array.dtype().is_int())
            || dtype.is_int() && array.dtype().is_int();
        ensure!(
            known,
            InvalidArgument,
            "input \"{}\" is {dtype}: samples of {} do not fit; convert them with NumPy: array.astype(\"{dtype}\")",
            input.name,
            array.dtype()
        );
        let mut values = row.to_f64s()?;
        if pixels {
            let wrong = |said: String| Error::new(ErrorKind::InvalidArgument, said);
            let preparation = self.options.pictures.preparation(shape).map_err(wrong)?;
            let one = |of: [f64; 3]| of[0] == of[1] && of[1] == of[2];
            ensure!(
                one(preparation.mean) && one(preparation.scale),
                InvalidArgument,
                "arrays of bytes take one mean and one scale for all channels; give float32 arrays instead"
            );
            values.iter_mut().for_each(|v| *v = (*v - preparation.mean[0]) * preparation.scale[0]);
        }
        Tensor::from_f64s(dtype, &sizes, values)
    }
}

/// The declared shape with `inner` for its sizes, one sample long: dimensions of size 1 may be missing in it.
fn fit(dims: &[Dim], inner: &[usize]) -> Option<Vec<usize>> {
    let exact = |dims: &[Dim], sizes: &[usize]| {
        dims.len() == sizes.len()
            && dims.iter().zip(sizes).all(|(dim, &size)| !matches!(dim, Dim::Size(known) if *known != size))
    };
    let with_batch = [&[1], inner].concat();
    if exact(dims, &with_batch) {
        return Some(with_batch);
    }
    // A model without a dimension for samples.
    if exact(dims, inner) {
        return Some(inner.to_vec());
    }
    // Same elements in order, where the declared sizes say how: [N, 1, 28, 28] of [28, 28], [N, 4] of [2, 2].
    let mut sizes: Vec<usize> = dims.iter().map(|dim| if let Dim::Size(size) = dim { *size } else { 1 }).collect();
    let count = |sizes: &[usize]| sizes.iter().product::<usize>();
    if count(&sizes) == count(inner) {
        return Some(std::mem::take(&mut sizes));
    }
    None
}

fn declared(info: &ValueInfo) -> Result<(DataType, Option<&[Dim]>)> {
    match &info.ty {
        ValueType::Tensor { dtype, shape } => Ok((*dtype, shape.as_deref())),
        ty => bail!(InvalidArgument, "input \"{}\" is {ty}: samples are tensors", info.name),
    }
}

fn only_input(inputs: &[ValueInfo]) -> Result<&ValueInfo> {
    match inputs {
        [only] => Ok(only),
        _ => {
            let names: Vec<String> = inputs.iter().map(|input| format!("\"{}\"", input.name)).collect();
            bail!(
                InvalidArgument,
                "the model has {} inputs: give samples as a .npz file with an array for each of {}",
                inputs.len(),
                names.join(", ")
            )
        }
    }
}

/// The class of each picture, where all lie in folders; and how many folders there are, where their order makes it.
fn folder_labels(pictures: &[String], classes: Option<&[String]>) -> Result<(Option<Vec<i64>>, Option<usize>)> {
    let Some(folders) =
        pictures.iter().map(|name| name.split_once('/').map(|(folder, _)| folder)).collect::<Option<Vec<&str>>>()
    else {
        return Ok((None, None));
    };
    let mut all: Vec<&str> = folders.clone();
    all.sort_unstable();
    all.dedup();
    let numbers: Option<Vec<i64>> = folders.iter().map(|folder| folder.parse().ok()).collect();
    if numbers.is_some() {
        return Ok((numbers, None));
    }
    let place = |folder: &&str| match classes {
        Some(classes) => match classes.iter().position(|class| class == folder) {
            Some(at) => Ok(at as i64),
            None => bail!(
                InvalidArgument,
                "the folder \"{folder}\" is named after none of the classes: expected one of {}",
                classes.join(", ")
            ),
        },
        None => Ok(all.iter().position(|name| name == folder).unwrap_or(0) as i64),
    };
    let labels = folders.iter().map(place).collect::<Result<Vec<i64>>>()?;
    Ok((Some(labels), classes.is_none().then_some(all.len())))
}

fn numpy(name: &str, bytes: &[u8]) -> Result<Tensor> {
    npy::read(bytes, None).map_err(|said| Error::new(ErrorKind::InvalidArgument, format!("{}{said}", before(name))))
}

/// A file's name before what is said of it; nothing for none.
fn before(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name}: ") }
}

/// Arrays by name, and labels.
type Arrays = (BTreeMap<String, Tensor>, Option<Vec<i64>>);

fn npz(bytes: &Bytes) -> Result<Arrays> {
    let bad = |error: zip::result::ZipError| Error::new(ErrorKind::InvalidArgument, format!("the .npz file: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes.as_ref())).map_err(bad)?;
    let mut arrays = BTreeMap::new();
    let mut total = 0u64;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(bad)?;
        let name = file.name().map_err(bad)?.into_owned();
        total = total.saturating_add(file.size());
        ensure!(total <= MOST_BYTES, LimitExceeded, "the .npz file unpacks to more than {MOST_BYTES} bytes");
        let mut content = Vec::new();
        let size = file.size();
        // The size that is declared may be a lie.
        file.take(size)
            .read_to_end(&mut content)
            .map_err(|error| Error::new(ErrorKind::InvalidArgument, format!("the .npz file: {name}: {error}")))?;
        arrays.insert(name.strip_suffix(".npy").unwrap_or(&name).to_string(), numpy(&name, &content)?);
    }
    let labels = ["labels", "y"].iter().find_map(|name| arrays.remove(*name));
    let labels = labels.map(|labels| labels.to_i64s()).transpose()?;
    Ok((arrays, labels))
}

const LABEL_COLUMNS: [&str; 4] = ["label", "class", "target", "y"];

fn csv(name: &str, bytes: &[u8], input: &ValueInfo) -> Result<Arrays> {
    let name = before(name);
    let bad = |error: csv::Error| {
        let said = match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                format!("line {line}: expected {expected_len} cells, as the first line has, got {len}")
            }
            _ => error.to_string(),
        };
        Error::new(ErrorKind::InvalidArgument, format!("{name}{said}"))
    };
    let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header: Vec<String> = table.headers().map_err(bad)?.iter().map(str::to_string).collect();
    ensure!(
        header.iter().any(|cell| cell.parse::<f64>().is_err()),
        InvalidArgument,
        "{name}line 1: expected the columns' names, got numbers alone: put a line of names before them"
    );
    let label = header.iter().position(|cell| LABEL_COLUMNS.contains(&cell.to_ascii_lowercase().as_str()));
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for record in table.records() {
        let record = record.map_err(bad)?;
        let line = record.position().map_or(0, csv::Position::line);
        for (column, cell) in record.iter().enumerate() {
            let Ok(number) = cell.parse::<f64>() else {
                let column = header.get(column).map_or("", String::as_str);
                bail!(InvalidArgument, "{name}line {line}, column \"{column}\": expected a number, got \"{cell}\"");
            };
            if Some(column) == label {
                labels.push(number as i64);
            } else {
                values.push(number as f32);
            }
        }
    }
    let columns = header.len() - usize::from(label.is_some());
    let rows = values.len() / columns.max(1);
    let arrays = BTreeMap::from([(input.name.clone(), Tensor::from_vec(vec![rows, columns], values)?)]);
    Ok((arrays, label.map(|_| labels)))
}

/// How many samples there are; every input has an array of as many.
fn check_arrays(arrays: &BTreeMap<String, Tensor>, inputs: &[ValueInfo]) -> Result<usize> {
    let missing: Vec<String> = inputs
        .iter()
        .filter(|input| !arrays.contains_key(&input.name))
        .map(|input| format!("\"{}\"", input.name))
        .collect();
    let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
    ensure!(
        missing.is_empty(),
        InvalidArgument,
        "the data have no array for input {}; there are: {}",
        missing.join(", "),
        names.join(", ")
    );
    if let Some(input) = inputs.iter().find(|input| arrays[&input.name].shape().is_empty()) {
        bail!(
            InvalidArgument,
            "input \"{}\": expected samples along the first axis of its array, got a scalar",
            input.name
        );
    }
    let count = |array: &Tensor| array.shape().first().copied().unwrap_or(0);
    let counts: Vec<usize> = inputs.iter().map(|input| count(&arrays[&input.name])).collect();
    let first = counts.first().copied().unwrap_or(0);
    ensure!(
        counts.iter().all(|&count| count == first),
        InvalidArgument,
        "the arrays differ in how many samples they have: {counts:?}"
    );
    Ok(first)
}

/// A part of other samples.
pub struct Part<'a> {
    samples: &'a dyn Samples,
    indices: Vec<usize>,
}

impl<'a> Part<'a> {
    /// At most `count` of `samples`, evenly spread.
    pub fn spread(samples: &'a dyn Samples, count: usize) -> Self {
        let (all, count) = (samples.len(), count.min(samples.len()));
        Self { samples, indices: (0..count).map(|at| at * all / count.max(1)).collect() }
    }
}

impl Samples for Part<'_> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<Vec<(String, Feed)>> {
        self.samples.get(self.indices[index])
    }
}
