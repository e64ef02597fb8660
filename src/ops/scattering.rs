//! What Scatter, ScatterElements and ScatterND share: updates at positions, later ones over or
//! combined with earlier ones.

use super::indexing::{check_element_indices, depth, element_positions, integers, run_positions};
use super::inputs::{Info, Inputs, Type, Value, one, output};
use super::{Attributes, Dtypes, Op, Operator, axis_of, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reduction {
    None,
    Add,
    Mul,
    Max,
    Min,
}

struct Scatter {
    /// The axis along which single elements are scattered; none for slices at index tuples.
    axis: Option<i64>,
    reduction: Reduction,
}

/// An operator with data, indices and updates.
pub const fn operator(
    name: &'static str,
    attributes: &'static [&'static str],
    build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
) -> Operator {
    Operator { name, inputs: 3..=3, attributes, parameters: &[1], build, ..Operator::DEFAULT }
}

/// Scatters along the attribute `axis` where `elements`, else slices at index tuples.
pub fn build(attributes: &Attributes<'_>, elements: bool) -> Result<Box<dyn Op>> {
    attributes.since(16, "reduction")?;
    let axis = if elements { Some(attributes.int("axis")?.unwrap_or(0)) } else { None };
    let name = attributes.choice("reduction", &["none", "add", "mul", "max", "min"])?;
    let reduction = match name {
        "add" => Reduction::Add,
        "mul" => Reduction::Mul,
        "max" => Reduction::Max,
        "min" => Reduction::Min,
        _ => Reduction::None,
    };
    let late = matches!(reduction, Reduction::Max | Reduction::Min) && attributes.opset < 18;
    ensure!(!late, InvalidModel, "reduction \"{name}\" came with opset 18, the model uses {}", attributes.opset);
    Ok(Box::new(Scatter { axis, reduction }))
}

impl Op for Scatter {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let allowed = if self.reduction == Reduction::None { Dtypes::All } else { Dtypes::Any };
        let dtype = tensor_type(inputs, 0, allowed)?;
        tensor_type(inputs, 1, if self.axis.is_some() { Dtypes::Index } else { Dtypes::Only(DataType::Int64) })?;
        tensor_type(inputs, 2, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (data, indices, updates) = (inputs.shape(0)?, inputs.shape(1)?, inputs.shape(2)?);
        let expected = match self.axis {
            Some(axis) => {
                check_element_indices(data, indices, axis_of(axis, data.len())?)?;
                indices.to_vec()
            }
            None => [&indices[..indices.len().saturating_sub(1)], &data[depth(data, indices, 0)?..]].concat(),
        };
        ensure!(updates == expected, ShapeMismatch, "updates: expected {expected:?}, got {updates:?}");
        one(inputs.dtype(0)?, data)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let (data, shape, indices) = (inputs.shape(0)?, inputs.shape(1)?, integers(&inputs, 1)?);
        let (run, positions) = match self.axis {
            Some(axis) => (1, element_positions(data, shape, axis_of(axis, data.len())?, &indices)?),
            None => {
                let depth = depth(data, shape, 0)?;
                (data[depth..].iter().product(), run_positions(data, depth, 0, &indices)?)
            }
        };
        output(scattered(self.reduction, &inputs.take_host(0)?, &positions, run, &inputs.take_host(2)?)?)
    }
}

fn scattered(reduction: Reduction, data: &Tensor, positions: &[usize], run: usize, updates: &Tensor) -> Result<Tensor> {
    let (dtype, shape) = (data.dtype(), data.shape());
    if run == 0 || data.is_empty() {
        return Ok(data.clone());
    }
    if reduction == Reduction::None {
        return data.with_runs(run, positions, updates);
    }
    if dtype.is_float() {
        let mut out = data.to_f64s()?;
        let f: fn(f64, f64) -> f64 = match reduction {
            Reduction::Add => |a, b| a + b,
            Reduction::Mul => |a, b| a * b,
            // NaN stays, and comes in.
            Reduction::Max => |a, b| if b > a || b.is_nan() { b } else { a },
            Reduction::Min => |a, b| if b < a || b.is_nan() { b } else { a },
            Reduction::None => bail!(Internal, "nothing to reduce"),
        };
        combine(&mut out, positions, run, &updates.to_f64s()?, f);
        return Tensor::from_f64s(dtype, shape, out);
    }
    let mut out = data.to_i64s()?;
    let f: fn(i64, i64) -> i64 = match reduction {
        Reduction::Add => i64::wrapping_add,
        Reduction::Mul => i64::wrapping_mul,
        Reduction::Max if dtype == DataType::Uint64 => |a, b| (a as u64).max(b as u64) as i64,
        Reduction::Min if dtype == DataType::Uint64 => |a, b| (a as u64).min(b as u64) as i64,
        Reduction::Max => i64::max,
        Reduction::Min => i64::min,
        Reduction::None => bail!(Internal, "nothing to reduce"),
    };
    combine(&mut out, positions, run, &updates.to_i64s()?, f);
    Tensor::from_i64s(dtype, shape, out)
}

fn combine<T: Copy>(data: &mut [T], positions: &[usize], run: usize, updates: &[T], f: fn(T, T) -> T) {
    for (&position, update) in positions.iter().zip(updates.chunks_exact(run)) {
        for (a, &b) in data[position * run..(position + 1) * run].iter_mut().zip(update) {
            *a = f(*a, b);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ErrorKind;
    use crate::graph::Tensor;
    use crate::support::{Random, Single, compare, f32s, i64s, indices, numbers, offset};

    fn combined(reduction: &str, a: f64, b: f64) -> f64 {
        match reduction {
            "add" => a + b,
            "mul" => a * b,
            "max" => a.max(b),
            "min" => a.min(b),
            _ => b,
        }
    }

    const REDUCTIONS: [&str; 5] = ["none", "add", "mul", "max", "min"];

    #[test]
    fn elements_are_scattered_along_every_axis() {
        let random = &mut Random::new(1);
        for rank in 1..4 {
            for axis in 0..rank {
                for reduction in REDUCTIONS {
                    let shape: Vec<usize> = (0..rank).map(|_| random.within(2, 4)).collect();
                    let mut part: Vec<usize> = shape.iter().map(|&s| random.within(0, s)).collect();
                    part[axis] = 5;
                    let (data, updates) = (random.tensor(&shape), random.tensor(&part));
                    let size = shape[axis] as i64;
                    // More updates than places, so that some meet.
                    let at: Vec<i64> =
                        (0..updates.len()).map(|_| random.within(0, 2 * size as usize - 1) as i64 - size).collect();
                    let mut expected = numbers(&data);
                    for ((i, &index), update) in indices(&part).iter().zip(&at).zip(numbers(&updates)) {
                        let mut to = i.clone();
                        to[axis] = index.rem_euclid(size) as usize;
                        let place = &mut expected[offset(&shape, &to)];
                        *place = combined(reduction, *place, update);
                    }
                    let operator = Single::new("ScatterElements", 18).int("axis", axis as i64 - rank as i64);
                    let out = operator.string("reduction", reduction).one(&[data, i64s(&part, &at), updates]);
                    let expected = f32s(&shape, expected.into_iter().map(|v| v as f32).collect());
                    compare(&out, &expected, 1e-6, 0.0).unwrap_or_else(|e| panic!("{reduction}: {e}"));
                }
            }
        }
    }

    #[test]
    fn slices_are_scattered_at_index_tuples() {
        let random = &mut Random::new(2);
        for depth in 1..4 {
            for reduction in REDUCTIONS {
                let shape = [3, 2, 4];
                let tuples = 7;
                let data = random.tensor(&shape);
                let part = [&[tuples], &shape[depth..]].concat();
                let updates = random.tensor(&part);
                let mut at = Vec::new();
                for _ in 0..tuples {
                    at.extend(shape[..depth].iter().map(|&s| random.within(0, 2 * s - 1) as i64 - s as i64));
                }
                let mut expected = numbers(&data);
                for (i, update) in indices(&part).iter().zip(numbers(&updates)) {
                    let tuple =
                        at[i[0] * depth..][..depth].iter().zip(shape).map(|(v, s)| v.rem_euclid(s as i64) as usize);
                    let to: Vec<usize> = tuple.chain(i[1..].iter().copied()).collect();
                    let place = &mut expected[offset(&shape, &to)];
                    *place = combined(reduction, *place, update);
                }
                let operator = Single::new("ScatterND", 18).string("reduction", reduction);
                let out = operator.one(&[data, i64s(&[tuples, depth], &at), updates]);
                let expected = f32s(&shape, expected.into_iter().map(|v| v as f32).collect());
                compare(&out, &expected, 1e-6, 0.0).unwrap_or_else(|e| panic!("{reduction}: {e}"));
            }
        }
    }

    fn reduced(reduction: &str, data: Tensor, updates: Tensor) -> Tensor {
        let at = i64s(updates.shape(), &vec![0; updates.len()]);
        Single::new("ScatterElements", 18).string("reduction", reduction).one(&[data, at, updates])
    }

    #[test]
    fn integers_wrap_and_unsigned_ones_compare_as_such() {
        let bytes = |v: u8| Tensor::from_vec(vec![1], vec![v]).expect("one");
        assert_eq!(reduced("add", bytes(250), bytes(10)).bytes(), Some(&[4u8][..]));
        assert_eq!(reduced("mul", bytes(16), bytes(17)).bytes(), Some(&[16u8][..]));
        let wide = |v: u64| Tensor::from_vec(vec![1], vec![v]).expect("one");
        let one = |t: Tensor| t.as_slice::<u64>().map(|v| v[0]);
        assert_eq!(one(reduced("max", wide(1), wide(u64::MAX))), Some(u64::MAX));
        assert_eq!(one(reduced("min", wide(1), wide(u64::MAX))), Some(1));
        assert_eq!(one(reduced("add", wide(u64::MAX), wide(1 << 63))), Some((1 << 63) - 1));
        let exact = i64s(&[1], &[(1 << 53) + 1]);
        compare(&reduced("max", i64s(&[1], &[0]), exact.clone()), &exact, 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn nan_comes_in_and_stays() {
        for reduction in ["max", "min", "add", "mul"] {
            for (data, updates) in [(f32::NAN, [1.0, 2.0]), (1.0, [f32::NAN, 2.0]), (1.0, [2.0, f32::NAN])] {
                let out = reduced(reduction, f32s(&[1], vec![data]), f32s(&[2], updates.to_vec()));
                assert!(numbers(&out)[0].is_nan(), "{reduction}: {data}, {updates:?}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let x = f32s(&[2, 2], vec![0.0; 4]);
        let scatter = |opset, reduction| Single::new("ScatterElements", opset).string("reduction", reduction);
        let good = [x.clone(), i64s(&[1, 1], &[0]), f32s(&[1, 1], vec![1.0])];
        assert_eq!(scatter(16, "max").error(&good).kind(), ErrorKind::InvalidModel);
        assert_eq!(scatter(13, "none").error(&good).kind(), ErrorKind::InvalidModel);
        assert_eq!(scatter(18, "mean").error(&good).kind(), ErrorKind::Unsupported);
        let mut far = good.clone();
        far[1] = i64s(&[1, 1], &[2]);
        assert_eq!(scatter(18, "add").error(&far).kind(), ErrorKind::InvalidArgument);
        let mut long = good.clone();
        long[2] = f32s(&[1, 2], vec![1.0; 2]);
        assert_eq!(scatter(18, "add").error(&long).kind(), ErrorKind::ShapeMismatch);
        let nd = Single::new("ScatterND", 18).error(&[x, i64s(&[1], &[0]), f32s(&[1], vec![1.0])]);
        assert_eq!(nd.kind(), ErrorKind::ShapeMismatch);
        let text = Tensor::from_strings(vec![1], vec!["a".into()]).expect("one");
        let error = scatter(18, "add").error(&[text.clone(), i64s(&[1], &[0]), text]);
        assert_eq!((error.kind(), error.message().contains("string")), (ErrorKind::Unsupported, true), "{error}");
    }
}
