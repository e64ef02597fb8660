//! A bar on standard error while a run takes long, on a terminal only.

use std::cell::OnceCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Quicker than this, a bar would only flash.
const PATIENCE: Duration = Duration::from_millis(300);

/// The bar of one run.
pub struct Progress {
    started: Instant,
    shown: bool,
    bar: OnceCell<ProgressBar>,
}

impl Progress {
    /// Starts counting.
    pub fn new() -> Self {
        Self { started: Instant::now(), shown: std::io::stderr().is_terminal(), bar: OnceCell::new() }
    }

    /// `done` nodes of `total` are computed.
    pub fn node(&self, done: usize, total: usize) {
        if !self.shown || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let bar = ProgressBar::new(total as u64).with_elapsed(self.started.elapsed());
            if let Ok(style) = ProgressStyle::with_template("{elapsed:>5} {bar:32.red} {pos}/{len} nodes") {
                bar.set_style(style.progress_chars("━╸─"));
            }
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
