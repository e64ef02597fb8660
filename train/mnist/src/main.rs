//! Trains a small convolutional network on MNIST digits with Burn, and writes it as ONNX and as safetensors.
//!
//!     firebrand-train-mnist DATA_FOLDER OUT_FOLDER
//!
//! The same machine makes the same files: seeds are fixed, and one thread computes. Other instruction sets round
//! otherwise.

mod digits;
mod export;
mod network;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};

use firebrand::optimize::prune::{Amount, PruneOptions, prune};
use firebrand::{Feed, Model, RunOptions, Session, SessionOptions};

use digits::{Digits, Random, SIDE};
use network::Network;

const SEED: u64 = 1;
const BATCH: usize = 64;
const EPOCHS: usize = 80;
const RATE: f64 = 2e-3;
/// The share of the weights that can be pruned later: those of the least magnitude.
const PRUNED_LATER: f64 = 0.8;
/// What the magnitude of each of those costs beside the cross entropy; from a fifth of the training on, in full from
/// its half. They end near zero, the others pay nothing, and none becomes zero, as a plain network's do not.
const MAGNITUDE: f32 = 2e-4;

fn main() -> ExitCode {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [data, out] = folders.as_slice() else {
        eprintln!("usage: firebrand-train-mnist DATA_FOLDER OUT_FOLDER");
        return ExitCode::FAILURE;
    };
    match run(data, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(data: &Path, out: &Path) -> Result<(), String> {
    let digits = Digits::read(data)?;
    let network = train(&digits);
    let model = export::onnx(&network).map_err(|error| error.to_string())?;
    let bytes = model.to_onnx().map_err(|error| error.to_string())?;
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{}: {} bytes", path.display(), bytes.len());
        Ok::<(), String>(())
    };
    std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    write("mnist-cnn.onnx", &bytes)?;
    write("mnist-cnn.safetensors", &export::safetensors(&network)?)?;
    // What was written is scored, by the runtime that it is for.
    report("float32", &model, &digits).map_err(|error| error.to_string())?;
    for share in [0.5, 0.8] {
        let mut model = model.clone();
        let options = PruneOptions { amount: Amount::Global(share), excluded: Vec::new() };
        prune(&mut model.graph, &options).map_err(|error| error.to_string())?;
        report(&format!("{:.0} % of the weights pruned", share * 100.0), &model, &digits)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Prints how many digits a model gets right.
fn report(what: &str, model: &Model, digits: &Digits) -> firebrand::Result<()> {
    let session = Session::load_blocking(model.clone(), SessionOptions::default())?;
    let (trained_on, held_out) = digits.split();
    let mut shares = Vec::new();
    for indices in [&trained_on, &held_out] {
        let pixels = firebrand::Tensor::from_vec(vec![indices.len(), 1, SIDE, SIDE], digits.pixels(indices))?;
        let outputs = session.run_blocking([("pixels".to_string(), pixels.into())], RunOptions::default())?;
        let Some(Feed::Tensor(logits)) = outputs.first().map(|(_, feed)| feed) else { continue };
        let logits: &[f32] = logits.as_slice().unwrap_or_default();
        let answers =
            logits.chunks_exact(10).map(|row| (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or_default());
        shares.push(answers.zip(indices).filter(|&(answer, &i)| answer == usize::from(digits.labels[i])).count());
    }
    let all = digits.labels.len();
    println!(
        "{what}: {:.2} % of all {all} right, {:.2} % of the {} held out",
        100.0 * shares.iter().sum::<usize>() as f64 / all as f64,
        100.0 * shares.last().copied().unwrap_or_default() as f64 / held_out.len() as f64,
        held_out.len()
    );
    Ok(())
}

fn train(digits: &Digits) -> Network {
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    device.seed(SEED);
    let mut random = Random(SEED);
    let mut network = Network::new(&device);
    let mut optimiser = AdamConfig::new().with_epsilon(1e-8).init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let (mut order, held_out) = digits.split();
    let steps = EPOCHS * order.len().div_ceil(BATCH);
    let mut step = 0;
    for epoch in 0..EPOCHS {
        let started = std::time::Instant::now();
        random.shuffle(&mut order);
        let most = network.threshold(PRUNED_LATER);
        let mut sum = 0.0;
        for batch in order.chunks(BATCH) {
            let images = images(digits.shifted(batch, &mut random), &device);
            let labels: Vec<i64> = batch.iter().map(|&i| digits.labels[i].into()).collect();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch.len()]), &device);
            let done = step as f64 / steps as f64;
            let penalty = MAGNITUDE * ((done - 0.2) / 0.3).clamp(0.0, 1.0) as f32;
            let cost = loss.forward(network.forward(images), labels) + network.magnitude(most).mul_scalar(penalty);
            let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
            let gradients = GradientsParams::from_grads(cost.backward(), &network);
            sum += f64::from(cost.into_scalar::<f32>());
            network = optimiser.step(rate, network, gradients);
            step += 1;
        }
        let right = right(&network.valid(), digits, &held_out, &plain);
        println!(
            "epoch {:2}: cost {:.4}, {:.2} % of those held out right, {:.1} s",
            epoch + 1,
            sum / order.len().div_ceil(BATCH) as f64,
            100.0 * right as f64 / held_out.len() as f64,
            started.elapsed().as_secs_f64()
        );
    }
    network.valid()
}

fn images(pixels: Vec<f32>, device: &Device) -> Tensor<4> {
    let count = pixels.len() / (SIDE * SIDE);
    Tensor::from_data(TensorData::new(pixels, [count, 1, SIDE, SIDE]), device)
}

/// How many of `indices` the network gets right.
fn right(network: &Network, digits: &Digits, indices: &[usize], device: &Device) -> usize {
    let batches = indices.chunks(500).map(|batch| {
        let answers = network.forward(images(digits.pixels(batch), device)).argmax(1).flatten::<1>(0, 1).into_data();
        let answers: Vec<i64> = answers.iter::<i64>().collect();
        batch.iter().zip(answers).filter(|&(&i, answer)| i64::from(digits.labels[i]) == answer).count()
    });
    batches.sum()
}
