//! The built `firebrand` program: what it prints and writes, and its exit codes.
#![cfg(feature = "cli")]

mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firebrand::{DataType, Tensor, onnx};
use serde_json::{Value, json};

/// What the program left behind.
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn firebrand<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Done {
    let done = Command::new(env!("CARGO_BIN_EXE_firebrand"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    let code = done.status.code().expect("the program ends by itself");
    let done = Done { code, out: text(done.stdout), err: text(done.stderr) };
    assert!(!done.err.contains("panicked") && !done.err.contains("internal error"), "{}", done.err);
    done
}

impl Done {
    /// It went well and said nothing on standard error; its JSON.
    fn json(&self) -> Value {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// It failed with `code`, printed nothing, and its error names all of `expected`.
    fn fails(&self, code: i32, expected: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        self.says(expected);
    }

    fn says(&self, expected: &[&str]) {
        assert!(self.err.starts_with("error: "), "{}", self.err);
        for part in expected {
            assert!(self.err.contains(part), "{part:?} is not in: {}", self.err);
        }
    }
}

/// An empty folder of one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file of the test");
    path.to_str().expect("a path of text").to_string()
}

/// The few parts of protobuf and ONNX that the test's models need, independent of the reader.
mod model {
    fn number(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    pub fn varint(field: u64, value: u64) -> Vec<u8> {
        [number(field << 3), number(value)].concat()
    }

    pub fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
        let value = value.as_ref();
        [&number(field << 3 | 2), &number(value.len() as u64), value].concat()
    }

    /// A tensor's type: its number in ONNX, and its sizes; 0 is a size known at run time.
    pub fn tensor(dtype: i32, sizes: Option<&[u64]>) -> Vec<u8> {
        let dims = |sizes: &[u64]| {
            let dim = |&size: &u64| bytes(1, if size == 0 { Vec::new() } else { varint(1, size) });
            bytes(2, sizes.iter().flat_map(dim).collect::<Vec<u8>>())
        };
        bytes(1, [varint(1, dtype as u64), sizes.map(dims).unwrap_or_default()].concat())
    }

    /// The type of a float32 matrix of `columns` columns, whose rows have a name in place of a size.
    pub fn named_rows(name: &str, columns: u64) -> Vec<u8> {
        let dims = [bytes(1, bytes(2, name)), bytes(1, varint(1, columns))].concat();
        bytes(1, [varint(1, 1), bytes(2, dims)].concat())
    }

    pub fn sequence(element: Vec<u8>) -> Vec<u8> {
        bytes(4, bytes(1, element))
    }

    pub fn node(domain: &str, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        inputs.iter().for_each(|name| out.extend(bytes(1, name)));
        outputs.iter().for_each(|name| out.extend(bytes(2, name)));
        out.extend(bytes(3, format!("the_{operator}")));
        out.extend(bytes(4, operator));
        attributes.iter().for_each(|attribute| out.extend(bytes(5, attribute)));
        out.extend(bytes(7, domain));
        out
    }

    pub fn optional(element: Vec<u8>) -> Vec<u8> {
        bytes(9, bytes(1, element))
    }

    /// An attribute that holds a graph.
    pub fn body(name: &str, graph: Graph) -> Vec<u8> {
        [bytes(1, name), bytes(6, [graph.0, bytes(2, name)].concat()), varint(20, 5)].concat()
    }

    /// A function of the model's own, in domain `local`.
    pub fn function(name: &str, input: &str, output: &str, nodes: &[Vec<u8>]) -> Vec<u8> {
        let nodes = nodes.iter().flat_map(|node| bytes(7, node)).collect::<Vec<u8>>();
        let opsets = [("", 17), ("local", 1), ("com.example", 1)];
        let opsets = opsets.map(|(domain, version)| bytes(9, [bytes(1, domain), varint(2, version)].concat())).concat();
        [bytes(1, name), bytes(4, input), bytes(5, output), nodes, opsets, bytes(10, "local")].concat()
    }

    pub fn int(name: &str, value: u64) -> Vec<u8> {
        [bytes(1, name), varint(3, value), varint(20, 2)].concat()
    }

    /// A float32 initializer of one dimension in a file beside the model.
    pub fn external(name: &str, size: u64, location: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| bytes(13, [bytes(1, key), bytes(2, value)].concat());
        let head = [varint(1, size), varint(2, 1), bytes(8, name)].concat();
        [head, entry("location", location), varint(14, 1)].concat()
    }

    #[derive(Default)]
    pub struct Graph(Vec<u8>);

    impl Graph {
        pub fn input(mut self, name: &str, ty: Vec<u8>) -> Self {
            self.0.extend(bytes(11, [bytes(1, name), bytes(2, ty)].concat()));
            self
        }

        pub fn output(mut self, name: &str, ty: Vec<u8>) -> Self {
            self.0.extend(bytes(12, [bytes(1, name), bytes(2, ty)].concat()));
            self
        }

        pub fn node(mut self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
            self.0.extend(bytes(1, node("", operator, inputs, outputs, &[])));
            self
        }

        pub fn raw_node(mut self, node: Vec<u8>) -> Self {
            self.0.extend(bytes(1, node));
            self
        }

        pub fn initializer(mut self, tensor: Vec<u8>) -> Self {
            self.0.extend(bytes(5, tensor));
            self
        }

        /// The file's bytes.
        pub fn file(self) -> Vec<u8> {
            self.file_with(&[])
        }

        /// The file's bytes, with functions of the model's own.
        pub fn file_with(self, functions: &[Vec<u8>]) -> Vec<u8> {
            let graph = [self.0, bytes(2, "test")].concat();
            let functions = functions.iter().flat_map(|function| bytes(25, function)).collect::<Vec<u8>>();
            let file = [varint(1, 8), bytes(2, "firebrand-tests"), bytes(7, graph), bytes(8, varint(2, 17)), functions];
            file.concat()
        }
    }
}

/// A model of one node, `y = operator(x)`, on a dtype given by its number in ONNX.
fn one_node(operator: &str, dtype: i32, sizes: Option<&[u64]>) -> Vec<u8> {
    let graph = model::Graph::default().input("x", model::tensor(dtype, sizes)).node(operator, &["x"], &["y"]);
    graph.output("y", model::tensor(dtype, sizes)).file()
}

/// A `.npy` file put together by hand; `shape` is in Python's words.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (10 + header.len()) % 64 != 63 {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn f32_npy(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("<f4", false, shape, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// A file that the program wrote: its header's text and its elements.
fn read_npy(path: impl AsRef<Path>) -> (String, Vec<u8>) {
    let path = path.as_ref();
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((end % 64, bytes[end - 1]), (0, b'\n'), "NumPy aligns the elements");
    let header = String::from_utf8(bytes[10..end].to_vec()).expect("the header is text");
    (header.trim_end().to_string(), bytes[end..].to_vec())
}

fn read_f32(path: impl AsRef<Path>) -> Vec<f32> {
    let (header, data) = read_npy(path);
    assert!(header.contains("'<f4'"), "{header}");
    data.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}

const SQUEEZENET: [&str; 6] = ["--image-color", "bgr", "--image-mean", "103.939,116.779,123.68", "--image-scale", "1"];

fn classify(model: &Path, photo: &Path, more: &[&str]) -> Done {
    let mut arguments = vec!["run".into(), model.as_os_str().to_owned(), "--input".into()];
    arguments.push(format!("data={}", photo.display()).into());
    firebrand(arguments.into_iter().chain(SQUEEZENET.iter().chain(more).map(|&argument| argument.into())))
}

#[test]
fn photos_are_recognised() {
    let (Some(model), Some(labels)) =
        (support::data("models/squeezenet1.1.onnx"), support::data("data/imagenet-labels.json"))
    else {
        return;
    };
    let labels = labels.to_str().expect("a path of text");
    for (photo, expected) in [("coffee.png", "espresso"), ("chelsea.png", "Egyptian cat")] {
        let Some(photo) = support::data(&format!("data/photos/{photo}")) else { return };
        let whole = ["--labels", labels, "--top", "3", "--json", "--image-fit", "fill"];
        let report = classify(&model, &photo, &whole).json();
        assert_eq!(report["device"], "cpu");
        assert!(report["milliseconds"].as_f64().expect("a time") > 0.0);
        let output = &report["outputs"][0];
        assert_eq!((&output["name"], &output["dtype"]), (&json!("probabilities"), &json!("float32")));
        assert_eq!(output["file"], Value::Null);
        let top = output["top"].as_array().expect("the largest");
        assert_eq!(top.len(), 3);
        let first = top[0]["label"].as_str().expect("a label");
        assert!(first.contains(expected), "{first}");
        assert!(top[0]["value"].as_f64() > top[1]["value"].as_f64());
    }
    let photo = support::data("data/photos/coffee.png").expect("just seen");
    let said = classify(&model, &photo, &["--labels", labels]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let rows: Vec<&str> = said.out.lines().collect();
    assert_eq!(rows.len(), 2 + 5, "{}", said.out);
    assert!(rows[2].contains("espresso") && rows[2].contains("██"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn photos_give_what_onnx_runtime_gives() {
    let Some(model) = support::data("models/squeezenet1.1.onnx") else { return };
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let folder = folder("onnx-runtime");
    for photo in ["coffee", "chelsea"] {
        let picture = stored.join(format!("images/{photo}-227.png"));
        let report = classify(&model, &picture, &["--output-dir", folder.to_str().expect("text"), "--json"]).json();
        let file = report["outputs"][0]["file"].as_str().expect("a file");
        assert_eq!(Path::new(file), folder.join("probabilities.npy"));
        let (got, expected) = (read_f32(file), read_f32(stored.join(format!("squeezenet1.1/{photo}/output_0.npy"))));
        assert_eq!(got.len(), expected.len());
        let largest = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(largest <= 1e-5, "{photo}: off by {largest}");
    }
}

#[test]
fn a_model_is_described() {
    let Some(path) = support::data("models/squeezenet1.1.onnx") else { return };
    let said = firebrand([OsStr::new("inspect"), path.as_os_str()]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for part in ["data", "float32  [1, 3, 227, 227]", "probabilities", "Conv", "26", "parameters", "4.7 MiB"] {
        assert!(said.out.contains(part), "{part:?} is not in: {}", said.out);
    }
    let report = firebrand([OsStr::new("inspect"), path.as_os_str(), OsStr::new("--json")]).json();
    assert_eq!(report["inputs"][0], json!({"name": "data", "dtype": "float32", "shape": [1, 3, 227, 227]}));
    let operators = report["operators"].as_array().expect("operators");
    let conv = operators.iter().find(|o| o["name"] == "Conv").expect("Conv");
    assert_eq!((&conv["count"], &conv["supported"]), (&json!(26), &json!(true)));
    assert_eq!(report["unsupported"], json!([]));
    assert_eq!(report["fileBytes"], json!(std::fs::metadata(&path).expect("the model").len()));
}

#[test]
fn the_plan_says_what_becomes_of_each_node() {
    let float = || model::tensor(1, Some(&[2]));
    let value = [vec![0u8; 4], 4f32.to_le_bytes().to_vec()].concat();
    let tensor = [model::varint(1, 2), model::varint(2, 1), model::bytes(8, "w"), model::bytes(9, value)].concat();
    let graph = model::Graph::default().input("x", float()).initializer(tensor).node("Sqrt", &["w"], &["root"]);
    let graph = graph.node("Add", &["x", "root"], &["y"]).output("y", float());
    let path = write(&folder("plan"), "model.onnx", graph.file());
    let said = firebrand(["inspect", "--plan", &path]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for part in
        ["Plan  1 run, 1 computed at load\n", "the_Sqrt  Sqrt  computed at load\n", "the_Add   Add   runs on cpu\n"]
    {
        assert!(said.out.contains(part), "{part:?} is not in: {}", said.out);
    }
    let plan = &firebrand(["inspect", "--plan", "--json", &path]).json()["plan"];
    let folded = json!({"name": "the_Sqrt", "opType": "Sqrt", "fate": "folded"});
    let runs = json!({"name": "the_Add", "opType": "Add", "fate": "runs", "asOp": "Add", "device": "cpu"});
    assert_eq!(*plan, json!([folded, runs]));
    assert_eq!(firebrand(["inspect", "--json", &path]).json().get("plan"), None);
}

#[test]
fn a_graph_is_optimised_unless_that_is_disabled() {
    let float = || model::tensor(1, Some(&[2]));
    let graph = model::Graph::default().input("x", float()).node("Identity", &["x"], &["same"]);
    let graph = graph.node("Relu", &["same"], &["y"]).output("y", float());
    let folder = folder("level");
    let (path, x) = (write(&folder, "model.onnx", graph.file()), write(&folder, "x.json", "[-1, 2]"));
    for (level, fate) in [("all", "removed"), ("disabled", "runs")] {
        let said = firebrand(["inspect", "--plan", "--json", "--graph-optimization-level", level, &path]);
        assert_eq!(said.json()["plan"][0]["fate"], json!(fate), "{level}");
        let said = firebrand(["run", &path, "--input", &x, "--json", "--graph-optimization-level", level]);
        assert_eq!(said.json()["outputs"][0]["values"], json!([0.0, 2.0]), "{level}");
    }
    let said = firebrand(["run", &path, "--graph-optimization-level", "some"]);
    assert_eq!(said.code, 1, "{}", said.err);
}

#[test]
fn unsupported_operators_are_named_all_at_once() {
    let folder = folder("unsupported");
    let float = || model::tensor(1, Some(&[2]));
    let graph = model::Graph::default().input("x", float()).node("Frobnicate", &["x"], &["a"]);
    let graph = graph.node("Relu", &["a"], &["b"]).raw_node(model::node("com.example", "Twist", &["b"], &["c"], &[]));
    let graph = graph.raw_node(model::node("com.example", "Twist", &["c"], &["y"], &[])).output("y", float());
    let file = write(&folder, "unsupported.onnx", graph.file());

    let expected =
        ["unsupported operators: Frobnicate (1 node: \"the_Frobnicate\"), com.example.Twist (2 nodes: \"the_Twist\", "];
    let said = firebrand(["inspect", &file]);
    assert_eq!(said.code, 2);
    said.says(&expected);
    assert!(said.out.contains("Relu") && said.out.contains("not supported"), "{}", said.out);
    let said = firebrand(["inspect", &file, "--json"]);
    assert_eq!(said.code, 2);
    let report: Value = serde_json::from_str(&said.out).expect("JSON all the same");
    assert_eq!(report["unsupported"], json!(["Frobnicate", "com.example.Twist"]));

    let x = write(&folder, "x.npy", f32_npy("(2,)", &[1.0, 2.0]));
    firebrand(["run", &file, "--input", &format!("x={x}")]).fails(2, &expected);
}

/// Those of bodies and of the model's own functions are named too.
#[test]
fn unsupported_operators_are_found_everywhere() {
    let folder = folder("unsupported-inside");
    let float = || model::tensor(1, Some(&[2]));
    let twist = |input: &str, output: &str| model::node("com.example", "Twist", &[input], &[output], &[]);
    let branch = |nodes: Vec<Vec<u8>>| {
        let graph = model::Graph::default().output("b", model::tensor(1, None));
        nodes.into_iter().fold(graph, model::Graph::raw_node)
    };
    let inner = branch(vec![model::node("", "Frobnicate", &["a"], &["b"], &[])]);
    let deep = model::node(
        "",
        "If",
        &["c"],
        &["b"],
        &[model::body("then_branch", inner), model::body("else_branch", branch(vec![twist("a", "b")]))],
    );
    let outer =
        [model::body("then_branch", branch(vec![deep])), model::body("else_branch", branch(vec![twist("a", "b")]))];
    let graph = model::Graph::default().input("a", float()).input("c", model::tensor(9, Some(&[])));
    let graph = graph.raw_node(model::node("", "If", &["c"], &["d"], &outer));
    let graph = graph.raw_node(model::node("local", "Half", &["d"], &["y"], &[])).output("y", model::tensor(1, None));
    let half = model::function("Half", "p", "q", &[twist("p", "r"), model::node("", "Relu", &["r"], &["q"], &[])]);
    let file = write(&folder, "inside.onnx", graph.file_with(&[half]));

    let said = firebrand(["inspect", &file, "--json"]);
    assert_eq!(said.code, 2);
    said.says(&[
        "unsupported operators: Frobnicate (1 node: \"the_Frobnicate\"), com.example.Twist (3 nodes: \"the_Twist\", ",
    ]);
    let report: Value = serde_json::from_str(&said.out).expect("JSON all the same");
    assert_eq!(report["unsupported"], json!(["Frobnicate", "com.example.Twist"]));
    let operators = report["operators"].as_array().expect("operators");
    let twist = operators.iter().find(|o| o["name"] == "Twist").expect("Twist");
    assert_eq!((&twist["count"], &twist["nodes"]), (&json!(3), &json!(["the_Twist", "the_Twist", "the_Twist"])));
    assert!(operators.iter().all(|o| o["supported"] == json!(o.get("nodes").is_none())), "{operators:?}");
    assert!(operators.iter().all(|o| o["name"] != "Half"), "a function is no operator");

    let a = write(&folder, "a.npy", f32_npy("(2,)", &[1.0, 2.0]));
    let c = write(&folder, "c.json", "true");
    firebrand(["run", &file, "-i", &format!("a={a}"), "-i", &format!("c={c}")])
        .fails(2, &["Frobnicate (1 node: \"the_Frobnicate\")", "com.example.Twist (3 nodes: ", "the_Half/the_Twist"]);
}

#[test]
fn every_dtype_goes_in_and_out() {
    let folder = folder("dtypes");
    let utf32 = |text: &str, width: usize| -> Vec<u8> {
        let mut units: Vec<u8> = text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
        units.resize(width * 4, 0);
        units
    };
    let bits: Vec<u8> = (0..48).map(|i| (i * 5) as u8).collect();
    let strings = ["fire", "brand", "🔥", ""].map(|text| utf32(text, 5)).concat();
    for (dtype, number, descr, data) in [
        ("float32", 1, "<f4", &bits[..16]),
        ("uint8", 2, "|u1", &bits[..4]),
        ("int8", 3, "|i1", &bits[30..34]),
        ("uint16", 4, "<u2", &bits[..8]),
        ("int16", 5, "<i2", &bits[..8]),
        ("int32", 6, "<i4", &bits[..16]),
        ("int64", 7, "<i8", &bits[..32]),
        ("string", 8, "<U5", &strings[..]),
        ("bool", 9, "|b1", &[1, 0, 0, 1][..]),
        ("float16", 10, "<f2", &bits[..8]),
        ("float64", 11, "<f8", &bits[..32]),
        ("uint32", 12, "<u4", &bits[..16]),
        ("uint64", 13, "<u8", &bits[..32]),
        ("bfloat16", 16, "|V2", &bits[..8]),
        ("float8e4m3fn", 17, "|V1", &[0x00, 0x80, 0x7e, 0x7f][..]),
        ("float8e4m3fnuz", 18, "|V1", &[0x00, 0x80, 0x7f, 0xff][..]),
        ("float8e5m2", 19, "|V1", &[0x01, 0x80, 0x7c, 0x7f][..]),
        ("float8e5m2fnuz", 20, "|V1", &[0x00, 0x80, 0x7f, 0xff][..]),
        ("uint4", 21, "|V1", &[0x00, 0x07, 0x08, 0x0f][..]),
        // 0, 7, -8, -1
        ("int4", 22, "|V1", &[0x00, 0x07, 0x08, 0x0f][..]),
    ] {
        let model = write(&folder, "identity.onnx", one_node("Identity", number, Some(&[2, 2])));
        let input = write(&folder, "x.npy", npy(descr, false, "(2, 2)", data));
        let out = folder.join(dtype);
        let out = out.to_str().expect("a path of text");
        let report = firebrand(["run", &model, "--input", &format!("x={input}"), "--output-dir", out, "--json"]).json();
        let entry = &report["outputs"][0];
        assert_eq!((&entry["name"], &entry["dtype"], &entry["shape"]), (&json!("y"), &json!(dtype), &json!([2, 2])));
        let (header, got) = read_npy(entry["file"].as_str().expect("a file"));
        assert_eq!(header, format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 2), }}"));
        assert_eq!(got, data, "{dtype}");

        // The bytes turned round, and the array turned over, are the same array.
        let size = data.len() / 4;
        let unit = if dtype == "string" { 4 } else { size };
        if descr.starts_with('<') {
            let big: Vec<u8> = data.chunks_exact(unit).flat_map(|c| c.iter().rev().copied()).collect();
            let input = write(&folder, "big.npy", npy(&descr.replace('<', ">"), false, "(2, 2)", &big));
            firebrand(["run", &model, "--input", &format!("x={input}"), "--output-dir", out, "--json"]).json();
            assert_eq!(read_npy(Path::new(out).join("y.npy")).1, data, "{dtype}, big-endian");
        }
        let element = |index: usize| &data[index * size..][..size];
        let columns = [element(0), element(2), element(1), element(3)].concat();
        let input = write(&folder, "fortran.npy", npy(descr, true, "(2, 2)", &columns));
        firebrand(["run", &model, "--input", &format!("x={input}"), "--output-dir", out, "--json"]).json();
        assert_eq!(read_npy(Path::new(out).join("y.npy")).1, data, "{dtype}, Fortran order");
    }
}

#[test]
fn json_goes_in_and_small_values_come_out() {
    let folder = folder("json");
    for (number, text, values) in [
        (1, r#"[[1, -2.5], ["NaN", "Infinity"]]"#, json!([1.0, -2.5, "NaN", "Infinity"])),
        (7, "[[9223372036854775807, 0], [-1, 2e3]]", json!([9_223_372_036_854_775_807i64, 0, -1, 2000])),
        (8, r#"[["a", "é"], ["", "🔥"]]"#, json!(["a", "é", "", "🔥"])),
        (9, "[[true, false], [false, true]]", json!([true, false, false, true])),
        (16, "[[1, 2], [3, 4]]", json!([1.0, 2.0, 3.0, 4.0])),
        (17, r#"[[1, -0.5], [448, "NaN"]]"#, json!([1.0, -0.5, 448.0, "NaN"])),
        // As Cast does, infinity becomes the largest number.
        (19, r#"[[1, -0.5], [57344, "-Infinity"]]"#, json!([1.0, -0.5, 57344.0, -57344.0])),
        (21, "[[0, 1], [8, 15]]", json!([0, 1, 8, 15])),
        (22, "[[0, 7], [-8, -1]]", json!([0, 7, -8, -1])),
    ] {
        let model = write(&folder, "identity.onnx", one_node("Identity", number, Some(&[2, 2])));
        let input = write(&folder, "x.json", text);
        let report = firebrand(["run", &model, "--input", &format!("x={input}"), "--json"]).json();
        assert_eq!(report["outputs"][0]["values"], values);
    }
    let model = write(&folder, "relu.onnx", one_node("Relu", 1, None));
    let input = write(&folder, "scalar.json", "-3");
    // A model's only input needs no name.
    let said = firebrand(["run", &model, "-i", &input]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.contains("y  float32 []  0.0"), "{}", said.out);
}

#[test]
fn onnx_simple_cases_pass() {
    let Some(cases) = support::data("data/onnx/simple") else { return };
    let folder = folder("simple");
    let mut run = 0;
    for case in std::fs::read_dir(&cases).expect("the cases").map(|entry| entry.expect("a case").path()) {
        let model_file = case.join("model.onnx");
        let inspection = onnx::inspect(std::fs::read(&model_file).expect("the model")).expect("a model");
        let stored = |kind: &str, index: usize| {
            let bytes = std::fs::read(case.join(format!("test_data_set_0/{kind}_{index}.pb"))).expect("a tensor");
            onnx::tensor_from_protobuf(bytes).expect("a tensor")
        };
        let mut arguments = vec!["run".to_string(), model_file.display().to_string(), "--json".into()];
        arguments.extend(["--output-dir".into(), folder.display().to_string()]);
        for (index, input) in inspection.inputs.iter().enumerate() {
            let file = write(&folder, &format!("{index}.npy"), tensor_npy(&stored("input", index)));
            arguments.extend(["--input".into(), format!("{}={file}", input.name)]);
        }
        let done = firebrand(&arguments);
        let name = case.display();
        if name.to_string().contains("gradient") {
            done.fails(2, &["unsupported operators", "Gradient"]);
            continue;
        }
        let report = done.json();
        for (index, output) in report["outputs"].as_array().expect("outputs").iter().enumerate() {
            let expected = stored("output", index);
            assert_eq!(output["dtype"], expected.dtype().name(), "{name}");
            assert_eq!(output["shape"], json!(expected.shape()), "{name}");
            let file = output["file"].as_str().expect("a file");
            let stored = write(&folder, "expected.npy", tensor_npy(&expected));
            if expected.dtype() == DataType::Float32 {
                // −0 is 0.
                assert_eq!(read_f32(file), read_f32(stored), "{name}");
            } else {
                assert_eq!(read_npy(file).1, read_npy(stored).1, "{name}");
            }
        }
        run += 1;
    }
    assert_eq!(run, 21, "the suite has 23 cases, two of them train");
}

/// A stored tensor of the suite's dtypes as a `.npy` file.
fn tensor_npy(tensor: &Tensor) -> Vec<u8> {
    let shape = format!("({})", tensor.shape().iter().map(|size| format!("{size},")).collect::<String>());
    if let Some(strings) = tensor.strings() {
        let width = strings.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1);
        let mut data = Vec::new();
        for string in strings {
            let end = data.len() + width * 4;
            data.extend(string.chars().flat_map(|c| (c as u32).to_le_bytes()));
            data.resize(end, 0);
        }
        return npy(&format!("<U{width}"), false, &shape, &data);
    }
    let descr = match tensor.dtype() {
        DataType::Float32 => "<f4",
        DataType::Float64 => "<f8",
        DataType::Int64 => "<i8",
        DataType::Int32 => "<i4",
        other => panic!("the simple suite has {other} too"),
    };
    npy(descr, false, &shape, tensor.bytes().expect("numbers"))
}

#[test]
fn sequences_go_in_and_out() {
    let folder = folder("sequences");
    let float = || model::tensor(1, Some(&[0]));
    let graph = model::Graph::default().input("parts", model::sequence(float()));
    let graph = graph.raw_node(model::node("", "ConcatFromSequence", &["parts"], &["whole"], &[model::int("axis", 0)]));
    let graph = graph.node("SequenceLength", &["parts"], &["count"]);
    let graph = graph.output("whole", float()).output("count", model::tensor(7, Some(&[])));
    let join = write(&folder, "join.onnx", graph.file());
    let a = write(&folder, "a.npy", f32_npy("(2,)", &[1.0, 2.0]));
    let b = write(&folder, "b.npy", f32_npy("(1,)", &[3.0]));

    let report = firebrand(["run", &join, "--input", &format!("parts=[{a},{b}]"), "--json"]).json();
    assert_eq!(report["outputs"][0]["values"], json!([1.0, 2.0, 3.0]));
    assert_eq!(report["outputs"][1]["values"], json!([2]));
    let report = firebrand(["run", &join, "--input", "parts=[]", "--output", "count", "--json"]).json();
    assert_eq!(report["outputs"].as_array().expect("outputs").len(), 1);
    assert_eq!(report["outputs"][0]["values"], json!([0]));
    firebrand(["run", &join, "--input", &format!("parts={a}")])
        .fails(1, &["expected seq(float32)", "parts=[a.npy,b.npy]"]);
    firebrand(["run", &join, "--input", "parts=none"]).fails(1, &["\"parts\" is not optional"]);

    let graph = model::Graph::default().input("a", float()).input("b", float());
    let graph = graph.node("SequenceConstruct", &["a", "b", "a"], &["all/parts"]);
    let make = write(&folder, "make.onnx", graph.output("all/parts", model::sequence(float())).file());
    let out = folder.join("out");
    let inputs = [format!("a={a}"), format!("b={b}")];
    let arguments = ["run", &make, "-i", &inputs[0], "-i", &inputs[1]];
    let report = firebrand(arguments.iter().chain(&["--json", "--output-dir", out.to_str().expect("text")])).json();
    let entry = &report["outputs"][0];
    assert_eq!((&entry["name"], &entry["dtype"]), (&json!("all/parts"), &json!("float32")));
    let parts = entry["sequence"].as_array().expect("a sequence");
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[1]["shape"], json!([1]));
    assert_eq!(parts[1]["file"], json!(out.join("all_parts-1.npy")));
    assert_eq!(read_f32(out.join("all_parts-0.npy")), [1.0, 2.0]);
    let said = firebrand(arguments);
    assert!(said.out.contains("sequence of 3 tensors of float32"), "{}", said.out);
    firebrand(["run", &make, "-i", &format!("a=[{a}]"), "-i", &inputs[1]]).fails(1, &["\"a\"", "got the sequence"]);
}

#[test]
fn optionals_go_in_and_out() {
    let folder = folder("optionals");
    let float = || model::tensor(1, Some(&[2]));
    let x = write(&folder, "x.npy", f32_npy("(2,)", &[1.0, 2.0]));
    for (name, ty, present, expected) in [
        ("tensor", float(), format!("x={x}"), json!({"shape": [2], "values": [1.0, 2.0]})),
        ("sequence", model::sequence(float()), format!("x=[{x},{x}]"), json!({"sequence": 2})),
    ] {
        let graph = model::Graph::default().input("x", model::optional(ty.clone()));
        let graph = graph.node("OptionalHasElement", &["x"], &["there"]).output("there", model::tensor(9, Some(&[])));
        let graph = graph.node("Identity", &["x"], &["y"]).output("y", model::optional(ty));
        let file = write(&folder, "optional.onnx", graph.file());
        let out = folder.join(name);
        let out_text = out.to_str().expect("a path of text");
        let run = |input: &str| firebrand(["run", &file, "-i", input, "--json", "--output-dir", out_text]).json();

        let report = run("x=none");
        assert_eq!(report["outputs"][0]["values"], json!([false]));
        assert_eq!(report["outputs"][1], json!({"name": "y", "file": null}));
        assert!(!out.join("y.npy").exists());
        let report = run(&present);
        assert_eq!(report["outputs"][0]["values"], json!([true]));
        let y = &report["outputs"][1];
        if name == "tensor" {
            assert_eq!((&y["shape"], &y["values"]), (&expected["shape"], &expected["values"]));
            assert_eq!(read_f32(out.join("y.npy")), [1.0, 2.0]);
        } else {
            assert_eq!(y["sequence"].as_array().map(Vec::len), Some(2));
            assert_eq!(y["sequence"][1]["file"], json!(out.join("y-1.npy")));
        }

        let said = firebrand(["run", &file, "-i", "x=none"]);
        assert!(said.code == 0 && said.out.contains("y  absent"), "{}", said.out);
        firebrand(["run", &file]).fails(1, &["not given: input \"x\"", "optional"]);
        let said = firebrand(["inspect", &file]);
        assert!(said.out.contains(if name == "tensor" { "optional(float32)" } else { "optional(seq(float32))" }));
    }
    let relu = write(&folder, "relu.onnx", one_node("Relu", 1, Some(&[2])));
    firebrand(["run", &relu, "-i", "x=none"]).fails(1, &["\"x\" is not optional", "float32 [2]", "./none"]);
}

/// Sequences of every kind of element keep their dtype, empty ones too.
#[test]
fn sequences_of_any_dtype_go_in_and_out() {
    let folder = folder("sequence-dtypes");
    let out = folder.join("out");
    let out_text = out.to_str().expect("a path of text");
    for (dtype, number, descr, data) in [
        ("int4", 22, "|V1", &[0x0f, 0x08][..]),
        ("bfloat16", 16, "|V2", &[0x80, 0x3f, 0, 0]),
        ("string", 8, "<U1", b"a\0\0\0b\0\0\0"),
    ] {
        let ty = || model::sequence(model::tensor(number, None));
        let graph = model::Graph::default().input("x", ty()).node("Identity", &["x"], &["y"]).output("y", ty());
        let file = write(&folder, "identity.onnx", graph.file());
        let part = write(&folder, "part.npy", npy(descr, false, "(2,)", data));
        let run = |input: &str| firebrand(["run", &file, "-i", input, "--json", "--output-dir", out_text]).json();
        let report = run(&format!("x=[{part}]"));
        let part = &report["outputs"][0]["sequence"][0];
        assert_eq!((&part["dtype"], &part["shape"]), (&json!(dtype), &json!([2])));
        assert_eq!(read_npy(part["file"].as_str().expect("a file")).1, data);
        assert_eq!(run("x=[]")["outputs"][0], json!({"name": "y", "dtype": dtype, "sequence": []}));
    }
}

#[test]
fn maps_come_out() {
    let folder = folder("maps");
    let keys = [model::bytes(1, "classlabels_int64s"), model::varint(8, 7), model::varint(8, 9), model::varint(20, 7)];
    let graph = model::Graph::default().input("x", model::tensor(1, Some(&[0, 2])));
    let graph = graph.raw_node(model::node("ai.onnx.ml", "ZipMap", &["x"], &["y"], &[keys.concat()]));
    // map(int64, float32), in a sequence
    let map = model::bytes(5, [model::varint(1, 7), model::bytes(2, model::tensor(1, Some(&[])))].concat());
    let file = write(&folder, "maps.onnx", graph.output("y", model::sequence(map)).file());
    let x = write(&folder, "x.npy", f32_npy("(2, 2)", &[0.25, 0.75, 1.0, 0.0]));
    let out = folder.join("out");
    let report =
        firebrand(["run", &file, "-i", &x, "--json", "--output-dir", out.to_str().expect("a path of text")]).json();
    let entry = |dtype: &str, shape: Value, file: &str, values: Value| json!({"dtype": dtype, "shape": shape, "file": out.join(file), "values": values});
    let expected = json!({
        "name": "y",
        "keys": entry("int64", json!([2]), "y-keys.npy", json!([7, 9])),
        "values": entry("float32", json!([2, 2]), "y-values.npy", json!([0.25, 0.75, 1.0, 0.0])),
    });
    assert_eq!(report["outputs"], json!([expected]));
    assert_eq!(read_f32(out.join("y-values.npy")), [0.25, 0.75, 1.0, 0.0]);
    let said = firebrand(["run", &file, "-i", &x]);
    assert!(said.out.contains("y  2 maps of 2 keys"), "{}", said.out);
}

#[test]
fn output_names_become_file_names() {
    let folder = folder("names");
    let float = || model::tensor(1, Some(&[1]));
    let names = ["../evil", "a/b:0", "a:b/0"];
    let mut graph = model::Graph::default().input("x", float());
    for name in names {
        graph = graph.node("Relu", &["x"], &[name]).output(name, float());
    }
    let file = write(&folder, "names.onnx", graph.file());
    let x = write(&folder, "x.npy", f32_npy("(1,)", &[1.0]));
    let out = folder.join("out");
    let out_text = out.to_str().expect("a path of text");
    let report = firebrand(["run", &file, "-i", &x, "--output-dir", out_text, "--json"]).json();
    let files: Vec<&Value> = report["outputs"].as_array().expect("outputs").iter().map(|o| &o["file"]).collect();
    let expected = [".._evil.npy", "a_b_0.npy", "a_b_0_2.npy"].map(|name| json!(out.join(name)));
    assert_eq!(files, expected.iter().collect::<Vec<_>>());
}

#[test]
fn weight_files_are_read_from_the_models_folder() {
    let folder = folder("weights");
    let with = |location: &str| {
        let float = || model::tensor(1, Some(&[2]));
        let graph = model::Graph::default().initializer(model::external("w", 2, location)).input("x", float());
        graph.node("Add", &["x", "w"], &["y"]).output("y", float()).file()
    };
    let x = write(&folder, "x.npy", f32_npy("(2,)", &[1.0, 2.0]));
    let file = write(&folder, "external.onnx", with("w.bin"));
    firebrand(["run", &file, "-i", &x]).fails(2, &["w.bin"]);
    let said = firebrand(["inspect", &file]);
    assert!(said.code == 0 && said.out.contains("w.bin  missing"), "{}", said.out);

    let weights = [10f32, 20.0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    write(&folder, "w.bin", &weights);
    let report = firebrand(["run", &file, "-i", &x, "--json"]).json();
    assert_eq!(report["outputs"][0]["values"], json!([11.0, 22.0]));
    let report = firebrand(["inspect", &file, "--json"]).json();
    assert_eq!(report["files"], json!([{"location": "w.bin", "bytes": 8}]));

    write(&folder, "w.bin", &weights[..6]);
    firebrand(["run", &file, "-i", &x]).fails(2, &["w.bin", "6"]);
    for escape in ["../w.bin", "/etc/hostname"] {
        let file = write(&folder, "escape.onnx", with(escape));
        firebrand(["run", &file, "-i", &x]).fails(2, &[escape, "outside of the model's folder"]);
    }
}

#[test]
fn bad_models_exit_with_2() {
    let folder = folder("bad-models");
    let good = one_node("Relu", 1, Some(&[2]));
    for (name, bytes, expected) in [
        ("empty.onnx", &b""[..], "empty"),
        ("page.onnx", b"<!doctype html><title>404</title>", "HTML"),
        ("noise.onnx", b"\xff\xfe\xfd\xfc\xfb", "not an ONNX model"),
        ("short.onnx", &good[..good.len() - 9], "cut short"),
    ] {
        let file = write(&folder, name, bytes);
        firebrand(["run", &file]).fails(2, &[&file, expected]);
        firebrand(["inspect", &file]).fails(2, &[&file, expected]);
    }
    let cycle = model::Graph::default().node("Relu", &["b"], &["a"]).node("Relu", &["a"], &["b"]);
    let file = write(&folder, "cycle.onnx", cycle.output("b", model::tensor(1, None)).file());
    firebrand(["run", &file]).fails(2, &["cycle"]);
    let file = write(&folder, "wrong.onnx", one_node("Not", 1, Some(&[2])));
    firebrand(["run", &file]).fails(2, &["the_Not", "expected bool, got"]);
}

/// Every prefix of a model is told to be bad; none makes the program crash.
#[test]
fn models_cut_short_anywhere_exit_with_2() {
    let folder = folder("cut");
    let good = one_node("Relu", 1, Some(&[2, 0]));
    for length in 0..good.len() {
        let file = write(&folder, "cut.onnx", &good[..length]);
        let done = firebrand(["run", &file]);
        assert_eq!(done.code, 2, "{length} bytes: {}", done.err);
    }
}

#[test]
fn wrong_use_exits_with_1() {
    let folder = folder("wrong-use");
    let model = write(&folder, "relu.onnx", one_node("Relu", 1, Some(&[1, 3])));
    let sum = model::Graph::default().input("a", model::tensor(1, Some(&[0]))).input("b", model::tensor(1, Some(&[0])));
    let sum = sum.node("Add", &["a", "b"], &["y"]).output("y", model::tensor(1, None));
    let sum = write(&folder, "sum.onnx", sum.file());
    let three = write(&folder, "three.npy", f32_npy("(1, 3)", &[1.0, 2.0, 3.0]));
    let four = write(&folder, "four.npy", f32_npy("(4,)", &[0.0; 4]));
    let double = write(&folder, "double.npy", npy("<f8", false, "(1, 3)", &[0; 24]));
    let short = write(&folder, "short.npy", &f32_npy("(1, 3)", &[0.0; 3])[..130]);
    let text = write(&folder, "text.txt", "1 2 3");
    let ragged = write(&folder, "ragged.json", "[[1, 2], [3]]");
    let broken = write(&folder, "broken.png", b"\x89PNG\r\n\x1a\nxxxx");
    let labels = write(&folder, "labels.json", "[1, 2]");
    let x = |file: &str| format!("x={file}");
    let run = |more: &[&str]| firebrand(["run", &model].iter().chain(more));

    firebrand(["run", "absent.onnx"]).fails(1, &["absent.onnx: there is no such file"]);
    firebrand(["run", folder.to_str().expect("text")]).fails(1, &["got a folder without manifest.json"]);
    run(&[]).fails(1, &["not given: input \"x\" (float32 [1, 3])"]);
    run(&["-i", "X=a.npy"]).fails(1, &["there is no input \"X\"", "\"x\" (float32 [1, 3])"]);
    run(&["-i", "x=absent.npy"]).fails(1, &["absent.npy: there is no such file"]);
    run(&["-i", "x="]).fails(1, &["expected a file after \"x=\""]);
    run(&["-i", &x(&three), "-i", &x(&three)]).fails(1, &["given twice"]);
    run(&["-i", &x(&four)]).fails(1, &["expected float32 [1, 3], got float32 [4]"]);
    run(&["-i", &x(&double)]).fails(1, &["expected float32, got float64", "hint: ", "astype(\"float32\")"]);
    let bits = write(&folder, "bits.npy", npy("<u2", false, "(1, 3)", &[0; 6]));
    let half = write(&folder, "half.onnx", one_node("Relu", 16, Some(&[1, 3])));
    firebrand(["run", &half, "-i", &x(&bits)]).fails(1, &["expected bfloat16, got uint16", "hint: ", "view(\"V2\")"]);
    let eight = write(&folder, "eight.onnx", one_node("Identity", 17, Some(&[1, 3])));
    let bytes = write(&folder, "bytes.npy", npy("|u1", false, "(1, 3)", &[0; 3]));
    let wide = write(&folder, "wide.npy", npy("|V2", false, "(1, 3)", &[0; 6]));
    firebrand(["run", &eight, "-i", &x(&bytes)])
        .fails(1, &["expected float8e4m3fn, got uint8", "hint: ", "view(\"V1\")"]);
    firebrand(["run", &eight, "-i", &x(&three)]).fails(1, &["got float32", "hint: ", "astype(float8_e4m3fn)"]);
    firebrand(["run", &eight, "-i", &x(&wide)]).fails(1, &["wide.npy", "2 bytes (|V2); float8e4m3fn takes 1"]);
    run(&["-i", &x(&wide)]).fails(1, &["raw bits (|V2); the model expects float32"]);
    let four_bits = write(&folder, "four.onnx", one_node("Identity", 22, Some(&[1, 3])));
    let eights = write(&folder, "eights.json", "[[7, 8, 0]]");
    firebrand(["run", &four_bits, "-i", &x(&eights)]).fails(1, &["eights.json: 8 is no int4"]);
    run(&["-i", &x(&short)]).fails(1, &["cut short"]);
    run(&["-i", &x(&text)]).fails(1, &["text.txt", ".npy"]);
    run(&["-i", &x(&ragged)]).fails(1, &["ragged"]);
    run(&["-i", &x(&broken)]).fails(1, &["broken.png", "PNG"]);
    run(&["-i", &x(&three), "--output", "z"]).fails(1, &["there is no output \"z\"", "\"y\""]);
    run(&["-i", &x(&three), "--image-size", "3"]).fails(1, &["no input is a picture"]);
    run(&["-i", &x(&three), "--labels", &labels]).fails(1, &["labels.json", "JSON array of strings"]);
    run(&["-i", &x(&three), "--output-dir", &three]).fails(1, &["three.npy"]);
    firebrand(["run", &sum, "-i", "a"]).fails(1, &["expected NAME=FILE", "\"a\"", "\"b\""]);
    firebrand(["run", &sum, "-i", &format!("a={three}"), "-i", &format!("b={four}")])
        .fails(1, &["expected float32 [?], got float32 [1, 3]"]);
    let scalar = write(&folder, "scalar.json", "[1]");
    firebrand(["run", &sum, "-i", &format!("a={scalar}"), "-i", &format!("b={scalar}"), "--top", "1"])
        .fails(1, &["no output is a vector"]);

    for arguments in [
        &["run"][..],
        &["fly"],
        &["run", &model, "--frob"],
        &["run", &model, "--image-size", "0"],
        &["run", &model, "--image-mean", "1,2"],
        &["run", &model, "--image-fit", "crop"],
        &["run", &model, "--top", "0"],
        &["inspect"],
    ] {
        firebrand(arguments).fails(1, &[]);
    }
    let said = firebrand::<&str>([]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("inspect") && said.err.contains("run"));
}

#[test]
fn help_and_version_exit_with_0() {
    for (arguments, part) in [
        (&["--help"][..], "inspect"),
        (&["run", "--help"], "--image-size"),
        (&["help", "inspect"], "--json"),
        (&["bench", "--help"], "--profile"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let said = firebrand(arguments);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        assert!(said.out.contains(part), "{}", said.out);
    }
}

/// `y = Relu(a b)`, with `a` of `rows` rows, which are free.
fn product() -> Vec<u8> {
    let float = |sizes: &[u64]| model::tensor(1, Some(sizes));
    let rows = model::named_rows("rows", 5);
    let graph = model::Graph::default().input("a", rows).input("b", float(&[5, 2]));
    let graph = graph.node("MatMul", &["a", "b"], &["ab"]).node("Relu", &["ab"], &["y"]);
    graph.output("y", model::tensor(1, Some(&[0, 2]))).file()
}

#[test]
fn runs_are_timed_node_by_node() {
    let folder = folder("bench");
    let model = write(&folder, "product.onnx", product());
    let trace = folder.join("trace.json");
    let trace_path = trace.to_str().expect("a path of text");
    let arguments = ["bench", &model, "--dim", "rows=3", "--runs", "5", "--warmup", "0"];
    let report = firebrand(arguments.iter().chain(&["--profile", "--trace", trace_path, "--json"])).json();
    let time = |name: &str| report[name].as_f64().expect("a time");
    assert_eq!(report["runs"], 5);
    assert!(0.0 < time("min_ms") && time("min_ms") <= time("median_ms") && time("median_ms") <= time("p95_ms"));
    let nodes = report["nodes"].as_array().expect("nodes");
    let of = |name: &str| nodes.iter().find(|node| node["name"] == name).expect("the node");
    let (product, relu) = (of("the_MatMul"), of("the_Relu"));
    assert_eq!(nodes.len(), 2);
    assert_eq!((&product["op_type"], &product["shapes"]), (&json!("MatMul"), &json!([[3, 2]])));
    assert_eq!((&product["multiply_adds"], &relu["multiply_adds"]), (&json!(3 * 5 * 2), &json!(0)));
    let peak = |of: &str| report["peak"][of].as_f64().expect("a peak");
    assert!(peak("float32") > 1e7 && peak("int8") > 1e7, "{report}");
    let least = 30.0 / peak("float32") / (product["median_ms"].as_f64().expect("a time") / 1e3);
    assert!((product["share_of_peak"].as_f64().expect("a share") / least - 1.0).abs() < 1e-6, "{report}");
    assert_eq!(relu.get("share_of_peak"), None);
    assert_eq!((&product["bytes_read"], &product["bytes_written"]), (&json!(4 * (15 + 10)), &json!(4 * 6)));
    let shares: f64 = nodes.iter().map(|node| node["share"].as_f64().expect("a share")).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");

    let trace: Value = serde_json::from_slice(&std::fs::read(trace).expect("a trace")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let names: Vec<_> = events.iter().filter(|e| e["ph"] == "X").map(|e| e["name"].clone()).collect();
    assert_eq!(names, ["run", "the_MatMul", "the_Relu"]);
    let number = |event: &Value, name: &str| event[name].as_f64().expect("a number");
    let (run, last) = (&events[1], &events[3]);
    assert!(number(last, "ts") + number(last, "dur") <= number(run, "dur"), "{trace}");
}

#[test]
fn times_are_told_in_words() {
    let model = write(&folder("bench-words"), "product.onnx", product());
    let said = firebrand(["bench", &model, "--runs", "2", "--profile"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for part in ["2 runs: median ", "peak: ", "the_MatMul", "all nodes", "100.0 %", "Operator"] {
        assert!(said.out.contains(part), "{part:?} is not in: {}", said.out);
    }
    let unprofiled = firebrand(["bench", &model, "--runs", "1", "--warmup", "0"]);
    assert!(unprofiled.out.contains("1 run: median ") && !unprofiled.out.contains("the_MatMul"), "{}", unprofiled.out);
    firebrand(["bench", &model, "--dim", "columns=2"]).fails(1, &["no dimension \"columns\"", "are: rows"]);
    firebrand(["bench", &model, "--dim", "rows"]).fails(1, &["NAME=SIZE"]);
    firebrand(["bench", &model, "--runs", "0"]).fails(1, &["--runs"]);
    let b = write(&folder("bench-input"), "b.npy", f32_npy("(5, 3)", &[1.0; 15]));
    firebrand(["bench", &model, "--input", &format!("b={b}")]).fails(1, &["\"b\"", "[5, 2]", "[5, 3]"]);
}

/// `firebrand … | head -c 0`: nobody reads on, which is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    let Some(path) = support::data("models/squeezenet1.1.onnx") else { return };
    let mut child = Command::new(env!("CARGO_BIN_EXE_firebrand"))
        .args([OsStr::new("inspect"), path.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("the program ends");
    assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(0), &b""[..]));
}

/// Two convolutions of eight channels and one of three.
fn convolutions() -> Vec<u8> {
    let mut random = support::Random::new(5);
    let mut conv = |builder: support::Builder, x: &str, name: &str, outputs: usize, inputs: usize| {
        let weight = format!("{name}.weight");
        builder.constant(&weight, random.tensor(&[outputs, inputs, 1, 1])).node("Conv", &[x, &weight], &[name], &[])
    };
    let builder = support::Builder::new(17).input("x", support::tensor_type(DataType::Float32, &["1", "3", "4", "4"]));
    let builder = conv(builder, "x", "a", 8, 3);
    let builder = conv(builder, "a", "b", 8, 8);
    conv(builder, "b", "y", 3, 8).output("y").model().to_onnx().expect("written")
}

#[test]
fn prune_writes_a_model_with_zeros() {
    let folder = folder("prune-zeros");
    let model = write(&folder, "model.onnx", convolutions());
    let output = folder.join("sparse.onnx").display().to_string();
    let done = firebrand(["prune", &model, "-o", &output, "--sparsity", "0.5", "--exclude", "y.*", "--json"]).json();
    assert_eq!(done["excluded"], json!(["y.weight"]));
    assert_eq!(done["weights"][1]["name"], "b.weight");
    assert_eq!(done["weights"][1]["elements"], 64);
    assert_eq!(done["weights"][1]["zerosAfter"], 32);
    let written = std::fs::read(&output).expect("written");
    assert_eq!(done["bytes"], written.len());
    let graph = firebrand::Model::from_onnx(written, &Default::default()).expect("a model").graph;
    let zeros = |name: &str| support::numbers(&graph.initializers[name]).iter().filter(|&&v| v == 0.0).count();
    assert_eq!((zeros("a.weight"), zeros("b.weight"), zeros("y.weight")), (12, 32, 0));

    let all = firebrand(["prune", &model, "-o", &output, "--sparsity", "0.5", "--global", "--json"]).json();
    let zeros: u64 = all["weights"].as_array().expect("weights").iter().filter_map(|w| w["zerosAfter"].as_u64()).sum();
    assert_eq!(zeros, 56);
    let table = firebrand(["prune", &model, "-o", &output, "--threshold", "0.1"]);
    assert_eq!(table.code, 0, "{}", table.err);
    assert!(table.out.contains("112 weights") && table.out.contains("sparse.onnx"), "{}", table.out);
    assert_eq!(firebrand(["prune", &model, "-o", &output, "--threshold", "0.1", "-q"]).out, "");
}

#[test]
fn prune_writes_a_model_with_fewer_channels() {
    let folder = folder("prune-channels");
    let model = write(&folder, "model.onnx", convolutions());
    let output = folder.join("small.onnx").display().to_string();
    let options = ["--channels", "0.5", "--channel-multiple", "4", "--exclude", "a.*", "--json"];
    let done = firebrand(["prune", &model, "-o", &output].into_iter().chain(options)).json();
    let after: Vec<u64> =
        done["layers"].as_array().expect("layers").iter().filter_map(|l| l["channelsAfter"].as_u64()).collect();
    assert_eq!(after, [8, 4, 3]);
    assert_eq!((&done["multiplyAddsBefore"], &done["multiplyAddsAfter"]), (&json!(1792), &json!(1088)));
    assert_eq!(done["leftAlone"][0]["reason"], "excluded");
    let inspected = firebrand(["bench", &output, "--runs", "1", "--json"]);
    assert_eq!(inspected.code, 0, "{}", inspected.err);
    let table = firebrand(["prune", &model, "-o", &output, "--channels", "0.5", "--channel-multiple", "1", "--l1"]);
    assert_eq!(table.code, 0, "{}", table.err);
    assert!(table.out.contains("8 →     4 channels") && table.out.contains("left alone: "), "{}", table.out);
}

#[test]
fn prune_refuses_what_makes_no_sense() {
    let folder = folder("prune-wrong");
    let model = write(&folder, "model.onnx", convolutions());
    let output = folder.join("out.onnx").display().to_string();
    let prune = |options: &[&str]| firebrand(["prune", &model, "-o", &output].iter().chain(options));
    prune(&[]).fails(1, &["--threshold"]);
    prune(&["--threshold", "0.1", "--channels", "0.5"]).fails(1, &["cannot be used with"]);
    prune(&["--sparsity", "1"]).fails(1, &["from 0 to below 1", "got 1"]);
    prune(&["--channels", "0.5", "--exclude", "nothing*"]).fails(1, &["\"nothing*\""]);
    prune(&["--threshold", "0.1", "--global"]).fails(1, &["--global", "cannot be used with"]);
    prune(&["--sparsity", "0.5", "--channel-multiple", "4"]).fails(1, &["cannot be used with"]);
    firebrand(["prune", &model, "-o", &model, "--sparsity", "0.5"]).fails(1, &["the output is the input itself"]);
    assert!(!folder.join("out.onnx").exists());
}

/// A classifier of pictures of one channel whose scores are the picture's very elements.
fn grey_scores(height: u64, width: u64) -> Vec<u8> {
    let graph = model::Graph::default().input("face", model::tensor(1, Some(&[1, 1, height, width])));
    let graph = graph.node("Flatten", &["face"], &["scores"]);
    graph.output("scores", model::tensor(1, Some(&[1, height * width]))).file()
}

fn png(width: u32, height: u32, rgb: &[[u8; 3]]) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(rgb[(y * width + x) as usize]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("written");
    bytes.into_inner()
}

/// Colours, and what Pillow 13.0 makes of them: `Image.new("RGB", (1, 1), rgb).convert("L").getpixel((0, 0))`.
const COLOURS: [[u8; 3]; 6] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 200, 30], [254, 1, 127], [128, 64, 200]];
const GREYS: [f64; 6] = [76.0, 150.0, 29.0, 124.0, 91.0, 99.0];

#[test]
fn a_package_says_how_a_picture_is_made_and_what_scores_mean() {
    let folder = folder("package-run");
    let model = write(&folder, "scores.onnx", grey_scores(3, 2));
    let classes = write(&folder, "classes.txt", "red\ngreen\nblue\nmoss\npink\nviolet\n");
    std::fs::create_dir(folder.join("pictures")).expect("a folder");
    let picture = write(&folder.join("pictures"), "a.png", png(2, 3, &COLOURS));
    let pictures = folder.join("pictures").display().to_string();
    let package = folder.join("package").display().to_string();
    let build = |more: &[&str]| {
        let options =
            ["build", &model, "-o", &package, "--data", &pictures, "--classes", &classes, "--no-report", "-q"];
        assert_eq!(firebrand(options.iter().chain(more)).code, 0);
        let manifest = std::fs::read(folder.join("package/manifest.json")).expect("a manifest");
        serde_json::from_slice::<Value>(&manifest).expect("JSON")
    };
    let manifest = build(&["--image-scale", "1", "--image-mean", "9"]);
    let expected = json!({
        "kind": "image", "size": [3, 2], "layout": "NCHW", "color": "GRAY", "fit": "cover", "mean": [9.0], "scale": [1.0]
    });
    assert_eq!(manifest["inputs"][0]["preprocessing"], expected);

    let run = |more: &[&str]| firebrand(["run", &package, "--input", &picture, "--json"].iter().chain(more)).json();
    let values = |report: &Value| -> Vec<f64> {
        report["outputs"][0]["values"].as_array().expect("values").iter().filter_map(Value::as_f64).collect()
    };
    let report = run(&[]);
    assert_eq!(values(&report), GREYS.map(|grey| grey - 9.0));
    let top = report["outputs"][0]["top"].as_array().expect("the largest");
    assert_eq!((top.len(), &top[0]), (5, &json!({"index": 1, "label": "green", "value": 141.0})));
    // What the command line says counts more, each option by itself.
    assert_eq!(values(&run(&["--image-mean", "0"])), GREYS);
    assert_eq!(values(&run(&["--image-scale", "2"])), GREYS.map(|grey| (grey - 9.0) * 2.0));
    assert_eq!(run(&["--top", "1"])["outputs"][0]["top"].as_array().expect("one").len(), 1);
    let others = write(&folder, "others.txt", "a\nb\nc\nd\ne\nf\n");
    assert_eq!(run(&["--labels", &others])["outputs"][0]["top"][0]["label"], json!("b"));
    let said = firebrand(["run", &package, "--input", &picture]);
    assert!(said.out.contains("green  ") && !said.out.contains("blue"), "{}", said.out);
    let timed = firebrand(["bench", &package, "--input", &picture, "--runs", "1", "--warmup", "0", "--json"]).json();
    assert_eq!(timed["runs"], json!(1));

    firebrand(["run", &package, "--input", &picture, "--image-color", "rgb"])
        .fails(1, &["expected float32 [1, 1, 3, 2], got float32 [1, 3, 3, 2]"]);
    firebrand(["run", &package, "--input", &picture, "--image-mean", "1,2,3"])
        .fails(1, &["--image-mean: expected one number for the one channel of grey, got 1,2,3"]);
}

/// An input of one channel may be sound: only pictures, or options for them, make it one.
#[test]
fn one_channel_without_pictures_has_no_preprocessing() {
    let folder = folder("one-channel");
    let model = write(&folder, "scores.onnx", grey_scores(3, 2));
    for (more, is_picture) in [(&[][..], false), (&["--image-fit", "fill"], true)] {
        let package = folder.join("package").display().to_string();
        assert_eq!(firebrand(["build", &model, "-o", &package, "--no-report", "-q"].iter().chain(more)).code, 0);
        let manifest = std::fs::read_to_string(folder.join("package/manifest.json")).expect("a manifest");
        assert_eq!(manifest.contains("\"preprocessing\""), is_picture, "{more:?}");
    }
}

#[test]
fn hostile_pictures_are_refused_by_their_size() {
    let folder = folder("hostile-picture");
    let model = write(&folder, "scores.onnx", grey_scores(3, 2));
    let mut header = png(1, 1, &[[0; 3]]);
    // The width and the height in IHDR, and the check sum over both and what follows.
    header[16..24].copy_from_slice(&[100_000u32.to_be_bytes(), 100_000u32.to_be_bytes()].concat());
    let bit = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    let sum = !header[12..29].iter().fold(!0u32, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), bit));
    header[29..33].copy_from_slice(&sum.to_be_bytes());
    let picture = write(&folder, "hostile.png", &header);
    let expected = ["hostile.png: expected a picture of at most 32768 pixels a side", "got 100000 × 100000"];
    firebrand(["run", &model, "--input", &picture]).fails(1, &expected);
    std::fs::create_dir(folder.join("data")).expect("a folder");
    write(&folder.join("data"), "hostile.png", &header);
    let (data, out) = (folder.join("data").display().to_string(), folder.join("out").display().to_string());
    firebrand(["build", &model, "--data", &data, "-o", &out]).fails(1, &expected);
    assert!(!folder.join("out").exists());
}

#[test]
fn every_format_is_inspected() {
    let inspect = |path: &Path, more: &[&str]| {
        firebrand([OsStr::new("inspect"), path.as_os_str()].into_iter().chain(more.iter().map(OsStr::new)))
    };
    // Layers and weights of the Keras file: tests/keras.rs.
    if let Some(keras) = support::data("models/emotion_model.hdf5") {
        let report = inspect(&keras, &["--json", "--plan"]).json();
        assert_eq!(report["format"], json!("keras-h5"));
        assert_eq!(report["inputs"], json!([{"name": "input_1", "dtype": "float32", "shape": ["N", 64, 64, 1]}]));
        assert_eq!(report["outputs"][0]["shape"], json!(["N", 7]));
        assert_eq!(report["fileBytes"], json!(std::fs::metadata(&keras).expect("the model").len()));
        assert_eq!((&report["unsupported"], &report["notes"]), (&json!([]), &json!([])));
        let conv = report["operators"].as_array().expect("operators").iter().find(|o| o["name"] == "Conv");
        assert!(conv.is_some_and(|conv| conv["count"] == json!(23)), "{report}");
        assert!(report["plan"].as_array().is_some_and(|nodes| nodes.len() == 56));
        let said = inspect(&keras, &[]);
        assert!(said.code == 0 && said.out.contains("keras-h5, converted to opset 21"), "{}", said.out);
    }
    if let Some(tfjs) = support::data("models/esrgan-slim/model.json") {
        let report = inspect(&tfjs, &["--json"]).json();
        assert_eq!(report["format"], json!("tfjs-layers"));
        let shard = std::fs::metadata(tfjs.with_file_name("group1-shard1of1.bin")).expect("a shard").len();
        assert_eq!(report["files"], json!([{"location": "group1-shard1of1.bin", "bytes": shard}]));
    }
    if let Some(weights) = support::data("models/squeezenet.pkl") {
        inspect(&weights, &[]).fails(1, &["weights alone", "--arch"]);
        inspect(&weights, &["--arch", "nosuchnet"]).fails(1, &["\"nosuchnet\" is not known"]);
    }
    if let Some(safetensors) = support::data("models/minilm.safetensors") {
        let report = inspect(&safetensors, &["--arch", "bert", "--json"]).json();
        assert_eq!(report["format"], json!("safetensors"));
        assert_eq!(report["outputs"][0]["shape"], json!(["batch_size", "sequence_length", 384]));
    }
    if let Some(refused) = support::data("models/face-landmark-attention.tflite") {
        let expected = [
            "Landmarks2TransformMatrix (3 nodes: ",
            "TransformLandmarks (5 nodes: ",
            "TransformTensorBilinear (3 nodes: ",
            "\"transform_landmarks_v2_4\"",
        ];
        let said = inspect(&refused, &[]);
        assert_eq!(said.code, 2);
        said.says(&expected);
        assert!(said.out.contains("TransformLandmarks         5  not supported"), "{}", said.out);
        let said = inspect(&refused, &["--json"]);
        assert_eq!(said.code, 2);
        let report: Value = serde_json::from_str(&said.out).expect("JSON all the same");
        let names = json!(["Landmarks2TransformMatrix", "TransformLandmarks", "TransformTensorBilinear"]);
        assert_eq!((&report["format"], &report["unsupported"]), (&json!("tflite"), &names));
        assert_eq!(report["operators"][1]["count"], json!(5));
        assert_eq!(report["operators"][1]["nodes"].as_array().expect("places").len(), 5);
    }
}

#[test]
fn files_that_are_no_models_are_told_by_what_they_are() {
    let folder = folder("strangers");
    let picture = write(&folder, "picture.onnx", png(1, 1, &[[0; 3]]));
    let zipped = write(&folder, "model.onnx.gz", b"\x1f\x8b\x08\0\0\0\0\0");
    let noise = write(&folder, "noise.keras", b"\xff\xfe\xfd\xfc\xfb");
    let out = folder.join("out").display().to_string();
    for command in ["inspect", "run", "build", "convert", "bench"] {
        let with = |file: &str| match command {
            "build" | "convert" => firebrand([command, file, "-o", &out]),
            _ => firebrand([command, file]),
        };
        with(&picture)
            .fails(2, &["picture.onnx: this is a PNG picture, not an ONNX model", "hint: models are ONNX, Keras"]);
        with(&zipped).fails(2, &["gzip archive, to be unpacked first"]);
        with(&noise).fails(2, &["noise.keras", "hint: models are"]);
        with(folder.to_str().expect("text"))
            .fails(1, &["expected a model's file, or a package", "without manifest.json"]);
    }
    std::fs::write(folder.join("saved_model.pb"), b"").expect("written");
    firebrand(["inspect", folder.to_str().expect("text")]).fails(1, &["hint: a SavedModel"]);
    assert!(!Path::new(&out).exists());
}

/// A model in another format than its name says is read as what it is; a shard that is missing is named.
#[test]
fn names_do_not_make_formats() {
    let folder = folder("formats");
    if let Some(tflite) = support::data("models/hand-landmark-lite.tflite") {
        let named = write(&folder, "hand.h5", std::fs::read(tflite).expect("the model"));
        assert_eq!(firebrand(["inspect", &named, "--json"]).json()["format"], json!("tflite"));
    }
    if let Some(tfjs) = support::data("models/esrgan-slim/model.json") {
        let text = std::fs::read(tfjs).expect("the model");
        let cut = write(&folder, "cut.json", &text[..text.len() / 2]);
        firebrand(["inspect", &cut]).fails(2, &["cut.json: the JSON is not whole", "cut short"]);
        let alone = write(&folder, "model.json", text);
        let expected = ["needs its file \"group1-shard1of1.bin\" beside it: there is no such file"];
        firebrand(["inspect", &alone]).fails(2, &expected);
        firebrand(["convert", &alone, "-o", &format!("{alone}.onnx")]).fails(2, &expected);
    }
}

#[test]
fn weights_that_are_not_numbers_are_named() {
    let folder = folder("nan");
    let weight = support::f32s(&[2, 2], vec![1.0, f32::NAN, 2.0, f32::NAN]);
    let builder = support::Builder::new(17).input("x", support::tensor_type(DataType::Float32, &["1", "2"]));
    let builder = builder.constant("fc.weight", weight).node("MatMul", &["x", "fc.weight"], &["y"], &[]).output("y");
    let model = write(&folder, "nan.onnx", builder.model().to_onnx().expect("written"));
    let out = folder.join("out").display().to_string();
    for command in ["build", "convert", "quantize"] {
        firebrand([command, &model, "-o", &out]).fails(2, &["nan.onnx", "\"fc.weight\" (2 of 4)"]);
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn samples_that_do_not_fit_are_refused_by_what_is_wrong() {
    let folder = folder("samples");
    let model = write(&folder, "relu.onnx", one_node("Relu", 1, Some(&[1, 3])));
    let build = |data: &str, more: &[&str]| {
        let out = folder.join("out").display().to_string();
        let done = firebrand(["build", &model, "--data", data, "-o", &out].iter().chain(more));
        assert!(!Path::new(&out).exists());
        done
    };
    let two = write(&folder, "two.npy", f32_npy("(4, 2)", &[0.0; 8]));
    build(&two, &[]).fails(1, &["two.npy: input \"x\": expected samples for float32 [1, 3], got one of shape [2]"]);
    let scalar = write(&folder, "scalar.npy", f32_npy("()", &[0.0]));
    build(&scalar, &[]).fails(1, &["scalar.npy: input \"x\": expected samples along the first axis", "got a scalar"]);
    let none = write(&folder, "none.npy", f32_npy("(0, 3)", &[]));
    build(&none, &[]).fails(1, &["none.npy: there are no samples"]);
    let csv = write(&folder, "columns.csv", "a,b,label\n1,2,0\n");
    build(&csv, &[]).fails(1, &["columns.csv: input \"x\": expected samples for float32 [1, 3], got one of shape [2]"]);
    let ragged = write(&folder, "ragged.csv", "a,b,c\n1,2,3\n1,2\n");
    build(&ragged, &[]).fails(1, &["ragged.csv: line 3: expected 3 cells", "got 2"]);
    let words = write(&folder, "words.csv", "a,b,c\n1,2,x\n");
    build(&words, &[]).fails(1, &["words.csv: line 2, column \"c\": expected a number, got \"x\""]);
    let bare = write(&folder, "bare.csv", "1,2,3\n4,5,6\n");
    build(&bare, &[]).fails(1, &["bare.csv: line 1: expected the columns' names, got numbers"]);
    build(&format!("{bare}.gone"), &[]).fails(1, &["there is no such file or folder"]);
    std::fs::create_dir(folder.join("empty")).expect("a folder");
    build(folder.join("empty").to_str().expect("text"), &[]).fails(1, &["empty: there are no samples", "got no file"]);
    let labels = write(&folder, "labels.csv", "a,b,c,label\n1,2,3,0\n1,2,3,3\n");
    build(&labels, &[]).fails(1, &["labels.csv: expected labels from 0 to 2", "3 scores, got 3"]);
    build(&two, &["--quantize", "int8"]).fails(1, &["two.npy"]);
    let out = folder.join("out").display().to_string();
    firebrand(["quantize", &model, "-o", &out]).fails(1, &["int8 needs samples", "got none"]);
}

#[test]
fn folders_are_classes_only_where_they_are_all_of_them() {
    let folder = folder("folders");
    let model = write(&folder, "scores.onnx", grey_scores(3, 1));
    for class in ["b", "c"] {
        std::fs::create_dir_all(folder.join("data").join(class)).expect("a folder");
        write(&folder.join("data").join(class), "p.png", png(1, 3, &COLOURS[..3]));
    }
    let (data, out) = (folder.join("data").display().to_string(), folder.join("out").display().to_string());
    let build = |more: &[&str]| {
        firebrand(["build", &model, "--data", &data, "-o", &out, "--no-report", "-q"].iter().chain(more))
    };
    build(&[]).fails(1, &["data: expected 3 folders", "got 2", "name the classes"]);
    let classes = write(&folder, "classes.txt", "a\nb\nc\n");
    assert_eq!(build(&["--classes", &classes]).code, 0);
    let others = write(&folder, "others.txt", "x\ny\nz\n");
    build(&["--classes", &others]).fails(1, &["the folder \"b\"", "expected one of x, y, z"]);
}

#[test]
fn outputs_go_where_they_may() {
    let folder = folder("outputs");
    let model = write(&folder, "relu.onnx", one_node("Relu", 1, Some(&[1, 3])));
    let file = write(&folder, "mine.txt", "mine");
    let inside = format!("{file}/out");
    for command in ["build", "convert"] {
        firebrand([command, &model, "-o", &inside]).fails(1, &["mine.txt/out"]);
    }
    let nowhere = folder.join("no/where.onnx").display().to_string();
    firebrand(["convert", &model, "-o", &nowhere]).fails(1, &["where.onnx: there is no folder", "no"]);
    firebrand(["convert", &model, "-o", folder.to_str().expect("text")])
        .fails(1, &["this is a folder; expected a file"]);
    firebrand(["build", &model, "-o", &file]).fails(1, &["this is a file, which is not overwritten", "hint: "]);
    assert_eq!(std::fs::read(&file).expect("the file"), b"mine");
    for command in ["convert", "quantize"] {
        let options: &[&str] = if command == "quantize" { &["--to", "float16"] } else { &[] };
        firebrand([command, &model, "-o", &model].iter().chain(options)).fails(1, &["the output is the input itself"]);
    }
    // A link stays one, as those of /dev do.
    #[cfg(unix)]
    {
        let link = folder.join("link.onnx");
        std::os::unix::fs::symlink(folder.join("target.onnx"), &link).expect("a link");
        assert_eq!(firebrand(["convert", &model, "-o", link.to_str().expect("text"), "-q"]).code, 0);
        assert!(link.is_symlink() && folder.join("target.onnx").is_file());
    }
}

/// Whenever it is killed, there is a whole package under its name, or what was there before.
#[test]
fn a_build_that_is_killed_leaves_no_half_package() {
    let folder = folder("killed");
    let model = write(&folder, "scores.onnx", grey_scores(64, 64));
    let package = folder.join("package");
    let build = || {
        let options = ["build", &model, "--no-report", "-q", "-o"];
        Command::new(env!("CARGO_BIN_EXE_firebrand")).args(options).arg(&package).stdin(Stdio::null()).spawn()
    };
    for milliseconds in (0..40).step_by(2) {
        let mut child = build().expect("the program starts");
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().expect("killed");
        child.wait().expect("ended");
        if package.exists() {
            let said = firebrand([OsStr::new("verify"), package.as_os_str()]);
            assert_eq!(said.code, 0, "after {milliseconds} ms: {}{}", said.out, said.err);
        }
    }
    assert!(build().expect("the program starts").wait().expect("ended").success());
    assert_eq!(firebrand([OsStr::new("verify"), package.as_os_str()]).code, 0);
    let left: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_file_of_options_is_named_where_it_is_wrong() {
    let folder = folder("options");
    let model = write(&folder, "relu.onnx", one_node("Relu", 1, Some(&[1, 3])));
    for (text, expected) in [
        ("quantise = \"int8\"\n", &["--quantise", "similar", "hint: options come from "][..]),
        ("quantize = \"int9\"\n", &["'int9'", "hint: options come from "]),
        ("strict = true\nquantize \"int8\"\n", &["wrong.toml: line 2: "]),
        ("[build]\nquantize = \"int8\"\n", &["wrong.toml: [build]: expected options at the top"]),
    ] {
        let config = write(&folder, "wrong.toml", text);
        firebrand(["build", &model, "--config", &config]).fails(1, expected);
    }
}
