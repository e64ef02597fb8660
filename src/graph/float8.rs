//! The four float8 formats of ONNX, each to and from float32.
//!
//! The formats and the rounding are those of ONNX's "Float stored in 8 bits" and of Cast.

use super::DataType;

/// How many bits of exponent and mantissa, the exponent's bias, and whether it is an FNUZ type:
/// one zero, and NaN where negative zero would be.
struct Format {
    mantissa: u32,
    bias: i32,
    fnuz: bool,
    /// Bits of the largest finite number.
    largest: u8,
    /// Bits of infinity, where the format has one.
    infinity: Option<u8>,
    nan: u8,
}

fn format(dtype: DataType) -> Format {
    match dtype {
        DataType::Float8E4M3FN => {
            Format { mantissa: 3, bias: 7, fnuz: false, largest: 0x7e, infinity: None, nan: 0x7f }
        }
        DataType::Float8E4M3FNUZ => {
            Format { mantissa: 3, bias: 8, fnuz: true, largest: 0x7f, infinity: None, nan: 0x80 }
        }
        DataType::Float8E5M2 => {
            Format { mantissa: 2, bias: 15, fnuz: false, largest: 0x7b, infinity: Some(0x7c), nan: 0x7f }
        }
        _ => Format { mantissa: 2, bias: 16, fnuz: true, largest: 0x7f, infinity: None, nan: 0x80 },
    }
}

/// The number that `bits` stand for.
pub fn decode(dtype: DataType, bits: u8) -> f32 {
    let format = format(dtype);
    let magnitude = bits & 0x7f;
    let is_nan = if format.fnuz { bits == 0x80 } else { magnitude > format.infinity.unwrap_or(format.largest) };
    if is_nan {
        return f32::NAN;
    }
    let value = if Some(magnitude) == format.infinity {
        f32::INFINITY
    } else {
        let exponent = i32::from(magnitude >> format.mantissa);
        let fraction = f32::from(magnitude & ((1 << format.mantissa) - 1)) / (1 << format.mantissa) as f32;
        // A number without exponent is subnormal.
        let (whole, power) = if exponent == 0 { (fraction, 1) } else { (1.0 + fraction, exponent) };
        whole * ((power - format.bias) as f32).exp2()
    };
    if bits & 0x80 == 0 { value } else { -value }
}

/// The nearest number's bits, ties to even. What is too large becomes the largest number where
/// `saturate`, else infinity, or NaN where the format has no infinity.
pub fn encode(dtype: DataType, value: f32, saturate: bool) -> u8 {
    let format = format(dtype);
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    if value.is_nan() {
        return if format.fnuz { format.nan } else { sign | format.nan };
    }
    let overflow = match (saturate, format.infinity) {
        (true, _) => sign | format.largest,
        (false, Some(infinity)) => sign | infinity,
        (false, None) if format.fnuz => format.nan,
        (false, None) => sign | format.nan,
    };
    let magnitude = f64::from(value.abs());
    if magnitude.is_infinite() {
        return overflow;
    }
    let least = 1 - format.bias;
    let exponent = if magnitude == 0.0 { least } else { (magnitude.log2().floor() as i32).max(least) };
    // In units of the last place; rounding up may reach the next exponent, which the sum of both
    // parts below carries into.
    let units = (magnitude / f64::from(exponent - format.mantissa as i32).exp2()).round_ties_even() as u32;
    let bits = ((exponent - least) as u32) << format.mantissa;
    let bits = bits + units;
    if bits > u32::from(format.largest) {
        return overflow;
    }
    // FNUZ types have one zero only.
    if bits == 0 && format.fnuz { 0 } else { sign | bits as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DataType; 4] =
        [DataType::Float8E4M3FN, DataType::Float8E4M3FNUZ, DataType::Float8E5M2, DataType::Float8E5M2FNUZ];

    #[test]
    fn every_number_survives_a_round_trip() {
        for dtype in ALL {
            for bits in 0..=255u8 {
                let value = decode(dtype, bits);
                let again = encode(dtype, value, false);
                assert!(value.is_nan() && decode(dtype, again).is_nan() || again == bits, "{dtype} {bits:#x} {value}");
            }
        }
    }

    #[test]
    fn the_nearest_number_is_taken_and_ties_go_to_even() {
        for dtype in ALL {
            let mut finite: Vec<(f32, u8)> =
                (0..0x80).map(|b| (decode(dtype, b), b)).filter(|(v, _)| v.is_finite()).collect();
            finite.sort_by(|a, b| a.0.total_cmp(&b.0));
            for pair in finite.windows(2) {
                let ((low, a), (high, b)) = (pair[0], pair[1]);
                let middle = (low + high) / 2.0;
                assert_eq!(encode(dtype, middle, true), if a % 2 == 0 { a } else { b }, "{dtype} {middle}");
                assert_eq!(encode(dtype, low + (high - low) * 0.25, true), a, "{dtype}");
                assert_eq!(encode(dtype, low + (high - low) * 0.75, true), b, "{dtype}");
            }
        }
    }

    #[test]
    fn what_is_too_large_saturates_or_overflows() {
        assert_eq!(decode(DataType::Float8E4M3FN, encode(DataType::Float8E4M3FN, 1e6, true)), 448.0);
        assert!(decode(DataType::Float8E4M3FN, encode(DataType::Float8E4M3FN, 1e6, false)).is_nan());
        assert_eq!(decode(DataType::Float8E5M2, encode(DataType::Float8E5M2, -1e6, false)), f32::NEG_INFINITY);
        assert_eq!(decode(DataType::Float8E4M3FNUZ, encode(DataType::Float8E4M3FNUZ, f32::INFINITY, true)), 240.0);
    }
}
