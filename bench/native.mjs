// Measures `firebrand bench` beside onnxruntime for Python, one thread each, their processes in turns.
//   node bench/native.mjs [--models mobilenetv2] [--precision f32,int8] [--rounds 6]
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { models, places, precisions } from "./places.mjs";
import { prepareModels, python } from "./prepare.mjs";
import { median, shuffled } from "./statistics.mjs";

const execute = promisify(execFile);
export const binary = join(process.env.CARGO_TARGET_DIR ?? places.target, "release/firebrand");
/** Each process runs for about this long, so that a slow moment of the machine meets both sides. */
export const milliseconds = 600;

/** What a command that prints JSON measured. */
export async function measure(command, args) {
  const { stdout } = await execute(command, args, { maxBuffer: 1 << 24 }).catch((error) => {
    throw new Error(`${error.stderr || error.message}`.trim().split("\n").at(-1));
  });
  const { median_ms, p95_ms } = JSON.parse(stdout);
  return { medianMs: median_ms, p95Ms: p95_ms };
}

/** Results per model and precision; `failed` says why there are none at all. */
export async function measureNative({ models: names, precisions: wanted, rounds }) {
  const interpreter = await python();
  const { stdout: onnxruntime } = await execute(interpreter, ["-c", "import onnxruntime; print(onnxruntime.__version__)"]);
  const outcome = { onnxruntime: onnxruntime.trim(), results: [], failures: [] };
  if (!existsSync(binary)) return { ...outcome, failed: `not measured: ${binary.replace(places.cache, "the cache")} is missing; run "cargo build --release" first` };
  for (const model of names) {
    for (const precision of models[model].precisions.filter((one) => wanted.includes(one))) {
      console.error(`measure ${models[model].title}, ${precisions[precision]}, natively`);
      const folder = join(places.models, model);
      const file = join(folder, `${precision}.onnx`);
      const about = JSON.parse(await readFile(join(folder, "case.json"), "utf8"));
      const inputs = about.inputs.flatMap((input) => ["--input", `${input.name}=${join(folder, input.file)}`]);
      const sides = {
        firebrand: (runs) => measure(binary, ["bench", file, ...inputs, "--threads", "1", "--runs", String(runs), "--json"]),
        onnxruntime: (runs) => measure(interpreter, [join(places.here, "models/native.py"), file, folder, String(runs)]),
      };
      try {
        const runs = {};
        for (const [side, run] of Object.entries(sides)) {
          const { medianMs } = await run(5);
          runs[side] = Math.min(1000, Math.max(5, Math.round(milliseconds / medianMs)));
        }
        const taken = { firebrand: [], onnxruntime: [] };
        for (let round = 0; round < rounds; round++) {
          for (const side of shuffled(Object.keys(sides))) taken[side].push(await sides[side](runs[side]));
        }
        const each = taken.firebrand.map(({ medianMs }, round) => medianMs / taken.onnxruntime[round].medianMs);
        const middle = (side) => ({ medianMs: median(taken[side].map(({ medianMs }) => medianMs)), p95Ms: median(taken[side].map(({ p95Ms }) => p95Ms)) });
        outcome.results.push({ model, precision, firebrand: middle("firebrand"), onnxruntime: middle("onnxruntime"), ratio: { median: median(each), least: Math.min(...each), most: Math.max(...each) } });
      } catch (error) {
        outcome.failures.push({ model, precision, reason: error.message });
      }
    }
  }
  return outcome;
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { models: { type: "string" }, precision: { type: "string" }, rounds: { type: "string", default: "6" } } });
  const names = values.models?.split(",") ?? Object.keys(models);
  await prepareModels(names);
  const outcome = await measureNative({ models: names, precisions: values.precision?.split(",") ?? Object.keys(precisions), rounds: Number(values.rounds) });
  for (const { model, precision, firebrand, onnxruntime, ratio } of outcome.results) {
    console.log(`${model} ${precision}: firebrand ${firebrand.medianMs.toFixed(2)} ms, onnxruntime ${onnxruntime.medianMs.toFixed(2)} ms, ratio ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} – ${ratio.most.toFixed(2)})`);
  }
  for (const { model, precision, reason } of outcome.failures) console.error(`${model} ${precision}: ${reason}`);
  if (outcome.failed) console.error(outcome.failed);
  process.exitCode = outcome.failed || outcome.failures.length ? 1 : 0;
}
