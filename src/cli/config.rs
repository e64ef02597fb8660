//! `firebrand.toml`: options of `firebrand build`, under the names that they have on the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::failure::{Failure, Outcome};
use super::{host, model};

/// The file that is read where no other is named.
const NAME: &str = "firebrand.toml";

/// Options whose values are paths, which are relative to the file that has them.
const PATHS: [&str; 7] = ["model", "output", "data", "calibrate", "labels", "classes", "report"];

/// The arguments with those of the configuration before them, so that what the command line says counts more.
///
/// The path is that of the configuration. Only `build` has one. `model` is the model to build, where the command line names none.
pub fn expand(arguments: Vec<OsString>) -> Outcome<(Vec<OsString>, Option<PathBuf>)> {
    let text = |at: usize| arguments.get(at).and_then(|argument| argument.to_str());
    if text(1) != Some("build") || (2..arguments.len()).any(|at| matches!(text(at), Some("-h" | "--help"))) {
        return Ok((arguments, None));
    }
    let named = (2..arguments.len()).find_map(|at| match text(at)? {
        "--config" => arguments.get(at + 1).map(PathBuf::from),
        argument => argument.strip_prefix("--config=").map(PathBuf::from),
    });
    let path = match named {
        Some(path) => path,
        None if host::is_file(Path::new(NAME)) => PathBuf::from(NAME),
        None => return Ok((arguments, None)),
    };
    let wrong = |said: String| Failure::input(format!("{}: {said}", path.display()));
    let content = String::from_utf8(model::read(&path)?).map_err(|_| wrong("expected text in UTF-8".to_string()))?;
    let table: Table = content.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| content.get(..span.start));
        let line = before.map_or(String::new(), |before| format!("line {}: ", before.matches('\n').count() + 1));
        wrong(format!("{line}{}", error.message()))
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut expanded: Vec<OsString> = arguments[..2].to_vec();
    let mut positional = None;
    for (name, value) in &table {
        let values = match value {
            Value::Array(values) if LISTS.contains(&name.as_str()) => values.as_slice(),
            Value::Array(_) => std::slice::from_ref(value),
            Value::Table(task) if name == "task" => {
                expanded.extend(task_in_words(task, folder).map_err(wrong)?);
                continue;
            }
            Value::Table(_) => {
                return Err(wrong(format!("[{name}]: expected options at the top; [task] is the only table")));
            }
            value => std::slice::from_ref(value),
        };
        for value in values {
            let Some(value) = in_words(value) else {
                return Err(wrong(format!("{name}: expected a text, a number, true or false, got {value}")));
            };
            let value = match PATHS.contains(&name.as_str()) {
                true => folder.join(&value).into_os_string(),
                false => value.into(),
            };
            match (name.as_str(), value.to_str()) {
                ("model", _) => positional = Some(value),
                (_, Some("true")) => expanded.push(format!("--{name}").into()),
                (_, Some("false")) => {}
                _ => {
                    let mut argument = OsString::from(format!("--{name}="));
                    argument.push(value);
                    expanded.push(argument);
                }
            }
        }
    }
    let rest = &arguments[2..];
    expanded.extend(rest.iter().cloned());
    // The command line's own model is the first of its arguments that is no option, nor an option's value.
    let own = rest.iter().enumerate().any(|(at, argument)| {
        let before = at.checked_sub(1).and_then(|at| rest[at].to_str()).unwrap_or("");
        let takes = before.starts_with('-') && !before.contains('=') && !FLAGS.contains(&before);
        !argument.to_string_lossy().starts_with('-') && !takes
    });
    if let Some(model) = positional.filter(|_| !own) {
        expanded.push(model);
    }
    Ok((expanded, Some(path)))
}

/// Options that may be given several times.
const LISTS: [&str; 1] = ["exclude"];

/// Options without a value.
const FLAGS: [&str; 11] = [
    "--prune-each-layer",
    "--per-tensor",
    "--reduce-range",
    "--no-equalize",
    "--no-bias-correction",
    "--strict",
    "--no-report",
    "--json",
    "--quiet",
    "-q",
    "--",
];

/// The options that the table `[task]` stands for: its name, its parameters, and files that its paths name.
fn task_in_words(task: &Table, folder: &Path) -> Result<Vec<OsString>, String> {
    let mut words = Vec::new();
    for (key, value) in task {
        match (key.as_str(), value) {
            ("name", Value::String(name)) => words.push(format!("--task={name}").into()),
            ("parameters", Value::Table(parameters)) => {
                let json = serde_json::to_string(parameters).map_err(|error| format!("[task.parameters]: {error}"))?;
                words.push(format!("--task-parameters={json}").into());
            }
            ("files", Value::Table(files)) => {
                for (name, path) in files {
                    let Value::String(path) = path else {
                        return Err(format!("[task.files] {name}: expected a path, got {path}"));
                    };
                    let mut word = OsString::from(format!("--task-file={name}="));
                    word.push(folder.join(path));
                    words.push(word);
                }
            }
            _ => {
                return Err(format!("[task] {key}: expected a text \"name\", and tables \"parameters\" and \"files\""));
            }
        }
    }
    Ok(words)
}

fn in_words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        // Means and scales, one for each channel.
        Value::Array(values) => values.iter().map(in_words).collect::<Option<Vec<_>>>().map(|all| all.join(",")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(arguments: &[&str]) -> Vec<OsString> {
        arguments.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_file_of_options_comes_before_the_command_line() {
        let folder = std::env::temp_dir().join(format!("firebrand-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("build.toml");
        std::fs::write(
            &file,
            "model = \"m.onnx\"\nquantize = \"int8\"\nstrict = true\nper-tensor = false\nimage-mean = [1, 2.5, 3]\nexclude = [\"a\", \"b*\"]\n",
        )
        .unwrap();
        let config = format!("--config={}", file.display());
        let expanded = expand(words(&["firebrand", "build", &config, "--quantize", "float16"])).unwrap();
        let model = folder.join("m.onnx");
        let expected = [
            "firebrand",
            "build",
            "--exclude=a",
            "--exclude=b*",
            "--image-mean=1,2.5,3",
            "--quantize=int8",
            "--strict",
            &config,
            "--quantize",
            "float16",
            model.to_str().unwrap(),
        ];
        assert_eq!(expanded.0, words(&expected));
        let own = expand(words(&["firebrand", "build", "other.onnx", &config])).unwrap();
        assert!(!own.0.contains(&model.clone().into_os_string()));
        std::fs::write(&file, "quantize = [").unwrap();
        assert_eq!(expand(words(&["firebrand", "build", &config])).unwrap_err().code(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_table_of_the_task_is_its_options() {
        let folder = Path::new("models");
        let said = |text: &str| task_in_words(&text.parse::<Table>().unwrap(), folder);
        let terms = format!("--task-file=terms={}", folder.join("terms.json").display());
        let expected = words(&[&terms, "--task=nothing", "--task-parameters={\"limit\":0.5}"]);
        let table = "name = \"nothing\"\n[parameters]\nlimit = 0.5\n[files]\nterms = \"terms.json\"\n";
        assert_eq!(said(table), Ok(expected));
        assert!(said("name = 1").unwrap_err().contains("expected a text \"name\""));
        assert!(said("[files]\nterms = 1").unwrap_err().contains("terms: expected a path, got 1"));
    }

    #[test]
    fn other_commands_have_no_configuration() {
        let arguments = words(&["firebrand", "run", "--config=nowhere.toml"]);
        assert_eq!(expand(arguments.clone()).unwrap(), (arguments, None));
    }
}
