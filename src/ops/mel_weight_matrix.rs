//! MelWeightMatrix: triangles over the bins of a spectrum, evenly wide in mel: `mel(f) = 2595 log10(1 + f / 700)`.

use super::fourier::scalar;
use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::window::output_datatype;
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor, element_count};

/// MelWeightMatrix.
pub const OPERATOR: Operator = Operator {
    name: "MelWeightMatrix",
    inputs: 5..=5,
    attributes: &["output_datatype"],
    parameters: &[0, 1, 2, 3, 4],
    build: |attributes: &Attributes<'_>| Ok(Box::new(MelWeightMatrix(output_datatype(attributes)?))),
    ..Operator::DEFAULT
};

struct MelWeightMatrix(DataType);

/// The edges of the triangles, as bins.
fn edges(inputs: &Inputs, bands: usize) -> Result<Vec<i64>> {
    let number = |index: usize| -> Result<f64> { Ok(inputs.number(index)?.unwrap_or(0.0)) };
    let (length, rate, low, high) = (number(1)?, number(2)?, number(3)?, number(4)?);
    let runs = rate > 0.0;
    ensure!(runs, InvalidArgument, "sample_rate is {rate}");
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let step = (mel(high) - mel(low)) / (bands as f64 + 2.0);
    let edge = |i: usize| {
        let hertz = 700.0 * (10f64.powf((i as f64 * step + mel(low)) / 2595.0) - 1.0);
        let bin = ((length + 1.0) * hertz / rate).floor();
        ensure!(
            (0.0..=length / 2.0).contains(&bin),
            InvalidArgument,
            "{hertz} Hz is outside of the spectrum at {rate} Hz"
        );
        Ok(bin as i64)
    };
    (0..bands + 2).map(edge).collect()
}

impl Op for MelWeightMatrix {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        for index in 0..5 {
            tensor_type(inputs, index, if index < 3 { Dtypes::Index } else { Dtypes::Float })?;
        }
        Ok(vec![Type::Tensor(self.0)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (bands, length) = (scalar(inputs, 0)?.unwrap_or(0), scalar(inputs, 1)?.unwrap_or(0));
        ensure!(bands >= 0 && length >= 0, InvalidArgument, "num_mel_bins is {bands}, dft_length is {length}");
        let size = |v: i64| usize::try_from(v).unwrap_or(usize::MAX);
        one(self.0, [size(length / 2 + 1), size(bands)])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = shape_of(outputs, 0)?;
        let bands = shape[1];
        let mut out = vec![0.0; element_count(shape)?];
        let edges = edges(&inputs, bands)?;
        for (band, edge) in edges.windows(3).enumerate() {
            let (low, centre, high) = (edge[0], edge[1], edge[2]);
            let mut set = |bin: i64, value: f64| {
                if let Some(slot) = out.get_mut(bin as usize * bands + band) {
                    *slot = value;
                }
            };
            if centre == low {
                set(centre, 1.0);
            }
            for bin in if centre > low { low..centre + 1 } else { 0..0 } {
                set(bin, (bin - low) as f64 / (centre - low) as f64);
            }
            for bin in centre..high {
                set(bin, (high - bin) as f64 / (high - centre) as f64);
            }
        }
        output(Tensor::from_f64s(self.0, shape, out)?)
    }
}
