//! `x * cos + turned * sin`: rotary embedding, of the halves of a row.

use crate::backend::{Array, BinaryOp, Device, buffers, contiguous, elements, in_memory, logical, strided, tensor_of};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::attention::rotate_halves;
use crate::kernels::layout::{for_each_row, row_major};
use crate::ops::{Dtypes, Info, Inputs, Op, Type, Value, broadcast, one, output, tensor_type};

/// Inputs: `x`, and the cosines and sines, which broadcast.
pub struct Rotary {
    /// Where the second half begins.
    half: usize,
}

impl Rotary {
    pub fn new(half: usize) -> Self {
        Self { half }
    }
}

impl Op for Rotary {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        ensure!(!x.is_empty(), ShapeMismatch, "expected rows to turn, got a scalar");
        one(DataType::Float32, broadcast(&broadcast(x, inputs.shape(1)?)?, &broadcast(x, inputs.shape(2)?)?)?)
    }

    fn run(&self, device: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape: out, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let shape = inputs.shape(0)?.to_vec();
        let columns = shape.last().copied().unwrap_or(0);
        let half = self.half.min(columns);
        let rows = [1, 2].iter().all(|&index| inputs.shape(index).is_ok_and(|of| of.last() == Some(&columns)));
        let (x, cos, sin) = (inputs.cpu(0)?, inputs.cpu(1)?, inputs.cpu(2)?);
        if !rows || *out != shape {
            let mut turned = elements::<f32>(&x);
            for row in turned.chunks_exact_mut(columns.max(1)) {
                row.rotate_left(half);
                row[..columns - half].iter_mut().for_each(|v| *v = -*v);
            }
            let turned = tensor_of(DataType::Float32, &shape, turned);
            let times = |a, b| {
                let (a, b) = (Array::Cpu(a), Array::Cpu(b));
                let shape = broadcast(a.shape(), b.shape())?;
                device.binary(BinaryOp::Mul, a, b, &shape)
            };
            return output(device.binary(BinaryOp::Add, times(x, cos)?, times(turned, sin)?, out)?);
        }
        let (mut x, mut order) = in_memory(x);
        if order.last() != Some(&(shape.len() - 1)) || x.layout().strides().last() != Some(&1) {
            (x, order) = (contiguous(logical(x, &order)), (0..shape.len()).collect());
        }
        let (cos, sin) = (contiguous(cos), contiguous(sin));
        let (of_x, of_cos, of_sin) = (strided::<f32>(&x), strided::<f32>(&cos), strided::<f32>(&sin));
        // In the order in which rows lie in memory.
        let ordered = |strides: Vec<isize>| -> Vec<isize> { order.iter().map(|&d| strides[d]).collect() };
        let [cos_strides, sin_strides] = [&of_cos, &of_sin].map(|view| ordered(view.strides_for(&shape)));
        let mut y = buffers::floats(shape.iter().product());
        let own = row_major(of_x.shape);
        for_each_row(of_x.shape, &[of_x.strides, &cos_strides, &sin_strides, &own], |at| {
            let at = |n: usize| at[n] as usize;
            let x = &of_x.data[of_x.offset.wrapping_add(at(0))..][..columns];
            let (cos, sin) = (&of_cos.data[at(1)..][..columns], &of_sin.data[at(2)..][..columns]);
            rotate_halves(x, cos, sin, half, &mut y[at(3)..][..columns]);
        });
        let y = tensor_of(DataType::Float32, x.layout().shape(), y);
        buffers::recycle(x);
        output(logical(y, &order))
    }
}
