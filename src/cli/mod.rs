//! The command line, on the library's public API.
//!
//! Exit codes: 0 done; 1 wrong use or input; 2 a bad or unsupported model, or a defect of
//! Firebrand; 3 results that are less accurate than they may be. An error is one line on standard
//! error, `error: …`, at times with a `hint: …` below it. Standard output carries results only.

mod bench;
mod build;
mod config;
mod convert;
mod diff;
mod failure;
mod feed;
mod host;
mod inspect;
mod json;
mod model;
mod output;
mod package;
mod progress;
mod prune;
mod ranking;
mod run;
mod trace;
mod verify;

use std::any::Any;
use std::ffi::OsString;

use anstyle::{AnsiColor, Style};
use clap::Parser;
use clap::error::ErrorKind as UsageKind;

use failure::{Failure, Outcome};
#[cfg(target_family = "wasm")]
pub use host::{Host, with_host};

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 wrong use or input; 2 a bad or unsupported model; 3 less accurate than it may be.";

/// Converts, optimises, packages and runs trained models.
#[derive(Parser)]
#[command(name = "firebrand", version, after_help = AFTER_HELP, arg_required_else_help = true)]
#[command(args_override_self = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Build(Box<build::BuildArguments>),
    Inspect(inspect::Arguments),
    Convert(convert::Arguments),
    Quantize(Box<build::QuantizeArguments>),
    Prune(prune::Arguments),
    Run(Box<run::Arguments>),
    Bench(Box<bench::Arguments>),
    Verify(verify::Arguments),
    Diff(diff::Arguments),
    /// Prints a shell's completions, to be put where the shell looks for them
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Parses the arguments, the program's name first, does what they say, and gives the exit code.
pub fn main(arguments: Vec<OsString>) -> u8 {
    let report = |payload: &(dyn Any + Send)| Failure::defect(payload).report();
    let done = host::guard(|| perform(arguments), report);
    let failure = match done {
        Ok(Ok(())) => return 0,
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::defect(&*payload),
    };
    failure.report();
    failure.code()
}

fn perform(arguments: Vec<OsString>) -> Outcome<()> {
    let (arguments, config) = config::expand(arguments)?;
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => match arguments.command {
            Command::Build(arguments) => build::build_package(&arguments),
            Command::Inspect(arguments) => inspect::inspect(&arguments),
            Command::Convert(arguments) => convert::convert(&arguments),
            Command::Quantize(arguments) => build::quantize(&arguments),
            Command::Prune(arguments) => prune::prune(&arguments),
            Command::Run(arguments) => run::run(&arguments),
            Command::Bench(arguments) => bench::bench(&arguments),
            Command::Verify(arguments) => verify::verify(&arguments),
            Command::Diff(arguments) => diff::diff(&arguments),
            Command::Completions { shell } => completions(shell),
        },
        Err(usage) => explain(&usage).map_err(|failure| match config {
            Some(path) => failure.hint(format!("options come from {} too", path.display())),
            None => failure,
        }),
    }
}

fn completions(shell: clap_complete::Shell) -> Outcome<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut <Arguments as clap::CommandFactory>::command(), "firebrand", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Help and version go to standard output; a mistake goes to standard error, in clap's words.
fn explain(usage: &clap::Error) -> Outcome<()> {
    match usage.kind() {
        UsageKind::DisplayHelp | UsageKind::DisplayVersion => {
            // Nobody is left to tell when standard output is closed.
            let _ = host::stdout(&usage.render().ansi().to_string());
            Ok(())
        }
        _ => Err(Failure::usage(usage)),
    }
}

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Outcome<()> {
    match host::stdout(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::input(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all: aside first, then under its name.
fn write(path: &std::path::Path, bytes: &[u8]) -> Outcome<()> {
    let failed = |error: std::io::Error| Failure::io(path, &error);
    // A device or a pipe, or a link to one, is written to; a file would take its place.
    if host::is_symlink(path) || host::exists(path) && !host::is_file(path) {
        return host::write(path, bytes).map_err(failed);
    }
    let Some(name) = path.file_name() else {
        return Err(Failure::input(format!("{}: expected a file's name", path.display())));
    };
    let aside = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
    host::write(&aside, bytes).and_then(|()| host::rename(&aside, path)).map_err(|error| {
        // What is left of it is of no use.
        let _ = host::remove_file(&aside);
        failed(error)
    })
}

/// Writes `value` as JSON to standard output.
fn print_json(value: &impl serde::Serialize) -> Outcome<()> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&(text + "\n")),
        Err(error) => Err(Failure::input(format!("the result cannot be written as JSON: {error}"))),
    }
}

const HEADING: Style = Style::new().bold();
const WARNING: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// `text` in `style`, where the terminal has colours.
fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How many characters the longest of `texts` has.
fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// A size in bytes as people read it: `4.7 MiB`.
fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A count with its thousands apart: `1,235,496`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!(bytes_in_words(0), "0 B");
        assert_eq!(bytes_in_words(1023), "1023 B");
        assert_eq!(bytes_in_words(1 << 10), "1.0 KiB");
        assert_eq!(bytes_in_words((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes_in_words(4_950_471), "4.7 MiB");
        assert!(bytes_in_words(u64::MAX).ends_with("PiB"));
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_235_496), "1,235,496");
    }
}
