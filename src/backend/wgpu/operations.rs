//! Which kernel does what: the WGSL of each operation, its parameters, its workgroups.

use super::device::{Gpu, GpuTensor, Launch};
use crate::backend::{BinaryOp, Lrn, PadMode, PoolOp, ReduceOp, UnaryOp, Window};
use crate::error::{Result, ensure};
use crate::kernels::layout::{merge, row_major};

const PRELUDE: &str = include_str!("prelude.wgsl");
/// Threads of a workgroup wherever each makes one element.
const LANES: usize = 64;
/// Dimensions that a kernel walks, after those that lie alike were merged.
const MAX_RANK: usize = 8;

/// Puts `values` in place of the `{{names}}` of `template`.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_string(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// Workgroups for `threads` threads, spread over two dimensions where one is too short.
fn spread(groups: usize) -> [usize; 3] {
    let rows = groups.div_ceil(65535).max(1);
    [groups.div_ceil(rows), rows, 1]
}

fn per_element(count: usize) -> [usize; 3] {
    spread(count.div_ceil(LANES))
}

/// Parameters as WGSL lays them out in a uniform buffer.
#[derive(Default)]
struct Parameters(Vec<u32>);

impl Parameters {
    fn word(mut self, value: usize) -> Self {
        self.0.push(value as u32);
        self
    }

    fn float(mut self, value: f32) -> Self {
        self.0.push(value.to_bits());
        self
    }

    fn aligned(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn dimensions(self, values: impl IntoIterator<Item = usize>) -> Self {
        let mut aligned = self.aligned();
        let end = aligned.0.len() + MAX_RANK;
        aligned.0.extend(values.into_iter().map(|v| v as u32));
        aligned.0.resize(end, 0);
        aligned
    }

    /// Negative strides wrap round.
    fn strides(self, values: &[isize]) -> Self {
        self.dimensions(values.iter().map(|&s| s as usize))
    }

    fn triple(self, values: [usize; 3]) -> Self {
        let mut aligned = self.aligned();
        aligned.0.extend(values.map(|v| v as u32));
        aligned
    }
}

/// WGSL that takes index `i` apart along `shape` and adds each dimension's position times its
/// stride to the offsets, given as (variable, stride field).
fn walk(rank: usize, shape: &str, offsets: &[(&str, &str)]) -> String {
    let mut code = "var rest = i;\n".to_string();
    for d in (0..rank).rev() {
        let (q, c) = (d / 4, d % 4);
        if d > 0 {
            code += &format!("let d{d} = rest % p.{shape}[{q}][{c}];\nrest = rest / p.{shape}[{q}][{c}];\n");
        } else {
            code += "let d0 = rest;\n";
        }
        for (variable, strides) in offsets {
            code += &format!("{variable} += d{d} * p.{strides}[{q}][{c}];\n");
        }
    }
    code
}

fn check_rank(operation: &str, rank: usize) -> Result<()> {
    ensure!(
        rank <= MAX_RANK,
        Unsupported,
        "{operation} over {rank} separate dimensions is over WebGPU's {MAX_RANK}: use device \"cpu\""
    );
    Ok(())
}

fn broadcast_strides(own: &[usize], shape: &[usize]) -> Vec<isize> {
    let strides = row_major(own);
    let lead = shape.len() - own.len();
    let kept = own.iter().zip(strides).map(|(&d, s)| if d == 1 { 0 } else { s });
    std::iter::repeat_n(0, lead).chain(kept).collect()
}

fn three(values: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    out[3 - values.len()..].copy_from_slice(values);
    out
}

impl Gpu {
    pub(super) fn unary(&self, op: UnaryOp, x: &GpuTensor) -> Result<GpuTensor> {
        use std::f32::consts::FRAC_1_SQRT_2;
        let (formula, a, b) = match op {
            UnaryOp::Abs => ("abs(x)", 0.0, 0.0),
            UnaryOp::Ceil => ("ceil(x)", 0.0, 0.0),
            UnaryOp::Celu { alpha } => ("max(x, 0.0) + min(0.0, p.a * expm1(x / p.a))", alpha, 0.0),
            UnaryOp::Clip { min, max } => ("clip(x, p.a, p.b)", min as f32, max as f32),
            UnaryOp::Cos => ("cos(x)", 0.0, 0.0),
            UnaryOp::Elu { alpha } => ("select(x, p.a * expm1(x), x < 0.0)", alpha, 0.0),
            UnaryOp::Erf => ("erf(x)", 0.0, 0.0),
            UnaryOp::Exp => ("exp(x)", 0.0, 0.0),
            UnaryOp::Floor => ("floor(x)", 0.0, 0.0),
            UnaryOp::Gelu => ("0.5 * x * (1.0 + erf(x * p.a))", FRAC_1_SQRT_2, 0.0),
            UnaryOp::GeluTanh => {
                ("0.5 * x * (1.0 + tanh_(p.a * (x + 0.044715 * x * x * x)))", (2.0 / std::f32::consts::PI).sqrt(), 0.0)
            }
            UnaryOp::HardSigmoid { alpha, beta } => ("clip(p.a * x + p.b, 0.0, 1.0)", alpha, beta),
            UnaryOp::HardSwish => ("x * clip(x / 6.0 + 0.5, 0.0, 1.0)", 0.0, 0.0),
            UnaryOp::LeakyRelu { alpha } => ("select(x, p.a * x, x < 0.0)", alpha, 0.0),
            UnaryOp::Log => ("ln(x)", 0.0, 0.0),
            UnaryOp::Mish => ("x * tanh_(max(x, 0.0) + log1p(exp(-abs(x))))", 0.0, 0.0),
            UnaryOp::Neg => ("-x", 0.0, 0.0),
            UnaryOp::Reciprocal => ("1.0 / x", 0.0, 0.0),
            UnaryOp::Relu => ("relu(x)", 0.0, 0.0),
            UnaryOp::Round => ("round(x)", 0.0, 0.0),
            UnaryOp::Selu { alpha, gamma } => ("p.b * select(x, p.a * expm1(x), x < 0.0)", alpha, gamma),
            UnaryOp::Shrink { bias, lambd } => {
                ("select(select(0.0, x - p.a, x > p.b), x + p.a, x < -p.b)", bias, lambd)
            }
            UnaryOp::Sigmoid => ("sigmoid(x)", 0.0, 0.0),
            UnaryOp::Sign => ("sign(x)", 0.0, 0.0),
            UnaryOp::Sin => ("sin(x)", 0.0, 0.0),
            UnaryOp::Softplus => ("max(x, 0.0) + log1p(exp(-abs(x)))", 0.0, 0.0),
            UnaryOp::Softsign => ("x / (1.0 + abs(x))", 0.0, 0.0),
            UnaryOp::Sqrt => ("select(sqrt(x), nan(), x < 0.0)", 0.0, 0.0),
            UnaryOp::Tanh => ("tanh_(x)", 0.0, 0.0),
            UnaryOp::ThresholdedRelu { alpha } => ("select(x, 0.0, x <= p.a)", alpha, 0.0),
        };
        self.map(formula, a, b, x)
    }

    /// `formula` of every `x`, `p.a` and `p.b`; NaN stays.
    fn map(&self, formula: &str, a: f32, b: f32, x: &GpuTensor) -> Result<GpuTensor> {
        let y = self.empty(x.shape())?;
        self.launch(Launch {
            key: format!("unary {formula}"),
            source: &|| PRELUDE.to_string() + &fill(include_str!("unary.wgsl"), &[("formula", formula)]),
            inputs: &[x],
            output: &y,
            parameters: Parameters::default().word(x.len()).float(a).float(b).0,
            workgroups: per_element(x.len()),
        })?;
        Ok(y)
    }

    pub(super) fn binary(&self, op: BinaryOp, a: &GpuTensor, b: &GpuTensor, shape: &[usize]) -> Result<GpuTensor> {
        let formula = match op {
            BinaryOp::Add => "a + b",
            BinaryOp::Sub => "a - b",
            BinaryOp::Mul => "a * b",
            BinaryOp::Div => "a / b",
            BinaryOp::Pow => "power(a, b)",
            BinaryOp::Max => "larger(a, b)",
            BinaryOp::Min => "smaller(a, b)",
            BinaryOp::PRelu => "select(a, a * b, a < 0.0)",
        };
        let y = self.empty(shape)?;
        let (merged, strides) =
            merge(shape, &[&broadcast_strides(a.shape(), shape), &broadcast_strides(b.shape(), shape)]);
        let rank = merged.len();
        check_rank("a broadcast", rank)?;
        self.launch(Launch {
            key: format!("binary {formula} {rank}"),
            source: &|| {
                let walk = walk(rank, "shape", &[("at_a", "a"), ("at_b", "b")]);
                PRELUDE.to_string() + &fill(include_str!("binary.wgsl"), &[("formula", formula), ("walk", &walk)])
            },
            inputs: &[a, b],
            output: &y,
            parameters: Parameters::default()
                .word(y.len())
                .dimensions(merged)
                .strides(&strides[0])
                .strides(&strides[1])
                .0,
            workgroups: per_element(y.len()),
        })?;
        Ok(y)
    }

    /// Every element `value`.
    pub(super) fn filled(&self, value: f32, shape: &[usize]) -> Result<GpuTensor> {
        let y = self.empty(shape)?;
        self.launch(Launch {
            key: "fill".to_string(),
            source: &|| include_str!("fill.wgsl").to_string(),
            inputs: &[],
            output: &y,
            parameters: Parameters::default().word(y.len()).float(value).0,
            workgroups: per_element(y.len()),
        })?;
        Ok(y)
    }

    /// Copies `shape` elements of `x` into `y`, each side from a start and by strides.
    pub(super) fn copy(
        &self,
        shape: &[usize],
        x: &GpuTensor,
        from: (usize, &[isize]),
        y: &GpuTensor,
        to: (usize, &[isize]),
    ) -> Result<()> {
        let count: usize = shape.iter().product();
        if count == 0 {
            return Ok(());
        }
        let (merged, strides) = merge(shape, &[from.1, to.1]);
        let rank = merged.len();
        check_rank("a copy", rank)?;
        self.launch(Launch {
            key: format!("copy {rank}"),
            source: &|| {
                let walk = walk(rank, "shape", &[("at", "from_strides"), ("to", "to_strides")]);
                fill(include_str!("copy.wgsl"), &[("walk", &walk)])
            },
            inputs: &[x],
            output: y,
            parameters: Parameters::default()
                .word(count)
                .word(from.0)
                .word(to.0)
                .dimensions(merged)
                .strides(&strides[0])
                .strides(&strides[1])
                .0,
            workgroups: per_element(count),
        })
    }

    /// `x` rearranged: element `[i, j, …]` from `start + i * strides[0] + j * strides[1] + …`.
    pub(super) fn view(&self, x: &GpuTensor, start: usize, strides: &[isize], shape: &[usize]) -> Result<GpuTensor> {
        let y = self.empty(shape)?;
        self.copy(shape, x, (start, strides), &y, (0, &row_major(shape)))?;
        Ok(y)
    }

    pub(super) fn expand(&self, x: &GpuTensor, shape: &[usize]) -> Result<GpuTensor> {
        self.view(x, 0, &broadcast_strides(x.shape(), shape), shape)
    }

    pub(super) fn concat(&self, xs: &[GpuTensor], axis: usize) -> Result<GpuTensor> {
        let mut shape = xs[0].shape().to_vec();
        shape[axis] = xs.iter().map(|x| x.shape()[axis]).sum();
        let y = self.empty(&shape)?;
        let to = row_major(&shape);
        let mut start = 0;
        for x in xs {
            self.copy(x.shape(), x, (0, &row_major(x.shape())), &y, (start, &to))?;
            start += x.shape()[axis] * to[axis] as usize;
        }
        Ok(y)
    }

    pub(super) fn pad(&self, x: &GpuTensor, pads: &[(usize, usize)], mode: PadMode) -> Result<GpuTensor> {
        let shape: Vec<usize> = x.shape().iter().zip(pads).map(|(&d, (before, after))| d + before + after).collect();
        let value = if let PadMode::Constant(value) = mode { value as f32 } else { 0.0 };
        if x.len() == 0 {
            return self.filled(value, &shape);
        }
        let y = self.empty(&shape)?;
        // Dimensions that are not padded join their outer neighbour's run.
        let mut runs: Vec<[usize; 4]> = Vec::new();
        for (&size, &(before, after)) in x.shape().iter().zip(pads) {
            match runs.last_mut() {
                Some(last) if (before, after) == (0, 0) && last[1..3] == [0, 0] => last[0] *= size,
                _ => runs.push([size, before, after, 0]),
            }
        }
        if runs.is_empty() {
            runs.push([1, 0, 0, 0]);
        }
        let sizes: Vec<usize> = runs.iter().map(|run| run[0]).collect();
        let rank = runs.len();
        check_rank("padding", rank)?;
        let code = match mode {
            PadMode::Constant(_) => "outside = outside || at < 0 || at >= n;\nreturn u32(clamp(at, 0, n - 1));",
            PadMode::Edge => "return u32(clamp(at, 0, n - 1));",
            PadMode::Reflect => {
                "if (n == 1) {\nreturn 0u;\n}\nlet period = 2 * (n - 1);\nlet m = ((at % period) + period) % period;\nreturn u32(select(m, period - m, m >= n));"
            }
            PadMode::Wrap => "return u32(((at % n) + n) % n);",
        };
        self.launch(Launch {
            key: format!("pad {rank} {code}"),
            source: &|| {
                let mut walk = "var rest = i;\n".to_string();
                for d in (0..rank).rev() {
                    let c = format!("[{}][{}]", d / 4, d % 4);
                    walk += &format!("at += source(rest % p.shape{c}, p.begin{c}, p.input{c}) * p.strides{c};\nrest = rest / p.shape{c};\n");
                }
                fill(include_str!("pad.wgsl"), &[("mode", code), ("walk", &walk)])
            },
            inputs: &[x],
            output: &y,
            parameters: Parameters::default()
                .word(y.len())
                .float(value)
                .dimensions(runs.iter().map(|[size, before, after, _]| size + before + after))
                .dimensions(sizes.iter().copied())
                .dimensions(runs.iter().map(|run| run[1]))
                .strides(&row_major(&sizes))
                .0,
            workgroups: per_element(y.len()),
        })?;
        Ok(y)
    }

    pub(super) fn gather(
        &self,
        x: &GpuTensor,
        axis: usize,
        indices: &[usize],
        indices_shape: &[usize],
    ) -> Result<GpuTensor> {
        let (outer, rest) = x.shape().split_at(axis);
        let shape = [outer, indices_shape, &rest[1..]].concat();
        let y = self.empty(&shape)?;
        if y.len() == 0 {
            return Ok(y);
        }
        let picked: Vec<u32> = indices.iter().map(|&i| i as u32).collect();
        let picked = self.upload_u32(&picked)?;
        self.launch(Launch {
            key: "gather".to_string(),
            source: &|| include_str!("gather.wgsl").to_string(),
            inputs: &[x, &picked],
            output: &y,
            parameters: Parameters::default()
                .word(y.len())
                .word(rest[0])
                .word(indices.len())
                .word(rest[1..].iter().product())
                .0,
            workgroups: per_element(y.len()),
        })?;
        Ok(y)
    }

    pub(super) fn reduce(&self, op: ReduceOp, x: &GpuTensor, axes: &[usize]) -> Result<GpuTensor> {
        let shape: Vec<usize> =
            x.shape().iter().enumerate().map(|(d, &n)| if axes.contains(&d) { 1 } else { n }).collect();
        // first, what is folded, how, and what becomes of the result
        let (first, map, combine, finish) = match op {
            ReduceOp::Sum => ("0.0", "v", "a + b", "v"),
            ReduceOp::Mean => ("0.0", "v", "a + b", "v * p.scale"),
            ReduceOp::Max => ("-infinity()", "v", "larger(a, b)", "v"),
            ReduceOp::Min => ("infinity()", "v", "smaller(a, b)", "v"),
            ReduceOp::Prod => ("1.0", "v", "a * b", "v"),
            ReduceOp::SumSquare => ("0.0", "v * v", "a + b", "v"),
            ReduceOp::L1 => ("0.0", "abs(v)", "a + b", "v"),
            ReduceOp::L2 => ("0.0", "v * v", "a + b", "sqrt(v)"),
            ReduceOp::LogSum => ("0.0", "v", "a + b", "ln(v)"),
            ReduceOp::LogSumExp if x.len() > 0 => {
                let top = self.reduce(ReduceOp::Max, x, axes)?;
                let top = self.map("select(0.0, x, is_finite(x))", 0.0, 0.0, &top)?;
                let shifted = self.binary(BinaryOp::Sub, x, &top, x.shape())?;
                let sum = self.reduce(ReduceOp::Sum, &self.map("exp(x)", 0.0, 0.0, &shifted)?, axes)?;
                return self.binary(BinaryOp::Add, &self.unary(UnaryOp::Log, &sum)?, &top, &shape);
            }
            ReduceOp::LogSumExp => ("", "", "", ""),
        };
        if x.len() == 0 {
            let neutral = match op {
                ReduceOp::Mean => f32::NAN,
                ReduceOp::Max | ReduceOp::LogSum | ReduceOp::LogSumExp => f32::NEG_INFINITY,
                ReduceOp::Min => f32::INFINITY,
                ReduceOp::Prod => 1.0,
                _ => 0.0,
            };
            return self.filled(neutral, &shape);
        }
        let y = self.empty(&shape)?;
        let all = row_major(x.shape());
        let pick = |reduced: bool| {
            let dimensions: Vec<usize> = (0..x.shape().len()).filter(|d| axes.contains(d) == reduced).collect();
            let sizes: Vec<usize> = dimensions.iter().map(|&d| x.shape()[d]).collect();
            let strides: Vec<isize> = dimensions.iter().map(|&d| all[d]).collect();
            let (sizes, mut strides) = merge(&sizes, &[&strides]);
            (sizes, strides.remove(0))
        };
        let ((kept, kept_strides), (reduced, reduced_strides)) = (pick(false), pick(true));
        check_rank("a reduction", kept.len().max(reduced.len()))?;
        let length: usize = reduced.iter().product();
        // A whole workgroup for each output, unless there is too little for it to do.
        let lanes = if length >= LANES { LANES } else { 1 };
        let (shared, body) = match lanes {
            1 => ("", "let i = g * 64u + lane;\nif (i < p.count) {\ny[i] = finish(fold(start(i), 0u));\n}"),
            _ => (
                "var<workgroup> partial: array<f32, 64>;",
                "if (g >= p.count) {\nreturn;\n}\n\
                 partial[lane] = fold(start(g), lane);\n\
                 for (var half = 32u; half > 0u; half >>= 1u) {\n\
                 workgroupBarrier();\n\
                 if (lane < half) {\npartial[lane] = combine(partial[lane], partial[lane + half]);\n}\n}\n\
                 if (lane == 0u) {\ny[g] = finish(partial[0]);\n}",
            ),
        };
        self.launch(Launch {
            key: format!("reduce {op:?} {lanes} {} {}", kept.len(), reduced.len()),
            source: &|| {
                PRELUDE.to_string()
                    + &fill(
                        include_str!("reduce.wgsl"),
                        &[
                            ("lanes", &lanes.to_string()),
                            ("shared", shared),
                            ("body", body),
                            ("kept", &walk(kept.len(), "kept", &[("at", "kept_strides")])),
                            ("reduced", &walk(reduced.len(), "reduced", &[("at", "reduced_strides")])),
                            ("first", first),
                            ("map", map),
                            ("combine", combine),
                            ("finish", finish),
                        ],
                    )
            },
            inputs: &[x],
            output: &y,
            parameters: Parameters::default()
                .word(y.len())
                .word(length)
                .float(1.0 / length as f32)
                .dimensions(kept.iter().copied())
                .strides(&kept_strides)
                .dimensions(reduced.iter().copied())
                .strides(&reduced_strides)
                .0,
            workgroups: if lanes == 1 { per_element(y.len()) } else { spread(y.len()) },
        })?;
        Ok(y)
    }

    pub(super) fn softmax(&self, x: &GpuTensor, axis: usize, log: bool) -> Result<GpuTensor> {
        let y = self.empty(x.shape())?;
        if y.len() == 0 {
            return Ok(y);
        }
        let length = x.shape()[axis];
        let inner: usize = x.shape()[axis + 1..].iter().product();
        let rows = x.len() / length;
        let lanes = if length >= LANES { LANES } else { 1 };
        let share = |variable: &str, combined: &str| match lanes {
            1 => String::new(),
            _ => format!(
                "partial[lane] = {variable};\n\
                 for (var half = 32u; half > 0u; half >>= 1u) {{\n\
                 workgroupBarrier();\n\
                 if (lane < half) {{\nlet a = partial[lane];\nlet b = partial[lane + half];\npartial[lane] = {combined};\n}}\n}}\n\
                 workgroupBarrier();\n{variable} = partial[0];\nworkgroupBarrier();"
            ),
        };
        let row = match lanes {
            1 => {
                "let lane = 0u;\nlet row = (group.y * groups.x + group.x) * 64u + thread;\nif (row >= p.count) {\nreturn;\n}"
            }
            _ => "let lane = thread;\nlet row = group.y * groups.x + group.x;\nif (row >= p.count) {\nreturn;\n}",
        };
        self.launch(Launch {
            key: format!("softmax {log} {lanes}"),
            source: &|| {
                PRELUDE.to_string()
                    + &fill(
                        include_str!("softmax.wgsl"),
                        &[
                            ("lanes", &lanes.to_string()),
                            ("shared", if lanes == 1 { "" } else { "var<workgroup> partial: array<f32, 64>;" }),
                            ("row", row),
                            ("share_top", &share("top", "larger(a, b)")),
                            ("share_sum", &share("sum", "a + b")),
                            ("result", if log { "v - log(sum)" } else { "exp(v) / sum" }),
                        ],
                    )
            },
            inputs: &[x],
            output: &y,
            parameters: Parameters::default().word(rows).word(length).word(inner).0,
            workgroups: if lanes == 1 { per_element(rows) } else { spread(rows) },
        })?;
        Ok(y)
    }

    pub(super) fn batch_norm(&self, x: &GpuTensor, statistics: [&GpuTensor; 4], epsilon: f32) -> Result<GpuTensor> {
        let y = self.empty(x.shape())?;
        let [scale, bias, mean, variance] = statistics;
        self.launch(Launch {
            key: "batch_norm".to_string(),
            source: &|| include_str!("batch_norm.wgsl").to_string(),
            inputs: &[x, scale, bias, mean, variance],
            output: &y,
            parameters: Parameters::default()
                .word(x.len())
                .word(x.shape()[1])
                .word(x.shape()[2..].iter().product())
                .float(epsilon)
                .0,
            workgroups: per_element(x.len()),
        })?;
        Ok(y)
    }

    pub(super) fn lrn(&self, x: &GpuTensor, lrn: &Lrn) -> Result<GpuTensor> {
        let y = self.empty(x.shape())?;
        self.launch(Launch {
            key: "lrn".to_string(),
            source: &|| PRELUDE.to_string() + include_str!("lrn.wgsl"),
            inputs: &[x],
            output: &y,
            parameters: Parameters::default()
                .word(x.len())
                .word(x.shape()[1])
                .word(x.shape()[2..].iter().product())
                .word((lrn.size - 1) / 2)
                .word(lrn.size / 2)
                .float(lrn.alpha / lrn.size as f32)
                .float(lrn.beta)
                .float(lrn.bias)
                .0,
            workgroups: per_element(x.len()),
        })?;
        Ok(y)
    }

    pub(super) fn pool(&self, op: PoolOp, x: &GpuTensor, window: &Window) -> Result<GpuTensor> {
        let spatial = &x.shape()[2..];
        let shape = [&x.shape()[..2], &window.output].concat();
        let whole = window.kernel == spatial
            && [&window.pads_begin, &window.pads_end].iter().all(|pads| pads.iter().all(|&p| p == 0));
        if whole && window.output.iter().all(|&n| n == 1) && window.dilations.iter().all(|&d| d == 1) {
            let axes: Vec<usize> = (2..x.shape().len()).collect();
            let op = if op == PoolOp::Max { ReduceOp::Max } else { ReduceOp::Mean };
            return self.reduce(op, x, &axes);
        }
        let y = self.empty(&shape)?;
        let (first, combine, finish, count_padded, count_inside) = match op {
            PoolOp::Max => ("-infinity()", "larger(acc, v)", "acc", "", ""),
            PoolOp::Average { count_include_pad: true } => {
                ("0.0", "acc + v", "acc / f32(counted)", "if (all(at < p.padded)) {\ncounted += 1u;\n}", "")
            }
            PoolOp::Average { count_include_pad: false } => {
                ("0.0", "acc + v", "acc / f32(counted)", "", "counted += 1u;")
            }
        };
        let input = three(spatial, 1);
        let (begin, end) = (three(&window.pads_begin, 0), three(&window.pads_end, 0));
        self.launch(Launch {
            key: format!("pool {op:?}"),
            source: &|| {
                let values = [
                    ("first", first),
                    ("combine", combine),
                    ("finish", finish),
                    ("count_padded", count_padded),
                    ("count_inside", count_inside),
                ];
                PRELUDE.to_string() + &fill(include_str!("pool.wgsl"), &values)
            },
            inputs: &[x],
            output: &y,
            parameters: Parameters::default()
                .word(y.len())
                .triple(input)
                .triple(three(&window.output, 1))
                .triple(three(&window.kernel, 1))
                .triple(three(&window.strides, 1))
                .triple(three(&window.dilations, 1))
                .triple(begin)
                .triple([0, 1, 2].map(|d| begin[d] + input[d] + end[d]))
                .0,
            workgroups: per_element(y.len()),
        })?;
        Ok(y)
    }

    pub(super) fn matmul(&self, a: &GpuTensor, b: &GpuTensor) -> Result<GpuTensor> {
        let (a_batch, a_tail) = a.shape().split_at(a.shape().len() - 2);
        let (b_batch, b_tail) = b.shape().split_at(b.shape().len() - 2);
        let (mut rows, depth, columns) = (a_tail[0], a_tail[1], b_tail[1]);
        let rank = a_batch.len().max(b_batch.len());
        let at = |batch: &[usize], d: usize| (d + batch.len()).checked_sub(rank).map_or(1, |d| batch[d]);
        let batch: Vec<usize> =
            (0..rank).map(|d| if at(a_batch, d) == 1 { at(b_batch, d) } else { at(a_batch, d) }).collect();
        let shape = [&batch[..], &[rows, columns]].concat();
        if depth == 0 {
            return self.filled(0.0, &shape);
        }
        let y = self.empty(&shape)?;
        let scaled = |own: &[usize], matrix: usize| {
            broadcast_strides(own, &batch).iter().map(|s| s * matrix as isize).collect::<Vec<_>>()
        };
        let (mut batch, mut strides) =
            merge(&batch, &[&scaled(a_batch, rows * depth), &scaled(b_batch, depth * columns)]);
        // One matrix on the right of all: the batches are but more rows.
        if batch.len() == 1 && strides[1][0] == 0 && (strides[0][0] == (rows * depth) as isize || batch[0] == 1) {
            rows *= batch[0];
            batch[0] = 1;
            strides[0][0] = 0;
        }
        let rank = batch.len();
        check_rank("a batch of matrix products", rank)?;
        let count: usize = batch.iter().product();
        let parameters = Parameters::default()
            .word(rows)
            .word(columns)
            .word(depth)
            .dimensions(batch)
            .strides(&strides[0])
            .strides(&strides[1])
            .0;
        let head = |element: &str| {
            let walk = walk(rank, "batch", &[("at_a", "a_strides"), ("at_b", "b_strides")]);
            fill(include_str!("matmul.wgsl"), &[("element", element), ("walk", &walk)])
        };
        if rows <= 4 {
            self.launch(Launch {
                key: format!("matmul row {rank}"),
                source: &|| head("f32") + include_str!("matmul_row.wgsl"),
                inputs: &[a, b],
                output: &y,
                parameters,
                workgroups: [columns.div_ceil(32), rows, count],
            })?;
            return Ok(y);
        }
        let vector = columns.is_multiple_of(4);
        let tiling = Tiling::choose(self, rows, columns, count);
        self.launch(Launch {
            key: format!("matmul {tiling:?} {vector} {rank}"),
            source: &|| {
                let (load, store) = match vector {
                    true => ("return b[(b0 + k * p.columns + n) / 4u];", "y[(y0 + m * p.columns + n) / 4u] = v;"),
                    false => (
                        "var v = vec4<f32>();\nfor (var i = 0u; i < 4u; i++) {\nif (n + i < p.columns) {\nv[i] = b[b0 + k * p.columns + n + i];\n}\n}\nreturn v;",
                        "for (var i = 0u; i < 4u; i++) {\nif (n + i < p.columns) {\ny[y0 + m * p.columns + n + i] = v[i];\n}\n}",
                    ),
                };
                let bindings = head(if vector { "vec4<f32>" } else { "f32" })
                    + include_str!("matmul_tile.wgsl")
                    + &format!("fn load_b(k: u32, n: u32) -> vec4<f32> {{\n{load}\n}}\nfn store(m: u32, n: u32, v: vec4<f32>) {{\n{store}\n}}\n");
                tiling.source(&bindings)
            },
            inputs: &[a, b],
            output: &y,
            parameters,
            workgroups: tiling.workgroups(rows, columns, count),
        })?;
        Ok(y)
    }

    pub(super) fn conv(
        &self,
        x: &GpuTensor,
        weight: &GpuTensor,
        bias: Option<&GpuTensor>,
        window: &Window,
        groups: usize,
    ) -> Result<GpuTensor> {
        let (batch, channels) = (x.shape()[0], x.shape()[1]);
        let spatial = x.shape().len() - 2;
        let outputs = weight.shape()[0];
        let shape = [&[batch, outputs], &window.output[..]].concat();
        let y = self.empty(&shape)?;
        if y.len() == 0 {
            return Ok(y);
        }
        if x.len() == 0 || weight.len() == 0 {
            let zeros = self.filled(0.0, &shape)?;
            let Some(bias) = bias else { return Ok(zeros) };
            let column: Vec<usize> = std::iter::once(outputs).chain(window.output.iter().map(|_| 1)).collect();
            return self.binary(BinaryOp::Add, &zeros, &bias.clone().with_shape(&column), &shape);
        }
        let input = three(&x.shape()[2..], 1);
        let rows = outputs / groups;
        let columns: usize = window.output.iter().product();
        let taps: usize = window.kernel.iter().product();
        let depth = channels / groups * taps;
        let kernel = three(&window.kernel, 1);
        let kernel_text = format!("{}, {}, {}", kernel[0], kernel[1], kernel[2]);
        let begin = three(&window.pads_begin, 0);
        let parameters = Parameters::default()
            .word(rows)
            .word(columns)
            .word(depth)
            .word(groups)
            .word(channels / groups * input.iter().product::<usize>())
            .word(batch * outputs)
            .word(bias.is_some() as usize)
            .triple(input)
            .triple(three(&window.output, 1))
            .triple(three(&window.strides, 1))
            .triple(three(&window.dilations, 1))
            .triple(begin)
            .0;
        // Without a bias its binding is filled, but not read.
        let inputs = [x, weight, bias.unwrap_or(weight)];
        let head = |input: &str, output: &str| {
            let values = [("element_in", input), ("element_out", output), ("kernel", kernel_text.as_str())];
            PRELUDE.to_string() + &fill(include_str!("conv.wgsl"), &values)
        };
        if spatial > 2 || rows < 8 {
            self.launch(Launch {
                key: format!("conv direct {kernel_text}"),
                source: &|| head("f32", "f32") + include_str!("conv_direct.wgsl"),
                inputs: &inputs,
                output: &y,
                parameters,
                workgroups: per_element(y.len()),
            })?;
            return Ok(y);
        }
        let vector = columns.is_multiple_of(4);
        let pointwise = taps == 1
            && window.strides.iter().all(|&s| s == 1)
            && input[..] == three(&window.output, 1)[..]
            && begin == [0; 3];
        let tiling = Tiling::choose(self, rows, columns, batch * groups);
        self.launch(Launch {
            key: format!("conv {tiling:?} {vector} {pointwise} {kernel_text}"),
            source: &|| {
                let load = match (pointwise, vector) {
                    (true, true) => fill(include_str!("conv_pointwise.wgsl"), &[("load", "return x[at / 4u];")]),
                    (true, false) => fill(
                        include_str!("conv_pointwise.wgsl"),
                        &[(
                            "load",
                            "var v = vec4<f32>();\nfor (var i = 0u; i < 4u; i++) {\nif (n + i < p.columns) {\nv[i] = x[at + i];\n}\n}\nreturn v;",
                        )],
                    ),
                    (false, _) => include_str!("conv_window.wgsl").to_string(),
                };
                let store = match vector {
                    true => "y[(y0 + m * p.columns + n) / 4u] = r;",
                    false => "for (var i = 0u; i < 4u; i++) {\nif (n + i < p.columns) {\ny[y0 + m * p.columns + n + i] = r[i];\n}\n}",
                };
                let element = |vector: bool| if vector { "vec4<f32>" } else { "f32" };
                let bindings = head(element(pointwise && vector), element(vector))
                    + include_str!("conv_tile.wgsl")
                    + &load
                    + &format!(
                        "fn store(m: u32, n: u32, v: vec4<f32>) {{\nlet c = m0 + m;\nlet r = vec4<f32>(finish(v.x, c), finish(v.y, c), finish(v.z, c), finish(v.w, c));\n{store}\n}}\n"
                    );
                tiling.source(&bindings)
            },
            inputs: &inputs,
            output: &y,
            parameters,
            workgroups: tiling.workgroups(rows, columns, batch * groups),
        })?;
        Ok(y)
    }
}

/// How a matrix product is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tiling {
    /// Each thread by itself; 32 rows and columns for each workgroup.
    Flat,
    /// Through workgroup memory; so many rows and columns for each workgroup.
    Shared(usize),
}

impl Tiling {
    /// Large tiles load less, small ones keep more of the GPU busy.
    fn choose(gpu: &Gpu, rows: usize, columns: usize, count: usize) -> Self {
        if gpu.is_fallback_adapter() {
            Self::Flat
        } else if rows > 32 && rows.div_ceil(64) * columns.div_ceil(64) * count >= 64 {
            Self::Shared(64)
        } else {
            Self::Shared(32)
        }
    }

    fn workgroups(self, rows: usize, columns: usize, count: usize) -> [usize; 3] {
        let size = if let Self::Shared(size) = self { size } else { 32 };
        [columns.div_ceil(size), rows.div_ceil(size), count]
    }

    /// The kernel around `bindings`, which load and store.
    fn source(self, bindings: &str) -> String {
        let start = ("start", "enter(group.z);");
        match self {
            Self::Flat => fill(include_str!("gemm_flat.wgsl"), &[("bindings", bindings), start]),
            Self::Shared(size) => {
                let size = size.to_string();
                fill(include_str!("gemm.wgsl"), &[("tm", &size), ("tn", &size), ("bindings", bindings), start])
            }
        }
    }
}
