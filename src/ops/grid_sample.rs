//! GridSample: the input read at the places that a grid gives, from -1 at one end of each
//! spatial dimension to 1 at the other.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};
use crate::kernels::sample::{Grid, Padding, Reading, samples};

/// GridSample.
pub const OPERATOR: Operator = Operator {
    name: "GridSample",
    inputs: 2..=2,
    attributes: &["align_corners", "mode", "padding_mode"],
    build,
    ..Operator::DEFAULT
};

struct GridSample(Grid);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let modes =
        if attributes.opset < 20 { &["bilinear", "nearest", "bicubic"] } else { &["linear", "nearest", "cubic"] };
    Ok(Box::new(GridSample(Grid {
        reading: match attributes.choice("mode", modes)? {
            "nearest" => Reading::Nearest,
            "cubic" | "bicubic" => Reading::Cubic,
            _ => Reading::Linear,
        },
        padding: match attributes.choice("padding_mode", &["zeros", "border", "reflection"])? {
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            _ => Padding::Zeros,
        },
        align_corners: attributes.flag("align_corners", false)?,
    })))
}

impl Op for GridSample {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Float)?;
        let allowed = if self.0.reading == Reading::Nearest { Dtypes::All } else { Dtypes::Number };
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, allowed)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (x, grid) = (inputs.shape(0)?, inputs.shape(1)?);
        ensure!((3..=5).contains(&x.len()), ShapeMismatch, "expected [N, C, 1 to 3 spatial…], got {x:?}");
        let rank = x.len() - 2;
        ensure!(
            grid.len() == x.len() && grid[0] == x[0] && grid[rank + 1] == rank,
            ShapeMismatch,
            "the grid is {grid:?}, expected [{}, {rank} spatial…, {rank}] for input {x:?}",
            x[0]
        );
        ensure!(!x[2..].contains(&0), ShapeMismatch, "an input of {x:?} has nothing to read");
        one(inputs.dtype(0)?, [&x[..2], &grid[1..=rank]].concat())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let (x, grid) = (inputs.take_host(0)?, inputs.take_host(1)?);
        let (images, channels, spatial) = (shape[0], shape[1], &x.shape()[2..]);
        let dtype = x.dtype();
        if self.0.reading == Reading::Nearest {
            // One element more, for what lies outside.
            let zero = match dtype {
                DataType::String => Tensor::from_strings(vec![1], vec![String::new()])?,
                _ => Tensor::from_f64s(dtype, &[1], vec![0.0])?,
            };
            let at = self.0.positions(images, channels, spatial, &grid.to_f32s()?);
            return output(Tensor::joined(&[x, zero])?.take(shape, &at)?);
        }
        let narrow = dtype.size() <= 2 || dtype == DataType::Float32;
        output(if narrow {
            let y = samples(&self.0, images, channels, spatial, &x.to_f32s()?, &grid.to_f32s()?);
            Tensor::from_f32s(dtype, shape, y)?
        } else {
            let y = samples(&self.0, images, channels, spatial, &x.to_f64s()?, &grid.to_f64s()?);
            Tensor::from_f64s(dtype, shape, y)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Single, f32s, numbers};

    #[test]
    fn no_place_is_too_far_or_no_number() {
        let x = f32s(&[1, 1, 1, 2], vec![3.0, 4.0]);
        let far = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45];
        let grid = f32s(&[1, 1, 6, 2], far.iter().flat_map(|&v| [v, 0.0]).collect());
        for mode in ["nearest", "linear", "cubic"] {
            for padding in ["zeros", "border", "reflection"] {
                for align in [0, 1] {
                    let node = Single::new("GridSample", 20).string("mode", mode).string("padding_mode", padding);
                    let got = numbers(&node.int("align_corners", align).one(&[x.clone(), grid.clone()]));
                    assert!(got.iter().all(|v| v.is_finite()), "{mode} {padding} {align}: {got:?}");
                    if padding == "zeros" {
                        assert_eq!(got[..5], [0.0; 5], "{mode} {align}");
                    }
                    if padding == "border" && mode != "cubic" {
                        assert_eq!(got[1..5], [4.0, 3.0, 4.0, 3.0], "{mode} {align}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_nearest_element_is_moved_whatever_it_is() {
        let grid = f32s(&[1, 3, 1], vec![-0.5, 2.0, 0.5]);
        let node = || Single::new("GridSample", 22).string("mode", "nearest");
        let words = Tensor::from_strings(vec![1, 1, 2], vec!["a".into(), "b".into()]).expect("two");
        assert_eq!(node().one(&[words, grid.clone()]).strings(), Some(&["a".into(), String::new(), "b".into()][..]));
        let big = Tensor::from_vec(vec![1, 1, 2], vec![i64::MAX, i64::MIN + 1]).expect("two");
        let got = node().one(&[big, grid]);
        assert_eq!(got.as_slice::<i64>(), Some(&[i64::MAX, 0, i64::MIN + 1][..]));
    }

    #[test]
    fn one_dimension_and_float64_are_read_as_well() {
        let x = Tensor::from_vec(vec![1, 1, 3], vec![0.0, 10.0, 30.0]).expect("three");
        let grid = Tensor::from_vec(vec![1, 2, 1], vec![-0.5, 0.25]).expect("two");
        let got = Single::new("GridSample", 20).int("align_corners", 1).one(&[x, grid]);
        assert_eq!(got.as_slice::<f64>(), Some(&[5.0, 15.0][..]));
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let x = f32s(&[1, 1, 2, 2], vec![0.0; 4]);
        let node = || Single::new("GridSample", 20);
        node().error(&[x.clone(), f32s(&[2, 1, 1, 2], vec![0.0; 4])]);
        node().error(&[x.clone(), f32s(&[1, 1, 1, 3], vec![0.0; 3])]);
        node().error(&[x.clone(), f32s(&[1, 1, 2], vec![0.0; 2])]);
        node().error(&[f32s(&[1, 1, 0, 2], vec![]), f32s(&[1, 1, 1, 2], vec![0.0; 2])]);
        node().string("mode", "bicubic").error(&[x, f32s(&[1, 1, 1, 2], vec![0.0; 2])]);
    }
}
