//! Cast: converts every element to another dtype. Numbers as strings are written as NumPy does.

use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::{Device, cast, tensor_of};
use crate::error::{Error, ErrorKind, Result, bail};
use crate::graph::{DataType, Tensor, float8};

/// Cast.
pub const OPERATOR: Operator = Operator {
    name: "Cast",
    domain: "",
    inputs: 1..=1,
    outputs: 1..=1,
    attributes: &["saturate", "to"],
    parameters: &[],
    webgpu: false,
    build,
    ..Operator::DEFAULT
};

struct Cast {
    to: DataType,
    saturate: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(to) = attributes.int("to")? else { bail!(InvalidModel, "attribute \"to\" is missing") };
    let saturate = attributes.flag("saturate", true)?;
    match i32::try_from(to).ok().and_then(DataType::from_onnx) {
        Some(to) => Ok(Box::new(Cast { to, saturate })),
        None => bail!(Unsupported, "a cast to element type {to}"),
    }
}

impl Op for Cast {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::All)?;
        Ok(vec![Type::Tensor(self.to)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(self.to, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        output(cast_value(inputs.take(0)?, self.to, self.saturate)?)
    }
}

/// Every element of a tensor, on the CPU, as `to`. Integers wrap, also to 4 bits; floats are
/// truncated to integers, rounded to 4-bit ones, and saturate; NaN becomes 0. What is too large
/// for float8 becomes its largest number where `saturate`, else infinity or NaN.
pub fn cast_value(value: Value, to: DataType, saturate: bool) -> Result<Value> {
    let from = match value.info() {
        Some(info) => info.dtype,
        None => bail!(InvalidModel, "expected a tensor, got {}", value.describe()),
    };
    if from == to {
        return Ok(value);
    }
    if let (Value::Tensor(array), Some(_)) = (&value, to.to_burn()) {
        return Ok(cast(&array.clone().into_cpu()?, to)?.into());
    }
    let tensor = value.into_host()?;
    let shape = tensor.shape();
    let whole = from.is_int() || from.is_4_bit() || from == DataType::Bool;
    let converted = match (from, to) {
        (DataType::String, _) if to.is_storage() => {
            let wide = Value::from(parse(&tensor, if to.is_4_bit() { DataType::Int64 } else { DataType::Float64 })?);
            return cast_value(wide, to, saturate);
        }
        (DataType::String, _) => return Ok(parse(&tensor, to)?.into()),
        (_, DataType::String) => Tensor::from_strings(shape.to_vec(), texts(&tensor)?)?,
        _ if whole && !to.is_float8() => Tensor::from_i64s(to, shape, tensor.to_i64s()?)?,
        _ if to.is_float8() => {
            let codes = tensor.to_f64s()?.into_iter().map(|v| float8::encode(to, v, saturate)).collect();
            Tensor::from_bytes(to, shape.to_vec(), codes)?
        }
        _ if to.is_4_bit() => {
            Tensor::from_f64s(to, shape, tensor.to_f64s()?.into_iter().map(f64::round_ties_even).collect())?
        }
        _ => Tensor::from_f64s(to, shape, tensor.to_f64s()?)?,
    };
    Ok(converted.into())
}

fn parse(tensor: &Tensor, to: DataType) -> Result<burn_flex::FlexTensor> {
    let (shape, words) = (tensor.shape(), tensor.strings().unwrap_or_default());
    let no_number = |word: &str| {
        Error::new(ErrorKind::InvalidArgument, format!("{word:?} is not a number; it cannot be cast to {to}"))
    };
    macro_rules! parsed {
        ($T:ty, $dtype:ident, $fallback:expr) => {{
            let each = |word: &String| {
                word.trim().parse::<$T>().ok().or_else($fallback(word.trim())).ok_or_else(|| no_number(word))
            };
            tensor_of(DataType::$dtype, shape, words.iter().map(each).collect::<Result<Vec<$T>>>()?)
        }};
    }
    // The widest type of each kind holds every value of the narrower ones.
    let wide = match to {
        DataType::Uint64 => parsed!(u64, Uint64, |word: &str| {
            let v = word.parse::<f64>().ok();
            move || v.map(|v| v as u64)
        }),
        _ if to.is_int() => parsed!(i64, Int64, |word: &str| {
            let v = word.parse::<f64>().ok();
            move || v.map(|v| v as i64)
        }),
        // Parsing float32 through float64 would round twice.
        DataType::Float32 => parsed!(f32, Float32, |_: &str| || None),
        DataType::Bool => parsed!(f64, Float64, |word: &str| {
            let v = word.to_ascii_lowercase();
            move || ["false", "true"].iter().position(|w| *w == v).map(|v| v as f64)
        }),
        _ => parsed!(f64, Float64, |_: &str| || None),
    };
    cast(&wide, to)
}

/// Every element as text.
fn texts(tensor: &Tensor) -> Result<Vec<String>> {
    let dtype = tensor.dtype();
    let same: fn(f64, f64) -> bool = match dtype {
        DataType::Bool => {
            let words = tensor.bytes().unwrap_or_default().iter().map(|&v| if v == 0 { "False" } else { "True" });
            return Ok(words.map(str::to_string).collect());
        }
        DataType::Uint64 => return Ok(tensor.to_i64s()?.into_iter().map(|v| (v as u64).to_string()).collect()),
        _ if dtype.is_int() || dtype.is_4_bit() => {
            return Ok(tensor.to_i64s()?.into_iter().map(|v| v.to_string()).collect());
        }
        DataType::Float64 => |text, v| text == v,
        DataType::Float16 => |text, v| half::f16::from_f64(text).to_f64() == v,
        DataType::BFloat16 => |text, v| half::bf16::from_f64(text).to_f64() == v,
        _ => |text, v| f64::from(text as f32) == v,
    };
    Ok(tensor.to_f64s()?.into_iter().map(|v| shortest(v, |text| same(text, v))).collect())
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
    use crate::support::{Single, f32s, i64s};

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

    fn cast_of(x: Tensor, to: DataType) -> Tensor {
        Single::new("Cast", 21).int("to", i64::from(to.onnx())).one(&[x])
    }

    fn chain(x: Tensor, steps: &[DataType]) -> Vec<f64> {
        cast_of(steps.iter().fold(x, |x, &to| cast_of(x, to)), DataType::Float64).to_f64s().expect("numbers")
    }

    #[test]
    fn integers_wrap_and_floats_saturate() {
        let ints = || i64s(&[7], &[7, 8, 9, -1, -9, 255, 256]);
        assert_eq!(chain(ints(), &[DataType::Int4]), [7.0, -8.0, -7.0, -1.0, 7.0, -1.0, 0.0]);
        assert_eq!(chain(ints(), &[DataType::Uint4]), [7.0, 8.0, 9.0, 15.0, 7.0, 15.0, 0.0]);
        assert_eq!(chain(ints(), &[DataType::Int4, DataType::Uint8]), [7.0, 248.0, 249.0, 255.0, 7.0, 255.0, 0.0]);
        assert_eq!(chain(ints(), &[DataType::Int8]), [7.0, 8.0, 9.0, -1.0, -9.0, -1.0, 0.0]);
        let floats = || f32s(&[7], vec![2.5, 3.5, -2.5, 1e9, -f32::INFINITY, f32::NAN, -0.4]);
        assert_eq!(chain(floats(), &[DataType::Int4]), [2.0, 4.0, -2.0, 7.0, -8.0, 0.0, 0.0]);
        assert_eq!(chain(floats(), &[DataType::Uint4]), [2.0, 4.0, 0.0, 15.0, 0.0, 0.0, 0.0]);
        assert_eq!(chain(floats(), &[DataType::Uint8]), [2.0, 3.0, 0.0, 255.0, 0.0, 0.0, 0.0]);
        assert_eq!(chain(floats(), &[DataType::Bool]), [1.0; 7]);
        assert_eq!(chain(floats(), &[DataType::Float8E4M3FN, DataType::Bool])[..6], [1.0; 6]);
        assert_eq!(
            chain(floats(), &[DataType::Float8E4M3FN, DataType::Int8]),
            [2.0, 3.0, -2.0, 127.0, -128.0, 0.0, 0.0]
        );
    }

    #[test]
    fn narrow_floats_are_rounded_once() {
        // Just beyond the middle between two narrow numbers, by less than float32 or float64 hold.
        let (half_middle, brain_middle) = (1.0 + 2f64.powi(-11), 1.0 + 2f64.powi(-8));
        let wide = |v: f64| Tensor::from_vec(vec![2], vec![v + f64::EPSILON, -v - f64::EPSILON]).expect("two");
        let (half_next, brain_next) = (1.0 + 2f64.powi(-10), 1.0 + 2f64.powi(-7));
        assert_eq!(chain(wide(half_middle), &[DataType::Float16]), [half_next, -half_next]);
        assert_eq!(chain(wide(brain_middle), &[DataType::BFloat16]), [brain_next, -brain_next]);
        let middle = (1i64 << 62) + (1 << 54);
        let ints = i64s(&[4], &[middle, middle + 1, -middle, -middle - 1]);
        let (even, next) = (2f64.powi(62), 2f64.powi(62) + 2f64.powi(55));
        assert_eq!(chain(ints, &[DataType::BFloat16]), [even, next, -even, -next]);
        let every: Vec<half::f16> = (0..=u16::MAX).map(half::f16::from_bits).filter(|v| !v.is_nan()).collect();
        let wide: Vec<f64> = every.iter().map(|v| v.to_f64()).collect();
        let back = cast_of(Tensor::from_vec(vec![wide.len()], wide).expect("as many"), DataType::Float16);
        assert_eq!(
            back.as_slice::<half::f16>().map(|b| b.iter().zip(&every).all(|(a, b)| a.to_bits() == b.to_bits())),
            Some(true)
        );
    }

    #[test]
    fn text_and_back() {
        let words = |words: &[&str]| {
            Tensor::from_strings(vec![words.len()], words.iter().map(ToString::to_string).collect()).expect("as many")
        };
        let special = words(&["+INF", "inf", "-Inf", "nan", "1E3", " -2.5 "]);
        let values = chain(special.clone(), &[DataType::Float16]);
        assert_eq!(values[..3], [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY]);
        assert!(values[3].is_nan());
        assert_eq!(values[4..], [1000.0, -2.5]);
        assert_eq!(chain(special, &[DataType::Int4])[3..], [0.0, -8.0, -2.0]);
        let large = words(&["18446744073709551615", "9007199254740993"]);
        assert_eq!(cast_of(cast_of(large.clone(), DataType::Uint64), DataType::String).strings(), large.strings());
        let bools = words(&["True", "False", "1", "0"]);
        assert_eq!(chain(bools.clone(), &[DataType::Bool]), [1.0, 0.0, 1.0, 0.0]);
        for (dtype, expected) in [
            (DataType::Int4, ["-3", "1"]),
            (DataType::Float8E5M2, ["-2.5", "1.0"]),
            (DataType::Bool, ["True", "True"]),
            (DataType::BFloat16, ["-2.52", "1.1"]),
        ] {
            let text = cast_of(cast_of(f32s(&[2], vec![-2.52, 1.1]), dtype), DataType::String);
            assert_eq!(text.strings(), Some(&expected.map(String::from)[..]), "{dtype}");
        }
        let error = Single::new("Cast", 21).int("to", 1).error(&[words(&["one"])]);
        assert_eq!(error.kind(), crate::error::ErrorKind::InvalidArgument);
        assert!(Single::new("Cast", 21).int("to", 99).error(&[i64s(&[0], &[])]).message().contains("99"));
    }

    #[test]
    fn saturation_is_asked_for() {
        let x = f32s(&[3], vec![1e6, f32::NEG_INFINITY, 464.0]);
        let codes = |to: DataType, saturate| {
            let cast = Single::new("Cast", 19).int("to", i64::from(to.onnx())).int("saturate", saturate);
            cast.one(std::slice::from_ref(&x)).bytes().unwrap_or_default().to_vec()
        };
        assert_eq!(codes(DataType::Float8E4M3FN, 1), [0x7e, 0xfe, 0x7e]);
        assert_eq!(codes(DataType::Float8E4M3FN, 0), [0x7f, 0xff, 0x7e]);
        assert_eq!(codes(DataType::Float8E5M2, 0)[..2], [0x7c, 0xfc]);
        assert_eq!(codes(DataType::Float8E4M3FNUZ, 0)[..2], [0x80, 0x80]);
    }
}
