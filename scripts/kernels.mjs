// Builds the kernels with their checks as WebAssembly, without and with relaxed SIMD: <cache>/wasm/kernels-<set>.wasm.
//   node scripts/kernels.mjs
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { run, toolEnvironment } from "./command.mjs";
import { places, repository } from "./places.mjs";

const profile = "wasm-release";
const sets = { simd128: "+simd128", relaxed: "+simd128,+relaxed-simd" };
const toolchain = JSON.parse(await readFile(join(places.tools, "wasm-toolchain.json"), "utf8"));

await mkdir(places.wasm, { recursive: true });
for (const [name, simd] of Object.entries(sets)) {
  console.log(`build the kernels' checks, ${name}`);
  const args = ["rustc", "--package", "firebrand-kernels", "--lib", "--crate-type", "cdylib", "--locked", "--profile", profile, "--target", "wasm32-unknown-unknown", "--features", "oracle", ...toolchain.args];
  // A folder of its own: an application's build there would share the crate's file names.
  const target = `${places.targetWasm}-kernels`;
  const { code, output } = await run(toolchain.cargo, args, {
    cwd: repository,
    env: toolEnvironment({ ...toolchain.env, PATH: [toolchain.path, process.env.PATH].filter(Boolean).join(":"), CARGO_TARGET_DIR: target, RUSTFLAGS: `-C target-feature=${simd}` }),
  });
  if (code !== 0) {
    process.stderr.write(output);
    process.exit(1);
  }
  await copyFile(join(target, "wasm32-unknown-unknown", profile, "firebrand_kernels.wasm"), join(places.wasm, `kernels-${name}.wasm`));
}
