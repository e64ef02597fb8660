//! A bar on standard error while something takes long, on a terminal only.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Quicker than this, a bar would only flash.
const PATIENCE: Duration = Duration::from_millis(300);

/// One bar.
pub struct Progress {
    /// What is counted.
    unit: Cow<'static, str>,
    started: Instant,
    shown: bool,
    bar: OnceCell<ProgressBar>,
}

impl Progress {
    /// Starts counting `unit`.
    pub fn new(unit: impl Into<Cow<'static, str>>) -> Self {
        Self {
            unit: unit.into(),
            started: Instant::now(),
            shown: std::io::stderr().is_terminal(),
            bar: OnceCell::new(),
        }
    }

    /// `done` of `total` are done.
    pub fn at(&self, done: usize, total: usize) {
        if !self.shown || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let bar = ProgressBar::new(total as u64).with_elapsed(self.started.elapsed());
            if let Ok(style) = ProgressStyle::with_template("{elapsed:>5} {bar:32.red} {pos}/{len} {msg}") {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar.set_message(self.unit.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
