// Every kernel against its plain loop, in Node.js. `node scripts/kernels.mjs` builds them; kernels.spec.ts runs those with
// relaxed SIMD too, which Node.js 20 has not.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { places } from "../../scripts/places.mjs";
import { checksOf } from "./pages/kernels.js";

const { names, level, run } = await checksOf(await WebAssembly.compile(await readFile(join(places.wasm, "kernels-simd128.wasm"))));
test(`there are kernels to check on ${level}`, () => assert.ok(names.length > 5));
for (const [index, name] of names.entries()) test(name, async () => assert.equal(await run(index), ""));
