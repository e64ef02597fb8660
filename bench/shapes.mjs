// Runs one model on ten input shapes in turn, in Node on the CPU: what a new shape costs, and whether memory grows.
//   node bench/shapes.mjs [--rounds 12]
// Prints a table and writes results/shapes.json. The exit code is 1 when a run on a shape other than the last one's
// takes over a tenth longer than one on the same shape, or when memory grows after the first round.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { freeDimensions } from "../scripts/onnx-writer.mjs";
import { places } from "./places.mjs";
import { median, quantile, shuffled } from "./statistics.mjs";

const limit = 0.1;
const sides = [97, 113, 128, 141, 160, 175, 192, 201, 224, 227];
const { values } = parseArgs({ options: { rounds: { type: "string", default: "12" } } });
const rounds = Number(values.rounds);

const { Tensor, load } = await import(pathToFileURL(join(places.repository, "pkg/dist/index.js")).href);
const model = await readFile(join(places.cache, "models/squeezenet1.1.onnx"));
const session = await load(freeDimensions(model, { data: [1, 3, "height", "width"], probabilities: [1, 1000] }), { device: "cpu" });

const inputs = new Map(sides.map((side) => [side, new Tensor("float32", Float32Array.from({ length: 3 * side * side }, (_, i) => ((i * 7919) % 255) - 127), [1, 3, side, side])]));
const run = async (side) => {
  await session.run({ data: inputs.get(side) });
  return session.info.lastRunMs;
};
const memory = () => session.info.memoryBytes;

for (let round = 0; round < 3; round++) for (const side of sides) await run(side);
const before = memory();

const samples = new Map(sides.map((side) => [side, { changed: [], same: [] }]));
for (let round = 0; round < rounds; round++) {
  for (const side of shuffled(sides)) {
    samples.get(side).changed.push(await run(side));
    samples.get(side).same.push(await run(side));
  }
}
const after = memory();
await session.dispose();

const rows = [...samples].map(([side, { changed, same }]) => {
  // Each pair was measured back to back, so what slowed the machine slowed both.
  const over = changed.map((ms, i) => ms / same[i] - 1);
  return { side, changed: median(changed), same: median(same), over: median(over), p95: quantile(over, 0.95) };
});
const over = median(rows.map((row) => row.over));
const result = { rounds, shapes: rows, over, memoryBefore: before, memoryAfter: after };
await writeFile(join(places.results, "shapes.json"), `${JSON.stringify(result, null, 2)}\n`);
console.log("| input | new shape, ms | same shape, ms | a new shape costs |\n| --- | ---: | ---: | ---: |");
for (const row of rows) console.log(`| 3 × ${row.side} × ${row.side} | ${row.changed.toFixed(2)} | ${row.same.toFixed(2)} | ${(100 * row.over).toFixed(1)} % |`);
const grown = after - before;
console.log(`\nA new shape costs ${(100 * over).toFixed(1)} % of a run (limit ${100 * limit} %). Memory after ${rounds} more rounds of ${sides.length} shapes: ${(after / 2 ** 20).toFixed(1)} MiB, ${grown === 0 ? "as before" : `${grown} bytes more`}.`);
process.exitCode = over > limit || grown > 0 ? 1 : 0;
