// Every kernel against its plain loop, in the browser: simd128, and relaxed SIMD as this browser has it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { places } from "../../scripts/places.mjs";

const source = readFile(new URL("pages/kernels.js", import.meta.url), "utf8");

for (const set of ["simd128", "relaxed"]) {
  test(`kernels, ${set}, are those of plain loops`, async ({ page }) => {
    test.setTimeout(180_000);
    const wasm = (await readFile(join(places.wasm, `kernels-${set}.wasm`))).toString("base64");
    const { level, results } = await page.evaluate(
      async ({ wasm, source }) => {
        const { checksOf } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
        const bytes = Uint8Array.from(atob(wasm), (character) => character.charCodeAt(0));
        const { names, level, run } = await checksOf(await WebAssembly.compile(bytes));
        const results: Record<string, string> = {};
        for (const [index, name] of names.entries()) results[name] = await run(index);
        return { level, results };
      },
      { wasm, source: await source },
    );
    console.log(`kernels, ${set}: ${level}`);
    expect(Object.keys(results).length).toBeGreaterThan(5);
    for (const [name, why] of Object.entries(results)) expect.soft(why, name).toBe("");
  });
}
