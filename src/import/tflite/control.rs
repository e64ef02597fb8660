//! IF and WHILE: their subgraphs become bodies.

use super::operators::Call;
use crate::error::{Result, bail, ensure};
use crate::graph::{Attribute, DataType};
use crate::import::tensorflow::{Id, Order, Shape, Writer};

/// The subgraph in option `number`.
fn index(call: &Call<'_, '_>, number: usize) -> Result<usize> {
    match usize::try_from(call.op.options.int(number)?) {
        Ok(index) => Ok(index),
        Err(_) => bail!(InvalidModel, "a subgraph before the first"),
    }
}

/// What a body is given of the values around it: constants are its own, others are used by their names.
fn captured(outer: &mut Writer, inner: &mut Writer, values: &[Id]) -> Result<Vec<Id>> {
    let one = |&id: &Id| {
        if let Some(tensor) = outer.known(id).cloned() {
            return Ok(inner.constant("constant", tensor, outer.quantization(id)));
        }
        let (dtype, shape, codes) = (outer.dtype(id), outer.shape(id).clone(), outer.quantization(id));
        Ok(inner.given(outer.stored(id, Order::Last)?, dtype, shape, codes))
    };
    values.iter().map(one).collect()
}

/// Declares what a body gives; a value of its own for each, which no input or outer value is.
fn declare(inner: &mut Writer, values: &[Id]) -> Result<Vec<(DataType, Shape)>> {
    let mut types = Vec::with_capacity(values.len());
    for (at, &id) in values.iter().enumerate() {
        let stored = inner.stored(id, Order::Last)?;
        let name = inner.builder.node("Identity", &format!("output_{at}"), &[&stored], vec![]);
        inner.builder.output(&name, &name, inner.dtype(id), None);
        types.push((inner.dtype(id), inner.shape(id).clone()));
    }
    Ok(types)
}

fn common(a: &Shape, b: &Shape) -> Shape {
    let (a, b) = (a.as_ref()?, b.as_ref()?);
    (a.len() == b.len()).then(|| a.iter().zip(b).map(|(a, b)| if a == b { *a } else { None }).collect())
}

pub fn branch(call: &mut Call<'_, '_>) -> Result<Vec<Id>> {
    let condition = call.input(0)?;
    let values = (1..call.op.inputs.len()).map(|at| call.input(at)).collect::<Result<Vec<_>>>()?;
    let depth = call.scope.depth + 1;
    let mut bodies = Vec::new();
    let mut types: Vec<Vec<(DataType, Shape)>> = Vec::new();
    let mut codes = Vec::new();
    for number in [0, 1] {
        call.importer.schema.spend(call.w.count().saturating_mul(16))?;
        let graph = call.importer.schema.subgraph(index(call, number)?)?;
        let mut inner = Writer::new(call.w.builder.body(&format!("{}/{number}", call.name)), Default::default());
        let inputs = captured(call.w, &mut inner, &values)?;
        let outputs = call.importer.subgraph(&mut inner, graph, inputs, depth)?;
        codes = outputs.iter().map(|&id| inner.quantization(id)).collect();
        types.push(if call.importer.missing { vec![] } else { declare(&mut inner, &outputs)? });
        bodies.push(call.w.builder.adopt(inner.builder));
    }
    if call.importer.missing {
        bail!(Unsupported, "a body has something that has no counterpart");
    }
    let (Some(no), Some(yes)) = (types.pop(), types.pop()) else { return Ok(vec![]) };
    let same = no.len() == yes.len() && no.iter().zip(&yes).all(|(a, b)| a.0 == b.0);
    ensure!(same, InvalidModel, "the branches give values of different types");
    let outputs: Vec<_> = yes.into_iter().zip(no).map(|(yes, no)| (yes.0, common(&yes.1, &no.1))).collect();
    let (Some(no), Some(yes)) = (bodies.pop(), bodies.pop()) else { return Ok(vec![]) };
    let attributes = vec![("then_branch", Attribute::Graph(yes)), ("else_branch", Attribute::Graph(no))];
    let condition = call.w.cast_name(condition, DataType::Bool)?;
    let ids = call.w.emit_all("If", call.name, &[&condition], attributes, outputs, Order::Last);
    ids.iter().zip(codes).for_each(|(&id, codes)| call.w.set_quantization(id, codes));
    Ok(ids)
}

pub fn repeat(call: &mut Call<'_, '_>) -> Result<Vec<Id>> {
    let values = (0..call.op.inputs.len()).map(|at| call.input(at)).collect::<Result<Vec<_>>>()?;
    let depth = call.scope.depth + 1;
    let condition = call.importer.schema.subgraph(index(call, 0)?)?;
    let body = call.importer.schema.subgraph(index(call, 1)?)?;
    // The condition comes once before the loop, and at the end of each round.
    let first = call.importer.subgraph(call.w, condition, values.clone(), depth)?;
    call.importer.schema.spend(call.w.count().saturating_mul(16))?;
    let mut inner = Writer::new(call.w.builder.body(&format!("{}/body", call.name)), Default::default());
    inner.builder.input("round", DataType::Int64, vec![]);
    inner.builder.input("going", DataType::Bool, vec![]);
    let mut carried = Vec::with_capacity(values.len());
    for (at, &id) in values.iter().enumerate() {
        let shape = call.w.shape(id).clone();
        // Sizes may change from round to round, where the body says so.
        let name = inner.builder.input_of_any_shape(&format!("carried_{at}"), call.w.dtype(id));
        carried.push(inner.given(name, call.w.dtype(id), shape, call.w.quantization(id)));
    }
    let outputs = call.importer.subgraph(&mut inner, body, carried, depth)?;
    ensure!(outputs.len() == values.len(), InvalidModel, "a loop of {} values gives {}", values.len(), outputs.len());
    let next = call.importer.subgraph(&mut inner, condition, outputs.clone(), depth)?;
    if call.importer.missing {
        bail!(Unsupported, "a body has something that has no counterpart");
    }
    let ([first], [next]) = (&first[..], &next[..]) else { bail!(InvalidModel, "a condition gives one value") };
    declare(&mut inner, &[&[*next], &outputs[..]].concat())?;
    let mut types = Vec::with_capacity(values.len());
    for (&before, &after) in values.iter().zip(&outputs) {
        let same = call.w.dtype(before) == inner.dtype(after);
        ensure!(same, InvalidModel, "a loop's value is {} before, {} after", call.w.dtype(before), inner.dtype(after));
        types.push((call.w.dtype(before), common(call.w.shape(before), inner.shape(after))));
    }
    let graph = call.w.builder.adopt(inner.builder);
    let first = call.w.cast_name(*first, DataType::Bool)?;
    let mut inputs = vec![String::new(), first];
    for &id in &values {
        inputs.push(call.w.stored(id, Order::Last)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let ids = call.w.emit_all("Loop", call.name, &inputs, vec![("body", Attribute::Graph(graph))], types, Order::Last);
    for (&id, &before) in ids.iter().zip(&values) {
        let codes = call.w.quantization(before);
        call.w.set_quantization(id, codes);
    }
    Ok(ids)
}
