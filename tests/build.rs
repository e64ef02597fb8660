//! Builds of real models: within the budget or refused, the same bytes each time.

mod support;

use std::io::Cursor;

use bytes::Bytes;
use firebrand::build::compare::Metric;
use firebrand::build::publish::{PackageOptions, Source, publish};
use firebrand::build::report::Report;
use firebrand::build::{BuildOptions, Built, Data, build, random_samples};
use firebrand::data::dataset::{Dataset, DatasetOptions, Files};
use firebrand::data::npy;
use firebrand::data::picture::{Fit, PictureOptions};
use firebrand::import::{Alone, ImportOptions, import};
use firebrand::optimize::calibrate::Samples;
use firebrand::optimize::quantize::Precision;
use firebrand::{ErrorKind, Model};

/// Photos, and squares cut out of them at the corners and in the middle: each a file.
struct Crops(Vec<(String, Bytes)>);

impl Crops {
    fn of(names: &[&str]) -> Option<Self> {
        let mut files = Vec::new();
        for name in names {
            let bytes = std::fs::read(support::data(&format!("data/photos/{name}"))?).expect("a photo");
            let picture = image::load_from_memory(&bytes).expect("a picture").into_rgb8();
            files.push((name.to_string(), Bytes::from(bytes)));
            let smaller = picture.width().min(picture.height());
            let mut cut = |at: usize, side: u32, x: u32, y: u32| {
                let mut png = Cursor::new(Vec::new());
                let cut = image::imageops::crop_imm(&picture, x, y, side, side).to_image();
                cut.write_to(&mut png, image::ImageFormat::Png).expect("written");
                files.push((format!("{at}-{name}.png"), Bytes::from(png.into_inner())));
            };
            let side = smaller * 7 / 8;
            let (wide, high) = (picture.width() - side, picture.height() - side);
            for (at, (x, y)) in
                [(0, 0), (wide, 0), (0, high), (wide, high), (wide / 2, high / 2)].into_iter().enumerate()
            {
                cut(at, side, x, y);
            }
            let side = smaller * 3 / 4;
            cut(5, side, (picture.width() - side) / 2, (picture.height() - side) / 2);
        }
        Some(Self(files))
    }
}

impl Files for Crops {
    fn place(&self) -> String {
        "crops".to_string()
    }

    fn names(&self) -> firebrand::Result<Vec<String>> {
        Ok(self.0.iter().map(|(name, _)| name.clone()).collect())
    }

    fn read(&self, name: &str) -> firebrand::Result<Bytes> {
        Ok(self.0.iter().find(|(known, _)| known == name).expect("a known name").1.clone())
    }
}

fn model(path: &str) -> Option<(Vec<u8>, Model)> {
    let bytes = std::fs::read(support::data(path)?).expect("a model");
    let imported = import(path, Bytes::from(bytes.clone()), &Alone, &ImportOptions::default());
    Some((bytes, imported.expect("it is imported").model))
}

fn built(
    original: &Model,
    options: &BuildOptions,
    samples: &dyn Samples,
    labels: Option<&[i64]>,
) -> firebrand::Result<Built> {
    let data = Data { calibration: samples, evaluation: samples, labels, random: false };
    build(original, options, &data, &mut |_, _, _| Ok(()))
}

fn int8() -> BuildOptions {
    BuildOptions { quantize: Precision::Int8, ..BuildOptions::default() }
}

#[test]
fn efficientnet_in_int8_keeps_its_answers_on_photos_and_crops() {
    let Some((_, original)) = model("models/efficientnet-lite0.onnx") else { return };
    let Some(crops) = Crops::of(&["astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg"]) else {
        return;
    };
    let pictures = PictureOptions {
        image_mean: Some([127.0; 3]),
        image_scale: Some([1.0 / 128.0; 3]),
        image_size: Some((224, 224)),
        image_fit: Some(Fit::Cover),
        ..PictureOptions::default()
    };
    let options = DatasetOptions { pictures, ..DatasetOptions::default() };
    let all = Dataset::open(&crops, original.graph.inputs.clone(), options).expect("samples");
    let before = original.to_onnx().expect("written");
    println!("{} pictures", all.len());
    let good = built(&original, &int8(), &all, None).expect("within the budget");
    assert_eq!(good.comparison.metric, Metric::Top1);
    let after = good.model.to_onnx().expect("written");
    let report = Report::new(&good, &before, &[&after]);
    println!("{}", report.in_words());
    assert!(good.comparison.agreement >= 0.97, "{:?}", good.comparison);
    assert!(after.len() as f64 <= 0.27 * before.len() as f64, "{} of {}", after.len(), before.len());
    assert!(report.size_after.brotli as f64 <= 0.27 * report.size_before.brotli as f64);

    // One scale for a whole weight, and nothing that makes up for it.
    let crude = BuildOptions { per_tensor: true, equalize: false, correct_bias: false, strict: true, ..int8() };
    let Err(error) = built(&original, &crude, &all, None) else { panic!("one scale for a whole weight is too crude") };
    assert_eq!(error.kind(), ErrorKind::OverBudget);
    println!("{error}");
}

#[test]
fn a_package_has_the_same_bytes_each_time_and_gives_its_own_answer() {
    let Some((bytes, original)) = model("models/squeezenet1.1.onnx") else { return };
    let Some(crops) = Crops::of(&["coffee.png"]) else { return };
    let data = Dataset::open(&crops, original.graph.inputs.clone(), DatasetOptions::default()).expect("samples");
    let imported =
        import("squeezenet1.1.onnx", Bytes::from(bytes.clone()), &Alone, &ImportOptions::default()).expect("imported");
    let once = || {
        let data = Data { calibration: &data, evaluation: &data, labels: None, random: false };
        let source = Source { name: "squeezenet1.1.onnx", bytes: &bytes };
        let options = BuildOptions { min_agreement: 0.5, ..int8() };
        publish(source, &imported, &options, &PackageOptions::default(), &data, &mut |_, _, _| Ok(())).expect("built").1
    };
    let first = once();
    assert!(first == once());
    let manifest = &first.iter().find(|file| file.name == "manifest.json").expect("a manifest").bytes;
    let beside = first
        .iter()
        .map(|file| (file.name.clone(), Bytes::from(file.bytes.clone())))
        .collect::<firebrand::ExternalData>();
    let report = firebrand::package::Package::verify_blocking(manifest, &beside, Default::default()).expect("verified");
    assert!(report.is_ok(), "{report:?}");
}

type Inputs = Vec<Vec<(String, firebrand::Feed)>>;

/// The network that is trained on digits, the digits, and which they are.
fn digits() -> Option<(Model, Inputs, Vec<i64>)> {
    let read =
        |name: &str| Some(npy::read(&std::fs::read(support::data(name)?).expect("a file"), None).expect("an array"));
    let (images, labels) = (read("data/mnist-digits.npy")?, read("data/mnist-labels.npy")?);
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("train/mnist/mnist-cnn.onnx");
    let original =
        Model::from_onnx(std::fs::read(file).expect("the trained network"), &Default::default()).expect("a model");
    struct One(Bytes);
    impl Files for One {
        fn place(&self) -> String {
            "one".to_string()
        }

        fn names(&self) -> firebrand::Result<Vec<String>> {
            Ok(vec!["digits.npy".into()])
        }
        fn read(&self, _: &str) -> firebrand::Result<Bytes> {
            Ok(self.0.clone())
        }
    }
    let file = One(npy::write(&images).into());
    let data = Dataset::open(&file, original.graph.inputs.clone(), DatasetOptions::default()).expect("samples");
    let samples = (0..data.len()).map(|at| data.get(at).expect("a sample")).collect();
    Some((original, samples, labels.to_f64s().expect("numbers").into_iter().map(|v| v as i64).collect()))
}

#[test]
fn digits_are_recognised_as_well_by_smaller_networks() {
    let Some((original, samples, labels)) = digits() else { return };
    let options = |prune: Option<f64>, quantize: Precision, max_drop: f64| BuildOptions {
        prune,
        quantize,
        max_drop,
        ..BuildOptions::default()
    };
    let before = original.to_onnx().expect("written");
    let mut ratios = Vec::new();
    for (prune, quantize, max_drop) in
        [(None, Precision::Int8, 0.002), (Some(0.5), Precision::Float32, 0.005), (Some(0.8), Precision::Int8, 0.05)]
    {
        let built = built(&original, &options(prune, quantize, max_drop), &samples, Some(&labels))
            .unwrap_or_else(|error| panic!("{prune:?} {quantize:?}: {error}"));
        let after = built.model.to_onnx().expect("written");
        let report = Report::new(&built, &before, &[&after]);
        println!("{prune:?} {quantize:?}\n{}", report.in_words());
        assert_eq!(built.precision, quantize);
        assert_eq!(built.comparison.samples, 10_000);
        ratios.push(report.size_after.brotli as f64 / report.size_before.brotli as f64);
    }
    assert!(ratios[2] <= 0.12, "80 % pruned and in int8: {:.3} of the bytes", ratios[2]);
}

#[test]
fn nothing_is_built_of_nothing() {
    let Some((_, original)) = model("models/squeezenet1.1.onnx") else { return };
    let empty = Inputs::new();
    assert_eq!(built(&original, &int8(), &empty, None).expect_err("no samples").kind(), ErrorKind::InvalidArgument);
    let few = random_samples(&original, 1).expect("samples");
    let options = BuildOptions { exclude: vec!["nowhere*".into()], ..int8() };
    let error = built(&original, &options, &few, None).expect_err("no such node");
    assert!(error.message().contains("nowhere*"), "{error}");
    let options = BuildOptions { max_drop: 1.5, ..int8() };
    assert_eq!(built(&original, &options, &few, None).expect_err("no share").kind(), ErrorKind::InvalidArgument);
    let options = BuildOptions { quantize: Precision::Int4, ..BuildOptions::default() };
    let error = built(&original, &options, &few, None).expect_err("SqueezeNet has no matrices");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_build_can_be_ended() {
    let Some((_, original)) = model("models/squeezenet1.1.onnx") else { return };
    let few = random_samples(&original, 2).expect("samples");
    let data = Data { calibration: &few, evaluation: &few, labels: None, random: true };
    let mut steps = Vec::new();
    let error = build(&original, &int8(), &data, &mut |step, _, _| {
        steps.push(step.to_string());
        match step {
            "calibrate" => Err(firebrand::Error::new(ErrorKind::Aborted, "enough")),
            _ => Ok(()),
        }
    });
    assert_eq!(error.expect_err("ended").kind(), ErrorKind::Aborted);
    assert_eq!(steps.last().map(String::as_str), Some("calibrate"));
}
