//! What every importer must hold to, whatever the bytes: no defect, and of what is accepted a model that can be written
//! and read again.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Write};

use firebrand::graph::{Attribute, Dim, Graph, Node, Tensor, ValueInfo, ValueType};
use firebrand::import::{Beside, ImportOptions};
use firebrand::{Error, ErrorKind, Model};
use zip::write::SimpleFileOptions;

/// A zip file of these members, nothing compressed: what is compressed or has a checksum stops a fuzzer.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in members {
        zip.start_file(*name, stored).expect("memory takes all");
        zip.write_all(bytes).expect("memory takes all");
    }
    zip.finish().expect("memory takes all").into_inner()
}

/// Imports, and where that goes well, writes the model and reads it again. Gives the error that the file is refused with.
pub fn import(name: &str, bytes: Vec<u8>, beside: &dyn Beside, options: &ImportOptions) -> Option<Error> {
    match firebrand::import::import(name, bytes.into(), beside, options) {
        Ok(imported) => {
            write_and_read(&imported.model);
            None
        }
        Err(error) => Some(no_defect(error)),
    }
}

/// The error, which must be the file's fault.
pub fn no_defect(error: Error) -> Error {
    assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    error
}

fn write_and_read(model: &Model) {
    let written = match model.to_onnx() {
        Ok(written) => written,
        Err(error) => return drop(no_defect(error)),
    };
    match Model::from_onnx(written.clone(), &Default::default()) {
        Err(error) => drop(no_defect(error)),
        Ok(again) => {
            same(&model.graph, &again.graph);
            let is_whole = |infos: &[ValueInfo]| declared(infos) == infos;
            if is_whole(&model.graph.inputs) && is_whole(&model.graph.outputs) {
                assert_eq!(again.to_onnx().map(|bytes| bytes == written), Ok(true), "the same bytes the second time");
            }
        }
    }
}

/// Fails where a graph that was read is another than the one that was written.
fn same(written: &Graph, read: &Graph) {
    assert_eq!(declared(&written.inputs), declared(&read.inputs));
    assert_eq!(declared(&written.outputs), declared(&read.outputs));
    assert_eq!(written.initializers.len(), read.initializers.len());
    for (name, tensor) in &written.initializers {
        assert!(same_tensor(tensor, &read.initializers[name]), "constant \"{name}\"");
    }
    assert_eq!(written.nodes.len(), read.nodes.len());
    for (before, after) in by_outputs(written).into_values().zip(by_outputs(read).into_values()) {
        let names = |node: &Node| {
            (
                node.name.clone(),
                node.domain.clone(),
                node.op_type.clone(),
                node.opset,
                node.inputs.clone(),
                node.outputs.clone(),
            )
        };
        assert_eq!(names(before), names(after));
        same_attributes(&before.attributes, &after.attributes);
    }
}

/// The nodes in an order that does not depend on the one that they are written in.
fn by_outputs(graph: &Graph) -> BTreeMap<String, &Node> {
    graph.nodes.iter().map(|node| (node.outputs.join(" "), node)).collect()
}

/// Declarations as a file has them, in which a size of 0 is one that is not known.
fn declared(infos: &[ValueInfo]) -> Vec<ValueInfo> {
    let mut infos = infos.to_vec();
    for info in &mut infos {
        if let ValueType::Tensor { shape: Some(shape), .. } = &mut info.ty {
            shape.iter_mut().filter(|dim| **dim == Dim::Size(0)).for_each(|dim| *dim = Dim::Name("?".to_string()));
        }
    }
    infos
}

fn same_attributes(before: &HashMap<String, Attribute>, after: &HashMap<String, Attribute>) {
    assert_eq!(before.len(), after.len());
    for (name, value) in before {
        match (value, &after[name]) {
            (Attribute::Graph(before), Attribute::Graph(after)) => same(before, after),
            (Attribute::Tensor(before), Attribute::Tensor(after)) => assert!(same_tensor(before, after), "{name}"),
            // As text, in which NaN is NaN.
            (before, after) => assert_eq!(format!("{before:?}"), format!("{after:?}"), "{name}"),
        }
    }
}

fn same_tensor(a: &Tensor, b: &Tensor) -> bool {
    (a.dtype(), a.shape(), a.bytes(), a.strings()) == (b.dtype(), b.shape(), b.bytes(), b.strings())
}
