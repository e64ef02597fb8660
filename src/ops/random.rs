//! What the random operators share: NumPy's `RandomState`, as ONNX's reference implementation.
//!
//! With a seed every run gives the numbers of `RandomState(int(seed))`. Without one, a node's runs
//! take seeds that follow each other, from one that the node's and its output's names make: nodes
//! differ, and a session gives the same numbers as another of the same model.

use std::sync::atomic::{AtomicU32, Ordering};

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// MT19937 (Matsumoto and Nishimura, 1998), seeded and read as NumPy's `RandomState` does.
pub struct Generator {
    words: [u32; WORDS],
    next: usize,
    spare: Option<f64>,
}

impl Generator {
    fn new(seed: u32) -> Self {
        let mut words = [seed; WORDS];
        for i in 1..WORDS {
            words[i] = (words[i - 1] ^ (words[i - 1] >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { words, next: WORDS, spare: None }
    }

    fn bits(&mut self) -> u32 {
        if self.next == WORDS {
            for i in 0..WORDS {
                let pair = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % WORDS] & 0x7fff_ffff);
                let twist = if pair & 1 == 0 { 0 } else { 0x9908_b0df };
                self.words[i] = self.words[(i + MIDDLE) % WORDS] ^ (pair >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.words[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// From 0 to 1, which is left out.
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (self.bits() >> 5, self.bits() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// With mean 0 and variance 1, by the polar method.
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(factor * x);
                return factor * y;
            }
        }
    }
}

/// Where a node's random numbers come from.
pub struct Source {
    seed: Option<u32>,
    next: AtomicU32,
}

impl Source {
    /// Reads attribute `seed`, a float.
    pub fn read(attributes: &Attributes<'_>) -> Result<Self> {
        let seed = attributes.float("seed")?.filter(|seed| !seed.is_nan());
        Ok(Self::new(attributes, seed.map(|seed| seed as i64)))
    }

    /// From `seed`, of which the lowest 32 bits count.
    pub fn new(attributes: &Attributes<'_>, seed: Option<i64>) -> Self {
        Self { seed: seed.map(|seed| seed as u32), next: AtomicU32::new(attributes.identity()) }
    }

    /// Whether all runs give the same numbers.
    pub fn is_seeded(&self) -> bool {
        self.seed.is_some()
    }

    /// The numbers of one run.
    pub fn generator(&self) -> Generator {
        Generator::new(self.seed.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The dtype that attribute `dtype` names.
pub fn dtype(attributes: &Attributes<'_>) -> Result<Option<DataType>> {
    let Some(number) = attributes.int("dtype")? else { return Ok(None) };
    match i32::try_from(number).ok().and_then(DataType::from_onnx) {
        Some(dtype) => Ok(Some(dtype)),
        None => bail!(Unsupported, "attribute \"dtype\": element type {number}"),
    }
}

/// A distribution: normal, or uniform from `low` to `high`.
#[derive(Clone, Copy)]
enum Distribution {
    Normal { mean: f64, scale: f64 },
    Uniform { low: f64, high: f64 },
}

struct Random {
    distribution: Distribution,
    dtype: Option<DataType>,
    /// None where the shape is the input's.
    shape: Option<Vec<usize>>,
    source: Source,
}

/// Normal numbers: of a given shape, or of the shape of the input.
pub const fn normal(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator {
        name,
        inputs: 0..=1,
        attributes: &["dtype", "mean", "scale", "seed", "shape"],
        build,
        ..Operator::DEFAULT
    }
}

/// Uniform numbers, as [`normal`].
pub const fn uniform(name: &'static str, build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>) -> Operator {
    Operator { name, inputs: 0..=1, attributes: &["dtype", "high", "low", "seed", "shape"], build, ..Operator::DEFAULT }
}

/// Reads the attributes of a [`normal`] operator.
pub fn normal_op(attributes: &Attributes<'_>, like: bool) -> Result<Box<dyn Op>> {
    let number = |name, default| Ok(attributes.float(name)?.map_or(default, f64::from));
    op(attributes, Distribution::Normal { mean: number("mean", 0.0)?, scale: number("scale", 1.0)? }, like)
}

/// Reads the attributes of a [`uniform`] operator.
pub fn uniform_op(attributes: &Attributes<'_>, like: bool) -> Result<Box<dyn Op>> {
    let number = |name, default| Ok(attributes.float(name)?.map_or(default, f64::from));
    op(attributes, Distribution::Uniform { low: number("low", 0.0)?, high: number("high", 1.0)? }, like)
}

fn op(attributes: &Attributes<'_>, distribution: Distribution, like: bool) -> Result<Box<dyn Op>> {
    let inputs = attributes.inputs();
    ensure!(inputs == usize::from(like), InvalidModel, "has {inputs} inputs");
    let (mut dtype, mut shape) = (dtype(attributes)?, None);
    if !like {
        dtype = dtype.or(Some(DataType::Float32));
        let Some(sizes) = attributes.ints("shape")? else { bail!(InvalidModel, "attribute \"shape\" is missing") };
        let Ok(sizes) = sizes.iter().map(|&s| usize::try_from(s)).collect::<std::result::Result<_, _>>() else {
            bail!(InvalidModel, "attribute \"shape\": {sizes:?} is no shape")
        };
        shape = Some(sizes);
    }
    Ok(Box::new(Random { distribution, dtype, shape, source: Source::read(attributes)? }))
}

impl Random {
    fn dtype(&self, input: impl Fn() -> Result<DataType>) -> Result<DataType> {
        let dtype = self.dtype.map_or_else(input, Ok)?;
        ensure!(dtype.is_float(), Unsupported, "random numbers of {dtype}; expected a float as attribute \"dtype\"");
        Ok(dtype)
    }
}

impl Op for Random {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        if self.shape.is_none() {
            tensor_type(inputs, 0, Dtypes::All)?;
        }
        Ok(vec![Type::Tensor(self.dtype(|| tensor_type(inputs, 0, Dtypes::All))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape = match &self.shape {
            Some(shape) => shape.clone(),
            None => inputs.shape(0)?.to_vec(),
        };
        one(self.dtype(|| inputs.dtype(0))?, shape)
    }

    fn is_pure(&self) -> bool {
        false
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let mut generator = self.source.generator();
        let mut draw = || match self.distribution {
            Distribution::Normal { mean, scale } => mean + scale * generator.normal(),
            Distribution::Uniform { low, high } => low + (high - low) * generator.uniform(),
        };
        let values = (0..shape.iter().product()).map(|_| draw()).collect();
        output(Tensor::from_f64s(self.dtype(|| inputs.dtype(0))?, shape, values)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::graph::Attribute;
    use crate::runtime::RunOptions;
    use crate::support::{Builder, Single, f32s, into_tensor, numbers};

    fn close(got: &[f64], expected: &[f64]) {
        assert!(
            got.len() == expected.len() && got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-6),
            "{got:?} {expected:?}"
        );
    }

    #[test]
    fn the_numbers_are_those_of_numpy() {
        // numpy.random.RandomState(0): random_sample(3), then randn(3) of a new one.
        let mut generator = Generator::new(0);
        close(&[0; 3].map(|_| generator.uniform()), &[0.5488135039273248, 0.7151893663724195, 0.6027633760716439]);
        let mut generator = Generator::new(0);
        close(&[0; 3].map(|_| generator.normal()), &[1.764052345967664, 0.4001572083672233, 0.9787379841057392]);
    }

    #[test]
    fn shapes_dtypes_and_parameters() {
        let node = |op_type| Single::new(op_type, 22).float("seed", 0.0);
        let y = node("RandomUniform").ints("shape", &[2, 1]).float("low", 1.0).float("high", 3.0).one(&[]);
        assert_eq!((y.dtype(), y.shape()), (DataType::Float32, &[2, 1][..]));
        close(&numbers(&y), &[1.0 + 2.0 * 0.5488135039, 1.0 + 2.0 * 0.7151893664]);
        let x = Tensor::from_bytes(DataType::Uint8, vec![2], vec![0; 2]).expect("two");
        let y = node("RandomNormalLike")
            .int("dtype", 11)
            .float("mean", 5.0)
            .float("scale", 2.0)
            .one(std::slice::from_ref(&x));
        assert_eq!((y.dtype(), y.shape()), (DataType::Float64, &[2][..]));
        close(&numbers(&y), &[5.0 + 2.0 * 1.764052346, 5.0 + 2.0 * 0.4001572084]);
        assert_eq!(node("RandomUniformLike").error(&[x]).kind(), ErrorKind::Unsupported);
        let shape = Attribute::Ints(vec![2, -1]);
        assert_eq!(node("RandomNormal").with("shape", shape).error(&[]).kind(), ErrorKind::InvalidModel);
        let shape = Attribute::Ints(vec![i64::MAX, 16]);
        assert_eq!(node("RandomNormal").with("shape", shape).error(&[]).kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn without_a_seed_nodes_and_runs_differ_and_sessions_do_not() {
        let runs = |seed: Option<f32>| {
            let mut attributes = vec![("shape", Attribute::Ints(vec![4]))];
            attributes.extend(seed.map(|s| ("seed", Attribute::Float(s))));
            let builder = Builder::new(22).node("RandomNormal", &[], &["a"], &attributes);
            let session = builder
                .node("RandomNormal", &[], &["b"], &attributes)
                .output("a")
                .output("b")
                .load()
                .expect("it loads");
            let mut all = Vec::new();
            for _ in 0..2 {
                let outputs = session.run_blocking(Vec::new(), RunOptions::default()).expect("it runs");
                all.extend(outputs.into_iter().map(|(_, feed)| numbers(&into_tensor(feed))));
            }
            all
        };
        let all = runs(None);
        assert_eq!(all, runs(None));
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])), "{all:?}");
        let all = runs(Some(7.0));
        assert!(all.iter().all(|a| *a == all[0]), "{all:?}");
    }

    #[test]
    fn bernoulli_and_multinomial_draw_by_probability() {
        let p = f32s(&[3, 1000], [vec![0.0; 1000], vec![1.0; 1000], vec![0.3; 1000]].concat());
        let y = Single::new("Bernoulli", 22).int("dtype", 9).one(&[p]);
        assert_eq!(y.dtype(), DataType::Bool);
        let ones = |row: usize| numbers(&y)[row * 1000..][..1000].iter().sum::<f64>();
        assert_eq!((ones(0), ones(1)), (0.0, 1000.0));
        assert!((250.0..350.0).contains(&ones(2)), "{}", ones(2));
        for p in [-0.1, 1.1, f32::NAN] {
            assert_eq!(Single::new("Bernoulli", 22).error(&[f32s(&[1], vec![p])]).kind(), ErrorKind::InvalidArgument);
        }

        let x =
            f32s(&[2, 3], vec![f32::NEG_INFINITY, 700.0 + 3f32.ln(), 700.0, 5.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
        let y = Single::new("Multinomial", 22).int("sample_size", 1000).int("dtype", 7).one(&[x]);
        assert_eq!((y.dtype(), y.shape()), (DataType::Int64, &[2, 1000][..]));
        let drawn = numbers(&y);
        let times = |row: usize, class: f64| drawn[row * 1000..][..1000].iter().filter(|&&c| c == class).count();
        assert!(times(0, 0.0) == 0 && (700..800).contains(&times(0, 1.0)) && times(1, 0.0) == 1000);
        let multinomial = Single::new("Multinomial", 22);
        assert_eq!(multinomial.error(&[f32s(&[1, 1], vec![f32::NEG_INFINITY])]).kind(), ErrorKind::InvalidArgument);
        assert_eq!(multinomial.error(&[f32s(&[1, 0], vec![])]).kind(), ErrorKind::ShapeMismatch);
    }
}
