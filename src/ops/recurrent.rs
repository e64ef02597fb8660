//! What RNN, GRU and LSTM share.

use super::dynamic_quantize_linear::round_trip;
use super::inputs::{Info, Inputs, Type, Value};
use super::real::{Number, computed_in, read, same_floats, write};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::{Device, UnaryOp};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
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
        let lengths = match inputs.ints(LENGTHS)? {
            Some(lengths) => lengths.into_iter().map(|l| l as usize).collect(),
            None => vec![steps; batch],
        };
        let directions = self.directions.len();
        let width = self.cell.gates() * hidden;
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

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let sizes = self.sizes(&inputs)?;
        computed_in!(inputs.dtype(X)?, T => self.compute::<T>(&inputs, sizes))
    }
}
