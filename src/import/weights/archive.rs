//! Zip files, in memory: the members by name, none inflated to more than a file of weights would be.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, ErrorKind, Result, bail, ensure};

/// Weights are noise, and noise does not shrink: what inflates to more than this many times the file is no weights.
const RATIO: u64 = 64;
/// What small files may inflate to all the same.
const SMALL: u64 = 64 << 20;

/// A zip file.
pub struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Index by name.
    members: BTreeMap<String, usize>,
    /// Bytes that may still be inflated.
    left: u64,
}

fn error(what: &str, error: &ZipError) -> Error {
    let kind = match error {
        ZipError::UnsupportedArchive(_) => ErrorKind::Unsupported,
        _ => ErrorKind::InvalidModel,
    };
    Error::new(kind, format!("{what}: {error}: the file is damaged or cut short"))
}

impl<'a> Archive<'a> {
    /// Reads the directory of a zip file.
    ///
    /// Errors: `InvalidModel`, `Unsupported`.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| error("the zip file's directory", &e))?;
        let mut members = BTreeMap::new();
        for index in 0..zip.len() {
            if let Some(Ok(name)) = zip.name_for_index(index) {
                members.insert(name.into_owned(), index);
            }
        }
        Ok(Self { zip, members, left: SMALL.saturating_add((bytes.len() as u64).saturating_mul(RATIO)) })
    }

    /// The members' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The bytes of a member.
    ///
    /// Errors: `InvalidModel` where it is missing or damaged, `LimitExceeded` where it inflates to too much.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let Some(&index) = self.members.get(name) else { bail!(InvalidModel, "the zip file has no member \"{name}\"") };
        let mut member = self.zip.by_index(index).map_err(|e| error(&format!("member \"{name}\""), &e))?;
        let declared = member.size();
        ensure!(
            declared <= self.left,
            LimitExceeded,
            "member \"{name}\" inflates to {declared} bytes, more than {RATIO} times the file: it is hostile"
        );
        let mut bytes = Vec::new();
        // One byte more shows whether it is longer than it says; memory grows with what is really there.
        let read = (&mut member).take(declared.saturating_add(1)).read_to_end(&mut bytes);
        if let Err(e) = read {
            bail!(InvalidModel, "member \"{name}\": {e}: the file is damaged or cut short");
        }
        ensure!(
            bytes.len() as u64 == declared,
            InvalidModel,
            "member \"{name}\" is to have {declared} bytes and has {}: the file is damaged",
            if bytes.len() as u64 > declared { "more".to_string() } else { bytes.len().to_string() }
        );
        self.left -= declared;
        Ok(bytes)
    }
}
