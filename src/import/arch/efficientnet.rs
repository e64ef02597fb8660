//! EfficientNet-Lite0, by the names of the PyTorch port. `images` is `[N, 3, 224, 224]`, RGB, (x − 127) / 128;
//! `probabilities` `[N, 1000]`.

use super::Options;
use super::shelf::{Shelf, Window};
use crate::error::Result;
use crate::graph::{Attribute, DataType, Dim};

const EPSILON: f32 = 1e-3;
const SIZE: usize = 224;

/// Repeats, stride of the first, expansion, output channels, kernel.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 1, 1, 16, 3),
    (2, 2, 6, 24, 3),
    (2, 2, 6, 40, 5),
    (3, 2, 6, 80, 3),
    (3, 1, 6, 112, 5),
    (4, 2, 6, 192, 5),
    (1, 1, 6, 320, 3),
];

/// Padding "SAME" in TensorFlow's sense: the odd row goes to the end.
fn same(extent: usize, kernel: usize, stride: usize) -> Vec<i64> {
    let total = ((extent.div_ceil(stride) - 1) * stride + kernel).saturating_sub(extent) as i64;
    vec![total / 2, total / 2, total - total / 2, total - total / 2]
}

struct Network<'s, 'a> {
    shelf: &'s mut Shelf<'a>,
    zero: String,
    six: String,
    extent: usize,
}

impl Network<'_, '_> {
    /// Convolution and normalisation.
    fn convolution(
        &mut self,
        name: &str,
        norm: &str,
        x: &str,
        shape: [usize; 4],
        stride: usize,
        group: usize,
    ) -> String {
        let window = Window { strides: vec![stride as i64; 2], pads: same(self.extent, shape[2], stride), group };
        self.extent = self.extent.div_ceil(stride);
        let convolved = self.shelf.convolution(name, x, &shape, &window);
        self.shelf.batch_norm(norm, &convolved, shape[0], EPSILON)
    }

    fn relu6(&mut self, x: &str) -> String {
        self.shelf.graph.node("Clip", &format!("{x}/relu6"), &[x, &self.zero, &self.six], vec![])
    }
}

pub fn build(shelf: &mut Shelf<'_>, _: &Options) -> Result<()> {
    let dims = |sizes: &[usize]| {
        std::iter::once(Dim::Name("N".into())).chain(sizes.iter().map(|&s| Dim::Size(s))).collect::<Vec<_>>()
    };
    let images = shelf.graph.input("images", DataType::Float32, dims(&[3, SIZE, SIZE]));
    let (zero, six) = (shelf.graph.scalar("zero", 0.0), shelf.graph.scalar("six", 6.0));
    let mut net = Network { shelf, zero, six, extent: SIZE };
    let x = net.convolution("_conv_stem", "_bn0", &images, [32, 3, 3, 3], 2, 1);
    let mut x = net.relu6(&x);
    let mut channels = 32;
    let mut block = 0;
    for (repeats, first_stride, expansion, outputs, kernel) in STAGES {
        for repeat in 0..repeats {
            let at = format!("_blocks.{block}");
            block += 1;
            let stride = if repeat == 0 { first_stride } else { 1 };
            let wide = channels * expansion;
            let entry = x.clone();
            if expansion != 1 {
                let shape = [wide, channels, 1, 1];
                x = net.convolution(&format!("{at}._expand_conv"), &format!("{at}._bn0"), &x, shape, 1, 1);
                x = net.relu6(&x);
            }
            let shape = [wide, 1, kernel, kernel];
            x = net.convolution(&format!("{at}._depthwise_conv"), &format!("{at}._bn1"), &x, shape, stride, wide);
            x = net.relu6(&x);
            let shape = [outputs, wide, 1, 1];
            x = net.convolution(&format!("{at}._project_conv"), &format!("{at}._bn2"), &x, shape, 1, 1);
            if stride == 1 && channels == outputs {
                x = net.shelf.graph.node("Add", &format!("{at}.add"), &[&x, &entry], vec![]);
            }
            channels = outputs;
        }
    }
    x = net.convolution("_conv_head", "_bn1", &x, [1280, 320, 1, 1], 1, 1);
    x = net.relu6(&x);
    let shelf = net.shelf;
    x = shelf.graph.node("GlobalAveragePool", "_avg_pooling", &[&x], vec![]);
    x = shelf.graph.node("Flatten", "flatten", &[&x], vec![("axis", Attribute::Int(1))]);
    x = shelf.linear("_fc", &x, 1000, 1280);
    x = shelf.graph.node("Softmax", "probabilities", &[&x], vec![("axis", Attribute::Int(1))]);
    shelf.graph.output("probabilities", &x, DataType::Float32, Some(dims(&[1000])));
    Ok(())
}
