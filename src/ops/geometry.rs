//! Shape arithmetic that several operators share.

use super::Attributes;
use crate::backend::Window;
use crate::error::{Result, bail, ensure};

/// The shape that two broadcast to, as NumPy does.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], d: usize| if d + s.len() < rank { 1 } else { s[d + s.len() - rank] };
    (0..rank)
        .map(|d| match (at(a, d), at(b, d)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => bail!(ShapeMismatch, "shapes {a:?} and {b:?} do not broadcast together"),
        })
        .collect()
}

/// The longest padded dimension, so that positions in it never overflow.
const MAX_EXTENT: usize = 1 << 30;

/// How padding is chosen, from a node's `auto_pad`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoPad {
    NotSet,
    Valid,
    SameUpper,
    SameLower,
}

/// The attributes of an operator that moves a window: Conv and the pools.
#[derive(Debug, Clone)]
pub struct WindowAttributes {
    kernel: Option<Vec<usize>>,
    strides: Option<Vec<usize>>,
    dilations: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
    auto_pad: AutoPad,
    ceil_mode: bool,
}

impl WindowAttributes {
    /// Reads them.
    pub fn read(attributes: &Attributes<'_>) -> Result<Self> {
        let auto_pad = match attributes.choice("auto_pad", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])? {
            "VALID" => AutoPad::Valid,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            _ => AutoPad::NotSet,
        };
        Ok(Self {
            kernel: attributes.sizes("kernel_shape", 1)?,
            strides: attributes.sizes("strides", 1)?,
            dilations: attributes.sizes("dilations", 1)?,
            pads: attributes.sizes("pads", 0)?,
            auto_pad,
            ceil_mode: attributes.flag("ceil_mode", false)?,
        })
    }

    /// Windows and their taps are one apart.
    pub fn one_apart(&self) -> bool {
        [&self.strides, &self.dilations].into_iter().flatten().flatten().all(|&step| step == 1)
    }

    /// How padding is chosen.
    pub fn auto_pad(&self) -> AutoPad {
        self.auto_pad
    }

    /// What the attributes say of the window over an input `[N, C, spatial…]`, before padding is
    /// chosen and the output counted; `kernel` is the weight's where there is one.
    pub fn placed(&self, input: &[usize], kernel: Option<&[usize]>) -> Result<Window> {
        ensure!(input.len() >= 3, ShapeMismatch, "expected [N, C, spatial…], got {input:?}");
        let spatial = &input[2..];
        let rank = spatial.len();
        ensure!(rank <= 3, Unsupported, "{rank} spatial dimensions; at most 3 are supported");
        let kernel = match (kernel, &self.kernel) {
            (Some(weight), Some(declared)) => {
                ensure!(weight == declared, ShapeMismatch, "kernel_shape is {declared:?}, the weight's is {weight:?}");
                weight.to_vec()
            }
            (Some(weight), None) => weight.to_vec(),
            (None, Some(declared)) => declared.clone(),
            (None, None) => bail!(InvalidModel, "attribute \"kernel_shape\" is missing"),
        };
        let list = |name: &str, values: &Option<Vec<usize>>, default: usize, len: usize| -> Result<Vec<usize>> {
            let values = values.clone().unwrap_or_else(|| vec![default; len]);
            ensure!(
                values.len() == len,
                ShapeMismatch,
                "{name} has {} entries, expected {len} for input {input:?}",
                values.len()
            );
            Ok(values)
        };
        ensure!(
            kernel.len() == rank,
            ShapeMismatch,
            "the kernel {kernel:?} has {} dimensions, the input {input:?} has {rank} spatial ones",
            kernel.len()
        );
        ensure!(!kernel.contains(&0), ShapeMismatch, "the kernel {kernel:?} is empty");
        let strides = list("strides", &self.strides, 1, rank)?;
        let dilations = list("dilations", &self.dilations, 1, rank)?;
        let pads = list("pads", &self.pads, 0, 2 * rank)?;
        let (pads_begin, pads_end) = pads.split_at(rank);
        let mut window = Window {
            kernel,
            strides,
            dilations,
            pads_begin: pads_begin.to_vec(),
            pads_end: pads_end.to_vec(),
            output: Vec::with_capacity(rank),
        };
        if self.auto_pad == AutoPad::Valid {
            window.pads_begin.fill(0);
            window.pads_end.fill(0);
        }
        for (d, &size) in spatial.iter().enumerate() {
            let reach = window.dilations[d].saturating_mul(window.kernel[d] - 1).saturating_add(1);
            let around = size.saturating_add(window.pads_begin[d]).saturating_add(window.pads_end[d]);
            ensure!(
                reach <= MAX_EXTENT && around <= MAX_EXTENT,
                LimitExceeded,
                "the kernel reaches over {reach} of {around} in spatial dimension {d}; at most {MAX_EXTENT} are possible"
            );
        }
        Ok(window)
    }

    /// The window over an input `[N, C, spatial…]`; `kernel` is the weight's where there is one.
    pub fn window(&self, input: &[usize], kernel: Option<&[usize]>) -> Result<Window> {
        let mut window = self.placed(input, kernel)?;
        for (d, &size) in input[2..].iter().enumerate() {
            let reach = window.dilations[d] * (window.kernel[d] - 1) + 1;
            let stride = window.strides[d];
            let out = match self.auto_pad {
                AutoPad::SameUpper | AutoPad::SameLower => {
                    let out = size.div_ceil(stride);
                    let total = ((out.max(1) - 1) * stride + reach).saturating_sub(size);
                    let (less, more) = (total / 2, total - total / 2);
                    let upper = self.auto_pad == AutoPad::SameUpper;
                    window.pads_begin[d] = if upper { less } else { more };
                    window.pads_end[d] = if upper { more } else { less };
                    out
                }
                AutoPad::Valid | AutoPad::NotSet => {
                    let padded = size + window.pads_begin[d] + window.pads_end[d];
                    ensure!(
                        padded >= reach,
                        ShapeMismatch,
                        "the kernel reaches over {reach}, the padded input {input:?} has {padded} in spatial dimension {d}"
                    );
                    let free = padded - reach;
                    if self.ceil_mode {
                        let out = free.div_ceil(stride) + 1;
                        // A window that starts in the padding after the input is left out.
                        if (out - 1) * stride >= size + window.pads_begin[d] { out - 1 } else { out }
                    } else {
                        free / stride + 1
                    }
                }
            };
            window.output.push(out);
        }
        Ok(window)
    }
}
