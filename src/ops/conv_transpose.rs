//! ConvTranspose: each element of the input, times the kernel, added to the output around it;
//! `out = stride * (in - 1) + output_padding + dilation * (kernel - 1) + 1 - pads`.

use super::geometry::{AutoPad, WindowAttributes};
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::multiply_adds::{MultiplyAdds, depth_of};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::{Array, Device, DeviceKind, PadMode, Window};
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::transposed::{conv_transpose, fast, plain};

/// ConvTranspose.
pub const OPERATOR: Operator = Operator {
    name: "ConvTranspose",
    inputs: 2..=3,
    attributes: &[
        "auto_pad",
        "dilations",
        "group",
        "kernel_shape",
        "output_padding",
        "output_shape",
        "pads",
        "strides",
    ],
    webgpu: true,
    build,
    ..Operator::DEFAULT
};

struct ConvTranspose {
    window: WindowAttributes,
    group: usize,
    output_padding: Option<Vec<usize>>,
    output_shape: Option<Vec<usize>>,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(ConvTranspose {
        window: WindowAttributes::read(attributes)?,
        group: attributes.count("group", 1)?,
        output_padding: attributes.sizes("output_padding", 0)?,
        output_shape: attributes.sizes("output_shape", 0)?.filter(|shape| !shape.is_empty()),
    }))
}

impl ConvTranspose {
    /// The output's spatial sizes, and the window of the convolution from it back to the input.
    fn window(&self, inputs: &Inputs) -> Result<(Vec<usize>, Window)> {
        let (x, weight) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(x.len() >= 3, ShapeMismatch, "expected [N, C, spatial…], got {x:?}");
        ensure!(weight.len() == x.len(), ShapeMismatch, "the weight {weight:?} and the input {x:?} differ in rank");
        let mut window = self.window.placed(x, Some(&weight[2..]))?;
        let spatial = &x[2..];
        let rank = spatial.len();
        let added = self.output_padding.clone().unwrap_or_else(|| vec![0; rank]);
        ensure!(added.len() == rank, ShapeMismatch, "output_padding {added:?} for {rank} spatial dimensions");
        let shape = match &self.output_shape {
            Some(shape) if shape.len() == rank + 2 => Some(&shape[2..]),
            Some(shape) => {
                ensure!(shape.len() == rank, ShapeMismatch, "output_shape {shape:?} for {rank} spatial dimensions");
                Some(&shape[..])
            }
            None => None,
        };
        let mut out = Vec::with_capacity(rank);
        for d in 0..rank {
            let (stride, dilation) = (window.strides[d], window.dilations[d]);
            ensure!(
                added[d] < stride.max(dilation),
                InvalidModel,
                "output_padding {added:?}: expected less than the stride {stride} or the dilation {dilation}"
            );
            // All four are below 2^31, so that none of this overflows.
            let reach = (window.kernel[d] - 1) as i64 * dilation as i64 + 1;
            let whole = (spatial[d] as i64 - 1) * stride as i64 + added[d] as i64 + reach;
            let same = matches!(self.window.auto_pad(), AutoPad::SameUpper | AutoPad::SameLower);
            let size = match shape {
                Some(shape) => Some(shape[d] as i64),
                None if same => Some(spatial[d] as i64 * stride as i64),
                None => None,
            };
            if let Some(size) = size {
                let total = (whole - size).max(0) as usize;
                let (less, more) = (total / 2, total - total / 2);
                let upper = self.window.auto_pad() == AutoPad::SameUpper;
                window.pads_begin[d] = if upper { less } else { more };
                window.pads_end[d] = if upper { more } else { less };
            }
            let size = match shape {
                Some(shape) => shape[d] as i64,
                None => whole - window.pads_begin[d] as i64 - window.pads_end[d] as i64,
            };
            ensure!(
                (0..=1 << 30).contains(&size),
                ShapeMismatch,
                "{size} elements would come of spatial dimension {d} of {x:?} with kernel {:?}, expected 0 to 2^30",
                window.kernel
            );
            out.push(size as usize);
        }
        window.output = spatial.to_vec();
        Ok((out, window))
    }
}

impl Op for ConvTranspose {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        optional_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (out, _) = self.window(inputs)?;
        let (x, weight) = (inputs.shape(0)?, inputs.shape(1)?);
        let group = self.group;
        ensure!(
            x[1] == weight[0] && x[1].is_multiple_of(group),
            ShapeMismatch,
            "the weight {weight:?} has {} input channels, the input {x:?} has {} (in {group} groups)",
            weight[0],
            x[1]
        );
        let channels = weight[1].saturating_mul(group);
        if inputs.has(2) {
            let bias = inputs.shape(2)?;
            ensure!(bias == [channels], ShapeMismatch, "the bias is {bias:?}, expected [{channels}]");
        }
        one(inputs.dtype(0)?, [&[x[0], channels], &out[..]].concat())
    }

    fn multiply_adds(&self, inputs: &Inputs, _: &[Option<Info>]) -> Result<MultiplyAdds> {
        let (x, weight) = (inputs.shape(0)?, inputs.shape(1)?);
        Ok(MultiplyAdds::float(&[x.iter().product(), depth_of(weight)]))
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (out, window) = self.window(&inputs)?;
        if device.kind() != DeviceKind::Cpu {
            let (x, weight, bias) = (inputs.array(0)?, inputs.array(1)?, inputs.optional_array(2)?);
            return output(spread_out(device, x, weight, bias, &window, &out, self.group)?);
        }
        let shape = shape_of(outputs, 0)?;
        let (x, weight, bias) = (inputs.take_host(0)?, inputs.take_host(1)?, inputs.host(2)?);
        let sizes = [shape[0], x.shape()[1], shape[1], self.group];
        output(if x.dtype() == DataType::Float64 {
            let bias = bias.map(|b| b.to_f64s()).transpose()?;
            let y = conv_transpose(&x.to_f64s()?, &weight.to_f64s()?, bias.as_deref(), sizes, &out, &window, plain);
            Tensor::from_vec(shape.to_vec(), y)?
        } else {
            let bias = bias.as_ref().map(Tensor::to_f32s).transpose()?;
            let y = conv_transpose(&x.to_f32s()?, &weight.to_f32s()?, bias.as_deref(), sizes, &out, &window, fast);
            Tensor::from_f32s(x.dtype(), shape, y)?
        })
    }
}

/// The same by what every device has: zeros between the elements, and a convolution by the
/// kernel turned around.
fn spread_out(
    device: &dyn Device,
    x: Array,
    weight: Array,
    bias: Option<Array>,
    window: &Window,
    out: &[usize],
    group: usize,
) -> Result<Array> {
    let (shape, filters) = (x.shape().to_vec(), weight.shape().to_vec());
    let rank = out.len();
    let apart = |step: &dyn Fn(usize) -> usize| -> Vec<usize> {
        shape[..2].iter().copied().chain((0..rank).flat_map(|d| [shape[d + 2], step(d)])).collect()
    };
    let pads: Vec<(usize, usize)> =
        [(0, 0); 2].into_iter().chain((0..rank).flat_map(|d| [(0, 0), (0, window.strides[d] - 1)])).collect();
    let x = device.pad(device.reshape(x, &apart(&|_| 1))?, &pads, PadMode::Constant(0.0))?;
    let sizes = |size: &dyn Fn(usize) -> usize| -> Vec<usize> {
        shape[..2].iter().copied().chain((0..rank).map(size)).collect()
    };
    let mut x = device.reshape(x, &sizes(&|d| shape[d + 2] * window.strides[d]))?;

    // What the kernel reaches before the first and after the last element, less what is cut off.
    let reach = |d: usize| (window.kernel[d] - 1) * window.dilations[d];
    let spread = |d: usize| shape[d + 2] * window.strides[d];
    let before: Vec<isize> = (0..rank).map(|d| reach(d) as isize - window.pads_begin[d] as isize).collect();
    let after: Vec<isize> = (0..rank).map(|d| (out[d] + reach(d)) as isize - spread(d) as isize - before[d]).collect();
    let kept = |d: usize| (spread(d) as isize + before[d].min(0) + after[d].min(0)).max(0) as usize;
    if before.iter().chain(&after).any(|&pad| pad < 0) {
        let first = |d: usize| ((-before[d]).max(0) as usize).min(spread(d));
        let starts: Vec<usize> = [0, 0].into_iter().chain((0..rank).map(first)).collect();
        x = device.slice(x, &starts, &vec![1; rank + 2], &sizes(&kept))?;
    }
    let around = |d: usize| {
        let first = before[d].max(0) as usize;
        (first, (out[d] + reach(d)).saturating_sub(kept(d) + first))
    };
    let pads: Vec<(usize, usize)> = [(0, 0); 2].into_iter().chain((0..rank).map(around)).collect();
    let x = device.pad(x, &pads, PadMode::Constant(0.0))?;

    // [C, M / group, kernel…] to [M, C / group, kernel…], every kernel from its end.
    let (depth, planes) = (filters[0] / group, filters[1]);
    let kernel = &filters[2..];
    let weight = device.reshape(weight, &[&[group, depth, planes], kernel].concat())?;
    let perm: Vec<usize> = [0, 2, 1].into_iter().chain(3..rank + 3).collect();
    let weight = device.reshape(device.transpose(weight, &perm)?, &[&[group * planes, depth], kernel].concat())?;
    let starts: Vec<usize> = [0, 0].into_iter().chain(kernel.iter().map(|&k| k - 1)).collect();
    let steps: Vec<isize> = [1, 1].into_iter().chain(kernel.iter().map(|_| -1)).collect();
    let flipped = [&[group * planes, depth], kernel].concat();
    let weight = device.slice(weight, &starts, &steps, &flipped)?;

    let zeros = vec![0; rank];
    let window = Window {
        kernel: window.kernel.clone(),
        strides: vec![1; rank],
        dilations: window.dilations.clone(),
        pads_begin: zeros.clone(),
        pads_end: zeros,
        output: out.to_vec(),
    };
    device.conv(x, weight, bias, &window, group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::support::{Random, Single, compare, f32s, numbers};

    struct Case {
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        group: usize,
        strides: Vec<usize>,
        dilations: Vec<usize>,
        pads: Vec<usize>,
        added: Vec<usize>,
    }

    fn random_case(random: &mut Random, rank: usize) -> Case {
        let group = random.within(1, 3);
        let (depth, planes) = (random.within(1, 3), random.within(1, 3));
        let mut list = |low: usize, high: usize, count: usize| -> Vec<usize> {
            (0..count).map(|_| random.within(low, high)).collect()
        };
        let (spatial, kernel) = (list(2, 4, rank), list(1, 3, rank));
        let (strides, dilations, pads) = (list(1, 3, rank), list(1, 2, rank), list(0, 1, 2 * rank));
        let added = strides.iter().map(|&s| s - 1).collect();
        let x = [&[2, group * depth], &spatial[..]].concat();
        let weight = [&[group * depth, planes], &kernel[..]].concat();
        let (x, weight, bias) = (random.tensor(&x), random.tensor(&weight), random.tensor(&[group * planes]));
        Case { x, weight, bias, group, strides, dilations, pads, added }
    }

    /// Every element of the input and every tap, one at a time.
    fn naive(case: &Case) -> Option<Tensor> {
        let (xs, ws) = (case.x.shape(), case.weight.shape());
        let rank = xs.len() - 2;
        let (depth, planes) = (xs[1] / case.group, ws[1]);
        let mut out = vec![];
        for d in 0..rank {
            let whole = (xs[d + 2] - 1) * case.strides[d] + (ws[d + 2] - 1) * case.dilations[d] + 1 + case.added[d];
            out.push(whole.checked_sub(case.pads[d] + case.pads[rank + d])?);
        }
        let (from, taps) = (xs[2..].iter().product::<usize>(), ws[2..].iter().product::<usize>());
        let to = out.iter().product::<usize>();
        let (x, weight, bias) = (numbers(&case.x), numbers(&case.weight), numbers(&case.bias));
        let outputs = planes * case.group;
        let mut y: Vec<f64> = (0..xs[0] * outputs * to).map(|i| bias[i / to % outputs]).collect();
        for (i, v) in x.iter().enumerate() {
            let (n, c, at) = (i / from / xs[1], i / from % xs[1], i % from);
            for m in 0..planes {
                'tap: for tap in 0..taps {
                    let (mut i, mut t, mut position, mut scale) = (at, tap, 0, 1);
                    for d in (0..rank).rev() {
                        let o = (i % xs[d + 2]) * case.strides[d] + (t % ws[d + 2]) * case.dilations[d];
                        (i, t) = (i / xs[d + 2], t / ws[d + 2]);
                        let Some(o) = o.checked_sub(case.pads[d]).filter(|&o| o < out[d]) else { continue 'tap };
                        (position, scale) = (position + o * scale, scale * out[d]);
                    }
                    let plane = n * outputs + c / depth * planes + m;
                    y[plane * to + position] += v * weight[(c * planes + m) * taps + tap];
                }
            }
        }
        let shape = [&[xs[0], outputs], &out[..]].concat();
        Some(f32s(&shape, y.into_iter().map(|v| v as f32).collect()))
    }

    fn node(case: &Case) -> Single<'static> {
        Single::new("ConvTranspose", 11)
            .int("group", case.group as i64)
            .ints("strides", &case.strides)
            .ints("dilations", &case.dilations)
            .ints("pads", &case.pads)
            .ints("output_padding", &case.added)
    }

    #[test]
    fn it_is_what_a_naive_loop_gives_in_either_way_and_dtype() {
        let mut random = Random::new(7);
        let mut compared = 0;
        for round in 0..60 {
            let rank = round % 3 + 1;
            let case = random_case(&mut random, rank);
            let Some(expected) = naive(&case) else { continue };
            let inputs = [case.x.clone(), case.weight.clone(), case.bias.clone()];
            compare(&node(&case).one(&inputs), &expected, 1e-5, 1e-5).expect("float32");
            let wide = inputs.clone().map(|t| Tensor::from_vec(t.shape().to_vec(), numbers(&t)).expect("float64"));
            let got = node(&case).one(&wide);
            assert_eq!(got.dtype(), DataType::Float64);
            compare(
                &Tensor::from_f64s(DataType::Float32, got.shape(), numbers(&got)).expect("narrowed"),
                &expected,
                1e-6,
                1e-6,
            )
            .expect("float64");

            let out = expected.shape()[2..].to_vec();
            let window = Window {
                kernel: case.weight.shape()[2..].to_vec(),
                strides: case.strides.clone(),
                dilations: case.dilations.clone(),
                pads_begin: case.pads[..rank].to_vec(),
                pads_end: case.pads[rank..].to_vec(),
                output: case.x.shape()[2..].to_vec(),
            };
            let [x, weight, bias] = inputs.map(|t| Array::Cpu(t.to_flex().expect("numbers")));
            let got = spread_out(&Cpu, x, weight, Some(bias), &window, &out, case.group).expect("computed");
            let got = Tensor::from_flex(got.into_cpu().expect("on the CPU"));
            compare(&got, &expected, 1e-5, 1e-5).expect("by other operations");
            compared += 1;
        }
        assert!(compared > 40);
    }

    #[test]
    fn padding_follows_the_output_asked_for() {
        // In brackets what ONNX Runtime gives.
        let (x, w) = (f32s(&[1, 1, 3], vec![1., 2., 3.]), f32s(&[1, 1, 2], vec![1., 2.]));
        let run = |pad: &str, stride: usize, shape: &[usize]| {
            let node = Single::new("ConvTranspose", 11).string("auto_pad", pad).ints("strides", &[stride]);
            let node = if shape.is_empty() { node } else { node.ints("output_shape", shape) };
            numbers(&node.one(&[x.clone(), w.clone()]))
        };
        assert_eq!(run("SAME_UPPER", 1, &[]), [1., 4., 7.]);
        assert_eq!(run("SAME_LOWER", 1, &[]), [4., 7., 6.]);
        assert_eq!(run("VALID", 1, &[]), [1., 4., 7., 6.]);
        assert_eq!(run("NOTSET", 1, &[3]), [4., 7., 6.]);
        assert_eq!(run("SAME_UPPER", 4, &[]), [1., 2., 0., 0., 2., 4., 0., 0., 3., 6.]);
        assert_eq!(run("NOTSET", 4, &[12]), [1., 2., 0., 0., 2., 4., 0., 0., 3., 6., 0., 0.]);
        assert_eq!(run("NOTSET", 4, &[1, 1, 9]), [2., 0., 0., 2., 4., 0., 0., 3., 6.]);
    }

    #[test]
    fn empty_inputs_leave_the_bias() {
        let got = Single::new("ConvTranspose", 11).one(&[
            f32s(&[1, 0, 2], vec![]),
            f32s(&[0, 1, 2], vec![]),
            f32s(&[1], vec![5.]),
        ]);
        assert_eq!(numbers(&got), [5., 5., 5.]);
        let got = Single::new("ConvTranspose", 11).one(&[f32s(&[1, 1, 0], vec![]), f32s(&[1, 1, 2], vec![1., 2.])]);
        assert_eq!(numbers(&got), [0.]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let node = || Single::new("ConvTranspose", 11);
        let (x, w) = (f32s(&[1, 2, 3], vec![0.; 6]), f32s(&[2, 1, 2], vec![0.; 4]));
        for (node, inputs) in [
            (node().int("group", 3), [x.clone(), w.clone()]),
            (node(), [x.clone(), f32s(&[3, 1, 2], vec![0.; 6])]),
            (node(), [x.clone(), f32s(&[2, 1], vec![0.; 2])]),
            (node(), [x.clone(), f32s(&[2, 1, 0], vec![])]),
            (node().ints("pads", &[9, 9]), [x.clone(), w.clone()]),
            (node().ints("output_shape", &[2, 2]), [x.clone(), w.clone()]),
            (node().ints("output_padding", &[1]), [x.clone(), w.clone()]),
            (node().ints("kernel_shape", &[3]), [x.clone(), w.clone()]),
        ] {
            node.error(&inputs);
        }
    }
}
