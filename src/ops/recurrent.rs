//! What RNN, GRU and LSTM share.

use super::dynamic_quantize_linear::round_trip;
use super::inputs::{Info, Inputs, Type, Value};
use super::multiply_adds::MultiplyAdds;
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::{Device, UnaryOp};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::recurrent::{Activation, Cell, Layer, Rows};

// Indices of the inputs.
const X: usize = 0;
const W: usize = 1;
const R: usize = 2;
const B: usize = 3;
const LENGTHS: usize = 4;
const H: usize = 5;
const C: usize = 6;
const P: usize = 7;

/// A recurrent layer.
pub const fn operator(
    name: &'static str,
    last_input: usize,
    outputs: usize,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator {
        name,
        inputs: 3..=last_input + 1,
        outputs: 1..=outputs,
        attributes,
        parameters: &[LENGTHS],
        build,
        ..Operator::DEFAULT
    }
}

struct Recurrent {
    cell: Cell,
    /// Of each direction, whether it runs backwards.
    directions: &'static [bool],
    activations: Vec<Activation>,
    clip: Option<f32>,
    hidden: Option<i64>,
    batch_first: bool,
    /// Whether states are multiplied as the nearest of 256 numbers.
    quantised: bool,
}

/// Reads the attributes of a layer of `cell`.
pub fn build(attributes: &Attributes<'_>, cell: Cell) -> Result<Box<dyn Op>> {
    build_either(attributes, cell, false)
}

/// As [`build`]; before they are multiplied, `quantised` states are rounded as DynamicQuantizeLinear
/// does, over the whole batch.
pub fn build_either(attributes: &Attributes<'_>, cell: Cell, quantised: bool) -> Result<Box<dyn Op>> {
    let directions: &[bool] = match attributes.choice("direction", &["forward", "reverse", "bidirectional"])? {
        "forward" => &[false],
        "reverse" => &[true],
        _ => &[false, true],
    };
    let layout = attributes.int("layout")?.unwrap_or(0);
    ensure!(layout == 0 || layout == 1, Unsupported, "layout {layout}; ONNX has 0 and 1");
    Ok(Box::new(Recurrent {
        cell,
        directions,
        activations: activations(attributes, cell, directions.len())?,
        clip: attributes.float("clip")?.filter(|&c| c > 0.0),
        hidden: attributes.int("hidden_size")?,
        batch_first: layout == 1,
        quantised,
    }))
}

fn activations(attributes: &Attributes<'_>, cell: Cell, directions: usize) -> Result<Vec<Activation>> {
    let defaults: &[&str] = match cell {
        Cell::Rnn => &["tanh"],
        Cell::Gru { .. } => &["sigmoid", "tanh"],
        Cell::Lstm { .. } => &["sigmoid", "tanh", "tanh"],
    };
    let count = directions * cell.activations();
    let names = match attributes.strings("activations")? {
        Some(names) if !names.is_empty() => names.iter().map(|n| n.to_lowercase()).collect(),
        _ => defaults.repeat(directions).iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    // ONNX's default for RNN is two, whatever the direction.
    ensure!(
        names.len() == count || (cell == Cell::Rnn && names.len() == 2),
        InvalidModel,
        "attribute \"activations\": expected {count}, got {}",
        names.len()
    );
    let mut alphas = attributes.floats("activation_alpha")?.unwrap_or_default().iter().copied();
    let mut betas = attributes.floats("activation_beta")?.unwrap_or_default().iter().copied();
    let mut read = |name: &String| {
        Ok(match name.as_str() {
            "relu" => Activation::Unary(UnaryOp::Relu),
            "tanh" => Activation::Unary(UnaryOp::Tanh),
            "sigmoid" => Activation::Unary(UnaryOp::Sigmoid),
            "softsign" => Activation::Unary(UnaryOp::Softsign),
            "softplus" => Activation::Unary(UnaryOp::Softplus),
            "elu" => Activation::Unary(UnaryOp::Elu { alpha: alphas.next().unwrap_or(1.0) }),
            "leakyrelu" => Activation::Unary(UnaryOp::LeakyRelu { alpha: alphas.next().unwrap_or(0.01) }),
            "hardsigmoid" => Activation::Unary(UnaryOp::HardSigmoid {
                alpha: alphas.next().unwrap_or(0.2),
                beta: betas.next().unwrap_or(0.5),
            }),
            "affine" | "scaledtanh" => {
                let (Some(alpha), Some(beta)) = (alphas.next(), betas.next()) else {
                    bail!(InvalidModel, "the activation function \"{name}\" needs activation_alpha and activation_beta")
                };
                if name == "affine" { Activation::Affine(alpha, beta) } else { Activation::ScaledTanh(alpha, beta) }
            }
            "thresholdedrelu" => Activation::Threshold(alphas.next().unwrap_or(1.0)),
            _ => bail!(Unsupported, "the activation function \"{name}\""),
        })
    };
    names.iter().take(count).map(&mut read).collect()
}

/// Each number as the one that its code stands for.
fn through_codes<T: Number>(values: &mut [T]) {
    let narrow: Vec<f32> = values.iter().map(|v| v.wide() as f32).collect();
    values.iter_mut().zip(round_trip(&narrow)).for_each(|(v, rounded)| *v = T::of(f64::from(rounded)));
}

impl Recurrent {
    /// Steps, batches, input size, hidden size.
    fn sizes(&self, inputs: &Inputs) -> Result<[usize; 4]> {
        let (x, w, r) = (inputs.shape(X)?, inputs.shape(W)?, inputs.shape(R)?);
        let order = if self.batch_first { "batch, steps" } else { "steps, batch" };
        ensure!(x.len() == 3, ShapeMismatch, "X: expected [{order}, input size], got {x:?}");
        ensure!(r.len() == 3, ShapeMismatch, "R: expected [directions, gates * hidden size, hidden size], got {r:?}");
        let (steps, batch) = if self.batch_first { (x[1], x[0]) } else { (x[0], x[1]) };
        let (input, hidden) = (x[2], r[2]);
        let directions = self.directions.len();
        if let Some(declared) = self.hidden {
            ensure!(declared == hidden as i64, ShapeMismatch, "hidden_size is {declared}, R {r:?} has {hidden}");
        }
        let gates = self.cell.gates();
        // Far from overflow: weights of that many rows would not fit in memory.
        let width = hidden.saturating_mul(gates);
        ensure!(
            r == [directions, width, hidden],
            ShapeMismatch,
            "R: expected {:?}, got {r:?}",
            [directions, width, hidden]
        );
        let expect = |index: usize, name: &str, expected: &[usize]| {
            if inputs.has(index) {
                let shape = inputs.shape(index)?;
                ensure!(shape == expected, ShapeMismatch, "{name}: expected {expected:?}, got {shape:?}");
            }
            Ok(())
        };
        let state = self.state(batch, hidden);
        expect(W, "W", &[directions, width, input])?;
        ensure!(w.len() == 3, ShapeMismatch, "W is {w:?}");
        expect(B, "B", &[directions, width.saturating_mul(2)])?;
        expect(LENGTHS, "sequence_lens", &[batch])?;
        expect(H, "initial_h", &state)?;
        if let Cell::Lstm { .. } = self.cell {
            expect(C, "initial_c", &state)?;
            expect(P, "P", &[directions, hidden.saturating_mul(3)])?;
        }
        for length in inputs.ints(LENGTHS)?.unwrap_or_default() {
            ensure!(
                (0..=steps as i64).contains(&length),
                InvalidArgument,
                "sequence_lens holds {length}; X {x:?} has {steps} steps"
            );
        }
        Ok([steps, batch, input, hidden])
    }

    fn state(&self, batch: usize, hidden: usize) -> [usize; 3] {
        let directions = self.directions.len();
        if self.batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] }
    }

    fn compute<T: Number>(&self, inputs: &Inputs, [steps, batch, input, hidden]: [usize; 4]) -> Result<Vec<Value>> {
        let tensors = (0..8).map(|i| if i == LENGTHS { Ok(None) } else { inputs.host(i) });
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        let dtype = inputs.dtype(X)?;
        let mut values = Vec::with_capacity(8);
        for tensor in &tensors {
            values.push(tensor.as_ref().map(read::<T>).transpose()?);
        }
        let directions = self.directions.len();
        let width = self.cell.gates() * hidden;
        if hidden == 0 || batch == 0 {
            let shapes = [self.output(steps, batch, hidden).to_vec(), self.state(batch, hidden).to_vec()];
            let [y, state] = shapes.map(|shape| Tensor::from_f64s(dtype, &shape, Vec::new()).map(Value::from));
            let state = state?;
            return Ok(vec![y?, state.clone(), state]);
        }
        let lengths = match inputs.ints(LENGTHS)? {
            Some(lengths) => lengths.into_iter().map(|l| l as usize).collect(),
            None => vec![steps; batch],
        };
        let mut y = vec![T::zero(); steps * directions * batch * hidden];
        let mut states = [vec![T::zero(); directions * batch * hidden], vec![T::zero(); directions * batch * hidden]];
        for (d, &reverse) in self.directions.iter().enumerate() {
            let part = |index: usize, size: usize| values[index].as_ref().map(|v| &v[d * size..(d + 1) * size]);
            let Some(((x, w), r)) = values[X].as_deref().zip(part(W, width * input)).zip(part(R, width * hidden))
            else {
                bail!(Internal, "an input that was checked went missing")
            };
            let activations = self.cell.activations();
            let layer = Layer {
                cell: self.cell,
                steps,
                batch,
                input,
                hidden,
                reverse,
                clip: self.clip,
                activations: &self.activations[d * activations..(d + 1) * activations],
                lengths: &lengths,
                w,
                r,
                bias: part(B, 2 * width),
                peepholes: part(P, 3 * hidden),
                rounding: self.quantised.then_some(through_codes::<T> as fn(&mut [T])),
            };
            let (x_rows, y_rows) = if self.batch_first {
                (
                    Rows { first: 0, time: 1, batch: steps },
                    Rows { first: d, time: directions, batch: steps * directions },
                )
            } else {
                let time = directions * batch;
                (Rows { first: 0, time: batch, batch: 1 }, Rows { first: d * batch, time, batch: 1 })
            };
            let at = |b: usize| (if self.batch_first { b * directions + d } else { d * batch + b }) * hidden;
            let gather = |index: usize| {
                let mut state = vec![T::zero(); batch * hidden];
                if let Some(first) = &values[index] {
                    for b in 0..batch {
                        state[b * hidden..(b + 1) * hidden].copy_from_slice(&first[at(b)..at(b) + hidden]);
                    }
                }
                state
            };
            let mut last = [gather(H), gather(C)];
            let [h, c] = &mut last;
            layer.run(x, x_rows, h, c, &mut y, y_rows);
            for (to, from) in states.iter_mut().zip(&last) {
                // ONNX does not say what comes out of no steps; in ONNX Runtime it is zeros.
                for b in (0..batch).filter(|&b| lengths[b] > 0) {
                    to[at(b)..at(b) + hidden].copy_from_slice(&from[b * hidden..(b + 1) * hidden]);
                }
            }
        }
        let [h, c] = states;
        let state = self.state(batch, hidden);
        let shape = self.output(steps, batch, hidden);
        let mut out = vec![write(dtype, &shape, y)?.into(), write(dtype, &state, h)?.into()];
        if let Cell::Lstm { .. } = self.cell {
            out.push(write(dtype, &state, c)?.into());
        }
        Ok(out)
    }

    fn output(&self, steps: usize, batch: usize, hidden: usize) -> [usize; 4] {
        let directions = self.directions.len();
        if self.batch_first { [batch, steps, directions, hidden] } else { [steps, directions, batch, hidden] }
    }
}

impl Op for Recurrent {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = same_floats(inputs, &[B, H, C, P])?;
        tensor_type(inputs, W, Dtypes::Only(dtype))?;
        tensor_type(inputs, R, Dtypes::Only(dtype))?;
        optional_type(inputs, LENGTHS, Dtypes::Only(DataType::Int32))?;
        Ok(vec![Type::Tensor(dtype); 3])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let [steps, batch, _, hidden] = self.sizes(inputs)?;
        let dtype = inputs.dtype(X)?;
        let state = Info { dtype, shape: self.state(batch, hidden).to_vec() };
        let mut infos =
            vec![Some(Info { dtype, shape: self.output(steps, batch, hidden).to_vec() }), Some(state.clone())];
        if let Cell::Lstm { .. } = self.cell {
            infos.push(Some(state));
        }
        Ok(infos)
    }

    fn multiply_adds(&self, inputs: &Inputs, _: &[Option<Info>]) -> Result<MultiplyAdds> {
        let [steps, batch, input, hidden] = self.sizes(inputs)?;
        Ok(MultiplyAdds::float(&[self.directions.len(), steps, batch, self.cell.gates() * hidden, input + hidden]))
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let sizes = self.sizes(&inputs)?;
        computed_in!(inputs.dtype(X)?, T => self.compute::<T>(&inputs, sizes))
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{Attribute, Tensor};
    use crate::support::{Random, Single, f32s, into_tensor, numbers};
    use crate::{DataType, Feed};

    const OPS: [(&str, usize); 3] = [("RNN", 1), ("GRU", 3), ("LSTM", 4)];

    struct Case {
        op: &'static str,
        gates: usize,
        /// Steps, batches, input, hidden.
        sizes: [usize; 4],
        directions: Vec<bool>,
        batch_first: bool,
        clip: Option<f64>,
        /// linear_before_reset or input_forget.
        flag: bool,
        lengths: Vec<usize>,
        /// X, W, R, B, initial_h, initial_c, P.
        tensors: Vec<Option<Tensor>>,
    }

    impl Case {
        fn random(random: &mut Random, (op, gates): (&'static str, usize), dtype: DataType) -> Self {
            let [steps, batch, input, hidden] =
                [(1, 5), (1, 6), (1, 9), (1, 7)].map(|(low, high)| random.within(low, high));
            let directions = [vec![false], vec![true], vec![false, true]][random.within(0, 2)].clone();
            let d = directions.len();
            let batch_first = random.within(0, 1) == 1;
            let (x, state) = if batch_first {
                ([batch, steps, input], [batch, d, hidden])
            } else {
                ([steps, batch, input], [d, batch, hidden])
            };
            let lstm = op == "LSTM";
            let shapes: [(Vec<usize>, bool); 7] = [
                (x.to_vec(), true),
                (vec![d, gates * hidden, input], true),
                (vec![d, gates * hidden, hidden], true),
                (vec![d, 2 * gates * hidden], random.within(0, 3) > 0),
                (state.to_vec(), random.within(0, 1) == 1),
                (state.to_vec(), lstm && random.within(0, 1) == 1),
                (vec![d, 3 * hidden], lstm && random.within(0, 1) == 1),
            ];
            let tensors = shapes.into_iter().map(|(shape, there)| {
                let values = random.tensor(&shape).to_f64s().expect("numbers");
                there.then(|| Tensor::from_f64s(dtype, &shape, values).expect("as many"))
            });
            let tensors = tensors.collect();
            let lengths = (0..batch).map(|_| random.within(1, steps)).collect();
            let clip = (random.within(0, 1) == 1).then_some(0.5);
            Self {
                op,
                gates,
                sizes: [steps, batch, input, hidden],
                directions,
                batch_first,
                clip,
                flag: random.within(0, 1) == 1,
                lengths,
                tensors,
            }
        }

        fn node(&self) -> Single<'static> {
            let direction = match &self.directions[..] {
                [false] => "forward",
                [true] => "reverse",
                _ => "bidirectional",
            };
            let mut node =
                Single::new(self.op, 22).string("direction", direction).int("layout", self.batch_first.into());
            node = node.int("hidden_size", self.sizes[3] as i64).outputs(if self.op == "LSTM" { 3 } else { 2 });
            if let Some(clip) = self.clip {
                node = node.float("clip", clip as f32);
            }
            match self.op {
                "GRU" => node.int("linear_before_reset", self.flag.into()),
                "LSTM" => node.int("input_forget", self.flag.into()),
                _ => node,
            }
        }

        fn run(&self) -> Vec<Tensor> {
            let t = |i: usize| self.tensors[i].clone().map(Feed::Tensor);
            let lengths: Vec<i32> = self.lengths.iter().map(|&l| l as i32).collect();
            let lengths = Tensor::from_vec(vec![lengths.len()], lengths).expect("one dimension");
            let mut inputs = vec![t(0), t(1), t(2), t(3), Some(Feed::Tensor(lengths)), t(4)];
            if self.op == "LSTM" {
                inputs.extend([t(5), t(6)]);
            }
            self.node().feeds(&inputs).expect("a good node").into_iter().map(into_tensor).collect()
        }

        /// The formulas of ONNX, one number at a time.
        fn naive(&self) -> Vec<Vec<f64>> {
            let [steps, batch, input, n] = self.sizes;
            let d = self.directions.len();
            let all: Vec<Option<Vec<f64>>> = self.tensors.iter().map(|t| t.as_ref().map(numbers)).collect();
            let get = |i: usize, at: usize| all[i].as_ref().map_or(0.0, |v| v[at]);
            let clip = |v: f64| self.clip.map_or(v, |c| v.clamp(-c, c));
            let sigmoid = |v: f64| 1.0 / (1.0 + (-clip(v)).exp());
            let tanh = |v: f64| clip(v).tanh();
            let mut y = vec![0.0; steps * batch * d * n];
            let mut last = [vec![0.0; batch * d * n], vec![0.0; batch * d * n]];
            for (dir, &reverse) in self.directions.iter().enumerate() {
                for b in 0..batch {
                    let state =
                        |j: usize| if self.batch_first { (b * d + dir) * n + j } else { (dir * batch + b) * n + j };
                    let mut h: Vec<f64> = (0..n).map(|j| get(4, state(j))).collect();
                    let mut c: Vec<f64> = (0..n).map(|j| get(5, state(j))).collect();
                    for step in 0..self.lengths[b] {
                        let t = if reverse { self.lengths[b] - 1 - step } else { step };
                        let x = |k: usize| {
                            get(
                                0,
                                if self.batch_first {
                                    (b * steps + t) * input + k
                                } else {
                                    (t * batch + b) * input + k
                                },
                            )
                        };
                        let width = self.gates * n;
                        let of_x = |row: usize| {
                            (0..input).map(|k| get(1, (dir * width + row) * input + k) * x(k)).sum::<f64>()
                                + get(3, dir * 2 * width + row)
                        };
                        let bias = |row: usize| get(3, dir * 2 * width + width + row);
                        let of_h = |row: usize, h: &[f64]| {
                            (0..n).map(|k| get(2, (dir * width + row) * n + k) * h[k]).sum::<f64>() + bias(row)
                        };
                        let gate = |g: usize, j: usize, h: &[f64]| of_x(g * n + j) + of_h(g * n + j, h);
                        let peep = |g: usize, j: usize, c: f64| get(6, dir * 3 * n + g * n + j) * c;
                        match self.op {
                            "RNN" => h = (0..n).map(|j| tanh(gate(0, j, &h))).collect(),
                            "GRU" => {
                                let z: Vec<f64> = (0..n).map(|j| sigmoid(gate(0, j, &h))).collect();
                                let r: Vec<f64> = (0..n).map(|j| sigmoid(gate(1, j, &h))).collect();
                                let reset: Vec<f64> = (0..n).map(|j| r[j] * h[j]).collect();
                                h = (0..n)
                                    .map(|j| {
                                        let inner = if self.flag {
                                            r[j] * of_h(2 * n + j, &h)
                                        } else {
                                            of_h(2 * n + j, &reset)
                                        };
                                        (1.0 - z[j]) * tanh(of_x(2 * n + j) + inner) + z[j] * h[j]
                                    })
                                    .collect();
                            }
                            _ => {
                                let old = h.clone();
                                for j in 0..n {
                                    let i = sigmoid(gate(0, j, &old) + peep(0, j, c[j]));
                                    let f =
                                        if self.flag { 1.0 - i } else { sigmoid(gate(2, j, &old) + peep(2, j, c[j])) };
                                    c[j] = f * c[j] + i * tanh(gate(3, j, &old));
                                    h[j] = sigmoid(gate(1, j, &old) + peep(1, j, c[j])) * c[j].tanh();
                                }
                            }
                        }
                        let at = if self.batch_first {
                            ((b * steps + t) * d + dir) * n
                        } else {
                            ((t * d + dir) * batch + b) * n
                        };
                        y[at..at + n].copy_from_slice(&h);
                    }
                    for j in 0..n {
                        last[0][state(j)] = h[j];
                        last[1][state(j)] = c[j];
                    }
                }
            }
            let [h, c] = last;
            vec![y, h, c]
        }
    }

    #[test]
    fn every_option_matches_the_formulas() {
        let mut random = Random::new(5);
        for (op, dtype, tolerance) in
            OPS.iter().flat_map(|&op| [(op, DataType::Float32, 1e-5), (op, DataType::Float64, 1e-12)])
        {
            for _ in 0..60 {
                let case = Case::random(&mut random, op, dtype);
                for (index, (got, expected)) in case.run().iter().zip(case.naive()).enumerate() {
                    for (g, e) in numbers(got).iter().zip(&expected) {
                        assert!(
                            (g - e).abs() <= tolerance,
                            "{} output {index}: {g}, expected {e}: {:?} {:?}",
                            op.0,
                            case.sizes,
                            case.directions
                        );
                    }
                    assert_eq!(got.len(), expected.len());
                }
            }
        }
    }

    #[test]
    fn many_steps_and_batches_take_the_blocked_ways() {
        let mut random = Random::new(6);
        for op in OPS {
            let mut case = Case::random(&mut random, op, DataType::Float32);
            let sizes = [9, 17, 21, 19];
            case.sizes = sizes;
            (case.directions, case.batch_first, case.lengths) = (vec![false, true], false, vec![9; 17]);
            let rows = op.1 * 19;
            let shapes = [vec![9, 17, 21], vec![2, rows, 21], vec![2, rows, 19], vec![2, 2 * rows]];
            case.tensors = shapes.iter().map(|s| Some(random.tensor(s))).chain([None, None, None]).collect();
            for (got, expected) in case.run().iter().zip(case.naive()) {
                assert!(numbers(got).iter().zip(&expected).all(|(g, e)| (g - e).abs() < 1e-4), "{}", op.0);
            }
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        for (op, gates) in OPS {
            let node = || Single::new(op, 22).outputs(2);
            for [steps, batch, input, hidden] in [[0, 2, 3, 4], [2, 0, 3, 4], [2, 3, 0, 4], [2, 3, 4, 0]] {
                let zeros = |shape: &[usize]| f32s(shape, vec![0.0; shape.iter().product()]);
                let w = [
                    zeros(&[steps, batch, input]),
                    zeros(&[1, gates * hidden, input]),
                    zeros(&[1, gates * hidden, hidden]),
                ];
                let out = node().run(&w).expect("empty is no error");
                assert_eq!(out[0].shape(), [steps, 1, batch, hidden]);
                assert_eq!(out[1].shape(), [1, batch, hidden]);
                assert!(numbers(&out[1]).iter().all(|&v| v == 0.0));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut random = Random::new(7);
        let mut t = |shape: &[usize]| random.tensor(shape);
        let good = [t(&[2, 1, 3]), t(&[1, 4, 3]), t(&[1, 4, 4])];
        assert_eq!(Single::new("RNN", 22).run(&good).expect("fits")[0].shape(), [2, 1, 1, 4]);
        for (index, shape) in
            [(0, vec![2, 3]), (1, vec![1, 4, 2]), (1, vec![2, 4, 3]), (2, vec![1, 4, 3]), (2, vec![1, 5, 4])]
        {
            let mut bad = good.clone();
            bad[index] = t(&shape);
            assert_eq!(Single::new("RNN", 22).error(&bad).kind(), ErrorKind::ShapeMismatch, "{shape:?}");
        }
        assert_eq!(Single::new("RNN", 22).int("hidden_size", 5).error(&good).kind(), ErrorKind::ShapeMismatch);
        assert_eq!(Single::new("RNN", 22).int("layout", 2).error(&good).kind(), ErrorKind::Unsupported);
        let named = |names: &[&str]| Attribute::Strings(names.iter().map(|n| n.as_bytes().to_vec()).collect());
        let error = Single::new("RNN", 22).with("activations", named(&["Swish"])).error(&good);
        assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("swish"), "{error}");
        assert_eq!(
            Single::new("RNN", 22).with("activations", named(&["Affine"])).error(&good).kind(),
            ErrorKind::InvalidModel
        );
        assert_eq!(
            Single::new("RNN", 22).with("activations", named(&["Tanh"; 3])).error(&good).kind(),
            ErrorKind::InvalidModel
        );
        for lengths in [[3], [-1]] {
            let lengths = Feed::Tensor(Tensor::from_vec(vec![1], lengths.to_vec()).expect("one length"));
            let inputs =
                good.iter().map(|t| Some(Feed::Tensor(t.clone()))).chain([None, Some(lengths)]).collect::<Vec<_>>();
            let error = Single::new("RNN", 22).feeds(&inputs).expect_err("too long or negative");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }
}
