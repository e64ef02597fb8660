//! Where a file's bytes are: in memory of ours, or somewhere that gives ranges of them, so that
//! weights are in our memory once and the rest of the file never is.

use bytes::{Buf, Bytes};

/// A file's bytes.
pub trait Source {
    /// How many there are.
    fn byte_len(&self) -> usize;

    /// Copies those from `at` on into `to`. Callers stay within the file.
    fn read(&self, at: usize, to: &mut [u8]);
}

impl Source for Bytes {
    fn byte_len(&self) -> usize {
        self.len()
    }

    fn read(&self, at: usize, to: &mut [u8]) {
        to.copy_from_slice(&self[at..at + to.len()]);
    }
}

/// What is read at a time, where no more is asked for at once.
const WINDOW: usize = 1 << 16;

/// Reads a file from its beginning to its end.
pub struct Reader<'a> {
    source: &'a dyn Source,
    /// A part of the file; never at its end before the file is.
    window: Vec<u8>,
    /// Position in the window.
    at: usize,
    /// What follows the window.
    behind: usize,
    /// Byte strings longer than this are left out.
    longest: usize,
}

impl<'a> Reader<'a> {
    /// At the beginning.
    pub fn new(source: &'a dyn Source) -> Self {
        let mut reader = Self { source, window: Vec::new(), at: 0, behind: source.byte_len(), longest: usize::MAX };
        reader.fill();
        reader
    }

    /// The same, with byte strings longer than `longest` read as empty ones.
    pub fn without_more_than(source: &'a dyn Source, longest: usize) -> Self {
        Self { longest, ..Self::new(source) }
    }

    /// Bytes before this place.
    pub fn position(&self) -> usize {
        self.source.byte_len() - self.remaining()
    }

    /// Moves the window on; all of the old one is read.
    fn fill(&mut self) {
        let start = self.source.byte_len() - self.behind;
        self.window.resize(self.behind.min(WINDOW), 0);
        self.source.read(start, &mut self.window);
        self.behind -= self.window.len();
        self.at = 0;
    }
}

impl Buf for Reader<'_> {
    fn remaining(&self) -> usize {
        self.window.len() - self.at + self.behind
    }

    fn chunk(&self) -> &[u8] {
        &self.window[self.at..]
    }

    fn advance(&mut self, count: usize) {
        let left = self.window.len() - self.at;
        if count < left {
            self.at += count;
            return;
        }
        // A reader that is told to go past the end stays there.
        self.behind = self.behind.saturating_sub(count - left);
        self.fill();
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        let count = count.min(self.remaining());
        let mut bytes = vec![0; if count > self.longest { 0 } else { count }];
        if !bytes.is_empty() {
            self.source.read(self.position(), &mut bytes);
        }
        self.advance(count);
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_whatever_the_steps() {
        let file: Vec<u8> = (0..3 * WINDOW + 5).map(|i| (i * 31 % 251) as u8).collect();
        let source = Bytes::from(file.clone());
        for step in [1, 7, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 5] {
            let (mut copied, mut walked) = (Reader::new(&source), Reader::new(&source));
            let (mut by_copy, mut by_chunk) = (Vec::new(), Vec::new());
            while copied.has_remaining() {
                assert_eq!(copied.position(), by_copy.len());
                by_copy.extend(copied.copy_to_bytes(step.min(copied.remaining())));
            }
            while walked.has_remaining() {
                let count = step.min(walked.chunk().len());
                by_chunk.extend_from_slice(&walked.chunk()[..count]);
                walked.advance(count);
            }
            assert!(by_copy == file && by_chunk == file, "in steps of {step}");
            assert_eq!((copied.position(), walked.chunk().len()), (file.len(), 0));
        }
    }

    #[test]
    fn long_strings_are_passed_over() {
        let source = Bytes::from(vec![9u8; 2 * WINDOW]);
        let mut reader = Reader::without_more_than(&source, 4);
        assert_eq!(reader.copy_to_bytes(4).len(), 4);
        assert!(reader.copy_to_bytes(WINDOW).is_empty());
        assert_eq!((reader.position(), reader.remaining()), (WINDOW + 4, WINDOW - 4));
    }
}
