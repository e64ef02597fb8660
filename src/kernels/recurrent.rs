//! Recurrent layers. Formulas: ONNX operator specifications of RNN, GRU and LSTM, opset 22.

use super::elementwise::{UnaryOp, unary};
use super::real::{Real, Weights, add_product};

/// Values of gates that are computed ahead.
const AHEAD: usize = 1 << 20;

/// A function of a gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    Unary(UnaryOp),
    /// `alpha * x + beta`.
    Affine(f32, f32),
    /// `alpha * tanh(beta * x)`.
    ScaledTanh(f32, f32),
    /// `x` from `alpha` on, else 0.
    Threshold(f32),
}

impl Activation {
    fn apply<T: Real>(self, data: &mut [T]) {
        let of = |v: f32| T::of(f64::from(v));
        match self {
            Self::Unary(op) => unary(op, data),
            Self::Affine(alpha, beta) => data.iter_mut().for_each(|v| *v = of(alpha) * *v + of(beta)),
            Self::ScaledTanh(alpha, beta) => data.iter_mut().for_each(|v| *v = of(alpha) * (of(beta) * *v).tanh()),
            Self::Threshold(alpha) => data.iter_mut().filter(|v| **v < of(alpha)).for_each(|v| *v = T::zero()),
        }
    }
}

/// Which cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    Rnn,
    Gru { linear_before_reset: bool },
    Lstm { input_forget: bool },
}

impl Cell {
    /// Gates, each of which has weights.
    pub const fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
        }
    }

    /// Activation functions of one direction.
    pub const fn activations(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru { .. } => 2,
            Self::Lstm { .. } => 3,
        }
    }
}

/// Where the row of a time and a batch lies: rows from one time, and from one batch, to the next.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    pub first: usize,
    pub time: usize,
    pub batch: usize,
}

impl Rows {
    fn at(self, time: usize, batch: usize, width: usize) -> std::ops::Range<usize> {
        let start = (self.first + time * self.time + batch * self.batch) * width;
        start..start + width
    }
}

/// One direction of a layer.
pub struct Layer<'a, T> {
    pub cell: Cell,
    pub steps: usize,
    pub batch: usize,
    pub input: usize,
    pub hidden: usize,
    pub reverse: bool,
    pub clip: Option<f32>,
    pub activations: &'a [Activation],
    /// Steps of each batch.
    pub lengths: &'a [usize],
    /// `[gates * hidden, input]`.
    pub w: &'a [T],
    /// `[gates * hidden, hidden]`.
    pub r: &'a [T],
    /// Those of `w`, then those of `r`.
    pub bias: Option<&'a [T]>,
    /// Of the input, output and forget gates.
    pub peepholes: Option<&'a [T]>,
    /// What the state goes through before it is multiplied by `r`.
    pub rounding: Option<fn(&mut [T])>,
}

impl<T: Real> Layer<'_, T> {
    /// Steps through `x`, of whose rows `x_rows` tells; `h` and `c`, `[batch, hidden]`, are the
    /// first states and become the last; every `h` goes to `y` too.
    pub fn run(&self, x: &[T], x_rows: Rows, h: &mut [T], c: &mut [T], y: &mut [T], y_rows: Rows) {
        let (hidden, input, batch) = (self.hidden, self.input, self.batch);
        let width = self.cell.gates() * hidden;
        if hidden == 0 || batch == 0 {
            return;
        }
        let resets_late = self.cell == Cell::Gru { linear_before_reset: true };
        let mut bias = vec![T::zero(); width];
        if let Some(both) = self.bias {
            let (of_w, of_r) = both.split_at(width);
            bias.copy_from_slice(of_w);
            let summed = if resets_late { 2 * hidden } else { width };
            bias.iter_mut().zip(&of_r[..summed]).for_each(|(b, &r)| *b = *b + r);
        }
        // Rows of `r` that are multiplied by the state itself.
        let direct = if self.cell == (Cell::Gru { linear_before_reset: false }) { 2 * hidden } else { width };
        let state = Weights::new(&self.r[..direct * hidden], [direct, hidden], batch);
        let reset = Weights::new(&self.r[direct * hidden..], [width - direct, hidden], batch);
        let mut recurrent = vec![T::zero(); batch * direct];
        let mut candidate = vec![T::zero(); batch * (width - direct)];

        let steps = self.lengths.iter().copied().max().unwrap_or(0).min(self.steps);
        let ahead = (AHEAD / (batch * width)).clamp(1, steps.max(1));
        let mut xs = vec![T::zero(); ahead * batch * input];
        let mut gates = vec![T::zero(); ahead * batch * width];
        for first in (0..steps).step_by(ahead) {
            let count = ahead.min(steps - first);
            for step in 0..count {
                for (b, &length) in self.lengths.iter().enumerate() {
                    if let Some(time) = self.time(first + step, length) {
                        let at = (step * batch + b) * input;
                        xs[at..at + input].copy_from_slice(&x[x_rows.at(time, b, input)]);
                    }
                }
            }
            let gates = &mut gates[..count * batch * width];
            gates.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(&bias));
            let rows = count * batch;
            add_product(&xs[..rows * input], self.w, [rows, input, width], true, gates);
            for (step, gates) in gates.chunks_exact_mut(batch * width).enumerate() {
                recurrent.fill(T::zero());
                let rounded = self.rounding.map(|round| {
                    let mut state = h.to_vec();
                    round(&mut state);
                    state
                });
                state.add_product(rounded.as_deref().unwrap_or(h), batch, &mut recurrent);
                if let Cell::Gru { .. } = self.cell {
                    self.reset(gates, &recurrent, h, &reset, &mut candidate);
                } else {
                    gates.iter_mut().zip(&recurrent).for_each(|(g, &r)| *g = *g + r);
                }
                let states = h.chunks_exact_mut(hidden).zip(c.chunks_exact_mut(hidden));
                for (b, (gates, (h, c))) in gates.chunks_exact_mut(width).zip(states).enumerate() {
                    let Some(time) = self.time(first + step, self.lengths[b]) else { continue };
                    match self.cell {
                        Cell::Rnn => {
                            self.activate(0, gates);
                            h.copy_from_slice(gates);
                        }
                        Cell::Gru { .. } => self.update(gates, h),
                        Cell::Lstm { input_forget } => self.remember(gates, h, c, input_forget),
                    }
                    y[y_rows.at(time, b, hidden)].copy_from_slice(h);
                }
            }
        }
    }

    fn time(&self, step: usize, length: usize) -> Option<usize> {
        (step < length).then(|| if self.reverse { length - 1 - step } else { step })
    }

    fn activate(&self, which: usize, gate: &mut [T]) {
        if let Some(clip) = self.clip {
            let clip = f64::from(clip);
            unary(UnaryOp::Clip { min: -clip, max: clip }, gate);
        }
        self.activations[which].apply(gate);
    }

    /// GRU, up to the sums of the hidden gate; gates are update, reset, hidden.
    fn reset(&self, gates: &mut [T], recurrent: &[T], h: &[T], weights: &Weights<T>, candidate: &mut [T]) {
        let hidden = self.hidden;
        let late = candidate.is_empty();
        let bias = self.bias.map(|b| &b[5 * hidden..]);
        let mut scaled = vec![T::zero(); if late { 0 } else { h.len() }];
        let rows = gates.chunks_exact_mut(3 * hidden).zip(recurrent.chunks_exact(recurrent.len() / self.batch));
        for (b, (gates, recurrent)) in rows.enumerate() {
            let (both, sums) = gates.split_at_mut(2 * hidden);
            both.iter_mut().zip(recurrent).for_each(|(g, &r)| *g = *g + r);
            self.activate(0, both);
            let reset = &both[hidden..];
            if late {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = *sum + reset[j] * (recurrent[2 * hidden + j] + bias.map_or(T::zero(), |bias| bias[j]));
                }
            } else {
                let h = &h[b * hidden..(b + 1) * hidden];
                let scaled = &mut scaled[b * hidden..(b + 1) * hidden];
                scaled.iter_mut().zip(reset).zip(h).for_each(|((s, &r), &h)| *s = r * h);
            }
        }
        if !late {
            candidate.fill(T::zero());
            weights.add_product(&scaled, self.batch, candidate);
            for (gates, more) in gates.chunks_exact_mut(3 * hidden).zip(candidate.chunks_exact(hidden)) {
                gates[2 * hidden..].iter_mut().zip(more).for_each(|(g, &m)| *g = *g + m);
            }
        }
    }

    /// GRU, the rest.
    fn update(&self, gates: &mut [T], h: &mut [T]) {
        let (both, candidate) = gates.split_at_mut(2 * self.hidden);
        self.activate(1, candidate);
        for ((h, &z), &new) in h.iter_mut().zip(&both[..]).zip(&candidate[..]) {
            *h = (T::one() - z) * new + z * *h;
        }
    }

    /// LSTM; gates are input, output, forget, cell.
    fn remember(&self, gates: &mut [T], h: &mut [T], c: &mut [T], input_forget: bool) {
        let hidden = self.hidden;
        let (i, rest) = gates.split_at_mut(hidden);
        let (o, rest) = rest.split_at_mut(hidden);
        let (f, new) = rest.split_at_mut(hidden);
        let peep = |gate: &mut [T], which: usize, c: &[T]| {
            if let Some(p) = self.peepholes {
                let p = &p[which * hidden..(which + 1) * hidden];
                gate.iter_mut().zip(p).zip(c).for_each(|((g, &p), &c)| *g = *g + p * c);
            }
        };
        peep(i, 0, c);
        peep(f, 2, c);
        self.activate(0, i);
        if input_forget {
            f.iter_mut().zip(&i[..]).for_each(|(f, &i)| *f = T::one() - i);
        } else {
            self.activate(0, f);
        }
        self.activate(1, new);
        for (((c, &f), &i), &new) in c.iter_mut().zip(&f[..]).zip(&i[..]).zip(&new[..]) {
            *c = f * *c + i * new;
        }
        peep(o, 1, c);
        self.activate(0, o);
        // ONNX speaks of every activation's input; ONNX Runtime leaves the cell as it is.
        h.copy_from_slice(c);
        self.activations[2].apply(h);
        h.iter_mut().zip(&o[..]).for_each(|(h, &o)| *h = *h * o);
    }
}
