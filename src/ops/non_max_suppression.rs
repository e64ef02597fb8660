//! NonMaxSuppression: for every batch and class the boxes of the highest scores, without those that overlap one chosen
//! before by more than a threshold (intersection over union); `[count, 3]` of batch, class and box.

use super::inputs::{Info, Inputs, Type, Value, output};
use super::{Attributes, Dtypes, Op, Operator, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// NonMaxSuppression.
pub const OPERATOR: Operator = Operator {
    name: "NonMaxSuppression",
    inputs: 2..=5,
    attributes: &["center_point_box"],
    build,
    ..Operator::DEFAULT
};

struct NonMaxSuppression {
    /// Whether boxes are center, width and height, instead of two corners.
    center: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    match attributes.int("center_point_box")?.unwrap_or(0) {
        format @ 0..=1 => Ok(Box::new(NonMaxSuppression { center: format == 1 })),
        other => bail!(InvalidModel, "center_point_box is {other}, expected 0 or 1"),
    }
}

/// A box, its corners in order.
struct Corners {
    low: [f32; 2],
    high: [f32; 2],
}

impl Corners {
    fn new(b: &[f32], center: bool) -> Self {
        if center {
            let (w, h) = (b[2] / 2.0, b[3] / 2.0);
            Self { low: [b[0] - w, b[1] - h], high: [b[0] + w, b[1] + h] }
        } else {
            Self { low: [b[0].min(b[2]), b[1].min(b[3])], high: [b[0].max(b[2]), b[1].max(b[3])] }
        }
    }

    fn area(&self) -> f32 {
        (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])
    }

    /// Whether the two share more than `threshold` of their union.
    fn overlaps(&self, other: &Self, threshold: f32) -> bool {
        let side = |d: usize| (self.high[d].min(other.high[d]) - self.low[d].max(other.low[d])).max(0.0);
        let (shared, own, its) = (side(0) * side(1), self.area(), other.area());
        let union = own + its - shared;
        shared > 0.0 && own > 0.0 && its > 0.0 && union > 0.0 && shared / union > threshold
    }
}

impl Op for NonMaxSuppression {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let float32 = Dtypes::Only(DataType::Float32);
        tensor_type(inputs, 0, float32)?;
        tensor_type(inputs, 1, float32)?;
        optional_type(inputs, 2, Dtypes::Only(DataType::Int64))?;
        optional_type(inputs, 3, float32)?;
        optional_type(inputs, 4, float32)?;
        Ok(vec![Type::Tensor(DataType::Int64)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (boxes, scores) = (inputs.shape(0)?, inputs.shape(1)?);
        let fits = matches!((boxes, scores), (&[b, n, 4], &[batch, _, count]) if b == batch && n == count);
        ensure!(fits, ShapeMismatch, "expected boxes [B, N, 4] and scores [B, C, N], got {boxes:?} and {scores:?}");
        inputs.int(2)?;
        let iou = inputs.number(3)?.unwrap_or(0.0);
        ensure!((0.0..=1.0).contains(&iou), InvalidArgument, "iou_threshold is {iou}, expected 0 to 1");
        inputs.number(4)?;
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let limit = usize::try_from(inputs.int(2)?.unwrap_or(0).max(0)).unwrap_or(usize::MAX);
        let iou = inputs.number(3)?.unwrap_or(0.0) as f32;
        let least = inputs.number(4)?.map(|v| v as f32);
        let (Some(boxes), Some(scores)) = (inputs.host(0)?, inputs.host(1)?) else { bail!(Internal, "no inputs") };
        let &[_, classes, count] = scores.shape() else { bail!(Internal, "the rank went unchecked") };
        let (boxes, scores) = (boxes.to_f32s()?, scores.to_f32s()?);
        let mut chosen = Vec::new();
        // Without boxes or a limit there is nothing to choose.
        let lists = if count > 0 && limit > 0 { scores.chunks_exact(count) } else { [].chunks_exact(1) };
        for (list, scores) in lists.enumerate() {
            let (batch, class) = (list / classes, list % classes);
            let corners = |i: usize| Corners::new(&boxes[(batch * count + i) * 4..][..4], self.center);
            let mut order: Vec<usize> = (0..count).filter(|&i| least.is_none_or(|least| scores[i] > least)).collect();
            // NaN comes last; of equal scores the first box stays first.
            let key = |i: usize| if scores[i].is_nan() { f32::NEG_INFINITY } else { scores[i] + 0.0 };
            order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
            let mut kept: Vec<Corners> = Vec::new();
            for i in order {
                let candidate = corners(i);
                if kept.len() < limit && !kept.iter().any(|k| candidate.overlaps(k, iou)) {
                    kept.push(candidate);
                    chosen.extend([batch as i64, class as i64, i as i64]);
                }
            }
        }
        output(Tensor::from_vec(vec![chosen.len() / 3, 3], chosen)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::support::{Random, Single, f32s, i64s};
    use crate::{ErrorKind, Result, Tensor};

    fn chosen(center: i64, boxes: &Tensor, scores: &Tensor, limit: i64, iou: f32, least: f32) -> Result<Vec<i64>> {
        let number = |v| f32s(&[1], vec![v]);
        let operator = Single::new("NonMaxSuppression", 11).int("center_point_box", center);
        let out = operator.run(&[boxes.clone(), scores.clone(), i64s(&[], &[limit]), number(iou), number(least)])?;
        assert_eq!(out[0].shape()[1], 3);
        Ok(out[0].as_slice::<i64>().expect("int64").to_vec())
    }

    /// `[y1, x1, y2, x2]`, with the same box as center, width and height beside it.
    fn boxes(random: &mut Random, count: usize) -> (Tensor, Tensor) {
        let (mut corners, mut centers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let [y, x, h, w] = [0; 4].map(|_: i32| random.within(1, 16) as f32 * 0.5);
            corners.extend([y, x, y + h, x + w]);
            centers.extend([x + w / 2.0, y + h / 2.0, w, h]);
        }
        (f32s(&[1, count, 4], corners), f32s(&[1, count, 4], centers))
    }

    #[test]
    fn both_formats_and_flipped_corners_agree_with_the_definition() {
        let random = &mut Random::new(1);
        for _ in 0..20 {
            let (corners, centers) = boxes(random, 12);
            let scores = random.tensor(&[1, 2, 12]);
            let all = corners.as_slice::<f32>().expect("float32").to_vec();
            let iou = |a: usize, b: usize| {
                let (a, b) = (&all[a * 4..][..4], &all[b * 4..][..4]);
                let side = |d: usize| (a[d + 2].min(b[d + 2]) - a[d].max(b[d])).max(0.0);
                let area = |c: &[f32]| (c[2] - c[0]) * (c[3] - c[1]);
                side(0) * side(1) / (area(a) + area(b) - side(0) * side(1))
            };
            let mut expected = Vec::new();
            for class in 0..2 {
                let score = |i: usize| scores.as_slice::<f32>().expect("float32")[class * 12 + i];
                let mut left: Vec<usize> = (0..12).filter(|&i| score(i) > -0.5).collect();
                let mut kept = 0;
                while let Some(&best) = left.iter().max_by(|&&a, &&b| score(a).total_cmp(&score(b)))
                    && kept < 4
                {
                    expected.extend([0, class as i64, best as i64]);
                    left.retain(|&i| i != best && iou(best, i) <= 0.3);
                    kept += 1;
                }
            }
            let flipped: Vec<f32> = all.chunks(4).flat_map(|b| [b[2], b[1], b[0], b[3]]).collect();
            for (center, boxes) in [(0, corners), (1, centers), (0, f32s(&[1, 12, 4], flipped))] {
                assert_eq!(chosen(center, &boxes, &scores, 4, 0.3, -0.5).expect("it fits"), expected);
            }
        }
    }

    #[test]
    fn ties_nan_and_limits() {
        let apart = f32s(&[1, 3, 4], vec![0., 0., 1., 1., 2., 2., 3., 3., 4., 4., 5., 5.]);
        let scores = |v: [f32; 3]| f32s(&[1, 1, 3], v.to_vec());
        let order = |v, limit| {
            let out = chosen(0, &apart, &scores(v), limit, 0.5, -9.0).expect("it fits");
            out.chunks(3).map(|c| c[2]).collect::<Vec<_>>()
        };
        assert_eq!(order([0.5, 0.9, 0.5], 9), [1, 0, 2]);
        assert_eq!(order([0.0, -0.0, 0.0], i64::MAX), [0, 1, 2]);
        assert_eq!(order([0.5, f32::NAN, 0.7], 9), [2, 0]);
        for limit in [0, -1, i64::MIN] {
            assert!(order([0.5, 0.9, 0.5], limit).is_empty());
        }
        let none = Single::new("NonMaxSuppression", 10).one(&[apart.clone(), scores([1.0; 3])]);
        assert_eq!(none.shape(), [0, 3]);
        let empty = [f32s(&[1, 0, 4], vec![]), f32s(&[1, 2, 0], vec![]), i64s(&[], &[3])];
        assert_eq!(Single::new("NonMaxSuppression", 10).one(&empty).shape(), [0, 3]);
        for iou in [-0.1, 1.1, f32::NAN] {
            let error = chosen(0, &apart, &scores([1.0; 3]), 1, iou, 0.0).expect_err("no such threshold");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
        let two = f32s(&[1, 1, 2], vec![1.0; 2]);
        assert_eq!(
            chosen(0, &apart, &two, 1, 0.5, 0.0).expect_err("3 boxes, 2 scores").kind(),
            ErrorKind::ShapeMismatch
        );
    }
}
