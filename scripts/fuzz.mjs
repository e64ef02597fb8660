// Fuzzes for SECONDS in all (default 60), each target for its share, from the corpus in tests/fuzz/corpus.
//   node scripts/fuzz.mjs [reader | infer | graphs | weights]…       what is found lies in the cache's fuzz/artifacts
//   node scripts/fuzz.mjs --minimise                       keeps of the corpora what reaches code that nothing else reaches
import { copyFile, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { answer, run, toolEnvironment } from "./command.mjs";
import { cache, places, repository } from "./places.mjs";

const mostInputs = 600;
const all = ["reader", "infer", "graphs", "weights"];
const wanted = process.argv.slice(2);
const minimise = wanted[0] === "--minimise";
const targets = minimise || wanted.length === 0 ? all : wanted;
const unknown = targets.filter((target) => !all.includes(target));
if (unknown.length) {
  console.error(`no such target: ${unknown.join(", ")}; there are ${all.join(", ")}`);
  process.exit(2);
}
const seconds = Math.max(1, Math.round(Number(process.env.SECONDS || 60) / targets.length));
// The nightly switches that cargo-fuzz needs are there in every compiler.
const env = toolEnvironment({ CARGO_TARGET_DIR: join(cache, "target-fuzz"), RUSTC_BOOTSTRAP: "1" });
const seeds = (target) => join(repository, "tests/fuzz/corpus", target);
const found = (target) => join(cache, "fuzz/corpus", target);

const host = answer("rustc", ["-vV"])?.match(/^host: (.*)$/m)?.[1];
const options = ["--fuzz-dir", "tests/fuzz", "--sanitizer", "none"];
const built = await run("cargo", ["fuzz", "build", ...options], { cwd: repository, env, show: true });
if (built.code !== 0) process.exit(built.code);

let total = 0;
let failed = false;
for (const target of targets) {
  const artifacts = join(cache, "fuzz/artifacts", target);
  await mkdir(found(target), { recursive: true });
  await mkdir(seeds(target), { recursive: true });
  await mkdir(artifacts, { recursive: true });
  const program = join(cache, `target-fuzz/${host}/release/${target}`);
  if (minimise) {
    const merged = join(cache, "fuzz/merged", target);
    await rm(merged, { recursive: true, force: true });
    await mkdir(merged, { recursive: true });
    const { code } = await run(program, ["-set_cover_merge=1", "-max_len=4096", "-timeout=10", merged, seeds(target), found(target)], { cwd: repository, env });
    if (code !== 0) process.exit(code);
    // The repository holds what starts a run well; the whole of it grows in the cache.
    const inputs = await Promise.all((await readdir(merged)).map(async (name) => ({ name, size: (await stat(join(merged, name))).size })));
    const kept = inputs.sort((a, b) => a.size - b.size).slice(0, mostInputs);
    await rm(seeds(target), { recursive: true });
    await mkdir(seeds(target), { recursive: true });
    for (const { name } of kept) await copyFile(join(merged, name), join(seeds(target), name));
    console.log(`${target}: ${kept.length} inputs of ${inputs.length}`);
    continue;
  }
  const flags = [`-max_total_time=${seconds}`, "-max_len=4096", "-len_control=0", "-timeout=10", "-malloc_limit_mb=1024", "-rss_limit_mb=2048", "-print_final_stats=1", `-artifact_prefix=${artifacts}/`];
  const { code, output } = await run(program, [...flags, found(target), seeds(target)], { cwd: repository, env });
  const executed = Number(/stat::number_of_executed_units: *(\d+)/.exec(output)?.[1] ?? 0);
  total += executed;
  console.log(`${target}: ${executed.toLocaleString("en")} executions in ${seconds} s, ${code === 0 ? "no failure" : `failed; see ${artifacts}`}`);
  if (code !== 0) {
    failed = true;
    console.log(output.slice(-4000));
  }
}
if (!minimise) console.log(`${total.toLocaleString("en")} executions in all`);
process.exit(failed ? 1 : 0);
