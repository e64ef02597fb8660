//! OneHotEncoder: a row of zeros for each element, 1 at its category's place. Floats are truncated first.

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::ml::{Lookup, Repeated};
use super::{Attributes, Dtypes, Op, Operator, ml, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// OneHotEncoder.
pub const OPERATOR: Operator = Operator {
    name: "OneHotEncoder",
    domain: ml::DOMAIN,
    attributes: &["cats_int64s", "cats_strings", "zeros"],
    build,
    ..Operator::DEFAULT
};

struct OneHotEncoder {
    /// From categories to their places; -1 is none.
    places: Lookup,
    count: usize,
    zeros: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let categories = ml::strings_or_ints(attributes, "cats_strings", "cats_int64s")?;
    let count = categories.len();
    let places = Tensor::from_vec(vec![count], (0..count as i64).collect())?;
    let none = Tensor::from_vec(vec![1], vec![-1i64])?;
    Ok(Box::new(OneHotEncoder {
        places: Lookup::new(&categories, &places, &none, Repeated::Last)?,
        count,
        zeros: attributes.flag("zeros", true)?,
    }))
}

impl Op for OneHotEncoder {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        match self.places.input() {
            DataType::String => tensor_type(inputs, 0, Dtypes::Only(DataType::String))?,
            _ => ml::number_type(inputs, 0)?,
        };
        Ok(vec![Type::Tensor(DataType::Float32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let shape: Vec<usize> = inputs.shape(0)?.iter().copied().chain([self.count]).collect();
        one(DataType::Float32, shape)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let mut known = vec![true; x.len()];
        let keys = match self.places.input() {
            DataType::String => x,
            _ => {
                if x.dtype().is_float() {
                    // What no integer is near to has no category.
                    known = x.to_f64s()?.iter().map(|v| v.abs() < i64::MAX as f64).collect();
                }
                Tensor::from_vec(x.shape().to_vec(), x.to_i64s()?)?
            }
        };
        let places = self.places.get(&keys)?.to_i64s()?;
        let shape = shape_of(outputs, 0)?;
        let mut out = vec![0f32; shape.iter().product()];
        for ((row, place), known) in out.chunks_exact_mut(self.count).zip(places).zip(known) {
            match usize::try_from(place) {
                Ok(place) if known => row[place] = 1.0,
                _ => ensure!(self.zeros, InvalidArgument, "an element is in no category, and \"zeros\" is 0"),
            }
        }
        output(Tensor::from_vec(shape.to_vec(), out)?)
    }
}
