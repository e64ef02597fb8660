//! NumPy's `.npy` files: a header of one line, then the elements.
//!
//! Written here rather than taken from a crate: the elements are read by ONNX's dtypes, raw bits of
//! bfloat16, float8 and 4-bit integers among them, and what remains for a crate is that one line.

use std::borrow::Cow;

use crate::graph::Data;
use crate::{DataType, Tensor};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Strings of no characters take no bytes, so the file's length does not limit their number.
const MOST_EMPTY_STRINGS: usize = 1 << 20;

/// Whether these bytes begin as a `.npy` file does.
pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a `.npy` file: C or Fortran order, any byte order. `declared` tells what raw bits
/// (`|V1`, `|V2`) are.
///
/// The error says what is wrong with the file.
pub fn read(bytes: &[u8], declared: Option<DataType>) -> Result<Tensor, String> {
    let (header, data) = split(bytes)?;
    let header = Header::parse(header)?;
    let item = Item::parse(&header.descr, declared)?;
    let count = header.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let count = match count {
        _ if header.shape.contains(&0) => 0,
        Some(count) => count,
        None => return Err(format!("its shape {:?} is larger than memory", header.shape)),
    };
    let expected = count.checked_mul(item.size).filter(|&size| size == data.len());
    if expected.is_none() {
        let expected = count as u128 * item.size as u128;
        let (got, why) = (data.len(), if expected > data.len() as u128 { "it is cut short" } else { "too much" });
        return Err(format!(
            "{} {:?} takes {expected} bytes after the header, the file has {got}: {why}",
            header.descr, header.shape
        ));
    }
    if item.size == 0 && count > MOST_EMPTY_STRINGS {
        return Err(format!("{count} strings of no characters are more than {MOST_EMPTY_STRINGS}"));
    }
    let data: Cow<'_, [u8]> = if header.fortran_order && header.shape.len() > 1 && !data.is_empty() {
        Cow::Owned(row_major(data, &header.shape, item.size))
    } else {
        Cow::Borrowed(data)
    };
    let tensor = match item.kind {
        Kind::Number(dtype) => {
            let mut data = data.into_owned();
            if item.big_endian {
                data.chunks_exact_mut(item.size).for_each(<[u8]>::reverse);
            }
            Tensor::from_bytes(dtype, header.shape, data)
        }
        Kind::Utf32 => {
            let read = |index| utf32(&data[index * item.size..][..item.size], item.big_endian);
            Tensor::from_strings(header.shape, (0..count).map(read).collect::<Result<_, _>>()?)
        }
        Kind::Utf8 => {
            let read = |index| utf8(&data[index * item.size..][..item.size]);
            Tensor::from_strings(header.shape, (0..count).map(read).collect::<Result<_, _>>()?)
        }
    };
    tensor.map_err(|error| error.to_string())
}

/// Writes a `.npy` file, version 1.0, in C order and little-endian; what NumPy has no dtype for as
/// raw bits (`|V1`, `|V2`).
pub fn write(tensor: &Tensor) -> Vec<u8> {
    let (descr, data) = match tensor.data() {
        // As ml_dtypes has them: the upper four bits are 0.
        Data::Bytes(bytes) if tensor.dtype() == DataType::Int4 => {
            (number_descr(DataType::Int4).to_string(), Cow::Owned(bytes.iter().map(|byte| byte & 15).collect()))
        }
        Data::Bytes(bytes) => (number_descr(tensor.dtype()).to_string(), Cow::Borrowed(&bytes[..])),
        Data::Strings(strings) => {
            let width = strings.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1);
            let mut data = Vec::with_capacity(strings.len() * width * 4);
            for string in strings.iter() {
                let end = data.len() + width * 4;
                data.extend(string.chars().flat_map(|c| u32::from(c).to_le_bytes()));
                data.resize(end, 0);
            }
            (format!("<U{width}"), Cow::Owned(data))
        }
    };
    let sizes: String = match tensor.shape() {
        [one] => format!("{one},"),
        shape => shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // NumPy aligns the elements to 64 bytes and ends the header with a line feed.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');

    let mut file = Vec::with_capacity(MAGIC.len() + 4 + header.len() + data.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&[1, 0]);
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&data);
    file
}

fn number_descr(dtype: DataType) -> &'static str {
    match dtype {
        DataType::Float32 => "<f4",
        DataType::Float64 => "<f8",
        DataType::Float16 => "<f2",
        DataType::BFloat16 => "|V2",
        DataType::Int8 => "|i1",
        DataType::Int16 => "<i2",
        DataType::Int32 => "<i4",
        DataType::Int64 => "<i8",
        DataType::Uint8 => "|u1",
        DataType::Uint16 => "<u2",
        DataType::Uint32 => "<u4",
        DataType::Uint64 => "<u8",
        DataType::Bool => "|b1",
        DataType::Float8E4M3FN
        | DataType::Float8E4M3FNUZ
        | DataType::Float8E5M2
        | DataType::Float8E5M2FNUZ
        | DataType::Int4
        | DataType::Uint4 => "|V1",
        DataType::String => "<U1",
    }
}

/// Splits a file into the header's text and the elements.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let cut_short = || "it is cut short: the header ends too early".to_string();
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err("this is not a NumPy file (its first bytes are not \\x93NUMPY)".to_string());
    };
    let (&[major, _minor], rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)),
        2 | 3 => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        _ => return Err(format!("its format version {major} is not known; 1 to 3 are")),
    }
    .ok_or_else(cut_short)?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut_short)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text".to_string())?;
    Ok((header, data))
}

/// The header: a Python dictionary with three entries.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut at = Cursor(text);
        let wrong = || format!("its header is not understood: {}", text.trim());
        at.expect("{").ok_or_else(wrong)?;
        while at.expect("}").is_none() {
            let key = at.string().ok_or_else(wrong)?;
            at.expect(":").ok_or_else(wrong)?;
            match key {
                "descr" if at.expect("[").is_some() => {
                    return Err("its elements have fields (a structured dtype); save one array per field".to_string());
                }
                "descr" => descr = Some(at.string().ok_or_else(wrong)?.to_string()),
                "fortran_order" => fortran_order = Some(at.boolean().ok_or_else(wrong)?),
                "shape" => shape = Some(at.sizes().ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
            if at.expect(",").is_none() && !at.0.trim_start().starts_with('}') {
                return Err(wrong());
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Self { descr, fortran_order, shape }),
            _ => Err(wrong()),
        }
    }
}

/// What is left of a header's text.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn expect(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (string, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(string)
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.expect("True") {
            Some(()) => Some(true),
            None => self.expect("False").map(|()| false),
        }
    }

    fn sizes(&mut self) -> Option<Vec<usize>> {
        self.expect("(")?;
        let mut sizes = Vec::new();
        while self.expect(")").is_none() {
            let text = self.0.trim_start();
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            sizes.push(text[..end].parse().ok()?);
            self.0 = &text[end..];
            // Python 2 wrote long integers with an L.
            let _ = self.expect("L");
            if self.expect(",").is_none() && !self.0.trim_start().starts_with(')') {
                return None;
            }
        }
        Some(sizes)
    }
}

enum Kind {
    Number(DataType),
    Utf32,
    Utf8,
}

/// One element: what it is, how many bytes it takes, in which order.
struct Item {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

impl Item {
    fn parse(descr: &str, declared: Option<DataType>) -> Result<Self, String> {
        let unknown = || format!("its dtype \"{descr}\" is not supported");
        let mut letters = descr.chars();
        let order = letters.next().filter(|c| matches!(c, '<' | '>' | '|' | '=')).ok_or_else(unknown)?;
        let kind = letters.next().ok_or_else(unknown)?;
        if kind == 'O' {
            return Err("its elements are Python objects; save strings with array.astype(str)".to_string());
        }
        let size: usize = letters.as_str().parse().map_err(|_| unknown())?;
        let (kind, size) = match (kind, size) {
            ('f', 4) => (Kind::Number(DataType::Float32), size),
            ('f', 8) => (Kind::Number(DataType::Float64), size),
            ('f', 2) => (Kind::Number(DataType::Float16), size),
            ('i', 1) => (Kind::Number(DataType::Int8), size),
            ('i', 2) => (Kind::Number(DataType::Int16), size),
            ('i', 4) => (Kind::Number(DataType::Int32), size),
            ('i', 8) => (Kind::Number(DataType::Int64), size),
            ('u', 1) => (Kind::Number(DataType::Uint8), size),
            ('u', 2) => (Kind::Number(DataType::Uint16), size),
            ('u', 4) => (Kind::Number(DataType::Uint32), size),
            ('u', 8) => (Kind::Number(DataType::Uint64), size),
            ('b', 1) => (Kind::Number(DataType::Bool), size),
            // ml_dtypes calls its float8_e5m2 a float of one byte.
            ('f', 1) => (Kind::Number(DataType::Float8E5M2), size),
            ('V', _) => match declared {
                Some(dtype) if is_raw(dtype) && dtype.size() == size => (Kind::Number(dtype), size),
                Some(dtype) if is_raw(dtype) => {
                    let takes = dtype.size();
                    return Err(format!("its elements are raw bits of {size} bytes ({descr}); {dtype} takes {takes}"));
                }
                Some(dtype) => {
                    return Err(format!("its elements are raw bits ({descr}); the model expects {dtype}"));
                }
                None => return Err(format!("its elements are raw bits ({descr}), of unknown meaning")),
            },
            ('U', _) => (Kind::Utf32, size.checked_mul(4).ok_or_else(unknown)?),
            ('S', _) => (Kind::Utf8, size),
            _ => return Err(unknown()),
        };
        // Raw bits have no byte order; ml_dtypes is little-endian.
        let big_endian = order == '>' && !matches!(kind, Kind::Number(DataType::BFloat16));
        Ok(Self { kind, size, big_endian })
    }
}

/// Whether NumPy has no dtype of its own for this one: files hold the bits.
fn is_raw(dtype: DataType) -> bool {
    dtype == DataType::BFloat16 || dtype.is_storage()
}

/// One element of `<U`: code points, padded with zeros.
fn utf32(bytes: &[u8], big_endian: bool) -> Result<String, String> {
    let mut string = String::new();
    let end = bytes.chunks_exact(4).rposition(|unit| unit != [0; 4]).map_or(0, |last| last + 1);
    for unit in bytes.chunks_exact(4).take(end) {
        let unit = [unit[0], unit[1], unit[2], unit[3]];
        let code = if big_endian { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) };
        string.push(char::from_u32(code).ok_or_else(|| format!("a string holds {code:#x}, which is no character"))?);
    }
    Ok(string)
}

/// One element of `|S`: UTF-8, padded with zeros.
fn utf8(bytes: &[u8]) -> Result<String, String> {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    String::from_utf8(bytes[..end].to_vec()).map_err(|_| "a string is not UTF-8; save it as <U".to_string())
}

/// Column-major `data` of `size` bytes per element, in row-major order.
fn row_major(data: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut strides = vec![size; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut out = Vec::with_capacity(data.len());
    let mut index = vec![0usize; shape.len()];
    while out.len() < data.len() {
        let from: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        out.extend_from_slice(&data[from..from + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&[1, 0]);
        file.extend_from_slice(&(header.len() as u16).to_le_bytes());
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(data);
        file
    }

    fn header(descr: &str, fortran: bool, shape: &str) -> String {
        let fortran = if fortran { "True" } else { "False" };
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}          \n")
    }

    #[test]
    fn arrays_without_elements_may_be_of_any_shape_that_fits() {
        let empty = file(&header("<f4", true, "(0, 4, 5)"), &[]);
        assert_eq!(read(&empty, None).map(|tensor| tensor.shape().to_vec()), Ok(vec![0, 4, 5]));
        let huge = file(&header("<f4", true, "(0, 9223372036854775807, 9223372036854775807)"), &[]);
        assert!(read(&huge, None).is_err_and(|said| said.contains("larger than memory")));
    }

    #[test]
    fn writes_what_numpy_writes() {
        // np.save(f, np.array([[1, 2, 3]], dtype="<i2"))
        let tensor = Tensor::from_vec(vec![1, 3], vec![1i16, 2, 3]).unwrap();
        let text = "{'descr': '<i2', 'fortran_order': False, 'shape': (1, 3), }";
        let mut expected = b"\x93NUMPY\x01\x00v\x00".to_vec();
        expected.extend_from_slice(format!("{text:<117}\n").as_bytes());
        expected.extend_from_slice(&[1, 0, 2, 0, 3, 0]);
        let written = write(&tensor);
        assert_eq!(written.len() - 6, 128);
        assert_eq!(written, expected);
    }

    #[test]
    fn every_dtype_comes_back() {
        use DataType::*;
        let numbers =
            [Float32, Float64, Float16, BFloat16, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Bool];
        let bits = [Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ];
        for dtype in numbers.into_iter().chain(bits) {
            for shape in [vec![], vec![1], vec![6], vec![2, 3], vec![0], vec![3, 0, 2]] {
                let size = shape.iter().product::<usize>() * dtype.size();
                let bytes: Vec<u8> =
                    (0..size).map(|i| if dtype == Bool { i % 2 } else { i * 37 % 256 } as u8).collect();
                let tensor = Tensor::from_bytes(dtype, shape.clone(), bytes.clone()).unwrap();
                let read = read(&write(&tensor), Some(dtype)).unwrap();
                assert_eq!(read.dtype(), dtype);
                assert_eq!(read.shape(), shape);
                assert_eq!(read.bytes(), Some(&bytes[..]));
            }
        }
    }

    #[test]
    fn strings_come_back() {
        let strings = ["", "a", "déjà vu", "🔥 fire", "a\0b"].map(String::from).to_vec();
        let tensor = Tensor::from_strings(vec![5, 1], strings.clone()).unwrap();
        let read_back = read(&write(&tensor), None).unwrap();
        assert_eq!(read_back.strings(), Some(&strings[..]));
        let none = read(&write(&Tensor::from_strings(vec![0], vec![]).unwrap()), None).unwrap();
        assert_eq!(none.shape(), [0]);
        let byte_strings = read(&file(&header("|S3", false, "(2,)"), b"ab\0xyz"), None).unwrap();
        assert_eq!(byte_strings.strings().unwrap(), ["ab", "xyz"]);
        let big = read(&file(&header(">U2", false, "(1,)"), &[0, 0, 0, 104, 0, 0, 0, 105]), None).unwrap();
        assert_eq!(big.strings().unwrap(), ["hi"]);
    }

    #[test]
    fn big_endian_is_turned_round() {
        let tensor = read(&file(&header(">i4", false, "(2,)"), &[0, 0, 1, 2, 255, 255, 255, 255]), None).unwrap();
        assert_eq!(tensor.as_slice::<i32>().unwrap(), [258, -1]);
    }

    #[test]
    fn fortran_order_is_made_row_major() {
        // np.save(f, np.asfortranarray(np.arange(6, dtype="u1").reshape(1, 2, 3)))
        let tensor = read(&file(&header("|u1", true, "(1, 2, 3)"), &[0, 3, 1, 4, 2, 5]), None).unwrap();
        assert_eq!(tensor.shape(), [1, 2, 3]);
        assert_eq!(tensor.bytes().unwrap(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn raw_bits_are_what_the_model_declares() {
        let bytes = file(&header("|V2", false, "(1,)"), &[0x80, 0x3f]);
        assert_eq!(read(&bytes, Some(DataType::BFloat16)).unwrap().dtype(), DataType::BFloat16);
        assert!(read(&bytes, Some(DataType::Float32)).unwrap_err().contains("the model expects float32"));
        assert!(read(&bytes, Some(DataType::Float8E5M2)).unwrap_err().contains("float8e5m2 takes 1"));
        assert!(read(&bytes, None).unwrap_err().contains("unknown meaning"));
    }

    /// What `np.save` writes of ml_dtypes 0.6's arrays.
    #[test]
    fn four_bits_are_the_lower_half_of_a_byte() {
        for (dtype, values) in [(DataType::Int4, [255, 7, 248, 0]), (DataType::Uint4, [15, 7, 8, 0])] {
            for bytes in [[0x0f, 0x07, 0x08, 0x00], [0xff, 0xf7, 0xf8, 0xf0]] {
                let tensor = read(&file(&header("<V1", false, "(4,)"), &bytes), Some(dtype)).unwrap();
                assert_eq!(tensor.bytes(), Some(&values[..]), "{dtype}");
                assert!(write(&tensor).ends_with(&[0x0f, 0x07, 0x08, 0x00]));
            }
        }
        let five = read(&file(&header("<f1", false, "(1,)"), &[0xbc]), Some(DataType::Float8E5M2)).unwrap();
        assert_eq!((five.dtype(), five.bytes()), (DataType::Float8E5M2, Some(&[0xbc][..])));
    }

    #[test]
    fn bad_files_are_told_apart() {
        let one = &[0u8; 4];
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (b"PK\x03\x04".to_vec(), "not a NumPy file"),
            (MAGIC.to_vec(), "cut short"),
            (file(&header("<f4", false, "(1,)"), one)[..20].to_vec(), "cut short"),
            (
                file(&header("<f4", false, "(2,)"), one),
                "takes 8 bytes after the header, the file has 4: it is cut short",
            ),
            (file(&header("<f4", false, "()"), &[0; 9]), "the file has 9: too much"),
            (file(&header("<c8", false, "(1,)"), &[0; 8]), "dtype \"<c8\" is not supported"),
            (file(&header("|O", false, "(1,)"), one), "astype(str)"),
            (file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", one), "structured"),
            (file("{'descr': '<f4', 'shape': (1,), }\n", one), "not understood"),
            (file("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,), }\n", one), "not understood"),
            (file("{{{{{{{{{{{{", one), "not understood"),
            (file(&header("<f4", false, "(-1,)"), one), "not understood"),
            (file(&header("<f4", false, "(4294967296, 4294967296, 4294967296)"), one), "larger than memory"),
            (file(&header("<f4", false, "(18446744073709551615,)"), one), "cut short"),
            (file(&header("<U0", false, "(1000000000000,)"), &[]), "more than"),
            (file(&header("<U1", false, "(1,)"), &[0, 0xd8, 0, 0]), "no character"),
            (file(&header("|b1", false, "(1,)"), &[7]), "0 and 1"),
        ];
        for (bytes, expected) in cases {
            let message = read(&bytes, None).unwrap_err();
            assert!(message.contains(expected), "{expected:?} is not in {message:?}");
        }
        let mut version = file(&header("<f4", false, "(1,)"), one);
        version[6] = 9;
        assert!(read(&version, None).unwrap_err().contains("version 9"));
    }
}
