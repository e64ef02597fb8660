"""Makes every form of one model that the benchmark measures, with the case it is measured on, and checks each.

    python make.py NAME CACHE REPOSITORY OUT_FOLDER

OUT_FOLDER gets, of one set of weights:

    f32.onnx, int8.onnx       int8: QDQ by static quantisation (networks of convolutions), or integer matrix products
                              with ranges found as it runs (MiniLM)
    f32.tflite, int8.tflite   int8: all of it, or weights only with ranges found as it runs (MiniLM)
    tfjs/                     a graph model, float32
    case.json                 inputs and expected outputs, which are .npy files in the layout of the ONNX model; and
                              which forms there are
    convolutions.json         the shapes of the convolutions, for burn-flex
    nhwc.npy                  the input of a network of convolutions with its channels last
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import minilm
import networks
import oracle
import quantize
import samples
import work

# The least cosine of an int8 form's answer and the float model's. Seeded networks have no margin between their
# classes, and SqueezeNet's probabilities exaggerate what quantising changed.
ALIKE = 0.95
# The least of an int8 form's answers with float32 and with float64 between its nodes.
SAME = 0.999
TOLERANCE = 1e-4
TRAINED_ON = 8000


def nchw(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def nhwc(images):
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


@dataclass
class Model:
    onnx: onnx.ModelProto
    #: The inputs of the case, by name.
    feeds: dict
    #: What int8 is calibrated with: [n, height, width, channels].
    calibration: np.ndarray | None = None


def seeded(write, cache, repository):
    photos = samples.photos(cache / "data", 224, samples.IMAGENET)
    coffee = samples.normalised(np.load(repository / "tests/models/images/coffee-224.npy")[None], samples.IMAGENET)
    # Some photos give statistics enough; the activations of all would take gigabytes.
    return Model(write(photos[::5]), {"input": nchw(coffee)}, photos)


def trained(file, case, cache, repository):
    """A model of `make models` with a stored case of the tests."""
    folder = repository / "tests/models" / case
    ((name, style),) = json.loads((folder / "case.json").read_text())["inputs"].items()
    pixels = np.load(folder / style["pixels"])
    calibration = samples.photos(cache / "data", pixels.shape[0], style)
    return Model(onnx.load(cache / "models" / file), {name: nchw(samples.normalised(pixels[None], style))}, calibration)


def mnist(cache, _):
    images, labels = samples.digits(cache / "data")
    return Model(networks.mnist(images[:TRAINED_ON], labels[:TRAINED_ON]), {"input": nchw(images[TRAINED_ON : TRAINED_ON + 1])}, images[:500])


def silero(cache, repository):
    folder = repository / "tests/models/silero-vad/voice"
    inputs = json.loads((folder / "case.json").read_text())["inputs"]
    return Model(onnx.load(cache / "models/silero-vad.onnx"), {name: np.load(folder / entry["file"]) for name, entry in inputs.items()})


MODELS = {
    "mobilenetv2": lambda *given: seeded(networks.mobilenet_v2, *given),
    "resnet18": lambda *given: seeded(networks.resnet18, *given),
    "squeezenet": lambda *given: trained("squeezenet1.1.onnx", "squeezenet1.1/coffee", *given),
    "efficientnet": lambda *given: trained("efficientnet-lite0-folded.onnx", "efficientnet-lite0-folded/coffee", *given),
    "minilm": lambda cache, _: Model(minilm.onnx_model(minilm.read_weights(cache / "models/minilm.safetensors")), minilm.sentence()),
    "silero": silero,
    "mnist": mnist,
}


def onnx_forms(name, model, out):
    """Writes them, and answers what is expected of each precision."""
    expected = {"f32": oracle.in_float(model.onnx, model.feeds)[0]}
    onnx.save(model.onnx, out / "f32.onnx")
    if name != "silero":
        if model.calibration is not None:
            quantised = quantize.static(model.onnx, nchw(model.calibration))
            # In float32 a sum that is rounded moves codes which lie near a tie: ONNX Runtime's 31 of MobileNetV2's 7
            # million. The layers that follow make a million of them, and two steps of the answer, for which who sums
            # integers, and so exactly, cannot be blamed. In float64 a code would have to lie within 1e-12 of a tie.
            expected["int8"] = oracle.in_float64(quantised, model.feeds)
            oracle.compare(f"{name}, ONNX int8 in float32", oracle.in_float(quantised, model.feeds)[0], expected["int8"], cosine=SAME)
            (out / "convolutions.json").write_text(json.dumps(work.convolutions(model.onnx, model.feeds)))
        else:
            quantised = quantize.dynamic(model.onnx)
            expected["int8"] = oracle.in_float(oracle.with_exact_products(quantised), model.feeds)[0]
        oracle.compare(f"{name}, ONNX int8", expected["int8"], expected["f32"], cosine=ALIKE)
        onnx.save(quantised, out / "int8.onnx")
    return expected


def tensorflow_forms(name, model, cache, out, expected):
    """The same for TensorFlow's runtimes; the int8 one is expected to give what TensorFlow Lite's plain kernels give."""
    # TensorFlow takes seconds to start, and models without these forms need not wait for it.
    import layers
    import minilm_tensorflow
    import tfjs
    import tflite

    if name == "minilm":
        weights = minilm.read_weights(cache / "models/minilm.safetensors")
        function, feeds = minilm_tensorflow.function(weights), minilm_tensorflow.as_int32(model.feeds)
        minilm_tensorflow.write_tfjs(weights, out / "tfjs")
    else:
        read = layers.Layers(model.onnx)
        function, feeds = tflite.function(read), {key: nhwc(value) for key, value in model.feeds.items()}
        tfjs.write(read, out / "tfjs")
        np.save(out / "nhwc.npy", *feeds.values())

    plain = tflite.convert(function)
    oracle.compare(f"{name}, TensorFlow Lite float32", tflite.run(plain, feeds), expected["f32"], most=TOLERANCE)
    quantised = tflite.convert(function, "dynamic" if model.calibration is None else "static", model.calibration)
    answer = tflite.run(quantised, feeds)
    oracle.compare(f"{name}, TensorFlow Lite int8", answer, expected["f32"], cosine=ALIKE)
    (out / "f32.tflite").write_bytes(plain)
    (out / "int8.tflite").write_bytes(quantised)
    return {"int8.tflite": answer}


def check_digits(cache, out):
    """How many digits both forms of the MNIST network get right; keeps them for those who want to count themselves."""
    images, labels = samples.digits(cache / "data")
    np.save(out / "digits.npy", nchw(images))
    np.save(out / "labels.npy", labels)
    for precision in ("f32", "int8"):
        right = oracle.in_float(onnx.load(out / f"{precision}.onnx"), {"input": nchw(images)})[0].argmax(1) == labels
        print(f"mnist, {precision}: {right.mean():.2%} of all digits right, {right[TRAINED_ON:].mean():.2%} of those held out")
        assert right[TRAINED_ON:].mean() >= 0.97, "expected 97 % of the held-out digits right"


def main(name, cache, repository, out):
    cache, repository, out = Path(cache), Path(repository), Path(out)
    model = MODELS[name](cache, repository)
    expected = onnx_forms(name, model, out)
    if name != "silero":
        expected |= tensorflow_forms(name, model, cache, out, expected)
    if name == "mnist":
        check_digits(cache, out)

    for key, value in model.feeds.items():
        np.save(out / f"{key}.npy", value)
    for key, value in expected.items():
        np.save(out / f"expected-{key}.npy", value)
    case = {
        "inputs": [{"name": key, "dtype": str(value.dtype), "shape": value.shape, "file": f"{key}.npy"} for key, value in model.feeds.items()],
        "output": {"name": model.onnx.graph.output[0].name, "shape": expected["f32"].shape},
        "multiplyAdds": work.multiply_adds(model.onnx, model.feeds),
        "expected": {key: f"expected-{key}.npy" for key in expected},
        # What differences are measured by: one number has no span.
        "range": float(max(np.ptp(expected["f32"]), np.abs(expected["f32"]).max())),
        "channelsLast": "nhwc.npy" if (out / "nhwc.npy").exists() else None,
    }
    (out / "case.json").write_text(json.dumps(case, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
