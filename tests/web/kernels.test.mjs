// Every kernel against its plain loop, in Node.js: simd128 and relaxed SIMD. `node scripts/kernels.mjs` builds them.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { checksOf } from "./kernels.mjs";
import { places } from "../../scripts/places.mjs";

for (const set of ["simd128", "relaxed"]) {
  const module = await WebAssembly.compile(await readFile(join(places.wasm, `kernels-${set}.wasm`)));
  const { names, level, run } = await checksOf(module);
  describe(`kernels, ${set}: ${level}`, () => {
    test("there are checks", () => assert.ok(names.length > 5));
    for (const [index, name] of names.entries()) test(name, async () => assert.equal(await run(index), ""));
  });
}
