//! Einsum: the sum of products over labelled dimensions, `output[out] = sum(a[in] * b[in] * …)`
//! over all labels that the output has not.
//!
//! Operands are joined from the left; each pair is a batched matrix product over the labels that
//! nothing after it needs.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::multiply_adds::MultiplyAdds;
use super::{Attributes, Dtypes, Op, Operator, binary};
use crate::backend::{Array, BinaryOp, Device, ReduceOp};
use crate::error::{Result, bail, ensure};
use crate::graph::element_count;
use crate::kernels::layout::row_major;

/// Einsum.
pub const OPERATOR: Operator =
    Operator { name: "Einsum", inputs: 1..=4096, attributes: &["equation"], build, ..Operator::DEFAULT };

/// The most elements between two operands.
const MAX_ELEMENTS: usize = 1 << 28;

/// The labels of the dimensions that an ellipsis stands for start here, counted from the last.
const ELLIPSIS: usize = 256;

/// The letters of a term, and where among them an ellipsis stands.
#[derive(Debug, Clone, Default)]
struct Term {
    letters: Vec<usize>,
    ellipsis: Option<usize>,
}

impl Term {
    fn parse(text: &str) -> Result<Self> {
        let mut term = Self::default();
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            match *first {
                letter if letter.is_ascii_alphabetic() => term.letters.push(usize::from(letter)),
                b'.' if after.starts_with(b"..") && term.ellipsis.is_none() => {
                    term.ellipsis = Some(term.letters.len());
                    rest = &after[2..];
                }
                _ => bail!(InvalidModel, "attribute \"equation\": \"{text}\" is no term: expected letters and one ..."),
            }
        }
        Ok(term)
    }

    /// A label for each dimension, `hidden` of them behind the ellipsis.
    fn labels(&self, hidden: usize) -> Vec<usize> {
        let mut labels = self.letters.clone();
        if let Some(at) = self.ellipsis {
            labels.splice(at..at, (0..hidden).rev().map(|d| ELLIPSIS + d));
        }
        labels
    }
}

struct Einsum {
    terms: Vec<Term>,
    result: Term,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(equation) = attributes.string("equation")? else {
        bail!(InvalidModel, "attribute \"equation\" is missing")
    };
    let equation: String = equation.split_whitespace().collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let terms = left.split(',').map(Term::parse).collect::<Result<Vec<_>>>()?;
    let inputs = attributes.inputs();
    ensure!(terms.len() == inputs, InvalidModel, "\"{equation}\" has {} terms for {inputs} inputs", terms.len());
    let letters: Vec<usize> = terms.iter().flat_map(|t| t.letters.iter().copied()).collect();
    let times = |letter: usize, among: &[usize]| among.iter().filter(|&&l| l == letter).count();
    let result = match right {
        Some(right) => Term::parse(right)?,
        None => {
            let mut once: Vec<usize> = letters.iter().copied().filter(|&l| times(l, &letters) == 1).collect();
            once.sort_unstable();
            Term { letters: once, ellipsis: terms.iter().any(|t| t.ellipsis.is_some()).then_some(0) }
        }
    };
    for &letter in &result.letters {
        let known = letters.contains(&letter) && times(letter, &result.letters) == 1;
        ensure!(known, InvalidModel, "the output of \"{equation}\" repeats or invents a label");
    }
    Ok(Box::new(Einsum { terms, result }))
}

/// Every label's size: what the inputs agree on, 1 aside.
struct Sizes(Vec<(usize, usize)>);

impl Sizes {
    fn of(&self, label: usize) -> usize {
        self.0.iter().find(|(l, _)| *l == label).map_or(1, |(_, size)| *size)
    }
}

impl Einsum {
    /// The labels of every input and of the output, and their sizes.
    fn labels(&self, inputs: &Inputs) -> Result<(Vec<Vec<usize>>, Vec<usize>, Sizes)> {
        let (mut all, mut sizes, mut most) = (Vec::with_capacity(self.terms.len()), Sizes(Vec::new()), 0);
        for (index, term) in self.terms.iter().enumerate() {
            let shape = inputs.shape(index)?;
            let hidden = shape.len().checked_sub(term.letters.len());
            let Some(hidden) = hidden.filter(|&hidden| hidden == 0 || term.ellipsis.is_some()) else {
                let letters = term.letters.len();
                bail!(ShapeMismatch, "input {index}: the equation labels {letters} dimensions of {shape:?}")
            };
            most = most.max(hidden);
            let labels = term.labels(hidden);
            for (d, (&label, &size)) in labels.iter().zip(shape).enumerate() {
                let own = labels.iter().position(|&l| l == label).map_or(size, |first| shape[first]);
                ensure!(
                    own == size,
                    ShapeMismatch,
                    "input {index}: dimension {d} of {shape:?} repeats a label of {own}"
                );
                match sizes.0.iter_mut().find(|(l, _)| *l == label) {
                    None => sizes.0.push((label, size)),
                    Some((_, known)) if *known == 1 => *known = size,
                    Some((_, known)) => {
                        let fits = size == *known || size == 1;
                        ensure!(fits, ShapeMismatch, "input {index}: dimension {d} of {shape:?} is {known} elsewhere");
                    }
                }
            }
            all.push(labels);
        }
        Ok((all, self.result.labels(most), sizes))
    }
}

/// An array whose dimensions, none of size 1, have labels.
struct Labelled {
    array: Array,
    labels: Vec<usize>,
}

impl Labelled {
    /// One dimension for each label: the diagonal of those that repeat, nothing of those of size 1.
    fn new(device: &dyn Device, array: Array, labels: &[usize]) -> Result<Self> {
        let shape = array.shape().to_vec();
        let (mut kept, mut sizes, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for ((&label, &size), step) in labels.iter().zip(&shape).zip(row_major(&shape)) {
            match kept.iter().position(|&l| l == label) {
                Some(at) => steps[at] += step as usize,
                None if size != 1 => {
                    kept.push(label);
                    sizes.push(size);
                    steps.push(step as usize);
                }
                None => {}
            }
        }
        let repeats = sizes.iter().product::<usize>() != shape.iter().product::<usize>();
        if !repeats {
            return Ok(Self { array: device.reshape(array, &sizes)?, labels: kept });
        }
        let mut positions = vec![0];
        for (&size, &step) in sizes.iter().zip(&steps) {
            positions = positions.iter().flat_map(|&p| (0..size).map(move |i| p + i * step)).collect();
        }
        let flat = device.reshape(array, &[shape.iter().product()])?;
        Ok(Self { array: device.gather(flat, 0, &positions, &sizes)?, labels: kept })
    }

    /// Sums over every label that is not `needed`.
    fn summed(self, device: &dyn Device, needed: impl Fn(usize) -> bool) -> Result<Self> {
        let axes: Vec<usize> = (0..self.labels.len()).filter(|&d| !needed(self.labels[d])).collect();
        if axes.is_empty() {
            return Ok(self);
        }
        let reduced = device.reduce(ReduceOp::Sum, self.array, &axes)?;
        let kept: Vec<usize> = (0..self.labels.len()).filter(|d| !axes.contains(d)).collect();
        let shape: Vec<usize> = kept.iter().map(|&d| reduced.shape()[d]).collect();
        Ok(Self { array: device.reshape(reduced, &shape)?, labels: kept.iter().map(|&d| self.labels[d]).collect() })
    }

    /// The dimensions in the order of `groups`, each group as one.
    fn grouped(self, device: &dyn Device, groups: &[&[usize]], sizes: &Sizes) -> Result<Array> {
        let order = groups.iter().flat_map(|g| g.iter());
        let perm: Vec<usize> = order.filter_map(|l| self.labels.iter().position(|own| own == l)).collect();
        let shape: Vec<usize> = groups.iter().map(|g| g.iter().map(|&l| sizes.of(l)).product()).collect();
        device.reshape(device.transpose(self.array, &perm)?, &shape)
    }

    /// The product with `other`, summed over what both have and is not `needed`.
    fn times(self, device: &dyn Device, other: Self, sizes: &Sizes, needed: impl Fn(usize) -> bool) -> Result<Self> {
        let a = self.summed(device, |l| needed(l) || other.labels.contains(&l))?;
        let b = other.summed(device, |l| needed(l) || a.labels.contains(&l))?;
        let (shared, left): (Vec<usize>, Vec<usize>) = a.labels.iter().partition(|l| b.labels.contains(l));
        let (batch, inner): (Vec<usize>, Vec<usize>) = shared.into_iter().partition(|&l| needed(l));
        let right: Vec<usize> = b.labels.iter().copied().filter(|l| !a.labels.contains(l)).collect();
        let labels = [&batch[..], &left, &right].concat();
        let shape: Vec<usize> = labels.iter().map(|&l| sizes.of(l)).collect();
        let count = element_count(&shape)?;
        ensure!(count <= MAX_ELEMENTS, LimitExceeded, "{count} elements between two inputs; at most {MAX_ELEMENTS}");
        let a = a.grouped(device, &[&batch, &left, &inner], sizes)?;
        let b = b.grouped(device, &[&batch, &inner, &right], sizes)?;
        let product = if inner.is_empty() {
            let [groups, rows, _] = *a.shape() else { bail!(Internal, "three groups are three dimensions") };
            let columns = b.shape()[2];
            device.binary(BinaryOp::Mul, a, b, &[groups, rows, columns])?
        } else {
            device.matmul(a, b)?
        };
        Ok(Self { array: device.reshape(product, &shape)?, labels })
    }
}

impl Op for Einsum {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(binary::same_type(inputs, Dtypes::Number)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (_, result, sizes) = self.labels(inputs)?;
        one(inputs.dtype(0)?, result.into_iter().map(|l| sizes.of(l)).collect::<Vec<_>>())
    }

    fn multiply_adds(&self, inputs: &Inputs, _: &[Option<Info>]) -> Result<MultiplyAdds> {
        // In which order more than two are multiplied is a matter of the equation.
        let (labels, _, Sizes(sizes)) = self.labels(inputs)?;
        let sizes: Vec<usize> = sizes.into_iter().map(|(_, size)| size).collect();
        Ok(if labels.len() == 2 { MultiplyAdds::float(&sizes) } else { MultiplyAdds::default() })
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let (labels, result, sizes) = self.labels(&inputs)?;
        let each = labels.iter().enumerate();
        let operands = each.map(|(index, labels)| Labelled::new(device, inputs.array(index)?, labels));
        let mut operands = operands.collect::<Result<Vec<_>>>()?.into_iter();
        let Some(mut total) = operands.next() else { bail!(InvalidModel, "there are no inputs") };
        while let Some(next) = operands.next() {
            let later = operands.as_slice();
            let needed = |label| result.contains(&label) || later.iter().any(|o| o.labels.contains(&label));
            total = total.times(device, next, &sizes, needed)?;
        }
        let total = total.summed(device, |label| result.contains(&label))?;
        let each: Vec<[usize; 1]> = result.iter().filter(|l| total.labels.contains(l)).map(|&l| [l]).collect();
        let groups: Vec<&[usize]> = each.iter().map(|l| &l[..]).collect();
        let ordered = total.grouped(device, &groups, &sizes)?;
        output(device.reshape(ordered, shape_of(outputs, 0)?)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::{DataType, Tensor};
    use crate::support::{Random, Single, compare, f32s, i64s, numbers};

    fn einsum(equation: &str, inputs: &[Tensor]) -> Tensor {
        Single::new("Einsum", 12).string("equation", equation).one(inputs)
    }

    /// Every combination of all labels, one after another; terms without ellipsis.
    fn naive(equation: &str, inputs: &[Tensor]) -> Tensor {
        let (left, right) = equation.split_once("->").expect("an explicit output");
        let terms: Vec<&str> = left.split(',').collect();
        let mut letters: Vec<char> = left.chars().filter(char::is_ascii_alphabetic).collect();
        letters.sort_unstable();
        letters.dedup();
        let size = |letter: char| {
            let sizes = terms.iter().zip(inputs).flat_map(|(t, x)| t.chars().zip(x.shape().to_vec()));
            let all: Vec<usize> = sizes.filter(|(l, _)| *l == letter).map(|(_, s)| s).collect();
            if all.contains(&0) { 0 } else { all.into_iter().max().unwrap_or(1) }
        };
        let sizes: Vec<usize> = letters.iter().map(|&l| size(l)).collect();
        let shape: Vec<usize> = right.chars().map(size).collect();
        let mut out = vec![0f64; shape.iter().product()];
        for combination in 0..sizes.iter().product() {
            let mut rest: usize = combination;
            let index: Vec<usize> = sizes
                .iter()
                .map(|&s| {
                    let i = rest % s;
                    rest /= s;
                    i
                })
                .collect();
            let at = |term: &str, shape: &[usize]| {
                term.chars().zip(shape).fold(0, |at, (l, &s)| {
                    let i = letters.iter().position(|&x| x == l).map_or(0, |p| index[p]);
                    at * s + if s == 1 { 0 } else { i }
                })
            };
            let product: f64 = terms.iter().zip(inputs).map(|(t, x)| numbers(x)[at(t, x.shape())]).product();
            out[at(right, &shape)] += product;
        }
        f32s(&shape, out.into_iter().map(|v| v as f32).collect())
    }

    #[test]
    fn random_equations_agree_with_loops() {
        let mut random = Random::new(3);
        for round in 0..60 {
            let sizes: Vec<usize> = (0..5).map(|_| random.within(usize::from(round % 7 != 0), 3)).collect();
            let (mut terms, mut inputs) = (Vec::new(), Vec::new());
            for _ in 0..random.within(1, 4) {
                let labels: Vec<usize> = (0..random.within(0, 4)).map(|_| random.within(0, 4)).collect();
                // Some sizes are 1 and broadcast, where the label stands once in the term.
                let once = |l: usize| labels.iter().filter(|&&x| x == l).count() == 1;
                let shape: Vec<usize> =
                    labels.iter().map(|&l| if once(l) && random.within(0, 4) == 0 { 1 } else { sizes[l] }).collect();
                terms.push(labels.iter().map(|&l| char::from(b'a' + l as u8)).collect::<String>());
                inputs.push(random.tensor(&shape));
            }
            let mut right: Vec<char> = terms.concat().chars().collect();
            right.sort_unstable();
            right.dedup();
            right.retain(|_| random.within(0, 1) == 0);
            if random.within(0, 1) == 0 {
                right.reverse();
            }
            let equation = format!("{}->{}", terms.join(","), right.into_iter().collect::<String>());
            if let Err(difference) = compare(&einsum(&equation, &inputs), &naive(&equation, &inputs), 1e-5, 1e-5) {
                panic!("{equation}: {difference}");
            }
        }
    }

    #[test]
    fn ellipses_and_implicit_outputs() {
        let mut random = Random::new(4);
        let (a, b) = (random.tensor(&[2, 1, 3, 4]), random.tensor(&[5, 4, 3]));
        for (short, long) in [
            ("...ij,...jk", "abij,bjk->abik"),
            ("... ij, ...jk -> ik...", "abij,bjk->ikab"),
            ("...ij,...ji->", "abij,bji->"),
            ("ab...,...ji->...bj", "abyx,xji->yxbj"),
        ] {
            let (a, b) = if short.starts_with("ab") {
                (random.tensor(&[2, 2, 1, 5]), b.clone())
            } else {
                (a.clone(), b.clone())
            };
            let inputs = [a, b];
            // The last pair's ellipses are of one dimension against two.
            compare(&einsum(short, &inputs), &naive(long, &inputs), 1e-5, 1e-5).expect(short);
        }
        // Labels that stand once, by their letters; upper case first.
        let x = random.tensor(&[2, 3]);
        compare(&einsum("ba", std::slice::from_ref(&x)), &naive("ba->ab", std::slice::from_ref(&x)), 0.0, 0.0).expect("a transpose");
        compare(&einsum("aB", std::slice::from_ref(&x)), &naive("aB->Ba", &[x]), 0.0, 0.0).expect("a transpose");
    }

    #[test]
    fn integers_wrap_and_float64_is_exact() {
        let x = i64s(&[2], &[i64::MAX, 2]);
        assert_eq!(einsum("i,i->", &[x.clone(), x]).as_slice::<i64>(), Some(&[5][..]));
        let x = Tensor::from_vec(vec![2], vec![1e300f64, 1.0]).expect("two");
        let y = einsum("i->", &[x]);
        assert_eq!((y.dtype(), y.as_slice::<f64>()), (DataType::Float64, Some(&[1e300 + 1.0][..])));
    }

    #[test]
    fn wrong_equations_and_shapes_are_refused() {
        let error = |equation: &str, shapes: &[&[usize]]| {
            let inputs: Vec<Tensor> = shapes.iter().map(|s| f32s(s, vec![0.0; s.iter().product()])).collect();
            Single::new("Einsum", 12).string("equation", equation).error(&inputs).kind()
        };
        for equation in ["i,j", "i->j", "i->ii", "i.->i", "......", "1->", "i->i->i"] {
            assert_eq!(error(equation, &[&[2]]), ErrorKind::InvalidModel, "{equation}");
        }
        assert_eq!(error("ij", &[&[2]]), ErrorKind::ShapeMismatch);
        assert_eq!(error("i", &[&[2, 2]]), ErrorKind::ShapeMismatch);
        assert_eq!(error("ii", &[&[1, 2]]), ErrorKind::ShapeMismatch);
        assert_eq!(error("i,i", &[&[3], &[2]]), ErrorKind::ShapeMismatch);
        assert_eq!(error("a,b,c,d,a,b,c,d->", &[&[200][..]; 8]), ErrorKind::LimitExceeded);
    }
}
