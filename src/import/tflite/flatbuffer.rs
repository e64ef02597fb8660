//! Reads FlatBuffers: tables by field number, vectors, strings. Every offset is checked against the bytes that are
//! there, and nothing is allocated here; what a field means is the schema's business.

use crate::error::{Result, bail, ensure};

/// Bytes of the header: the root's offset and the file identifier.
const HEADER: usize = 8;

/// A table: fields by number, of which any may be absent.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Offsets of the fields from `at`, two bytes each; 0 is an absent field.
    fields: &'a [u8],
}

/// A vector of `len` elements.
#[derive(Clone, Copy)]
pub struct Vector<'a> {
    bytes: &'a [u8],
    at: usize,
    len: usize,
}

/// `N` bytes at `at`.
fn read<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let end = at.checked_add(N).filter(|&end| end <= bytes.len());
    match end.and_then(|end| <[u8; N]>::try_from(&bytes[at..end]).ok()) {
        Some(read) => Ok(read),
        None => bail!(Truncated, "{N} bytes wanted at {at}, the file ends at {}; is it cut short?", bytes.len()),
    }
}

/// The place that the offset at `at` points to.
fn follow(bytes: &[u8], at: usize) -> Result<usize> {
    let offset = u32::from_le_bytes(read(bytes, at)?) as usize;
    match at.checked_add(offset).filter(|&to| to < bytes.len()) {
        Some(to) => Ok(to),
        None => bail!(Truncated, "an offset at {at} points behind the file's end at {}; is it cut short?", bytes.len()),
    }
}

impl<'a> Table<'a> {
    /// The root table of a file.
    ///
    /// Errors: `NotAModel` where the identifier is another, `Truncated`, `InvalidModel`.
    pub fn root(bytes: &'a [u8], identifier: &[u8; 4]) -> Result<Self> {
        ensure!(bytes.len() >= HEADER, Truncated, "the file ends after {} bytes, within its header", bytes.len());
        ensure!(
            &bytes[4..HEADER] == identifier,
            NotAModel,
            "expected the identifier \"{}\" at byte 4, got {:?}",
            identifier.escape_ascii(),
            &bytes[4..HEADER]
        );
        Self::new(bytes, follow(bytes, 0)?)
    }

    fn new(bytes: &'a [u8], at: usize) -> Result<Self> {
        let back = i64::from(i32::from_le_bytes(read(bytes, at)?));
        let vtable = usize::try_from(at as i64 - back).ok().filter(|&v| v < bytes.len());
        let Some(vtable) = vtable else { bail!(InvalidModel, "the table at {at} has its fields outside of the file") };
        let size = usize::from(u16::from_le_bytes(read(bytes, vtable)?));
        let fields = bytes.get(vtable.saturating_add(4)..vtable.saturating_add(size)).unwrap_or_default();
        Ok(Self { bytes, at, fields })
    }

    fn field(&self, number: usize) -> Option<usize> {
        let offset = self.fields.get(number * 2..number * 2 + 2)?;
        match u16::from_le_bytes([offset[0], offset[1]]) {
            0 => None,
            offset => Some(self.at + usize::from(offset)),
        }
    }

    fn scalar<const N: usize>(&self, number: usize) -> Result<Option<[u8; N]>> {
        self.field(number).map(|at| read(self.bytes, at)).transpose()
    }

    /// Field `number`, 0 where it is absent; so are the others.
    pub fn byte(&self, number: usize) -> Result<u8> {
        Ok(self.scalar::<1>(number)?.map_or(0, |[byte]| byte))
    }

    pub fn flag(&self, number: usize) -> Result<bool> {
        Ok(self.byte(number)? != 0)
    }

    pub fn int(&self, number: usize) -> Result<i32> {
        Ok(self.int_or(number, 0)?.0)
    }

    /// A 32-bit field, and whether it is there.
    pub fn int_or(&self, number: usize, default: i32) -> Result<(i32, bool)> {
        let found = self.scalar(number)?.map(i32::from_le_bytes);
        Ok((found.unwrap_or(default), found.is_some()))
    }

    pub fn index(&self, number: usize) -> Result<usize> {
        Ok(self.scalar(number)?.map_or(0, u32::from_le_bytes) as usize)
    }

    pub fn long(&self, number: usize) -> Result<u64> {
        Ok(self.scalar(number)?.map_or(0, u64::from_le_bytes))
    }

    pub fn float(&self, number: usize) -> Result<f32> {
        Ok(self.scalar(number)?.map_or(0.0, f32::from_le_bytes))
    }

    /// The table that field `number` points to.
    pub fn table(&self, number: usize) -> Result<Option<Table<'a>>> {
        self.field(number).map(|at| Table::new(self.bytes, follow(self.bytes, at)?)).transpose()
    }

    /// The vector in field `number`, whose elements have `size` bytes; an absent one is empty.
    fn vector(&self, number: usize, size: usize) -> Result<Vector<'a>> {
        let Some(at) = self.field(number) else { return Ok(Vector { bytes: self.bytes, at: 0, len: 0 }) };
        let at = follow(self.bytes, at)?;
        let len = u32::from_le_bytes(read(self.bytes, at)?) as usize;
        let end = len.checked_mul(size).and_then(|bytes| bytes.checked_add(at + 4));
        ensure!(
            end.is_some_and(|end| end <= self.bytes.len()),
            Truncated,
            "{len} elements of {size} bytes at {at}, the file ends at {}; is it cut short?",
            self.bytes.len()
        );
        Ok(Vector { bytes: self.bytes, at: at + 4, len })
    }

    pub fn tables(&self, number: usize) -> Result<Vector<'a>> {
        self.vector(number, 4)
    }

    pub fn bytes(&self, number: usize) -> Result<&'a [u8]> {
        let vector = self.vector(number, 1)?;
        Ok(&self.bytes[vector.at..vector.at + vector.len])
    }

    /// Text; what is no UTF-8 is replaced.
    pub fn text(&self, number: usize) -> Result<std::borrow::Cow<'a, str>> {
        Ok(String::from_utf8_lossy(self.bytes(number)?))
    }

    fn elements<const N: usize>(&self, number: usize) -> Result<impl ExactSizeIterator<Item = [u8; N]> + use<'a, N>> {
        let vector = self.vector(number, N)?;
        let bytes = &self.bytes[vector.at..vector.at + vector.len * N];
        Ok(bytes.chunks_exact(N).map(|c| <[u8; N]>::try_from(c).unwrap_or([0; N])))
    }

    pub fn ints(&self, number: usize) -> Result<impl ExactSizeIterator<Item = i32> + use<'a>> {
        Ok(self.elements(number)?.map(i32::from_le_bytes))
    }

    pub fn shorts(&self, number: usize) -> Result<impl ExactSizeIterator<Item = u16> + use<'a>> {
        Ok(self.elements(number)?.map(u16::from_le_bytes))
    }

    pub fn longs(&self, number: usize) -> Result<impl ExactSizeIterator<Item = i64> + use<'a>> {
        Ok(self.elements(number)?.map(i64::from_le_bytes))
    }

    pub fn floats(&self, number: usize) -> Result<impl ExactSizeIterator<Item = f32> + use<'a>> {
        Ok(self.elements(number)?.map(f32::from_le_bytes))
    }
}

impl<'a> Vector<'a> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// The table at `index`; none behind the end.
    pub fn table(&self, index: usize) -> Result<Option<Table<'a>>> {
        if index >= self.len {
            return Ok(None);
        }
        Table::new(self.bytes, follow(self.bytes, self.at + index * 4)?).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    /// A root table with one 32-bit field and one vector of three bytes.
    fn file() -> Vec<u8> {
        let mut bytes = vec![16, 0, 0, 0];
        bytes.extend(b"TEST");
        bytes.extend([8, 0, 12, 0, 4, 0, 8, 0]);
        bytes.extend(8i32.to_le_bytes());
        bytes.extend(7i32.to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
        bytes.extend(3u32.to_le_bytes());
        bytes.extend([1, 2, 3]);
        bytes
    }

    #[test]
    fn fields_are_read_and_absent_ones_are_zero() {
        let file = file();
        let root = Table::root(&file, b"TEST").expect("a table");
        assert_eq!(root.int(0).expect("a field"), 7);
        assert_eq!(root.bytes(1).expect("a vector"), [1, 2, 3]);
        assert_eq!(root.int(2).expect("no field"), 0);
        assert!(root.table(9).expect("no field").is_none());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = file();
        for end in 0..file.len() {
            let read = Table::root(&file[..end], b"TEST").and_then(|root| root.int(0).and(root.bytes(1)));
            assert_eq!(read.expect_err("cut short").kind(), ErrorKind::Truncated, "{end} bytes");
        }
    }

    #[test]
    fn a_vector_longer_than_the_file_is_an_error() {
        let mut file = file();
        file[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        let root = Table::root(&file, b"TEST").expect("a table");
        assert_eq!(root.bytes(1).expect_err("too long").kind(), ErrorKind::Truncated);
        assert_eq!(root.ints(1).err().expect("too long").kind(), ErrorKind::Truncated);
    }
}
