//! Why a command failed: the message, what to do about it, and the exit code.

use std::any::Any;
use std::io;
use std::path::Path;

use firebrand::{Error, ErrorKind};

use super::host;

/// What a part of a command gives.
pub type Outcome<T> = Result<T, Failure>;

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
    /// Clap's message comes with its own `error:`, tips and usage.
    whole: bool,
}

/// What `error` means for who named `path`.
pub fn io_in_words(path: &Path, error: &io::Error) -> String {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match (error.kind(), parent) {
        (io::ErrorKind::NotFound, Some(parent)) if !host::is_dir(parent) => {
            format!("there is no folder {}", parent.display())
        }
        (io::ErrorKind::NotFound, _) => "there is no such file or folder".to_string(),
        (io::ErrorKind::IsADirectory, _) => "this is a folder; expected a file".to_string(),
        _ => error.to_string(),
    }
}

const WRONG_USE: u8 = 1;
const BAD_MODEL: u8 = 2;
const OVER_BUDGET: u8 = 3;

impl Failure {
    fn new(code: u8, message: String) -> Self {
        Self { code, message, hint: None, whole: false }
    }

    /// Wrong use, or an input that does not fit: exit code 1.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(WRONG_USE, message.into())
    }

    /// A file or folder that cannot be read or written: exit code 1.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        Self::input(format!("{}: {}", path.display(), io_in_words(path, error)))
    }

    /// A model that is bad or that this version cannot run: exit code 2.
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(BAD_MODEL, message.into())
    }

    /// A result that is further from the right one than it may be: exit code 3.
    pub fn accuracy(message: impl Into<String>) -> Self {
        Self::new(OVER_BUDGET, message.into())
    }

    /// Arguments that do not parse: exit code 1.
    pub fn usage(error: &clap::Error) -> Self {
        let message = error.render().ansi().to_string();
        Self { whole: true, ..Self::input(message.trim_end()) }
    }

    /// A panic, which is a defect of Firebrand: exit code 2, since this version cannot run that
    /// model in that way.
    pub fn defect(payload: &(dyn Any + Send)) -> Self {
        let said = payload.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| payload.downcast_ref().cloned());
        let said = said.unwrap_or_else(|| "no message".to_string());
        Self::model(format!("internal error: {}", said.replace('\n', " ")))
            .hint("this is a defect of Firebrand, not of your model: please report it, with the model if you can")
    }

    /// What `run` reports: a model's fault where it says so, else the fault of the inputs.
    pub fn of_run(error: Error) -> Self {
        use ErrorKind::{InvalidModel, MissingInput, Unsupported, UnsupportedOperator};
        let message = error.to_string();
        match error.kind() {
            ErrorKind::Internal => Self::defect(&message),
            InvalidModel | Unsupported | UnsupportedOperator => Self::model(message),
            MissingInput => Self::input(message).hint("give it as --input NAME=FILE"),
            _ => Self::input(message),
        }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Writes the failure to standard error.
    pub fn report(&self) {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
        // A file's or node's name may hold anything; a message is one line.
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        let mut text = if self.whole {
            format!("{}\n", self.message)
        } else {
            format!("{} {}\n", super::styled(red, "error:"), line(&self.message))
        };
        if let Some(hint) = &self.hint {
            text += &format!("{} {}\n", super::styled(cyan, "hint:"), line(hint));
        }
        // Nobody is left to tell when standard error is closed.
        let _ = super::host::stderr(&text);
    }
}
