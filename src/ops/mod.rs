//! Operators: one file each. A file says what the operator is (an [`Operator`]), which dtypes it
//! takes and gives, which shapes, and how a [`Device`] computes it. [`OPERATORS`] is the only
//! list of them.
//!
//! How to add one: `docs/operators.md`.

mod activating;
mod arg;
mod attending;
mod attributes;
mod binary;
mod body;
mod fourier;
mod geometry;
mod indexing;
mod inputs;
mod losses;
mod ml;
mod multiply_adds;
mod normalization;
mod optimizer;
mod ordering;
mod qlinear;
mod quantized;
mod random;
mod real;
mod recurrent;
mod reduction;
mod scattering;
mod sequence;
mod shaping;
mod svm;
mod trees;
mod unary;
mod window;

macro_rules! operators {
    (common: [$($common:ident,)+] rest: [$($rest:ident,)+]) => {
        $(mod $common;)+
        $(mod $rest;)+
        /// Every operator of this build.
        pub static OPERATORS: &[Operator] = &[
            $($common::OPERATOR,)+
            $(#[cfg(feature = "all-operators")] $rest::OPERATOR,)+
        ];
        /// Domain and name of every operator that some build has.
        static NAMES: &[(&str, &str)] = &[
            $(($common::OPERATOR.domain, $common::OPERATOR.name),)+
            $(($rest::OPERATOR.domain, $rest::OPERATOR.name),)+
        ];
    };
}

// The small build for the CPU has the common ones only: what most exports of trained networks
// are made of, within the size that a page may be asked to wait for.
operators!(
    common: [
        abs,
        add,
        and,
        arg_max,
        arg_min,
        average_pool,
        batch_normalization,
        cast,
        cast_like,
        ceil,
        clip,
        compress,
        concat,
        constant,
        constant_of_shape,
        conv,
        conv_integer,
        conv_transpose,
        cos,
        cum_sum,
        depth_to_space,
        dequantize_linear,
        div,
        dropout,
        dynamic_quantize_linear,
        elu,
        equal,
        erf,
        exp,
        expand,
        flatten,
        floor,
        gather,
        gather_elements,
        gather_nd,
        gelu,
        gemm,
        global_average_pool,
        global_max_pool,
        greater,
        greater_or_equal,
        gru,
        hard_sigmoid,
        hard_swish,
        identity,
        if_,
        instance_normalization,
        is_inf,
        is_nan,
        layer_normalization,
        leaky_relu,
        less,
        less_or_equal,
        log,
        log_softmax,
        lrn,
        lstm,
        matmul,
        matmul_integer,
        matmul_nbits,
        max,
        max_pool,
        mean,
        min,
        mish,
        mul,
        neg,
        non_zero,
        not,
        one_hot,
        or,
        pad,
        pow,
        prelu,
        qlinear_add,
        qlinear_conv,
        qlinear_global_average_pool,
        qlinear_matmul,
        qlinear_mul,
        qlinear_sigmoid,
        quantize_linear,
        range,
        reciprocal,
        reduce_l1,
        reduce_l2,
        reduce_log_sum,
        reduce_log_sum_exp,
        reduce_max,
        reduce_mean,
        reduce_min,
        reduce_prod,
        reduce_sum,
        reduce_sum_square,
        relu,
        reshape,
        resize,
        round,
        scatter_elements,
        scatter_nd,
        selu,
        shape,
        shrink,
        sigmoid,
        sign,
        sin,
        size,
        slice,
        softmax,
        softplus,
        softsign,
        space_to_depth,
        split,
        sqrt,
        squeeze,
        sub,
        sum,
        tanh,
        tile,
        top_k,
        transpose,
        trilu,
        unsqueeze,
        upsample,
        where_,
        xor,
    ]
    rest: [
        acos,
        acosh,
        adagrad,
        adam,
        affine_grid,
        array_feature_extractor,
        asin,
        asinh,
        atan,
        atanh,
        attention,
        bernoulli,
        bias_gelu,
        binarizer,
        bit_shift,
        bitwise_and,
        bitwise_not,
        bitwise_or,
        bitwise_xor,
        blackman_window,
        category_mapper,
        cdist,
        celu,
        center_crop_pad,
        col2im,
        concat_from_sequence,
        contrib_attention,
        contrib_expand_dims,
        contrib_gather_nd,
        contrib_gelu,
        contrib_inverse,
        contrib_range,
        contrib_rotary_embedding,
        contrib_simplified_layer_normalization,
        contrib_trilu,
        cosh,
        deform_conv,
        det,
        dft,
        dynamic_quantize_lstm,
        dynamic_quantize_matmul,
        einsum,
        embed_layer_normalization,
        eye_like,
        fast_gelu,
        feature_vectorizer,
        fused_conv,
        fused_gemm,
        fused_matmul,
        global_lp_pool,
        grid_sample,
        group_normalization,
        group_query_attention,
        hamming_window,
        hann_window,
        hardmax,
        imputer,
        label_encoder,
        linear_classifier,
        linear_regressor,
        loop_,
        lp_normalization,
        lp_pool,
        matmul_integer_to_float,
        max_roi_pool,
        max_unpool,
        mean_variance_normalization,
        mel_weight_matrix,
        microsoft_dequantize_linear,
        microsoft_quantize_linear,
        mod_,
        momentum,
        multi_head_attention,
        multinomial,
        negative_log_likelihood_loss,
        non_max_suppression,
        normalizer,
        one_hot_encoder,
        optional,
        optional_get_element,
        optional_has_element,
        qgemm,
        qlinear_average_pool,
        qlinear_concat,
        qlinear_leaky_relu,
        qlinear_softmax,
        qlinear_where,
        quick_gelu,
        random_normal,
        random_normal_like,
        random_uniform,
        random_uniform_like,
        regex_full_match,
        reverse_sequence,
        rms_normalization,
        rnn,
        roi_align,
        rotary_embedding,
        scaler,
        scan,
        scatter,
        sequence_at,
        sequence_construct,
        sequence_empty,
        sequence_erase,
        sequence_insert,
        sequence_length,
        sequence_map,
        simplified_layer_normalization,
        sinh,
        skip_layer_normalization,
        skip_simplified_layer_normalization,
        softmax_cross_entropy_loss,
        split_to_sequence,
        stft,
        string_concat,
        string_normalizer,
        string_split,
        svm_classifier,
        svm_regressor,
        tan,
        tf_idf_vectorizer,
        thresholded_relu,
        tree_ensemble,
        tree_ensemble_classifier,
        tree_ensemble_regressor,
        unique,
        zip_map,
    ]
);

use std::ops::RangeInclusive;

pub use attributes::Attributes;
pub(crate) use geometry::WindowAttributes;
pub use geometry::broadcast;
pub use inputs::{Context, Info, Inputs, Type, Value};
pub(crate) use inputs::{one, output};
pub(crate) use matmul::{product, product_shape};
pub use multiply_adds::MultiplyAdds;
pub(crate) use multiply_adds::count_of;
pub(crate) use quantized::codes;

use crate::backend::Device;
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::graph::{DataType, Node};

/// The newest opset of ONNX's own domain that the operators follow: that of ONNX 1.18.
pub const NEWEST_OPSET: i64 = 23;

/// What an operator is, apart from any node.
pub struct Operator {
    /// ONNX's name.
    pub name: &'static str,
    /// ONNX's domain, `""` for its own.
    pub domain: &'static str,
    /// How many inputs a node may have, from the fewest to the most.
    pub inputs: RangeInclusive<usize>,
    /// How many outputs a node may have.
    pub outputs: RangeInclusive<usize>,
    /// Every attribute that is understood; any other is refused.
    pub attributes: &'static [&'static str],
    /// Inputs that are parameters (a shape, axes, …): read on the host, whatever the device.
    pub parameters: &'static [usize],
    /// Whether WebGPU computes it, given float32.
    pub webgpu: bool,
    /// Whether the outputs hold nothing but elements of the inputs that are no parameters, at
    /// other places. Such an operator never sees strings, float8 or 4-bit integers: the runtime
    /// gives it their positions, as int64, and takes the elements that come out.
    pub moves: bool,
    /// Reads a node's attributes.
    pub build: fn(&Attributes<'_>) -> Result<Box<dyn Op>>,
}

fn unbuilt(_: &Attributes<'_>) -> Result<Box<dyn Op>> {
    crate::error::bail!(Internal, "an operator without a way to build it")
}

impl Operator {
    /// What most operators have: one input, one output, no attributes, ONNX's own domain, the
    /// CPU alone. To be filled in with a name and a way to build it.
    pub const DEFAULT: Self = Self {
        name: "",
        domain: "",
        inputs: 1..=1,
        outputs: 1..=1,
        attributes: &[],
        parameters: &[],
        webgpu: false,
        moves: false,
        build: unbuilt,
    };

    /// Whether some build of Firebrand has the operator.
    pub fn is_known(domain: &str, name: &str) -> bool {
        NAMES.contains(&(domain, name))
    }

    /// Looks an operator up by its domain and name.
    pub fn find(domain: &str, name: &str) -> Option<&'static Operator> {
        OPERATORS.iter().find(|o| o.name == name && o.domain == domain)
    }

    /// Prepares `node`: counts its inputs and outputs and reads its attributes.
    ///
    /// Errors: `InvalidModel` or `Unsupported`, at the node.
    pub fn prepare(&self, node: &Node) -> Result<Box<dyn Op>> {
        let prepare = || {
            let count = |range: &RangeInclusive<usize>, got: usize, what: &str| {
                ensure!(
                    range.contains(&got),
                    InvalidModel,
                    "takes {}–{} {what}, has {got}",
                    range.start(),
                    range.end()
                );
                Ok(())
            };
            count(&self.inputs, node.inputs.len(), "inputs")?;
            count(&self.outputs, node.outputs.len(), "outputs")?;
            if let Some(name) = node.attributes.keys().find(|name| !self.attributes.contains(&name.as_str())) {
                ensure!(
                    false,
                    Unsupported,
                    "attribute \"{name}\" is not known; known are: {}",
                    self.attributes.join(", ")
                );
            }
            (self.build)(&Attributes::new(node))
        };
        prepare().map_err(|e| e.at_node(&node.name, &node.op_type))
    }
}

/// A node, prepared: attributes read, ready to run any number of times.
pub trait Op: Send + Sync {
    /// The types of the outputs. The only place where dtypes are checked, once, at load.
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>>;

    /// Checks shapes and parameters, and gives dtype and shape of every output; `None` where
    /// only running tells. `run` may rely on what is checked here.
    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>>;

    /// Whether equal inputs always give equal outputs, so that constants are computed at load.
    fn is_pure(&self) -> bool {
        true
    }

    /// Bytes of constants that the node holds itself, packed.
    fn weight_bytes(&self) -> usize {
        0
    }

    /// What `run` multiplies and adds, for a profile; the shapes were checked by `infer`.
    fn multiply_adds(&self, _inputs: &Inputs, _outputs: &[Option<Info>]) -> Result<MultiplyAdds> {
        Ok(MultiplyAdds::default())
    }

    /// Computes the outputs; `outputs` is what `infer` gave.
    fn run(&self, device: &dyn Device, inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>>;
}

/// The dtypes that an input may have.
#[derive(Debug, Clone, Copy)]
pub enum Dtypes {
    /// float16, bfloat16, float32, float64.
    Float,
    /// Floats and integers.
    Number,
    /// Floats and signed integers.
    Signed,
    /// Numbers and bool.
    Any,
    /// Every dtype, strings, float8 and 4-bit integers too.
    All,
    /// Exactly one.
    Only(DataType),
    /// int32 or int64.
    Index,
}

impl Dtypes {
    fn contains(self, dtype: DataType) -> bool {
        match self {
            Self::Float => dtype.is_float(),
            Self::Number => dtype.is_float() || dtype.is_int(),
            Self::Signed => {
                dtype.is_float()
                    || matches!(dtype, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
            }
            Self::Any => dtype.to_burn().is_some(),
            Self::All => true,
            Self::Only(only) => dtype == only,
            Self::Index => matches!(dtype, DataType::Int32 | DataType::Int64),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Float => "a float".into(),
            Self::Number => "a number".into(),
            Self::Signed => "a float or signed integer".into(),
            Self::Any => "a number or bool".into(),
            Self::All => "a tensor".into(),
            Self::Only(dtype) => dtype.name().into(),
            Self::Index => "int32 or int64".into(),
        }
    }
}

/// The dtype of tensor input `index`, which must be there and among `allowed`.
pub fn tensor_type(inputs: &[Option<Type>], index: usize, allowed: Dtypes) -> Result<DataType> {
    match inputs.get(index) {
        Some(Some(Type::Tensor(dtype))) if allowed.contains(*dtype) => Ok(*dtype),
        Some(Some(other)) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("input {index}: expected {}, got {other}", allowed.describe()),
        )),
        _ => Err(Error::new(ErrorKind::InvalidModel, format!("input {index} is missing"))),
    }
}

/// Checks the dtype of an optional input against `expected`.
pub fn optional_type(inputs: &[Option<Type>], index: usize, expected: Dtypes) -> Result<()> {
    match inputs.get(index) {
        Some(Some(_)) => tensor_type(inputs, index, expected).map(|_| ()),
        _ => Ok(()),
    }
}

/// Turns `axis`, which may count from the end, into an index below `rank`.
pub fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let resolved = if axis < 0 { axis + rank as i64 } else { axis };
    ensure!(
        (0..rank as i64).contains(&resolved),
        ShapeMismatch,
        "axis {axis} is outside of a tensor of {rank} dimensions"
    );
    Ok(resolved as usize)
}

/// Turns `axes` into sorted, distinct indices below `rank`.
pub fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>> {
    ensure!(axes.len() <= rank, ShapeMismatch, "{} axes for a tensor of {rank} dimensions", axes.len());
    let mut out = axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>>>()?;
    out.sort_unstable();
    ensure!(out.windows(2).all(|w| w[0] != w[1]), ShapeMismatch, "axes {axes:?} name a dimension twice");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_listed_once() {
        let mut names: Vec<_> = OPERATORS.iter().map(|o| (o.domain, o.name)).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
