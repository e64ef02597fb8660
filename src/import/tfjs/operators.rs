//! TensorFlow's operators by their names in a graph.

use super::graph::Node;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::import::tensorflow::{Activation, Id, Order, Padding, Resize, StridedSlice, Window, Writer, text};

/// A node at its place.
struct Call<'c, 'a> {
    w: &'c mut Writer,
    node: &'c Node<'a>,
    inputs: &'c [Id],
}

/// Writes a node; gives the values of its outputs.
pub fn write(w: &mut Writer, node: &Node<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
    Call { w, node, inputs }.write()
}

/// ONNX's operator for one that works on each element alone.
fn unary(op: &str) -> Option<&'static str> {
    Some(match op {
        "Abs" => "Abs",
        "Acos" => "Acos",
        "Acosh" => "Acosh",
        "Asin" => "Asin",
        "Asinh" => "Asinh",
        "Atan" => "Atan",
        "Atanh" => "Atanh",
        "Ceil" => "Ceil",
        "Cos" => "Cos",
        "Cosh" => "Cosh",
        "Elu" => "Elu",
        "Erf" => "Erf",
        "Exp" => "Exp",
        "Floor" => "Floor",
        "Log" => "Log",
        "Neg" => "Neg",
        "Reciprocal" | "Inv" => "Reciprocal",
        "Relu" => "Relu",
        "Round" => "Round",
        "Selu" => "Selu",
        "Sigmoid" => "Sigmoid",
        "Sign" => "Sign",
        "Sin" => "Sin",
        "Sinh" => "Sinh",
        "Softplus" => "Softplus",
        "Softsign" => "Softsign",
        "Sqrt" => "Sqrt",
        "Tan" => "Tan",
        "Tanh" => "Tanh",
        _ => return None,
    })
}

/// ONNX's operator for one of two elements, and whether it gives bools.
fn binary(op: &str) -> Option<(&'static str, bool)> {
    Some(match op {
        "Add" | "AddV2" | "BiasAdd" => ("Add", false),
        "Sub" => ("Sub", false),
        "Mul" => ("Mul", false),
        "RealDiv" | "Div" => ("Div", false),
        "Maximum" => ("Max", false),
        "Minimum" => ("Min", false),
        "Pow" => ("Pow", false),
        "Equal" => ("Equal", true),
        "Less" => ("Less", true),
        "LessEqual" => ("LessOrEqual", true),
        "Greater" => ("Greater", true),
        "GreaterEqual" => ("GreaterOrEqual", true),
        "LogicalAnd" => ("And", true),
        "LogicalOr" => ("Or", true),
        "LogicalXor" => ("Xor", true),
        _ => return None,
    })
}

impl Call<'_, '_> {
    fn input(&self, at: usize) -> Result<Id> {
        match self.inputs.get(at) {
            Some(&id) => Ok(id),
            None => bail!(InvalidModel, "input {at} of {} is missing", self.inputs.len()),
        }
    }

    fn three(&self) -> Result<[Id; 3]> {
        Ok([self.input(0)?, self.input(1)?, self.input(2)?])
    }

    fn ints_of(&self, at: usize, what: &str) -> Result<Vec<i64>> {
        self.w.need_ints(self.input(at)?, what)
    }

    fn int_of(&self, at: usize, what: &str) -> Result<i64> {
        self.w.need_int(self.input(at)?, what)
    }

    fn write(mut self) -> Result<Vec<Id>> {
        let (name, op, attributes) = (self.node.name, self.node.op, self.node.attributes);
        if let Some(op_type) = unary(op) {
            let x = self.input(0)?;
            return Ok(vec![self.w.unary(op_type, name, x, vec![])?]);
        }
        if let Some((op_type, gives_bools)) = binary(op) {
            self.channels_last()?;
            let (a, b) = (self.input(0)?, self.input(1)?);
            let value = match gives_bools {
                true => self.w.compare(op_type, name, &[a, b])?,
                false => self.w.binary(op_type, name, a, b)?,
            };
            return Ok(vec![value]);
        }
        let one = match op {
            "Identity" | "StopGradient" | "Snapshot" | "PreventGradient" | "PlaceholderWithDefault" => self.input(0)?,
            "IdentityN" => return Ok(self.inputs.to_vec()),
            // Convolutions and pools
            "Conv2D" | "_FusedConv2D" => self.conv(false)?,
            "DepthwiseConv2dNative" | "FusedDepthwiseConv2dNative" | "_FusedDepthwiseConv2dNative" => {
                self.conv(true)?
            }
            "Conv3D" => {
                let (x, filter) = (self.input(0)?, self.input(1)?);
                let window = self.window(3)?;
                let weight = self.w.weight(filter, &[4, 3, 0, 1, 2])?;
                let groups = self.w.groups(x, weight.1[1])?;
                self.w.conv(name, x, weight, None, groups, &window)?
            }
            "Conv2DBackpropInput" => {
                let [size, filter, x] = self.three()?;
                let window = self.window(2)?;
                let out = self.ints_of(0, "the sizes that come out")?;
                ensure!(out.len() == 4, InvalidModel, "expected 4 sizes, got {}", out.len());
                let _ = size;
                let out = out[1..3].iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect::<Vec<_>>();
                let weight = self.w.weight(filter, &[3, 2, 0, 1])?;
                self.w.conv_transpose(name, x, weight, None, &out, &window)?
            }
            "MaxPool" | "AvgPool" => {
                let x = self.input(0)?;
                let window = self.window(2)?;
                let kernel = attributes.ints("ksize");
                ensure!(kernel.len() == 4 && kernel[0] == 1 && kernel[3] == 1, UnsupportedOperator, "over {kernel:?}");
                let op_type = if op == "MaxPool" { "MaxPool" } else { "AveragePool" };
                self.w.pool(op_type, name, x, &kernel[1..3], &window)?
            }
            "ResizeBilinear" | "ResizeNearestNeighbor" => {
                let (x, size) = (self.input(0)?, self.input(1)?);
                let how = Resize {
                    linear: op == "ResizeBilinear",
                    align_corners: attributes.flag("align_corners", false),
                    half_pixel_centers: attributes.flag("half_pixel_centers", false),
                };
                self.w.resize(name, x, size, how)?
            }
            "DepthToSpace" | "SpaceToDepth" => {
                self.channels_last()?;
                let x = self.input(0)?;
                let op_type = if op == "DepthToSpace" { "DepthToSpace" } else { "SpaceToDepth" };
                self.w.move_depth(op_type, name, x, attributes.int("block_size", 0))?
            }
            "SpaceToBatchND" | "BatchToSpaceND" => {
                let (x, blocks, pads) = (self.input(0)?, self.ints_of(1, "blocks")?, self.ints_of(2, "pads")?);
                if op == "SpaceToBatchND" {
                    self.w.space_to_batch(name, x, &blocks, &pads)?
                } else {
                    self.w.batch_to_space(name, x, &blocks, &pads)?
                }
            }
            // Products and normalisation
            "MatMul" | "_FusedMatMul" => self.matmul()?,
            "BatchMatMul" | "BatchMatMulV2" => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                self.w.matmul(name, a, b, [attributes.flag("adj_x", false), attributes.flag("adj_y", false)])?
            }
            "Einsum" => {
                let Some(equation) = attributes.text("equation") else { bail!(InvalidModel, "it has no equation") };
                let names = self.inputs.iter().map(|&id| self.w.last(id)).collect::<Result<Vec<_>>>()?;
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let rank = equation.split("->").nth(1).map(|out| out.trim().len()).filter(|_| !equation.contains('.'));
                let shape = rank.filter(|&rank| rank <= crate::graph::MAX_RANK).map(|rank| vec![None; rank]);
                let dtype = self.w.real_dtype(self.input(0)?);
                self.w.emit("Einsum", name, &names, vec![text("equation", &equation)], dtype, shape, Order::Last)
            }
            "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => {
                self.channels_last()?;
                ensure!(!attributes.flag("is_training", true), UnsupportedOperator, "that trains");
                let ([x, scale, bias], mean, variance) = (self.three()?, self.input(3)?, self.input(4)?);
                self.w.batch_norm(name, x, [scale, bias, mean, variance], attributes.float("epsilon", 1e-4))?
            }
            "LRN" => {
                let x = self.input(0)?;
                let numbers = [("bias", 1.0), ("alpha", 1.0), ("beta", 0.5)].map(|(key, or)| attributes.float(key, or));
                self.w.local_response(name, x, attributes.int("depth_radius", 5), numbers)?
            }
            "Softmax" | "LogSoftmax" => {
                let x = self.input(0)?;
                self.w.softmax(if op == "Softmax" { "Softmax" } else { "LogSoftmax" }, name, x, 1.0)?
            }
            // Elements
            "Relu6" => self.activated(Activation::Relu6)?,
            "LeakyRelu" => self.activated(Activation::LeakyRelu(attributes.float("alpha", 0.2)))?,
            "Prelu" => {
                let (x, slope) = (self.input(0)?, self.input(1)?);
                self.w.prelu(name, x, slope)?
            }
            "ClipByValue" => {
                let [x, low, high] = self.three()?;
                let above = self.w.binary("Max", &format!("{name}/above"), x, low)?;
                self.w.binary("Min", name, above, high)?
            }
            "Rsqrt" => {
                let x = self.input(0)?;
                let root = self.w.unary("Sqrt", &format!("{name}/root"), x, vec![])?;
                self.w.unary("Reciprocal", name, root, vec![])?
            }
            "Square" => {
                let x = self.input(0)?;
                self.w.binary("Mul", name, x, x)?
            }
            "Log1p" | "Expm1" => {
                let x = self.input(0)?;
                let unit = self.w.scalar(&format!("{name}/one"), 1.0)?;
                if op == "Log1p" {
                    let more = self.w.binary("Add", &format!("{name}/more"), x, unit)?;
                    self.w.unary("Log", name, more, vec![])?
                } else {
                    let power = self.w.unary("Exp", &format!("{name}/power"), x, vec![])?;
                    self.w.binary("Sub", name, power, unit)?
                }
            }
            "SquaredDifference" => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                let difference = self.w.binary("Sub", &format!("{name}/difference"), a, b)?;
                self.w.binary("Mul", name, difference, difference)?
            }
            "FloorDiv" => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                self.w.floor_div(name, a, b)?
            }
            "FloorMod" => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                self.w.floor_mod(name, a, b)?
            }
            "DivNoNan" => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                let zeros = self.w.filled_like(&format!("{name}/zeros"), b, 0)?;
                let nothing = self.w.compare("Equal", &format!("{name}/nothing"), &[b, zeros])?;
                let quotient = self.w.binary("Div", &format!("{name}/quotient"), a, b)?;
                self.w.select(name, [nothing, zeros, quotient], true)?
            }
            "NotEqual" => {
                let equal = self.w.compare("Equal", &format!("{name}/equal"), self.inputs)?;
                self.w.compare("Not", name, &[equal])?
            }
            "LogicalNot" => self.w.compare("Not", name, self.inputs)?,
            "IsNan" => self.w.compare("IsNaN", name, self.inputs)?,
            "AddN" => {
                let dtype = self.w.real_dtype(self.input(0)?);
                self.w.elementwise("Sum", name, self.inputs, vec![], dtype)?
            }
            "Select" | "SelectV2" => {
                let inputs = self.three()?;
                self.w.select(name, inputs, op == "SelectV2")?
            }
            "Cast" => {
                let (x, to) = (self.input(0)?, attributes.dtype("DstT")?);
                if self.w.dtype(x) == to { x } else { self.w.cast(name, x, to)? }
            }
            // Reductions
            "Mean" => self.reduce("ReduceMean")?,
            "Sum" => self.reduce("ReduceSum")?,
            "Prod" => self.reduce("ReduceProd")?,
            "Max" => self.reduce("ReduceMax")?,
            "Min" => self.reduce("ReduceMin")?,
            "Any" | "All" => {
                let (x, axes) = (self.input(0)?, self.ints_of(1, "axes")?);
                let op_type = if op == "Any" { "ReduceMax" } else { "ReduceMin" };
                self.w.reduce_bools(op_type, name, x, &axes, attributes.flag("keep_dims", false))?
            }
            "ArgMax" | "ArgMin" => {
                let (x, axis) = (self.input(0)?, self.int_of(1, "the axis")?);
                self.w.arg(if op == "ArgMax" { "ArgMax" } else { "ArgMin" }, name, x, axis, DataType::Int32)?
            }
            "TopKV2" => {
                let (x, k) = (self.input(0)?, self.input(1)?);
                return self.w.top_k(name, x, k);
            }
            "Cumsum" => {
                let (x, axis) = (self.input(0)?, self.input(1)?);
                self.w.cumsum(name, x, axis, attributes.flag("exclusive", false), attributes.flag("reverse", false))?
            }
            // Shapes
            "Reshape" => {
                let (x, to) = (self.input(0)?, self.input(1)?);
                self.w.reshape_to(name, x, to)?
            }
            "Squeeze" => {
                let axes = [attributes.ints("squeeze_dims"), attributes.ints("axis")].concat();
                let x = self.input(0)?;
                self.w.squeeze(name, x, &axes)?
            }
            "ExpandDims" => {
                let (x, axis) = (self.input(0)?, self.int_of(1, "the axis")?);
                self.w.expand_dims(name, x, &[axis])?
            }
            "Transpose" => {
                let (x, permutation) = (self.input(0)?, self.ints_of(1, "the permutation")?);
                let permutation = permutation.iter().map(|&axis| self.w.axis(x, axis)).collect::<Result<Vec<_>>>()?;
                self.w.transpose(name, x, &permutation)?
            }
            "ConcatV2" | "Concat" => {
                let Some(last) = self.inputs.len().checked_sub(1) else {
                    bail!(InvalidModel, "nothing to concatenate")
                };
                let at = if op == "ConcatV2" { last } else { 0 };
                let axis = self.int_of(at, "the axis")?;
                let values = if op == "ConcatV2" { &self.inputs[..last] } else { &self.inputs[1..] };
                self.w.concat(name, values, axis)?
            }
            "Pack" => self.w.pack(name, self.inputs, attributes.int("axis", 0))?,
            "Unpack" => {
                let (x, axis) = (self.input(0)?, attributes.int("axis", 0));
                return self.w.unpack(name, x, self.count("num")?, axis);
            }
            "Split" => {
                let (axis, x) = (self.int_of(0, "the axis")?, self.input(1)?);
                return self.w.split_evenly(name, x, self.count("num_split")?, axis);
            }
            "SplitV" => {
                let (x, sizes, axis) = (self.input(0)?, self.ints_of(1, "sizes")?, self.int_of(2, "the axis")?);
                return self.w.split(name, x, &sizes, axis);
            }
            "Pad" | "PadV2" => {
                let (x, pads, value) = (self.input(0)?, self.input(1)?, self.inputs.get(2).copied());
                self.w.pad(name, x, pads, value, "constant")?
            }
            "MirrorPad" => {
                let (x, pads) = (self.input(0)?, self.input(1)?);
                self.w.mirror_pad(name, x, pads, attributes.text("mode").as_deref() == Some("SYMMETRIC"))?
            }
            "Slice" => {
                let [x, begin, length] = self.three()?;
                self.w.slice(name, x, begin, length)?
            }
            "StridedSlice" => {
                let ([x, begin, end], strides) = (self.three()?, self.input(3)?);
                let masks = StridedSlice {
                    begin: attributes.int("begin_mask", 0),
                    end: attributes.int("end_mask", 0),
                    ellipsis: attributes.int("ellipsis_mask", 0),
                    new_axis: attributes.int("new_axis_mask", 0),
                    shrink: attributes.int("shrink_axis_mask", 0),
                    offset: false,
                };
                self.w.strided_slice(name, x, [begin, end, strides], masks)?
            }
            "Gather" => {
                let (x, indices) = (self.input(0)?, self.input(1)?);
                self.w.gather(name, x, indices, 0, 0)?
            }
            "GatherV2" => {
                let (x, indices, axis) = (self.input(0)?, self.input(1)?, self.int_of(2, "the axis")?);
                self.w.gather(name, x, indices, axis, attributes.int("batch_dims", 0))?
            }
            "GatherNd" => {
                let (x, indices) = (self.input(0)?, self.input(1)?);
                self.w.gather_nd(name, x, indices)?
            }
            "ScatterNd" => {
                let inputs = self.three()?;
                self.w.scatter(name, inputs)?
            }
            "Tile" => {
                let (x, repeats) = (self.input(0)?, self.input(1)?);
                self.w.tile(name, x, repeats)?
            }
            "BroadcastTo" => {
                let (x, shape) = (self.input(0)?, self.input(1)?);
                self.w.expand(name, x, shape)?
            }
            "Fill" => {
                let (shape, value) = (self.input(0)?, self.input(1)?);
                self.w.expand(name, value, shape)?
            }
            "ZerosLike" | "OnesLike" => {
                let x = self.input(0)?;
                self.w.filled_like(name, x, u8::from(op == "OnesLike"))?
            }
            "Range" => {
                let inputs = self.three()?;
                self.w.range(name, inputs)?
            }
            "Shape" => {
                let x = self.input(0)?;
                self.w.shape_of(name, x, DataType::Int32)?
            }
            "Rank" => {
                let rank = self.w.rank(self.input(0)?)? as i32;
                self.w.constant(name, Tensor::from_vec(vec![], vec![rank])?, None)
            }
            "OneHot" => {
                let ([indices, depth, on], off) = (self.three()?, self.input(3)?);
                self.w.one_hot(name, [indices, depth, on, off], attributes.int("axis", -1))?
            }
            "ReverseV2" => {
                let (x, axes) = (self.input(0)?, self.ints_of(1, "axes")?);
                self.w.reverse(name, x, &axes)?
            }
            "Where" => {
                let condition = self.input(0)?;
                let found = self.w.places(&format!("{name}/long"), condition)?;
                self.w.cast(name, found, DataType::Int32)?
            }
            "Unique" => {
                let x = self.input(0)?;
                return self.w.unique(name, x, DataType::Int32);
            }
            _ => bail!(UnsupportedOperator, ""),
        };
        Ok(vec![one])
    }

    /// A number of outputs, which must be one that a graph can use.
    fn count(&self, key: &str) -> Result<usize> {
        match usize::try_from(self.node.attributes.int(key, 0)) {
            Ok(count) if (1..=1 << 12).contains(&count) => Ok(count),
            _ => bail!(InvalidModel, "{} pieces", self.node.attributes.int(key, 0)),
        }
    }

    /// TensorFlow.js has channels last, and first only where a graph was made for a GPU.
    fn channels_last(&self) -> Result<()> {
        match self.node.attributes.text("data_format").as_deref() {
            None | Some("NHWC" | "NDHWC" | "") => Ok(()),
            Some(other) => bail!(UnsupportedOperator, "with data in the order {other}"),
        }
    }

    fn activated(&mut self, activation: Activation) -> Result<Id> {
        let x = self.input(0)?;
        self.w.activate(self.node.name, x, activation)
    }

    fn reduce(&mut self, op_type: &str) -> Result<Id> {
        let (x, axes, keep) = (self.input(0)?, self.ints_of(1, "axes")?, self.node.attributes.flag("keep_dims", false));
        self.w.reduce(op_type, self.node.name, x, &axes, keep)
    }

    /// The window of the attributes, which have an entry for each of `spatial + 2` dimensions.
    fn window(&self, spatial: usize) -> Result<Window> {
        self.channels_last()?;
        let attributes = self.node.attributes;
        let inner = |key: &str| {
            let all = attributes.ints(key);
            match all.len() {
                0 => Ok(vec![1; spatial]),
                n if n == spatial + 2 && all[0] == 1 && all[n - 1] == 1 => Ok(all[1..=spatial].to_vec()),
                _ => bail!(UnsupportedOperator, "with {key} {all:?}"),
            }
        };
        let padding = match attributes.text("padding").as_deref() {
            Some("SAME") => Padding::Same,
            Some("VALID") => Padding::Valid,
            Some("EXPLICIT") => {
                let pads = attributes.ints("explicit_paddings");
                ensure!(pads.len() == 2 * (spatial + 2), InvalidModel, "explicit_paddings {pads:?}");
                Padding::Explicit(pads[2..2 * spatial + 2].chunks(2).map(|pad| (pad[0], pad[1])).collect())
            }
            other => bail!(InvalidModel, "the padding {other:?}"),
        };
        Ok(Window { strides: inner("strides")?, dilations: inner("dilations")?, padding })
    }

    /// What was fused behind a product: the bias, normalisation and activation.
    fn fused(&mut self, value: Id, from: usize) -> Result<Id> {
        let fused = self.node.attributes.texts("fused_ops");
        let (mut value, mut at) = (value, from);
        let name = self.node.name;
        for (n, op) in fused.iter().enumerate() {
            let own = if n + 1 == fused.len() { name.to_string() } else { format!("{name}/{op}") };
            let alpha = self.node.attributes.float("leakyrelu_alpha", 0.2);
            let activation = match op.as_str() {
                "BiasAdd" => {
                    let bias = self.input(at)?;
                    at += 1;
                    value = self.w.binary("Add", &own, value, bias)?;
                    continue;
                }
                "FusedBatchNorm" => {
                    let [scale, bias, mean, variance] =
                        [self.input(at)?, self.input(at + 1)?, self.input(at + 2)?, self.input(at + 3)?];
                    at += 4;
                    let epsilon = self.node.attributes.float("epsilon", 1e-4);
                    value = self.w.batch_norm(&own, value, [scale, bias, mean, variance], epsilon)?;
                    continue;
                }
                "Prelu" => {
                    let slope = self.input(at)?;
                    at += 1;
                    value = self.w.prelu(&own, value, slope)?;
                    continue;
                }
                "Relu" => Activation::Relu,
                "Relu6" => Activation::Relu6,
                "Elu" => Activation::Elu,
                "Sigmoid" => Activation::Sigmoid,
                "Tanh" => Activation::Tanh,
                "LeakyRelu" => Activation::LeakyRelu(alpha),
                other => bail!(UnsupportedOperator, "fused with {other}"),
            };
            value = self.w.activate(&own, value, activation)?;
        }
        Ok(value)
    }

    /// A product's own name, where nothing is fused behind it.
    fn inner(&self) -> String {
        match self.node.attributes.texts("fused_ops").is_empty() {
            true => self.node.name.to_string(),
            false => format!("{}/linear", self.node.name),
        }
    }

    fn conv(&mut self, depthwise: bool) -> Result<Id> {
        let (x, filter) = (self.input(0)?, self.input(1)?);
        let (window, name) = (self.window(2)?, self.inner());
        let value = if depthwise {
            let (weight, shape) = self.w.depthwise_weight(filter)?;
            let groups = shape[0] / shape[4].max(1);
            let shape = vec![shape[0], 1, shape[2], shape[3]];
            self.w.conv(&name, x, (weight, shape), None, groups, &window)?
        } else {
            let weight = self.w.weight(filter, &[3, 2, 0, 1])?;
            let groups = self.w.groups(x, weight.1[1])?;
            self.w.conv(&name, x, weight, None, groups, &window)?
        };
        self.fused(value, 2)
    }

    fn matmul(&mut self) -> Result<Id> {
        let (a, b) = (self.input(0)?, self.input(1)?);
        let attributes = self.node.attributes;
        let flags = [attributes.flag("transpose_a", false), attributes.flag("transpose_b", false)];
        let name = self.inner();
        let value = match self.w.known(b) {
            Some(_) if !flags[0] => self.w.fully_connected(&name, a, b, flags[1], None, false)?,
            _ => self.w.matmul(&name, a, b, flags)?,
        };
        self.fused(value, 2)
    }
}
