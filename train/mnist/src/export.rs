//! The trained network as a graph of ONNX operators, and its weights as safetensors.

use burn::module::Param;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use firebrand::graph::{Attribute, Dim};
use firebrand::import::{self, builder::Builder};
use firebrand::{DataType, Model};
use safetensors::tensor::{Dtype, TensorView};

use crate::digits::SIDE;
use crate::network::Network;

/// A tensor by its name: dimensions, elements.
type Weight = (&'static str, Vec<usize>, Vec<f32>);

/// The weights as PyTorch lays them out, so that dense layers are `[outputs, inputs]`.
fn weights(network: &Network) -> Vec<Weight> {
    fn of<const D: usize>(name: &'static str, tensor: Tensor<D>) -> Weight {
        let data = tensor.into_data();
        (name, data.shape().to_vec(), data.iter::<f32>().collect())
    }
    let bias = |bias: &Option<Param<Tensor<1>>>| bias.as_ref().expect("layers are made with a bias").val();
    let conv =
        |names: [&'static str; 2], layer: &Conv2d| [of(names[0], layer.weight.val()), of(names[1], bias(&layer.bias))];
    let dense = |names: [&'static str; 2], layer: &Linear| {
        [of(names[0], layer.weight.val().transpose()), of(names[1], bias(&layer.bias))]
    };
    [
        conv(["conv1.weight", "conv1.bias"], &network.conv1),
        conv(["conv2.weight", "conv2.bias"], &network.conv2),
        conv(["conv3.weight", "conv3.bias"], &network.conv3),
        dense(["fc1.weight", "fc1.bias"], &network.fc1),
        dense(["fc2.weight", "fc2.bias"], &network.fc2),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The bytes of a safetensors file.
pub fn safetensors(network: &Network) -> Result<Vec<u8>, String> {
    let weights = weights(network);
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = weights
        .into_iter()
        .map(|(name, shape, values)| (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (*name, view)).map_err(|error| error.to_string())
    });
    safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None).map_err(|error| error.to_string())
}

/// The model: `pixels` [N, 1, 28, 28] from 0 to 1, to `logits` [N, 10].
pub fn onnx(network: &Network) -> firebrand::Result<Model> {
    let mut graph = Builder::new("mnist-cnn");
    for (name, shape, values) in weights(network) {
        graph.constant(name, firebrand::Tensor::from_vec(shape, values)?);
    }
    let batch = || Dim::Name("batch".to_string());
    let side = || Dim::Size(SIDE);
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    let mut x = graph.input("pixels", DataType::Float32, vec![batch(), Dim::Size(1), side(), side()]);
    for index in 1..=3 {
        let name = format!("conv{index}");
        let inputs = [x.as_str(), &format!("{name}.weight"), &format!("{name}.bias")];
        x = graph.node("Conv", &name, &inputs, vec![("kernel_shape", ints(&[3, 3])), ("pads", ints(&[1, 1, 1, 1]))]);
        x = graph.node("Relu", &format!("relu{index}"), &[&x], vec![]);
        let window = vec![("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
        x = graph.node("MaxPool", &format!("pool{index}"), &[&x], window);
    }
    x = graph.node("Flatten", "flatten", &[&x], vec![]);
    x = graph.node("Gemm", "fc1", &[&x, "fc1.weight", "fc1.bias"], vec![("transB", Attribute::Int(1))]);
    x = graph.node("Relu", "relu4", &[&x], vec![]);
    x = graph.node("Gemm", "logits", &[&x, "fc2.weight", "fc2.bias"], vec![("transB", Attribute::Int(1))]);
    graph.output("logits", &x, DataType::Float32, Some(vec![batch(), Dim::Size(10)]));
    Ok(import::model(graph.finish()?))
}
