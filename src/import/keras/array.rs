//! Weights on their way into the graph: float32, row-major.

use crate::error::{Result, ensure};
use crate::graph::{Tensor, element_count};

/// A float32 array.
#[derive(Debug, Clone)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Array {
    /// Errors: `InvalidModel` where there are not as many elements as the shape asks for.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        let count = element_count(&shape)?;
        ensure!(data.len() == count, InvalidModel, "{shape:?} is {count} elements, got {}", data.len());
        Ok(Self { shape, data })
    }

    /// The dimensions in the order `order`, which has each once.
    pub fn permuted(&self, order: &[usize]) -> Self {
        let rank = self.shape.len();
        let mut strides = vec![1usize; rank];
        for axis in (1..rank).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
        let mut at = vec![0usize; rank];
        let mut position = 0;
        let mut data = Vec::with_capacity(self.data.len());
        for _ in 0..self.data.len() {
            data.push(self.data[position]);
            for axis in (0..rank).rev() {
                at[axis] += 1;
                position += steps[axis];
                if at[axis] < shape[axis] {
                    break;
                }
                position -= steps[axis] * shape[axis];
                at[axis] = 0;
            }
        }
        Self { shape, data }
    }

    /// The same elements under a shape of as many.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self> {
        Self::new(shape, self.data)
    }

    /// Every element through `function`.
    pub fn map(mut self, function: impl Fn(f32) -> f32) -> Self {
        self.data.iter_mut().for_each(|value| *value = function(*value));
        self
    }

    /// Rows `from..to` of a matrix's columns: `[rows, columns]` to `[rows, to - from]`.
    pub fn columns(&self, from: usize, to: usize) -> Self {
        let width = self.shape.last().copied().unwrap_or(1).max(1);
        let data: Vec<f32> = self.data.chunks(width).flat_map(|row| row[from..to].iter().copied()).collect();
        let mut shape = self.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = to - from;
        }
        Self { shape, data }
    }

    /// The tensor.
    pub fn tensor(self) -> Result<Tensor> {
        Tensor::from_vec(self.shape, self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_change_places() {
        let array = Array::new(vec![2, 3], vec![1., 2., 3., 4., 5., 6.]).unwrap();
        let turned = array.permuted(&[1, 0]);
        assert_eq!(turned.shape, [3, 2]);
        assert_eq!(turned.data, [1., 4., 2., 5., 3., 6.]);
        let cube = Array::new(vec![2, 1, 3], (0..6).map(|v| v as f32).collect()).unwrap();
        assert_eq!(cube.permuted(&[2, 0, 1]).data, [0., 3., 1., 4., 2., 5.]);
    }
}
