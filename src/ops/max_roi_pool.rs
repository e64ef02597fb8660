//! MaxRoiPool: every region in bins of whole elements, the largest of each; 0 of an empty bin.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::Tensor;

/// MaxRoiPool.
pub const OPERATOR: Operator = Operator {
    name: "MaxRoiPool",
    inputs: 2..=2,
    attributes: &["pooled_shape", "spatial_scale"],
    build,
    ..Operator::DEFAULT
};

struct MaxRoiPool {
    bins: [usize; 2],
    spatial_scale: f32,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(&[rows, columns]) = attributes.sizes("pooled_shape", 1)?.as_deref() else {
        bail!(InvalidModel, "attribute \"pooled_shape\": expected two sizes")
    };
    Ok(Box::new(MaxRoiPool { bins: [rows, columns], spatial_scale: attributes.float("spatial_scale")?.unwrap_or(1.0) }))
}

impl Op for MaxRoiPool {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, rois) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!(x.len() == 4, ShapeMismatch, "expected [N, C, H, W], got {x:?}");
        ensure!(rois.len() == 2 && rois[1] == 5, ShapeMismatch, "the regions are {rois:?}, expected [regions, 5]");
        one(inputs.dtype(0)?, [rois[0], x[1], self.bins[0], self.bins[1]])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (x, rois) = (inputs.take_host(0)?, inputs.take_host(1)?);
        let &[images, channels, height, width] = x.shape() else { bail!(Internal, "the rank changed") };
        let values = x.to_f64s()?;
        let mut y = Vec::with_capacity(shape.iter().product());
        for roi in rois.to_f64s()?.chunks_exact(5) {
            ensure!(
                roi[0] >= 0.0 && roi[0] < images as f64,
                InvalidArgument,
                "a region of image {}, of {images}",
                roi[0]
            );
            // In float32, as ONNX Runtime computes it: rounding decides which elements count.
            let whole = |v: f64| f64::from((v as f32 * self.spatial_scale).round());
            let rows = self.ranges(0, whole(roi[2]), whole(roi[4]), height);
            let columns = self.ranges(1, whole(roi[1]), whole(roi[3]), width);
            for c in 0..channels {
                let plane = &values[(roi[0] as usize * channels + c) * height * width..][..height * width];
                for &[top, bottom] in &rows {
                    for &[left, right] in &columns {
                        let lines = (top..bottom).map(|line| &plane[line * width..][left..right.max(left)]);
                        y.push(lines.flatten().copied().reduce(f64::max).unwrap_or(0.0));
                    }
                }
            }
        }
        output(Tensor::from_f64s(x.dtype(), shape, y)?)
    }
}

impl MaxRoiPool {
    /// From and to of every bin along axis `d`, cut to the image.
    fn ranges(&self, d: usize, start: f64, end: f64, size: usize) -> Vec<[usize; 2]> {
        let bin = ((end - start + 1.0).max(1.0) as f32) / self.bins[d] as f32;
        let cut = |at: f64| (start + at).clamp(0.0, size as f64) as usize;
        (0..self.bins[d])
            .map(|i| [cut(f64::from((i as f32 * bin).floor())), cut(f64::from(((i + 1) as f32 * bin).ceil()))])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::support::{Single, f32s, numbers};

    #[test]
    fn strange_regions_are_read_or_refused() {
        let x = f32s(&[1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let run = |region: [f32; 5]| {
            let node = Single::new("MaxRoiPool", 22).ints("pooled_shape", &[1, 2]);
            node.run(&[x.clone(), f32s(&[1, 5], region.to_vec())]).map(|y| numbers(&y[0]))
        };
        assert_eq!(run([0.0, 0.0, 0.0, 1.0, 1.0]).expect("whole"), [3.0, 4.0]);
        assert_eq!(run([0.0, 5.0, 5.0, 9.0, 9.0]).expect("outside"), [0.0, 0.0]);
        assert_eq!(run([0.0, f32::MIN, f32::MIN, f32::MAX, f32::MAX]).expect("far"), [4.0, 0.0]);
        run([0.0, f32::NAN, f32::NAN, f32::NAN, f32::NAN]).expect("no numbers");
        for image in [-1.0, 1.0, f32::NAN, f32::INFINITY] {
            run([image, 0.0, 0.0, 1.0, 1.0]).expect_err("no such image");
        }
        Single::new("MaxRoiPool", 22).ints("pooled_shape", &[2]).error(&[x.clone(), f32s(&[0, 5], vec![])]);
        Single::new("MaxRoiPool", 22).ints("pooled_shape", &[2, 2]).error(&[x, f32s(&[1, 4], vec![0.0; 4])]);
    }
}
