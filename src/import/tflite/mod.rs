//! TFLite files (`.tflite`, FlatBuffers) as graphs.
//!
//! The operators of the first subgraph become nodes in the order of the file; other subgraphs are bodies of control
//! flow. Inputs and outputs keep their names, types and shapes. Weights in float16 become float32, sparse ones dense;
//! integer models stay integer, as QuantizeLinear and DequantizeLinear around the operators.

mod control;
mod flatbuffer;
mod operators;
mod recurrent;
mod schema;

use std::collections::HashSet;

use super::builder::Builder;
use super::tensorflow::{Id, Writer, dims};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::graph::{DataType, Dim, Graph, Tensor};
use flatbuffer::Table;
use schema::{Schema, Subgraph, TensorInfo, describe};

/// Whether the bytes open a TFLite file.
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}

/// Reads a TFLite file; what was left out or changed comes with the graph.
///
/// Errors: `NotAModel`, `Truncated`, `InvalidModel`, `DataLengthMismatch`, `LimitExceeded`, `Unsupported`,
/// `UnsupportedOperator` with every operator that has no counterpart.
pub fn read(bytes: &[u8]) -> Result<(Graph, Vec<String>)> {
    let mut importer =
        Importer { schema: Schema::new(bytes)?, notes: Vec::new(), missing: false, left: MOST_OPERATORS };
    let main = importer.schema.subgraph(0)?;
    let outputs = main.outputs()?;
    importer.schema.spend(outputs.len())?;
    let outputs = outputs.into_iter().map(|at| describe(main.tensor(at)?.1)).collect::<Result<Vec<_>>>()?;
    let name = main.name()?;
    let reserved: HashSet<String> = outputs.iter().map(|output| output.name.clone()).collect();
    let mut writer = Writer::new(Builder::new(if name.is_empty() { "main" } else { &name }), reserved);
    let mut inputs = Vec::new();
    for at in main.inputs()? {
        let info = describe(main.tensor(at)?.1)?;
        let shape = dims(&info.name, &info.shape).unwrap_or_default();
        let name = writer.builder.input(&info.name, info.dtype, shape);
        inputs.push(writer.given(name, info.dtype, info.shape, info.quantization));
    }
    let results = importer.subgraph(&mut writer, main, inputs, 0)?;
    let has_batch = writer.builder.first_dim_is_free();
    for (id, info) in results.into_iter().zip(&outputs) {
        if importer.missing {
            break;
        }
        let stored = writer.stored(id, super::tensorflow::Order::Last)?;
        let shape = writer.shape(id).as_ref().map(|shape| {
            let unknown = |(axis, size): (usize, &Option<usize>)| match (size, axis) {
                (Some(size), _) => Dim::Size(*size),
                (None, 0) if has_batch => Dim::Name("N".to_string()),
                (None, _) => Dim::Name("?".to_string()),
            };
            shape.iter().enumerate().map(unknown).collect()
        });
        writer.builder.output(&info.name, &stored, writer.dtype(id), shape);
    }
    let graph = writer.builder.finish()?;
    Ok((graph, importer.notes))
}

/// Most operators that a model may have, bodies counted wherever they are used.
const MOST_OPERATORS: usize = 200_000;

/// Deepest nesting of bodies.
const DEEPEST: usize = 16;

/// The state of reading one file.
struct Importer<'a> {
    schema: Schema<'a>,
    notes: Vec<String>,
    /// Whether something was found that has no counterpart.
    missing: bool,
    /// Operators that may still come.
    left: usize,
}

/// The values of a subgraph, by its tensors.
struct Scope<'a> {
    graph: Subgraph<'a>,
    values: Vec<Option<Id>>,
    depth: usize,
}

/// An operator as the file has it.
struct Operator<'a> {
    code: u32,
    /// The name of a custom one.
    custom: String,
    /// Indices of tensors; -1 is left out.
    inputs: Vec<i32>,
    outputs: Vec<i32>,
    results: Vec<TensorInfo>,
    options: Options<'a>,
    custom_options: &'a [u8],
}

/// An operator's options: fields that are absent have their defaults.
#[derive(Clone, Copy)]
struct Options<'a>(Option<Table<'a>>);

impl Options<'_> {
    fn byte(&self, number: usize) -> Result<u8> {
        self.0.map_or(Ok(0), |table| table.byte(number))
    }

    fn flag(&self, number: usize) -> Result<bool> {
        Ok(self.byte(number)? != 0)
    }

    fn int(&self, number: usize) -> Result<i64> {
        self.int_or(number, 0)
    }

    fn int_or(&self, number: usize, default: i32) -> Result<i64> {
        self.0.map_or(Ok(default), |table| Ok(table.int_or(number, default)?.0)).map(i64::from)
    }

    fn float(&self, number: usize) -> Result<f32> {
        self.0.map_or(Ok(0.0), |table| table.float(number))
    }

    fn ints(&self, number: usize) -> Result<Vec<i64>> {
        self.0.map_or(Ok(vec![]), |table| Ok(table.ints(number)?.map(i64::from).collect()))
    }
}

impl<'a> Importer<'a> {
    /// Writes the operators of `graph`, whose inputs are given; gives its outputs.
    fn subgraph(&mut self, writer: &mut Writer, graph: Subgraph<'a>, inputs: Vec<Id>, depth: usize) -> Result<Vec<Id>> {
        ensure!(depth < DEEPEST, LimitExceeded, "subgraphs are nested more than {DEEPEST} deep");
        let mut scope = Scope { graph, values: vec![None; graph.tensors.len()], depth };
        self.schema.spend(graph.tensors.len().saturating_mul(8))?;
        let declared = graph.inputs()?;
        ensure!(
            declared.len() == inputs.len(),
            InvalidModel,
            "a subgraph of {} inputs is given {}",
            declared.len(),
            inputs.len()
        );
        for (at, id) in declared.into_iter().zip(inputs) {
            let (place, _) = graph.tensor(at)?;
            scope.values[place] = Some(id);
        }
        for at in 0..graph.operators.len() {
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => crate::error::bail!(LimitExceeded, "more than {MOST_OPERATORS} operators"),
            };
            let Some(table) = graph.operators.table(at)? else { continue };
            self.step(writer, &mut scope, table)?;
        }
        let outputs = graph.outputs()?;
        outputs.into_iter().map(|at| self.value(writer, &mut scope, at)).collect()
    }

    fn step(&mut self, writer: &mut Writer, scope: &mut Scope<'a>, table: Table<'a>) -> Result<()> {
        let operator = self.operator(scope.graph, table);
        let (name, operator) = match operator {
            Ok(found) => found,
            Err((name, place, error)) if error.kind() == ErrorKind::UnsupportedOperator => {
                return self.skip(writer, scope, &name, &place, &error, table);
            }
            Err((name, place, error)) => return Err(error.at_node(&place, &name)),
        };
        let place = operator.results.first().map_or("", |result| result.short_name()).to_string();
        let outputs = operators::write(self, writer, scope, &operator, &place);
        let outputs = outputs.and_then(|outputs| {
            ensure!(
                outputs.len() >= operator.outputs.len(),
                InvalidModel,
                "{} outputs are wanted, it has {}",
                operator.outputs.len(),
                outputs.len()
            );
            for ((id, at), info) in outputs.into_iter().zip(&operator.outputs).zip(&operator.results) {
                if *at < 0 {
                    continue;
                }
                let id = finished(writer, id, info)?;
                let (place, _) = scope.graph.tensor(*at)?;
                scope.values[place] = Some(id);
            }
            Ok(())
        });
        match outputs {
            Err(error) if error.kind() == ErrorKind::UnsupportedOperator || self.missing => {
                self.skip(writer, scope, &name, &place, &error, table)
            }
            outputs => outputs.map_err(|error| error.at_node(&place, &name)),
        }
    }

    /// Notes an operator that has no counterpart, and goes on with made-up values, to find the others.
    fn skip(
        &mut self,
        writer: &mut Writer,
        scope: &mut Scope<'a>,
        name: &str,
        place: &str,
        error: &Error,
        table: Table<'a>,
    ) -> Result<()> {
        if error.kind() == ErrorKind::UnsupportedOperator {
            let why = error.message();
            let what = if why.is_empty() { name.to_string() } else { format!("{name} {why}") };
            writer.builder.unsupported(&what, place);
        }
        self.missing = true;
        for at in table.ints(2)?.filter(|at| *at >= 0) {
            let (place, tensor) = scope.graph.tensor(at)?;
            let (dtype, shape) = match describe(tensor) {
                Ok(info) => (info.dtype, info.shape),
                Err(_) => (DataType::Float32, None),
            };
            scope.values[place] = Some(writer.given("missing".to_string(), dtype, shape, None));
        }
        Ok(())
    }

    /// The operator in `table` with its name; with an error come its name and place.
    #[allow(clippy::result_large_err, reason = "an error with its place")]
    fn operator(
        &mut self,
        graph: Subgraph<'a>,
        table: Table<'a>,
    ) -> std::result::Result<(String, Operator<'a>), (String, String, Error)> {
        let mut name = "an operator".to_string();
        let mut place = String::new();
        self.read_operator(graph, table, &mut name, &mut place)
            .map_err(|error| (name.clone(), place, error))
            .map(|o| (name, o))
    }

    fn read_operator(
        &mut self,
        graph: Subgraph<'a>,
        table: Table<'a>,
        name: &mut String,
        place: &mut String,
    ) -> Result<Operator<'a>> {
        let code = table.index(0)?;
        let Some(entry) = self.schema.codes.table(code)? else {
            crate::error::bail!(InvalidModel, "operator code {code} of {} is wanted", self.schema.codes.len())
        };
        // Codes over 127 are in the newer field.
        let code = u32::try_from(entry.int(3)?.max(i32::from(entry.byte(0)? as i8))).unwrap_or(u32::MAX);
        let custom = if code == operators::CUSTOM { entry.text(1)?.chars().take(200).collect() } else { String::new() };
        *name = operators::name(code, &custom);
        let (inputs, outputs): (Vec<i32>, Vec<i32>) = (table.ints(1)?.collect(), table.ints(2)?.collect());
        self.schema.spend((inputs.len() + outputs.len()).saturating_mul(4))?;
        if let Some(Ok((_, tensor))) = outputs.first().map(|&at| graph.tensor(at)) {
            *place = String::from_utf8_lossy(tensor.bytes(3)?)
                .split(';')
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect();
        }
        let results = outputs.iter().map(|&at| describe(graph.tensor(at)?.1)).collect::<Result<Vec<_>>>()?;
        let scales = results.iter().filter_map(|info| info.quantization.as_ref()).map(|q| q.scales.len());
        self.schema.spend(scales.sum::<usize>().saturating_mul(8))?;
        let options = Options(table.table(4)?);
        let custom_options = table.bytes(5)?;
        Ok(Operator { code, custom, inputs, outputs, results, options, custom_options })
    }

    /// The value of tensor `at`, which is a constant where no operator has made it.
    fn value(&mut self, writer: &mut Writer, scope: &mut Scope<'a>, at: i32) -> Result<Id> {
        let (place, table) = scope.graph.tensor(at)?;
        if let Some(id) = scope.values[place] {
            return Ok(id);
        }
        let info = describe(table)?;
        let Some(tensor) = self.schema.elements(table, &info)? else {
            crate::error::bail!(
                InvalidModel,
                "tensor \"{}\" is used, but it has no data, and no operator before makes it",
                info.name
            )
        };
        let id = match &info.quantization {
            // Biases of 16-bit models, for which ONNX has no DequantizeLinear.
            Some(q) if info.dtype == DataType::Int64 => {
                let (codes, inner) =
                    (tensor.as_slice::<i64>().unwrap_or_default(), tensor.shape().iter().skip(q.axis + 1));
                let inner: usize = inner.product::<usize>().max(1);
                let scale = |n: usize| q.scales[if q.scales.len() == 1 { 0 } else { n / inner % q.scales.len() }];
                let reals = codes.iter().enumerate().map(|(n, &code)| (code as f64 * f64::from(scale(n))) as f32);
                let reals = Tensor::from_vec(tensor.shape().to_vec(), reals.collect())?;
                writer.constant(info.short_name(), reals, None)
            }
            _ => writer.constant(info.short_name(), tensor, info.quantization.clone()),
        };
        scope.values[place] = Some(id);
        Ok(id)
    }
}

/// What an operator gave, as the file says that it is stored.
fn finished(writer: &mut Writer, id: Id, info: &TensorInfo) -> Result<Id> {
    let mut id = id;
    let is_real = writer.quantization(id).is_none() && writer.dtype(id) == DataType::Float32;
    if let Some(q) = info.quantization.clone().filter(|_| is_real && info.dtype != DataType::Float32) {
        id = writer.quantised(id, info.short_name(), info.dtype, q)?;
    }
    ensure!(
        writer.dtype(id) == info.dtype,
        InvalidModel,
        "it gives {}, the file says {}",
        writer.dtype(id),
        info.dtype
    );
    let shape = match (writer.shape(id).clone(), info.shape.clone()) {
        (Some(found), Some(said)) if found.len() == said.len() => {
            Some(found.iter().zip(said).map(|(found, said)| found.or(said)).collect())
        }
        (Some(found), _) => Some(found),
        (None, said) => said,
    };
    writer.set_shape(id, shape);
    Ok(id)
}
