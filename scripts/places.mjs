// Where everything that is fetched or built lives: the user's cache, never the work tree.
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = dirname(dirname(fileURLToPath(import.meta.url)));
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "firebrand");

export const places = {
  downloads: join(cache, "downloads"),
  models: join(cache, "models"),
  packages: join(cache, "packages"),
  data: join(cache, "data"),
  licences: join(cache, "licences"),
  tools: join(cache, "tools"),
  toolsTarget: join(cache, "tools-target"),
  stamps: join(cache, "stamps"),
  wasm: join(cache, "wasm"),
  target: join(cache, "target"),
  targetWasm: join(cache, "target-wasm"),
  reports: join(cache, "reports"),
  onnxruntime: join(cache, "onnxruntime"),
};
