//! A function of one 8-bit code, as a table.

use super::Reading;
use crate::backend::{Device, map_bytes};
use crate::error::Result;
use crate::graph::DataType;
use crate::ops::{Info, Inputs, Op, Type, Value, one, output};

/// `table[x]` for every code. Input: int8 or uint8 of any shape.
pub struct Table {
    table: [u8; 256],
    dtype: DataType,
    /// Dimensions that the result has at least: leading ones are added.
    rank: usize,
}

impl Table {
    /// The table of what each code, as its bits, becomes.
    pub fn new(table: [u8; 256], dtype: DataType, rank: usize) -> Self {
        Self { table, dtype, rank }
    }

    /// int8 to uint8 or back, by 128.
    pub fn flip(to: DataType) -> Self {
        Self::new(std::array::from_fn(|code| code as u8 ^ 0x80), to, 0)
    }

    /// The codes of the same numbers with another scale and zero point.
    pub fn requantize(from: Reading, to: Reading) -> Self {
        let code = |code: usize| {
            let real = (code as f32 - f32::from(from.zero)) * from.scale;
            ((real / to.scale).round_ties_even() + f32::from(to.zero)).clamp(0.0, 255.0) as u8
        };
        Self::new(std::array::from_fn(code), DataType::Uint8, 0)
    }

    fn shape(&self, x: &[usize]) -> Vec<usize> {
        [&vec![1; self.rank.saturating_sub(x.len())][..], x].concat()
    }
}

impl Op for Table {
    fn types(&self, _: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(self.dtype)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(self.dtype, self.shape(inputs.shape(0)?))
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, _: &[Option<Info>]) -> Result<Vec<Value>> {
        let x = inputs.cpu(0)?;
        let shape = self.shape(x.layout().shape());
        let y = map_bytes(x, self.dtype, |bytes| bytes.iter_mut().for_each(|b| *b = self.table[usize::from(*b)]));
        output(if self.rank == 0 { y.into() } else { device.reshape(y.into(), &shape)? })
    }
}
