//! A bar on standard error while something takes long, on a terminal only.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::Duration;

use super::host::{self, Bar, Clock};

/// Quicker than this, a bar would only flash.
const PATIENCE: Duration = Duration::from_millis(300);

/// One bar.
pub struct Progress {
    /// What is counted.
    unit: Cow<'static, str>,
    clock: Clock,
    shown: bool,
    bar: OnceCell<Bar>,
}

impl Progress {
    /// Starts counting `unit`.
    pub fn new(unit: impl Into<Cow<'static, str>>) -> Self {
        Self { unit: unit.into(), clock: Clock::start(), shown: host::stderr_is_terminal(), bar: OnceCell::new() }
    }

    /// `done` of `total` are done.
    pub fn at(&self, done: usize, total: usize) {
        if self.shown && self.clock.elapsed() >= PATIENCE {
            self.bar.get_or_init(|| Bar::new(&self.unit, total, self.clock.elapsed())).at(done);
        }
    }
}
