//! Functions that stand in a model beside its layers: `keras.ops` in Keras 3, TensorFlow's in Keras 2.

use serde_json::Value as Json;

use super::super::array::Array;
use super::super::emit::{Emitter, Layer, Shape, Step, Value, invalid, refuse};
use super::super::network::{Argument, Arguments};
use super::super::settings::{integer, integers, number};
use super::shape::{argument_ints, pad, product, reshape_to};
use super::{activation, dtype_named, merge, normalization, pooling};
use crate::graph::{Attribute, DataType};

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// ONNX' operator of two values.
    Two(&'static str),
    /// As [`Two`](Self::Two), always of floats.
    TwoFloats(&'static str),
    /// ONNX' operator of two values that gives bools.
    Compares(&'static str),
    /// ONNX' operator of two bools.
    Logic(&'static str),
    /// ONNX' operator of one value.
    One(&'static str),
    /// ONNX' operator of one float value.
    OneFloat(&'static str),
    Activation(&'static str),
    Reduce(&'static str),
    Arg(&'static str),
    Softmax(&'static str),
    LeakyRelu,
    Elu,
    Gelu,
    Relu,
    Square,
    SquaredDifference,
    Rsqrt,
    Clip,
    Concat,
    Stack,
    Split,
    Reshape,
    Transpose,
    ExpandDims,
    Squeeze,
    Cast,
    Same,
    Matmul,
    L2,
    Item,
    Where,
    DepthToSpace,
    SpaceToDepth,
    Resize,
    Pad,
    Flip,
    Tile,
    Repeat,
    Dot,
}

use Does::*;

fn of_tensorflow(name: &str) -> Option<Does> {
    let name = name.strip_prefix("compat.v1.").unwrap_or(name);
    Some(match name {
        "math.add" | "__operators__.add" | "add" | "nn.bias_add" => Two("Add"),
        "math.subtract" | "subtract" => Two("Sub"),
        "math.multiply" | "multiply" => Two("Mul"),
        "math.divide" | "math.truediv" | "truediv" | "divide" | "realdiv" => TwoFloats("Div"),
        "math.pow" | "pow" => TwoFloats("Pow"),
        "math.maximum" | "maximum" => Two("Max"),
        "math.minimum" | "minimum" => Two("Min"),
        "math.squared_difference" => SquaredDifference,
        "math.greater" => Compares("Greater"),
        "math.greater_equal" => Compares("GreaterOrEqual"),
        "math.less" => Compares("Less"),
        "math.less_equal" => Compares("LessOrEqual"),
        "math.equal" | "__operators__.eq" => Compares("Equal"),
        "math.logical_and" => Logic("And"),
        "math.logical_or" => Logic("Or"),
        "math.abs" | "abs" => One("Abs"),
        "math.negative" | "negative" => One("Neg"),
        "math.sign" => One("Sign"),
        "math.exp" => OneFloat("Exp"),
        "math.log" => OneFloat("Log"),
        "math.sqrt" => OneFloat("Sqrt"),
        "math.rsqrt" => Rsqrt,
        "math.square" => Square,
        "math.sin" => OneFloat("Sin"),
        "math.cos" => OneFloat("Cos"),
        "math.floor" => OneFloat("Floor"),
        "math.ceil" => OneFloat("Ceil"),
        "math.round" => OneFloat("Round"),
        "math.erf" => OneFloat("Erf"),
        "math.reciprocal" => OneFloat("Reciprocal"),
        "math.sigmoid" | "nn.sigmoid" | "sigmoid" => Activation("sigmoid"),
        "math.tanh" | "nn.tanh" | "tanh" => Activation("tanh"),
        "math.softplus" | "nn.softplus" => Activation("softplus"),
        "nn.softsign" => Activation("softsign"),
        "nn.relu" => Activation("relu"),
        "nn.relu6" => Activation("relu6"),
        "nn.elu" => Activation("elu"),
        "nn.selu" => Activation("selu"),
        "nn.silu" | "nn.swish" => Activation("swish"),
        "nn.gelu" => Gelu,
        "nn.leaky_relu" => LeakyRelu,
        "nn.softmax" | "math.softmax" => Softmax("Softmax"),
        "nn.log_softmax" | "math.log_softmax" => Softmax("LogSoftmax"),
        "math.reduce_mean" => Reduce("ReduceMean"),
        "math.reduce_sum" => Reduce("ReduceSum"),
        "math.reduce_max" => Reduce("ReduceMax"),
        "math.reduce_min" => Reduce("ReduceMin"),
        "math.reduce_prod" => Reduce("ReduceProd"),
        "math.reduce_logsumexp" => Reduce("ReduceLogSumExp"),
        "math.argmax" | "argmax" => Arg("ArgMax"),
        "math.argmin" | "argmin" => Arg("ArgMin"),
        "clip_by_value" => Clip,
        "concat" => Concat,
        "stack" => Stack,
        "split" => Split,
        "reshape" => Reshape,
        "transpose" => Transpose,
        "expand_dims" => ExpandDims,
        "squeeze" => Squeeze,
        "cast" => Cast,
        "identity" | "stop_gradient" | "convert_to_tensor" => Same,
        "linalg.matmul" | "matmul" => Matmul,
        "math.l2_normalize" | "nn.l2_normalize" | "linalg.l2_normalize" => L2,
        "__operators__.getitem" => Item,
        "where" | "where_v2" => Where,
        "nn.depth_to_space" | "depth_to_space" => DepthToSpace,
        "nn.space_to_depth" | "space_to_depth" => SpaceToDepth,
        "image.resize" => Resize,
        "pad" => Pad,
        "tile" => Tile,
        "repeat" => Repeat,
        "reverse" => Flip,
        _ => return None,
    })
}

fn of_keras(class: &str) -> Option<Does> {
    Some(match class {
        "Add" => Two("Add"),
        "Subtract" => Two("Sub"),
        "Multiply" => Two("Mul"),
        "Divide" | "TrueDivide" => TwoFloats("Div"),
        "Power" => TwoFloats("Pow"),
        "Maximum" => Two("Max"),
        "Minimum" => Two("Min"),
        "Greater" => Compares("Greater"),
        "GreaterEqual" => Compares("GreaterOrEqual"),
        "Less" => Compares("Less"),
        "LessEqual" => Compares("LessOrEqual"),
        "Equal" => Compares("Equal"),
        "LogicalAnd" => Logic("And"),
        "LogicalOr" => Logic("Or"),
        "Absolute" => One("Abs"),
        "Negative" => One("Neg"),
        "Sign" => One("Sign"),
        "Exp" => OneFloat("Exp"),
        "Log" => OneFloat("Log"),
        "Sqrt" => OneFloat("Sqrt"),
        "Rsqrt" => Rsqrt,
        "Square" => Square,
        "Sin" => OneFloat("Sin"),
        "Cos" => OneFloat("Cos"),
        "Tan" => OneFloat("Tan"),
        "Floor" => OneFloat("Floor"),
        "Ceil" => OneFloat("Ceil"),
        "Erf" => OneFloat("Erf"),
        "Reciprocal" => OneFloat("Reciprocal"),
        "Sigmoid" => Activation("sigmoid"),
        "Tanh" => Activation("tanh"),
        "Softplus" => Activation("softplus"),
        "Softsign" => Activation("softsign"),
        "Relu" => Relu,
        "Relu6" => Activation("relu6"),
        "Selu" => Activation("selu"),
        "Silu" => Activation("silu"),
        "HardSigmoid" => Activation("hard_sigmoid"),
        "HardSilu" => Activation("hard_silu"),
        "LogSigmoid" => Activation("log_sigmoid"),
        "Elu" => Elu,
        "Gelu" => Gelu,
        "LeakyRelu" => LeakyRelu,
        "Softmax" => Softmax("Softmax"),
        "LogSoftmax" => Softmax("LogSoftmax"),
        "Mean" => Reduce("ReduceMean"),
        "Sum" => Reduce("ReduceSum"),
        "Max" | "Amax" => Reduce("ReduceMax"),
        "Min" | "Amin" => Reduce("ReduceMin"),
        "Prod" => Reduce("ReduceProd"),
        "Logsumexp" => Reduce("ReduceLogSumExp"),
        "Argmax" => Arg("ArgMax"),
        "Argmin" => Arg("ArgMin"),
        "Clip" => Clip,
        "Concatenate" => Concat,
        "Stack" => Stack,
        "Split" => Split,
        "Reshape" => Reshape,
        "Transpose" => Transpose,
        "ExpandDims" => ExpandDims,
        "Squeeze" => Squeeze,
        "Cast" => Cast,
        "StopGradient" | "Identity" => Same,
        "Matmul" => Matmul,
        "GetItem" => Item,
        "Where" => Where,
        "Resize" => Resize,
        "Flip" => Flip,
        "Tile" => Tile,
        "Repeat" => Repeat,
        "Dot" => Dot,
        _ => return None,
    })
}

/// Whether TensorFlow's function `name` has a counterpart.
pub fn knows(name: &str) -> bool {
    of_tensorflow(name).is_some()
}

/// Whether the operation `class` of `keras.ops` has a counterpart.
pub fn knows_operation(class: &str) -> bool {
    of_keras(class).is_some()
}

/// TFOpLambda, SlicingOpLambda.
pub fn tensorflow(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    match of_tensorflow(layer.settings.text("function", "")?) {
        Some(does) => write(emitter, layer, arguments, does),
        None => refuse!("no counterpart"),
    }
}

/// An operation of `keras.ops`.
pub fn operation(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    match of_keras(layer.class) {
        Some(does) => write(emitter, layer, arguments, does),
        None => refuse!("no counterpart"),
    }
}

/// A setting of a function: by one of its names in the call or in the configuration, or by its place.
fn setting<'a>(layer: &Layer<'a>, arguments: &Arguments<'a>, index: usize, names: &[&str]) -> Option<&'a Json> {
    let named = names.iter().find_map(|name| match arguments.named.get(*name) {
        Some(Argument::Json(json)) if !json.is_null() => Some(*json),
        _ => None,
    });
    let configured = || names.iter().find_map(|name| layer.settings.get(name));
    let placed = || match arguments.positional.get(index) {
        Some(Argument::Json(json)) if !json.is_null() => Some(*json),
        _ => None,
    };
    named.or_else(configured).or_else(placed)
}

fn flag(layer: &Layer<'_>, arguments: &Arguments<'_>, index: usize, names: &[&str]) -> bool {
    matches!(setting(layer, arguments, index, names), Some(Json::Bool(true)))
}

/// The numbers of JSON and their shape.
fn array(json: &Json, depth: usize) -> Option<Array> {
    match json {
        Json::Bool(value) => Array::new(vec![], vec![f32::from(*value)]).ok(),
        Json::Array(items) if depth < 16 => {
            let inner: Vec<Array> = items.iter().map(|item| array(item, depth + 1)).collect::<Option<_>>()?;
            let mut shape = vec![items.len()];
            shape.extend(&inner.first()?.shape);
            if inner.iter().any(|array| array.shape != inner[0].shape) {
                return None;
            }
            Array::new(shape, inner.into_iter().flat_map(|array| array.data).collect()).ok()
        }
        Json::Object(object) if depth < 16 => {
            let inner = object.get("items").or_else(|| object.get("config").and_then(|config| config.get("value")))?;
            array(inner, depth + 1)
        }
        json => Array::new(vec![], vec![number(json)? as f32]).ok(),
    }
}

/// An argument as a value; numbers become constants of float32.
fn operand(emitter: &mut Emitter, layer: &Layer<'_>, argument: Option<&Argument<'_>>) -> Step<Value> {
    let json = match argument {
        Some(Argument::Value(value)) => return Ok(value.clone()),
        Some(Argument::Json(json)) => *json,
        _ => invalid!("it takes two values"),
    };
    let Some(array) = array(json, 0) else { refuse!("the argument {json}") };
    let shape: Shape = array.shape.iter().map(|&size| Some(size)).collect();
    let name = if array.shape.is_empty() {
        emitter.scalar(array.data[0])
    } else {
        let name = format!("{}/constant", layer.path);
        emitter.builder.constant(&name, array.tensor()?)
    };
    Ok(Value { name, shape, dtype: DataType::Float32, first: false, masked: false })
}

/// The two values of an operation, in one dtype: that of the value where the other is a whole number.
fn two(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>, floats: bool) -> Step<(Value, Value)> {
    let names = [["x", "x1", "a", "value", "input"], ["y", "x2", "b", "bias", "other"]];
    let find = |index: usize| {
        let named = || names[index].iter().find_map(|name| arguments.named.get(*name));
        match arguments.positional.get(index) {
            Some(argument) => Some(argument),
            None => named(),
        }
    };
    let mut pair = Vec::new();
    for index in 0..2 {
        pair.push(operand(emitter, layer, find(index))?);
    }
    let whole = |argument: Option<&Argument<'_>>| match argument {
        Some(Argument::Json(json)) => integer(json).is_some() && !json.is_f64(),
        _ => false,
    };
    let (a, b) = (pair[0].clone(), pair[1].clone());
    if a.dtype == b.dtype && !floats {
        return Ok((a, b));
    }
    let dtype = match () {
        () if floats => DataType::Float32,
        () if whole(find(1)) && a.dtype != DataType::Bool => a.dtype,
        () if whole(find(0)) && b.dtype != DataType::Bool => b.dtype,
        () => DataType::Float32,
    };
    Ok((emitter.cast(&a, dtype), emitter.cast(&b, dtype)))
}

/// The axes that a setting names, each of Keras' shape; all where there is none.
fn axes_of(value: &Value, json: Option<&Json>) -> Step<Vec<usize>> {
    let Some(json) = json else { return Ok((0..value.rank()).collect()) };
    let Some(listed) = argument_ints(Some(json)) else { invalid!("\"axis\": expected integers, got {json}") };
    let mut axes = listed.iter().map(|&axis| value.axis(axis)).collect::<Step<Vec<_>>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn axis_setting(layer: &Layer<'_>, arguments: &Arguments<'_>, index: usize, default: i64) -> Step<i64> {
    match setting(layer, arguments, index, &["axis", "dim"]) {
        None => Ok(default),
        Some(json) => match integer(json) {
            Some(axis) => Ok(axis),
            None => refuse!("the axis {json}"),
        },
    }
}

/// All values where a function takes a list of them.
fn list(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    let given = arguments.positional.first();
    let given = given.or_else(|| ["values", "xs", "x", "arrays"].iter().find_map(|name| arguments.named.get(*name)));
    match given {
        Some(Argument::List(items)) => {
            let mut values = Vec::new();
            for item in items {
                values.push(operand(emitter, layer, Some(item))?);
            }
            Ok(values)
        }
        Some(Argument::Value(value)) => Ok(vec![value.clone()]),
        _ => invalid!("it takes a list of values"),
    }
}

fn write(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>, does: Does) -> Step<Vec<Value>> {
    let path = layer.path.clone();
    let part = |name: &str| format!("{path}/{name}");
    match does {
        Two(op) | TwoFloats(op) => {
            let (a, b) = two(emitter, layer, arguments, matches!(does, TwoFloats(_)))?;
            return Ok(vec![emitter.binary(op, &path, &a, &b, a.dtype)?]);
        }
        Compares(op) => {
            let (a, b) = two(emitter, layer, arguments, false)?;
            return Ok(vec![emitter.binary(op, &path, &a, &b, DataType::Bool)?]);
        }
        Logic(op) => {
            let (a, b) = two(emitter, layer, arguments, false)?;
            let (a, b) = (emitter.cast(&a, DataType::Bool), emitter.cast(&b, DataType::Bool));
            return Ok(vec![emitter.binary(op, &path, &a, &b, DataType::Bool)?]);
        }
        SquaredDifference => {
            let (a, b) = two(emitter, layer, arguments, true)?;
            let difference = emitter.binary("Sub", &part("difference"), &a, &b, a.dtype)?;
            return Ok(vec![emitter.binary("Mul", &path, &difference, &difference, a.dtype)?]);
        }
        Matmul | Dot => {
            let (a, b) = two(emitter, layer, arguments, true)?;
            let (mut a, mut b) = (emitter.last(&a), emitter.last(&b));
            if a.rank() < 2 || b.rank() < 2 || does == Dot && b.rank() != 2 {
                refuse!("a product of {} and {} dimensions", a.rank(), b.rank());
            }
            let turned = |rank: usize| -> Vec<usize> { (0..rank - 2).chain([rank - 1, rank - 2]).collect() };
            if flag(layer, arguments, 2, &["transpose_a", "adjoint_a"]) {
                a = emitter.transpose(&part("a"), &a, &turned(a.rank()));
            }
            if flag(layer, arguments, 3, &["transpose_b", "adjoint_b"]) {
                b = emitter.transpose(&part("b"), &b, &turned(b.rank()));
            }
            let (rows, columns) = (a.shape[a.rank() - 2], b.shape[b.rank() - 1]);
            let mut shape = super::super::emit::broadcast(&a.shape[..a.rank() - 2], &b.shape[..b.rank() - 2])?;
            shape.extend([rows, columns]);
            let output = emitter.node("MatMul", &path, &[&a.name, &b.name], vec![]);
            return Ok(vec![Value { name: output, shape, first: false, ..a }]);
        }
        Concat => {
            let values = list(emitter, layer, arguments)?;
            let axis = axis_setting(layer, arguments, 1, if layer.class == "Concatenate" { -1 } else { 0 })?;
            return Ok(vec![merge::join(emitter, &path, &values, axis)?]);
        }
        Stack => {
            let values = list(emitter, layer, arguments)?;
            let axis = axis_setting(layer, arguments, 1, 0)?;
            let Some(rank) = values.first().map(|value| value.rank() as i64 + 1) else { invalid!("nothing to stack") };
            if values.iter().any(|value| value.rank() as i64 + 1 != rank) {
                invalid!("values of different ranks are stacked");
            }
            let axis = if axis < 0 { axis + rank } else { axis };
            if !(0..rank).contains(&axis) {
                invalid!("axis {axis} of {rank} dimensions");
            }
            let axes = emitter.ints(&[axis]);
            let mut raised = Vec::new();
            for value in values {
                let value = emitter.last(&value);
                let name = emitter.node("Unsqueeze", &part("one"), &[&value.name, &axes], vec![]);
                let mut shape = value.shape.clone();
                shape.insert(axis as usize, Some(1));
                raised.push(Value { name, shape, ..value });
            }
            return Ok(vec![merge::join(emitter, &path, &raised, axis)?]);
        }
        Where => {
            let find = |index: usize, names: [&str; 2]| {
                arguments.positional.get(index).or_else(|| names.iter().find_map(|name| arguments.named.get(*name)))
            };
            let condition = operand(emitter, layer, find(0, ["condition", "condition"]))?;
            let a = operand(emitter, layer, find(1, ["x", "x1"]))?;
            let b = operand(emitter, layer, find(2, ["y", "x2"]))?;
            let condition = emitter.cast(&condition, DataType::Bool);
            let (a, b) = (emitter.float(&a), emitter.float(&b));
            let values = [&condition, &a, &b].map(|value| emitter.last(value));
            let shape = super::super::emit::broadcast(&values[1].shape, &values[2].shape)?;
            let shape = super::super::emit::broadcast(&shape, &values[0].shape)?;
            let output = emitter.node("Where", &path, &[&values[0].name, &values[1].name, &values[2].name], vec![]);
            return Ok(vec![Value { name: output, shape, ..values[1].clone() }]);
        }
        _ => {}
    }
    // What takes one value.
    let value = match arguments.positional.first() {
        Some(Argument::Value(value)) => value.clone(),
        _ => {
            match arguments.named.values().find_map(|given| if let Argument::Value(v) = given { Some(v) } else { None })
            {
                Some(value) => value.clone(),
                None => refuse!("no value to compute with"),
            }
        }
    };
    let json = |index: usize, names: &[&str]| setting(layer, arguments, index, names);
    let number_of = |index: usize, names: &[&str]| json(index, names).and_then(number);
    Ok(match does {
        One(op) => vec![emitter.same(op, &path, &value, vec![])],
        OneFloat(op) => {
            let value = emitter.float(&value);
            vec![emitter.same(op, &path, &value, vec![])]
        }
        Activation(name) => vec![activation::named(emitter, &path, name, value)?],
        Relu => vec![activation::named(emitter, &path, "relu", value)?],
        Rsqrt => {
            let value = emitter.float(&value);
            let root = emitter.same("Sqrt", &part("sqrt"), &value, vec![]);
            vec![emitter.same("Reciprocal", &path, &root, vec![])]
        }
        Square => vec![emitter.binary("Mul", &path, &value, &value, value.dtype)?],
        LeakyRelu | Elu => {
            let value = emitter.float(&value);
            let (op, default) = if does == Elu { ("Elu", 1.0) } else { ("LeakyRelu", 0.2) };
            let alpha = number_of(1, &["negative_slope", "alpha"]).unwrap_or(default);
            vec![emitter.same(op, &path, &value, vec![("alpha", Attribute::Float(alpha as f32))])]
        }
        Gelu => {
            let value = emitter.float(&value);
            // Keras' function approximates unless told otherwise, TensorFlow's does not.
            let default = layer.class == "Gelu";
            let approximate = match json(1, &["approximate"]) {
                Some(Json::Bool(approximate)) => *approximate,
                _ => default,
            };
            let kind = if approximate { "tanh" } else { "none" };
            vec![emitter.same(
                "Gelu",
                &path,
                &value,
                vec![("approximate", Attribute::String(kind.as_bytes().to_vec()))],
            )]
        }
        Softmax(op) => {
            let value = emitter.float(&value);
            let axis = axis_setting(layer, arguments, 1, -1)?;
            vec![activation::softmax(emitter, op, &path, value, axis)?]
        }
        Reduce(op) => {
            let axes = axes_of(&value, json(1, &["axis"]))?;
            let keep = flag(layer, arguments, 2, &["keepdims", "keep_dims"]);
            let value = if op == "ReduceMean" { emitter.float(&value) } else { value };
            vec![emitter.reduce(op, &path, &value, &axes, keep)]
        }
        Arg(op) => {
            let axis = match json(1, &["axis"]) {
                Some(axis) => integer(axis),
                None if layer.class == "TFOpLambda" => Some(0),
                None => None,
            };
            let Some(axis) = axis else { refuse!("no axis") };
            let axis = value.axis(axis)?;
            let value = emitter.last(&value);
            let attributes = vec![("axis", Attribute::Int(axis as i64)), ("keepdims", Attribute::Int(0))];
            let name = emitter.node(op, &part("int64"), &[&value.name], attributes);
            let mut shape = value.shape.clone();
            shape.remove(axis);
            let output = Value { name, shape, dtype: DataType::Int64, ..value };
            let wanted = if layer.class == "TFOpLambda" { DataType::Int64 } else { DataType::Int32 };
            vec![emitter.cast(&output, wanted)]
        }
        Clip => {
            let least = number_of(1, &["clip_value_min", "x_min", "min"]);
            let most = number_of(2, &["clip_value_max", "x_max", "max"]);
            let (Some(least), Some(most)) = (least, most) else { refuse!("bounds that are no numbers") };
            let value = emitter.float(&value);
            vec![activation::clip(emitter, &path, &value, least, most)]
        }
        Split => split(emitter, layer, arguments, &value)?,
        Reshape => {
            let Some(mut sizes) = argument_ints(json(1, &["shape", "newshape"])) else {
                refuse!("a shape that is no list of numbers")
            };
            if sizes.is_empty() {
                invalid!("a shape of no dimensions");
            }
            if value.rank() == 0 {
                refuse!("a value without a batch");
            }
            let batch = sizes.remove(0);
            if batch != -1 && value.shape[0] != usize::try_from(batch).ok() {
                refuse!("a shape that sets the batch to {batch}");
            }
            // −1 in front is the batch where the rest has as many elements as the value's.
            let all = product(&value.shape[1..]);
            let rest = sizes.iter().try_fold(1i64, |n, &size| n.checked_mul(size));
            if batch == -1 && value.shape[0].is_none() && all.map(|n| n as i64) != rest {
                refuse!("a shape that moves elements into the batch");
            }
            vec![reshape_to(emitter, &path, &value, &sizes)?]
        }
        Transpose => {
            let order: Vec<usize> = match argument_ints(json(1, &["axes", "perm"])) {
                Some(order) => order.iter().map(|&axis| value.axis(axis)).collect::<Step<Vec<_>>>()?,
                None => (0..value.rank()).rev().collect(),
            };
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if sorted != (0..value.rank()).collect::<Vec<_>>() {
                invalid!("the order {order:?} of {} dimensions", value.rank());
            }
            if order.first().is_some_and(|&first| first != 0) {
                refuse!("a batch that is not the first dimension");
            }
            vec![emitter.transpose(&path, &value, &order)]
        }
        ExpandDims => {
            let rank = value.rank() as i64 + 1;
            let axis = axis_setting(layer, arguments, 1, -1)?;
            let axis = if axis < 0 { axis + rank } else { axis };
            if !(0..rank).contains(&axis) {
                invalid!("axis {axis} of {rank} dimensions");
            }
            let value = emitter.last(&value);
            let axes = emitter.ints(&[axis]);
            let name = emitter.node("Unsqueeze", &path, &[&value.name, &axes], vec![]);
            let mut shape = value.shape.clone();
            shape.insert(axis as usize, Some(1));
            vec![Value { name, shape, ..value }]
        }
        Squeeze => {
            let axes = match json(1, &["axis"]) {
                Some(json) => axes_of(&value, Some(json))?,
                None => (0..value.rank()).filter(|&axis| value.shape[axis] == Some(1)).collect(),
            };
            let value = emitter.last(&value);
            let list: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
            let list = emitter.ints(&list);
            let name = emitter.node("Squeeze", &path, &[&value.name, &list], vec![]);
            let shape = (0..value.rank()).filter(|axis| !axes.contains(axis)).map(|axis| value.shape[axis]).collect();
            vec![Value { name, shape, ..value }]
        }
        Cast => {
            let name = match json(1, &["dtype"]) {
                Some(Json::String(name)) => name.trim_start_matches("tf.").to_string(),
                Some(Json::Object(object)) => object.get("config").and_then(Json::as_str).unwrap_or("").to_string(),
                _ => String::new(),
            };
            match dtype_named(&name) {
                Some(dtype) => vec![emitter.cast(&value, dtype)],
                None => refuse!("the dtype {name:?}"),
            }
        }
        Same => vec![value],
        L2 => {
            let value = emitter.float(&value);
            let axes = axes_of(&value, json(1, &["axis", "dim"]))?;
            let epsilon = number_of(2, &["epsilon"]).unwrap_or(1e-12);
            vec![normalization::l2(emitter, &path, &value, &axes, epsilon)?]
        }
        Item => vec![item(emitter, layer, arguments, &value)?],
        DepthToSpace => {
            let Some(block) = json(1, &["block_size"]).and_then(integer).filter(|n| (1..1 << 16).contains(n)) else {
                invalid!("no block size")
            };
            super::expect_rank(&value, 4)?;
            vec![pooling::depth_to_space(emitter, &path, &value, block as usize)?]
        }
        SpaceToDepth => {
            let Some(block) = json(1, &["block_size"]).and_then(integer).filter(|n| (1..1 << 16).contains(n)) else {
                invalid!("no block size")
            };
            super::expect_rank(&value, 4)?;
            let channels = value.channels()?;
            let value = emitter.first(&value);
            let output =
                emitter.node("SpaceToDepth", &path, &[&value.name], vec![("blocksize", Attribute::Int(block))]);
            let block = block as usize;
            let space: Vec<_> = value.shape[1..3].iter().map(|size| size.map(|size| size / block)).collect();
            let Some(all) = channels.checked_mul(block * block) else { invalid!("a block of {block}") };
            vec![super::convolution::spatial_value(output, &value, true, &space, all)]
        }
        Resize => {
            let Some(size) = argument_ints(json(1, &["size"])) else { refuse!("a size that is no list of numbers") };
            let mode = match json(2, &["interpolation", "method"]) {
                Some(Json::String(mode)) => mode.to_ascii_lowercase(),
                None => "bilinear".to_string(),
                Some(other) => refuse!("interpolation {other}"),
            };
            for option in ["antialias", "preserve_aspect_ratio", "crop_to_aspect_ratio", "pad_to_aspect_ratio"] {
                if flag(layer, arguments, usize::MAX, &[option]) {
                    refuse!("{option}");
                }
            }
            super::expect_rank(&value, 4)?;
            let [height, width] = size.as_slice() else { invalid!("a size of {size:?}") };
            let (Ok(height), Ok(width)) = (usize::try_from(*height), usize::try_from(*width)) else {
                invalid!("a size of {size:?}")
            };
            let value = emitter.float(&value);
            vec![pooling::resize_to(emitter, &path, &value, [height, width], &mode, true)?]
        }
        Pad => {
            if json(2, &["mode"]).is_some_and(|mode| !mode.as_str().is_some_and(|m| m.eq_ignore_ascii_case("constant")))
            {
                refuse!("a mode of padding");
            }
            if number_of(3, &["constant_values"]).unwrap_or(0.0) != 0.0 {
                refuse!("padding with another number than 0");
            }
            let pairs = json(1, &["paddings", "pad_width"]).and_then(Json::as_array);
            let pairs: Option<Vec<[usize; 2]>> = pairs.and_then(|pairs| {
                pairs
                    .iter()
                    .map(|pair| {
                        let pair = integers(pair)?;
                        let [a, b] = pair.as_slice() else { return None };
                        Some([
                            usize::try_from(*a).ok().filter(|n| *n < 1 << 31)?,
                            usize::try_from(*b).ok().filter(|n| *n < 1 << 31)?,
                        ])
                    })
                    .collect()
            });
            match pairs {
                Some(pairs) if pairs.len() == value.rank() => vec![pad(emitter, &path, &value, 0, &pairs)],
                _ => refuse!("paddings that are no pairs of numbers"),
            }
        }
        Flip => {
            let axes = axes_of(&value, json(1, &["axis"]))?;
            let places: Vec<i64> = axes.iter().map(|&axis| value.place(axis) as i64).collect();
            let minus = emitter.ints(&vec![-1; places.len()]);
            let ends = emitter.ints(&vec![i64::MIN; places.len()]);
            let places = emitter.ints(&places);
            let name = emitter.node("Slice", &path, &[&value.name, &minus, &ends, &places, &minus], vec![]);
            vec![Value { name, ..value }]
        }
        Tile => {
            let Some(counts) = argument_ints(json(1, &["multiples", "repeats"])) else {
                refuse!("repeats that are no numbers")
            };
            if counts.len() != value.rank() || counts.iter().any(|&count| !(0..1 << 31).contains(&count)) {
                refuse!("repeats {counts:?} of {} dimensions", value.rank());
            }
            let value = emitter.last(&value);
            let shape = value
                .shape
                .iter()
                .zip(&counts)
                .map(|(size, &count)| size.and_then(|size| size.checked_mul(count as usize)))
                .collect();
            let counts = emitter.ints(&counts);
            let name = emitter.node("Tile", &path, &[&value.name, &counts], vec![]);
            vec![Value { name, shape, ..value }]
        }
        Repeat => {
            let count = json(1, &["repeats"]).and_then(integer).filter(|n| (1..1 << 31).contains(n));
            let (Some(count), Some(axis)) = (count, json(2, &["axis"]).and_then(integer)) else {
                refuse!("repeats that are no number, or no axis")
            };
            let axis = value.axis(axis)?;
            let Some(size) = value.shape[axis] else { refuse!("an unknown size") };
            emitter.allow(&[size, count as usize])?;
            let indices: Vec<i64> =
                (0..size as i64).flat_map(|index| std::iter::repeat_n(index, count as usize)).collect();
            let indices = emitter.ints(&indices);
            let place = Attribute::Int(value.place(axis) as i64);
            let name = emitter.node("Gather", &path, &[&value.name, &indices], vec![("axis", place)]);
            let mut shape = value.shape.clone();
            shape[axis] = Some(size * count as usize);
            vec![Value { name, shape, ..value }]
        }
        _ => refuse!("no counterpart"),
    })
}

/// Parts of a split at most: each is an output of its own.
const MOST_PARTS: usize = 1 << 12;

fn split(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>, value: &Value) -> Step<Vec<Value>> {
    let keras = layer.class == "Split";
    let axis = value.axis(axis_setting(layer, arguments, 2, 0)?)?;
    let how = setting(layer, arguments, 1, &["num_or_size_splits", "indices_or_sections"]);
    let Some(size) = value.shape[axis] else { refuse!("an unknown size") };
    let sizes: Vec<usize> = match how {
        Some(Json::Number(_)) => {
            let count = how
                .and_then(integer)
                .and_then(|n| usize::try_from(n).ok())
                .filter(|&n| n > 0 && n <= size && size % n == 0);
            let Some(count) = count else { invalid!("{size} does not go into {how:?} parts") };
            if count > MOST_PARTS {
                refuse!("{count} parts");
            }
            vec![size / count; count]
        }
        how => {
            let Some(list) = argument_ints(how) else { refuse!("parts that are no numbers") };
            let list = list.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n <= size)).collect::<Option<Vec<_>>>();
            let Some(list) = list else { refuse!("parts counted from the end") };
            if keras {
                let ends = list.iter().copied().chain([size]);
                let starts = std::iter::once(0).chain(list.iter().copied());
                let sizes = starts.zip(ends).map(|(a, b)| b.checked_sub(a)).collect::<Option<Vec<_>>>();
                match sizes {
                    Some(sizes) => sizes,
                    None => invalid!("parts at {list:?}"),
                }
            } else {
                list
            }
        }
    };
    if sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)) != Some(size) {
        invalid!("{size} is cut into {sizes:?}");
    }
    let list: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
    let list = emitter.ints(&list);
    let place = vec![("axis", Attribute::Int(value.place(axis) as i64))];
    let names = emitter.builder.nodes("Split", &layer.path, &[&value.name, &list], place, sizes.len());
    let part = |(name, size): (String, usize)| {
        let mut shape = value.shape.clone();
        shape[axis] = Some(size);
        Value { name, shape, ..value.clone() }
    };
    Ok(names.into_iter().zip(sizes).map(part).collect())
}

/// `value[key]`: slices, numbers, an ellipsis and new axes.
fn item(emitter: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>, value: &Value) -> Step<Value> {
    let key = match arguments
        .named
        .get("slice_spec")
        .or_else(|| arguments.named.get("key"))
        .or_else(|| arguments.positional.get(1))
    {
        Some(Argument::Json(json)) => *json,
        _ => refuse!("an index that is a value"),
    };
    let keys: Vec<&Json> = match key {
        Json::Array(items) => items.iter().collect(),
        Json::Object(object) if object.get("items").is_some() => {
            object.get("items").and_then(Json::as_array).into_iter().flatten().collect()
        }
        key => vec![key],
    };
    let dots = |json: &Json| match json {
        Json::Object(object) => object.get("class_name").and_then(Json::as_str) == Some("__ellipsis__"),
        Json::String(text) => text == "..." || text == "Ellipsis",
        _ => false,
    };
    let named = keys.iter().filter(|key| !dots(key) && !key.is_null()).count();
    if keys.iter().filter(|key| dots(key)).count() > 1 {
        invalid!("an index with more than one ellipsis");
    }
    let value = emitter.last(value);
    let Some(free) = value.rank().checked_sub(named) else {
        invalid!("{named} indices of {} dimensions", value.rank())
    };
    let (mut starts, mut ends, mut steps, mut axes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    let mut shape: Shape = Vec::new();
    let mut axis = 0;
    for key in keys {
        if dots(key) {
            shape.extend(&value.shape[axis..axis + free]);
            axis += free;
            continue;
        }
        if key.is_null() {
            new.push(shape.len() as i64);
            shape.push(Some(1));
            continue;
        }
        let size = value.shape[axis];
        if let Some(index) = integer(key) {
            starts.push(index);
            ends.push(if index == -1 { i64::MAX } else { index.saturating_add(1) });
            steps.push(1);
            axes.push(axis as i64);
            gone.push(axis as i64);
            axis += 1;
            continue;
        }
        let Some(object) = key.as_object() else { refuse!("the index {key}") };
        let object = object.get("config").and_then(Json::as_object).unwrap_or(object);
        let bound = |name: &str| -> Step<Option<i64>> {
            match object.get(name) {
                None | Some(Json::Null) => Ok(None),
                Some(json) => match integer(json) {
                    Some(bound) => Ok(Some(bound)),
                    None => refuse!("a slice with {json}"),
                },
            }
        };
        let (start, stop, step) = (bound("start")?, bound("stop")?, bound("step")?.unwrap_or(1));
        if step < 1 {
            refuse!("a slice with steps of {step}");
        }
        if start.unwrap_or(0) == 0 && stop.is_none() && step == 1 {
            shape.push(size);
        } else {
            starts.push(start.unwrap_or(0));
            ends.push(stop.unwrap_or(i64::MAX));
            steps.push(step);
            axes.push(axis as i64);
            shape.push(size.map(|size| {
                let size = size as i64;
                let at = |bound: i64| if bound < 0 { (bound + size).max(0) } else { bound.min(size) };
                let (from, to) = (at(start.unwrap_or(0)), at(stop.unwrap_or(size)));
                ((to - from).max(0) as u64).div_ceil(step as u64) as usize
            }));
        }
        axis += 1;
    }
    shape.extend(&value.shape[axis..]);
    let mut name = value.name.clone();
    if !axes.is_empty() {
        let (a, b, c, d) = (emitter.ints(&starts), emitter.ints(&ends), emitter.ints(&axes), emitter.ints(&steps));
        name = emitter.node("Slice", &layer.path, &[&name, &a, &b, &c, &d], vec![]);
    }
    if !gone.is_empty() {
        let gone = emitter.ints(&gone);
        name = emitter.node("Squeeze", &format!("{}/squeezed", layer.path), &[&name, &gone], vec![]);
    }
    if !new.is_empty() {
        let new = emitter.ints(&new);
        name = emitter.node("Unsqueeze", &format!("{}/spread", layer.path), &[&name, &new], vec![]);
    }
    Ok(Value { name, shape, ..value })
}
