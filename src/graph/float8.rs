//! The four float8 formats of ONNX, to float32 and from float64, exactly.
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
        whole * f32::from_bits(((power - format.bias + 127) as u32) << 23)
    };
    if bits & 0x80 == 0 { value } else { -value }
}

/// The nearest number's bits, ties to even. What is too large becomes the largest number where
/// `saturate`, else infinity, or NaN where the format has no infinity.
pub fn encode(dtype: DataType, value: f64, saturate: bool) -> u8 {
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
    if value.is_infinite() {
        return overflow;
    }
    let significand = value.to_bits() & ((1 << 52) - 1);
    let own = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let least = 1 - format.bias;
    let exponent = own.max(least);
    // In units of the last place; rounding up may reach the next exponent, which the sum of both
    // parts below carries into. float64's subnormals are far below the smallest number.
    let shift = 52 - format.mantissa + (exponent - own) as u32;
    let units = if own == -1023 || shift > 53 { 0 } else { shift_to_even(significand | 1 << 52, shift) };
    let bits = (u64::from((exponent - least) as u32) << format.mantissa) + units;
    if bits > u64::from(format.largest) {
        return overflow;
    }
    // FNUZ types have one zero only.
    if bits == 0 && format.fnuz { 0 } else { sign | bits as u8 }
}

/// `value / 2^shift` (1 to 63), rounded to nearest, ties to even.
fn shift_to_even(value: u64, shift: u32) -> u64 {
    let (whole, rest, half) = (value >> shift, value & ((1 << shift) - 1), 1 << (shift - 1));
    whole + u64::from(rest > half || rest == half && whole & 1 == 1)
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
                let again = encode(dtype, f64::from(value), false);
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
                assert_eq!(encode(dtype, f64::from(middle), true), if a % 2 == 0 { a } else { b }, "{dtype} {middle}");
                assert_eq!(encode(dtype, f64::from(low + (high - low) * 0.25), true), a, "{dtype}");
                assert_eq!(encode(dtype, f64::from(low + (high - low) * 0.75), true), b, "{dtype}");
            }
        }
    }

    #[test]
    fn what_is_too_large_saturates_or_overflows() {
        assert_eq!(decode(DataType::Float8E4M3FN, encode(DataType::Float8E4M3FN, 1e6, true)), 448.0);
        assert!(decode(DataType::Float8E4M3FN, encode(DataType::Float8E4M3FN, 1e6, false)).is_nan());
        assert_eq!(decode(DataType::Float8E5M2, encode(DataType::Float8E5M2, -1e6, false)), f32::NEG_INFINITY);
        assert_eq!(decode(DataType::Float8E4M3FNUZ, encode(DataType::Float8E4M3FNUZ, f64::INFINITY, true)), 240.0);
    }

    fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
        bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
    }

    /// Hashes of what ml_dtypes 0.5 gives: every code as float32, and every float16 as a code,
    /// NaN as 0x7fc00000 and 0xff.
    #[test]
    fn every_code_and_every_float16_convert_as_in_ml_dtypes() {
        const HASHES: [(u64, u64); 4] = [
            (0xdad1_d9c5_0f74_9ca5, 0xc182_73cd_33c6_4f25),
            (0xf518_51cb_11c6_3018, 0x7dc9_fe53_6f17_3a25),
            (0x6c1e_56b6_fb09_c905, 0x3ba1_5016_42e1_3fa5),
            (0x94ae_6fc4_93d4_9818, 0xb5d7_22a8_7b60_eba5),
        ];
        for (dtype, (codes, halves)) in ALL.into_iter().zip(HASHES) {
            let decoded = (0..=255u8).flat_map(|b| {
                let value = decode(dtype, b);
                if value.is_nan() { 0x7fc0_0000u32 } else { value.to_bits() }.to_le_bytes()
            });
            assert_eq!(fnv(decoded), codes, "{dtype}");
            let encoded = (0..=u16::MAX).map(|h| {
                let code = encode(dtype, half::f16::from_bits(h).to_f64(), false);
                if decode(dtype, code).is_nan() { 0xff } else { code }
            });
            assert_eq!(fnv(encoded), halves, "{dtype}");
        }
    }

    #[test]
    fn a_float64_is_rounded_once() {
        // Just above the middle of 1 and 1.125: float32 would make it the middle, and that even.
        let above = 1.0625 + f64::EPSILON;
        assert_eq!(decode(DataType::Float8E4M3FN, encode(DataType::Float8E4M3FN, above, true)), 1.125);
        assert_eq!(encode(DataType::Float8E5M2, f64::MIN_POSITIVE / 4.0, true), 0);
        assert_eq!(encode(DataType::Float8E5M2, -f64::MAX, true), 0xfb);
    }
}
