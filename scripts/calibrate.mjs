// Measures, over the photos in the cache, the ranges between which quantize.mjs puts the codes of activations,
// and writes them beside this file, to ranges/. They are committed: a new one means new int8 models, whose
// SHA-256 `node scripts/models.mjs NAME --write-lock` writes, and new stored answers (tests/models/oracle.py).
//   node scripts/calibrate.mjs [PROGRAM]        PROGRAM: the firebrand that runs them, else `firebrand` on the path
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cache } from "./places.mjs";
import { withCodedValues } from "./quantize.mjs";

const program = process.argv[2] ?? "firebrand";
const photos = ["astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg"];
/** Whole photos, as the demo gives them, and their central squares, as the tests do. */
const fits = ["fill", "cover"];

/** The models by the name of their ranges, how each wants its photos, and what pixels from 0 to 255 then become. */
const models = {
  "squeezenet1.1": { file: "squeezenet1.1.onnx", image: ["--image-size", "227", "--image-color", "bgr", "--image-mean", "103.939,116.779,123.68", "--image-scale", "1"], pixels: { data: [-123.68, 151.061] } },
  "efficientnet-lite0": { file: "efficientnet-lite0-folded.onnx", image: ["--image-size", "224", "--image-mean", "127", "--image-scale", "0.0078125"], pixels: { images: [-127 / 128, 1] } },
};

function run(...args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (error || status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
  return stdout;
}

/** The values of a NumPy file of little-endian float32. */
function npy(bytes) {
  const start = 10 + bytes.readUInt16LE(8);
  if (!bytes.subarray(10, start).includes("'<f4'")) throw new Error("expected a NumPy file of float32");
  return new Float32Array(new Uint8Array(bytes.subarray(start)).buffer);
}

const folder = await mkdtemp(join(tmpdir(), "firebrand-ranges-"));
try {
  for (const [name, { file, image, pixels }] of Object.entries(models)) {
    const { bytes, names } = withCodedValues(await readFile(join(cache, "models", file)));
    const model = join(folder, "model.onnx");
    await writeFile(model, bytes);
    const ranges = Object.fromEntries(names.map((value) => [value, pixels[value] ?? [0, 0]]));
    for (const photo of photos) {
      for (const fit of fits) {
        console.log(`${name}: ${photo}, ${fit}`);
        const { outputs } = JSON.parse(run("run", model, "--input", join(cache, "data/photos", photo), ...image, "--image-fit", fit, "--output-dir", folder, "--json"));
        for (const { name: value, file } of outputs) {
          if (!ranges[value]) continue;
          const [low, high] = ranges[value];
          const numbers = npy(await readFile(file));
          ranges[value] = [numbers.reduce((least, number) => Math.min(least, number), low), numbers.reduce((most, number) => Math.max(most, number), high)];
        }
      }
    }
    const lines = Object.entries(ranges).map(([value, range]) => `  ${JSON.stringify(value)}: [${range.map((end) => Number(end.toPrecision(6))).join(", ")}]`);
    await writeFile(new URL(`ranges/${name}.json`, import.meta.url), `{\n${lines.join(",\n")}\n}\n`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
