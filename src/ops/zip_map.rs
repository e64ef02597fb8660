//! ZipMap: each row `[C]` as a map from `C` keys.

use super::inputs::{Info, Inputs, Type, Value};
use super::{Attributes, Dtypes, Op, Operator, ml, tensor_type};
use crate::backend::Device;
use crate::error::{Result, ensure};
use crate::graph::{DataType, Tensor};

/// ZipMap.
pub const OPERATOR: Operator = Operator {
    name: "ZipMap",
    domain: ml::DOMAIN,
    attributes: &["classlabels_int64s", "classlabels_strings"],
    build,
    ..Operator::DEFAULT
};

struct ZipMap(Tensor);

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let keys = ml::strings_or_ints(attributes, "classlabels_strings", "classlabels_int64s")?;
    let distinct = match (keys.strings(), keys.as_slice::<i64>()) {
        (Some(strings), _) => strings.iter().collect::<std::collections::HashSet<_>>().len(),
        (_, Some(ints)) => ints.iter().collect::<std::collections::HashSet<_>>().len(),
        _ => 0,
    };
    ensure!(distinct == keys.len(), InvalidModel, "a key is given twice");
    Ok(Box::new(ZipMap(keys)))
}

impl Op for ZipMap {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Maps(self.0.dtype(), tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let [_, columns] = ml::rows_of(inputs.shape(0)?)?;
        ensure!(columns == self.0.len(), ShapeMismatch, "{columns} columns for {} keys", self.0.len());
        Ok(vec![None])
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.take_host(0)?;
        let shape = ml::rows_of(x.shape())?;
        Ok(vec![Value::Maps(self.0.clone(), x.reshaped(&shape)?)])
    }
}
