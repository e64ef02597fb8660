//! EmbedLayerNormalization: the LayerNormalization of the sum of a word's, a place's and a segment's embedding.

use super::inputs::{Info, Inputs, Type, Value};
use super::real::{Number, computed_in, read, write};
use super::{Attributes, Dtypes, Op, Operator, normalization, optional_type, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// EmbedLayerNormalization.
pub const OPERATOR: Operator = Operator {
    name: "EmbedLayerNormalization",
    domain: "com.microsoft",
    inputs: 7..=9,
    outputs: 1..=3,
    attributes: &["epsilon", "mask_index_type"],
    build: |attributes: &Attributes<'_>| Ok(Box::new(Embed { epsilon: attributes.float("epsilon")?.unwrap_or(1e-12) })),
    ..Operator::DEFAULT
};

struct Embed {
    epsilon: f32,
}

/// Indices of an input of positions in a table, and of the table.
const WORDS: [usize; 2] = [0, 2];
const SEGMENTS: [usize; 2] = [1, 4];
const PLACES: [usize; 2] = [8, 3];

impl Embed {
    fn compute<T: Number>(&self, inputs: &Inputs, shape: &[usize]) -> Result<Vec<Value>> {
        let &[batch, places, hidden] = shape else { bail!(Internal, "{shape:?} has not 3 dimensions") };
        let dtype = inputs.dtype(WORDS[1])?;
        let mut sum = vec![T::zero(); crate::graph::element_count(shape)?];
        for [ids, table] in [WORDS, PLACES, SEGMENTS] {
            if sum.is_empty() {
                break;
            }
            let Some(table) = inputs.host(table)? else { continue };
            let rows = table.shape()[0];
            let values = read::<T>(&table)?;
            let ids = match inputs.host(ids)? {
                Some(ids) => ids.to_i64s()?,
                None if [ids, 3] == PLACES => (0..places as i64).collect(),
                None => continue,
            };
            for (at, row) in sum.chunks_exact_mut(hidden.max(1)).enumerate() {
                let id = ids[at % ids.len()];
                let Some(id) = usize::try_from(id).ok().filter(|&id| id < rows) else {
                    bail!(InvalidArgument, "{id} is outside of an embedding of {rows} rows")
                };
                row.iter_mut().zip(&values[id * hidden..(id + 1) * hidden]).for_each(|(s, &v)| *s = *s + v);
            }
        }
        let (Some(scale), Some(bias)) = (inputs.host(5)?, inputs.host(6)?) else {
            bail!(Internal, "an input went missing")
        };
        let sum = write(T::DTYPE, shape, sum)?;
        let narrowed = |tensor: Tensor| Tensor::from_f64s(dtype, shape, tensor.to_f64s()?);
        let y = normalization::last_dimension::<T>(&sum, scale, bias, self.epsilon)?.into_host()?;
        let counts = match inputs.host(7)? {
            Some(mask) if places > 0 => {
                mask.to_i64s()?.chunks_exact(places).map(|row| row.iter().filter(|&&m| m == 1).count() as i64).collect()
            }
            _ => vec![0; batch],
        };
        let mut out = vec![narrowed(y)?.into(), Tensor::from_i64s(DataType::Int32, &[batch], counts)?.into()];
        out.push(narrowed(sum)?.into());
        Ok(out)
    }
}

impl Op for Embed {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::Int32))?;
        for index in [1, 7, 8] {
            optional_type(inputs, index, Dtypes::Only(DataType::Int32))?;
        }
        let dtype = tensor_type(inputs, 2, Dtypes::Float)?;
        for index in [3, 5, 6] {
            tensor_type(inputs, index, Dtypes::Only(dtype))?;
        }
        optional_type(inputs, 4, Dtypes::Only(dtype))?;
        Ok(vec![Type::Tensor(dtype), Type::Tensor(DataType::Int32), Type::Tensor(dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let (ids, words) = (inputs.shape(0)?, inputs.shape(2)?);
        ensure!(ids.len() == 2, ShapeMismatch, "input_ids: expected [batch, sequence], got {ids:?}");
        ensure!(words.len() == 2, ShapeMismatch, "word_embedding: expected [words, hidden], got {words:?}");
        let (batch, places, hidden) = (ids[0], ids[1], words[1]);
        ensure!(
            inputs.has(1) == inputs.has(4),
            InvalidModel,
            "segment_ids and segment_embedding come together or not at all"
        );
        for index in [3, 4] {
            if inputs.has(index) {
                let shape = inputs.shape(index)?;
                let fits = shape.len() == 2 && shape[1] == hidden;
                ensure!(fits, ShapeMismatch, "input {index}: expected [rows, {hidden}], got {shape:?}");
            }
        }
        for index in [5, 6] {
            let shape = inputs.shape(index)?;
            ensure!(shape == [hidden], ShapeMismatch, "input {index}: expected [{hidden}], got {shape:?}");
        }
        for index in [1, 7, 8] {
            if inputs.has(index) {
                let shape = inputs.shape(index)?;
                let fits = shape == ids || (index == 8 && shape == [1, places]);
                ensure!(fits, ShapeMismatch, "input {index}: expected {ids:?}, got {shape:?}");
            }
        }
        let dtype = inputs.dtype(2)?;
        let y = Some(Info { dtype, shape: vec![batch, places, hidden] });
        Ok(vec![y.clone(), Some(Info { dtype: DataType::Int32, shape: vec![batch] }), y])
    }

    fn run(&self, _: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let shape = super::inputs::shape_of(outputs, 0)?;
        computed_in!(inputs.dtype(2)?, T => self.compute::<T>(&inputs, shape))
    }
}
