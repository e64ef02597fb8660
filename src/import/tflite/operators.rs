//! The built-in operators, and the custom one that has a counterpart.

use super::{Importer, Operator, Scope, control, recurrent};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};
use crate::import::tensorflow::Writer;
use crate::import::tensorflow::{Activation, Id, Order, Padding, Quantization, Resize, StridedSlice, Window, int};

/// The code of operators that go by a name.
pub const CUSTOM: u32 = 32;

/// The names of the built-in operators by code.
const NAMES: &[&str] = &[
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEPTH_TO_SPACE",
    "DEQUANTIZE",
    "EMBEDDING_LOOKUP",
    "FLOOR",
    "FULLY_CONNECTED",
    "HASHTABLE_LOOKUP",
    "L2_NORMALIZATION",
    "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION",
    "LOGISTIC",
    "LSH_PROJECTION",
    "LSTM",
    "MAX_POOL_2D",
    "MUL",
    "RELU",
    "RELU_N1_TO_1",
    "RELU6",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RNN",
    "SOFTMAX",
    "SPACE_TO_DEPTH",
    "SVDF",
    "TANH",
    "CONCAT_EMBEDDINGS",
    "SKIP_GRAM",
    "CALL",
    "CUSTOM",
    "EMBEDDING_LOOKUP_SPARSE",
    "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "GATHER",
    "BATCH_TO_SPACE_ND",
    "SPACE_TO_BATCH_ND",
    "TRANSPOSE",
    "MEAN",
    "SUB",
    "DIV",
    "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "STRIDED_SLICE",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "EXP",
    "TOPK_V2",
    "SPLIT",
    "LOG_SOFTMAX",
    "DELEGATE",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "CAST",
    "PRELU",
    "MAXIMUM",
    "ARG_MAX",
    "MINIMUM",
    "LESS",
    "NEG",
    "PADV2",
    "GREATER",
    "GREATER_EQUAL",
    "LESS_EQUAL",
    "SELECT",
    "SLICE",
    "SIN",
    "TRANSPOSE_CONV",
    "SPARSE_TO_DENSE",
    "TILE",
    "EXPAND_DIMS",
    "EQUAL",
    "NOT_EQUAL",
    "LOG",
    "SUM",
    "SQRT",
    "RSQRT",
    "SHAPE",
    "POW",
    "ARG_MIN",
    "FAKE_QUANT",
    "REDUCE_PROD",
    "REDUCE_MAX",
    "PACK",
    "LOGICAL_OR",
    "ONE_HOT",
    "LOGICAL_AND",
    "LOGICAL_NOT",
    "UNPACK",
    "REDUCE_MIN",
    "FLOOR_DIV",
    "REDUCE_ANY",
    "SQUARE",
    "ZEROS_LIKE",
    "FILL",
    "FLOOR_MOD",
    "RANGE",
    "RESIZE_NEAREST_NEIGHBOR",
    "LEAKY_RELU",
    "SQUARED_DIFFERENCE",
    "MIRROR_PAD",
    "ABS",
    "SPLIT_V",
    "UNIQUE",
    "CEIL",
    "REVERSE_V2",
    "ADD_N",
    "GATHER_ND",
    "COS",
    "WHERE",
    "RANK",
    "ELU",
    "REVERSE_SEQUENCE",
    "MATRIX_DIAG",
    "QUANTIZE",
    "MATRIX_SET_DIAG",
    "ROUND",
    "HARD_SWISH",
    "IF",
    "WHILE",
    "NON_MAX_SUPPRESSION_V4",
    "NON_MAX_SUPPRESSION_V5",
    "SCATTER_ND",
    "SELECT_V2",
    "DENSIFY",
    "SEGMENT_SUM",
    "BATCH_MATMUL",
    "PLACEHOLDER_FOR_GREATER_OP_CODES",
    "CUMSUM",
    "CALL_ONCE",
    "BROADCAST_TO",
    "RFFT2D",
    "CONV_3D",
    "IMAG",
    "REAL",
    "COMPLEX_ABS",
    "HASHTABLE",
    "HASHTABLE_FIND",
    "HASHTABLE_IMPORT",
    "HASHTABLE_SIZE",
    "REDUCE_ALL",
    "CONV_3D_TRANSPOSE",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
    "BROADCAST_ARGS",
    "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE",
    "RANDOM_UNIFORM",
    "MULTINOMIAL",
    "GELU",
    "DYNAMIC_UPDATE_SLICE",
    "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD",
    "UNSORTED_SEGMENT_MAX",
    "UNSORTED_SEGMENT_SUM",
    "ATAN2",
    "UNSORTED_SEGMENT_MIN",
    "SIGN",
    "BITCAST",
    "BITWISE_XOR",
    "RIGHT_SHIFT",
    "STABLEHLO_LOGISTIC",
    "STABLEHLO_ADD",
    "STABLEHLO_DIVIDE",
    "STABLEHLO_MULTIPLY",
    "STABLEHLO_MAXIMUM",
    "STABLEHLO_RESHAPE",
    "STABLEHLO_CLAMP",
    "STABLEHLO_CONCATENATE",
    "STABLEHLO_BROADCAST_IN_DIM",
    "STABLEHLO_CONVOLUTION",
    "STABLEHLO_SLICE",
    "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_REDUCE",
    "STABLEHLO_ABS",
    "STABLEHLO_AND",
    "STABLEHLO_COSINE",
    "STABLEHLO_EXPONENTIAL",
    "STABLEHLO_FLOOR",
    "STABLEHLO_LOG",
    "STABLEHLO_MINIMUM",
    "STABLEHLO_NEGATE",
    "STABLEHLO_OR",
    "STABLEHLO_POWER",
    "STABLEHLO_REMAINDER",
    "STABLEHLO_RSQRT",
    "STABLEHLO_SELECT",
    "STABLEHLO_SUBTRACT",
    "STABLEHLO_TANH",
    "STABLEHLO_SCATTER",
    "STABLEHLO_COMPARE",
    "STABLEHLO_CONVERT",
    "STABLEHLO_DYNAMIC_SLICE",
    "STABLEHLO_DYNAMIC_UPDATE_SLICE",
    "STABLEHLO_PAD",
    "STABLEHLO_IOTA",
    "STABLEHLO_DOT_GENERAL",
    "STABLEHLO_REDUCE_WINDOW",
    "STABLEHLO_SORT",
    "STABLEHLO_WHILE",
    "STABLEHLO_GATHER",
    "STABLEHLO_TRANSPOSE",
    "DILATE",
    "STABLEHLO_RNG_BIT_GENERATOR",
    "REDUCE_WINDOW",
    "STABLEHLO_COMPOSITE",
    "STABLEHLO_SHIFT_LEFT",
    "STABLEHLO_CBRT",
    "STABLEHLO_CASE",
];

/// The name of an operator, for errors.
pub fn name(code: u32, custom: &str) -> String {
    if code == CUSTOM {
        return custom.to_string();
    }
    NAMES.get(code as usize).map_or_else(|| format!("operator {code}"), ToString::to_string)
}

/// An operator at its place.
pub struct Call<'c, 'a> {
    pub importer: &'c mut Importer<'a>,
    pub w: &'c mut Writer,
    pub scope: &'c mut Scope<'a>,
    pub op: &'c Operator<'a>,
    /// The name that its nodes get.
    pub name: &'c str,
}

/// Writes an operator; gives the values of its outputs.
pub fn write<'a>(
    importer: &mut Importer<'a>,
    w: &mut Writer,
    scope: &mut Scope<'a>,
    op: &Operator<'a>,
    name: &str,
) -> Result<Vec<Id>> {
    Call { importer, w, scope, op, name }.write()
}

impl Call<'_, '_> {
    /// Input `at`.
    pub fn input(&mut self, at: usize) -> Result<Id> {
        match self.optional(at)? {
            Some(id) => Ok(id),
            None => bail!(InvalidModel, "input {at} of {} is missing", self.op.inputs.len()),
        }
    }

    /// Input `at`, which may be left out.
    pub fn optional(&mut self, at: usize) -> Result<Option<Id>> {
        match self.op.inputs.get(at) {
            Some(&tensor) if tensor >= 0 => self.importer.value(self.w, self.scope, tensor).map(Some),
            _ => Ok(None),
        }
    }

    fn all(&mut self) -> Result<Vec<Id>> {
        (0..self.op.inputs.len()).map(|at| self.input(at)).collect()
    }

    fn three(&mut self) -> Result<[Id; 3]> {
        Ok([self.input(0)?, self.input(1)?, self.input(2)?])
    }

    /// The type of output `at`.
    fn result(&self, at: usize) -> Result<DataType> {
        match self.op.results.get(at) {
            Some(info) => Ok(info.dtype),
            None => bail!(InvalidModel, "output {at} is missing"),
        }
    }

    /// The fused activation in option `number`.
    pub fn activation(&self, number: usize) -> Result<Activation> {
        Ok(match self.op.options.byte(number)? {
            0 => Activation::None,
            1 => Activation::Relu,
            2 => Activation::ReluN1To1,
            3 => Activation::Relu6,
            4 => Activation::Tanh,
            5 => bail!(UnsupportedOperator, "with the activation SIGN_BIT"),
            other => bail!(InvalidModel, "an activation of number {other}"),
        })
    }

    /// What an operator gives goes under its own name, or, where an activation follows, under another.
    fn inner(&self, activation: Activation) -> String {
        match activation {
            Activation::None => self.name.to_string(),
            _ => format!("{}/linear", self.name),
        }
    }

    fn padding(&self, number: usize) -> Result<Padding> {
        Ok(match self.op.options.byte(number)? {
            0 => Padding::Same,
            1 => Padding::Valid,
            other => bail!(InvalidModel, "a padding of number {other}"),
        })
    }

    fn ints_of(&mut self, at: usize, what: &str) -> Result<Vec<i64>> {
        let id = self.input(at)?;
        self.w.need_ints(id, what)
    }

    fn int_of(&mut self, at: usize, what: &str) -> Result<i64> {
        let id = self.input(at)?;
        self.w.need_int(id, what)
    }

    fn write(mut self) -> Result<Vec<Id>> {
        let name = self.name;
        let op = self.op;
        let options = op.options;
        let one = match op.code {
            // ADD, SUB, MUL, DIV
            0 | 41 | 18 | 42 => {
                let op_type = match op.code {
                    0 => "Add",
                    41 => "Sub",
                    18 => "Mul",
                    _ => "Div",
                };
                let (a, b, activation) = (self.input(0)?, self.input(1)?, self.activation(0)?);
                let value = self.w.binary(op_type, &self.inner(activation), a, b)?;
                self.w.activate(name, value, activation)?
            }
            1 | 17 => self.pool()?,
            2 => {
                let (inputs, activation) = (self.all()?, self.activation(1)?);
                let value = self.w.concat(&self.inner(activation), &inputs, options.int(0)?)?;
                self.w.activate(name, value, activation)?
            }
            3 => self.conv()?,
            4 => self.depthwise()?,
            5 => {
                let x = self.input(0)?;
                self.w.move_depth("DepthToSpace", name, x, options.int(0)?)?
            }
            26 => {
                let x = self.input(0)?;
                self.w.move_depth("SpaceToDepth", name, x, options.int(0)?)?
            }
            // DEQUANTIZE
            6 => {
                let x = self.input(0)?;
                self.dequantize(x)?
            }
            // EMBEDDING_LOOKUP
            7 => {
                let (ids, table) = (self.input(0)?, self.input(1)?);
                self.w.gather(name, table, ids, 0, 0)?
            }
            9 => return self.fully_connected(),
            11 => {
                let (x, activation) = (self.input(0)?, self.activation(0)?);
                let value = self.w.l2_normalization(&self.inner(activation), x)?;
                self.w.activate(name, value, activation)?
            }
            13 => {
                let x = self.input(0)?;
                let numbers = [options.float(1)?, options.float(2)?, options.float(3)?];
                self.w.local_response(name, x, options.int(0)?, numbers)?
            }
            // Functions of one element.
            8 => self.unary("Floor")?,
            14 => self.unary("Sigmoid")?,
            19 => self.unary("Relu")?,
            28 => self.unary("Tanh")?,
            47 => self.unary("Exp")?,
            59 => self.unary("Neg")?,
            66 => self.unary("Sin")?,
            73 => self.unary("Log")?,
            75 => self.unary("Sqrt")?,
            101 => self.unary("Abs")?,
            104 => self.unary("Ceil")?,
            108 => self.unary("Cos")?,
            111 => self.unary("Elu")?,
            116 => self.unary("Round")?,
            117 => self.unary("HardSwish")?,
            158 => self.unary("Sign")?,
            87 => {
                let x = self.input(0)?;
                self.w.compare("Not", name, &[x])?
            }
            20 => self.activated(Activation::ReluN1To1)?,
            21 => self.activated(Activation::Relu6)?,
            152 => self.activated(Activation::Relu0To1)?,
            98 => self.activated(Activation::LeakyRelu(options.float(0)?))?,
            150 => {
                let (x, approximate) = (self.input(0)?, options.flag(0)?);
                let how = crate::import::tensorflow::text("approximate", if approximate { "tanh" } else { "none" });
                self.w.unary("Gelu", name, x, vec![how])?
            }
            76 => {
                let x = self.input(0)?;
                let root = self.w.unary("Sqrt", &format!("{name}/root"), x, vec![])?;
                self.w.unary("Reciprocal", name, root, vec![])?
            }
            92 => {
                let x = self.input(0)?;
                self.w.binary("Mul", name, x, x)?
            }
            54 => {
                let (x, slope) = (self.input(0)?, self.input(1)?);
                self.w.prelu(name, x, slope)?
            }
            // Functions of two elements.
            55 => self.binary("Max")?,
            57 => self.binary("Min")?,
            78 => self.binary("Pow")?,
            160 => self.binary("BitwiseXor")?,
            99 => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                let difference = self.w.binary("Sub", &format!("{name}/difference"), a, b)?;
                self.w.binary("Mul", name, difference, difference)?
            }
            90 => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                self.w.floor_div(name, a, b)?
            }
            95 => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                self.w.floor_mod(name, a, b)?
            }
            58 => self.compare("Less")?,
            61 => self.compare("Greater")?,
            62 => self.compare("GreaterOrEqual")?,
            63 => self.compare("LessOrEqual")?,
            71 => self.compare("Equal")?,
            84 => self.compare("Or")?,
            86 => self.compare("And")?,
            72 => {
                let inputs = self.all()?;
                let equal = self.w.compare("Equal", &format!("{name}/equal"), &inputs)?;
                self.w.compare("Not", name, &[equal])?
            }
            106 => {
                let inputs = self.all()?;
                let dtype = inputs.first().map_or(DataType::Float32, |&id| self.w.real_dtype(id));
                self.w.elementwise("Sum", name, &inputs, vec![], dtype)?
            }
            64 | 123 => {
                let inputs = self.three()?;
                self.w.select(name, inputs, op.code == 123)?
            }
            // Shapes.
            22 => self.reshape()?,
            43 => {
                let x = self.input(0)?;
                self.w.squeeze(name, x, &options.ints(0)?)?
            }
            70 => {
                let (x, axis) = (self.input(0)?, self.int_of(1, "the axis")?);
                self.w.expand_dims(name, x, &[axis])?
            }
            39 => {
                let (x, permutation) = (self.input(0)?, self.ints_of(1, "the permutation")?);
                let permutation = permutation.iter().map(|&axis| self.w.axis(x, axis)).collect::<Result<Vec<_>>>()?;
                self.w.transpose(name, x, &permutation)?
            }
            77 => {
                let (x, to) = (self.input(0)?, self.result(0)?);
                self.w.shape_of(name, x, to)?
            }
            110 => {
                let x = self.input(0)?;
                let rank = self.w.rank(x)? as i32;
                self.w.constant(name, Tensor::from_vec(vec![], vec![rank])?, None)
            }
            34 => {
                let (x, pads) = (self.input(0)?, self.input(1)?);
                self.w.pad(name, x, pads, None, "constant")?
            }
            60 => {
                let [x, pads, value] = self.three()?;
                self.w.pad(name, x, pads, Some(value), "constant")?
            }
            100 => {
                let (x, pads) = (self.input(0)?, self.input(1)?);
                self.w.mirror_pad(name, x, pads, options.byte(0)? == 1)?
            }
            65 => {
                let [x, begin, length] = self.three()?;
                self.w.slice(name, x, begin, length)?
            }
            45 => {
                let ([x, begin, end], strides) = (self.three()?, self.input(3)?);
                let masks = StridedSlice {
                    begin: options.int(0)?,
                    end: options.int(1)?,
                    ellipsis: options.int(2)?,
                    new_axis: options.int(3)?,
                    shrink: options.int(4)?,
                    offset: options.flag(5)?,
                };
                self.w.strided_slice(name, x, [begin, end, strides], masks)?
            }
            49 => {
                let (axis, x) = (self.int_of(0, "the axis")?, self.input(1)?);
                return self.w.split_evenly(name, x, op.outputs.len(), axis);
            }
            102 => {
                let (x, sizes, axis) = (self.input(0)?, self.ints_of(1, "the sizes")?, self.int_of(2, "the axis")?);
                ensure!(
                    sizes.len() == op.outputs.len(),
                    InvalidModel,
                    "{} sizes of {} pieces",
                    sizes.len(),
                    op.outputs.len()
                );
                return self.w.split(name, x, &sizes, axis);
            }
            83 => {
                let inputs = self.all()?;
                self.w.pack(name, &inputs, options.int(1)?)?
            }
            88 => {
                let x = self.input(0)?;
                return self.w.unpack(name, x, op.outputs.len(), options.int(1)?);
            }
            36 => {
                let (x, indices) = (self.input(0)?, self.input(1)?);
                self.w.gather(name, x, indices, options.int(0)?, options.int(1)?)?
            }
            107 => {
                let (x, indices) = (self.input(0)?, self.input(1)?);
                self.w.gather_nd(name, x, indices)?
            }
            122 => {
                let [indices, updates, shape] = self.three()?;
                self.w.scatter(name, [indices, updates, shape])?
            }
            69 => {
                let (x, repeats) = (self.input(0)?, self.input(1)?);
                self.w.tile(name, x, repeats)?
            }
            130 => {
                let (x, shape) = (self.input(0)?, self.input(1)?);
                self.w.expand(name, x, shape)?
            }
            94 => {
                let (shape, value) = (self.input(0)?, self.input(1)?);
                self.w.expand(name, value, shape)?
            }
            93 => {
                let x = self.input(0)?;
                self.w.filled_like(name, x, 0)?
            }
            96 => {
                let inputs = self.three()?;
                self.w.range(name, inputs)?
            }
            85 => {
                let ([indices, depth, on], off) = (self.three()?, self.input(3)?);
                self.w.one_hot(name, [indices, depth, on, off], options.int(0)?)?
            }
            37 | 38 => {
                let (x, blocks, pads) = (self.input(0)?, self.ints_of(1, "blocks")?, self.ints_of(2, "pads")?);
                if op.code == 37 {
                    self.w.batch_to_space(name, x, &blocks, &pads)?
                } else {
                    self.w.space_to_batch(name, x, &blocks, &pads)?
                }
            }
            105 => {
                let (x, axes) = (self.input(0)?, self.ints_of(1, "axes")?);
                self.w.reverse(name, x, &axes)?
            }
            112 => self.reverse_sequence()?,
            128 => {
                let (x, axis) = (self.input(0)?, self.input(1)?);
                self.w.cumsum(name, x, axis, options.flag(0)?, options.flag(1)?)?
            }
            109 => {
                let condition = self.input(0)?;
                self.w.places(name, condition)?
            }
            48 => {
                let (x, k) = (self.input(0)?, self.input(1)?);
                return self.w.top_k(name, x, k);
            }
            56 | 79 => {
                let (x, axis, to) = (self.input(0)?, self.int_of(1, "the axis")?, self.result(0)?);
                self.w.arg(if op.code == 56 { "ArgMax" } else { "ArgMin" }, name, x, axis, to)?
            }
            // Reductions.
            40 => self.reduce("ReduceMean")?,
            74 => self.reduce("ReduceSum")?,
            81 => self.reduce("ReduceProd")?,
            82 => self.reduce("ReduceMax")?,
            89 => self.reduce("ReduceMin")?,
            91 | 140 => {
                let (x, axes) = (self.input(0)?, self.ints_of(1, "axes")?);
                let op_type = if op.code == 91 { "ReduceMax" } else { "ReduceMin" };
                self.w.reduce_bools(op_type, name, x, &axes, options.flag(0)?)?
            }
            // Networks.
            25 => {
                let (x, beta) = (self.input(0)?, options.float(0)?);
                self.w.softmax("Softmax", name, x, beta)?
            }
            50 => {
                let x = self.input(0)?;
                self.w.softmax("LogSoftmax", name, x, 1.0)?
            }
            23 | 97 => {
                let (x, size) = (self.input(0)?, self.input(1)?);
                let linear = op.code == 23;
                let first = if linear { 2 } else { 0 };
                let (align_corners, half_pixel_centers) = (options.flag(first)?, options.flag(first + 1)?);
                self.w.resize(name, x, size, Resize { linear, align_corners, half_pixel_centers })?
            }
            67 => self.transpose_conv()?,
            126 => {
                let (a, b) = (self.input(0)?, self.input(1)?);
                self.w.matmul(name, a, b, [options.flag(0)?, options.flag(1)?])?
            }
            132 => self.conv_3d()?,
            35 => recurrent::rnn(&mut self)?,
            44 => recurrent::lstm(&mut self)?,
            // Types.
            53 => {
                let (x, to) = (self.input(0)?, self.result(0)?);
                self.w.cast(name, x, to)?
            }
            80 => self.fake_quant()?,
            // QUANTIZE: what it gives is quantised as its output says.
            114 => {
                let x = self.input(0)?;
                if self.w.quantization(x).is_some() { self.w.dequantise(x)? } else { x }
            }
            // DENSIFY: a sparse constant is read as a dense one.
            124 => {
                let x = self.input(0)?;
                self.dequantize(x)?
            }
            103 => {
                let (x, to) = (self.input(0)?, self.result(1)?);
                return self.w.unique(name, x, to);
            }
            118 => return control::branch(&mut self),
            119 => return control::repeat(&mut self),
            CUSTOM if op.custom == "Convolution2DTransposeBias" => self.transpose_conv_with_bias()?,
            _ => bail!(UnsupportedOperator, ""),
        };
        Ok(vec![one])
    }

    fn unary(&mut self, op_type: &str) -> Result<Id> {
        let x = self.input(0)?;
        self.w.unary(op_type, self.name, x, vec![])
    }

    fn activated(&mut self, activation: Activation) -> Result<Id> {
        let x = self.input(0)?;
        self.w.activate(self.name, x, activation)
    }

    fn binary(&mut self, op_type: &str) -> Result<Id> {
        let (a, b) = (self.input(0)?, self.input(1)?);
        self.w.binary(op_type, self.name, a, b)
    }

    fn compare(&mut self, op_type: &str) -> Result<Id> {
        let inputs = [self.input(0)?, self.input(1)?];
        self.w.compare(op_type, self.name, &inputs)
    }

    fn reduce(&mut self, op_type: &str) -> Result<Id> {
        let (x, axes, keep) = (self.input(0)?, self.ints_of(1, "axes")?, self.op.options.flag(0)?);
        self.w.reduce(op_type, self.name, x, &axes, keep)
    }

    /// The numbers of `x`, computed now where they are constants of another float type.
    fn dequantize(&mut self, x: Id) -> Result<Id> {
        if self.w.quantization(x).is_some() {
            return self.w.dequantise(x);
        }
        let wanted = self.result(0)?;
        if self.w.dtype(x) == wanted {
            return Ok(x);
        }
        let wide = self.w.known(x).filter(|_| wanted == DataType::Float32).and_then(|tensor| {
            let half = |v: &half::f16| v.to_f32();
            let values = tensor.as_slice::<half::f16>().map(|v| v.iter().map(half).collect::<Vec<f32>>())?;
            Some(Tensor::from_vec(tensor.shape().to_vec(), values))
        });
        match wide {
            Some(tensor) => {
                let tensor = tensor?;
                self.importer.schema.spend(tensor.byte_len())?;
                Ok(self.w.constant(self.name, tensor, None))
            }
            None => self.w.cast(self.name, x, wanted),
        }
    }

    /// The window whose padding, strides and dilations are options `[padding, width, height]`, of 2 dimensions.
    fn window(&self, stride: [usize; 2], dilation: Option<[usize; 2]>) -> Result<Window> {
        let options = self.op.options;
        let [width, height] = stride;
        let dilations = match dilation {
            Some([width, height]) => vec![options.int_or(height, 1)?, options.int_or(width, 1)?],
            None => vec![1, 1],
        };
        Ok(Window { strides: vec![options.int(height)?, options.int(width)?], dilations, padding: self.padding(0)? })
    }

    fn pool(&mut self) -> Result<Id> {
        let options = self.op.options;
        let (x, activation, window) = (self.input(0)?, self.activation(5)?, self.window([1, 2], None)?);
        let kernel = [options.int(4)?, options.int(3)?];
        let op_type = if self.op.code == 1 { "AveragePool" } else { "MaxPool" };
        let value = self.w.pool(op_type, &self.inner(activation), x, &kernel, &window)?;
        self.w.activate(self.name, value, activation)
    }

    fn conv(&mut self) -> Result<Id> {
        let (x, filter, bias) = (self.input(0)?, self.input(1)?, self.optional(2)?);
        let (activation, window) = (self.activation(3)?, self.window([1, 2], Some([4, 5]))?);
        let weight = self.w.weight(filter, &[0, 3, 1, 2])?;
        let groups = self.w.groups(x, weight.1[1])?;
        let value = self.w.conv(&self.inner(activation), x, weight, bias, groups, &window)?;
        self.w.activate(self.name, value, activation)
    }

    fn depthwise(&mut self) -> Result<Id> {
        let (x, filter, bias) = (self.input(0)?, self.input(1)?, self.optional(2)?);
        let (activation, window) = (self.activation(4)?, self.window([1, 2], Some([5, 6]))?);
        let weight = self.w.weight(filter, &[3, 0, 1, 2])?;
        // The multiplier of the options is not to be trusted; runtimes look at the shapes.
        let groups = match self.w.size(x, 3) {
            Some(channels) => channels,
            None => weight.1[0] / usize::try_from(self.op.options.int(3)?).unwrap_or(0).max(1),
        };
        let fits = weight.1[1] == 1 && groups > 0 && weight.1[0].is_multiple_of(groups);
        ensure!(fits, InvalidModel, "weights of shape {:?} for {groups} channels", weight.1);
        let value = self.w.conv(&self.inner(activation), x, weight, bias, groups, &window)?;
        self.w.activate(self.name, value, activation)
    }

    fn conv_3d(&mut self) -> Result<Id> {
        let options = self.op.options;
        let (x, filter, bias, activation) = (self.input(0)?, self.input(1)?, self.optional(2)?, self.activation(4)?);
        let window = Window {
            strides: vec![options.int(1)?, options.int(3)?, options.int(2)?],
            dilations: vec![options.int_or(5, 1)?, options.int_or(7, 1)?, options.int_or(6, 1)?],
            padding: self.padding(0)?,
        };
        let weight = self.w.weight(filter, &[4, 3, 0, 1, 2])?;
        let groups = self.w.groups(x, weight.1[1])?;
        let value = self.w.conv(&self.inner(activation), x, weight, bias, groups, &window)?;
        self.w.activate(self.name, value, activation)
    }

    /// Height and width of what comes out, from the file.
    fn image(&self, shape: Option<Id>) -> Result<Vec<usize>> {
        let given = shape.and_then(|shape| self.w.known_ints(shape)).filter(|shape| shape.len() == 4);
        let said = self.op.results.first().and_then(|info| info.shape.clone()).filter(|shape| shape.len() == 4);
        let size = |axis: usize| match &given {
            Some(given) => usize::try_from(given[axis]).ok(),
            None => said.as_ref().and_then(|said| said[axis]),
        };
        match size(1).zip(size(2)) {
            Some((height, width)) => Ok(vec![height, width]),
            None => bail!(UnsupportedOperator, "into images of sizes known at run time only"),
        }
    }

    fn transpose_conv(&mut self) -> Result<Id> {
        let ([shape, filter, x], bias, activation) = (self.three()?, self.optional(3)?, self.activation(3)?);
        let (window, out) = (self.window([1, 2], None)?, self.image(Some(shape))?);
        let weight = self.w.weight(filter, &[3, 0, 1, 2])?;
        let value = self.w.conv_transpose(&self.inner(activation), x, weight, bias, &out, &window)?;
        self.w.activate(self.name, value, activation)
    }

    /// MediaPipe's: padding (1 is SAME, 2 VALID), width and height of the strides as int32.
    fn transpose_conv_with_bias(&mut self) -> Result<Id> {
        let [x, filter, bias] = self.three()?;
        let options = self.op.custom_options;
        let number =
            |at: usize| options.get(4 * at..4 * at + 4).and_then(|b| b.try_into().ok()).map(i32::from_le_bytes);
        let (Some(padding), Some(width), Some(height)) = (number(0), number(1), number(2)) else {
            bail!(InvalidModel, "expected 12 bytes of options, got {}", options.len())
        };
        let padding = match padding {
            1 => Padding::Same,
            2 => Padding::Valid,
            other => bail!(InvalidModel, "a padding of number {other}"),
        };
        let window = Window { strides: vec![height.into(), width.into()], dilations: vec![1, 1], padding };
        let out = self.image(None)?;
        let weight = self.w.weight(filter, &[3, 0, 1, 2])?;
        self.w.conv_transpose(self.name, x, weight, Some(bias), &out, &window)
    }

    fn fully_connected(&mut self) -> Result<Vec<Id>> {
        let options = self.op.options;
        let (x, weight, bias) = (self.input(0)?, self.input(1)?, self.optional(2)?);
        ensure!(options.byte(1)? == 0, UnsupportedOperator, "with shuffled weights");
        let (activation, keep) = (self.activation(0)?, options.flag(2)?);
        let value = self.w.fully_connected(&self.inner(activation), x, weight, true, bias, keep)?;
        Ok(vec![self.w.activate(self.name, value, activation)?])
    }

    fn reshape(&mut self) -> Result<Id> {
        let x = self.input(0)?;
        // A shape of two dimensions is no shape: converters once wrote such, and runtimes look at the options then.
        let given = self.optional(1)?.filter(|&shape| self.w.shape(shape).as_ref().is_none_or(|s| s.len() == 1));
        match given {
            Some(shape) => self.w.reshape_to(self.name, x, shape),
            None => {
                let to = self.op.options.ints(0)?;
                ensure!(to.len() <= crate::graph::MAX_RANK, LimitExceeded, "a shape of {} dimensions", to.len());
                self.w.reshape(self.name, x, &to)
            }
        }
    }

    fn reverse_sequence(&mut self) -> Result<Id> {
        let (x, lengths) = (self.input(0)?, self.input(1)?);
        let axes = [self.op.options.int(0)?, self.op.options.int(1)?];
        ensure!(
            axes == [0, 1] || axes == [1, 0],
            UnsupportedOperator,
            "along axis {} of batch axis {}",
            axes[0],
            axes[1]
        );
        let (w, name) = (&mut *self.w, self.name);
        let (from, lengths) = (w.last(x)?, w.cast_name(lengths, DataType::Int64)?);
        let (dtype, shape) = (w.real_dtype(x), w.shape(x).clone());
        let attributes = vec![int("time_axis", axes[0]), int("batch_axis", axes[1])];
        Ok(w.emit("ReverseSequence", name, &[&from, &lengths], attributes, dtype, shape, Order::Last))
    }

    /// Rounds to as many numbers as codes have, between bounds that are moved until 0 is one of them.
    fn fake_quant(&mut self) -> Result<Id> {
        let options = self.op.options;
        let x = self.input(0)?;
        let (low, high, bits) = (options.float(0)?, options.float(1)?, options.int(2)?);
        ensure!(bits == 8, UnsupportedOperator, "of {bits} bits");
        ensure!(low < high && low <= 0.0 && high >= 0.0, InvalidModel, "bounds {low} and {high}");
        let first = if options.flag(3)? { 1.0 } else { 0.0 };
        let scale = (high - low) / (255.0 - first);
        let zero = (first - low / scale).clamp(first, 255.0).round();
        let (from, to) = ((first - zero) * scale, (255.0 - zero) * scale);
        let bounded = self.w.clip(&format!("{}/bounded", self.name), x, Some(from), Some(to))?;
        let q = Quantization { scales: vec![scale], zeros: vec![zero as i64], axis: 0 };
        let codes = self.w.quantised(bounded, &format!("{}/codes", self.name), DataType::Uint8, q.into())?;
        self.w.dequantise(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_codes() {
        for (code, expected) in
            [(3, "CONV_2D"), (67, "TRANSPOSE_CONV"), (119, "WHILE"), (150, "GELU"), (209, "STABLEHLO_CASE")]
        {
            assert_eq!(name(code, ""), expected);
        }
        assert_eq!(name(CUSTOM, "Mine"), "Mine");
    }
}
