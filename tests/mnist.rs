//! The network that `train/mnist` trained, on all labelled digits: whole, and pruned.
#![cfg(feature = "convert")]

mod support;

use std::path::Path;

use firebrand::optimize::prune::{Amount, PruneOptions, prune};
use firebrand::{Model, RunOptions, Session, SessionOptions};

const PIXELS: usize = 28 * 28;
/// Percent that the model's README says, less a digit that rounding may turn.
const ALL: f64 = 99.34;
const HELD_OUT: f64 = 98.6;

/// Pixels from 0 to 1, and labels.
fn digits() -> Option<(Vec<f32>, Vec<u8>)> {
    let read = |name: &str| -> Option<Vec<u8>> {
        let bytes = std::fs::read(support::data(name)?).expect("readable");
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"), "{name} is no NumPy file of version 1");
        let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert!(String::from_utf8_lossy(&bytes[10..end]).contains("'|u1'"), "{name}: expected bytes");
        Some(bytes[end..].to_vec())
    };
    let (pixels, labels) = (read("data/mnist-digits.npy")?, read("data/mnist-labels.npy")?);
    assert_eq!((pixels.len(), labels.len()), (10_000 * PIXELS, 10_000));
    Some((pixels.into_iter().map(|p| f32::from(p) / 255.0).collect(), labels))
}

fn model() -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("train/mnist/mnist-cnn.onnx");
    let bytes = std::fs::read(path).expect("the model lies in the repository");
    assert!(bytes.len() <= 200_000, "{} bytes", bytes.len());
    Model::from_onnx(bytes, &Default::default()).expect("a model")
}

/// Percent of all digits that the model gets right, and of those that it was not trained on, two of every five.
fn right(model: Model, (pixels, labels): &(Vec<f32>, Vec<u8>)) -> (f64, f64) {
    let session = Session::load_blocking(model, SessionOptions::default()).expect("it loads");
    let mut right = Vec::with_capacity(labels.len());
    for (pixels, labels) in pixels.chunks(500 * PIXELS).zip(labels.chunks(500)) {
        let batch = support::f32s(&[labels.len(), 1, 28, 28], pixels.to_vec());
        let outputs = session.run_blocking([("pixels".into(), batch.into())], RunOptions::default()).expect("it runs");
        assert_eq!(outputs[0].0, "logits");
        let logits = support::into_tensor(outputs[0].1.clone());
        assert_eq!(logits.shape(), [labels.len(), 10]);
        let logits = logits.as_slice::<f32>().expect("float32").chunks_exact(10);
        right.extend(logits.zip(labels).map(|(row, &label)| {
            let answer = (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("ten numbers");
            answer == usize::from(label)
        }));
    }
    let percent = |right: Vec<bool>| 100.0 * right.iter().filter(|&&r| r).count() as f64 / right.len() as f64;
    let held_out = right.iter().enumerate().filter(|(index, _)| index % 5 >= 3).map(|(_, &r)| r).collect();
    (percent(right), percent(held_out))
}

#[test]
fn the_digits_are_told_apart() {
    let Some(digits) = digits() else { return };
    let (all, held_out) = right(model(), &digits);
    println!("{all:.2} % of all, {held_out:.2} % of those held out");
    assert!(all >= ALL && held_out >= HELD_OUT, "{all:.2} % of all, {held_out:.2} % of those held out");
}

#[test]
fn pruned_weights_cost_little() {
    let Some(digits) = digits() else { return };
    let (whole, _) = right(model(), &digits);
    for (share, most) in [(0.5, 0.5), (0.8, 1.0)] {
        let mut model = model();
        let options = PruneOptions { amount: Amount::Global(share), excluded: Vec::new() };
        let (elements, _, zeros) = prune(&mut model.graph, &options).expect("pruned").total();
        assert_eq!(zeros, (elements as f64 * share).round() as usize);
        let (all, held_out) = right(model, &digits);
        println!("{share}: {all:.2} % of all, {held_out:.2} % of those held out");
        assert!(all >= whole - most, "with {share} of the weights gone {all:.2} %, with all {whole:.2} %");
    }
}
