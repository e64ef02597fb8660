// Builds the peers that are Rust libraries, each at its best.
import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run, toolEnvironment } from "../scripts/command.mjs";
import { places } from "./places.mjs";

// burn-flex's vector library does not compile for relaxed SIMD.
const features = { rten: "+simd128,+relaxed-simd", flex: "+simd128" };
const wasmOpt = join(places.repository, "scripts/node_modules/binaryen/bin/wasm-opt");
const proposals = ["simd", "relaxed-simd", "bulk-memory", "bulk-memory-opt", "mutable-globals", "multivalue", "nontrapping-float-to-int", "reference-types", "sign-ext"].map((name) => `--enable-${name}`);

async function must(what, command, args, options) {
  const { code, output } = await run(command, args, options);
  if (code !== 0) throw new Error(`${what} failed (exit code ${code}): ${output.trim().split("\n").slice(-5).join(" ")}`);
}

/** Builds bench/wasm/`name` into `folder`: peer.js and peer_bg.wasm. */
export async function buildPeer(name, folder) {
  const toolchainFile = join(places.tools, "wasm-toolchain.json");
  if (!existsSync(toolchainFile)) throw new Error('the wasm compiler is not set up: run "node scripts/setup.mjs wasm bindgen npm:scripts" first');
  const toolchain = JSON.parse(await readFile(toolchainFile, "utf8"));
  console.error(`build ${name} for WebAssembly (once, some minutes)`);
  await must(`cargo for ${name}`, toolchain.cargo, ["build", "--locked", "--release", "--package", `bench-${name}`, "--target", "wasm32-unknown-unknown", ...toolchain.args], {
    cwd: join(places.here, "wasm"),
    env: toolEnvironment({ ...toolchain.env, PATH: [toolchain.path, process.env.PATH].filter(Boolean).join(":"), CARGO_TARGET_DIR: places.targetPeers, RUSTFLAGS: `-C target-feature=${features[name]}` }),
  });
  const compiled = join(places.targetPeers, "wasm32-unknown-unknown/release", `bench_${name}.wasm`);
  await must(`wasm-bindgen for ${name}`, "wasm-bindgen", ["--target", "web", "--out-dir", folder, "--out-name", "peer", compiled], { env: toolEnvironment({}) });
  const bound = join(folder, "peer_bg.wasm");
  const optimized = join(folder, "optimized.wasm");
  await must(`wasm-opt for ${name}`, process.execPath, ["--stack-size=20000", wasmOpt, "-O3", ...proposals, "--strip-debug", "--strip-producers", bound, "-o", optimized], {});
  await rm(bound);
  await rename(optimized, bound);
}
