//! The one error type: what went wrong, where, and what to do about it.

use std::fmt;

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in a form that programs may match on. The names of [`ErrorKind::as_str`]
/// are stable; `docs/troubleshooting.md` has a section for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The model file has no bytes.
    EmptyFile,
    /// The bytes are something else than a model, an HTML page for instance.
    NotAModel,
    /// The model file ends too early.
    Truncated,
    /// The model contradicts itself or ONNX.
    InvalidModel,
    /// A package's manifest is none, or contradicts itself.
    InvalidManifest,
    /// A file of a package is not the one that its manifest names.
    Integrity,
    /// A package's golden sample comes out wrong.
    SelfTestFailed,
    /// Operators that this version does not have.
    UnsupportedOperator,
    /// A known operator, used in a way that this version does not have.
    Unsupported,
    /// The model refers to a data file that was not given.
    MissingExternalData,
    /// An input that the model does not have.
    UnknownInput,
    /// An input that the model needs was not given.
    MissingInput,
    /// An output that the model does not have.
    UnknownOutput,
    /// A tensor has another dtype than expected.
    DtypeMismatch,
    /// A tensor has another shape than expected.
    ShapeMismatch,
    /// A tensor's data has another length than its shape asks for.
    DataLengthMismatch,
    /// An argument of a call, or a value inside a tensor, makes no sense.
    InvalidArgument,
    /// Memory could not be had.
    OutOfMemory,
    /// A size is over a limit that protects against hostile files.
    LimitExceeded,
    /// The device asked for cannot be used here.
    DeviceUnavailable,
    /// The device went away while in use.
    DeviceLost,
    /// The caller ended the run.
    Aborted,
    /// A model loses more accuracy than it may.
    OverBudget,
    /// A file could not be read or written.
    Io,
    /// A defect of Firebrand itself.
    Internal,
}

impl ErrorKind {
    /// The stable name, for instance `"shape_mismatch"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmptyFile => "empty_file",
            Self::NotAModel => "not_a_model",
            Self::Truncated => "truncated",
            Self::InvalidModel => "invalid_model",
            Self::InvalidManifest => "invalid_manifest",
            Self::Integrity => "integrity",
            Self::SelfTestFailed => "self_test_failed",
            Self::UnsupportedOperator => "unsupported_operator",
            Self::Unsupported => "unsupported",
            Self::MissingExternalData => "missing_external_data",
            Self::UnknownInput => "unknown_input",
            Self::MissingInput => "missing_input",
            Self::UnknownOutput => "unknown_output",
            Self::DtypeMismatch => "dtype_mismatch",
            Self::ShapeMismatch => "shape_mismatch",
            Self::DataLengthMismatch => "data_length_mismatch",
            Self::InvalidArgument => "invalid_argument",
            Self::OutOfMemory => "out_of_memory",
            Self::LimitExceeded => "limit_exceeded",
            Self::DeviceUnavailable => "device_unavailable",
            Self::DeviceLost => "device_lost",
            Self::Aborted => "aborted",
            Self::OverBudget => "over_budget",
            Self::Io => "io",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error: where, what was expected, what came, what to do.
///
/// ```
/// use firebrand::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::ShapeMismatch, "expected [1, 3], got [3]").at_node("/fc", "Gemm");
/// assert_eq!(error.to_string(), r#"node "/fc" (Gemm): expected [1, 3], got [3]"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    message: String,
    node: Option<String>,
    operator: Option<String>,
    file: Option<String>,
    unsupported: Vec<(String, Vec<String>)>,
}

impl Error {
    /// An error of `kind`; `message` says what was expected, what came and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (node, operator, file, unsupported) = (None, None, None, Vec::new());
        Self(Box::new(Inner { kind, message: message.into(), node, operator, file, unsupported }))
    }

    /// Adds the node where it happened; the innermost place is kept.
    pub fn at_node(mut self, name: &str, operator: &str) -> Self {
        if self.0.operator.is_none() {
            self.0.node = Some(name.to_string());
            self.0.operator = Some(operator.to_string());
        }
        self
    }

    /// Adds the file where it happened; the innermost place is kept.
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.0.file.get_or_insert_with(|| file.into());
        self
    }

    /// Adds everything that is not supported, by name, each with the places that have it.
    #[cfg(feature = "convert")]
    pub(crate) fn with_unsupported(mut self, unsupported: Vec<(String, Vec<String>)>) -> Self {
        self.0.unsupported = unsupported;
        self
    }

    /// Of a model that an importer refuses: every operator or layer that is not supported, each with all places that
    /// have it. Empty for other errors.
    pub fn unsupported(&self) -> &[(String, Vec<String>)] {
        &self.0.unsupported
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The text without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The name of the node where it happened.
    pub fn node(&self) -> Option<&str> {
        self.0.node.as_deref()
    }

    /// The operator of the node where it happened.
    pub fn operator(&self) -> Option<&str> {
        self.0.operator.as_deref()
    }

    /// The file where it happened.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.0.file {
            write!(f, "{file}: ")?;
        }
        if let (Some(node), Some(operator)) = (&self.0.node, &self.0.operator) {
            write!(f, "node \"{node}\" ({operator}): ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// Returns early with an [`Error`]: `bail!(ShapeMismatch, "expected {}", x)`.
macro_rules! bail {
    ($kind:ident, $($message:tt)+) => {
        return Err($crate::Error::new($crate::ErrorKind::$kind, format!($($message)+)))
    };
}
pub(crate) use bail;

/// Returns early with an [`Error`] unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $kind:ident, $($message:tt)+) => {
        {
            // Bound first, so that a NaN, which fails every comparison, fails the condition too.
            let holds: bool = $condition;
            if !holds {
                $crate::error::bail!($kind, $($message)+)
            }
        }
    };
}
pub(crate) use ensure;
