//! The 10,000 labelled digits, which of them are trained on, and batches of them.

use std::path::Path;

pub const SIDE: usize = 28;
const PIXELS: usize = SIDE * SIDE;
/// A digit is moved by at most this many pixels in each direction.
const SHIFT: i64 = 2;

/// Digits of 28 × 28 pixels from 0 to 1, and what they are.
pub struct Digits {
    pixels: Vec<f32>,
    pub labels: Vec<u8>,
}

impl Digits {
    /// Reads `mnist-digits.npy` and `mnist-labels.npy` of `folder`.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let pixels = elements(&folder.join("mnist-digits.npy"))?;
        let labels = elements(&folder.join("mnist-labels.npy"))?;
        if pixels.len() != labels.len() * PIXELS || labels.iter().any(|&label| label > 9) {
            return Err(format!("{} labels do not go with {} pixels", labels.len(), pixels.len()));
        }
        Ok(Self { pixels: pixels.into_iter().map(|p| f32::from(p) / 255.0).collect(), labels })
    }

    /// Those trained on, three of every five as they lie in the file, which has them sorted by digit; and those held out.
    pub fn split(&self) -> (Vec<usize>, Vec<usize>) {
        (0..self.labels.len()).partition(|index| index % 5 < 3)
    }

    /// The pixels of `indices`, one digit after the other.
    pub fn pixels(&self, indices: &[usize]) -> Vec<f32> {
        indices.iter().flat_map(|&i| &self.pixels[i * PIXELS..(i + 1) * PIXELS]).copied().collect()
    }

    /// As [`pixels`](Self::pixels), each digit moved by a few pixels.
    pub fn shifted(&self, indices: &[usize], random: &mut Random) -> Vec<f32> {
        let mut out = vec![0.0; indices.len() * PIXELS];
        for (&index, out) in indices.iter().zip(out.chunks_exact_mut(PIXELS)) {
            let digit = &self.pixels[index * PIXELS..(index + 1) * PIXELS];
            let (down, right) = (random.between(SHIFT), random.between(SHIFT));
            for y in 0..SIDE as i64 {
                for x in 0..SIDE as i64 {
                    let (from_y, from_x) = (y - down, x - right);
                    if (0..SIDE as i64).contains(&from_y) && (0..SIDE as i64).contains(&from_x) {
                        out[y as usize * SIDE + x as usize] = digit[from_y as usize * SIDE + from_x as usize];
                    }
                }
            }
        }
        out
    }
}

/// The bytes of an array of uint8.
fn elements(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}; run make models first", path.display()))?;
    let header = match bytes.get(..10) {
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0, low, high]) => {
            10 + usize::from(u16::from_le_bytes([*low, *high]))
        }
        _ => return Err(format!("{}: expected an .npy file", path.display())),
    };
    match bytes.get(10..header) {
        Some(text) if String::from_utf8_lossy(text).contains("'|u1'") => Ok(bytes[header..].to_vec()),
        _ => Err(format!("{}: expected uint8", path.display())),
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `-most` to `most`.
    fn between(&mut self, most: i64) -> i64 {
        (self.next() % (2 * most as u64 + 1)) as i64 - most
    }

    pub fn shuffle(&mut self, indices: &mut [usize]) {
        for last in (1..indices.len()).rev() {
            indices.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}
