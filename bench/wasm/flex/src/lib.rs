//! burn-flex's convolution, float32, on data of its own making: what Firebrand's kernels are compared with.
use burn_backend::{TensorData, ops::{ConvOptions, FloatTensorOps, ModuleOps}, tensor::FloatTensor};
use burn_flex::{Flex, FlexDevice};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
pub struct Convolution {
    x: FloatTensor<Flex>,
    weight: FloatTensor<Flex>,
    bias: FloatTensor<Flex>,
    options: ConvOptions<2>,
}

/// Numbers between -1 and 1 without a pattern.
fn tensor(shape: &[usize]) -> FloatTensor<Flex> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Flex::float_from_data(TensorData::new(data, shape.to_vec()), &FlexDevice)
}

#[wasm_bindgen]
impl Convolution {
    /// Of `x` (N, C, H, W) with `weight` (outputs, C / groups, height, width).
    #[wasm_bindgen(constructor)]
    pub fn new(x: &[usize], weight: &[usize], stride: usize, padding: usize, groups: usize) -> Self {
        Self {
            x: tensor(x),
            weight: tensor(weight),
            bias: tensor(&weight[..1]),
            options: ConvOptions::new([stride; 2], [padding; 2], [1; 2], groups),
        }
    }

    /// Runs it once.
    pub fn run(&self) {
        Flex::conv2d(self.x.clone(), self.weight.clone(), Some(self.bias.clone()), self.options.clone());
    }
}
