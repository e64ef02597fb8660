//! What each of Keras' layers is in ONNX.

mod activation;
mod attention;
mod convolution;
mod function;
mod merge;
mod normalization;
mod pooling;
mod preprocessing;
mod recurrent;
mod shape;
mod wrapper;

use serde_json::{Map, Value as Json};

use super::emit::{Emitter, Layer, Step, Value, invalid, refuse};
use super::network::{Arguments, OPERATIONS};
use super::settings::Settings;
use crate::graph::DataType;

type Write = fn(&mut Emitter, &Layer<'_>, &Arguments<'_>) -> Step<Vec<Value>>;

/// Layers that do nothing when a model is used.
const PASSED: [&str; 14] = [
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
    "InputLayer",
    "RandomFlip",
    "RandomRotation",
    "RandomZoom",
    "RandomContrast",
];
const PASSED_TOO: [&str; 10] = [
    "RandomTranslation",
    "RandomBrightness",
    "RandomHeight",
    "RandomWidth",
    "RandomColorJitter",
    "RandomHue",
    "RandomSaturation",
    "RandomSharpness",
    "RandomGaussianBlur",
    "RandomErasing",
];

fn write_of(class: &str) -> Option<Write> {
    Some(match class {
        "Conv1D" | "Conv2D" | "Conv3D" | "Convolution1D" | "Convolution2D" | "Convolution3D" => convolution::conv,
        "DepthwiseConv1D" | "DepthwiseConv2D" => convolution::depthwise,
        "SeparableConv1D" | "SeparableConv2D" | "SeparableConvolution2D" => convolution::separable,
        "Conv1DTranspose" | "Conv2DTranspose" | "Conv3DTranspose" | "Convolution2DTranspose" => convolution::transposed,
        "Dense" => convolution::dense,
        "EinsumDense" => attention::einsum_dense,
        "MaxPooling1D" | "MaxPooling2D" | "MaxPooling3D" | "AveragePooling1D" | "AveragePooling2D"
        | "AveragePooling3D" | "MaxPool1D" | "MaxPool2D" | "MaxPool3D" | "AvgPool1D" | "AvgPool2D" | "AvgPool3D" => {
            pooling::pool
        }
        "GlobalMaxPooling1D"
        | "GlobalMaxPooling2D"
        | "GlobalMaxPooling3D"
        | "GlobalAveragePooling1D"
        | "GlobalAveragePooling2D"
        | "GlobalAveragePooling3D"
        | "GlobalMaxPool1D"
        | "GlobalMaxPool2D"
        | "GlobalMaxPool3D"
        | "GlobalAvgPool1D"
        | "GlobalAvgPool2D"
        | "GlobalAvgPool3D" => pooling::global,
        "UpSampling1D" | "UpSampling2D" | "UpSampling3D" => pooling::upsample,
        "Resizing" => pooling::resizing,
        "PixelShuffle2x" | "PixelShuffle3x" | "PixelShuffle4x" | "PixelShuffle8x" => pooling::pixel_shuffle,
        "BatchNormalization" | "SyncBatchNormalization" => normalization::batch,
        "LayerNormalization" => normalization::layer,
        "GroupNormalization" => normalization::group,
        "UnitNormalization" => normalization::unit,
        "RMSNormalization" => normalization::rms,
        "Activation" | "ReLU" | "LeakyReLU" | "PReLU" | "ELU" | "Softmax" | "ThresholdedReLU" => activation::layer,
        "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" => merge::merge,
        "Concatenate" => merge::concatenate,
        "Dot" => merge::dot,
        "Flatten" => shape::flatten,
        "Reshape" => shape::reshape,
        "Permute" => shape::permute,
        "RepeatVector" => shape::repeat_vector,
        "ZeroPadding1D" | "ZeroPadding2D" | "ZeroPadding3D" => shape::zero_padding,
        "Cropping1D" | "Cropping2D" | "Cropping3D" => shape::cropping,
        "CenterCrop" => shape::center_crop,
        "Embedding" => preprocessing::embedding,
        "Masking" => preprocessing::masking,
        "Rescaling" => preprocessing::rescaling,
        "Normalization" => preprocessing::normalization,
        "Discretization" => preprocessing::discretization,
        "CategoryEncoding" => preprocessing::category_encoding,
        "MultiplyBeta" => preprocessing::multiply_beta,
        "LSTM" | "GRU" | "SimpleRNN" => recurrent::layer,
        "MultiHeadAttention" => attention::multi_head,
        "Attention" => attention::dot,
        "AdditiveAttention" => attention::additive,
        class if PASSED.contains(&class) || PASSED_TOO.contains(&class) => passed,
        _ => return None,
    })
}

/// What `class` is called in the error that names what has no counterpart; none where it has one.
pub fn unknown(class: &str, module: &str, settings: &Map<String, Json>) -> Option<String> {
    match class {
        "Bidirectional" | "TimeDistributed" => None,
        "TFOpLambda" | "SlicingOpLambda" => {
            let name = settings.get("function").and_then(Json::as_str).unwrap_or("");
            if function::knows(name) { None } else { Some(format!("{class} of {name}")) }
        }
        class if module.starts_with(OPERATIONS) => {
            if function::knows_operation(class) {
                None
            } else {
                Some(format!("keras.ops' {class}"))
            }
        }
        class if write_of(class).is_some() => None,
        "" => Some("a layer without a class".to_string()),
        class => Some(class.to_string()),
    }
}

/// Whether `class` is an operation of `keras.ops`.
pub fn is_operation(class: &str) -> bool {
    function::knows_operation(class)
}

/// Writes a layer; gives its outputs.
pub fn apply(
    emitter: &mut Emitter,
    layer: &Layer<'_>,
    module: &str,
    arguments: &Arguments<'_>,
    depth: usize,
) -> Step<Vec<Value>> {
    policy(emitter, layer)?;
    match layer.class {
        "Bidirectional" => wrapper::bidirectional(emitter, layer, arguments),
        "TimeDistributed" => wrapper::time_distributed(emitter, layer, arguments, depth),
        "TFOpLambda" | "SlicingOpLambda" => function::tensorflow(emitter, layer, arguments),
        _ if module.starts_with(OPERATIONS) => function::operation(emitter, layer, arguments),
        class => {
            // Functions alone take and give what has no batch.
            if arguments.values().iter().any(|value| value.rank() == 0) {
                invalid!("expected an input with a batch, got a scalar");
            }
            match write_of(class) {
                Some(write) => write(emitter, layer, arguments),
                None => refuse!("no counterpart"),
            }
        }
    }
}

fn passed(_: &mut Emitter, layer: &Layer<'_>, arguments: &Arguments<'_>) -> Step<Vec<Value>> {
    if arguments.flag("training") {
        refuse!("training=True in its call ({} is removed)", layer.class);
    }
    Ok(vec![arguments.one()?])
}

/// What a layer computes in. All is float32 here; what Keras computes in less precision is no worse for that.
fn policy(emitter: &mut Emitter, layer: &Layer<'_>) -> Step<()> {
    let name = match layer.settings.get("dtype") {
        None => return Ok(()),
        Some(Json::String(name)) => name.as_str(),
        Some(Json::Object(policy)) => {
            let class = policy.get("class_name").and_then(Json::as_str).unwrap_or("");
            if matches!(class, "QuantizedDTypePolicy" | "QuantizedFloat8DTypePolicy") {
                refuse!("the quantised dtype policy {class}");
            }
            let name = policy.get("config").and_then(|config| config.get("name")).and_then(Json::as_str);
            match name {
                Some(name) => name,
                None => return Ok(()),
            }
        }
        Some(other) => invalid!("\"dtype\": expected a name, got {other}"),
    };
    match name {
        "float16" | "bfloat16" | "mixed_float16" | "mixed_bfloat16" => {
            emitter.notes.insert(format!("layers of the dtype policy {name} compute in float32"));
            Ok(())
        }
        "float64" => refuse!("the dtype float64"),
        name if name.starts_with("int") && name.contains("from") => refuse!("the quantised dtype policy {name}"),
        _ => Ok(()),
    }
}

/// The dtype that an input's settings name.
pub fn dtype_of(settings: Settings<'_>) -> Step<DataType> {
    let name = match settings.get("dtype") {
        None => "float32",
        Some(Json::String(name)) => name,
        Some(policy) => {
            policy.get("config").and_then(|config| config.get("name")).and_then(Json::as_str).unwrap_or("float32")
        }
    };
    Ok(match dtype_named(name) {
        Some(dtype) => dtype,
        None => refuse!("the dtype {name}"),
    })
}

fn dtype_named(name: &str) -> Option<DataType> {
    Some(match name {
        "float32" | "mixed_float16" | "mixed_bfloat16" => DataType::Float32,
        "float16" => DataType::Float16,
        "bfloat16" => DataType::BFloat16,
        "float64" => DataType::Float64,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::Uint8,
        "uint16" => DataType::Uint16,
        "uint32" => DataType::Uint32,
        "uint64" => DataType::Uint64,
        "bool" => DataType::Bool,
        _ => return None,
    })
}

/// Refuses channels first where a layer has only channels last.
fn channels_last(layer: &Layer<'_>) -> Step<()> {
    match layer.settings.text("data_format", "channels_last")? {
        "channels_last" => Ok(()),
        other => refuse!("data_format {other}"),
    }
}

/// How many dimensions of space a class has, by its name.
fn spatial(class: &str) -> usize {
    if class.contains("1D") {
        1
    } else if class.contains("3D") {
        3
    } else {
        2
    }
}

/// Refuses an input of another rank than the layer's.
fn expect_rank(value: &Value, rank: usize) -> Step<()> {
    if value.rank() != rank {
        invalid!("expected an input of {rank} dimensions, got {}", super::emit::shown(&value.shape));
    }
    Ok(())
}
