//! RoiAlign: every region in bins, each the mean (or largest) of samples between elements.

use num_traits::Float;

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::roi::Align;

/// RoiAlign.
pub const OPERATOR: Operator = Operator {
    name: "RoiAlign",
    inputs: 3..=3,
    attributes: &[
        "coordinate_transformation_mode",
        "mode",
        "output_height",
        "output_width",
        "sampling_ratio",
        "spatial_scale",
    ],
    build,
    ..Operator::DEFAULT
};

/// The most samples of one region, and along one side of a bin.
const MAX_SAMPLES: usize = 1 << 26;
const MAX_SIDE: usize = 1 << 16;

struct RoiAlign(Align);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let samples = attributes.int("sampling_ratio")?.unwrap_or(0);
    ensure!((0..=1 << 12).contains(&samples), InvalidModel, "sampling_ratio: expected 0 to 4096, got {samples}");
    let shifted = attributes.choice("coordinate_transformation_mode", &["half_pixel", "output_half_pixel"])?;
    Ok(Box::new(RoiAlign(Align {
        bins: [attributes.count("output_height", 1)?, attributes.count("output_width", 1)?],
        samples: samples as usize,
        spatial_scale: attributes.float("spatial_scale")?.unwrap_or(1.0),
        // Before opset 16 there was no shift.
        half_pixel: attributes.opset >= 16 && shifted == "half_pixel",
        max: attributes.choice("mode", &["avg", "max"])? == "max",
    })))
}

impl Op for RoiAlign {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
        tensor_type(inputs, 1, Dtypes::Only(dtype))?;
        tensor_type(inputs, 2, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, rois, images) = (inputs.shape(0)?, inputs.shape(1)?, inputs.shape(2)?);
        ensure!(x.len() == 4 && !x[2..].contains(&0), ShapeMismatch, "expected [N, C, H, W], got {x:?}");
        ensure!(rois.len() == 2 && rois[1] == 4, ShapeMismatch, "the regions are {rois:?}, expected [regions, 4]");
        ensure!(images == &rois[..1], ShapeMismatch, "batch_indices is {images:?}, expected {:?}", &rois[..1]);
        one(inputs.dtype(0)?, [rois[0], x[1], self.0.bins[0], self.0.bins[1]])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (x, rois, images) = (inputs.take_host(0)?, inputs.take_host(1)?, inputs.take_host(2)?.to_i64s()?);
        output(if x.dtype() == DataType::Float64 {
            Tensor::from_vec(shape.to_vec(), self.all(x.shape(), &x.to_f64s()?, &rois.to_f64s()?, &images, shape)?)?
        } else {
            let y = self.all(x.shape(), &x.to_f32s()?, &rois.to_f32s()?, &images, shape)?;
            Tensor::from_f32s(x.dtype(), shape, y)?
        })
    }
}

impl RoiAlign {
    fn all<T: Float>(&self, from: &[usize], x: &[T], rois: &[T], images: &[i64], shape: &[usize]) -> Result<Vec<T>> {
        let mut y = vec![T::zero(); shape.iter().product()];
        let (image, region) = (from[1..].iter().product::<usize>(), shape[1..].iter().product::<usize>());
        if y.is_empty() {
            return Ok(y);
        }
        for ((roi, &n), out) in rois.chunks_exact(4).zip(images).zip(y.chunks_exact_mut(region)) {
            let Some(n) = usize::try_from(n).ok().filter(|&n| n < from[0]) else {
                bail!(InvalidArgument, "batch_indices: image {n} of {}", from[0])
            };
            let sides = [self.0.side(0, roi[1], roi[3]), self.0.side(1, roi[0], roi[2])];
            let samples = [sides[0].samples, sides[1].samples, shape[2], shape[3]];
            let samples = samples.into_iter().try_fold(1usize, |all, n| all.checked_mul(n));
            ensure!(
                samples.is_some_and(|all| all <= MAX_SAMPLES) && sides.iter().all(|side| side.samples <= MAX_SIDE),
                LimitExceeded,
                "a region asks for more than {MAX_SAMPLES} samples, or {MAX_SIDE} along a bin; set sampling_ratio"
            );
            self.0.region(&x[n * image..(n + 1) * image], [from[2], from[3]], &sides, out);
        }
        Ok(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::support::{Single, f32s, i64s, numbers};

    #[test]
    fn strange_regions_are_read_or_refused() {
        let x = f32s(&[1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let run = |region: [f32; 4], image: i64| {
            let node = Single::new("RoiAlign", 16).int("output_height", 2);
            node.run(&[x.clone(), f32s(&[1, 4], region.to_vec()), i64s(&[1], &[image])])
        };
        assert_eq!(numbers(&run([9.0, 9.0, 12.0, 12.0], 0).expect("outside")[0]), [0.0, 0.0]);
        assert_eq!(numbers(&run([2.0, 2.0, 1.0, 1.0], 0).expect("turned around")[0]), [0.0, 0.0]);
        run([f32::NAN; 4], 0).expect("no numbers");
        for image in [1, -1, i64::MIN] {
            assert_eq!(run([0.0, 0.0, 1.0, 1.0], image).expect_err("no image").kind(), ErrorKind::InvalidArgument);
        }
        for side in [1e6, f32::MAX, f32::INFINITY] {
            assert_eq!(run([0.0, 0.0, side, side], 0).expect_err("too large").kind(), ErrorKind::LimitExceeded);
        }
    }

    #[test]
    fn float64_and_half_floats_give_the_same() {
        let (x, roi) = (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![0.0, 0.0, 2.0, 1.0]);
        for dtype in [DataType::Float16, DataType::Float32, DataType::Float64] {
            let tensor =
                |shape: &[usize], values: &[f64]| Tensor::from_f64s(dtype, shape, values.to_vec()).expect("fits");
            let got =
                Single::new("RoiAlign", 10).one(&[tensor(&[1, 1, 2, 3], &x), tensor(&[1, 4], &roi), i64s(&[1], &[0])]);
            assert_eq!((got.dtype(), numbers(&got)), (dtype, vec![3.5]), "{dtype}");
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let node = || Single::new("RoiAlign", 16);
        let (x, rois) = (f32s(&[1, 1, 2, 2], vec![0.0; 4]), f32s(&[1, 4], vec![0.0; 4]));
        node().error(&[x.clone(), rois.clone(), i64s(&[2], &[0, 0])]);
        node().error(&[x.clone(), f32s(&[1, 5], vec![0.0; 5]), i64s(&[1], &[0])]);
        node().error(&[f32s(&[1, 1, 0, 2], vec![]), rois.clone(), i64s(&[1], &[0])]);
        node().int("sampling_ratio", -1).error(&[x, rois, i64s(&[1], &[0])]);
    }
}
