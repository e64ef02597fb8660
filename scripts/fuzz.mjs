// Fuzzes for SECONDS in all (default 60), each target for its share, from the corpus in tests/fuzz/corpus and the files
// of other tests. What is found lies in the cache's fuzz/artifacts.
//   node scripts/fuzz.mjs [TARGET]…               data | graphs | infer | keras | package | reader | tfjs | tflite | weights
//   node scripts/fuzz.mjs --minimise [TARGET]…    keeps of the corpora what reaches code that nothing else reaches
import { copyFile, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { answer, run, toolEnvironment } from "./command.mjs";
import { cache, repository } from "./places.mjs";
import { seed } from "../tests/fuzz/seeds.mjs";

const kibibyte = 1024;
// `longest` is an input's: a few of the smallest files of the formats fit. `kept` is what the repository holds of the
// corpus in all, beside what other tests have.
const settings = {
  data: { longest: 4 * kibibyte, kept: 24 * kibibyte },
  graphs: { longest: 4 * kibibyte, kept: 160 * kibibyte },
  infer: { longest: 4 * kibibyte, kept: 160 * kibibyte },
  keras: { longest: 32 * kibibyte, kept: 24 * kibibyte },
  package: { longest: 8 * kibibyte, kept: 24 * kibibyte },
  reader: { longest: 4 * kibibyte, kept: 160 * kibibyte },
  tfjs: { longest: 12 * kibibyte, kept: 24 * kibibyte },
  tflite: { longest: 8 * kibibyte, kept: 24 * kibibyte },
  weights: { longest: 16 * kibibyte, kept: 24 * kibibyte },
};
const mostInputs = 600;
const all = Object.keys(settings);
const minimise = process.argv[2] === "--minimise";
const wanted = process.argv.slice(minimise ? 3 : 2);
const targets = wanted.length === 0 ? all : wanted;
const unknown = targets.filter((target) => !all.includes(target));
if (unknown.length) {
  console.error(`no such target: ${unknown.join(", ")}; there are ${all.join(", ")}`);
  process.exit(2);
}
const seconds = Math.max(1, Math.round(Number(process.env.SECONDS || 60) / targets.length));
// The nightly switches that cargo-fuzz needs are there in every compiler.
const env = toolEnvironment({ CARGO_TARGET_DIR: join(cache, "target-fuzz"), RUSTC_BOOTSTRAP: "1" });
const corpus = (target) => join(repository, "tests/fuzz/corpus", target);
const found = (target) => join(cache, "fuzz/corpus", target);
const seeds = (target) => join(cache, "fuzz/seeds", target);

const host = answer("rustc", ["-vV"])?.match(/^host: (.*)$/m)?.[1];
const options = ["--fuzz-dir", "tests/fuzz", "--sanitizer", "none"];
const built = await run("cargo", ["fuzz", "build", ...options], { cwd: repository, env, show: true });
if (built.code !== 0) process.exit(built.code);

let total = 0;
let failed = false;
for (const target of targets) {
  const { longest, kept } = settings[target];
  const artifacts = join(cache, "fuzz/artifacts", target);
  await mkdir(found(target), { recursive: true });
  await mkdir(corpus(target), { recursive: true });
  await mkdir(artifacts, { recursive: true });
  await seed(target, seeds(target), longest);
  const program = join(cache, `target-fuzz/${host}/release/${target}`);
  const limits = [`-max_len=${longest}`, "-timeout=10"];
  if (minimise) {
    // What the seeds reach is reached without the corpus.
    const merged = join(cache, "fuzz/merged", target);
    await seed(target, merged, longest);
    const known = new Set(await readdir(merged));
    const { code } = await run(program, ["-set_cover_merge=1", ...limits, merged, corpus(target), found(target)], { cwd: repository, env });
    if (code !== 0) process.exit(code);
    // The repository holds what starts a run well; the whole of it grows in the cache.
    const names = (await readdir(merged)).filter((name) => !known.has(name));
    const inputs = await Promise.all(names.map(async (name) => ({ name, size: (await stat(join(merged, name))).size })));
    inputs.sort((a, b) => a.size - b.size);
    await rm(corpus(target), { recursive: true });
    await mkdir(corpus(target), { recursive: true });
    let [count, bytes] = [0, 0];
    for (const { name, size } of inputs) {
      if (count === mostInputs || bytes + size > kept) break;
      await copyFile(join(merged, name), join(corpus(target), name));
      count += 1;
      bytes += size;
    }
    console.log(`${target}: ${count} inputs of ${inputs.length}, ${bytes} bytes`);
    continue;
  }
  const flags = [`-max_total_time=${seconds}`, ...limits, "-len_control=0", "-rss_limit_mb=2048", "-print_final_stats=1", `-artifact_prefix=${artifacts}/`];
  const { code, output } = await run(program, [...flags, found(target), corpus(target), seeds(target)], { cwd: repository, env });
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
