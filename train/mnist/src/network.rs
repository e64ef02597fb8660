//! Three convolutions and two dense layers.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

#[derive(Module, Debug)]
pub struct Network {
    pub conv1: Conv2d,
    pub conv2: Conv2d,
    pub conv3: Conv2d,
    pub fc1: Linear,
    pub fc2: Linear,
    pool: MaxPool2d,
    dropout: Dropout,
}

impl Network {
    pub fn new(device: &Device) -> Self {
        let conv = |inputs, outputs| {
            Conv2dConfig::new([inputs, outputs], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        Self {
            conv1: conv(1, 16),
            conv2: conv(16, 32),
            conv3: conv(32, 32),
            fc1: LinearConfig::new(3 * 3 * 32, 64).init(device),
            fc2: LinearConfig::new(64, 10).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            dropout: DropoutConfig::new(0.3).init(),
        }
    }

    /// `[N, 1, 28, 28]`, from 0 to 1, to `[N, 10]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(relu(self.conv1.forward(x)));
        let x = self.pool.forward(relu(self.conv2.forward(x)));
        let x = self.pool.forward(relu(self.conv3.forward(x)));
        let x = self.dropout.forward(relu(self.fc1.forward(x.flatten::<2>(1, 3))));
        self.fc2.forward(x)
    }

    /// The sum of the magnitudes of all weights, biases not among them, each counted up to `most`.
    pub fn magnitude(&self, most: f32) -> Tensor<1> {
        let conv = |layer: &Conv2d| layer.weight.val().abs().clamp_max(most).sum();
        let dense = |layer: &Linear| layer.weight.val().abs().clamp_max(most).sum();
        conv(&self.conv1) + conv(&self.conv2) + conv(&self.conv3) + dense(&self.fc1) + dense(&self.fc2)
    }

    /// The magnitude below which `share` of the weights are.
    pub fn threshold(&self, share: f64) -> f32 {
        let conv = |layer: &Conv2d| layer.weight.val().into_data();
        let dense = |layer: &Linear| layer.weight.val().into_data();
        let all = [conv(&self.conv1), conv(&self.conv2), conv(&self.conv3), dense(&self.fc1), dense(&self.fc2)];
        let mut magnitudes: Vec<f32> = all.iter().flat_map(|data| data.iter::<f32>()).map(f32::abs).collect();
        let at = (magnitudes.len() as f64 * share) as usize;
        *magnitudes.select_nth_unstable_by(at, f32::total_cmp).1
    }
}
