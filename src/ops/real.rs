//! Tensors for arithmetic in float32 or float64: float16 and bfloat16 are computed in float32.

use std::borrow::Cow;

use super::{Dtypes, Type, optional_type, tensor_type};
use crate::error::Result;
use crate::graph::{DataType, Element, Tensor};
use crate::kernels::real::Real;

/// An element type that operators compute in.
pub trait Number: Real + Element {}
impl Number for f32 {}
impl Number for f64 {}

/// Runs the body with `$T` as the type that tensors of `$dtype` are computed in.
macro_rules! computed_in {
    ($dtype:expr, $T:ident => $body:expr) => {
        if $dtype == crate::graph::DataType::Float64 {
            type $T = f64;
            $body
        } else {
            type $T = f32;
            $body
        }
    };
}
pub(super) use computed_in;

/// The elements, borrowed where they need no conversion.
pub fn read<T: Number>(tensor: &Tensor) -> Result<Cow<'_, [T]>> {
    match tensor.as_slice::<T>() {
        Some(elements) => Ok(Cow::Borrowed(elements)),
        None => Ok(Cow::Owned(tensor.to_f64s()?.into_iter().map(T::of).collect())),
    }
}

/// A tensor of `dtype` over elements.
pub fn write<T: Number>(dtype: DataType, shape: &[usize], elements: Vec<T>) -> Result<Tensor> {
    if dtype == T::DTYPE {
        return Tensor::from_vec(shape.to_vec(), elements);
    }
    Tensor::from_f64s(dtype, shape, elements.into_iter().map(Real::wide).collect())
}

/// The float dtype of input 0, which the `others` share where they are there.
pub fn same_floats(inputs: &[Option<Type>], others: &[usize]) -> Result<DataType> {
    let dtype = tensor_type(inputs, 0, Dtypes::Float)?;
    for &index in others {
        optional_type(inputs, index, Dtypes::Only(dtype))?;
    }
    Ok(dtype)
}
