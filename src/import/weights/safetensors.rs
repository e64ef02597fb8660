//! safetensors: a length, a JSON header with each tensor's dtype, shape and place, then the bytes.
//!
//! Read here rather than by the crate of that name, whose errors do not say which tensor is wrong or what was
//! expected, and stop at the first.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Weights;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor, element_count};

/// The longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// Whether a file begins as one of these does.
pub fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| (2..=LONGEST_HEADER).contains(&length)) && bytes.get(8) == Some(&b'{')
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's tensors; of two with one name a JSON parser would drop one without a word.
struct Header(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a dtype, shape and data_offsets for each tensor")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else if let Some((name, _)) = entries.insert(name.clone(), map.next_value()?).map(|e| (name, e)) {
                        return Err(serde::de::Error::custom(format_args!("\"{name}\" is there twice")));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn dtype(name: &str) -> Option<DataType> {
    Some(match name {
        "F64" => DataType::Float64,
        "F32" => DataType::Float32,
        "F16" => DataType::Float16,
        "BF16" => DataType::BFloat16,
        "F8_E4M3" => DataType::Float8E4M3FN,
        "F8_E5M2" => DataType::Float8E5M2,
        "I64" => DataType::Int64,
        "I32" => DataType::Int32,
        "I16" => DataType::Int16,
        "I8" => DataType::Int8,
        "U64" => DataType::Uint64,
        "U32" => DataType::Uint32,
        "U16" => DataType::Uint16,
        "U8" => DataType::Uint8,
        "BOOL" => DataType::Bool,
        _ => return None,
    })
}

/// The tensors of a safetensors file.
///
/// Errors: `Truncated`, `InvalidModel`, `LimitExceeded`; everything wrong with tensors at once.
pub fn read(bytes: &[u8]) -> Result<Weights> {
    let Some(length) = bytes.first_chunk::<8>() else {
        bail!(Truncated, "a safetensors file has at least 8 bytes, this one {}: it is cut short", bytes.len())
    };
    let length = u64::from_le_bytes(*length);
    ensure!(length <= LONGEST_HEADER, InvalidModel, "a header of {length} bytes; at most {LONGEST_HEADER} are allowed");
    let rest = &bytes[8..];
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        bail!(
            Truncated,
            "the header takes {length} bytes, the file has {} after its length: it is cut short",
            rest.len()
        )
    };
    let Header(entries) = match serde_json::from_slice(header) {
        Ok(header) => header,
        Err(error) => bail!(InvalidModel, "the safetensors header is not as it must be: {error}"),
    };
    let mut weights = Weights::new();
    let (mut wrong, mut cut) = (Vec::new(), Vec::new());
    // The format has each byte belong to one tensor, so that no file means more than its length.
    let mut ranges: Vec<(u64, u64, &str)> =
        entries.iter().map(|(n, e)| (e.data_offsets.0, e.data_offsets.1, n.as_str())).collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if pair[1].0 < pair[0].1 && pair[1].0 < pair[1].1 {
            wrong.push(format!("\"{}\" and \"{}\" share bytes", pair[0].2, pair[1].2));
        }
    }
    for (name, entry) in &entries {
        let (begin, end) = entry.data_offsets;
        let shape: Option<Vec<usize>> = entry.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
        let (Some(dtype), Some(shape)) = (dtype(&entry.dtype), shape) else {
            wrong.push(format!("\"{name}\" is {} {:?}, which cannot be read", entry.dtype, entry.shape));
            continue;
        };
        let expected = match element_count(&shape) {
            Ok(count) => (count as u64).saturating_mul(dtype.size() as u64),
            Err(error) => {
                wrong.push(format!("\"{name}\": {}", error.message()));
                continue;
            }
        };
        if begin > end || end - begin != expected {
            wrong.push(format!("\"{name}\" is {dtype} {shape:?}, {expected} bytes, and spans bytes {begin} to {end}"));
            continue;
        }
        let Some(slice) = usize::try_from(begin).ok().zip(usize::try_from(end).ok()).and_then(|(b, e)| data.get(b..e))
        else {
            cut.push(format!("\"{name}\" spans bytes {begin} to {end} of the data"));
            continue;
        };
        match Tensor::from_bytes(dtype, shape, slice.to_vec()) {
            Ok(tensor) => _ = weights.insert(name.clone(), tensor),
            Err(error) => wrong.push(format!("\"{name}\": {}", error.message())),
        }
    }
    ensure!(wrong.is_empty(), InvalidModel, "the safetensors header contradicts itself: {}", wrong.join("; "));
    if let Some(first) = cut.first() {
        let others = match cut.len() - 1 {
            0 => String::new(),
            others => format!(", and {others} more behind it"),
        };
        bail!(Truncated, "{first}, which ends at {}{others}: the file is cut short", data.len());
    }
    Ok(weights)
}
