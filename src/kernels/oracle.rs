//! Every kernel, at every instruction set that this machine or build has, against naive loops.
//!
//! The checks are functions, not `#[test]`s, so that a WebAssembly build can run them too.

use super::arch::{Dot, Level};
use super::conv::{ConvF32, ConvI8, Geometry};
use super::gemm::{Activation, Epilogue, GemmF32, Matrix, row_times_matrix};
use super::integer::{GemmI8, IntOutput, Requantize, ZeroPoints};
use super::nibbles::{Blocks, GemmU4};

/// A check and its name.
pub type Check = (&'static str, fn() -> Result<(), String>);

/// A test of another module, which panics where it fails.
macro_rules! asserted {
    ($module:ident, $name:ident) => {
        (concat!(stringify!($module), "::", stringify!($name)), || {
            super::$module::tests::$name();
            Ok(())
        })
    };
}

/// All checks.
pub fn all() -> Vec<Check> {
    vec![
        asserted!(vector, functions_are_those_of_float64),
        asserted!(vector, every_instruction_set_gives_the_same_bits),
        asserted!(vector, little_of_a_negative_gelu_is_lost),
        asserted!(vector, silu_is_that_of_float64),
        asserted!(vector, simple_functions_are_exact),
        asserted!(vector, softmax_is_that_of_float64),
        asserted!(vector, softmax_of_what_is_no_number),
        asserted!(pool, channels_last_are_pooled_as_one_at_a_time),
        asserted!(quantized, every_instruction_set_gives_the_codes_of_one_at_a_time),
        asserted!(quantized, a_mean_of_codes_is_the_code_of_the_mean),
        ("products of float32 match a naive loop", products_of_floats),
        ("one row by a matrix matches a naive loop", rows_by_matrices),
        ("products of float32 by 4 bits match a naive loop", products_of_nibbles),
        ("convolutions of float32 match a naive loop", convolutions_of_floats),
        ("convolutions with fewer products match a naive loop", convolutions_of_neighbours),
        ("what is not finite stays in its group", groups_apart),
        ("products of bytes are exact", products_of_bytes),
        ("convolutions of bytes are exact", convolutions_of_bytes),
    ]
}

/// Numbers that look random.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next() as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

fn near(what: &str, got: &[f32], expected: &[f32]) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{what}: {} values, expected {}", got.len(), expected.len()));
    }
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        if (a - b).abs() > 1e-4 * (1.0 + b.abs()) || a.is_nan() {
            return Err(format!("{what}: {a} at {i}, expected {b}"));
        }
    }
    Ok(())
}

/// Sizes around those of tiles and vectors.
fn edges(level: Level) -> Vec<[usize; 3]> {
    let lanes = level.lanes();
    let mut sizes = vec![[0, 3, 3], [3, 0, 3], [3, 3, 0]];
    for rows in 1..=14 {
        sizes.push([rows, 5, lanes + 1]);
    }
    for columns in [1, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes, 2 * lanes + 1, 3 * lanes, 4 * lanes + 3] {
        sizes.push([5, 7, columns]);
    }
    for depth in 1..=9 {
        sizes.push([13, depth, 2 * lanes + 3]);
    }
    sizes.extend([[1, 130, 70], [2, 64, 5], [50, 33, 40], [700, 40, 9], [37, 300, 64]]);
    sizes
}

fn finished(sums: &mut [f64], columns: usize, e: &Epilogue<'_>) -> Vec<f32> {
    let mut y: Vec<f32> = sums
        .iter()
        .enumerate()
        .map(|(i, &sum)| {
            (sum + e.bias.map_or(0.0, |b| f64::from(b[i % columns])) + e.residual.map_or(0.0, |r| f64::from(r[i])))
                as f32
        })
        .collect();
    match e.activation {
        Activation::None => {}
        Activation::Clamp { min, max } => y.iter_mut().for_each(|v| *v = v.clamp(min, max)),
        Activation::Map(f) => f(&mut y),
    }
    y
}

fn halve(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v *= 0.5);
}

/// Every kind of epilogue.
fn epilogues<'a>(bias: &'a [f32], residual: &'a [f32]) -> [Epilogue<'a>; 4] {
    [
        Epilogue::NONE,
        Epilogue { bias: Some(bias), ..Epilogue::NONE },
        Epilogue { bias: Some(bias), residual: Some(residual), activation: Activation::Clamp { min: -0.5, max: 0.75 } },
        Epilogue { bias: None, residual: Some(residual), activation: Activation::Map(halve) },
    ]
}

fn products_of_floats() -> Result<(), String> {
    let mut numbers = Numbers(1);
    for level in Level::available() {
        for [rows, depth, columns] in edges(level) {
            let what = format!("{level:?} {rows}x{depth}x{columns}");
            let (stride, y_stride) = (depth + 3, columns + 2);
            let a = numbers.floats(rows * stride);
            let b = numbers.floats(depth * columns);
            let turned: Vec<f32> =
                (0..depth * columns).map(|i| b[i % depth.max(1) * columns + i / depth.max(1)]).collect();
            let mut sums: Vec<f64> = (0..rows * columns)
                .map(|i| {
                    (0..depth)
                        .map(|k| f64::from(a[i / columns * stride + k]) * f64::from(b[k * columns + i % columns]))
                        .sum()
                })
                .collect();
            let straight =
                GemmF32::at(level, &Matrix { data: &b, depth_stride: columns, column_stride: 1 }, depth, columns);
            let other =
                GemmF32::at(level, &Matrix { data: &turned, depth_stride: 1, column_stride: depth }, depth, columns);
            let (bias, residual) = (numbers.floats(columns), numbers.floats(rows * y_stride));
            let dense: Vec<f32> = (0..rows * columns).map(|i| residual[i / columns * y_stride + i % columns]).collect();
            for (given, plain) in epilogues(&bias, &residual).iter().zip(epilogues(&bias, &dense)) {
                let expected = finished(&mut sums, columns, &plain);
                for packed in [&straight, &other] {
                    let mut y = vec![7f32; rows * y_stride];
                    packed.run(&a, stride, rows, given, &mut y, y_stride);
                    let got: Vec<f32> = (0..rows * columns).map(|i| y[i / columns * y_stride + i % columns]).collect();
                    near(&what, &got, &expected)?;
                    if y.chunks(y_stride).any(|row| row[columns..].iter().any(|&v| v != 7.0)) {
                        return Err(format!("{what}: wrote beside the results"));
                    }
                }
            }
            let mut y = dense.clone();
            straight.add_to(&a, stride, rows, &mut y, columns);
            near(&what, &y, &finished(&mut sums, columns, &Epilogue { residual: Some(&dense), ..Epilogue::NONE }))?;
        }
    }
    Ok(())
}

fn rows_by_matrices() -> Result<(), String> {
    let mut numbers = Numbers(2);
    for (depth, columns) in [(1, 1), (5, 3), (16, 33), (31, 64), (130, 17), (4, 100), (0, 4), (4, 0)] {
        let (a, b, c) = (numbers.floats(depth), numbers.floats(2 * depth * columns), numbers.floats(columns));
        for (depth_stride, column_stride) in [(columns, 1), (1, depth), (2 * columns, 2), (0, 1), (1, 0)] {
            let matrix = Matrix { data: &b, depth_stride, column_stride };
            let expected: Vec<f32> =
                (0..columns).map(|j| c[j] + (0..depth).map(|k| a[k] * matrix.at(k, j)).sum::<f32>()).collect();
            let mut got = c.clone();
            row_times_matrix(&a, &matrix, &mut got);
            near(&format!("1x{depth}x{columns}, strides {depth_stride} and {column_stride}"), &got, &expected)?;
        }
    }
    Ok(())
}

fn products_of_nibbles() -> Result<(), String> {
    let mut numbers = Numbers(7);
    for level in Level::available() {
        let lanes = level.lanes();
        let mut sizes = Vec::new();
        for rows in [1, 2, 3, 4, 5, 8, 9, 14] {
            sizes.push([rows, 40, lanes + 1, 16]);
        }
        for columns in [1, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes, 2 * lanes + 1, 3 * lanes] {
            sizes.extend([[1, 33, columns, 32], [6, 33, columns, 16], [10, 33, columns, 16]]);
        }
        for depth in [1, 7, 8, 9, 15, 16, 17, 31, 64, 130] {
            sizes.extend([[1, depth, 2 * lanes, 16], [20, depth, 2 * lanes, 64]]);
        }
        sizes.extend([[0, 16, 3, 16], [3, 16, 0, 16], [1, 1100, 5, 128], [12, 1100, 5, 128], [33, 700, 300, 32]]);
        for [rows, depth, columns, size] in sizes {
            let blocks = depth.div_ceil(size);
            let (stride, y_stride) = (depth + 3, columns + 2);
            let a = numbers.floats((rows * stride).saturating_sub(3));
            let codes = bytes(&mut numbers, columns * blocks * size / 2);
            let scales = numbers.floats(columns * blocks);
            let points: Vec<u8> = bytes(&mut numbers, columns * blocks).iter().map(|v| v & 15).collect();
            for zeros in [None, Some(&points[..])] {
                let what = format!("{level:?} {rows}x{depth}x{columns} in blocks of {size}, {}", zeros.is_some());
                let packed = GemmU4::at(level, &Blocks { codes: &codes, scales: &scales, zeros, size, depth, columns });
                let real = |column: usize, k: usize| {
                    let byte = codes[(column * blocks * size + k) / 2];
                    let block = column * blocks + k / size;
                    let zero = zeros.map_or(8, |zeros| zeros[block]);
                    f64::from(scales[block]) * (f64::from(byte >> (k % 2 * 4) & 15) - f64::from(zero))
                };
                let term = |i: usize, k: usize| f64::from(a[i / columns * stride + k]) * real(i % columns, k);
                let mut sums: Vec<f64> = (0..rows * columns).map(|i| (0..depth).map(|k| term(i, k)).sum()).collect();
                // As much may be lost as the terms are large, not their sum.
                let size: Vec<f32> =
                    (0..rows * columns).map(|i| (0..depth).map(|k| term(i, k).abs()).sum::<f64>() as f32).collect();
                let (bias, residual) = (numbers.floats(columns), numbers.floats(rows * y_stride));
                let dense: Vec<f32> =
                    (0..rows * columns).map(|i| residual[i / columns * y_stride + i % columns]).collect();
                for (given, plain) in epilogues(&bias, &residual).iter().zip(epilogues(&bias, &dense)) {
                    let expected = finished(&mut sums, columns, &plain);
                    let mut y = vec![7f32; rows * y_stride];
                    packed.run(&a, stride, rows, given, &mut y, y_stride);
                    for (i, expected) in expected.iter().enumerate() {
                        let got = y[i / columns * y_stride + i % columns];
                        if (got - expected).abs() > 2e-6 * (4.0 + size[i]) || got.is_nan() {
                            return Err(format!("{what}: {got} at {i}, expected {expected}"));
                        }
                    }
                    if y.chunks(y_stride).any(|row| row[columns..].iter().any(|&v| v != 7.0)) {
                        return Err(format!("{what}: wrote beside the results"));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Convolutions of every kind; `None` where padding and kernel leave no output.
fn geometries() -> Vec<Geometry> {
    let mut numbers = Numbers(3);
    let mut all = Vec::new();
    let mut add = |batch,
                   group,
                   [channels, outputs]: [usize; 2],
                   input: [usize; 2],
                   kernel: [usize; 2],
                   strides: [usize; 2],
                   dilations: [usize; 2],
                   begin: [usize; 2],
                   end: [usize; 2]| {
        let size = |d: usize| {
            let reach = (kernel[d] - 1) * dilations[d] + 1;
            (input[d] + begin[d] + end[d]).checked_sub(reach).map_or(0, |left| left / strides[d] + 1)
        };
        let (channels, outputs) = (channels * group, outputs * group);
        all.push(Geometry {
            batch,
            channels,
            outputs,
            group,
            input,
            output: [size(0), size(1)],
            kernel,
            strides,
            dilations,
            begin,
        });
    };
    for kernel in [1, 2, 3, 5, 7] {
        for stride in [1, 2, 3] {
            let pad = kernel / 2;
            add(1, 1, [3, 8], [11, 9], [kernel; 2], [stride; 2], [1; 2], [pad; 2], [pad; 2]);
            add(2, 1, [16, 5], [6, 7], [kernel; 2], [stride; 2], [1; 2], [pad; 2], [pad; 2]);
            add(2, 19, [1, 1], [9, 14], [kernel; 2], [stride; 2], [1; 2], [pad; 2], [pad; 2]);
            add(1, 32, [1, 1], [8, 13], [kernel; 2], [stride; 2], [1; 2], [0; 2], [pad; 2]);
            add(1, 3, [17, 5], [5, 6], [kernel; 2], [stride; 2], [1; 2], [pad, 0], [0, pad]);
        }
    }
    // Depthwise with several filters for each channel, and groups of few channels.
    for outputs in [2, 3, 4, 5, 9] {
        add(1, 5, [1, outputs], [6, 6], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]);
        add(2, 18, [1, outputs], [5, 7], [3, 2], [2, 1], [1, 2], [1, 0], [1, 1]);
        add(2, 9, [4, outputs], [5, 7], [3, 3], [1, 2], [1, 1], [1, 1], [1, 1]);
        add(1, 7, [6, 2 * outputs], [6, 6], [1, 1], [1, 1], [1, 1], [0, 0], [0, 0]);
    }
    add(1, 1, [20, 40], [1, 33], [1, 5], [1, 2], [1, 3], [0, 2], [0, 4]);
    add(1, 8, [1, 1], [1, 33], [1, 5], [1, 1], [1, 3], [0, 6], [0, 0]);
    add(3, 1, [24, 33], [1, 1], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]);
    add(1, 4, [1, 1], [2, 2], [5, 5], [2, 2], [2, 2], [6, 6], [6, 6]);
    add(0, 1, [4, 4], [3, 3], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]);
    add(1, 1, [0, 4], [3, 3], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]);
    add(1, 1, [64, 70], [14, 14], [3, 3], [1, 1], [1, 1], [1, 1], [1, 1]);
    for _ in 0..60 {
        let mut two = |from: usize, to: usize| [from + numbers.below(to - from), from + numbers.below(to - from)];
        let (input, kernel, strides, dilations, begin, end) =
            (two(1, 12), two(1, 5), two(1, 4), two(1, 4), two(0, 4), two(0, 4));
        let [batch, kind] = two(1, 3);
        let channels = if kind == 1 { [1, 1] } else { two(1, 40) };
        let group = if kind == 1 { 1 + two(0, 40)[0] } else { two(1, 4)[0] };
        add(batch, group, channels, input, kernel, strides, dilations, begin, end);
    }
    all
}

/// Calls `tap` with the places of every product: output, input (if inside) and weight.
fn each_product(g: &Geometry, mut tap: impl FnMut(usize, Option<usize>, usize)) {
    let (per_group, columns) = (g.channels / g.group, g.outputs / g.group);
    for n in 0..g.batch {
        for oy in 0..g.output[0] {
            for ox in 0..g.output[1] {
                for o in 0..g.outputs {
                    let to = ((n * g.output[0] + oy) * g.output[1] + ox) * g.outputs + o;
                    for c in 0..per_group {
                        for ky in 0..g.kernel[0] {
                            for kx in 0..g.kernel[1] {
                                let iy = (oy * g.strides[0] + ky * g.dilations[0]) as isize - g.begin[0] as isize;
                                let ix = (ox * g.strides[1] + kx * g.dilations[1]) as isize - g.begin[1] as isize;
                                let inside = iy >= 0 && ix >= 0 && iy < g.input[0] as isize && ix < g.input[1] as isize;
                                let channel = o / columns * per_group + c;
                                let from = ((n as isize * g.input[0] as isize + iy) * g.input[1] as isize + ix)
                                    * g.channels as isize
                                    + channel as isize;
                                tap(
                                    to,
                                    inside.then_some(from as usize),
                                    ((o * per_group + c) * g.kernel[0] + ky) * g.kernel[1] + kx,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

fn convolutions_of_floats() -> Result<(), String> {
    let mut numbers = Numbers(4);
    for g in geometries() {
        let per_group = g.channels / g.group;
        let count = g.batch * g.output[0] * g.output[1] * g.outputs;
        let x = numbers.floats(g.batch * g.input[0] * g.input[1] * g.channels);
        let weight = numbers.floats(g.outputs * per_group * g.kernel[0] * g.kernel[1]);
        let (bias, residual) = (numbers.floats(g.outputs), numbers.floats(count));
        let mut sums = vec![0f64; count];
        each_product(&g, |to, from, w| {
            if let Some(from) = from {
                sums[to] += f64::from(x[from]) * f64::from(weight[w]);
            }
        });
        for level in Level::available() {
            let conv = ConvF32::at(level, &weight, g.outputs, per_group, g.kernel, g.group);
            for e in epilogues(&bias, &residual) {
                let mut y = vec![7f32; count];
                conv.run(&g, &x, &e, &mut y);
                near(&format!("{level:?} {g:?}"), &y, &finished(&mut sums, g.outputs, &e))?;
            }
        }
    }
    Ok(())
}

fn convolutions_of_neighbours() -> Result<(), String> {
    let mut numbers = Numbers(9);
    for (batch, [channels, outputs], input, begin, end) in [
        (1, [16, 16], [8, 8], [1, 1], [1, 1]),
        (2, [17, 19], [7, 9], [1, 1], [1, 1]),
        (1, [35, 50], [13, 6], [0, 0], [0, 0]),
        (2, [20, 33], [3, 3], [0, 0], [0, 0]),
        (1, [16, 40], [1, 1], [1, 1], [1, 1]),
        (3, [16, 70], [1, 9], [1, 2], [1, 0]),
        (1, [23, 16], [6, 1], [2, 4], [3, 1]),
        (2, [31, 17], [5, 4], [0, 2], [1, 0]),
        (1, [18, 21], [2, 2], [3, 5], [4, 6]),
        (0, [16, 16], [4, 4], [1, 1], [1, 1]),
        (1, [16, 16], [40, 37], [1, 1], [1, 1]),
        (1, [300, 130], [11, 12], [1, 1], [1, 1]),
        (1, [1030, 16], [9, 14], [1, 1], [1, 1]),
    ] {
        let output = [0, 1].map(|d| input[d] + begin[d] + end[d] - 2);
        let one = [1, 1];
        let g = Geometry {
            batch,
            channels,
            outputs,
            group: 1,
            input,
            output,
            kernel: [3, 3],
            strides: one,
            dilations: one,
            begin,
        };
        let count = batch * output[0] * output[1] * outputs;
        let mut x = numbers.floats(batch * input[0] * input[1] * channels);
        let mut weight = numbers.floats(outputs * channels * 9);
        // An infinite input times one of these is NaN.
        weight.iter_mut().step_by(5).for_each(|v| *v = 0.0);
        let (bias, residual) = (numbers.floats(outputs), numbers.floats(count));
        for special in [None, Some(f32::NAN), Some(f32::INFINITY), Some(f32::NEG_INFINITY)] {
            if let (Some(v), false) = (special, x.is_empty()) {
                let at = numbers.below(x.len());
                x[at] = v;
            }
            let mut sums = vec![0f64; count];
            each_product(&g, |to, from, w| {
                let v = from.map_or(0.0, |from| x[from]);
                sums[to] += f64::from(v) * f64::from(weight[w]);
            });
            let most = sums.iter().filter(|v| v.is_finite()).fold(1f64, |most, v| most.max(v.abs())) as f32;
            for level in Level::available() {
                let conv = ConvF32::one_apart_at(level, &weight, outputs, channels, [3, 3], 1);
                let what = format!("{level:?} {g:?} {special:?}");
                let direct = ConvF32::at(level, &weight, outputs, channels, [3, 3], 1);
                if conv.byte_len() <= direct.byte_len() {
                    return Err(format!("{what}: no fewer products"));
                }
                for e in epilogues(&bias, &residual) {
                    let mut y = vec![7f32; count];
                    conv.run(&g, &x, &e, &mut y);
                    let expected = finished(&mut sums, outputs, &e);
                    for (i, (a, b)) in y.iter().zip(expected).enumerate() {
                        // The build may lose it in a plain clamp.
                        let b = if sums[i].is_nan() { f32::NAN } else { b };
                        let same = if b.is_finite() { (a - b).abs() <= 1e-5 * most } else { *a == b || b.is_nan() };
                        if !same || a.is_nan() != b.is_nan() {
                            return Err(format!("{what}: {a} at {i}, expected {b} of up to {most}"));
                        }
                    }
                }
            }
        }
        // Other strides and dilations than those that it is packed for.
        x.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = 1.0);
        for (strides, dilations) in [([2, 1], [1, 1]), ([1, 1], [1, 2])] {
            let size = |d: usize| match (input[d] + begin[d] + end[d]).checked_sub(2 * dilations[d] + 1) {
                Some(left) => left / strides[d] + 1,
                None => 0,
            };
            let g = Geometry { strides, dilations, output: [size(0), size(1)], ..g.clone() };
            let count = g.batch * g.output[0] * g.output[1] * outputs;
            let level = Level::best();
            let (mut y, mut expected) = (vec![7f32; count], vec![7f32; count]);
            let direct = ConvF32::at(level, &weight, outputs, channels, [3, 3], 1);
            direct.run(&g, &x, &Epilogue::NONE, &mut expected);
            ConvF32::one_apart_at(level, &weight, outputs, channels, [3, 3], 1).run(&g, &x, &Epilogue::NONE, &mut y);
            near(&format!("{g:?}"), &y, &expected)?;
        }
    }
    Ok(())
}

fn groups_apart() -> Result<(), String> {
    let mut numbers = Numbers(8);
    let size = [5, 5];
    let (channels, group) = (12, 6);
    let padded = [1, 1];
    let g = Geometry {
        batch: 1,
        channels,
        outputs: channels,
        group,
        input: size,
        output: size,
        kernel: [3, 3],
        strides: padded,
        dilations: padded,
        begin: padded,
    };
    let (mut x, weight) = (numbers.floats(25 * channels), numbers.floats(channels * 2 * 9));
    for v in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        // A channel of the second group.
        x[12 * channels + 3] = v;
        for level in Level::available() {
            let mut y = vec![0f32; 25 * channels];
            ConvF32::at(level, &weight, channels, 2, g.kernel, group).run(&g, &x, &Epilogue::NONE, &mut y);
            for (i, y) in y.iter().enumerate() {
                let (at, channel) = (i / channels, i % channels);
                let near = (1..4).contains(&(at / 5)) && (1..4).contains(&(at % 5));
                if y.is_finite() == (near && channel / 2 == 1) {
                    return Err(format!("{level:?}: {y} in channel {channel} at {at}, of {v} in channel 3"));
                }
            }
        }
    }
    Ok(())
}

/// The ways to multiply bytes that a level has.
fn dots(level: Level) -> Vec<Dot> {
    let mut dots = vec![Dot::Words];
    if level.dot() != Dot::Words {
        dots.push(level.dot());
    }
    dots
}

/// Bytes, the extreme ones more often than not.
fn bytes(numbers: &mut Numbers, count: usize) -> Vec<u8> {
    let mut byte = || match numbers.below(5) {
        0 => 255,
        1 => 0,
        2 => 128,
        _ => numbers.next() as u8,
    };
    (0..count).map(|_| byte()).collect()
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&v| v.wrapping_add(127) as i8).collect()
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: &[T], expected: &[T]) -> Result<(), String> {
    match got.iter().zip(expected).position(|(a, b)| a != b) {
        Some(i) => Err(format!("{what}: {:?} at {i}, expected {:?}", got[i], expected[i])),
        None if got.len() != expected.len() => {
            Err(format!("{what}: {} values, expected {}", got.len(), expected.len()))
        }
        None => Ok(()),
    }
}

/// Holds all outputs that `run` can be asked for to exact `sums` of `columns` columns.
fn outputs_match(
    what: &str,
    numbers: &mut Numbers,
    sums: &[i32],
    columns: usize,
    run: impl Fn(IntOutput<'_>),
) -> Result<(), String> {
    let count = sums.len();
    let mut y = vec![7i32; count];
    run(IntOutput::Sums(&mut y));
    equal(what, &y, sums)?;

    let bias: Vec<i32> = (0..columns).map(|_| numbers.below(20_000) as i32 - 10_000).collect();
    let mut multipliers: Vec<f32> = numbers.floats(columns).iter().map(|v| v.abs() * 0.02 + 1e-6).collect();
    let (zero_point, min) = (numbers.next() as u8, numbers.below(100) as u8);
    let max = 255 - numbers.below(100) as u8;
    for (bias, huge) in [(None, false), (Some(&bias[..]), false), (Some(&bias[..]), true)] {
        if huge {
            // Products far beyond integers, and beyond float32.
            multipliers.iter_mut().zip([1e4, 1e6, 1e9, 1e30, 1e38].iter().cycle()).for_each(|(v, by)| *v *= by);
        }
        let mut y = vec![7u8; count];
        run(IntOutput::Requantize(Requantize { bias, multipliers: &multipliers, zero_point, min, max }, &mut y));
        let expected: Vec<u8> = (0..count)
            .map(|i| {
                let sum = sums[i].wrapping_add(bias.map_or(0, |b| b[i % columns]));
                let rounded = (sum as f32 * multipliers[i % columns]).round_ties_even();
                (f64::from(rounded) + f64::from(zero_point)).clamp(f64::from(min), f64::from(max)) as u8
            })
            .collect();
        equal(what, &y, &expected)?;
    }

    let (row_scales, bias) = (numbers.floats(count / columns.max(1)), numbers.floats(columns));
    for (row_scales, column_scales, bias, activation) in [
        (&row_scales[..], &multipliers[..], Some(&bias[..]), Activation::Clamp { min: -3.0, max: 5.0 }),
        (&[0.25], &[0.5], None, Activation::Map(halve)),
        (&[0.1], &multipliers, None, Activation::None),
    ] {
        if row_scales.is_empty() || column_scales.is_empty() {
            continue;
        }
        let mut y = vec![7f32; count];
        run(IntOutput::Dequantize { row_scales, column_scales, bias, activation, y: &mut y });
        let expected: Vec<f32> = (0..count)
            .map(|i| {
                let scale = |scales: &[f32], at: usize| scales[if scales.len() == 1 { 0 } else { at }];
                let scale = scale(row_scales, i / columns) * scale(column_scales, i % columns);
                let v = sums[i] as f32 * scale + bias.map_or(0.0, |b| b[i % columns]);
                match activation {
                    Activation::Clamp { min, max } => v.clamp(min, max),
                    Activation::Map(_) => v * 0.5,
                    Activation::None => v,
                }
            })
            .collect();
        equal(what, &y, &expected)?;
    }
    Ok(())
}

fn products_of_bytes() -> Result<(), String> {
    let mut numbers = Numbers(5);
    for level in Level::available() {
        for dot in dots(level) {
            for [rows, depth, columns] in edges(level) {
                let what = format!("{level:?} {dot:?} {rows}x{depth}x{columns}");
                let stride = depth + 3;
                // No element follows the last row.
                let a = bytes(&mut numbers, (rows * stride).saturating_sub(3));
                let b = signed(&bytes(&mut numbers, depth * columns));
                let words: Vec<i16> = b.iter().map(|&v| i16::from(v) * 2 - 1).collect();
                let zeros = bytes(&mut numbers, rows);
                let matrix = Matrix { data: &b, depth_stride: columns, column_stride: 1 };
                let packed = GemmI8::at(level, dot, &matrix, depth, columns);
                let matrix = Matrix { data: &words, depth_stride: columns, column_stride: 1 };
                let wide = GemmI8::words_at(level, &matrix, depth, columns);
                let naive = |zero: &dyn Fn(usize) -> u8, weight: &dyn Fn(usize) -> i32| -> Vec<i32> {
                    (0..rows * columns)
                        .map(|i| {
                            let (row, column) = (i / columns, i % columns);
                            let term = |k| {
                                (i32::from(a[row * stride + k]) - i32::from(zero(row))) * weight(k * columns + column)
                            };
                            (0..depth).map(term).sum()
                        })
                        .collect()
                };
                for zero in [0, 128, 255, 3] {
                    let sums = naive(&|_| zero, &|i| i32::from(b[i]));
                    let run = |out: IntOutput<'_>| packed.run(&a, stride, rows, ZeroPoints::One(zero), out, columns);
                    outputs_match(&what, &mut numbers, &sums, columns, run)?;
                }
                let sums = naive(&|row| zeros[row], &|i| i32::from(b[i]));
                let run = |out: IntOutput<'_>| packed.run(&a, stride, rows, ZeroPoints::Rows(&zeros), out, columns);
                outputs_match(&what, &mut numbers, &sums, columns, run)?;
                let sums = naive(&|_| 77, &|i| i32::from(words[i]));
                let run = |out: IntOutput<'_>| wide.run(&a, stride, rows, ZeroPoints::One(77), out, columns);
                outputs_match(&what, &mut numbers, &sums, columns, run)?;
            }
        }
    }
    Ok(())
}

fn convolutions_of_bytes() -> Result<(), String> {
    let mut numbers = Numbers(6);
    for g in geometries() {
        let per_group = g.channels / g.group;
        let count = g.batch * g.output[0] * g.output[1] * g.outputs;
        let x = bytes(&mut numbers, g.batch * g.input[0] * g.input[1] * g.channels);
        let weight = signed(&bytes(&mut numbers, g.outputs * per_group * g.kernel[0] * g.kernel[1]));
        let words: Vec<i16> = weight.iter().map(|&v| i16::from(v) * 2 - 1).collect();
        let zero = bytes(&mut numbers, 1)[0];
        let (mut sums, mut wide) = (vec![0i32; count], vec![0i32; count]);
        each_product(&g, |to, from, w| {
            if let Some(from) = from {
                sums[to] += (i32::from(x[from]) - i32::from(zero)) * i32::from(weight[w]);
                wide[to] += (i32::from(x[from]) - i32::from(zero)) * i32::from(words[w]);
            }
        });
        for level in Level::available() {
            for dot in dots(level) {
                let conv = ConvI8::at(level, dot, &weight, g.outputs, per_group, g.kernel, g.group);
                let run = |out: IntOutput<'_>| conv.run(&g, &x, zero, out);
                outputs_match(&format!("{level:?} {dot:?} {g:?}"), &mut numbers, &sums, g.outputs, run)?;
            }
            let conv = ConvI8::words_at(level, &words, g.outputs, per_group, g.kernel, g.group);
            let run = |out: IntOutput<'_>| conv.run(&g, &x, zero, out);
            outputs_match(&format!("{level:?} words {g:?}"), &mut numbers, &wide, g.outputs, run)?;
        }
    }
    Ok(())
}

/// What JavaScript calls: one check at a time, since a panic ends the instance.
#[cfg(target_family = "wasm")]
mod exported {
    use std::sync::{Mutex, PoisonError};

    use super::{Level, all};

    static WHY: Mutex<String> = Mutex::new(String::new());

    /// A text that JavaScript reads: four bytes of its length, then UTF-8.
    fn told(text: &str) -> *const u8 {
        let bytes = [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
        bytes.leak().as_ptr()
    }

    // SAFETY: no other function of these names is linked.
    #[unsafe(no_mangle)]
    pub extern "C" fn count() -> usize {
        all().len()
    }

    /// The name of check `index`.
    // SAFETY: as above.
    #[unsafe(no_mangle)]
    pub extern "C" fn name(index: usize) -> *const u8 {
        told(all().get(index).map_or("", |check| check.0))
    }

    /// Runs check `index`: empty where it holds, else why not.
    // SAFETY: as above.
    #[unsafe(no_mangle)]
    pub extern "C" fn check(index: usize) -> *const u8 {
        std::panic::set_hook(Box::new(|panic| *WHY.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string()));
        let result = all().get(index).map_or(Ok(()), |check| check.1());
        told(&result.err().unwrap_or_default())
    }

    /// What the check that ended this instance said.
    // SAFETY: as above.
    #[unsafe(no_mangle)]
    pub extern "C" fn why() -> *const u8 {
        told(&WHY.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The instruction set, and how it multiplies bytes.
    // SAFETY: as above.
    #[unsafe(no_mangle)]
    pub extern "C" fn level() -> *const u8 {
        told(&format!("{:?}, {:?}", Level::best(), Level::best().dot()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_kernel_matches_its_naive_loop_at_every_instruction_set() {
        assert!(super::Level::available().len() > 1 || !cfg!(target_arch = "x86_64"));
        for (name, check) in super::all() {
            if let Err(reason) = check() {
                panic!("{name}: {reason}");
            }
        }
    }
}
