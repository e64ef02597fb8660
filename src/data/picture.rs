//! A photo as a tensor, with the very arithmetic of `Tensor.fromImage` in JavaScript
//! (`pkg/src/image.ts`): the same pixels give the same numbers.

use std::io::Cursor;

use crate::Tensor;
use crate::graph::Dim;
use image::{DynamicImage, ImageDecoder, ImageReader};

/// Where the channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Layout {
    /// [1, 3, height, width]
    #[serde(rename = "NCHW", alias = "nchw")]
    Nchw,
    /// [1, height, width, 3]
    #[serde(rename = "NHWC", alias = "nhwc")]
    Nhwc,
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Color {
    /// Red, green, blue
    #[serde(rename = "RGB", alias = "rgb")]
    Rgb,
    /// Blue, green, red
    #[serde(rename = "BGR", alias = "bgr")]
    Bgr,
}

/// What happens where the proportions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Fit {
    /// Fill the result; cut off what stands over, evenly
    Cover,
    /// Show the whole picture, on black
    Contain,
    /// Stretch
    Fill,
}

/// How a picture becomes a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// Height and width of the result; the picture's own where there is none.
    pub size: Option<(usize, usize)>,
    pub layout: Layout,
    pub color: Color,
    /// Subtracted from each pixel (0…255), per channel in the order of `color`.
    pub mean: [f64; 3],
    /// Multiplied after that.
    pub scale: [f64; 3],
    pub fit: Fit,
}

/// How pictures become tensors; the defaults are those of `Tensor.fromImage` in JavaScript.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "cli", command(next_help_heading = "Pictures as inputs"))]
pub struct PictureOptions {
    /// Height and width in pixels, or one number for both [default: what the model declares, else the picture's own]
    #[cfg_attr(feature = "cli", arg(long, value_name = "H[xW]", value_parser = parse_size))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<(usize, usize)>,
    /// Where the channels are [default: what the model's declared shape says, else nchw]
    #[cfg_attr(feature = "cli", arg(long, value_enum, ignore_case = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_layout: Option<Layout>,
    /// The order of the channels [default: rgb]
    #[cfg_attr(feature = "cli", arg(long, value_enum, ignore_case = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_color: Option<Color>,
    /// Subtracted from each pixel (0 to 255): one number, or one per channel in the order of the result [default: 0]
    #[cfg_attr(feature = "cli", arg(long, value_name = "A[,B,C]", value_parser = parse_per_channel, allow_hyphen_values = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_mean: Option<[f64; 3]>,
    /// Multiplied after the mean is subtracted: one number, or one per channel [default: 1/255]
    #[cfg_attr(feature = "cli", arg(long, value_name = "A[,B,C]", value_parser = parse_per_channel, allow_hyphen_values = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_scale: Option<[f64; 3]>,
    /// Where the proportions differ [default: cover]
    #[cfg_attr(feature = "cli", arg(long, value_enum, ignore_case = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_fit: Option<Fit>,
}

/// Canvases and tensors end well below this; it keeps a slip of the hand from filling memory.
#[cfg(feature = "cli")]
const LARGEST_SIDE: usize = 32_768;
const MOST_PIXELS: usize = 1 << 26;

/// How often larger than the file its pixels may be: PNG packs at most about a thousand into one, JPEG fewer.
const MOST_UNPACKED: u64 = 2048;

#[cfg(feature = "cli")]
fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.trim().parse::<usize>().ok().filter(|side| (1..=LARGEST_SIDE).contains(side));
    let size = match text.split_once(['x', 'X', '×']) {
        Some((height, width)) => side(height).zip(side(width)),
        None => side(text).map(|side| (side, side)),
    };
    let expected = format!("expected a height in pixels, or heightxwidth, each from 1 to {LARGEST_SIDE}");
    size.filter(|(height, width)| height * width <= MOST_PIXELS).ok_or(expected)
}

#[cfg(feature = "cli")]
fn parse_per_channel(text: &str) -> Result<[f64; 3], String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers = text.split(',').map(number).collect::<Option<Vec<f64>>>();
    match numbers.as_deref() {
        Some(&[one]) => Ok([one; 3]),
        Some(&[a, b, c]) => Ok([a, b, c]),
        _ => Err("expected one number, or three with commas between them".to_string()),
    }
}

impl PictureOptions {
    /// Whether anything is said.
    pub fn any(&self) -> bool {
        self.image_size.is_some()
            || self.image_layout.is_some()
            || self.image_color.is_some()
            || self.image_mean.is_some()
            || self.image_scale.is_some()
            || self.image_fit.is_some()
    }

    /// What the arguments say, and, where they are silent, what the declared shape says.
    pub fn preparation(&self, declared: Option<&[Dim]>) -> Preparation {
        let three = |dim: &Dim| *dim == Dim::Size(3);
        let layout = self.image_layout.unwrap_or(match declared {
            Some([_, c, _, last]) if three(last) && !three(c) => Layout::Nhwc,
            _ => Layout::Nchw,
        });
        let size = self.image_size.or(match (declared, layout) {
            (Some([_, _, Dim::Size(height), Dim::Size(width)]), Layout::Nchw)
            | (Some([_, Dim::Size(height), Dim::Size(width), _]), Layout::Nhwc) => Some((*height, *width)),
            _ => None,
        });
        Preparation {
            size,
            layout,
            color: self.image_color.unwrap_or(Color::Rgb),
            mean: self.image_mean.unwrap_or([0.0; 3]),
            scale: self.image_scale.unwrap_or([1.0 / 255.0; 3]),
            fit: self.image_fit.unwrap_or(Fit::Cover),
        }
    }
}

/// Pixels: red, green, blue, 8 bits each, row by row.
pub struct Pixels {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// Decodes a PNG or JPEG file, turned upright as its EXIF data says; transparency is left out.
///
/// The error says what is wrong with the file.
pub fn decode(bytes: &[u8]) -> Result<Pixels, String> {
    let wrong = |error: image::ImageError| format!("it cannot be read as PNG or JPEG: {error}");
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| wrong(error.into()))?;
    let mut decoder = reader.into_decoder().map_err(wrong)?;
    let (width, height) = decoder.dimensions();
    let possible = (bytes.len() as u64).saturating_mul(MOST_UNPACKED);
    if u64::from(width) * u64::from(height) > MOST_PIXELS as u64 || decoder.total_bytes() > possible {
        return Err(format!(
            "it says that it has {width} by {height} pixels, in {} bytes: at most {MOST_PIXELS} are read, and no file \
             holds {MOST_UNPACKED} times its size",
            bytes.len()
        ));
    }
    let orientation = decoder.orientation().map_err(wrong)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(wrong)?;
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    Ok(Pixels { width: image.width() as usize, height: image.height() as usize, rgb: image.into_raw() })
}

/// A picture prepared: float32, `[1, 3, height, width]` or `[1, height, width, 3]`.
///
/// The error says what does not fit.
pub fn prepare(picture: &Pixels, preparation: &Preparation) -> Result<Tensor, String> {
    let (height, width) = preparation.size.unwrap_or((picture.height, picture.width));
    let (source_height, source_width) = (picture.height as f64, picture.width as f64);
    let mut crop = Rectangle { x: 0.0, y: 0.0, width: source_width, height: source_height };
    let mut inner = Inner { top: 0, left: 0, height, width };
    match preparation.fit {
        Fit::Cover => {
            let ratio = (source_width / width as f64).min(source_height / height as f64);
            let (cut_width, cut_height) = (width as f64 * ratio, height as f64 * ratio);
            crop = Rectangle {
                x: (source_width - cut_width) / 2.0,
                y: (source_height - cut_height) / 2.0,
                width: cut_width,
                height: cut_height,
            };
        }
        Fit::Contain => {
            let ratio = (width as f64 / source_width).min(height as f64 / source_height);
            let fitting = |size: f64| ((size * ratio + 0.5).floor() as usize).max(1);
            let (inner_height, inner_width) = (fitting(source_height), fitting(source_width));
            inner = Inner {
                top: (height - inner_height) / 2,
                left: (width - inner_width) / 2,
                height: inner_height,
                width: inner_width,
            };
        }
        Fit::Fill => {}
    }
    let rgb = resample(picture, crop, inner.height, inner.width);

    let plane = height * width;
    let mut data = vec![0f32; 3 * plane];
    let (channel_stride, pixel_stride) = match preparation.layout {
        Layout::Nchw => (plane, 1),
        Layout::Nhwc => (1, 3),
    };
    for channel in 0..3 {
        let from = if preparation.color == Color::Rgb { channel } else { 2 - channel };
        let (subtract, multiply) = (preparation.mean[channel], preparation.scale[channel]);
        let start = channel * channel_stride;
        let black = (-subtract * multiply) as f32;
        for pixel in 0..plane {
            data[start + pixel * pixel_stride] = black;
        }
        for y in 0..inner.height {
            for x in 0..inner.width {
                let pixel = (y + inner.top) * width + x + inner.left;
                let value = f64::from(rgb[(y * inner.width + x) * 3 + from]);
                data[start + pixel * pixel_stride] = ((value - subtract) * multiply) as f32;
            }
        }
    }
    let shape = match preparation.layout {
        Layout::Nchw => vec![1, 3, height, width],
        Layout::Nhwc => vec![1, height, width, 3],
    };
    Tensor::from_vec(shape, data).map_err(|error| error.to_string())
}

/// Where the picture lies in the result.
struct Inner {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

/// A rectangle in the source, in pixels; fractions are allowed.
#[derive(Clone, Copy)]
struct Rectangle {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Resamples a rectangle of the picture with a triangle filter at half-pixel centres: bilinear
/// where it enlarges, widened by the factor where it shrinks, so that every source pixel counts.
///
/// The sums are double and the two passes meet in single precision, as in JavaScript.
fn resample(picture: &Pixels, crop: Rectangle, height: usize, width: usize) -> Vec<f32> {
    let columns = taps(crop.x, crop.width, width, picture.width);
    let rows = taps(crop.y, crop.height, height, picture.height);
    let first_row = rows[0].start;
    let last_row = rows[height - 1].start + rows[height - 1].weights.len();

    let mut narrow = Vec::with_capacity((last_row - first_row) * width * 3);
    for y in first_row..last_row {
        let line = &picture.rgb[y * picture.width * 3..][..picture.width * 3];
        for tap in &columns {
            let mut sum = [0f64; 3];
            for (share, pixel) in tap.weights.iter().zip(line[tap.start * 3..].chunks_exact(3)) {
                for channel in 0..3 {
                    sum[channel] += share * f64::from(pixel[channel]);
                }
            }
            narrow.extend(sum.map(|value| value as f32));
        }
    }

    let line = width * 3;
    let mut result = Vec::with_capacity(height * line);
    let mut sum = vec![0f64; line];
    for tap in &rows {
        sum.fill(0.0);
        for (share, row) in tap.weights.iter().zip(narrow[(tap.start - first_row) * line..].chunks_exact(line)) {
            for (sum, &value) in sum.iter_mut().zip(row) {
                *sum += share * f64::from(value);
            }
        }
        result.extend(sum.iter().map(|&value| value as f32));
    }
    result
}

/// Which source pixels count for one result, and how much.
struct Tap {
    start: usize,
    weights: Vec<f64>,
}

fn taps(offset: f64, extent: f64, count: usize, available: usize) -> Vec<Tap> {
    let step = extent / count as f64;
    let reach = step.max(1.0);
    let tap = |index: usize| {
        let centre = offset + (index as f64 + 0.5) * step;
        let first = (centre - reach + 0.5).floor().max(0.0);
        let end = (centre + reach + 0.5).floor().min(available as f64).max(first + 1.0);
        let (first, end) = (first as usize, end as usize);
        let mut weights: Vec<f64> =
            (first..end).map(|at| (1.0 - ((at as f64 + 0.5 - centre) / reach).abs()).max(0.0)).collect();
        let total: f64 = weights.iter().fold(0.0, |sum, weight| sum + weight);
        weights.iter_mut().for_each(|weight| *weight /= total);
        Tap { start: first, weights }
    };
    (0..count).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        width: usize,
        height: usize,
        size: Option<(usize, usize)>,
        layout: Layout,
        color: Color,
        mean: [f64; 3],
        scale: [f64; 3],
        fit: Fit,
        shape: Vec<usize>,
        data: Vec<f32>,
    }

    /// The fixture's pictures: the next byte of a linear congruential generator, red, green, blue.
    fn pixels(width: usize, height: usize) -> Pixels {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        Pixels { width, height, rgb: (0..width * height * 3).map(|_| next()).collect() }
    }

    #[test]
    fn agrees_with_javascript() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/pictures/prepared.json")).unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let preparation = Preparation {
                size: case.size,
                layout: case.layout,
                color: case.color,
                mean: case.mean,
                scale: case.scale,
                fit: case.fit,
            };
            let tensor = prepare(&pixels(case.width, case.height), &preparation).unwrap();
            assert_eq!(tensor.shape(), case.shape, "{}", case.name);
            let largest = tensor.as_slice::<f32>().unwrap().iter().zip(&case.data);
            let largest = largest.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(largest <= 1e-6, "{}: off by {largest}", case.name);
        }
    }

    #[test]
    fn photos_are_turned_upright() {
        // A JPEG of 8 × 16 pixels, its upper half white, with the EXIF orientation 6: to be
        // turned a quarter clockwise, which puts the white half on the right.
        let mut upright = image::RgbImage::new(8, 16);
        upright.enumerate_pixels_mut().for_each(|(_, y, pixel)| pixel.0 = if y < 8 { [255; 3] } else { [0; 3] });
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100).encode_image(&upright).unwrap();
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut segment = vec![0xff, 0xe1];
        segment.extend_from_slice(&(exif.len() as u16 + 2).to_be_bytes());
        segment.extend_from_slice(exif);
        jpeg.splice(2..2, segment);
        let picture = decode(&jpeg).unwrap();
        assert_eq!((picture.width, picture.height), (16, 8));
        assert!(picture.rgb[0] < 10 && picture.rgb[15 * 3] > 245);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for bytes in [&b""[..], b"<html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"] {
            assert!(decode(bytes).is_err_and(|message| message.contains("PNG or JPEG")));
        }
    }

    #[test]
    fn a_size_that_the_file_cannot_hold_is_refused() {
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut jpeg).encode_image(&image::RgbImage::new(8, 8)).unwrap();
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        // Height and width: 65535 each, more than any; 4096 each, more than so few bytes can be.
        for size in [[0xff; 4], [0x10, 0, 0x10, 0]] {
            jpeg[frame + 5..frame + 9].copy_from_slice(&size);
            assert!(decode(&jpeg).is_err_and(|said| said.contains("it says that it has")), "{size:?}");
        }
    }

    #[test]
    fn sizes_and_means_are_parsed() {
        assert_eq!(parse_size("224"), Ok((224, 224)));
        assert_eq!(parse_size("224x320"), Ok((224, 320)));
        for wrong in ["0", "-1", "x", "2x", "2.5", "40000", "32768", "1x2x3"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_per_channel("-1.5"), Ok([-1.5; 3]));
        assert_eq!(parse_per_channel("1, 2,3"), Ok([1.0, 2.0, 3.0]));
        for wrong in ["", "1,2", "1,2,3,4", "a", "nan"] {
            assert!(parse_per_channel(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_declared_shape_fills_in() {
        let silent = PictureOptions::default();
        let (n, s) = (|| Dim::Name("?".into()), Dim::Size);
        let nhwc = silent.preparation(Some(&[n(), s(128), s(160), s(3)]));
        assert_eq!((nhwc.layout, nhwc.size), (Layout::Nhwc, Some((128, 160))));
        let nchw = silent.preparation(Some(&[s(1), s(3), s(224), s(192)]));
        assert_eq!((nchw.layout, nchw.size), (Layout::Nchw, Some((224, 192))));
        let open = silent.preparation(Some(&[s(1), s(3), n(), n()]));
        assert_eq!((open.layout, open.size), (Layout::Nchw, None));
        assert_eq!(silent.preparation(None).scale, [1.0 / 255.0; 3]);
    }
}
