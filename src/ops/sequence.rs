//! What the sequence operators share.

use super::inputs::{Inputs, Type, Value};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;

/// The dtype of the sequence's tensors at input `index`.
pub fn sequence_type(inputs: &[Option<Type>], index: usize) -> Result<DataType> {
    match inputs.get(index) {
        Some(Some(Type::Sequence(dtype))) => Ok(*dtype),
        Some(Some(other)) => bail!(InvalidModel, "input {index}: expected a sequence, got {other}"),
        _ => bail!(InvalidModel, "input {index} is missing"),
    }
}

/// Takes the sequence at input `index` out.
pub fn take_sequence(inputs: &mut Inputs, index: usize) -> Result<(DataType, Vec<Value>)> {
    match inputs.take(index)? {
        Value::Sequence(dtype, values) => Ok((dtype, values)),
        other => bail!(InvalidModel, "input {index}: expected a sequence, got {}", other.describe()),
    }
}

/// Resolves a position that may count from the end; `limit` is the first one too far.
pub fn position(at: i64, length: usize, limit: usize) -> Result<usize> {
    let resolved = if at < 0 { at + length as i64 } else { at };
    ensure!(
        (0..limit as i64).contains(&resolved),
        InvalidArgument,
        "position {at} is outside of a sequence of {length}"
    );
    Ok(resolved as usize)
}

#[cfg(test)]
mod tests {
    use crate::graph::{DataType, Tensor};
    use crate::support::{Single, compare, f32s, i64s, into_tensor};
    use crate::{ErrorKind, Feed};

    fn text(words: &str) -> Tensor {
        let words: Vec<String> = words.split_whitespace().map(String::from).collect();
        Tensor::from_strings(vec![words.len()], words).expect("as many")
    }

    fn same(got: &Tensor, expected: &Tensor) {
        compare(got, expected, 0.0, 0.0).unwrap_or_else(|e| panic!("{e}"));
    }

    fn run(operator: Single<'_>, inputs: &[Feed]) -> crate::Result<Feed> {
        let inputs: Vec<Option<Feed>> = inputs.iter().cloned().map(Some).collect();
        operator.feeds(&inputs).map(|mut out| out.remove(0))
    }

    fn tensors(feed: Feed) -> (DataType, Vec<Tensor>) {
        match feed {
            Feed::Sequence(dtype, tensors) => (dtype, tensors),
            other => panic!("expected a sequence, got {other:?}"),
        }
    }

    #[test]
    fn every_dtype_is_split_and_joined_again() {
        let float8 = Tensor::from_bytes(DataType::Float8E4M3FN, vec![3], vec![1, 0x7f, 3]).expect("three");
        let half = Tensor::from_bytes(DataType::BFloat16, vec![3], vec![1, 2, 3, 4, 5, 6]).expect("three");
        for x in [text("a b c"), float8, half, f32s(&[3], vec![1.0, 2.0, 3.0])] {
            let split = run(Single::new("SplitToSequence", 11), &[x.clone().into(), i64s(&[], &[2]).into()]);
            let (dtype, parts) = tensors(split.expect("it fits"));
            assert_eq!(dtype, x.dtype());
            same(&parts[0], &x.take(&[2], &[0, 1]).expect("inside"));
            same(&parts[1], &x.take(&[1], &[2]).expect("inside"));
            let joined = run(Single::new("ConcatFromSequence", 11).int("axis", 0), &[Feed::Sequence(dtype, parts)]);
            same(&into_tensor(joined.expect("it fits")), &x);
            let single = run(Single::new("SplitToSequence", 11).int("keepdims", 0), &[x.clone().into()]);
            let stack = Single::new("ConcatFromSequence", 11).int("axis", -1).int("new_axis", 1);
            let (_, single) = tensors(single.expect("it fits"));
            assert_eq!(single[0].shape(), [0; 0]);
            same(&into_tensor(run(stack, &[Feed::Sequence(dtype, single)]).expect("it fits")), &x);
        }
    }

    #[test]
    fn positions_count_from_either_end() {
        let words = || Feed::Sequence(DataType::String, vec![text("a"), text("b c"), text("d")]);
        let at = |name, position: i64| run(Single::new(name, 11), &[words(), i64s(&[], &[position]).into()]);
        for position in [1, -2] {
            same(&into_tensor(at("SequenceAt", position).expect("inside")), &text("b c"));
            assert_eq!(tensors(at("SequenceErase", position).expect("inside")).1.len(), 2);
        }
        let insert = |position: Option<i64>| {
            let position = position.map(|p| Feed::from(i64s(&[], &[p])));
            let inputs: Vec<Feed> = [Some(words()), Some(text("x").into()), position].into_iter().flatten().collect();
            run(Single::new("SequenceInsert", 11), &inputs)
                .map(|out| tensors(out).1.iter().position(|t| t.strings() == text("x").strings()))
        };
        for (position, place) in [(None, 3), (Some(3), 3), (Some(0), 0), (Some(-3), 0), (Some(-1), 2)] {
            assert_eq!(insert(position).expect("inside"), Some(place));
        }
        for position in [4, -4, i64::MIN, i64::MAX] {
            assert_eq!(insert(Some(position)).expect_err("outside").kind(), ErrorKind::InvalidArgument);
            for name in ["SequenceAt", "SequenceErase"] {
                assert_eq!(at(name, position).expect_err("outside").kind(), ErrorKind::InvalidArgument);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let x = Feed::from(f32s(&[4], vec![0.0; 4]));
        for (split, kind) in [
            (i64s(&[], &[0]), ErrorKind::InvalidArgument),
            (i64s(&[], &[-1]), ErrorKind::InvalidArgument),
            (i64s(&[2], &[2, 3]), ErrorKind::ShapeMismatch),
            (i64s(&[2], &[5, -1]), ErrorKind::ShapeMismatch),
        ] {
            let error =
                run(Single::new("SplitToSequence", 11), &[x.clone(), split.into()]).expect_err("it does not fit");
            assert_eq!(error.kind(), kind);
        }
        let whole = run(Single::new("SplitToSequence", 11), &[x, i64s(&[], &[i64::MAX]).into()]).expect("one part");
        assert_eq!(tensors(whole).1.len(), 1);
        let join = |tensors| {
            run(Single::new("ConcatFromSequence", 11).int("axis", 0), &[Feed::Sequence(DataType::Float32, tensors)])
        };
        assert_eq!(join(vec![]).expect_err("nothing").kind(), ErrorKind::InvalidArgument);
        let uneven = join(vec![f32s(&[1, 2], vec![0.0; 2]), f32s(&[1, 3], vec![0.0; 3])]);
        assert_eq!(uneven.expect_err("they differ").kind(), ErrorKind::ShapeMismatch);
    }
}
