//! Values for the inputs that nobody gave: of the declared shape, seeded, the same everywhere.

use crate::error::{Error, ErrorKind, bail};
use crate::graph::{DataType, Dim, Tensor, ValueInfo, ValueType};
use crate::runtime::Feed;

/// Sizes of free dimensions by name; each must be some input's.
#[derive(Debug, Clone)]
pub struct Sizes(Vec<(String, usize)>);

/// `NAME=SIZE`.
pub fn parse_dim(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.rsplit_once('=').ok_or("expected NAME=SIZE")?;
    let size = size.trim().parse().map_err(|_| format!("expected a size after \"{name}=\", got \"{size}\""))?;
    Ok((name.to_string(), size))
}

impl Sizes {
    /// Checks that `inputs` have dimensions of these names.
    ///
    /// Errors: `InvalidArgument`.
    pub fn new<'a>(given: &[(String, usize)], inputs: impl Iterator<Item = &'a ValueInfo>) -> crate::Result<Self> {
        let mut names: Vec<&str> = Vec::new();
        for info in inputs {
            let free = shape(&info.ty).into_iter().flatten();
            names.extend(free.filter_map(|dim| if let Dim::Name(name) = dim { Some(name.as_str()) } else { None }));
        }
        names.sort_unstable();
        names.dedup();
        if let Some((name, _)) = given.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            let list = if names.is_empty() { "none".to_string() } else { names.join(", ") };
            bail!(InvalidArgument, "there is no dimension \"{name}\"; the free dimensions are: {list}");
        }
        Ok(Self(given.to_vec()))
    }

    fn of(&self, dim: &Dim) -> usize {
        match dim {
            Dim::Size(size) => *size,
            Dim::Name(name) => self.0.iter().rev().find(|(n, _)| n == name).map_or(1, |(_, size)| *size),
        }
    }

    /// A value of `info`'s type: a sequence of one tensor, an optional that is there. Equal seeds give equal values.
    ///
    /// Errors: `InvalidArgument` for an undeclared shape, `LimitExceeded`.
    pub fn sample(&self, info: &ValueInfo, seed: u64) -> crate::Result<Feed> {
        self.value(info, &info.ty, seed)
    }

    fn value(&self, info: &ValueInfo, ty: &ValueType, seed: u64) -> crate::Result<Feed> {
        Ok(match ty {
            ValueType::Tensor { dtype, shape: Some(shape) } => Feed::Tensor(self.tensor(info, *dtype, shape, seed)?),
            ValueType::Optional(inner) => self.value(info, inner, seed)?,
            ValueType::Sequence(inner) => match &**inner {
                ValueType::Tensor { dtype, shape: Some(shape) } => {
                    Feed::Sequence(*dtype, vec![self.tensor(info, *dtype, shape, seed)?])
                }
                _ => return Err(unknown(info)),
            },
            _ => return Err(unknown(info)),
        })
    }

    /// Floats from -1 to 1, 8-bit integers over their whole range, and 0 and 1 of all that may be
    /// an index or a condition.
    fn tensor(&self, info: &ValueInfo, dtype: DataType, shape: &[Dim], seed: u64) -> crate::Result<Tensor> {
        let sizes: Vec<usize> = shape.iter().map(|dim| self.of(dim)).collect();
        let wrong = |error: Error| Error::new(error.kind(), format!("input \"{}\": {}", info.name, error.message()));
        let count = sizes.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let Some(count) = count.filter(|count| count.checked_mul(8).is_some_and(|bytes| bytes as u64 <= MOST_BYTES))
        else {
            bail!(LimitExceeded, "input \"{}\": a tensor of {sizes:?} is too large", info.name);
        };
        let mut random = Random(seed);
        if dtype == DataType::String {
            return Tensor::from_strings(sizes, vec![String::new(); count]).map_err(wrong);
        }
        let mut element = || match dtype {
            dtype if dtype.is_float() || dtype.is_float8() => random.next() * 2.0 - 1.0,
            DataType::Uint8 => (random.next() * 256.0).floor(),
            DataType::Int8 => (random.next() * 256.0).floor() - 128.0,
            _ => (random.next() * 2.0).floor(),
        };
        let values: Vec<f64> = (0..count).map(|_| element()).collect();
        if dtype == DataType::Bool {
            let bytes = values.iter().map(|&value| value as u8).collect();
            return Tensor::from_bytes(dtype, sizes, bytes).map_err(wrong);
        }
        Tensor::from_f64s(dtype, &sizes, values).map_err(wrong)
    }
}

/// A slip of the hand shall not fill memory.
const MOST_BYTES: u64 = 1 << 33;

fn shape(ty: &ValueType) -> Option<&[Dim]> {
    match ty {
        ValueType::Tensor { shape, .. } => shape.as_deref(),
        ValueType::Sequence(inner) | ValueType::Optional(inner) => shape(inner),
        _ => None,
    }
}

fn unknown(info: &ValueInfo) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("input \"{}\" is declared {}: give it a value", info.name, info.ty))
}

/// Numbers from 0 to 1 (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, dtype: DataType, shape: Vec<Dim>) -> ValueInfo {
        ValueInfo { name: name.into(), ty: ValueType::Tensor { dtype, shape: Some(shape) } }
    }

    #[test]
    fn free_dimensions_are_one_or_what_is_said() {
        let dims = vec![Dim::Name("batch".into()), Dim::Name("length".into()), Dim::Size(3)];
        let input = info("x", DataType::Float32, dims);
        let sizes = Sizes::new(&[("length".into(), 5)], [&input].into_iter()).unwrap();
        let Feed::Tensor(tensor) = sizes.sample(&input, 1).unwrap() else { panic!("expected a tensor") };
        assert_eq!(tensor.shape(), [1, 5, 3]);
        let values = tensor.as_slice::<f32>().unwrap();
        assert!(values.iter().all(|v| (-1.0..1.0).contains(v)) && values.iter().any(|v| *v < -0.1));
        assert!(Sizes::new(&[("width".into(), 5)], [&input].into_iter()).is_err());
        let huge = Sizes::new(&[("length".into(), usize::MAX / 2)], [&input].into_iter()).unwrap();
        assert!(huge.sample(&input, 1).is_err());
    }

    #[test]
    fn integers_fit_what_they_may_stand_for() {
        let sizes = Sizes::new(&[], std::iter::empty()).unwrap();
        let elements = |dtype| match sizes.sample(&info("x", dtype, vec![Dim::Size(4096)]), 1).unwrap() {
            Feed::Tensor(tensor) => tensor,
            _ => panic!("expected a tensor"),
        };
        let bytes = elements(DataType::Int8);
        let bytes = bytes.as_slice::<i8>().unwrap();
        assert!(bytes.contains(&-128) && bytes.contains(&127));
        let indices = elements(DataType::Int64);
        let mut indices = indices.as_slice::<i64>().unwrap().to_vec();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices, [0, 1]);
        assert_eq!(elements(DataType::Bool).len(), 4096);
        assert_eq!(elements(DataType::Uint4).len(), 4096);
        assert_eq!(elements(DataType::String).len(), 4096);
    }

    #[test]
    fn dimensions_are_parsed() {
        assert_eq!(parse_dim("a=3"), Ok(("a".into(), 3)));
        assert_eq!(parse_dim("a=b=3"), Ok(("a=b".into(), 3)));
        for wrong in ["a", "a=", "a=x", "a=-1"] {
            assert!(parse_dim(wrong).is_err(), "{wrong}");
        }
    }
}
