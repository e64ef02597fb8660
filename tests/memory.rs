//! What loading needs beside the weights: room for the packed form of one node at a time, not of all.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use firebrand::graph::ValueType;
use firebrand::{DataType, Session, SessionOptions, Tensor};
use support::{Builder, f32s};

/// The system's allocator, which counts bytes.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One test counts at a time.
static COUNT: Mutex<()> = Mutex::new(());

// SAFETY: all is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LAYERS: usize = 12;
const SIZE: usize = 256;

fn start() -> Builder {
    Builder::new(17).input("x", ValueType::Tensor { dtype: DataType::Float32, shape: None })
}

/// Loads the model and holds the peak to its weights, of which every layer has `layer` bytes.
fn check(build: impl Fn() -> Builder, layer: usize) {
    let _alone = COUNT.lock().unwrap_or_else(|e| e.into_inner());
    let before = NOW.load(Ordering::Relaxed);
    let model = build().model();
    PEAK.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
    let session = Session::load_blocking(model, SessionOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let (peak, after) = (PEAK.load(Ordering::Relaxed) - before, NOW.load(Ordering::Relaxed) - before);
    assert!(session.info().weight_bytes >= LAYERS * layer);
    // A layer's packed form beside it, another copy on the way, and what is not weights.
    let (most, kept) = ((LAYERS + 2) * layer + (128 << 10), LAYERS * layer + (128 << 10));
    assert!(peak <= most, "{peak} bytes at most while loading, expected {most}");
    assert!(after <= kept, "{after} bytes after loading, expected {kept}");
}

#[test]
fn float_weights_are_dropped_as_they_are_packed() {
    let build = || {
        (0..LAYERS)
            .fold(start(), |builder, i| {
                let (w, from, to) = (format!("w{i}"), format!("y{i}"), format!("y{}", i + 1));
                let from = if i == 0 { "x" } else { &from };
                builder.constant(&w, f32s(&[SIZE, SIZE], vec![0.5; SIZE * SIZE])).node(
                    "MatMul",
                    &[from, &w],
                    &[&to],
                    &[],
                )
            })
            .output(&format!("y{LAYERS}"))
    };
    check(build, 4 * SIZE * SIZE);
}

#[test]
fn quantised_weights_are_dropped_as_they_are_packed() {
    let size = 2 * SIZE;
    let build = || {
        let zero = Tensor::from_bytes(DataType::Uint8, vec![], vec![7]).expect("one byte");
        let builder = start().constant("s", f32s(&[], vec![0.5])).constant("z", zero);
        let all = (0..LAYERS).fold(builder, |builder, i| {
            let name = |of: &str| format!("{of}{i}");
            let (w, wr, q, r, to) = (name("w"), name("wr"), name("q"), name("r"), format!("y{}", i + 1));
            let from = if i == 0 { "x".to_string() } else { name("y") };
            let weight = Tensor::from_bytes(DataType::Int8, vec![size, size], vec![3; size * size]).expect("as many");
            builder
                .constant(&w, weight)
                .node("QuantizeLinear", &[&from, "s", "z"], &[&q], &[])
                .node("DequantizeLinear", &[&q, "s", "z"], &[&r], &[])
                .node("DequantizeLinear", &[&w, "s"], &[&wr], &[])
                .node("MatMul", &[&r, &wr], &[&to], &[])
        });
        all.output(&format!("y{LAYERS}"))
    };
    check(build, size * size);
}
