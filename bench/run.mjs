// Measures Firebrand and its peers in one headless Chromium, in turns.
//   node bench/run.mjs [--only firebrand,ort,litert,tfjs] [--models squeezenet,efficientnet] [--devices cpu,webgpu]
//                      [--rounds 8] [--cold 3] [--round-ms 800]
// Prints the tables; a run of everything also writes results/latest.md, .json and .svg, any other results/partial.*.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { openBrowser } from "./browser.mjs";
import { peers } from "./peers.mjs";
import { models, places } from "./places.mjs";
import { prepare } from "./prepare.mjs";
import { chart, report, verdicts } from "./report.mjs";
import { serve } from "./server.mjs";
import { median, quantile, ratio, shuffled } from "./statistics.mjs";

const compress = promisify(brotliCompress);

/** Brotli at its highest quality takes a minute for the largest of these files, so sizes are kept. */
async function brotliSizes(files) {
  const store = join(places.prepared, "brotli.json");
  const known = JSON.parse(await readFile(store, "utf8").catch(() => "{}"));
  const sizes = new Map();
  const measure = async ([path, bytes]) => {
    const digest = createHash("sha256").update(bytes).digest("hex");
    if (known[digest] === undefined) {
      console.error(`compress ${path} (${(bytes.length / 1e6).toFixed(1)} MB, once)`);
      known[digest] = (await compress(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } })).length;
      await writeFile(store, JSON.stringify(known));
    }
    sizes.set(path, known[digest]);
  };
  // One at a time and the small ones first, so that little is lost when the wait is cut short.
  for (const file of [...files].sort(([, a], [, b]) => a.length - b.length)) await measure(file);
  return sizes;
}

const isHarness = (path) => ["/page/", "/peers/", "/prepared/cases/", "/prepared/tiny/"].some((folder) => path.startsWith(folder));
const isModel = (path) => path.startsWith("/models/") || path.startsWith("/prepared/converted/");
const isRuntime = (path) => !isHarness(path) && !isModel(path);

function options() {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      models: { type: "string" },
      devices: { type: "string" },
      rounds: { type: "string", default: "8" },
      cold: { type: "string", default: "3" },
      "round-ms": { type: "string", default: "800" },
    },
  });
  const choose = (flag, given, all) => {
    const chosen = given?.split(",") ?? all;
    const unknown = chosen.filter((name) => !all.includes(name));
    if (unknown.length) throw new Error(`--${flag}: there is no ${unknown.join(", ")}; there are ${all.join(", ")}`);
    return chosen;
  };
  const number = (flag) => {
    const value = Number(values[flag]);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${flag}: expected a whole number from 1, got ${values[flag]}`);
    return value;
  };
  return {
    peers: choose("only", values.only, Object.keys(peers)),
    models: choose("models", values.models, Object.keys(models)),
    devices: choose("devices", values.devices, ["cpu", "webgpu"]),
    rounds: number("rounds"),
    cold: number("cold"),
    roundMs: number("round-ms"),
    isWhole: !values.only && !values.models && !values.devices,
  };
}

/** The arguments of a page: where each peer finds its form of the model. */
async function modelFor(name) {
  const about = JSON.parse(await readFile(join(places.prepared, "cases", name, "case.json"), "utf8"));
  return {
    ...about,
    onnx: `/models/${models[name].onnx}`,
    tflite: `/prepared/converted/${name}/model.tflite`,
    tfjs: `/prepared/converted/${name}/model.json`,
    case: `/prepared/cases/${name}`,
  };
}

async function measureModel({ name, device, names, asked, browser, server }) {
  const model = await modelFor(name);
  const isCpu = device === "cpu";
  const timeout = isCpu ? 60_000 : 120_000;
  const results = Object.fromEntries(names.map((peer) => [peer, { cold: [], rounds: [], cpu: 0, runs: 0 }]));
  const pages = new Map();
  const fail = async (peer, error) => {
    results[peer].failed = error.message;
    console.error(`${peers[peer].title}, ${models[name].title}, ${device}: ${error.message}`);
    await pages.get(peer)?.close();
    pages.delete(peer);
  };
  const living = () => names.filter((peer) => !results[peer].failed);

  // SwiftShader draws with the CPU: a few runs show that the answer stays right, none how quick a GPU is.
  // The first pass is traced, for the longest task; where there are others, only they are timed.
  const passes = isCpu ? asked.cold + 1 : 1;
  for (let pass = 0; pass < passes; pass++) {
    for (const peer of shuffled(living())) {
      try {
        server.takeFetched();
        const page = await browser.openPage(peers[peer].adapter, { model }, timeout);
        pages.set(peer, page);
        const result = results[peer];
        const start = async () => result.cold.push(await page.call("cold", { device }));
        if (pass === 0) {
          result.longestTaskMs = await page.longestTask(async () => {
            await start();
            result.rounds.push(await page.call("round", { milliseconds: 0, count: isCpu ? 5 : 2 }));
          });
        } else {
          if (pass === 1) Object.assign(result, { cold: [], rounds: [] });
          await start();
        }
        result.fetched = server.takeFetched();
        if (pass < passes - 1) {
          await page.close();
          pages.delete(peer);
        }
      } catch (error) {
        await fail(peer, error);
      }
    }
  }

  const rounds = isCpu ? asked.rounds : 0;
  if (rounds > 0) {
    for (const peer of living()) await pages.get(peer).call("round", { milliseconds: 1500 }).catch((error) => fail(peer, error));
  }
  for (let round = 0; round < rounds; round++) {
    for (const peer of shuffled(living())) {
      try {
        const before = await browser.rendererCpu();
        const measured = await pages.get(peer).call("round", { milliseconds: asked.roundMs });
        const after = await browser.rendererCpu();
        const result = results[peer];
        result.rounds.push(measured);
        result.cpu += after - before;
        result.runs += measured.samples.length;
      } catch (error) {
        await fail(peer, error);
      }
    }
  }
  for (const page of pages.values()) await page.close();
  return results;
}

/** What is kept of one peer's measurement. */
function summary(result, ours, sizes) {
  if (result.failed) return { failed: result.failed };
  const { cold, rounds, fetched, cpu, runs } = result;
  const samples = rounds.flatMap((round) => round.samples);
  const middle = (key) => median(cold.map((one) => one[key]));
  const total = (list, pick) => list.reduce((sum, one) => sum + pick(one), 0);
  const files = [...fetched].filter(([path]) => isRuntime(path)).map(([path, bytes]) => ({ path, raw: bytes.length, brotli: sizes.get(path) }));
  const most = (pick) => Math.max(...pick);
  return {
    about: cold[0].about,
    download: { raw: total(files, ({ raw }) => raw), brotli: total(files, ({ brotli }) => brotli), files },
    modelBytes: total([...fetched].filter(([path]) => isModel(path)), ([, bytes]) => bytes.length),
    cold: { runtimeMs: middle("runtimeMs"), modelMs: middle("modelMs"), firstRunMs: middle("firstRunMs"), totalMs: middle("totalMs"), passes: cold.length },
    steady: {
      medianMs: median(samples),
      p95Ms: quantile(samples, 0.95),
      runs: samples.length,
      cpuMsPerRun: runs > 0 && Number.isFinite(cpu) ? cpu / runs : undefined,
      ...(ours && { ratio: ratio(rounds.map((round) => round.samples), ours.rounds.map((round) => round.samples)) }),
    },
    stall: {
      taskCpuMs: result.longestTaskMs,
      coldMs: most(cold.map((one) => one.stall.milliseconds)),
      runMs: most(rounds.map((round) => round.stall.milliseconds)),
    },
    difference: most([...cold, ...rounds].map((one) => one.difference)),
  };
}

/** The sizes after each step of building the WebAssembly, as scripts/wasm.mjs wrote them. */
function buildSteps() {
  const builds = ["cpu-simd128", "cpu-relaxed", "cpu-all", "webgpu"].map((build) => join(places.wasm, build, "sizes.json"));
  return builds.filter((file) => existsSync(file)).map((file) => {
    const { name, steps } = JSON.parse(readFileSync(file, "utf8"));
    return { name, steps: steps.map(({ step, raw, gzip, brotli }) => ({ step, raw, gzip, brotli })) };
  });
}

async function main() {
  const asked = options();
  const missingForms = await prepare(asked.models);
  const skipped = {};
  const mounts = {};
  const usable = asked.peers.filter((peer) => {
    try {
      if (peers[peer].needsConversion && missingForms) throw new Error(`its form of the models could not be made: ${missingForms}`);
      Object.assign(mounts, peers[peer].mounts());
      return true;
    } catch (error) {
      skipped[peer] = error.message;
      console.error(`${peers[peer].title} is left out: ${error.message}`);
      return false;
    }
  });
  const server = await serve({
    "/peers/": join(places.here, "peers"),
    "/page/": join(places.here, "page"),
    "/prepared/": places.prepared,
    "/models/": places.models,
    ...mounts,
  });
  const load = loadavg()[0];
  if (load > 0.5) console.error(`other work is running on this machine (load average ${load.toFixed(1)}): the times below are not worth much`);
  const browser = await openBrowser(server.origin);
  const measured = [];
  try {
    for (const device of asked.devices) {
      for (const name of asked.models) {
        const names = usable.filter((peer) => peers[peer].devices.includes(device));
        console.error(`measure ${models[name].title} on ${device}: ${names.join(", ")}`);
        measured.push({ name, device, results: await measureModel({ name, device, names, asked, browser, server }) });
      }
    }
  } finally {
    await browser.close();
    await server.close();
  }

  const files = new Map(measured.flatMap(({ results }) => Object.values(results).flatMap(({ fetched }) => [...(fetched ?? [])])));
  const sizes = await brotliSizes([...files].filter(([path]) => isRuntime(path)));
  const outcome = {
    date: new Date().toISOString().slice(0, 10),
    machine: { cpu: cpus()[0].model, cores: cpus().length, loadBefore: load, system: `${process.platform} ${process.arch}` },
    chromium: browser.version,
    rounds: asked.rounds,
    peers: Object.fromEntries(asked.peers.map((peer) => [peer, skipped[peer] ? { skipped: skipped[peer] } : { version: peers[peer].version() }])),
    measurements: measured.map(({ name, device, results }) => ({
      model: name,
      device,
      results: Object.fromEntries(
        Object.entries(results).map(([peer, result]) => {
          const ours = results.firebrand && !results.firebrand.failed ? results.firebrand : undefined;
          return [peer, summary(result, ours, sizes)];
        }),
      ),
    })),
    builds: buildSteps(),
  };
  outcome.targets = verdicts(outcome);

  const text = report(outcome);
  console.log(text);
  const base = join(places.results, asked.isWhole ? "latest" : "partial");
  await mkdir(places.results, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(outcome, null, 2)}\n`);
  await writeFile(`${base}.md`, text);
  await writeFile(`${base}.svg`, chart(outcome));
  if (outcome.targets.some(({ verdict }) => verdict === "FAIL")) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
