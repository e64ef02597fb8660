//! Convolution by packed float32 weights, channels last in memory.

use crate::backend::{Array, Device, Window, buffers, channels_last, from_channels_last};
use crate::error::{Result, bail, ensure};
use crate::graph::DataType;
use crate::kernels::{Activation, ConvF32, Epilogue, Geometry};
use crate::ops::{
    Attributes, Dtypes, Info, Inputs, MultiplyAdds, Op, Type, Value, WindowAttributes, broadcast, count_of, one,
    output, tensor_type,
};

/// Conv, what is added to its result, and the activation. Inputs: `x` `[N, C, spatial…]` of one or two
/// spatial dimensions, and the residual where there is one.
pub struct Conv {
    shape: ConvShape,
    weight: ConvF32,
    bias: Option<Vec<f32>>,
    activation: Activation,
}

/// Sizes of a convolution whose weight is known.
pub struct ConvShape {
    window: WindowAttributes,
    group: usize,
    /// `[outputs, channels / group, kernel…]`
    pub weight: Vec<usize>,
}

impl ConvShape {
    /// None where the weight does not fit the attributes; the operator itself says so in a run.
    pub fn new(attributes: &Attributes<'_>, weight: &[usize]) -> Result<Option<Self>> {
        let group = attributes.count("group", 1)?;
        let fits = weight[0].is_multiple_of(group);
        Ok(fits.then_some(Self { window: WindowAttributes::read(attributes)?, group, weight: weight.to_vec() }))
    }

    pub fn group(&self) -> usize {
        self.group
    }

    /// Kernel height and width; the height of one spatial dimension is 1.
    pub fn kernel(&self) -> [usize; 2] {
        two(&self.weight[2..], 1)
    }

    /// Checks the input's shape and gives the window.
    pub fn window(&self, x: &[usize]) -> Result<Window> {
        let weight = &self.weight;
        ensure!(weight.len() == x.len(), ShapeMismatch, "the weight {weight:?} and the input {x:?} differ in rank");
        ensure!(
            x[1] == weight[1] * self.group,
            ShapeMismatch,
            "the weight {weight:?} has {} channels per group, the input {x:?} has {} (group = {})",
            weight[1],
            x[1],
            self.group
        );
        self.window.window(x, Some(&weight[2..]))
    }

    /// The output's shape.
    pub fn output(&self, x: &[usize], window: &Window) -> Vec<usize> {
        [&[x[0], self.weight[0]], &window.output[..]].concat()
    }

    /// As the kernels take it.
    pub fn geometry(&self, x: &[usize], window: &Window) -> Geometry {
        Geometry::new(x, self.weight[0], self.group, window)
    }

    /// Products for each element of the output.
    pub fn depth(&self) -> usize {
        self.weight[1..].iter().product()
    }
}

fn two(values: &[usize], fill: usize) -> [usize; 2] {
    match *values {
        [h, w] => [h, w],
        [w] => [fill, w],
        _ => [fill, fill],
    }
}

impl Conv {
    /// Packs `weight`, row-major of `shape`.
    pub fn new(
        attributes: &Attributes<'_>,
        weight: &[f32],
        shape: &[usize],
        bias: Option<Vec<f32>>,
        activation: Activation,
    ) -> Result<Option<Self>> {
        let Some(shape) = ConvShape::new(attributes, shape)? else { return Ok(None) };
        let pack = if shape.window.one_apart() { ConvF32::one_apart } else { ConvF32::new };
        let weight = pack(weight, shape.weight[0], shape.weight[1], shape.kernel(), shape.group);
        Ok(Some(Self { shape, weight, bias, activation }))
    }
}

impl Op for Conv {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        Ok(vec![Type::Tensor(tensor_type(inputs, 0, Dtypes::Only(DataType::Float32))?)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        let x = inputs.shape(0)?;
        let shape = self.shape.output(x, &self.shape.window(x)?);
        let shape = if inputs.has(1) { broadcast(&shape, inputs.shape(1)?)? } else { shape };
        one(DataType::Float32, shape)
    }

    fn weight_bytes(&self) -> usize {
        self.weight.byte_len() + 4 * self.bias.as_ref().map_or(0, Vec::len)
    }

    fn multiply_adds(&self, _: &Inputs, outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::float(&[count_of(outputs, 0), self.shape.depth()]))
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let [Some(Info { shape: total, .. })] = outputs else { bail!(Internal, "the output was not inferred") };
        let x = inputs.cpu(0)?;
        let dims = x.layout().shape().to_vec();
        let window = self.shape.window(&dims)?;
        let shape = self.shape.output(&dims, &window);
        let residual = if inputs.has(1) { Some(inputs.cpu(1)?) } else { None };
        let fits = residual.as_ref().is_none_or(|r| r.layout().shape()[..] == shape[..]);
        let with = residual.as_ref().filter(|_| fits).map(channels_last::<f32>);
        let epilogue = Epilogue {
            bias: self.bias.as_deref(),
            residual: with.as_deref(),
            activation: if fits { self.activation } else { Activation::None },
        };
        let mut y = buffers::floats(shape.iter().product());
        self.weight.run(&self.shape.geometry(&dims, &window), &channels_last::<f32>(&x), &epilogue, &mut y);
        drop(with);
        buffers::recycle(x);
        let y = from_channels_last(DataType::Float32, &shape, y);
        match residual.filter(|_| !fits) {
            Some(residual) => {
                output(super::add_broadcast(Array::Cpu(y), Array::Cpu(residual), total, self.activation)?)
            }
            None => output(y),
        }
    }
}
