//! All passes that change nothing but the size of a graph and the time that it takes.

use super::rewrite::{self, Links, ints, is};
use super::{PassReport, fold, fuse, share};
use crate::error::Result;
use crate::graph::{Attribute, Graph};

/// Folds, removes what changes nothing, fuses and shares.
///
/// Errors: those of nodes that are computed.
pub fn simplify(graph: &mut Graph) -> Result<Vec<PassReport>> {
    let mut reports = vec![fold::fold(graph)?, remove(graph), fuse::fuse(graph), share::share(graph)];
    let swept = rewrite::sweep(graph);
    if swept > 0 {
        let mut report = PassReport::new("sweep");
        (0..swept).for_each(|_| report.count("nodes that nothing needs"));
        reports.push(report);
    }
    rewrite::sort(graph)?;
    Ok(reports)
}

/// Removes nodes that give what they are given, and makes one of two Transposes.
pub fn remove(graph: &mut Graph) -> PassReport {
    let mut report = PassReport::new("remove");
    loop {
        let links = Links::of(graph);
        let found = (0..graph.nodes.len()).find_map(|index| {
            changes_nothing(graph, index)
                .then(|| pass_through(graph, &links, index))
                .flatten()
                .or_else(|| join_transposes(graph, &links, index))
        });
        let Some(what) = found else { return report };
        report.count(what);
        rewrite::sweep(graph);
    }
}

fn changes_nothing(graph: &Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let alone = node.outputs.iter().skip(1).all(String::is_empty);
    match node.op_type.as_str() {
        _ if !node.domain.is_empty() || !alone || node.outputs.is_empty() => false,
        "Identity" => true,
        "Dropout" => {
            let training = rewrite::constant(graph, node, 2);
            match rewrite::input(node, 2) {
                None => true,
                Some(_) => training.and_then(|t| t.bytes()).is_some_and(|bytes| bytes == [0]),
            }
        }
        "Transpose" => {
            ints(node, "perm").is_some_and(|perm| perm.iter().enumerate().all(|(at, &axis)| at as i64 == axis))
        }
        "Concat" => node.inputs.len() == 1,
        _ => false,
    }
}

/// Lets all readers of a node's output read its input. None where both names must stay.
fn pass_through(graph: &mut Graph, links: &Links, index: usize) -> Option<String> {
    let node = &graph.nodes[index];
    let what = format!("{} removed", node.op_type);
    let (from, to) = (node.inputs[0].clone(), node.outputs[0].clone());
    if !links.is_kept(&to) {
        rewrite::redirect(graph, &to, &from);
        graph.nodes[index].outputs[0].clear();
        return Some(what);
    }
    // The output's name goes to whoever makes the value.
    let producer = links.producer(&from)?;
    if links.is_kept(&from) {
        return None;
    }
    graph.nodes[index].outputs[0].clear();
    rewrite::redirect(graph, &from, &to);
    graph.nodes[producer].outputs.iter_mut().filter(|name| **name == from).for_each(|name| name.clone_from(&to));
    Some(what)
}

fn join_transposes(graph: &mut Graph, links: &Links, index: usize) -> Option<String> {
    let node = &graph.nodes[index];
    let before = links.producer(node.inputs.first()?)?;
    let first = &graph.nodes[before];
    if !is(node, "Transpose") || !is(first, "Transpose") {
        return None;
    }
    let (inner, outer) = (ints(first, "perm")?, ints(node, "perm")?);
    let joined: Option<Vec<i64>> = outer.iter().map(|&axis| inner.get(usize::try_from(axis).ok()?).copied()).collect();
    let joined = joined.filter(|joined| joined.len() == inner.len())?;
    let data = first.inputs[0].clone();
    let node = &mut graph.nodes[index];
    node.inputs[0] = data;
    node.attributes.insert("perm".to_string(), Attribute::Ints(joined));
    Some("Transpose after Transpose made one".to_string())
}
