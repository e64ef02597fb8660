//! Golden samples: inputs, and what a trusted device makes of them. `pkg/src/golden.ts` has the same arithmetic.

use serde::{Deserialize, Serialize};

use super::manifest::{RandomInput, StoredSample, StoredTensor};
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};
use crate::optimize::quantize::Precision;
use crate::runtime::{Feed, RunOptions, Session};

/// Of an output with more elements, this many are stored.
const MOST_STORED: usize = 4096;

/// Whether a golden sample may have tensors of `dtype`.
pub(super) fn is_storable(dtype: DataType) -> bool {
    dtype != DataType::String && !dtype.is_float8()
}

/// One run: what goes in, and what is to come out.
#[derive(Debug, Clone)]
pub struct Sample {
    /// By name.
    pub inputs: Vec<(String, SampleInput)>,
    /// By name.
    pub outputs: Vec<(String, Expected)>,
    /// How far another device may be off.
    pub tolerance: Tolerance,
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum SampleInput {
    /// A tensor that the package stores.
    Given(Tensor),
    /// A tensor that every client makes for itself, so that nothing is stored.
    Random { dtype: DataType, shape: Vec<usize>, random: RandomInput },
}

/// What is to come out: the elements at 0, `stride`, 2 × `stride`, … of a tensor of `shape`.
#[derive(Debug, Clone)]
pub struct Expected {
    pub shape: Vec<usize>,
    pub stride: usize,
    /// Of one dimension.
    pub elements: Tensor,
}

/// How far an element may be from what is expected: `absolute`, and `relative` times the largest magnitude that is
/// expected of that output. Of integers, bools and strings nothing may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

impl Tolerance {
    /// What right devices stay within: float sums in another order, and codes that rounding moves by one.
    pub fn of(precision: Precision) -> Self {
        let relative = match precision {
            Precision::Float32 | Precision::Float16 | Precision::WeightOnly => 5e-3,
            Precision::Int8 | Precision::Int4 | Precision::Dynamic | Precision::Mixed => 5e-2,
        };
        Self { absolute: 1e-5, relative }
    }

    pub(super) fn check(&self) -> Result<()> {
        let sound = |number: f64| number.is_finite() && number >= 0.0;
        ensure!(
            sound(self.absolute) && sound(self.relative),
            InvalidManifest,
            "tolerance: expected numbers of 0 or more, got {} and {}",
            self.absolute,
            self.relative
        );
        Ok(())
    }
}

impl SampleInput {
    /// The tensor.
    ///
    /// Errors: `Unsupported` for a dtype that is not made of seeds, `LimitExceeded`.
    pub fn tensor(&self) -> Result<Tensor> {
        match self {
            Self::Given(tensor) => Ok(tensor.clone()),
            Self::Random { dtype, shape, random: from } => random(*dtype, shape, from),
        }
    }
}

impl Sample {
    /// Runs a session on `inputs`, and takes what comes out for right. None where an output is no tensor of numbers,
    /// or of float8, which JavaScript has none of: such a model has no golden samples.
    ///
    /// Errors: those of [`Session::run`]; `InvalidModel` where an output holds NaN, which no device can be tested with.
    pub async fn record(
        session: &Session,
        inputs: Vec<(String, SampleInput)>,
        tolerance: Tolerance,
    ) -> Result<Option<Self>> {
        let feeds = inputs.iter().map(|(name, input)| Ok((name.clone(), Feed::Tensor(input.tensor()?))));
        let results = session.run(feeds.collect::<Result<Vec<_>>>()?, RunOptions::default()).await?;
        let mut outputs = Vec::new();
        for (name, result) in results {
            let Feed::Tensor(tensor) = result else { return Ok(None) };
            if !is_storable(tensor.dtype()) {
                return Ok(None);
            }
            let expected = Expected::of(&tensor)?;
            ensure!(
                !numbers(&expected.elements)?.iter().any(|number| number.is_nan()),
                InvalidModel,
                "output \"{name}\" is not a number (NaN) for a golden sample's input; give inputs as the model is made for"
            );
            outputs.push((name, expected));
        }
        Ok((!outputs.is_empty()).then_some(Self { inputs, outputs, tolerance }))
    }

    /// [`record`](Self::record), for programs that do not wait.
    #[cfg(not(feature = "webgpu"))]
    pub fn record_blocking(
        session: &Session,
        inputs: Vec<(String, SampleInput)>,
        tolerance: Tolerance,
    ) -> Result<Option<Self>> {
        crate::runtime::at_once(Self::record(session, inputs, tolerance))
    }

    /// [`check`](Self::check), for programs that do not wait.
    #[cfg(not(feature = "webgpu"))]
    pub fn check_blocking(&self, session: &Session) -> Result<f64> {
        crate::runtime::at_once(self.check(session))
    }

    /// Runs a session on the sample's inputs; the largest difference of any element from what is expected.
    ///
    /// Errors: `SelfTestFailed` for what is off, those of [`Session::run`].
    pub async fn check(&self, session: &Session) -> Result<f64> {
        let feeds = self.inputs.iter().map(|(name, input)| Ok((name.clone(), Feed::Tensor(input.tensor()?))));
        let wanted = self.outputs.iter().map(|(name, _)| name.clone()).collect();
        let options = RunOptions { outputs: Some(wanted), ..RunOptions::default() };
        let results = session.run(feeds.collect::<Result<Vec<_>>>()?, options).await?;
        let mut worst = 0f64;
        for ((name, expected), (_, got)) in self.outputs.iter().zip(results) {
            let Feed::Tensor(got) = got else {
                bail!(SelfTestFailed, "output \"{name}\": expected a tensor, got another kind of value")
            };
            let difference = expected
                .compare(&got, self.tolerance)
                .map_err(|why| Error::new(ErrorKind::SelfTestFailed, format!("output \"{name}\": {why}")))?;
            worst = worst.max(difference);
        }
        Ok(worst)
    }
}

impl Expected {
    /// What is stored of `tensor`.
    ///
    /// Errors: `InvalidArgument` for strings.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let shape = tensor.shape().to_vec();
        let stride = stride(&shape, tensor.len());
        let Some(bytes) = tensor.bytes() else { bail!(InvalidArgument, "expected numbers, got strings") };
        let elements: Vec<u8> = bytes.chunks_exact(tensor.dtype().size()).step_by(stride).flatten().copied().collect();
        let count = tensor.len().div_ceil(stride);
        Ok(Self { shape, stride, elements: Tensor::from_bytes(tensor.dtype(), vec![count], elements)? })
    }

    /// The largest difference of any element; what is wrong where one is off by more than the tolerance.
    fn compare(&self, got: &Tensor, tolerance: Tolerance) -> Result<f64, String> {
        let dtype = self.elements.dtype();
        if (got.dtype(), got.shape()) != (dtype, &self.shape) {
            return Err(format!("expected {dtype} {:?}, got {} {:?}", self.shape, got.dtype(), got.shape()));
        }
        let told = |error: Error| error.to_string();
        let expected = numbers(&self.elements).map_err(told)?;
        let got = numbers(&Self::of_stride(got, self.stride).map_err(told)?).map_err(told)?;
        let largest = expected.iter().filter(|number| number.is_finite()).fold(0f64, |most, n| most.max(n.abs()));
        let allowed = match dtype.is_float() {
            true => tolerance.absolute + tolerance.relative * largest,
            false => 0.0,
        };
        let mut worst = 0f64;
        for (index, (is, should)) in got.iter().zip(&expected).enumerate() {
            if is == should || is.is_nan() && should.is_nan() {
                continue;
            }
            let difference = (is - should).abs();
            if difference.is_nan() || difference > allowed {
                let at = index * self.stride;
                return Err(format!("element {at}: expected {should} within {allowed:e}, got {is}"));
            }
            worst = worst.max(difference);
        }
        Ok(worst)
    }

    fn of_stride(tensor: &Tensor, stride: usize) -> Result<Tensor> {
        let size = tensor.dtype().size();
        let bytes = tensor.bytes().unwrap_or_default();
        let elements: Vec<u8> = bytes.chunks_exact(size).step_by(stride).flatten().copied().collect();
        Tensor::from_bytes(tensor.dtype(), vec![elements.len() / size], elements)
    }
}

/// The elements; 64-bit integers are told apart up to 2^53.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_f64s()
}

/// How far apart stored elements are: such that all are within the limit, and that they wander along every axis.
fn stride(shape: &[usize], count: usize) -> usize {
    fn divisor(a: usize, b: usize) -> usize {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    let mut stride = count.div_ceil(MOST_STORED).max(1);
    while stride > 1 && shape.iter().any(|&size| size > 1 && divisor(stride, size) > 1) {
        stride += 1;
    }
    stride
}

/// A tensor of a seed, the same in every language: 32-bit mulberry32 numbers `n`, one an element in row-major order;
/// a float is `low + (high − low) × n / 2^32` in double precision, rounded once; an integer
/// `low + floor((high − low + 1) × n / 2^32)`; a bool whether `n` is 2^31 or more.
///
/// Errors: `Unsupported` for other dtypes than float32, float64, bool and integers of 8 to 64 bits;
/// `InvalidArgument` where the range makes no sense; `LimitExceeded`.
pub fn random(dtype: DataType, shape: &[usize], from: &RandomInput) -> Result<Tensor> {
    check_random(dtype, from)?;
    let count = element_count(shape)?;
    ensure!(count <= MOST_RANDOM, LimitExceeded, "a random tensor of {shape:?} is larger than {MOST_RANDOM} elements");
    let mut bits = Mulberry(from.seed);
    let RandomInput { low, high, .. } = *from;
    let mut share = || f64::from(bits.next()) / 4_294_967_296.0;
    if dtype == DataType::Bool {
        let bytes = (0..count).map(|_| u8::from(share() >= 0.5)).collect();
        return Tensor::from_bytes(dtype, shape.to_vec(), bytes);
    }
    let values = (0..count).map(|_| match dtype.is_float() {
        true => low + (high - low) * share(),
        false => low + ((high - low + 1.0) * share()).floor(),
    });
    Tensor::from_f64s(dtype, shape, values.collect())
}

/// Larger random tensors are hostile.
const MOST_RANDOM: usize = 1 << 24;

pub(super) fn check_random(dtype: DataType, from: &RandomInput) -> Result<()> {
    let RandomInput { low, high, .. } = *from;
    ensure!(
        matches!(dtype, DataType::Float32 | DataType::Float64 | DataType::Bool) || dtype.is_int(),
        Unsupported,
        "{dtype} is not made of a seed; give the tensor itself"
    );
    let range = match dtype {
        DataType::Int8 => (-128.0, 127.0),
        DataType::Uint8 => (0.0, 255.0),
        DataType::Int16 => (-32_768.0, 32_767.0),
        DataType::Uint16 => (0.0, 65_535.0),
        DataType::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        DataType::Uint32 => (0.0, f64::from(u32::MAX)),
        DataType::Uint64 => (0.0, 9_007_199_254_740_991.0),
        DataType::Int64 => (-9_007_199_254_740_991.0, 9_007_199_254_740_991.0),
        _ => (f64::from(f32::MIN), f64::from(f32::MAX)),
    };
    let whole = !dtype.is_int() || low.fract() == 0.0 && high.fract() == 0.0;
    ensure!(
        low <= high && low >= range.0 && high <= range.1 && whole,
        InvalidArgument,
        "random {dtype}: from {low} to {high} is no range of it"
    );
    Ok(())
}

/// mulberry32, by Tommy Ettinger; in the public domain.
struct Mulberry(u32);

impl Mulberry {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x6d2b_79f5);
        let mut z = self.0;
        z = (z ^ z >> 15).wrapping_mul(z | 1);
        z ^= z.wrapping_add((z ^ z >> 7).wrapping_mul(z | 61));
        z ^ z >> 14
    }
}

/// The data file of some samples, and what the manifest says of them.
pub(super) fn store(samples: &[Sample]) -> Result<(Vec<StoredSample>, Vec<u8>)> {
    let mut data: Vec<u8> = Vec::new();
    let mut put = |shape: &[usize], tensor: &Tensor, stride: usize| {
        let dtype = tensor.dtype();
        let Some(bytes) = tensor.bytes().filter(|_| is_storable(dtype)) else {
            bail!(Unsupported, "a golden sample cannot hold a tensor of {dtype}")
        };
        data.resize(data.len().next_multiple_of(8), 0);
        let offset = data.len() as u64;
        data.extend_from_slice(bytes);
        Ok(StoredTensor {
            dtype: dtype.name().to_string(),
            shape: shape.iter().map(|&size| size as u64).collect(),
            random: None,
            stride: (stride > 1).then_some(stride as u64),
            offset: Some(offset),
            bytes: Some(bytes.len() as u64),
        })
    };
    let mut stored = Vec::new();
    for sample in samples {
        let mut inputs = std::collections::BTreeMap::new();
        for (name, input) in &sample.inputs {
            let tensor = match input {
                SampleInput::Given(tensor) => put(tensor.shape(), tensor, 1)?,
                SampleInput::Random { dtype, shape, random } => {
                    check_random(*dtype, random)?;
                    StoredTensor {
                        dtype: dtype.name().to_string(),
                        shape: shape.iter().map(|&size| size as u64).collect(),
                        random: Some(*random),
                        stride: None,
                        offset: None,
                        bytes: None,
                    }
                }
            };
            inputs.insert(name.clone(), tensor);
        }
        let mut outputs = std::collections::BTreeMap::new();
        for (name, expected) in &sample.outputs {
            outputs.insert(name.clone(), put(&expected.shape, &expected.elements, expected.stride)?);
        }
        stored.push(StoredSample { inputs, outputs, tolerance: sample.tolerance });
    }
    Ok((stored, data))
}

/// The samples that [`store`] stored; the manifest was checked against the length of `data`.
pub(super) fn restore(stored: &[StoredSample], data: &[u8]) -> Result<Vec<Sample>> {
    let part = |tensor: &StoredTensor| -> Result<Vec<u8>> {
        let from = usize::try_from(tensor.offset.unwrap_or(0)).ok();
        let length = usize::try_from(tensor.bytes.unwrap_or(0)).ok();
        let range = from.zip(length).and_then(|(from, length)| data.get(from..from.checked_add(length)?));
        range
            .map(<[u8]>::to_vec)
            .ok_or_else(|| Error::new(ErrorKind::InvalidManifest, "a golden tensor is outside of its file"))
    };
    let mut samples = Vec::new();
    for sample in stored {
        let mut inputs = Vec::new();
        for (name, tensor) in &sample.inputs {
            let (dtype, shape) = tensor.described()?;
            let input = match tensor.random {
                Some(random) => SampleInput::Random { dtype, shape, random },
                None => SampleInput::Given(Tensor::from_bytes(dtype, shape, part(tensor)?)?),
            };
            inputs.push((name.clone(), input));
        }
        let mut outputs = Vec::new();
        for (name, tensor) in &sample.outputs {
            let (dtype, shape) = tensor.described()?;
            let stride = usize::try_from(tensor.stride.unwrap_or(1)).unwrap_or(usize::MAX);
            let count = element_count(&shape)?.div_ceil(stride);
            let elements = Tensor::from_bytes(dtype, vec![count], part(tensor)?)?;
            outputs.push((name.clone(), Expected { shape, stride, elements }));
        }
        samples.push(Sample { inputs, outputs, tolerance: sample.tolerance });
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the JavaScript function that is known by the name, for seed 1.
    #[test]
    fn seeds_give_mulberrys_numbers() {
        let mut bits = Mulberry(1);
        assert_eq!([bits.next(), bits.next(), bits.next()], [2_693_262_067, 11_749_833, 2_265_367_787]);
    }

    #[test]
    fn integers_reach_both_ends_and_floats_neither_leave() {
        let range = RandomInput { seed: 7, low: -2.0, high: 2.0 };
        let integers = random(DataType::Int64, &[1000], &range).unwrap();
        let mut seen = integers.as_slice::<i64>().unwrap().to_vec();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [-2, -1, 0, 1, 2]);
        let floats = random(DataType::Float32, &[1000], &range).unwrap();
        assert!(floats.as_slice::<f32>().unwrap().iter().all(|v| (-2.0..=2.0).contains(v)));
        for (dtype, low, high) in [
            (DataType::Int8, 0.0, 128.0),
            (DataType::Int32, 0.5, 1.0),
            (DataType::Float32, 1.0, 0.0),
            (DataType::Float32, f64::NAN, 1.0),
        ] {
            let error = random(dtype, &[1], &RandomInput { seed: 1, low, high }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{dtype} {low} {high}");
        }
        assert_eq!(random(DataType::Float16, &[1], &range).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_long_output_is_sampled_along_every_axis() {
        assert_eq!(stride(&[1, 1000], 1000), 1);
        assert_eq!(stride(&[1, 64, 112, 112], 802_816), 197);
        let stride = stride(&[100, 1000], 100_000);
        assert!(stride >= 25 && !stride.is_multiple_of(2) && !stride.is_multiple_of(5), "{stride}");
    }

    #[test]
    fn what_is_off_is_told_with_its_place() {
        let tensor = |values: &[f32]| Tensor::from_vec(vec![values.len()], values.to_vec()).unwrap();
        let expected = Expected::of(&tensor(&[1.0, -4.0, f32::INFINITY])).unwrap();
        let tolerance = Tolerance { absolute: 0.0, relative: 0.01 };
        assert!((expected.compare(&tensor(&[1.03, -4.0, f32::INFINITY]), tolerance).unwrap() - 0.03).abs() < 1e-6);
        let wrong = |values: &[f32]| expected.compare(&tensor(values), tolerance).unwrap_err();
        assert!(wrong(&[1.0, -4.1, f32::INFINITY]).contains("element 1: expected -4"));
        assert!(wrong(&[f32::NAN, -4.0, f32::INFINITY]).contains("got NaN"));
        assert!(wrong(&[1.0, -4.0, 9.0]).contains("element 2"));
        assert!(wrong(&[1.0]).contains("[3], got float32 [1]"));
    }
}
