//! Damaged models: ONNX's small cases with bytes changed, cut off or moved. Each must load and
//! run or give an error; a panic fails the test and names the case and the seed.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use firebrand::graph::{Dim, ValueType};
use firebrand::{DataType, Feed, Model, RunOptions, Session, SessionOptions, Tensor};
use support::Random;

/// Long enough for thousands of models, short enough for every test run.
const TIME: Duration = Duration::from_secs(10);

fn zeros(ty: &ValueType) -> Option<Feed> {
    match ty {
        ValueType::Tensor { dtype, shape } => {
            let size = |d: &Dim| match d {
                Dim::Size(size) => *size,
                Dim::Name(_) => 2,
            };
            let shape: Vec<usize> = shape.iter().flatten().map(size).collect();
            let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n < 1 << 20)?;
            let tensor = match dtype {
                DataType::String => Tensor::from_strings(shape, vec![String::new(); count]),
                _ => Tensor::from_bytes(*dtype, shape, vec![0; count * dtype.size()]),
            };
            tensor.ok().map(Feed::Tensor)
        }
        ValueType::Sequence(inner) => match &**inner {
            ValueType::Tensor { dtype, .. } => Some(Feed::Sequence(*dtype, Vec::new())),
            _ => None,
        },
        _ => None,
    }
}

/// Loads and runs; whether that gave outputs.
fn attempt(bytes: Vec<u8>) -> bool {
    let _ = firebrand::onnx::inspect(bytes.clone());
    let Ok(model) = Model::from_onnx(bytes, &Default::default()) else { return false };
    let options = SessionOptions { max_tensor_bytes: 1 << 22, ..SessionOptions::default() };
    let Ok(session) = Session::load_blocking(model, options) else { return false };
    let Some(inputs) = session.inputs().map(|i| Some((i.name.clone(), zeros(&i.ty)?))).collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    session.run_blocking(inputs, RunOptions::default()).is_ok()
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.within(1, 4) {
        let at = random.within(0, bytes.len() - 1);
        match random.within(0, 5) {
            0 => bytes[at] ^= 1 << random.within(0, 7),
            1 => bytes[at] = random.bits() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.within(0, 4)],
            3 => bytes[at] = bytes[at].wrapping_add(1),
            4 if bytes.len() > 8 => bytes.truncate(at.max(8)),
            _ => {
                let other = random.within(0, bytes.len() - 1);
                bytes.swap(at, other);
            }
        }
    }
}

#[test]
fn damaged_models_never_panic() {
    let Some(suite) = support::data("data/onnx/node") else { return };
    let mut models: Vec<(String, Vec<u8>)> = std::fs::read_dir(&suite)
        .expect("the suite is readable")
        .flatten()
        .filter_map(|entry| {
            let bytes = std::fs::read(entry.path().join("model.onnx")).ok()?;
            let supported = firebrand::onnx::inspect(bytes.clone()).ok()?.operators.iter().all(|o| o.supported);
            (supported && bytes.len() < 1 << 14).then(|| (entry.file_name().to_string_lossy().into_owned(), bytes))
        })
        .collect();
    models.sort();
    assert!(!models.is_empty());
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let seconds = std::env::var("SECONDS").ok().and_then(|s| s.parse().ok()).map_or(TIME, Duration::from_secs);
    let start = Instant::now();
    let (mut tried, mut ran) = (0u64, 0u64);
    let mut panics = Vec::new();
    std::panic::set_hook(Box::new(|_| {}));
    'time: for round in 0.. {
        for (name, original) in &models {
            if start.elapsed() > seconds {
                break 'time;
            }
            let mut bytes = original.clone();
            mutate(&mut Random::new(seed ^ (round << 32) ^ tried), &mut bytes);
            let kept = bytes.clone();
            match catch_unwind(AssertUnwindSafe(|| attempt(bytes))) {
                Ok(answered) => ran += u64::from(answered),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    let difference: Vec<String> = (0..original.len())
                        .filter(|&i| kept.get(i) != Some(&original[i]))
                        .take(6)
                        .map(|i| format!("{i}:{:?}", kept.get(i)))
                        .collect();
                    panics.push(format!("{name}, bytes {}: {}", difference.join(" "), text.unwrap_or_default()));
                }
            }
            tried += 1;
        }
    }
    let _ = std::panic::take_hook();
    println!("{tried} damaged models tried, {ran} still gave outputs");
    assert!(panics.is_empty(), "{} panics of {tried}:\n{}", panics.len(), panics[..panics.len().min(40)].join("\n"));
    assert!(ran > 0, "no damaged model ran: the test does not reach the operators");
}
