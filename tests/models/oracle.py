"""Writes the reference cases beside this file: pip install onnxruntime==1.32.0 onnx==1.17.0 numpy==2.4.6 pillow==12.0.0; make models; python tests/models/oracle.py

Each case is a folder <model>/<case>/ with a case.json:
  model     file in the cache's models/
  inputs    name -> { "file": "….npy" }, the tensor itself, or
            name -> { "image": "….png", "pixels": "….npy", "layout", "color", "mean", "scale" }:
              pixels is the image again, uint8 [height, width, RGB]; the tensor is, in float32,
              (pixel - mean) * scale, channels in the order of `color`, axes in the order of `layout`, batch of 1
  outputs   name -> { "file": "….npy", "noise" }, as ONNX Runtime gives it with every graph optimisation off;
            noise is the largest difference to its own answers with all of them on, for a batch with
            its rows run one by one, with ReduceSum in float64, and, where QuantizeLinear rounds to codes, with the
            scales of weights larger or smaller by 2^-20: what rounding sums alone does
  expect    { "output", "index", "label" }: the largest element of that output, where it means something
Photos are cropped to their central square (from floor((width - side) / 2)), then sampled bilinearly at
(i + 0.5) * side / size - 0.5, clamped to the edge, and rounded half up.
"""

import json
import os
import shutil
import wave
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image

assert onnxruntime.__version__ == "1.32.0", f"expected onnxruntime 1.32.0, got {onnxruntime.__version__}"

here = Path(__file__).parent
cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firebrand"
labels = json.loads((cache / "data/imagenet-labels.json").read_text())

Level = onnxruntime.GraphOptimizationLevel


def session_of(model, level):
    return session_on(cache / "models" / f"{model}.onnx", level)


def session_on(source, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def square(photo, size):
    pixels = np.asarray(Image.open(cache / "data/photos" / photo).convert("RGB")).astype(np.float64)
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    pixels = pixels[top : top + side, left : left + side]
    at = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, side - 1)
    part = at - low
    rows = pixels[low] * (1 - part)[:, None, None] + pixels[high] * part[:, None, None]
    both = rows[:, low] * (1 - part)[None, :, None] + rows[:, high] * part[None, :, None]
    return np.floor(both + 0.5).astype(np.uint8)


def image(photo, size, layout, color, mean, scale):
    name = f"{Path(photo).stem}-{size}"
    pixels = square(photo, size)
    (here / "images").mkdir(exist_ok=True)
    Image.fromarray(pixels).save(here / "images" / f"{name}.png", optimize=True)
    np.save(here / "images" / f"{name}.npy", pixels)
    values = pixels[:, :, ::-1] if color == "bgr" else pixels
    values = (values.astype(np.float32) - np.array(mean, np.float32)) * np.array(scale, np.float32)
    tensor = values[None] if layout == "nhwc" else values.transpose(2, 0, 1)[None]
    entry = {
        "image": f"../../images/{name}.png",
        "pixels": f"../../images/{name}.npy",
        "layout": layout,
        "color": color,
        "mean": mean,
        "scale": scale,
    }
    return np.ascontiguousarray(tensor, np.float32), entry


def exact_sums(model):
    loaded = onnx.load(cache / "models" / f"{model}.onnx")
    graph, nodes = loaded.graph, []
    for node in graph.node:
        if node.op_type != "ReduceSum":
            nodes.append(node)
            continue
        source, target = node.input[0], node.output[0]
        node.input[0], node.output[0] = f"{target}/wide", f"{target}/sum"
        nodes += [
            onnx.helper.make_node("Cast", [source], [node.input[0]], to=onnx.TensorProto.DOUBLE),
            node,
            onnx.helper.make_node("Cast", [node.output[0]], [target], to=onnx.TensorProto.FLOAT),
        ]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return session_on(loaded.SerializeToString(), Level.ORT_DISABLE_ALL)


def nudged(model, factor):
    """The model with the sums that it rounds to codes larger by a factor, which is near 1."""
    loaded = onnx.load(cache / "models" / f"{model}.onnx")
    tensors = {tensor.name: tensor for tensor in loaded.graph.initializer}
    for node in loaded.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors:
            scale = tensors[node.input[1]]
            scale.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) * np.float32(factor), scale.name))
    return session_on(loaded.SerializeToString(), Level.ORT_DISABLE_ALL)


def rounds_to_codes(model):
    return any(node.op_type == "QuantizeLinear" for node in onnx.load(cache / "models" / f"{model}.onnx").graph.node)


def case(model, name, inputs, names=None, top=None):
    folder = here / model / name
    folder.mkdir(parents=True)
    session = session_of(model, Level.ORT_DISABLE_ALL)
    tensors, entries = {}, {}
    for i, (key, value) in enumerate(inputs.items()):
        if isinstance(value, tuple):
            tensors[key], entries[key] = value
        else:
            tensors[key], entries[key] = value, {"file": f"input_{i}.npy"}
            np.save(folder / f"input_{i}.npy", value)
    description = {"model": f"{model}.onnx", "inputs": entries, "outputs": {}}
    label = None
    optimized = session_of(model, Level.ORT_ENABLE_ALL)
    batch = len(next(iter(tensors.values())))
    rows = [{key: value[row : row + 1] for key, value in tensors.items()} for row in range(batch)] if batch > 1 else [tensors]
    others = [optimized.run(None, tensors), exact_sums(model).run(None, tensors), [np.concatenate(parts) for parts in zip(*(session.run(None, row) for row in rows))]]
    if rounds_to_codes(model):
        others += [nudged(model, factor).run(None, tensors) for factor in (1 + 2**-20, 1 - 2**-20)]
    for i, (output, value) in enumerate(zip(session.get_outputs(), session.run(None, tensors))):
        np.save(folder / f"output_{i}.npy", value)
        noise = float(f"{max(np.abs(value - other[i]).max() for other in others):.1e}")
        description["outputs"][output.name] = {"file": f"output_{i}.npy", "noise": noise}
        if output.name == top:
            index = int(value.argmax())
            description["expect"] = {"output": top, "index": index}
            if names:
                label = description["expect"]["label"] = names[index]
            print(f"{model}/{name}: {label or index} {float(value.flat[index]):.3f}")
    (folder / "case.json").write_text(json.dumps(description, indent=2) + "\n")
    return label


def magika_bytes(content):
    start, end = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
    padding = 256
    row = [*start, *[padding] * (1024 - len(start)), *[padding] * (1024 - len(end)), *end]
    return np.array([row], np.int32)


for folder in here.iterdir():
    if folder.is_dir():
        shutil.rmtree(folder)

caffe = ("nchw", "bgr", [103.939, 116.779, 123.68], [1, 1, 1])
for model in ("squeezenet1.1", "squeezenet1.1-int8"):
    assert case(model, "coffee", {"data": image("coffee.png", 227, *caffe)}, labels, "probabilities") == "espresso"
    assert case(model, "chelsea", {"data": image("chelsea.png", 227, *caffe)}, labels, "probabilities") == "Egyptian cat"

lite = ("nchw", "rgb", [127, 127, 127], [1 / 128, 1 / 128, 1 / 128])
for model in ("efficientnet-lite0", "efficientnet-lite0-folded", "efficientnet-lite0-int8"):
    assert case(model, "coffee", {"images": image("coffee.png", 224, *lite)}, labels, "probabilities") == "espresso"
    assert case(model, "rocket", {"images": image("rocket.jpg", 224, *lite)}, labels, "probabilities") == "missile"

# Ranges and scales are chosen well if codes hardly change what is answered.
for quantised, floating in {"squeezenet1.1-int8": "squeezenet1.1", "efficientnet-lite0-int8": "efficientnet-lite0-folded"}.items():
    for folder in (here / quantised).iterdir():
        codes, numbers = (np.load(here / model / folder.name / "output_0.npy") for model in (quantised, floating))
        assert codes.argmax() == numbers.argmax() and np.abs(codes - numbers).max() <= 0.03, f"{quantised}/{folder.name}"

signed = ("nhwc", "rgb", [127.5, 127.5, 127.5], [1 / 127.5, 1 / 127.5, 1 / 127.5])
case("blazeface-front", "astronaut", {"input:0": image("astronaut.png", 128, *signed)}, None, "Identity:0")
case("blazeface-back", "astronaut", {"input:0": image("astronaut.png", 256, *signed)}, None, "Identity:0")

with zipfile.ZipFile(next((cache / "downloads").glob("magika-1.0.3-*.whl"))) as wheel:
    kinds = json.loads(wheel.read("magika/models/standard_v3_3/config.min.json"))["target_labels_space"]
samples = {
    "python": b"import sys\n\n\ndef double(values):\n    return [2 * value for value in values]\n\n\nif __name__ == '__main__':\n    print(double([int(word) for word in sys.argv[1:]]))\n",
    "json": json.dumps([{"id": i, "name": f"item {i}", "tags": ["a", "b"], "price": i / 4} for i in range(60)], indent=1).encode(),
    "png": (cache / "data/photos/coffee.png").read_bytes(),
}
for kind, content in samples.items():
    assert case("magika", kind, {"bytes": magika_bytes(content)}, kinds, "target_label") == kind
case("magika", "batch", {"bytes": np.concatenate([magika_bytes(content) for content in samples.values()])})

time = np.arange(43844) / 22050
# A pure tone leaves most of the spectrum at rounding noise, whose logarithm the model takes; the
# chord has a floor of noise (a linear congruential one, so that it is the same everywhere).
state, floor = 1, np.empty(43844)
for i in range(43844):
    state = (1664525 * state + 1013904223) % 2**32
    floor[i] = state / 2**31 - 1
waves = {
    "sine-440": 0.5 * np.sin(2 * np.pi * 440 * time),
    "chord": sum(0.1 / h * np.sin(2 * np.pi * f * h * time) for f in (261.63, 329.63, 392.0) for h in (1, 2, 3)) + 0.05 * floor,
}
for name, sound in waves.items():
    case("basic-pitch", name, {"serving_default_input_2:0": sound.astype(np.float32)[None, :, None]})
note = np.load(here / "basic-pitch/sine-440/output_1.npy")
assert int(note[0].mean(axis=0).argmax()) + 21 == 69, "440 Hz is A4, MIDI note 69"
note = np.load(here / "basic-pitch/chord/output_1.npy")
assert {int(n) + 21 for n in note[0].mean(axis=0).argsort()[-3:]} == {60, 64, 67}, "C4, E4 and G4"

rate, frame = 16000, 512
with wave.open(str(cache / "data/speech.wav")) as recording:
    assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (rate, 1, 2)
    voice = np.frombuffer(recording.readframes(recording.getnframes()), np.int16).astype(np.float32) / 32768
detector = session_of("silero-vad", Level.ORT_DISABLE_ALL)
for name, sound in {"voice": voice, "silence": np.zeros_like(voice)}.items():
    state = np.zeros((2, 1, 128), np.float32)
    for start in range(frame, 11 * frame, frame):
        inputs = {"input": sound[None, start - 64 : start + frame], "state": state, "sr": np.array(rate, np.int64)}
        inputs = {key: value for key, value in inputs.items() if key in {i.name for i in detector.get_inputs()}}
        if start == 10 * frame:
            case("silero-vad", name, inputs)
        probability, state = detector.run(None, inputs)
    assert (probability.item() > 0.9) == (name == "voice"), f"silero-vad/{name}: {probability.item():.3f}"

# Mel spectra, as the model's own front end gives them: about -1 to 3.
mel = np.random.default_rng(7).uniform(-1, 3, (1, 76, 32, 1)).astype(np.float32)
case("speech-embedding", "noise", {session_of("speech-embedding", Level.ORT_DISABLE_ALL).get_inputs()[0].name: mel})
