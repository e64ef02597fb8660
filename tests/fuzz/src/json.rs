//! JSON that stays JSON as it is changed: bytes at random seldom leave a document that a reader gets past.

use serde_json::{Map, Value};

/// What a number may become.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "7",
    "16",
    "255",
    "65536",
    "2147483648",
    "-2147483648",
    "9223372036854775807",
    "18446744073709551615",
    "0.5",
    "1e308",
];

/// xorshift64*, of the fuzzer's seed.
struct Random(u64);

impl Random {
    fn new(seed: u32) -> Self {
        Self(u64::from(seed) << 1 | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// The document that `bytes` begin with, and what is behind it.
pub fn split(bytes: &[u8]) -> Option<(Value, &[u8])> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let document = documents.next()?.ok()?;
    let end = documents.byte_offset();
    Some((document, &bytes[end..]))
}

/// Changes a few parts of the document that `data` begins with; gives the new size. Where it begins with none, and now and
/// then all the same, bytes are changed.
pub fn mutate(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let mut random = Random::new(seed);
    if random.below(8) > 0
        && let Some((mut document, rest)) = split(&data[..size])
    {
        let rest = rest.to_vec();
        let donor = document.clone();
        for _ in 0..=random.below(4) {
            change(&mut document, &donor, &mut random);
        }
        if let Some(size) = put(&document, &rest, &mut data[..most]) {
            return size;
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, most)
}

/// Puts a part of the document in `b` into the one in `a`; gives the size.
pub fn cross(a: &[u8], b: &[u8], out: &mut [u8], seed: u32) -> usize {
    let mut random = Random::new(seed);
    match (split(a), split(b)) {
        (Some((mut document, rest)), Some((donor, _))) => {
            change(&mut document, &donor, &mut random);
            put(&document, rest, out).unwrap_or(0)
        }
        _ => {
            let (head, tail) = (random.below(a.len() + 1), random.below(b.len() + 1));
            let bytes = [&a[..head], &b[tail..]].concat();
            let size = bytes.len().min(out.len());
            out[..size].copy_from_slice(&bytes[..size]);
            size
        }
    }
}

fn put(document: &Value, rest: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut bytes = document.to_string().into_bytes();
    bytes.extend_from_slice(rest);
    out.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(bytes.len())
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Part `index` of a value, the parts being numbered from the outside in.
fn part<'a>(value: &'a mut Value, index: &mut usize) -> Option<&'a mut Value> {
    if *index == 0 {
        return Some(value);
    }
    *index -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| part(item, index)),
        Value::Object(fields) => fields.values_mut().find_map(|field| part(field, index)),
        _ => None,
    }
}

fn any(document: &Value, random: &mut Random) -> Value {
    let mut document = document.clone();
    let mut index = random.below(count(&document));
    part(&mut document, &mut index).map(Value::take).unwrap_or_default()
}

/// Any part of the document that is a `wanted`, where a few tries find one.
fn like(document: &Value, random: &mut Random, wanted: fn(&Value) -> bool) -> Option<Value> {
    (0..16).map(|_| any(document, random)).find(wanted)
}

/// Changes one part; new parts are such as `donor` has.
fn change(document: &mut Value, donor: &Value, random: &mut Random) {
    let mut index = random.below(count(document));
    let Some(part) = part(document, &mut index) else { return };
    match (&mut *part, random.below(8)) {
        (_, 0) => *part = any(donor, random),
        (_, 1) if random.below(4) == 0 => {
            let text = ["null", "true", "false", "[]", "{}", "\"\"", "0", "[[]]"][random.below(8)];
            *part = serde_json::from_str(text).unwrap_or_default();
        }
        (Value::Number(number), 2 | 3) => {
            let by = [1, -1, 2, -2][random.below(4)];
            *part = number.as_i64().map_or(Value::Null, |number| number.saturating_add(by).into());
        }
        (Value::Number(_), _) => *part = serde_json::from_str(NUMBERS[random.below(NUMBERS.len())]).unwrap_or_default(),
        (Value::Bool(flag), _) => *flag = !*flag,
        (Value::String(_), 2..=6) => {
            if let Some(text) = like(donor, random, Value::is_string) {
                *part = text;
            }
        }
        (Value::String(text), _) => {
            let end = (0..=random.below(text.len() + 1)).rev().find(|&end| text.is_char_boundary(end));
            text.truncate(end.unwrap_or(0));
        }
        (Value::Array(items), 2 | 3) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
        (Value::Array(items), 4) if items.len() > 1 => {
            let (a, b) = (random.below(items.len()), random.below(items.len()));
            items.swap(a, b);
        }
        (Value::Array(items), 5) if !items.is_empty() => {
            let item = items[random.below(items.len())].clone();
            items.insert(random.below(items.len() + 1), item);
        }
        (Value::Array(items), _) => items.insert(random.below(items.len() + 1), any(donor, random)),
        (Value::Object(fields), 2 | 3) => {
            let key = fields.keys().nth(random.below(fields.len())).cloned();
            key.and_then(|key| fields.remove(&key));
        }
        (Value::Object(fields), _) => {
            if let Some(Value::Object(other)) =
                like(donor, random, |part| part.as_object().is_some_and(|o| !o.is_empty()))
            {
                lend(fields, other, random);
            }
        }
        (Value::Null, _) => *part = any(donor, random),
    }
}

/// Moves one field of `from` into `fields`.
fn lend(fields: &mut Map<String, Value>, from: Map<String, Value>, random: &mut Random) {
    let at = random.below(from.len());
    fields.extend(from.into_iter().nth(at));
}
