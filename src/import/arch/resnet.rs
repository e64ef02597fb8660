//! ResNets by torchvision's names. `input` is `[N, 3, 224, 224]`, RGB, normalised as torchvision does; `logits` is
//! `[N, classes]`.

use super::Options;
use super::shelf::{ANY, Shelf, Window, window_attributes};
use crate::error::Result;
use crate::graph::{Attribute, DataType, Dim};

const EPSILON: f32 = 1e-5;

fn relu(shelf: &mut Shelf<'_>, name: &str, x: &str) -> String {
    shelf.graph.node("Relu", name, &[x], vec![])
}

/// A convolution of `[outputs, inputs, kernel, kernel]` with its normalisation.
fn convolution(
    shelf: &mut Shelf<'_>,
    names: (&str, &str),
    x: &str,
    [outputs, inputs, kernel]: [usize; 3],
    stride: usize,
) -> String {
    let window = Window::square(stride, kernel / 2, 1);
    let y = shelf.convolution(names.0, x, &[outputs, inputs, kernel, kernel], &window);
    shelf.batch_norm(names.1, &y, outputs, EPSILON)
}

/// `blocks` of each stage; a bottleneck's output is four times as wide as its middle.
fn build(shelf: &mut Shelf<'_>, blocks: [usize; 4], bottleneck: bool) -> Result<()> {
    let batch = |sizes: &[usize]| {
        std::iter::once(Dim::Name("N".into())).chain(sizes.iter().map(|&s| Dim::Size(s))).collect::<Vec<_>>()
    };
    let classes = shelf.shape("fc.weight").and_then(|shape| shape.first()).copied();
    let input = shelf.graph.input("input", DataType::Float32, batch(&[3, 224, 224]));
    let x = convolution(shelf, ("conv1", "bn1"), &input, [64, 3, 7], 2);
    let x = relu(shelf, "relu", &x);
    let pool = window_attributes(vec![3, 3], &Window::square(2, 1, 1));
    let mut x = shelf.graph.node("MaxPool", "maxpool", &[&x], pool);
    let mut channels = 64;
    for (stage, count) in blocks.into_iter().enumerate() {
        let middle = 64 << stage;
        let outputs = if bottleneck { 4 * middle } else { middle };
        for block in 0..count {
            let at = format!("layer{}.{block}", stage + 1);
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            // torchvision has a bottleneck's stride in its 3×3.
            let steps = match bottleneck {
                true => vec![([middle, channels, 1], 1), ([middle, middle, 3], stride), ([outputs, middle, 1], 1)],
                false => vec![([middle, channels, 3], stride), ([middle, middle, 3], 1)],
            };
            let mut y = x.clone();
            for (index, (shape, stride)) in steps.iter().enumerate() {
                let (conv, norm) = (format!("{at}.conv{}", index + 1), format!("{at}.bn{}", index + 1));
                y = convolution(shelf, (&conv, &norm), &y, *shape, *stride);
                if index + 1 < steps.len() {
                    y = relu(shelf, &format!("{at}.relu{}", index + 1), &y);
                }
            }
            if stride != 1 || channels != outputs {
                let names = (format!("{at}.downsample.0"), format!("{at}.downsample.1"));
                x = convolution(shelf, (&names.0, &names.1), &x, [outputs, channels, 1], stride);
            }
            let sum = shelf.graph.node("Add", &format!("{at}.add"), &[&y, &x], vec![]);
            x = relu(shelf, &format!("{at}.relu"), &sum);
            channels = outputs;
        }
    }
    x = shelf.graph.node("GlobalAveragePool", "avgpool", &[&x], vec![]);
    x = shelf.graph.node("Flatten", "flatten", &[&x], vec![("axis", Attribute::Int(1))]);
    x = shelf.linear("fc", &x, classes.unwrap_or(ANY), channels);
    shelf.graph.output("logits", &x, DataType::Float32, classes.map(|classes| batch(&[classes])));
    Ok(())
}

pub fn build18(shelf: &mut Shelf<'_>, _: &Options) -> Result<()> {
    build(shelf, [2, 2, 2, 2], false)
}

pub fn build34(shelf: &mut Shelf<'_>, _: &Options) -> Result<()> {
    build(shelf, [3, 4, 6, 3], false)
}

pub fn build50(shelf: &mut Shelf<'_>, _: &Options) -> Result<()> {
    build(shelf, [3, 4, 6, 3], true)
}
