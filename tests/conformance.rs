//! ONNX's own stored test cases, on the CPU.
//!
//! `tests/conformance/node-cpu.txt` lists the node cases that must pass; those of it that fail,
//! and those that pass without being listed, fail the test. UPDATE=1 writes the list anew.
//! `tests/conformance/known-failures.txt` lists the cases that cannot pass, each with its reason;
//! `node-webgpu.txt` and `known-failures-webgpu.txt` do the same for WebGPU, where the browser tests
//! read them. An operator that no stored case passes with and no test beside it names fails the test, and so do the operator tables of
//! README.md and docs/conformance.md where they are out of date.

#[path = "support/suite.rs"]
mod suite;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use firebrand::graph::ValueType;
use firebrand::onnx::inspect;
use firebrand::ops::{OPERATORS, Operator};
use firebrand::{ErrorKind, Feed, Model, RunOptions, Session, SessionOptions, Tensor};
use suite::{check, compare, read, stored};

/// As ONNX's own runner, but for a tighter absolute tolerance.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-6;

fn list(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

/// Cases that cannot pass: `name: reason`, one a line.
fn known_failures(file: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(list(file)).expect("the list is checked in");
    let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| {
            let (name, reason) = line.split_once(": ").expect("every line is `name: reason`");
            (name.to_string(), reason.to_string())
        })
        .collect()
}

fn load(model: &Path) -> firebrand::Result<Session> {
    Session::load_blocking(Model::from_onnx(read(model), &Default::default())?, SessionOptions::default())
}

/// Runs every data set of a case; gives the largest difference.
fn run_case(folder: &Path) -> Result<f64, String> {
    let session = load(&folder.join("model.onnx")).map_err(|e| format!("load: {} ({})", e, e.kind()))?;
    check(&session, folder, RELATIVE, ABSOLUTE)
}

/// Runs a case; a panic is a failure like another.
fn outcome(folder: &Path) -> Result<f64, String> {
    std::panic::catch_unwind(|| run_case(folder)).unwrap_or_else(|panic| {
        let text =
            panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

fn cases(suite: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(suite).unwrap_or_else(|e| panic!("{}: {e}", suite.display()));
    let mut cases: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.join("model.onnx").exists()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "{} holds no case", suite.display());
    cases
}

fn name(folder: &Path) -> String {
    folder.file_name().expect("a case has a name").to_string_lossy().into_owned()
}

/// Runs all cases on all cores.
fn outcomes(cases: &[PathBuf]) -> BTreeMap<String, Result<f64, String>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = outcome(case);
                    results.lock().expect("no thread panics").insert(name(case), result);
                }
            });
        }
    });
    results.into_inner().expect("no thread panics")
}

/// How many of the cases that use an operator pass, by domain and name.
type Tally = BTreeMap<(String, String), (usize, usize)>;

fn count(tally: &mut Tally, folder: &Path, passes: bool) {
    let model = inspect(read(&folder.join("model.onnx"))).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for operator in model.operators {
        let (passed, all) = tally.entry((operator.domain, operator.name)).or_default();
        *passed += usize::from(passes);
        *all += 1;
    }
}

#[test]
fn node_cases() {
    let Some(suite) = support::data("data/onnx/node") else { return };
    let all = cases(&suite);
    let known = known_failures("known-failures.txt");
    let results = outcomes(&all);
    let passing: BTreeSet<&str> = results.iter().filter(|(_, r)| r.is_ok()).map(|(n, _)| n.as_str()).collect();
    println!("node: {} passed of {}", passing.len(), all.len());

    let path = list("node-cpu.txt");
    let lines = |names: &BTreeSet<&str>| names.iter().fold(String::new(), |text, name| text + name + "\n");
    if update() {
        std::fs::write(&path, lines(&passing)).expect("the list is writable");
        let missed = known_failures("known-failures-webgpu.txt");
        let webgpu = passing.iter().copied().filter(|n| !missed.contains_key(*n)).collect();
        std::fs::write(list("node-webgpu.txt"), lines(&webgpu)).expect("the list is writable");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let listed: BTreeSet<&str> = text.lines().collect();
    let mut report = String::new();
    for (name, result) in &results {
        let line = match (result, listed.contains(name.as_str()), known.get(name)) {
            (Ok(_), _, Some(_)) => "passes and is among the known failures: take it out".to_string(),
            (Ok(_), false, None) => "passes and is not listed: run with UPDATE=1".to_string(),
            (Err(e), true, _) => format!("stopped passing: {e}"),
            (Err(e), false, None) => format!("fails: {e}"),
            _ => continue,
        };
        let _ = writeln!(report, "{name}: {line}");
    }
    for name in listed.iter().copied().chain(known.keys().map(String::as_str)) {
        if !results.contains_key(name) {
            let _ = writeln!(report, "{name}: is listed and was not run");
        }
    }
    assert!(report.is_empty(), "\n{report}");

    let mut tally = Tally::new();
    all.iter().for_each(|case| count(&mut tally, case, passing.contains(name(case).as_str())));
    cases(&list("cases")).iter().for_each(|case| count(&mut tally, case, true));
    if let Some(simple) = support::data("data/onnx/simple") {
        cases(&simple).iter().for_each(|case| count(&mut tally, case, true));
    }
    let written = written_tests();
    let untested: Vec<String> = OPERATORS
        .iter()
        .filter(|o| {
            let stored = tally.get(&(o.domain.to_string(), o.name.to_string())).is_some_and(|(passed, _)| *passed > 0);
            let full = if o.domain.is_empty() { o.name.to_string() } else { format!("{}.{}", o.domain, o.name) };
            !stored && !written.contains(&format!("\"{full}\""))
        })
        .map(|o| format!("{}.{}", o.domain, o.name))
        .collect();
    assert!(untested.is_empty(), "no case, stored or written, has: {}", untested.join(", "));
    tables(&tally, passing.len(), all.len());
}

/// The text of the tests that stand beside the operators.
fn written_tests() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let texts = entries.flatten().filter_map(|e| std::fs::read_to_string(e.path()).ok());
    texts.filter_map(|text| text.split_once("#[cfg(test)]").map(|(_, tests)| tests.to_string())).collect()
}

fn update() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Checks the operator tables of README.md and docs/conformance.md against what was run; with
/// UPDATE=1 writes them.
fn tables(tally: &Tally, passed: usize, all: usize) {
    let mut domains: BTreeMap<&str, Vec<&Operator>> = BTreeMap::new();
    OPERATORS.iter().for_each(|o| domains.entry(o.domain).or_default().push(o));
    let title = |domain: &str| if domain.is_empty() { "ONNX".to_string() } else { format!("`{domain}`") };
    let mut short =
        format!("{passed} of the {all} node cases of ONNX 1.17 pass. **Bold**: computed by WebGPU too.\n\n");
    short += "| Domain | Operators |\n|---|---|\n";
    let mut long = String::from("| Domain | Operator | Cases that pass | WebGPU |\n|---|---|---|---|\n");
    for (domain, operators) in &mut domains {
        operators.sort_by_key(|o| o.name);
        let names = operators.iter().map(|o| if o.webgpu { format!("**{}**", o.name) } else { o.name.to_string() });
        let _ =
            writeln!(short, "| {} ({}) | {} |", title(domain), operators.len(), names.collect::<Vec<_>>().join(", "));
        for o in operators {
            let (passed, all) = tally.get(&(o.domain.to_string(), o.name.to_string())).copied().unwrap_or_default();
            let webgpu = if o.webgpu { "float32" } else { "on the CPU" };
            let _ = writeln!(long, "| {} | {} | {passed} of {all} | {webgpu} |", title(domain), o.name);
        }
    }
    for (file, table) in [("README.md", short), ("docs/conformance.md", long)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        let (open, close) = ("<!-- operators: written by tests/conformance.rs -->\n", "<!-- end of operators -->");
        let start = text.find(open).unwrap_or_else(|| panic!("{file} has no {open}")) + open.len();
        let end = text.find(close).unwrap_or_else(|| panic!("{file} has no {close}"));
        let expected = format!("{}{table}{}", &text[..start], &text[end..]);
        if update() {
            std::fs::write(&path, &expected).expect("the file is writable");
        } else {
            assert!(text == expected, "the operators of {file} are out of date: run with UPDATE=1");
        }
    }
}

/// Runs cases that must all pass.
fn all_pass(suite: &str, cases: &[PathBuf]) {
    let failed: Vec<String> =
        outcomes(cases).into_iter().filter_map(|(name, r)| r.err().map(|e| format!("{name}: {e}"))).collect();
    println!("{suite}: {} passed, {} failed", cases.len() - failed.len(), failed.len());
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// What ONNX's suites leave out, with ONNX Runtime's answers: `conformance/oracle/` writes them.
#[test]
fn own_cases() {
    all_pass("own", &cases(&list("cases")));
}

#[test]
fn pytorch_cases() {
    for suite in ["pytorch-operator", "pytorch-converted"] {
        let Some(folder) = support::data(&format!("data/onnx/{suite}")) else { return };
        all_pass(suite, &cases(&folder));
    }
}

#[test]
fn simple_cases() {
    let Some(suite) = support::data("data/onnx/simple") else { return };
    // Training: the operator differentiates a graph.
    let (training, all): (Vec<_>, Vec<_>) =
        cases(&suite).into_iter().partition(|c| name(c).starts_with("test_gradient"));
    assert_eq!(training.len(), 2);
    for case in training {
        let error = load(&case.join("model.onnx")).map(|_| ()).expect_err("Gradient is not supported");
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperator);
        assert!(error.message().contains("ai.onnx.preview.training.Gradient (1 node"), "{error}");
    }
    all_pass("simple", &all);
}

/// Runs one of the models whose weights are all alike, on the input that ONNX's runner makes:
/// `i / count` at position `i`.
fn light(model: &str) {
    let Some(suite) = support::data("data/onnx/light") else { return };
    let session = load(&suite.join(format!("light_{model}.onnx"))).unwrap_or_else(|e| panic!("{e}"));
    let inputs: Vec<(String, Feed)> = session
        .inputs()
        .map(|info| {
            let ValueType::Tensor { shape: Some(dims), .. } = &info.ty else { panic!("{info:?}") };
            let size = |d: &firebrand::graph::Dim| match d {
                firebrand::graph::Dim::Size(size) => *size,
                firebrand::graph::Dim::Name(_) => 1,
            };
            let shape: Vec<usize> = dims.iter().map(size).collect();
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| (i as f64 / count as f64) as f32).collect();
            let tensor = Tensor::from_vec(shape, values).expect("as many values as the shape asks for");
            (info.name.clone(), tensor.into())
        })
        .collect();
    let outputs = session.run_blocking(inputs, RunOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(outputs.len(), 1);
    let expected = stored(&suite.join(format!("light_{model}_output_0.pb")), &ValueType::Unknown).expect("stored");
    match compare(&outputs[0].1, &expected, RELATIVE, ABSOLUTE) {
        Ok(largest) => println!("light_{model}: largest difference {largest:.1e}"),
        Err(e) => panic!("light_{model}: {e}"),
    }
}

macro_rules! light {
    ($($name:ident: $model:literal),+ $(,)?) => { $(#[test] fn $name() { light($model); })+ };
}
light!(
    light_alexnet: "bvlc_alexnet",
    light_densenet121: "densenet121",
    light_inception_v1: "inception_v1",
    light_inception_v2: "inception_v2",
    light_resnet50: "resnet50",
    light_shufflenet: "shufflenet",
    light_squeezenet: "squeezenet",
    light_vgg19: "vgg19",
    light_zfnet512: "zfnet512",
);
