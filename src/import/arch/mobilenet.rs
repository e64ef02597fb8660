//! MobileNetV2, width 1, by torchvision's names. `input` is `[N, 3, 224, 224]`, RGB, normalised as torchvision does;
//! `logits` is `[N, classes]`.

use super::Options;
use super::shelf::{ANY, Shelf, Window};
use crate::error::Result;
use crate::graph::{Attribute, DataType, Dim};

const EPSILON: f32 = 1e-5;

/// Expansion, output channels, repeats, stride of the first.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

struct Network<'s, 'a> {
    shelf: &'s mut Shelf<'a>,
    zero: String,
    six: String,
}

impl Network<'_, '_> {
    /// Convolution, normalisation and, unless it is a projection, the clip to 0 … 6.
    fn convolution(
        &mut self,
        names: (&str, &str),
        x: &str,
        shape: [usize; 4],
        stride: usize,
        activated: bool,
    ) -> String {
        let group = if shape[1] == 1 { shape[0] } else { 1 };
        let y = self.shelf.convolution(names.0, x, &shape, &Window::square(stride, shape[2] / 2, group));
        let y = self.shelf.batch_norm(names.1, &y, shape[0], EPSILON);
        match activated {
            true => self.shelf.graph.node("Clip", &format!("{y}/relu6"), &[&y, &self.zero, &self.six], vec![]),
            false => y,
        }
    }
}

pub fn build(shelf: &mut Shelf<'_>, _: &Options) -> Result<()> {
    let batch = |sizes: &[usize]| {
        std::iter::once(Dim::Name("N".into())).chain(sizes.iter().map(|&s| Dim::Size(s))).collect::<Vec<_>>()
    };
    let classes = shelf.shape("classifier.1.weight").and_then(|shape| shape.first()).copied();
    let input = shelf.graph.input("input", DataType::Float32, batch(&[3, 224, 224]));
    let (zero, six) = (shelf.graph.scalar("zero", 0.0), shelf.graph.scalar("six", 6.0));
    let mut net = Network { shelf, zero, six };
    let mut x = net.convolution(("features.0.0", "features.0.1"), &input, [32, 3, 3, 3], 2, true);
    let mut channels = 32;
    let mut index = 1;
    for (expansion, outputs, repeats, first_stride) in STAGES {
        for repeat in 0..repeats {
            let at = format!("features.{index}.conv");
            index += 1;
            let stride = if repeat == 0 { first_stride } else { 1 };
            let wide = channels * expansion;
            let mut y = x.clone();
            let mut part = 0;
            if expansion != 1 {
                let names = (format!("{at}.0.0"), format!("{at}.0.1"));
                y = net.convolution((&names.0, &names.1), &y, [wide, channels, 1, 1], 1, true);
                part = 1;
            }
            let names = (format!("{at}.{part}.0"), format!("{at}.{part}.1"));
            y = net.convolution((&names.0, &names.1), &y, [wide, 1, 3, 3], stride, true);
            let names = (format!("{at}.{}", part + 1), format!("{at}.{}", part + 2));
            y = net.convolution((&names.0, &names.1), &y, [outputs, wide, 1, 1], 1, false);
            if stride == 1 && channels == outputs {
                y = net.shelf.graph.node("Add", &format!("{at}.add"), &[&y, &x], vec![]);
            }
            x = y;
            channels = outputs;
        }
    }
    x = net.convolution(("features.18.0", "features.18.1"), &x, [1280, 320, 1, 1], 1, true);
    let shelf = net.shelf;
    x = shelf.graph.node("GlobalAveragePool", "avgpool", &[&x], vec![]);
    x = shelf.graph.node("Flatten", "flatten", &[&x], vec![("axis", Attribute::Int(1))]);
    x = shelf.linear("classifier.1", &x, classes.unwrap_or(ANY), 1280);
    shelf.graph.output("logits", &x, DataType::Float32, classes.map(|classes| batch(&[classes])));
    Ok(())
}
