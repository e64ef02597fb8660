//! Cast: converts every element to another dtype. Numbers as strings are written as NumPy does.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Op, Operator};
use crate::backend::{Device, cast, tensor_of};
use crate::error::{Error, ErrorKind, Result, bail};
use crate::graph::{DataType, Tensor};

/// Cast.
pub const OPERATOR: Operator = Operator {
    name: "Cast",
    domain: "",
    inputs: 1..=1,
    outputs: 1..=1,
    attributes: &["saturate", "to"],
    parameters: &[],
    webgpu: false,
    build, ..Operator::DEFAULT
};

struct Cast {
    to: DataType,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(to) = attributes.int("to")? else { bail!(InvalidModel, "attribute \"to\" is missing") };
    match i32::try_from(to).ok().and_then(DataType::from_onnx) {
        Some(to) => Ok(Box::new(Cast { to })),
        None => bail!(Unsupported, "a cast to element type {to}"),
    }
}

impl Op for Cast {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        match inputs {
            [Some(Type::Tensor(_))] => Ok(vec![Type::Tensor(self.to)]),
            _ => bail!(InvalidModel, "input 0: expected a tensor"),
        }
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(self.to, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        match (inputs.take(0)?, self.to) {
            (Value::Host(tensor), DataType::String) => Ok(vec![Value::Host(tensor)]),
            (Value::Host(tensor), to) if tensor.dtype() == DataType::String && !to.is_storage() => output(parse(&tensor, to)?),
            (Value::Tensor(array), DataType::String) => {
                let tensor = Tensor::from_flex(array.into_cpu()?);
                Ok(vec![Value::Host(Tensor::from_strings(tensor.shape().to_vec(), texts(&tensor)?)?)])
            }
            (Value::Tensor(array), to) if !to.is_storage() => output(cast(&array.into_cpu()?, to)?),
            (value, to) => {
                let tensor = value.into_host()?;
                output(Tensor::from_f64s(to, tensor.shape(), tensor.to_f64s()?)?)
            }
        }
    }
}

fn parse(tensor: &Tensor, to: DataType) -> Result<burn_flex::FlexTensor> {
    let (shape, words) = (tensor.shape(), tensor.strings().unwrap_or_default());
    let no_number = |word: &str| {
        Error::new(ErrorKind::InvalidArgument, format!("{word:?} is not a number; it cannot be cast to {to}"))
    };
    macro_rules! parsed {
        ($T:ty, $dtype:ident, $fallback:expr) => {{
            let each = |word: &String| word.trim().parse::<$T>().ok().or_else($fallback(word.trim())).ok_or_else(|| no_number(word));
            tensor_of(DataType::$dtype, shape, words.iter().map(each).collect::<Result<Vec<$T>>>()?)
        }};
    }
    // The widest type of each kind holds every value of the narrower ones.
    let wide = match to {
        DataType::Uint64 => parsed!(u64, Uint64, |word: &str| { let v = word.parse::<f64>().ok(); move || v.map(|v| v as u64) }),
        _ if to.is_int() => parsed!(i64, Int64, |word: &str| { let v = word.parse::<f64>().ok(); move || v.map(|v| v as i64) }),
        // Parsing float32 through float64 would round twice.
        DataType::Float32 => parsed!(f32, Float32, |_: &str| || None),
        _ => parsed!(f64, Float64, |_: &str| || None),
    };
    cast(&wide, to)
}

/// Every element as text.
fn texts(tensor: &Tensor) -> Result<Vec<String>> {
    macro_rules! integers {
        ($($T:ty),+) => { $(if let Some(values) = tensor.as_slice::<$T>() { return Ok(values.iter().map(ToString::to_string).collect()); })+ };
    }
    macro_rules! floats {
        ($($T:ty => $from:expr),+) => { $(if let Some(values) = tensor.as_slice::<$T>() { return Ok(values.iter().map(|v| shortest(v.to_f64(), |text: f64| $from(text) == *v)).collect()); })+ };
    }
    integers!(i8, i16, i32, i64, u8, u16, u32, u64);
    trait Wide: Copy {
        fn to_f64(&self) -> f64;
    }
    impl Wide for f32 {
        fn to_f64(&self) -> f64 {
            f64::from(*self)
        }
    }
    impl Wide for f64 {
        fn to_f64(&self) -> f64 {
            *self
        }
    }
    floats!(f32 => |v| v as f32, f64 => |v: f64| v, half::f16 => half::f16::from_f64, half::bf16 => half::bf16::from_f64);
    match (tensor.dtype(), tensor.bytes()) {
        (DataType::Bool, Some(bytes)) => Ok(bytes.iter().map(|&v| if v == 0 { "False" } else { "True" }.to_string()).collect()),
        (other, _) => bail!(Internal, "{other} has no text"),
    }
}

/// The fewest digits that read back as the same value, with an exponent where it is long.
fn shortest(value: f64, same: impl Fn(f64) -> bool) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.into();
    }
    let scientific = (0..17)
        .map(|digits| format!("{value:.digits$e}"))
        .find(|text| text.parse::<f64>().is_ok_and(&same))
        .unwrap_or_else(|| format!("{value:e}"));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let digits = mantissa.split_once('.').map_or(0, |(_, d)| d.len()) as i32;
    let decimals = (digits - exponent).max(1) as usize;
    let plain: f64 = scientific.parse().unwrap_or(value);
    format!("{plain:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_with_the_fewest_digits() {
        let f32_text = |v: f32| shortest(f64::from(v), |t| t as f32 == v);
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.47892547, "0.47892547"),
            (1234567.0, "1234567.0"),
            (1e-5, "1e-05"),
            (1.5e20, "1.5e+20"),
            (0.0, "0.0"),
            (f32::NEG_INFINITY, "-INF"),
        ] {
            assert_eq!(f32_text(value), text);
        }
        assert_eq!(f32_text(f32::NAN), "NaN");
        let third = half::f16::from_f32(1.0 / 3.0);
        assert_eq!(shortest(third.to_f64(), |t| half::f16::from_f64(t) == third), "0.3333");
    }
}
