//! AffineGrid: for every element of a `[N, C, spatial…]` the place `theta · (x, y, …, 1)`, with
//! each of x, y, … from -1 to 1 along its dimension.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// AffineGrid.
pub const OPERATOR: Operator = Operator {
    name: "AffineGrid",
    inputs: 2..=2,
    attributes: &["align_corners"],
    parameters: &[1],
    build,
    ..Operator::DEFAULT
};

struct AffineGrid {
    align_corners: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(AffineGrid { align_corners: attributes.flag("align_corners", false)? }))
}

impl Op for AffineGrid {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 1, Dtypes::Only(DataType::Int64))?;
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Float)?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let theta = inputs.shape(0)?;
        let Some(size) = inputs.ints(1)? else { bail!(InvalidModel, "input 1 is missing") };
        let rank = size.len().saturating_sub(2);
        ensure!(matches!(rank, 2 | 3), ShapeMismatch, "size {size:?}: expected [N, C, H, W] or [N, C, D, H, W]");
        ensure!(size.iter().all(|&s| (0..=1 << 30).contains(&s)), InvalidArgument, "size {size:?}: expected 0 to 2^30");
        let size: Vec<usize> = size.iter().map(|&s| s as usize).collect();
        let expected = [size[0], rank, rank + 1];
        ensure!(theta == expected, ShapeMismatch, "theta is {theta:?}, expected {expected:?} for size {size:?}");
        one(inputs.dtype(0)?, [&size[..1], &size[2..], &[rank]].concat())
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let rank = shape.len() - 2;
        let theta = inputs.take_host(0)?;
        let spatial = &shape[1..=rank];
        let points: usize = spatial.iter().product();
        let mut places = Vec::with_capacity(shape.iter().product());
        for rows in theta.to_f64s()?.chunks_exact(rank * (rank + 1)) {
            for point in 0..points {
                // The coordinates, x first: the last dimension's.
                let (mut at, mut rest) = ([0f64; 3], point);
                for (at, &size) in at.iter_mut().zip(spatial.iter().rev()) {
                    let (i, size) = ((rest % size) as f64, size);
                    rest /= size;
                    *at = match size as f64 {
                        size if !self.align_corners => (2.0 * i + 1.0) / size - 1.0,
                        // ONNX leaves open which end one element is at; ONNX Runtime takes this.
                        1.0 => 1.0,
                        size => 2.0 * i / (size - 1.0) - 1.0,
                    };
                }
                for row in rows.chunks_exact(rank + 1) {
                    let sum: f64 = row.iter().zip(&at[..rank]).map(|(a, b)| a * b).sum();
                    places.push(sum + row[rank]);
                }
            }
        }
        output(Tensor::from_f64s(theta.dtype(), shape, places)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::support::{Random, Single, compare, f32s, i64s};

    #[test]
    fn the_identity_reads_every_element_where_it_is() {
        let mut random = Random::new(5);
        for shape in [&[2, 3, 4, 5][..], &[1, 2, 3, 2, 4]] {
            let (x, rank) = (random.tensor(shape), shape.len() - 2);
            let row = |i: usize| (0..=rank).map(move |j| if i == j { 1.0 } else { 0.0 });
            let identity: Vec<f32> = (0..shape[0]).flat_map(|_| (0..rank).flat_map(row)).collect();
            let theta = f32s(&[shape[0], rank, rank + 1], identity);
            let size: Vec<i64> = shape.iter().map(|&s| s as i64).collect();
            for align in [0, 1] {
                let grid = Single::new("AffineGrid", 20)
                    .int("align_corners", align)
                    .one(&[theta.clone(), i64s(&[size.len()], &size)]);
                for mode in ["nearest", "linear", "cubic"] {
                    let sampler = Single::new("GridSample", 20).string("mode", mode).int("align_corners", align);
                    let got = sampler.one(&[x.clone(), grid.clone()]);
                    compare(&got, &x, 1e-5, 1e-5).unwrap_or_else(|e| panic!("{mode} {align} {shape:?}: {e}"));
                }
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let theta = f32s(&[1, 2, 3], vec![0.0; 6]);
        for size in [&[1, 1, 2][..], &[2, 1, 2, 2], &[1, 1, -1, 2], &[1, 1, 2, 2, 2], &[1, 1, i64::MAX, i64::MAX]] {
            Single::new("AffineGrid", 20).error(&[theta.clone(), i64s(&[size.len()], size)]);
        }
    }
}
