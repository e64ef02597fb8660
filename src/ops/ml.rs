//! What the operators of `ai.onnx.ml` share. Where ONNX leaves something open, ONNX Runtime's answer is taken.

use std::collections::HashMap;

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// The operators' domain.
pub const DOMAIN: &str = "ai.onnx.ml";

/// The dtype of tensor input `index`: one of the four that these operators take as numbers.
pub fn number_type(inputs: &[Option<Type>], index: usize) -> Result<DataType> {
    let dtype = tensor_type(inputs, index, Dtypes::Number)?;
    ensure!(
        matches!(dtype, DataType::Float32 | DataType::Float64 | DataType::Int32 | DataType::Int64),
        Unsupported,
        "input {index}: expected float32, float64, int32 or int64, got {dtype}"
    );
    Ok(dtype)
}

/// Rows and features of an input `[N, F]`, or `[F]` for one row.
pub fn rows_of(shape: &[usize]) -> Result<[usize; 2]> {
    match *shape {
        [features] => Ok([1, features]),
        [rows, features] => Ok([rows, features]),
        _ => bail!(ShapeMismatch, "expected [N, F] or [F], got {shape:?}"),
    }
}

/// The one of two attributes that is there; an empty list is not.
pub fn strings_or_ints(attributes: &Attributes<'_>, strings: &str, ints: &str) -> Result<Tensor> {
    let texts = attributes.strings(strings)?.filter(|v| !v.is_empty());
    let numbers = attributes.ints(ints)?.filter(|v| !v.is_empty());
    match (texts, numbers) {
        (Some(texts), None) => Tensor::from_strings(vec![texts.len()], texts),
        (None, Some(numbers)) => Tensor::from_vec(vec![numbers.len()], numbers.to_vec()),
        _ => bail!(InvalidModel, "expected either \"{strings}\" or \"{ints}\""),
    }
}

/// What becomes of a row's scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostTransform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl PostTransform {
    const ALL: [Self; 5] = [Self::None, Self::Softmax, Self::Logistic, Self::SoftmaxZero, Self::Probit];

    /// The attribute as a name.
    pub fn read(attributes: &Attributes<'_>) -> Result<Self> {
        const NAMES: [&str; 5] = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
        let name = attributes.choice("post_transform", &NAMES)?;
        Ok(NAMES.iter().zip(Self::ALL).find(|(n, _)| **n == name).map_or(Self::None, |(_, t)| t))
    }

    /// The attribute as a number, for so many targets.
    pub fn read_number(attributes: &Attributes<'_>, targets: usize) -> Result<Self> {
        let number = attributes.int("post_transform")?.unwrap_or(0);
        ensure!(
            targets == 1 || !matches!(number, 1 | 2),
            Unsupported,
            "attribute \"post_transform\" is {number}: ONNX has SOFTMAX as 1 and LOGISTIC as 2, ONNX Runtime the reverse"
        );
        match usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)) {
            Some(transform) => Ok(*transform),
            None => bail!(Unsupported, "attribute \"post_transform\": expected 0 to 4, got {number}"),
        }
    }

    /// Transforms one row's scores. ONNX Runtime transforms a single score by PROBIT alone.
    pub fn apply(self, scores: &mut [f32]) {
        match self {
            Self::Probit => scores.iter_mut().for_each(|s| *s = probit(*s)),
            _ if scores.len() < 2 => {}
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|s| *s = logistic(*s)),
            Self::Softmax | Self::SoftmaxZero => {
                let largest = scores.iter().fold(f32::MIN, |m, &s| if s > m { s } else { m });
                let mut sum = 0.0;
                for score in scores.iter_mut() {
                    if self == Self::Softmax || score.abs() > 1e-7 {
                        *score = (*score - largest).exp();
                        sum += *score;
                    } else {
                        *score *= (-largest).exp();
                    }
                }
                scores.iter_mut().for_each(|s| *s /= sum);
            }
        }
    }

    /// The scores of two classes from the one score of the second. `complement`: the first is 1
    /// less the second, else its negative.
    pub fn pair(self, score: f32, complement: bool) -> [f32; 2] {
        match self {
            Self::Logistic => [logistic(-score), logistic(score)],
            _ if complement => [1.0 - score, score],
            _ => [-score, score],
        }
    }
}

/// `1 / (1 + exp(−x))`.
pub fn logistic(x: f32) -> f32 {
    let v = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - v } else { v }
}

/// The inverse of the normal distribution, by ONNX Runtime's approximation (Winitzki's) of erf's.
fn probit(p: f32) -> f32 {
    let x = 2.0 * p - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (std::f32::consts::PI * 0.147) + 0.5 * log;
    let root = (-v + (v * v - log / 0.147).sqrt()).sqrt();
    std::f32::consts::SQRT_2 * if x < 0.0 { -root } else { root }
}

/// The sum of products.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The first of the largest.
pub fn largest(scores: &[f32]) -> usize {
    let better = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
    (0..scores.len()).reduce(better).unwrap_or(0)
}

/// A model of rows of features, that is an operator of one input `[N, F]`.
pub trait Rows: Send + Sync {
    /// The outputs' dtypes, given the input's.
    fn dtypes(&self, input: DataType) -> Result<Vec<DataType>>;

    /// The outputs' shapes.
    fn shapes(&self, rows: usize, features: usize) -> Result<Vec<Vec<usize>>>;

    /// The outputs; sizes are those that `shapes` accepted.
    fn predict(&self, x: &Tensor, rows: usize, features: usize) -> Result<Vec<Tensor>>;
}

struct RowsOp {
    model: Box<dyn Rows>,
    /// How many outputs the node has.
    outputs: usize,
}

/// The operator that a model of rows is.
pub fn rows_op(attributes: &Attributes<'_>, model: impl Rows + 'static) -> Result<Box<dyn Op>> {
    Ok(Box::new(RowsOp { model: Box::new(model), outputs: attributes.outputs() }))
}

impl Op for RowsOp {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtypes = self.model.dtypes(tensor_type(inputs, 0, Dtypes::Number)?)?;
        Ok(dtypes.into_iter().take(self.outputs).map(Type::Tensor).collect())
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let [rows, features] = rows_of(inputs.shape(0)?)?;
        let dtypes = self.model.dtypes(inputs.dtype(0)?)?.into_iter();
        let infos = dtypes.zip(self.model.shapes(rows, features)?).map(|(dtype, shape)| Some(Info { dtype, shape }));
        Ok(infos.take(self.outputs).collect())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let [rows, features] = rows_of(x.shape())?;
        Ok(self.model.predict(&x, rows, features)?.into_iter().take(self.outputs).map(Value::from).collect())
    }
}

/// The dtype of a model that gives float32 whatever number it is given.
pub fn float32_of(input: DataType) -> Result<DataType> {
    number_type(&[Some(Type::Tensor(input))], 0)?;
    Ok(DataType::Float32)
}

/// Elements of one dtype, as keys.
enum Keys {
    Strings(HashMap<String, usize>),
    Numbers(HashMap<u64, usize>),
}

/// Equal numbers have equal keys; all NaN are equal.
fn number_keys(tensor: &Tensor) -> Result<Vec<u64>> {
    Ok(if tensor.dtype().is_float() {
        let key = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 }.to_bits();
        tensor.to_f64s()?.into_iter().map(key).collect()
    } else {
        tensor.to_i64s()?.into_iter().map(|v| v as u64).collect()
    })
}

/// What a key that is given twice means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    Last,
    Refused,
}

/// A table from elements to elements, with a default.
pub struct Lookup {
    dtype: DataType,
    keys: Keys,
    /// The values, and last the default.
    table: Tensor,
}

impl Lookup {
    /// From `keys[i]` to `values[i]`; what is no key becomes the one element of `default`.
    pub fn new(keys: &Tensor, values: &Tensor, default: &Tensor, repeated: Repeated) -> Result<Self> {
        ensure!(keys.len() == values.len(), InvalidModel, "{} keys for {} values", keys.len(), values.len());
        ensure!(
            default.len() == 1 && default.dtype() == values.dtype(),
            InvalidModel,
            "expected a default of one {}, got {default:?}",
            values.dtype()
        );
        fn index<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> (HashMap<K, usize>, Vec<[usize; 2]>) {
            let (mut map, mut again) = (HashMap::new(), Vec::new());
            for (i, key) in keys.enumerate() {
                if let Some(before) = map.insert(key, i) {
                    again.push([before, i]);
                }
            }
            (map, again)
        }
        let (map, again) = match keys.strings() {
            Some(strings) => {
                let (map, again) = index(strings.iter().cloned());
                (Keys::Strings(map), again)
            }
            None => {
                let (map, again) = index(number_keys(keys)?.into_iter());
                (Keys::Numbers(map), again)
            }
        };
        if repeated == Repeated::Refused {
            for pair in again {
                let pair = values.take(&[2], &pair)?;
                let same = match pair.strings() {
                    Some(strings) => strings[0] == strings[1],
                    None => pair.bytes().is_some_and(|b| b[..b.len() / 2] == b[b.len() / 2..]),
                };
                ensure!(same, Unsupported, "a key has two values: ONNX means the last, ONNX Runtime takes the first");
            }
        }
        Ok(Self { dtype: keys.dtype(), keys: map, table: Tensor::joined(&[values.clone(), default.clone()])? })
    }

    /// The keys' dtype.
    pub fn input(&self) -> DataType {
        self.dtype
    }

    /// The values' dtype.
    pub fn output(&self) -> DataType {
        self.table.dtype()
    }

    /// Each element's value.
    pub fn get(&self, x: &Tensor) -> Result<Tensor> {
        let default = self.table.len() - 1;
        let positions: Vec<usize> = match &self.keys {
            Keys::Strings(map) => {
                x.strings().unwrap_or_default().iter().map(|text| map.get(text).copied().unwrap_or(default)).collect()
            }
            Keys::Numbers(map) => number_keys(x)?.iter().map(|key| map.get(key).copied().unwrap_or(default)).collect(),
        };
        self.table.take(x.shape(), &positions)
    }
}

/// An operator that maps each element by the table whose keys have its dtype.
pub struct LookupOp(pub Vec<Lookup>);

impl LookupOp {
    fn table(&self, dtype: DataType) -> Result<&Lookup> {
        match self.0.iter().find(|table| table.input() == dtype) {
            Some(table) => Ok(table),
            None => {
                let keys: Vec<&str> = self.0.iter().map(|table| table.input().name()).collect();
                bail!(Unsupported, "input 0: expected {}, got {dtype}", keys.join(" or "))
            }
        }
    }
}

impl Op for LookupOp {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(self.table(tensor_type(inputs, 0, Dtypes::All)?)?.output())])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let dtype = self.table(inputs.dtype(0)?)?.output();
        Ok(vec![Some(Info { dtype, shape: inputs.shape(0)?.to_vec() })])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        Ok(vec![Value::from(self.table(x.dtype())?.get(&x)?)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Feed;
    use crate::error::ErrorKind;
    use crate::graph::Attribute;
    use crate::support::{Single, f32s, i64s, numbers, strings};

    fn op(name: &str) -> Single<'_> {
        Single::new(name, 3)
    }

    fn floats(values: &[f32]) -> Attribute {
        Attribute::Floats(values.to_vec())
    }

    fn ints(values: &[i64]) -> Attribute {
        Attribute::Ints(values.to_vec())
    }

    fn texts(values: &[&str]) -> Attribute {
        Attribute::Strings(values.iter().map(|s| s.as_bytes().to_vec()).collect())
    }

    #[test]
    fn transforms() {
        let of = |transform: PostTransform, scores: &[f32]| {
            let mut scores = scores.to_vec();
            transform.apply(&mut scores);
            scores
        };
        let softmax = of(PostTransform::Softmax, &[1000.0, 1000.0, f32::NEG_INFINITY]);
        assert_eq!(softmax, [0.5, 0.5, 0.0]);
        assert_eq!(of(PostTransform::SoftmaxZero, &[0.0, 2.0, 2.0]), [0.0, 0.5, 0.5]);
        assert_eq!(of(PostTransform::Logistic, &[f32::NEG_INFINITY, 0.0, f32::INFINITY]), [0.0, 0.5, 1.0]);
        assert_eq!(of(PostTransform::Probit, &[0.0, 0.5, 1.0]), [f32::NEG_INFINITY, 0.0, f32::INFINITY]);
        assert!(of(PostTransform::Probit, &[-0.5])[0].is_nan());
        assert_eq!(of(PostTransform::Logistic, &[0.0]), [0.0]);
    }

    #[test]
    fn zip_map() {
        let zip = |keys: Attribute| match keys {
            Attribute::Strings(_) => op("ai.onnx.ml.ZipMap").with("classlabels_strings", keys),
            _ => op("ai.onnx.ml.ZipMap").with("classlabels_int64s", keys),
        };
        for x in [f32s(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]), f32s(&[2], vec![5.0, 6.0]), f32s(&[0, 2], vec![])] {
            for key_list in [texts(&["b", "a"]), ints(&[7, -7])] {
                let feeds = zip(key_list).feeds(&[Some(Feed::Tensor(x.clone()))]).unwrap();
                let [Feed::Maps { keys, values }] = &feeds[..] else { panic!("{feeds:?}") };
                assert_eq!(values.shape(), [x.len() / 2, 2]);
                assert_eq!(numbers(values), numbers(&x));
                match keys.strings() {
                    Some(keys) => assert_eq!(keys, ["b", "a"]),
                    None => assert_eq!(keys.as_slice::<i64>().unwrap(), [7, -7]),
                }
            }
        }
        let one = [Some(Feed::Tensor(f32s(&[1, 3], vec![0.0; 3])))];
        assert_eq!(zip(ints(&[1, 2])).feeds(&one).unwrap_err().kind(), ErrorKind::ShapeMismatch);
        assert_eq!(zip(ints(&[1, 2, 1])).feeds(&one).unwrap_err().kind(), ErrorKind::InvalidModel);
        assert_eq!(zip(texts(&[])).feeds(&one).unwrap_err().kind(), ErrorKind::InvalidModel);
        let both = zip(ints(&[1, 2, 3])).with("classlabels_strings", texts(&["a"]));
        assert_eq!(both.feeds(&one).unwrap_err().kind(), ErrorKind::InvalidModel);
        assert_eq!(
            zip(ints(&[1])).feeds(&[Some(Feed::Tensor(i64s(&[1, 1], &[0])))]).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }

    #[test]
    fn tables() {
        let encode = |version| Single::new("ai.onnx.ml.LabelEncoder", version);
        let x = f32s(&[2, 2], vec![f32::NAN, -0.0, 0.5, f32::INFINITY]);
        let nan = |version| {
            encode(version).with("keys_floats", floats(&[f32::NAN, 0.0])).with("values_int64s", ints(&[1, 2]))
        };
        assert_eq!(numbers(&nan(4).one(std::slice::from_ref(&x))), [1.0, 2.0, -1.0, -1.0]);
        assert_eq!(numbers(&nan(2).one(std::slice::from_ref(&x))), [-1.0, 2.0, -1.0, -1.0]);
        assert_eq!(nan(2).one(&[f32s(&[0, 3], vec![])]).shape(), [0, 3]);
        let twice = |values: &[i64]| encode(2).with("keys_int64s", ints(&[3, 3])).with("values_int64s", ints(values));
        assert_eq!(numbers(&twice(&[5, 5]).one(&[i64s(&[2], &[3, i64::MIN])])), [5.0, -1.0]);
        assert_eq!(twice(&[5, 6]).error(&[i64s(&[1], &[3])]).kind(), ErrorKind::Unsupported);
        assert_eq!(twice(&[5]).error(&[i64s(&[1], &[3])]).kind(), ErrorKind::InvalidModel);
        assert_eq!(twice(&[5, 5]).error(&[x]).kind(), ErrorKind::Unsupported);
        assert_eq!(
            twice(&[5, 5]).with("keys_floats", floats(&[0.0])).error(&[i64s(&[1], &[3])]).kind(),
            ErrorKind::InvalidModel
        );
        let default = twice(&[5, 5]).with("default_tensor", Attribute::Tensor(f32s(&[1], vec![0.0])));
        assert_eq!(default.error(&[i64s(&[1], &[3])]).kind(), ErrorKind::InvalidModel);
        // Large integers are exact.
        let large = encode(2).with("keys_int64s", ints(&[1 << 60])).with("values_int64s", ints(&[i64::MAX]));
        let y = large.one(&[i64s(&[2], &[1 << 60, (1 << 60) + 1])]);
        assert_eq!(y.as_slice::<i64>().unwrap(), [i64::MAX, -1]);
        let mapper =
            op("ai.onnx.ml.CategoryMapper").with("cats_strings", texts(&["a"])).with("cats_int64s", ints(&[1, 2]));
        assert_eq!(mapper.error(&[strings(&[1], &["a"])]).kind(), ErrorKind::InvalidModel);
    }

    #[test]
    fn elements() {
        let binarize = |x: Tensor, t: f32| numbers(&op("ai.onnx.ml.Binarizer").float("threshold", t).one(&[x]));
        assert_eq!(binarize(f32s(&[3], vec![f32::NAN, 0.5, 0.6]), 0.5), [0.0, 0.0, 1.0]);
        let two53 = 1i64 << 53;
        assert_eq!(binarize(i64s(&[3], &[two53, two53 + 1, i64::MIN]), two53 as f32), [0.0, 1.0, 0.0]);
        assert_eq!(binarize(i64s(&[2], &[0, i64::MIN]), f32::NEG_INFINITY), [1.0, 1.0]);
        assert_eq!(binarize(i64s(&[2], &[i64::MAX, 0]), f32::NAN), [0.0, 0.0]);

        let hot = || op("ai.onnx.ml.OneHotEncoder").with("cats_int64s", ints(&[0, i64::MAX]));
        let x = f32s(&[4], vec![f32::NAN, f32::INFINITY, -0.9, 1e30]);
        assert_eq!(numbers(&hot().one(std::slice::from_ref(&x))), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(hot().int("zeros", 0).error(&[x]).kind(), ErrorKind::InvalidArgument);
        assert_eq!(hot().error(&[strings(&[1], &["a"])]).kind(), ErrorKind::Unsupported);

        let impute = |values: &[f32]| op("ai.onnx.ml.Imputer").with("imputed_value_floats", floats(values));
        assert_eq!(impute(&[1.0, 2.0]).error(&[f32s(&[1, 3], vec![0.0; 3])]).kind(), ErrorKind::ShapeMismatch);
        assert_eq!(impute(&[1.0]).error(&[i64s(&[1], &[0])]).kind(), ErrorKind::Unsupported);
        assert_eq!(impute(&[]).error(&[f32s(&[1], vec![0.0])]).kind(), ErrorKind::InvalidModel);
        assert_eq!(numbers(&impute(&[1.0]).one(&[f32s(&[1, 2, 1], vec![-0.0, 3.0])])), [1.0, 3.0]);

        let scale = |n: usize| op("ai.onnx.ml.Scaler").with("scale", floats(&vec![2.0; n]));
        assert_eq!(numbers(&scale(1).one(&[f32s(&[1, 1, 2], vec![3.0, -1.0])])), [6.0, -2.0]);
        assert_eq!(scale(2).error(&[f32s(&[1, 3], vec![0.0; 3])]).kind(), ErrorKind::ShapeMismatch);
        let uneven = scale(2).with("offset", floats(&[0.0]));
        assert_eq!(uneven.error(&[f32s(&[1, 2], vec![0.0; 2])]).kind(), ErrorKind::InvalidModel);

        let extract = |x: Tensor, i: &[i64]| op("ai.onnx.ml.ArrayFeatureExtractor").run(&[x, i64s(&[i.len()], i)]);
        for (i, kind) in [
            (&[2][..], ErrorKind::InvalidArgument),
            (&[-1], ErrorKind::InvalidArgument),
            (&[], ErrorKind::ShapeMismatch),
        ] {
            assert_eq!(extract(f32s(&[3, 2], vec![0.0; 6]), i).unwrap_err().kind(), kind);
        }
        assert_eq!(extract(f32s(&[0, 2], vec![]), &[1]).unwrap()[0].shape(), [0, 1]);
        assert_eq!(extract(f32s(&[], vec![0.0]), &[0]).unwrap_err().kind(), ErrorKind::ShapeMismatch);

        let join = op("ai.onnx.ml.FeatureVectorizer").ints("inputdimensions", &[2, 1]);
        let (a, b) = (f32s(&[2, 1], vec![1.0, 2.0]), f32s(&[2, 2], vec![3.0, 4.0, 5.0, 6.0]));
        assert_eq!(numbers(&join.one(&[a.clone(), b.clone()])), [1.0, 0.0, 3.0, 2.0, 0.0, 5.0]);
        assert_eq!(join.error(&[a.clone(), f32s(&[1, 2], vec![0.0; 2])]).kind(), ErrorKind::ShapeMismatch);
        assert_eq!(join.error(&[a]).kind(), ErrorKind::InvalidModel);

        let normalize = |norm| op("ai.onnx.ml.Normalizer").string("norm", norm);
        assert_eq!(normalize("L1").one(&[f32s(&[2, 0], vec![])]).shape(), [2, 0]);
        assert_eq!(numbers(&normalize("MAX").one(&[f32s(&[2], vec![-2.0, -4.0])])), [1.0, 2.0]);
        assert_eq!(normalize("L3").error(&[f32s(&[1], vec![0.0])]).kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn linear_models() {
        let classify = |coefficients: usize, intercepts: usize| {
            op("ai.onnx.ml.LinearClassifier")
                .with("coefficients", floats(&vec![1.0; coefficients]))
                .with("intercepts", floats(&vec![0.0; intercepts]))
                .with("classlabels_ints", ints(&[4, 5]))
                .outputs(2)
        };
        let x = || [f32s(&[2, 3], vec![f32::NAN, 0.0, 0.0, 1.0, 1.0, 1.0])];
        let y = classify(6, 2).run(&x()).unwrap();
        assert_eq!(numbers(&y[0]), [4.0, 4.0]);
        assert_eq!(numbers(&classify(3, 1).run(&x()).unwrap()[1])[2..], [-2.0, 3.0]);
        let empty = classify(6, 2).run(&[f32s(&[0, 3], vec![])]).unwrap();
        assert_eq!((empty[0].shape(), empty[1].shape()), (&[0][..], &[0, 2][..]));
        assert_eq!(classify(5, 2).error(&x()).kind(), ErrorKind::ShapeMismatch);
        assert_eq!(classify(9, 3).error(&x()).kind(), ErrorKind::InvalidModel);
        assert_eq!(classify(3, 1).string("post_transform", "PROBIT").error(&x()).kind(), ErrorKind::Unsupported);
        let regress =
            |targets| op("ai.onnx.ml.LinearRegressor").with("coefficients", floats(&[1.0; 6])).int("targets", targets);
        assert_eq!(regress(2).one(&x()).shape(), [2, 2]);
        for targets in [0, -1, i64::MAX] {
            assert_eq!(regress(targets).error(&x()).kind(), ErrorKind::InvalidModel);
        }
        assert_eq!(regress(3).error(&x()).kind(), ErrorKind::ShapeMismatch);
    }

    #[test]
    fn support_vector_machines() {
        let classify = |per: &[i64]| {
            op("ai.onnx.ml.SVMClassifier")
                .with("coefficients", floats(&[1.0, -1.0]))
                .with("support_vectors", floats(&[0.0, 1.0, 2.0, 3.0]))
                .with("vectors_per_class", ints(per))
                .with("rho", floats(&[0.5]))
                .with("classlabels_strings", texts(&["a", "b"]))
                .outputs(2)
        };
        let x = || [f32s(&[1, 2], vec![1.0, 1.0])];
        assert_eq!(numbers(&classify(&[1, 1]).run(&x()).unwrap()[1]), [3.5, -3.5]);
        for bad in [&[2, 1][..], &[1, -1], &[i64::MAX, i64::MAX], &[2], &[1, 1, 0]] {
            assert_eq!(classify(bad).error(&x()).kind(), ErrorKind::InvalidModel, "{bad:?}");
        }
        assert_eq!(classify(&[1, 1]).error(&[f32s(&[1, 3], vec![0.0; 3])]).kind(), ErrorKind::ShapeMismatch);
        assert_eq!(classify(&[1, 1]).with("kernel_params", floats(&[1.0])).error(&x()).kind(), ErrorKind::InvalidModel);
        assert_eq!(classify(&[1, 1]).with("prob_a", floats(&[1.0])).error(&x()).kind(), ErrorKind::InvalidModel);
        let regress = |n| {
            op("ai.onnx.ml.SVMRegressor")
                .with("coefficients", floats(&[1.0, -1.0]))
                .with("support_vectors", floats(&[0.0, 1.0, 2.0, 3.0]))
                .with("rho", floats(&[0.5]))
                .int("n_supports", n)
        };
        assert_eq!(numbers(&regress(2).one(&x())), [-3.5]);
        assert_eq!(numbers(&regress(0).one(&x())), [0.5]);
        for n in [1, 3, -1] {
            assert_eq!(regress(n).error(&x()).kind(), ErrorKind::InvalidModel);
        }
        assert_eq!(regress(2).string("post_transform", "LOGISTIC").error(&x()).kind(), ErrorKind::Unsupported);
    }
}
