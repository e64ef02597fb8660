//! JSON as a tensor: nested arrays, or one value for a scalar.

use std::ops::RangeInclusive;

use firebrand::{DataType, Tensor};
use half::{bf16, f16};
use serde_json::Value;

/// Reads nested arrays as a tensor of `dtype`; the nesting gives the shape.
///
/// Numbers must fit the dtype; floats are rounded to it. A float may also be `"NaN"`, `"Infinity"` or `"-Infinity"`, which
/// JSON has no numbers for. The error says where and why.
pub fn read(text: &[u8], dtype: DataType) -> Result<Tensor, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut shape = Vec::new();
    let mut inner = &value;
    while let Value::Array(items) = inner {
        shape.push(items.len());
        let Some(first) = items.first() else { break };
        inner = first;
    }
    let mut leaves = Vec::new();
    collect(&value, &shape, &mut Vec::new(), &mut leaves)?;
    match dtype {
        DataType::Float32 => numbers(shape, &leaves, |v| float(v).map(|x| x as f32)),
        DataType::Float64 => numbers(shape, &leaves, float),
        DataType::Float16 => numbers(shape, &leaves, |v| float(v).map(f16::from_f64)),
        DataType::BFloat16 => numbers(shape, &leaves, |v| float(v).map(bf16::from_f64)),
        DataType::Int8 => numbers(shape, &leaves, integer::<i8>),
        DataType::Int16 => numbers(shape, &leaves, integer::<i16>),
        DataType::Int32 => numbers(shape, &leaves, integer::<i32>),
        DataType::Int64 => numbers(shape, &leaves, integer::<i64>),
        DataType::Uint8 => numbers(shape, &leaves, integer::<u8>),
        DataType::Uint16 => numbers(shape, &leaves, integer::<u16>),
        DataType::Uint32 => numbers(shape, &leaves, integer::<u32>),
        DataType::Uint64 => numbers(shape, &leaves, integer::<u64>),
        DataType::Bool => {
            let bytes = leaves.iter().map(|leaf| leaf.as_bool().map(u8::from).ok_or_else(|| wrong(leaf, dtype)));
            Tensor::from_bytes(dtype, shape, bytes.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
        }
        DataType::Int4 => four_bits(dtype, shape, &leaves, -8..=7),
        DataType::Uint4 => four_bits(dtype, shape, &leaves, 0..=15),
        dtype if dtype.is_float8() => {
            let elements = leaves.iter().map(|leaf| float(leaf).ok_or_else(|| wrong(leaf, dtype)));
            Tensor::from_f64s(dtype, &shape, elements.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
        }
        _ => {
            let strings = leaves.iter().map(|leaf| leaf.as_str().map(String::from).ok_or_else(|| wrong(leaf, dtype)));
            Tensor::from_strings(shape, strings.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
        }
    }
}

fn numbers<T: firebrand::graph::Element>(
    shape: Vec<usize>,
    leaves: &[&Value],
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Tensor, String> {
    let elements = leaves.iter().map(|leaf| read(leaf).ok_or_else(|| wrong(leaf, T::DTYPE)));
    Tensor::from_vec(shape, elements.collect::<Result<Vec<T>, _>>()?).map_err(|error| error.to_string())
}

fn four_bits(
    dtype: DataType,
    shape: Vec<usize>,
    leaves: &[&Value],
    range: RangeInclusive<i8>,
) -> Result<Tensor, String> {
    let element = |leaf: &&Value| integer::<i8>(leaf).filter(|value| range.contains(value)).map(|value| value as u8);
    let elements = leaves.iter().map(|leaf| element(leaf).ok_or_else(|| wrong(leaf, dtype)));
    Tensor::from_bytes(dtype, shape, elements.collect::<Result<_, _>>()?).map_err(|error| error.to_string())
}

fn wrong(value: &Value, dtype: DataType) -> String {
    format!("{value} is no {dtype}")
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        value => value.as_f64(),
    }
}

fn integer<T: TryFrom<i64> + TryFrom<u64>>(value: &Value) -> Option<T> {
    if let Some(number) = value.as_i64() {
        return T::try_from(number).ok();
    }
    if let Some(number) = value.as_u64() {
        return T::try_from(number).ok();
    }
    // 3.0 and 1e3 are whole, up to where a double tells neighbours apart.
    let number = value.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0)?;
    T::try_from(number as i64).ok()
}

fn collect<'a>(
    value: &'a Value,
    shape: &[usize],
    at: &mut Vec<usize>,
    leaves: &mut Vec<&'a Value>,
) -> Result<(), String> {
    match (value, shape) {
        (Value::Array(items), [size, inner @ ..]) => {
            if items.len() != *size {
                return Err(format!("it is ragged: {at:?} has {} entries, others have {size}", items.len()));
            }
            for (index, item) in items.iter().enumerate() {
                at.push(index);
                collect(item, inner, at, leaves)?;
                at.pop();
            }
            Ok(())
        }
        (Value::Array(_), []) => Err(format!("it is ragged: an array at {at:?}, where others have a value")),
        (Value::Object(_), _) => Err("expected nested arrays of values, got an object".to_string()),
        (_, [_, ..]) => Err(format!("it is ragged: {value} at {at:?}, where others have an array")),
        (value, []) => {
            leaves.push(value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_shape() {
        let tensor = read(b"[[1, 2.5, -3], [4, 5, 6e0]]", DataType::Float32).unwrap();
        assert_eq!(tensor.shape(), [2, 3]);
        assert_eq!(tensor.as_slice::<f32>().unwrap(), [1.0, 2.5, -3.0, 4.0, 5.0, 6.0]);
        assert_eq!(read(b"7", DataType::Int64).unwrap().shape(), [0usize; 0]);
        assert_eq!(read(b"[[], []]", DataType::Int64).unwrap().shape(), [2, 0]);
        let words = read(br#"[["a", "b"]]"#, DataType::String).unwrap();
        assert_eq!(words.strings().unwrap(), ["a", "b"]);
        assert_eq!(read(b"[true, false]", DataType::Bool).unwrap().bytes().unwrap(), [1, 0]);
    }

    #[test]
    fn integers_are_exact() {
        let tensor = read(b"[9223372036854775807, -9223372036854775808, 1e3]", DataType::Int64).unwrap();
        assert_eq!(tensor.as_slice::<i64>().unwrap(), [i64::MAX, i64::MIN, 1000]);
        let tensor = read(b"[18446744073709551615]", DataType::Uint64).unwrap();
        assert_eq!(tensor.as_slice::<u64>().unwrap(), [u64::MAX]);
    }

    #[test]
    fn floats_may_be_special() {
        let tensor = read(br#"["NaN", "-Infinity"]"#, DataType::Float32).unwrap();
        let values = tensor.as_slice::<f32>().unwrap();
        assert!(values[0].is_nan() && values[1] == f32::NEG_INFINITY);
    }

    #[test]
    fn narrow_types_are_read() {
        let bytes = |text: &str, dtype| read(text.as_bytes(), dtype).unwrap().bytes().unwrap().to_vec();
        assert_eq!(bytes("[-8, -1, 7.0]", DataType::Int4), [0xf8, 0xff, 7]);
        assert_eq!(bytes("[0, 15]", DataType::Uint4), [0, 15]);
        // 1.06 is nearer to 1 than to 1.125; what is too large becomes the largest.
        assert_eq!(bytes("[1.06, -2, 1e300]", DataType::Float8E4M3FN), [0x38, 0xc0, 0x7e]);
        assert_eq!(bytes(r#"["NaN"]"#, DataType::Float8E5M2FNUZ), [0x80]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, dtype, expected) in [
            ("[[1, 2], [3]]", DataType::Float32, "it is ragged: [1] has 1 entries, others have 2"),
            ("[[1], 2]", DataType::Float32, "ragged: 2 at [1]"),
            ("[1, [2]]", DataType::Float32, "ragged: an array at [1]"),
            ("[1", DataType::Float32, "not JSON"),
            ("", DataType::Float32, "not JSON"),
            ("[1.5]", DataType::Int32, "1.5 is no int32"),
            ("[256]", DataType::Uint8, "256 is no uint8"),
            ("[8]", DataType::Int4, "8 is no int4"),
            ("[-1]", DataType::Uint4, "-1 is no uint4"),
            ("[true]", DataType::Float8E5M2, "true is no float8e5m2"),
            ("[-1]", DataType::Uint64, "-1 is no uint64"),
            ("[1e300]", DataType::Int64, "1e+300 is no int64"),
            ("[\"x\"]", DataType::Float32, "\"x\" is no float32"),
            ("[null]", DataType::Float32, "null is no float32"),
            ("[1]", DataType::Bool, "1 is no bool"),
            ("[1]", DataType::String, "1 is no string"),
            ("{\"a\": 1}", DataType::Float32, "got an object"),
        ] {
            let message = read(text.as_bytes(), dtype).unwrap_err();
            assert!(message.contains(expected), "{expected:?} is not in {message:?}");
        }
    }
}
