// Measures what removing half of the channels gains: `firebrand bench` of each model as it is and pruned by
// `firebrand prune --channels 0.5`, float32, one thread each, their processes in turns.
//   node bench/pruned.mjs [--models mobilenetv2] [--rounds 6]
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { binary, measure, milliseconds } from "./native.mjs";
import { models, places } from "./places.mjs";
import { prepareModels } from "./prepare.mjs";
import { median, shuffled } from "./statistics.mjs";

const execute = promisify(execFile);

/** Their seeded weights have nothing to lose. */
const pruned = ["mobilenetv2", "resnet18"];

/** Results per model: times, their ratio, and what is left; `failed` says why there are none at all. */
export async function measurePruned({ models: names, rounds }) {
  const outcome = { results: [], failures: [] };
  if (!existsSync(binary)) return { ...outcome, failed: `not measured: ${binary.replace(places.cache, "the cache")} is missing; run "cargo build --release" first` };
  const folder = await mkdtemp(join(tmpdir(), "firebrand-pruned-"));
  try {
    for (const model of names.filter((name) => pruned.includes(name))) {
      console.error(`measure ${models[model].title}, half of its channels pruned, natively`);
      const whole = join(places.models, model, "f32.onnx");
      const half = join(folder, `${model}.onnx`);
      try {
        const { stdout } = await execute(binary, ["prune", whole, "-o", half, "--channels", "0.5", "--json"], { maxBuffer: 1 << 24 });
        const { multiplyAddsBefore, multiplyAddsAfter, weightsBefore, weightsAfter } = JSON.parse(stdout);
        const about = JSON.parse(await readFile(join(places.models, model, "case.json"), "utf8"));
        const inputs = about.inputs.flatMap((input) => ["--input", `${input.name}=${join(places.models, model, input.file)}`]);
        const time = (file, runs) => measure(binary, ["bench", file, ...inputs, "--threads", "1", "--runs", String(runs), "--json"]);
        const sides = [whole, half];
        const runs = new Map();
        for (const side of sides) runs.set(side, Math.min(1000, Math.max(5, Math.round(milliseconds / (await time(side, 5)).medianMs))));
        const taken = new Map(sides.map((side) => [side, []]));
        for (let round = 0; round < rounds; round++) {
          for (const side of shuffled(sides)) taken.get(side).push((await time(side, runs.get(side))).medianMs);
        }
        const each = taken.get(half).map((ms, round) => ms / taken.get(whole)[round]);
        outcome.results.push({
          model,
          wholeMs: median(taken.get(whole)),
          prunedMs: median(taken.get(half)),
          ratio: { median: median(each), least: Math.min(...each), most: Math.max(...each) },
          multiplyAdds: multiplyAddsAfter / multiplyAddsBefore,
          weights: weightsAfter / weightsBefore,
        });
      } catch (error) {
        outcome.failures.push({ model, reason: error.message });
      }
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return outcome;
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { models: { type: "string" }, rounds: { type: "string", default: "6" } } });
  const names = values.models?.split(",") ?? pruned;
  await prepareModels(names);
  const outcome = await measurePruned({ models: names, rounds: Number(values.rounds) });
  for (const { model, wholeMs, prunedMs, ratio, multiplyAdds, weights } of outcome.results) {
    console.log(`${model}: ${wholeMs.toFixed(2)} ms, pruned ${prunedMs.toFixed(2)} ms, ratio ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} – ${ratio.most.toFixed(2)}), ${(100 * multiplyAdds).toFixed(0)} % of the multiply-adds, ${(100 * weights).toFixed(0)} % of the weights`);
  }
  for (const { model, reason } of outcome.failures) console.error(`${model}: ${reason}`);
  if (outcome.failed) console.error(outcome.failed);
  process.exitCode = outcome.failed || outcome.failures.length ? 1 : 0;
}
