//! Element types, by ONNX's names.

use std::fmt;

use burn_std::{BoolStore, DType};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    Float32,
    Float64,
    Float16,
    BFloat16,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Bool,
    String,
    /// One sign bit, 4 of exponent, 3 of mantissa; no infinity.
    Float8E4M3FN,
    /// As [`Float8E4M3FN`](Self::Float8E4M3FN) with one zero and one NaN.
    Float8E4M3FNUZ,
    /// One sign bit, 5 of exponent, 2 of mantissa.
    Float8E5M2,
    /// As [`Float8E5M2`](Self::Float8E5M2) with one zero, one NaN, and no infinity.
    Float8E5M2FNUZ,
    /// -8 to 7; one element a byte in memory, sign-extended.
    Int4,
    /// 0 to 15; one element a byte in memory.
    Uint4,
}

/// ONNX's number and name of each type: TensorProto.DataType.
const TABLE: [(DataType, i32, &str, usize); 20] = [
    (DataType::Float32, 1, "float32", 4),
    (DataType::Uint8, 2, "uint8", 1),
    (DataType::Int8, 3, "int8", 1),
    (DataType::Uint16, 4, "uint16", 2),
    (DataType::Int16, 5, "int16", 2),
    (DataType::Int32, 6, "int32", 4),
    (DataType::Int64, 7, "int64", 8),
    (DataType::String, 8, "string", 0),
    (DataType::Bool, 9, "bool", 1),
    (DataType::Float16, 10, "float16", 2),
    (DataType::Float64, 11, "float64", 8),
    (DataType::Uint32, 12, "uint32", 4),
    (DataType::Uint64, 13, "uint64", 8),
    (DataType::BFloat16, 16, "bfloat16", 2),
    (DataType::Float8E4M3FN, 17, "float8e4m3fn", 1),
    (DataType::Float8E4M3FNUZ, 18, "float8e4m3fnuz", 1),
    (DataType::Float8E5M2, 19, "float8e5m2", 1),
    (DataType::Float8E5M2FNUZ, 20, "float8e5m2fnuz", 1),
    (DataType::Uint4, 21, "uint4", 1),
    (DataType::Int4, 22, "int4", 1),
];

impl DataType {
    fn row(self) -> &'static (DataType, i32, &'static str, usize) {
        TABLE.iter().find(|row| row.0 == self).expect("the table has every type")
    }

    /// The type with ONNX's number `number`.
    pub fn from_onnx(number: i32) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// The type named `name`, for instance `"float32"`.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// ONNX's number of the type.
    pub fn onnx(self) -> i32 {
        self.row().1
    }

    /// ONNX's name in lower case, for instance `"float32"`.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Bytes of one element in memory; 0 for strings, which vary.
    pub fn size(self) -> usize {
        self.row().3
    }

    /// Whether this is one of the floating-point types that are computed with; float8 is only
    /// stored.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64 | Self::Float16 | Self::BFloat16)
    }

    /// Whether this is one of the integer types that are computed with (bool is not; 4-bit
    /// integers are only stored).
    pub fn is_int(self) -> bool {
        !self.is_float() && !matches!(self, Self::Bool | Self::String) && !self.is_storage()
    }

    /// Whether this is a float8 or a 4-bit integer: stored and converted, never computed with.
    pub fn is_storage(self) -> bool {
        self.is_float8() || self.is_4_bit()
    }

    /// Whether this is one of the 4-bit integer types.
    pub fn is_4_bit(self) -> bool {
        matches!(self, Self::Int4 | Self::Uint4)
    }

    /// Whether this is one of the four float8 types.
    pub fn is_float8(self) -> bool {
        matches!(self, Self::Float8E4M3FN | Self::Float8E4M3FNUZ | Self::Float8E5M2 | Self::Float8E5M2FNUZ)
    }

    /// Burn's name of the type; strings and the storage types have none.
    pub(crate) fn to_burn(self) -> Option<DType> {
        Some(match self {
            Self::Float32 => DType::F32,
            Self::Float64 => DType::F64,
            Self::Float16 => DType::F16,
            Self::BFloat16 => DType::BF16,
            Self::Int8 => DType::I8,
            Self::Int16 => DType::I16,
            Self::Int32 => DType::I32,
            Self::Int64 => DType::I64,
            Self::Uint8 => DType::U8,
            Self::Uint16 => DType::U16,
            Self::Uint32 => DType::U32,
            Self::Uint64 => DType::U64,
            Self::Bool => DType::Bool(BoolStore::Native),
            Self::String
            | Self::Float8E4M3FN
            | Self::Float8E4M3FNUZ
            | Self::Float8E5M2
            | Self::Float8E5M2FNUZ
            | Self::Int4
            | Self::Uint4 => return None,
        })
    }

    /// The type that Burn calls `dtype`.
    pub(crate) fn from_burn(dtype: DType) -> Self {
        match dtype {
            DType::F32 | DType::Flex32 => Self::Float32,
            DType::F64 => Self::Float64,
            DType::F16 => Self::Float16,
            DType::BF16 => Self::BFloat16,
            DType::I8 => Self::Int8,
            DType::I16 => Self::Int16,
            DType::I32 => Self::Int32,
            DType::I64 => Self::Int64,
            DType::U8 => Self::Uint8,
            DType::U16 => Self::Uint16,
            DType::U32 => Self::Uint32,
            DType::U64 => Self::Uint64,
            DType::Bool(_) => Self::Bool,
            DType::QFloat(_) => unreachable!("no quantised Burn tensor is ever made"),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
