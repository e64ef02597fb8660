// Copies the models, the labels and the sample photos from the user's cache into public/, where Vite takes them from.
import { copyFile, mkdir, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { cache } from "../../scripts/places.mjs";

const publicFolder = fileURLToPath(new URL("../public", import.meta.url));

const assets = {
  "models/squeezenet1.1.onnx": "models/squeezenet1.1.onnx",
  "models/squeezenet1.1-int8.onnx": "models/squeezenet1.1-int8.onnx",
  "models/imagenet-labels.json": "data/imagenet-labels.json",
  "photos/coffee.png": "data/photos/coffee.png",
  "photos/chelsea.png": "data/photos/chelsea.png",
  "photos/camera.png": "data/photos/camera.png",
  "photos/rocket.jpg": "data/photos/rocket.jpg",
};

const missing = [];
for (const [target, source] of Object.entries(assets)) {
  const from = join(cache, source);
  const to = join(publicFolder, target);
  const [there, here] = await Promise.all([from, to].map((path) => stat(path).catch(() => undefined)));
  if (!there) {
    missing.push(source);
  } else if (here?.size !== there.size || here.mtimeMs < there.mtimeMs) {
    await mkdir(dirname(to), { recursive: true });
    await copyFile(from, to);
    console.log(`${relative(process.cwd(), to)}: copied (${there.size} bytes)`);
  }
}
if (missing.length > 0) {
  console.error(`Not prepared yet: ${missing.join(", ")}. Run \`node scripts/models.mjs demo\` in the repository, then again.`);
  process.exit(1);
}
