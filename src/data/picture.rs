//! A photo as a tensor, with the very arithmetic of `Tensor.fromImage` in JavaScript
//! (`pkg/src/image.ts`): the same pixels give the same numbers.

use std::io::Cursor;

use crate::Tensor;
use crate::graph::Dim;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

/// Where the channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Layout {
    /// [1, channels, height, width]
    #[serde(rename = "NCHW", alias = "nchw")]
    Nchw,
    /// [1, height, width, channels]
    #[serde(rename = "NHWC", alias = "nhwc")]
    Nhwc,
}

/// The channels and their order.
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
    /// One channel, the luminance
    #[serde(rename = "GRAY", alias = "gray")]
    #[cfg_attr(feature = "cli", value(alias = "grey"))]
    Gray,
}

impl Color {
    /// How many channels there are.
    pub fn channels(self) -> usize {
        if self == Self::Gray { 1 } else { 3 }
    }
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
    /// Subtracted from each pixel (0…255), per channel in the order of `color`; three equal numbers for the one of grey.
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
    /// The channels and their order [default: gray where the model declares one channel, else rgb]
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

/// Canvases and tensors end well below this; it keeps a slip of the hand, and a hostile file, from filling memory.
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

    /// What is said here, and, where nothing is, what `others` say.
    pub fn or(&self, others: &Self) -> Self {
        Self {
            image_size: self.image_size.or(others.image_size),
            image_layout: self.image_layout.or(others.image_layout),
            image_color: self.image_color.or(others.image_color),
            image_mean: self.image_mean.or(others.image_mean),
            image_scale: self.image_scale.or(others.image_scale),
            image_fit: self.image_fit.or(others.image_fit),
        }
    }

    /// What the arguments say, and, where they are silent, what the declared shape says.
    ///
    /// The error says which arguments contradict each other.
    pub fn preparation(&self, declared: Option<&[Dim]>) -> Result<Preparation, String> {
        let has = |dim: &Dim, channels: usize| *dim == Dim::Size(channels);
        let is_last =
            |channels: usize| matches!(declared, Some([_, c, _, last]) if has(last, channels) && !has(c, channels));
        let layout = self.image_layout.unwrap_or_else(|| {
            let last = match self.image_color {
                Some(color) => is_last(color.channels()),
                // A 3 says more than a 1, which may be a picture's height.
                None => is_last(3) || is_last(1) && !matches!(declared, Some([_, c, ..]) if has(c, 3)),
            };
            if last { Layout::Nhwc } else { Layout::Nchw }
        });
        let size = self.image_size.or(match (declared, layout) {
            (Some([_, _, Dim::Size(height), Dim::Size(width)]), Layout::Nchw)
            | (Some([_, Dim::Size(height), Dim::Size(width), _]), Layout::Nhwc) => Some((*height, *width)),
            _ => None,
        });
        let is_grey = match (declared, layout) {
            (Some([_, channels, _, _]), Layout::Nchw) | (Some([_, _, _, channels]), Layout::Nhwc) => has(channels, 1),
            _ => false,
        };
        let color = self.image_color.unwrap_or(if is_grey { Color::Gray } else { Color::Rgb });
        for (name, given) in [("mean", self.image_mean), ("scale", self.image_scale)] {
            if let Some([a, b, c]) = given.filter(|[a, b, c]| color == Color::Gray && (a != b || b != c)) {
                return Err(format!(
                    "--image-{name}: expected one number for the one channel of grey, got {a},{b},{c}: give one, or --image-color rgb"
                ));
            }
        }
        Ok(Preparation {
            size,
            layout,
            color,
            mean: self.image_mean.unwrap_or([0.0; 3]),
            scale: self.image_scale.unwrap_or([1.0 / 255.0; 3]),
            fit: self.image_fit.unwrap_or(Fit::Cover),
        })
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
/// The error says what is wrong with the file. Its size is looked at before memory is taken for its pixels.
pub fn decode(bytes: &[u8]) -> Result<Pixels, String> {
    let larger = |got: String| {
        format!(
            "expected a picture of at most {LARGEST_SIDE} pixels a side and {MOST_PIXELS} in all, got {got}: make it smaller first"
        )
    };
    let wrong = |error: ImageError| match error {
        ImageError::Limits(_) => larger("a larger one".to_string()),
        ImageError::Unsupported(_) => {
            "expected a picture, PNG or JPEG, got other bytes: save it as one of them".to_string()
        }
        error => format!("it cannot be read as PNG or JPEG: {error}; the file is damaged or cut short"),
    };
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| wrong(ImageError::IoError(error)))?;
    let mut limits = Limits::default();
    // 16 bits for each of four channels, and what a decoder needs beside.
    limits.max_alloc = Some(MOST_PIXELS as u64 * 8 + (1 << 26));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(wrong)?;
    let (width, height) = decoder.dimensions();
    let fits = |side: u32| side as usize <= LARGEST_SIDE;
    if !fits(width) || !fits(height) || width as usize * height as usize > MOST_PIXELS {
        return Err(larger(format!("{width} × {height}")));
    }
    if decoder.total_bytes() > (bytes.len() as u64).saturating_mul(MOST_UNPACKED) {
        return Err(format!(
            "it says that it has {width} × {height} pixels, in {} bytes, and no picture unpacks to {MOST_UNPACKED} times its size: the file is damaged",
            bytes.len()
        ));
    }
    let orientation = decoder.orientation().map_err(wrong)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(wrong)?;
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    Ok(Pixels { width: image.width() as usize, height: image.height() as usize, rgb: image.into_raw() })
}

impl Pixels {
    /// The luminance (ITU-R BT.601: 0.299 red, 0.587 green, 0.114 blue) of each pixel, in the very integers of Pillow's
    /// conversion to "L", which most networks of one channel were trained on.
    fn luminance(&self) -> Vec<u8> {
        let of = |pixel: &[u8]| {
            let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
            ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
        };
        self.rgb.chunks_exact(3).map(of).collect()
    }
}

/// A picture prepared: float32, `[1, channels, height, width]` or `[1, height, width, channels]`, with three channels, or
/// one of grey.
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
    let channels = preparation.color.channels();
    let (sides, inner_sides) = ((picture.height, picture.width), (inner.height, inner.width));
    let resampled = match preparation.color {
        Color::Gray => resample::<1>(&picture.luminance(), sides, crop, inner_sides),
        Color::Rgb | Color::Bgr => resample::<3>(&picture.rgb, sides, crop, inner_sides),
    };

    let plane = height * width;
    let mut data = vec![0f32; channels * plane];
    let (channel_stride, pixel_stride) = match preparation.layout {
        Layout::Nchw => (plane, 1),
        Layout::Nhwc => (1, channels),
    };
    for channel in 0..channels {
        let from = if preparation.color == Color::Bgr { 2 - channel } else { channel };
        let (subtract, multiply) = (preparation.mean[channel], preparation.scale[channel]);
        let start = channel * channel_stride;
        let black = (-subtract * multiply) as f32;
        for pixel in 0..plane {
            data[start + pixel * pixel_stride] = black;
        }
        for y in 0..inner.height {
            for x in 0..inner.width {
                let pixel = (y + inner.top) * width + x + inner.left;
                let value = f64::from(resampled[(y * inner.width + x) * channels + from]);
                data[start + pixel * pixel_stride] = ((value - subtract) * multiply) as f32;
            }
        }
    }
    let shape = match preparation.layout {
        Layout::Nchw => vec![1, channels, height, width],
        Layout::Nhwc => vec![1, height, width, channels],
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

/// Resamples a rectangle of a picture of `C` channels, whose sides are `height` and `width` as those of the result, with
/// a triangle filter at half-pixel centres: bilinear where it enlarges, widened by the factor where it shrinks, so that
/// every source pixel counts.
///
/// The sums are double and the two passes meet in single precision, as in JavaScript.
fn resample<const C: usize>(
    pixels: &[u8],
    (source_height, source_width): (usize, usize),
    crop: Rectangle,
    (height, width): (usize, usize),
) -> Vec<f32> {
    let columns = taps(crop.x, crop.width, width, source_width);
    let rows = taps(crop.y, crop.height, height, source_height);
    let first_row = rows[0].start;
    let last_row = rows[height - 1].start + rows[height - 1].weights.len();

    let mut narrow = Vec::with_capacity((last_row - first_row) * width * C);
    for y in first_row..last_row {
        let line = &pixels[y * source_width * C..][..source_width * C];
        for tap in &columns {
            let mut sum = [0f64; C];
            for (share, pixel) in tap.weights.iter().zip(line[tap.start * C..].chunks_exact(C)) {
                for (sum, &value) in sum.iter_mut().zip(pixel) {
                    *sum += share * f64::from(value);
                }
            }
            narrow.extend(sum.map(|value| value as f32));
        }
    }

    let line = width * C;
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
        mean: Vec<f64>,
        scale: Vec<f64>,
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

    fn per_channel(given: &[f64]) -> [f64; 3] {
        if let [one] = given { [*one; 3] } else { given.try_into().unwrap() }
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
                mean: per_channel(&case.mean),
                scale: per_channel(&case.scale),
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
        for (size, expected) in
            [([0xff; 4], "got 65535 × 65535"), ([0x10, 0, 0x10, 0], "it says that it has 4096 × 4096")]
        {
            jpeg[frame + 5..frame + 9].copy_from_slice(&size);
            assert!(decode(&jpeg).is_err_and(|said| said.contains(expected)), "{expected}");
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
        let of = |dims: [Dim; 4]| silent.preparation(Some(&dims)).unwrap();
        let nhwc = of([n(), s(128), s(160), s(3)]);
        assert_eq!((nhwc.layout, nhwc.size), (Layout::Nhwc, Some((128, 160))));
        let nchw = of([s(1), s(3), s(224), s(192)]);
        assert_eq!((nchw.layout, nchw.size), (Layout::Nchw, Some((224, 192))));
        let open = of([s(1), s(3), n(), n()]);
        assert_eq!((open.layout, open.size), (Layout::Nchw, None));
        assert_eq!(silent.preparation(None).unwrap().scale, [1.0 / 255.0; 3]);
    }

    #[test]
    fn one_declared_channel_is_grey() {
        let silent = PictureOptions::default();
        let (n, s) = (|| Dim::Name("N".into()), Dim::Size);
        for (dims, layout, color, size) in [
            ([n(), s(64), s(48), s(1)], Layout::Nhwc, Color::Gray, Some((64, 48))),
            ([s(1), s(1), s(28), s(28)], Layout::Nchw, Color::Gray, Some((28, 28))),
            ([s(1), s(1), n(), n()], Layout::Nchw, Color::Gray, None),
            ([s(1), s(1), s(1), s(1)], Layout::Nchw, Color::Gray, Some((1, 1))),
            // Pictures of one row or column.
            ([s(1), s(3), s(64), s(1)], Layout::Nchw, Color::Rgb, Some((64, 1))),
            ([s(1), s(1), s(64), s(3)], Layout::Nhwc, Color::Rgb, Some((1, 64))),
        ] {
            let got = silent.preparation(Some(&dims)).unwrap();
            assert_eq!((got.layout, got.color, got.size), (layout, color, size), "{dims:?}");
        }
        let grey = [s(1), s(1), s(64), s(3)];
        let told = PictureOptions { image_color: Some(Color::Gray), ..PictureOptions::default() };
        assert_eq!(told.preparation(Some(&grey)).unwrap().layout, Layout::Nchw);
        let three = PictureOptions { image_mean: Some([1.0, 2.0, 3.0]), ..told.clone() };
        assert!(
            three.preparation(Some(&grey)).is_err_and(|said| said.contains("--image-mean") && said.contains("1,2,3"))
        );
        let over = PictureOptions { image_scale: Some([1.0; 3]), ..PictureOptions::default() }.or(&three);
        assert_eq!((over.image_scale, over.image_mean), (Some([1.0; 3]), Some([1.0, 2.0, 3.0])));
    }

    /// Pillow 13.0: `Image.new("RGB", (1, 1), rgb).convert("L").getpixel((0, 0))`.
    #[test]
    fn grey_is_what_pillow_makes_of_colours() {
        for (rgb, grey) in [
            ([0, 0, 0], 0),
            ([255, 255, 255], 255),
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([1, 2, 3], 2),
            ([10, 200, 30], 124),
            ([254, 1, 127], 91),
            ([128, 64, 200], 99),
            ([3, 0, 250], 29),
        ] {
            let picture = Pixels { width: 1, height: 1, rgb: rgb.to_vec() };
            assert_eq!(picture.luminance(), [grey], "{rgb:?}");
        }
    }

    #[test]
    fn hostile_sizes_are_refused_before_memory_is_taken() {
        // A PNG's header alone: its length, "IHDR", width, height, 8 bits, RGB; and the check sum.
        let png = |width: u32, height: u32| {
            let mut header = b"IHDR".to_vec();
            header.extend(width.to_be_bytes());
            header.extend(height.to_be_bytes());
            header.extend([8, 2, 0, 0, 0]);
            let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
            bytes.extend(&header);
            bytes.extend(crc(&header).to_be_bytes());
            bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
            bytes
        };
        for (width, height) in [(100_000, 100_000), (100_000, 1), (1, 32_769), (32_768, 32_768)] {
            let said = decode(&png(width, height)).err().unwrap();
            let sides = format!("got {width} × {height}");
            assert!(said.contains("at most 32768") && said.contains(&sides), "{said}");
        }
        let said = decode(&png(u32::MAX >> 1, 1)).err().unwrap();
        assert!(said.contains("at most 32768") && said.contains("got a larger one"), "{said}");
        assert!(decode(&png(4, 4)).is_err_and(|said| said.contains("cannot be read")));
    }

    /// PNG's check sum.
    fn crc(bytes: &[u8]) -> u32 {
        let bit = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        !bytes.iter().fold(!0u32, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), bit))
    }
}
