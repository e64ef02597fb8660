//! Operators on the CPU against plain loops, over seeded shapes, and IEEE's special values.

mod support;

use firebrand::{DataType, ErrorKind, Tensor};
use support::{Random, Single, bools, compare, f32s, i64s, numbers};

/// A convolution as its definition reads; one to three spatial dimensions, in float64.
struct Convolution {
    x: Vec<usize>,
    weight: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
    group: usize,
}

/// Calls `f` with every index below `shape`.
fn each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index);
        let Some(d) = (0..shape.len()).rev().find(|&d| index[d] + 1 < shape[d]) else { return };
        index[d] += 1;
        index[d + 1..].fill(0);
    }
}

fn at(index: &[usize], shape: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |offset, (&i, &size)| offset * size + i)
}

impl Convolution {
    fn spatial(&self) -> usize {
        self.x.len() - 2
    }

    fn output(&self) -> Vec<usize> {
        let size = |d: usize| {
            let padded = self.x[d + 2] + self.pads[d] + self.pads[d + self.spatial()];
            (padded - self.dilations[d] * (self.weight[d + 2] - 1) - 1) / self.strides[d] + 1
        };
        [vec![self.x[0], self.weight[0]], (0..self.spatial()).map(size).collect()].concat()
    }

    fn naive(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f32> {
        let mut out = Vec::new();
        let per_group = self.weight[0] / self.group;
        each_index(&self.output(), |o| {
            let mut sum = bias[o[1]];
            each_index(&self.weight[1..], |tap| {
                let mut from = vec![o[0], o[1] / per_group * self.weight[1] + tap[0]];
                for d in 0..self.spatial() {
                    let position = o[d + 2] * self.strides[d] + tap[d + 1] * self.dilations[d];
                    if position < self.pads[d] || position - self.pads[d] >= self.x[d + 2] {
                        return;
                    }
                    from.push(position - self.pads[d]);
                }
                sum += x[at(&from, &self.x)] * weight[at(&[&[o[1]], tap].concat(), &self.weight)];
            });
            out.push(sum as f32);
        });
        out
    }

    fn check(&self, random: &mut Random) {
        let (x, weight) = (random.tensor(&self.x), random.tensor(&self.weight));
        let bias = random.tensor(&self.weight[..1]);
        let got = Single::new("Conv", 11)
            .ints("strides", &self.strides)
            .ints("dilations", &self.dilations)
            .ints("pads", &self.pads)
            .int("group", self.group as i64)
            .one(&[x.clone(), weight.clone(), bias.clone()]);
        let naive = self.naive(&numbers(&x), &numbers(&weight), &numbers(&bias));
        if let Err(e) = compare(&got, &f32s(&self.output(), naive), 1e-5, 1e-5) {
            let Self { x, weight, strides, dilations, pads, group } = self;
            panic!(
                "x {x:?} weight {weight:?} strides {strides:?} dilations {dilations:?} pads {pads:?} group {group}: {e}"
            );
        }
    }
}

#[test]
fn convolutions_of_every_channel_count_match_the_definition() {
    let mut random = Random::new(1);
    for channels in 1..=20 {
        for kernel in [1, 3] {
            for outputs in [1, channels, 21 - channels] {
                Convolution {
                    x: vec![1, channels, 5, 7],
                    weight: vec![outputs, channels, kernel, kernel],
                    strides: vec![1, 1],
                    dilations: vec![1, 1],
                    pads: vec![kernel / 2; 4],
                    group: 1,
                }
                .check(&mut random);
            }
        }
        for multiplier in [1, 2] {
            Convolution {
                x: vec![2, channels, 6, 5],
                weight: vec![channels * multiplier, 1, 3, 3],
                strides: vec![1 + channels % 2, 1],
                dilations: vec![1, 1],
                pads: vec![1; 4],
                group: channels,
            }
            .check(&mut random);
        }
    }
}

#[test]
fn convolutions_of_random_shapes_match_the_definition() {
    let mut random = Random::new(2);
    for _ in 0..300 {
        let spatial = random.within(1, 3);
        let group = random.within(1, 3);
        let (channels, outputs) = (group * random.within(1, 4), group * random.within(1, 5));
        let mut list = |low, high| (0..spatial).map(|_| random.within(low, high)).collect::<Vec<_>>();
        let (kernel, strides, dilations) = (list(1, 4), list(1, 3), list(1, 3));
        let (begin, end) = (list(0, 3), list(0, 3));
        let size = |d: usize, extra: usize| {
            (dilations[d] * (kernel[d] - 1) + 1 + extra).saturating_sub(begin[d] + end[d]).max(1)
        };
        let extra = list(0, 8);
        let x = [vec![random.within(1, 2), channels], (0..spatial).map(|d| size(d, extra[d])).collect()].concat();
        let weight = [vec![outputs, channels / group], kernel].concat();
        Convolution { x, weight, strides, dilations, pads: [begin, end].concat(), group }.check(&mut random);
    }
}

#[test]
fn empty_convolutions_give_empty_outputs_or_the_bias() {
    let conv = Single::new("Conv", 11);
    let weight = f32s(&[2, 3, 1, 1], vec![1.0; 6]);
    let none = conv.one(&[f32s(&[0, 3, 4, 4], vec![]), weight]);
    assert_eq!(none.shape(), [0, 2, 4, 4]);
    let bias = conv.one(&[f32s(&[1, 0, 2, 2], vec![]), f32s(&[2, 0, 1, 1], vec![]), f32s(&[2], vec![3.0, 4.0])]);
    assert_eq!(numbers(&bias), [3.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0]);
}

#[test]
fn a_weight_that_does_not_fit_is_named() {
    let error =
        Single::new("Conv", 11).error(&[f32s(&[1, 64, 1, 1], vec![0.0; 64]), f32s(&[1, 32, 1, 1], vec![0.0; 32])]);
    assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    assert!(
        error.to_string().contains("has 32 channels per group, the input [1, 64, 1, 1] has 64 (group = 1)"),
        "{error}"
    );
}

#[test]
fn matrix_products_match_the_definition() {
    let mut random = Random::new(3);
    for _ in 0..200 {
        let (m, k, n) = (random.within(0, 19), random.within(0, 19), random.within(0, 19));
        let batch = random.within(1, 3);
        let (ba, bb) = [(batch, 1), (1, batch), (batch, batch)][random.within(0, 2)];
        let (a, b) = (random.tensor(&[ba, m, k]), random.tensor(&[bb, k, n]));
        let (av, bv) = (numbers(&a), numbers(&b));
        let mut expected = Vec::new();
        each_index(&[ba.max(bb), m, n], |i| {
            let (pa, pb) = (if ba == 1 { 0 } else { i[0] }, if bb == 1 { 0 } else { i[0] });
            expected
                .push((0..k).map(|p| av[(pa * m + i[1]) * k + p] * bv[(pb * k + p) * n + i[2]]).sum::<f64>() as f32);
        });
        let got = Single::new("MatMul", 13).one(&[a, b]);
        compare(&got, &f32s(&[ba.max(bb), m, n], expected), 1e-5, 1e-5).unwrap_or_else(|e| panic!("{m}x{k}x{n}: {e}"));
    }
}

#[test]
fn integer_matrix_products_wrap() {
    let a = Tensor::from_vec(vec![1, 2], vec![i32::MAX, 2]).expect("two");
    let b = Tensor::from_vec(vec![2, 1], vec![2, 3]).expect("two");
    let got = Single::new("MatMul", 13).one(&[a, b]);
    assert_eq!(got.as_slice::<i32>(), Some(&[i32::MAX.wrapping_mul(2).wrapping_add(6)][..]));
}

#[test]
fn products_with_transposed_operands_match() {
    let mut random = Random::new(4);
    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (8, 4, 8), (17, 9, 2)] {
        for flags in 0..4 {
            let (ta, tb) = (flags & 1, flags >> 1);
            let (a, b, c) = (
                random.tensor(&if ta == 1 { [k, m] } else { [m, k] }),
                random.tensor(&if tb == 1 { [n, k] } else { [k, n] }),
                random.tensor(&[n]),
            );
            let (av, bv, cv) = (numbers(&a), numbers(&b), numbers(&c));
            let mut expected = Vec::new();
            each_index(&[m, n], |i| {
                let term = |p: usize| {
                    let left = if ta == 1 { av[p * m + i[0]] } else { av[i[0] * k + p] };
                    left * if tb == 1 { bv[i[1] * k + p] } else { bv[p * n + i[1]] }
                };
                expected.push((0.5 * (0..k).map(term).sum::<f64>() + 2.0 * cv[i[1]]) as f32);
            });
            let gemm =
                Single::new("Gemm", 13).int("transA", ta).int("transB", tb).float("alpha", 0.5).float("beta", 2.0);
            compare(&gemm.one(&[a, b, c]), &f32s(&[m, n], expected), 1e-5, 1e-5).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

#[test]
fn pairs_broadcast_as_numpy_does() {
    let mut random = Random::new(5);
    for _ in 0..300 {
        let rank = random.within(0, 4);
        let shape: Vec<usize> = (0..rank).map(|_| random.within(0, 4)).collect();
        let mut part = || {
            let lead = random.within(0, rank);
            shape[lead..].iter().map(|&s| if random.within(0, 2) == 0 { 1 } else { s }).collect::<Vec<_>>()
        };
        let (sa, sb) = (part(), part());
        let (a, b) = (random.tensor(&sa), random.tensor(&sb));
        let width = sa.len().max(sb.len());
        let wide = |s: &[usize]| [vec![1; width - s.len()], s.to_vec()].concat();
        let (wa, wb) = (wide(&sa), wide(&sb));
        let out: Vec<usize> = wa.iter().zip(&wb).map(|(&x, &y)| if x == 1 { y } else { x }).collect();
        let (av, bv) = (numbers(&a), numbers(&b));
        let mut expected = Vec::new();
        each_index(&out, |i| {
            let pick =
                |s: &[usize]| i.iter().zip(s).map(|(&i, &size)| if size == 1 { 0 } else { i }).collect::<Vec<_>>();
            expected.push((av[at(&pick(&wa), &wa)] - bv[at(&pick(&wb), &wb)]) as f32);
        });
        let got = Single::new("Sub", 14).one(&[a, b]);
        compare(&got, &f32s(&out, expected), 1e-6, 1e-7).unwrap_or_else(|e| panic!("{sa:?} - {sb:?}: {e}"));
    }
    let error = Single::new("Add", 14).error(&[f32s(&[2], vec![0.0; 2]), f32s(&[3], vec![0.0; 3])]);
    assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
}

#[test]
fn views_are_read_in_the_right_order() {
    let mut random = Random::new(6);
    for _ in 0..200 {
        let rank = random.within(1, 4);
        let shape: Vec<usize> = (0..rank).map(|_| random.within(1, 4)).collect();
        let mut perm: Vec<usize> = (0..rank).collect();
        for d in (1..rank).rev() {
            perm.swap(d, random.within(0, d));
        }
        let x = random.tensor(&shape);
        let values = numbers(&x);
        let turned: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
        let mut expected = Vec::new();
        each_index(&turned, |i| {
            let mut from = vec![0; rank];
            perm.iter().zip(i).for_each(|(&p, &i)| from[p] = i);
            expected.push(values[at(&from, &shape)] as f32);
        });
        let got = Single::new("Transpose", 13).ints("perm", &perm).one(&[x]);
        compare(&got, &f32s(&turned, expected), 0.0, 0.0).unwrap_or_else(|e| panic!("{shape:?} by {perm:?}: {e}"));
    }
}

#[test]
fn padding_continues_the_input() {
    let x = f32s(&[3], vec![1.0, 2.0, 3.0]);
    let pads = i64s(&[2], &[2, 4]);
    for (mode, expected) in [
        ("constant", [0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0]),
        ("edge", [1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]),
        ("reflect", [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0]),
        ("wrap", [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]),
    ] {
        let got = Single::new("Pad", 19).string("mode", mode).one(&[x.clone(), pads.clone()]);
        assert_eq!(numbers(&got), expected, "{mode}");
    }
    let cut = Single::new("Pad", 19).one(&[x, i64s(&[2], &[-1, 1])]);
    assert_eq!(numbers(&cut), [2.0, 3.0, 0.0]);
    let empty = Single::new("Pad", 19).string("mode", "edge").one(&[f32s(&[0, 3], vec![]), i64s(&[4], &[0, 1, 0, 1])]);
    assert_eq!(empty.shape(), [0, 5]);
}

#[test]
fn reductions_match_the_definition() {
    let mut random = Random::new(8);
    let neutral = [
        ("ReduceSum", 0.0),
        ("ReduceMax", f64::NEG_INFINITY),
        ("ReduceMin", f64::INFINITY),
        ("ReduceProd", 1.0),
        ("ReduceL1", 0.0),
    ];
    for _ in 0..300 {
        let rank = random.within(1, 4);
        let shape: Vec<usize> = (0..rank).map(|_| random.within(0, 4)).collect();
        let axes: Vec<usize> = (0..rank).filter(|_| random.within(0, 1) == 1).collect();
        if axes.is_empty() {
            continue;
        }
        let (name, first) = neutral[random.within(0, 4)];
        let kept: Vec<usize> = (0..rank).map(|d| if axes.contains(&d) { 1 } else { shape[d] }).collect();
        let x = random.tensor(&shape);
        let values = numbers(&x);
        let mut expected = vec![first; kept.iter().product()];
        each_index(&shape, |i| {
            let to: Vec<usize> = i.iter().enumerate().map(|(d, &i)| if axes.contains(&d) { 0 } else { i }).collect();
            let (so_far, v) = (&mut expected[at(&to, &kept)], values[at(i, &shape)]);
            *so_far = match name {
                "ReduceSum" => *so_far + v,
                "ReduceMax" => so_far.max(v),
                "ReduceMin" => so_far.min(v),
                "ReduceProd" => *so_far * v,
                _ => *so_far + v.abs(),
            };
        });
        let list: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
        let got = Single::new(name, 18).one(&[x, i64s(&[list.len()], &list)]);
        let expected = f32s(&kept, expected.into_iter().map(|v| v as f32).collect());
        compare(&got, &expected, 1e-5, 1e-6).unwrap_or_else(|e| panic!("{name} {shape:?} over {axes:?}: {e}"));
    }
}

#[test]
fn pools_match_the_definition() {
    let mut random = Random::new(9);
    for _ in 0..200 {
        let (h, w) = (random.within(1, 9), random.within(1, 9));
        let kernel = [random.within(1, 3), random.within(1, 3)];
        let strides = [random.within(1, 3), random.within(1, 3)];
        let pads: Vec<usize> = [kernel, kernel].concat().iter().map(|&k| random.within(0, k - 1)).collect();
        let count_pads = random.within(0, 1) == 1;
        let (ph, pw) = (h + pads[0] + pads[2], w + pads[1] + pads[3]);
        if ph < kernel[0] || pw < kernel[1] {
            continue;
        }
        let shape = [1, 2, (ph - kernel[0]) / strides[0] + 1, (pw - kernel[1]) / strides[1] + 1];
        let x = random.tensor(&[1, 2, h, w]);
        let values = numbers(&x);
        let (mut largest, mut means) = (Vec::new(), Vec::new());
        each_index(&shape, |o| {
            let (mut best, mut sum, mut count) = (f64::NEG_INFINITY, 0.0, 0);
            each_index(&kernel, |k| {
                let (y, x) = (o[2] * strides[0] + k[0], o[3] * strides[1] + k[1]);
                if (pads[0]..pads[0] + h).contains(&y) && (pads[1]..pads[1] + w).contains(&x) {
                    let v = values[(o[1] * h + y - pads[0]) * w + x - pads[1]];
                    best = best.max(v);
                    sum += v;
                    count += 1;
                }
            });
            largest.push(best as f32);
            means.push((sum / f64::from(if count_pads { (kernel[0] * kernel[1]) as i32 } else { count })) as f32);
        });
        let pool =
            |name| Single::new(name, 11).ints("kernel_shape", &kernel).ints("strides", &strides).ints("pads", &pads);
        compare(&pool("MaxPool").one(std::slice::from_ref(&x)), &f32s(&shape, largest.clone()), 0.0, 0.0)
            .unwrap_or_else(|e| panic!("{e}"));
        let with_positions = pool("MaxPool").outputs(2).run(std::slice::from_ref(&x)).unwrap_or_else(|e| panic!("{e}"));
        compare(&with_positions[0], &f32s(&shape, largest.clone()), 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
        for (position, largest) in numbers(&with_positions[1]).into_iter().zip(largest) {
            assert_eq!(values[position as usize] as f32, largest);
        }
        let mean = pool("AveragePool").int("count_include_pad", count_pads as i64).one(&[x]);
        compare(&mean, &f32s(&shape, means), 1e-5, 1e-6).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn nan_is_carried_through() {
    let x = || f32s(&[1, 1, 1, 3], vec![1.0, f32::NAN, -2.0]);
    let scalar = |v: f32| f32s(&[], vec![v]);
    let second_is_nan = |t: &Tensor| numbers(t)[1].is_nan();
    assert!(second_is_nan(&Single::new("Relu", 14).one(&[x()])));
    assert!(second_is_nan(&Single::new("Clip", 13).one(&[x(), scalar(-1.0), scalar(0.5)])));
    for op in ["Max", "Min"] {
        assert!(second_is_nan(&Single::new(op, 13).one(&[x(), scalar(0.0)])), "{op}");
        assert!(second_is_nan(&Single::new(op, 13).one(&[scalar(0.0), x()])), "{op}");
    }
    assert!(Single::new("ReduceMax", 18).one(&[x()]).as_slice::<f32>().is_some_and(|v| v[0].is_nan()));
    assert!(Single::new("ReduceMin", 18).one(&[x()]).as_slice::<f32>().is_some_and(|v| v[0].is_nan()));
    assert!(numbers(&Single::new("Softmax", 13).one(&[x()])).iter().all(|v| v.is_nan()));
    let pool = || Single::new("MaxPool", 12).ints("kernel_shape", &[1, 2]);
    assert!(numbers(&pool().one(&[x()])).iter().all(|v| v.is_nan()));
    assert!(numbers(&pool().outputs(2).run(&[x()]).unwrap_or_else(|e| panic!("{e}"))[0]).iter().all(|v| v.is_nan()));
    for op in [
        "Sigmoid",
        "Tanh",
        "Exp",
        "Erf",
        "HardSwish",
        "HardSigmoid",
        "Softplus",
        "Elu",
        "Selu",
        "LeakyRelu",
        "Sign",
        "Gelu",
    ] {
        assert!(second_is_nan(&Single::new(op, 20).one(&[x()])), "{op}");
    }
    assert_eq!(numbers(&Single::new("Equal", 13).one(&[x(), x()])), [1.0, 0.0, 1.0]);
}

#[test]
fn zero_keeps_its_sign() {
    let negative = |t: &Tensor| t.as_slice::<f32>().is_some_and(|v| v[0] == 0.0 && v[0].is_sign_negative());
    let zero = || f32s(&[1], vec![-0.0]);
    for op in ["Identity", "Ceil", "Floor", "Round", "Sqrt", "Tanh", "Sin"] {
        assert!(negative(&Single::new(op, 14).one(&[zero()])), "{op}");
    }
    assert!(!negative(&Single::new("Neg", 13).one(&[zero()])));
    assert!(numbers(&Single::new("Reciprocal", 13).one(&[zero()]))[0] == f64::NEG_INFINITY);
}

#[test]
fn integers_wrap_and_never_divide_by_zero() {
    let ints = |v: &[i8]| Tensor::from_vec(vec![v.len()], v.to_vec()).expect("one dimension");
    let add = Single::new("Add", 14).one(&[ints(&[127, -128]), ints(&[1, -1])]);
    assert_eq!(add.as_slice::<i8>(), Some(&[-128, 127][..]));
    let div = Single::new("Div", 14).one(&[ints(&[-128, -7]), ints(&[-1, 2])]);
    assert_eq!(div.as_slice::<i8>(), Some(&[-128, -3][..]));
    assert_eq!(Single::new("Div", 14).error(&[ints(&[1]), ints(&[0])]).kind(), ErrorKind::InvalidArgument);
    let pow = Single::new("Pow", 15).one(&[ints(&[2, 3, -1, 2]), ints(&[7, 5, 127, -1])]);
    assert_eq!(pow.as_slice::<i8>(), Some(&[-128, 243u8 as i8, -1, 0][..]));
    assert_eq!(Single::new("Abs", 13).one(&[ints(&[-128])]).as_slice::<i8>(), Some(&[-128][..]));
    let l1 = Single::new("ReduceL1", 18).one(&[Tensor::from_vec(vec![1], vec![i32::MIN]).expect("one")]);
    assert_eq!(l1.as_slice::<i32>(), Some(&[i32::MIN][..]));
}

#[test]
fn softmax_neither_overflows_nor_loses_rows() {
    let got = Single::new("Softmax", 13).one(&[f32s(&[2, 2], vec![1000.0, 1000.0, -1000.0, 0.0])]);
    assert_eq!(numbers(&got), [0.5, 0.5, 0.0, 1.0]);
    // Before opset 13 everything from the axis on is one row.
    let old = Single::new("Softmax", 11).int("axis", 1).one(&[f32s(&[1, 2, 2], vec![0.0; 4])]);
    assert_eq!(numbers(&old), [0.25; 4]);
}

#[test]
fn empty_tensors_pass() {
    let none = || f32s(&[0, 3], vec![]);
    for op in ["Relu", "Sigmoid", "Identity", "Neg"] {
        assert_eq!(Single::new(op, 14).one(&[none()]).shape(), [0, 3], "{op}");
    }
    assert_eq!(Single::new("Softmax", 13).one(&[none()]).shape(), [0, 3]);
    assert_eq!(Single::new("Concat", 13).int("axis", 0).one(&[none(), f32s(&[1, 3], vec![1.0; 3])]).shape(), [1, 3]);
    assert_eq!(numbers(&Single::new("ReduceSum", 13).one(&[none(), i64s(&[1], &[0])])), [0.0; 3]);
    assert_eq!(Single::new("Gather", 13).one(&[f32s(&[2], vec![1.0, 2.0]), i64s(&[0], &[])]).shape(), [0]);
    assert_eq!(Single::new("Reshape", 14).one(&[none(), i64s(&[2], &[-1, 3])]).shape(), [0, 3]);
    let pooled = Single::new("MaxPool", 12).ints("kernel_shape", &[1]).one(&[f32s(&[0, 1, 4], vec![])]);
    assert_eq!(pooled.shape(), [0, 1, 4]);
}

#[test]
fn casts_truncate_wrap_and_saturate() {
    let cast = |t: Tensor, to: DataType| numbers(&Single::new("Cast", 13).int("to", i64::from(to.onnx())).one(&[t]));
    assert_eq!(cast(f32s(&[4], vec![1.9, -1.9, 300.0, f32::NAN]), DataType::Int8), [1.0, -1.0, 127.0, 0.0]);
    assert_eq!(cast(i64s(&[2], &[300, -1]), DataType::Uint8), [44.0, 255.0]);
    assert_eq!(cast(f32s(&[3], vec![0.0, 0.5, f32::NAN]), DataType::Bool), [0.0, 1.0, 1.0]);
    assert_eq!(cast(bools(&[2], &[true, false]), DataType::Float16), [1.0, 0.0]);
    assert_eq!(cast(f32s(&[1], vec![65520.0]), DataType::Float16), [f64::INFINITY]);
}

#[test]
fn indices_outside_are_refused() {
    let x = || f32s(&[3], vec![1.0, 2.0, 3.0]);
    assert_eq!(numbers(&Single::new("Gather", 13).one(&[x(), i64s(&[2], &[-1, 0])])), [3.0, 1.0]);
    for index in [3, -4, i64::MAX, i64::MIN] {
        assert_eq!(Single::new("Gather", 13).error(&[x(), i64s(&[1], &[index])]).kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(Single::new("Softmax", 13).int("axis", 5).error(&[x()]).kind(), ErrorKind::ShapeMismatch);
    assert_eq!(Single::new("Reshape", 14).error(&[x(), i64s(&[1], &[4])]).kind(), ErrorKind::ShapeMismatch);
    assert_eq!(
        Single::new("Reshape", 14).error(&[x(), i64s(&[2], &[i64::MAX, i64::MAX])]).kind(),
        ErrorKind::LimitExceeded
    );
    assert_eq!(
        Single::new("Expand", 13).error(&[f32s(&[1], vec![1.0]), i64s(&[1], &[1 << 50])]).kind(),
        ErrorKind::LimitExceeded
    );
}
