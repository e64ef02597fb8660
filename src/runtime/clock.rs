//! A clock that never goes back, natively and in a page or worker.

use std::time::Duration;

/// What has passed since a moment.
#[cfg(not(all(target_family = "wasm", feature = "web")))]
pub struct Clock(std::time::Instant);

#[cfg(not(all(target_family = "wasm", feature = "web")))]
impl Clock {
    /// What it tells apart, at worst.
    pub const STEP: Duration = Duration::from_micros(10);

    /// Starts.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What has passed since a moment. WebAssembly itself has no clock; the page's moves in steps of
/// 0.1 ms, and of 5 µs where the page is cross-origin isolated.
#[cfg(all(target_family = "wasm", feature = "web"))]
pub struct Clock(f64);

#[cfg(all(target_family = "wasm", feature = "web"))]
#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}

#[cfg(all(target_family = "wasm", feature = "web"))]
impl Clock {
    /// What it tells apart, at worst.
    pub const STEP: Duration = Duration::from_micros(100);

    /// Starts.
    pub fn start() -> Self {
        Self(now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(((now() - self.0) * 1e6) as u64)
    }
}
