// Measures Firebrand and its peers in one headless Chromium, in turns.
//   node bench/run.mjs [--models mobilenetv2,minilm] [--precision f32,int8] [--only firebrand,litert]
//                      [--devices cpu,webgpu,native] [--rounds 6] [--cold 3] [--round-ms 600]
// Prints the tables; a run of everything also writes results/latest.md, .json and .svg, any other results/partial.*.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { openBrowser } from "./browser.mjs";
import { chart } from "./chart.mjs";
import { measureNative } from "./native.mjs";
import { peers } from "./peers.mjs";
import { models, places, precisions } from "./places.mjs";
import { prepare } from "./prepare.mjs";
import { measurePruned } from "./pruned.mjs";
import { report } from "./report.mjs";
import { serve } from "./server.mjs";
import { median, quantile, ratio, shuffled } from "./statistics.mjs";
import { limits, targets } from "./targets.mjs";

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

const isHarness = (path) => ["/page/", "/peers/", "/cases/", "/prepared/tiny/"].some((folder) => path.startsWith(folder)) || path.endsWith(".npy");
const isModel = (path) => path.startsWith("/prepared/models/");
const isRuntime = (path) => !isHarness(path) && !isModel(path);

function options() {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      models: { type: "string" },
      precision: { type: "string" },
      devices: { type: "string" },
      rounds: { type: "string", default: "6" },
      cold: { type: "string", default: "3" },
      "round-ms": { type: "string", default: "600" },
    },
  });
  const choose = (flag, all) => {
    const chosen = values[flag]?.split(",") ?? all;
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
    peers: choose("only", Object.keys(peers)),
    models: choose("models", Object.keys(models)),
    precisions: choose("precision", Object.keys(precisions)),
    devices: choose("devices", ["cpu", "webgpu", "native"]),
    rounds: number("rounds"),
    cold: number("cold"),
    roundMs: number("round-ms"),
    isWhole: !["only", "models", "precision", "devices"].some((flag) => values[flag]),
  };
}

/** Who takes part in a model's measurement, each with a form of it; and who does not, with the reason. */
async function contestants(name, device, asked, unusable) {
  const about = JSON.parse(await readFile(join(places.models, name, "case.json"), "utf8"));
  const taking = [];
  const leftOut = [];
  for (const precision of asked.precisions.filter((one) => models[name].precisions.includes(one) && (device === "cpu" || one === "f32"))) {
    for (const peer of asked.peers.filter((one) => peers[one].devices.includes(device))) {
      try {
        if (unusable.has(peer)) throw new Error(unusable.get(peer));
        const { file, expected } = peers[peer].form(name, precision);
        const at = (path) => `/prepared/models/${name}/${path}`;
        const isChannelsLast = peers[peer].layout === "nhwc" && about.channelsLast;
        const model = {
          file: at(file),
          inputs: about.inputs.map((input) => ({ name: input.name, int32: peers[peer].int32 ?? false, url: at(isChannelsLast ? about.channelsLast : input.file) })),
          output: about.output.name,
          expected: expected && at(about.expected[expected]),
        };
        taking.push({ peer, precision, model, cold: [], rounds: [] });
      } catch (error) {
        leftOut.push({ peer, precision, reason: error.message });
      }
    }
  }
  return { taking, leftOut, multiplyAdds: about.multiplyAdds, range: about.range };
}

async function measureModel({ name, device, taking, asked, browser, server }) {
  const isCpu = device === "cpu";
  const timeout = isCpu ? 60_000 : 120_000;
  const fail = async (one, error) => {
    one.failed = error.message;
    console.error(`${peers[one.peer].title}, ${models[name].title}, ${precisions[one.precision]}, ${device}: ${error.message}`);
    await one.page?.close();
    one.page = undefined;
  };
  const living = () => taking.filter(({ failed }) => !failed);

  // SwiftShader draws with the CPU: a few runs show that the answer stays right, none how quick a GPU is.
  // The first pass is traced, for the longest task; where there are others, only they are timed.
  const passes = isCpu ? asked.cold + 1 : 1;
  for (let pass = 0; pass < passes; pass++) {
    for (const one of shuffled(living())) {
      try {
        server.takeFetched();
        one.page = await browser.openPage(peers[one.peer].adapter, { model: one.model }, timeout);
        const start = async () => {
          const before = await browser.rendererCpu();
          const cold = await one.page.call("cold", { device, ...peers[one.peer].options });
          one.cold.push({ ...cold, cpuMs: (await browser.rendererCpu()) - before });
        };
        if (pass === 0) {
          one.longestTaskMs = await one.page.longestTask(async () => {
            await start();
            one.rounds.push(await one.page.call("round", { milliseconds: 0, count: isCpu ? 5 : 2 }));
          });
        } else {
          if (pass === 1) Object.assign(one, { cold: [], rounds: [] });
          await start();
        }
        one.fetched = server.takeFetched();
        if (pass < passes - 1) {
          await one.page.close();
          one.page = undefined;
        }
      } catch (error) {
        await fail(one, error);
      }
    }
  }

  const rounds = isCpu ? asked.rounds : 0;
  if (rounds > 0) {
    for (const one of living()) await one.page.call("round", { milliseconds: 1000 }).catch((error) => fail(one, error));
  }
  for (let round = 0; round < rounds; round++) {
    for (const one of shuffled(living())) {
      try {
        const before = await browser.rendererCpu();
        const measured = await one.page.call("round", { milliseconds: asked.roundMs });
        const after = await browser.rendererCpu();
        one.rounds.push({ ...measured, cpuMs: (after - before) / measured.samples.length });
      } catch (error) {
        await fail(one, error);
      }
    }
  }
  for (const one of living()) {
    try {
      if (isCpu && !peers[one.peer].isVariant) one.profile = await one.page.call("profile", { runs: 10 });
      await one.page.close();
    } catch (error) {
      await fail(one, error);
    }
  }
}

const samplesOf = ({ rounds }) => rounds.map(({ samples }) => samples);
const cpuOf = ({ rounds }) => rounds.map(({ cpuMs }) => [cpuMs]);

/** By the clock, and by CPU time, which stays true while other work delays the runs; where both are known. */
function ratios(ours, theirs) {
  if (!ours || !theirs) return undefined;
  const byCpu = ratio(cpuOf(ours), cpuOf(theirs));
  return { ...ratio(samplesOf(ours), samplesOf(theirs)), byCpu: Number.isFinite(byCpu.median) ? byCpu : undefined };
}

/** What is kept of one contestant's measurement. */
function summary(one, taking, multiplyAdds, sizes) {
  const { peer, precision } = one;
  if (one.failed) return { peer, precision, failed: one.failed };
  const { cold, rounds, fetched } = one;
  const samples = samplesOf(one).flat();
  const middle = (key) => median(cold.map((pass) => pass[key]));
  const total = (list, pick) => list.reduce((sum, each) => sum + pick(each), 0);
  const files = [...fetched].filter(([path]) => isRuntime(path)).map(([path, bytes]) => ({ path, raw: bytes.length, brotli: sizes.get(path) }));
  const most = (values) => Math.max(...values);
  const differences = [...cold, ...rounds].map(({ difference }) => difference).filter((value) => value !== undefined);
  const ours = (wanted) => taking.find((other) => other.peer === "firebrand" && other.precision === wanted && !other.failed);
  const medianMs = median(samples);
  const cpuMsPerRun = Number.isFinite(rounds[0].cpuMs) ? median(cpuOf(one).flat()) : undefined;
  return {
    peer,
    precision,
    about: cold[0].about,
    download: { raw: total(files, ({ raw }) => raw), brotli: total(files, ({ brotli }) => brotli), files },
    modelBytes: total([...fetched].filter(([path]) => isModel(path) && !isHarness(path)), ([, bytes]) => bytes.length),
    cold: { runtimeMs: middle("runtimeMs"), modelMs: middle("modelMs"), firstRunMs: middle("firstRunMs"), totalMs: middle("totalMs"), cpuMs: middle("cpuMs"), passes: cold.length },
    steady: {
      medianMs,
      p95Ms: quantile(samples, 0.95),
      runs: samples.length,
      cpuMsPerRun,
      gigaOpsPerSecond: multiplyAdds ? (2 * multiplyAdds) / ((cpuMsPerRun ?? medianMs) * 1e6) : undefined,
      // Part of the other's time that Firebrand takes at the same precision.
      ratio: ratios(ours(precision), one),
      // Part of its own time in float32.
      ofFloat: peer === "firebrand" && precision !== "f32" ? ratios(one, ours("f32")) : undefined,
    },
    profile: one.profile,
    memoryBytes: most(rounds.map(({ memoryBytes }) => memoryBytes)) || undefined,
    stall: {
      taskCpuMs: one.longestTaskMs,
      coldMs: most(cold.map(({ stall }) => stall.milliseconds)),
      runMs: most(rounds.map(({ stall }) => stall.milliseconds)),
    },
    difference: differences.length ? most(differences) : undefined,
  };
}

/** The sizes after each step of building the WebAssembly, as scripts/wasm.mjs wrote them. */
function buildSteps() {
  const builds = ["cpu-simd128", "cpu-relaxed", "cpu-threads", "cpu-all", "webgpu", "convert"].map((build) => join(places.wasm, build, "sizes.json"));
  return builds.filter((file) => existsSync(file)).map((file) => {
    const { name, steps } = JSON.parse(readFileSync(file, "utf8"));
    return { name, steps: steps.map(({ step, raw, gzip, brotli }) => ({ step, raw, gzip, brotli })) };
  });
}

/** Everything that runs in the browser. */
async function measureInBrowser(asked) {
  const unusable = await prepare(asked.models, asked.peers);
  const mounts = {};
  for (const peer of asked.peers.filter((one) => !unusable.has(one))) {
    try {
      Object.assign(mounts, peers[peer].mounts());
    } catch (error) {
      unusable.set(peer, error.message);
    }
  }
  for (const [peer, reason] of unusable) console.error(`${peers[peer].title} is left out: ${reason}`);
  const server = await serve({
    "/peers/": join(places.here, "peers"),
    "/page/": join(places.here, "page"),
    "/cases/": join(places.repository, "tests/web/pages"),
    "/prepared/": places.prepared,
    ...mounts,
  });
  const browser = await openBrowser(server.origin);
  const measured = [];
  try {
    for (const device of asked.devices.filter((one) => one !== "native")) {
      for (const name of asked.models.filter((one) => device === "cpu" || models[one].gpu)) {
        const about = await contestants(name, device, asked, unusable);
        console.error(`measure ${models[name].title} on ${device}: ${about.taking.map(({ peer, precision }) => `${peer} ${precision}`).join(", ")}`);
        await measureModel({ name, device, taking: about.taking, asked, browser, server });
        measured.push({ name, device, ...about });
      }
    }
  } finally {
    await browser.close();
    await server.close();
  }

  const files = new Map(measured.flatMap(({ taking }) => taking.flatMap(({ fetched }) => [...(fetched ?? [])])));
  const sizes = await brotliSizes([...files].filter(([path]) => isRuntime(path)));
  return {
    chromium: browser.version,
    peers: Object.fromEntries(asked.peers.map((peer) => [peer, unusable.has(peer) ? { skipped: unusable.get(peer) } : { version: peers[peer].version() }])),
    measurements: measured.map(({ name, device, taking, leftOut, multiplyAdds, range }) => ({
      model: name,
      device,
      multiplyAdds,
      range,
      results: taking.map((one) => summary(one, taking, multiplyAdds, sizes)),
      leftOut,
    })),
  };
}

async function main() {
  const asked = options();
  const load = loadavg()[0];
  if (load > 0.5) console.error(`other work is running on this machine (load average ${load.toFixed(1)}): the times below are not worth much`);
  const outcome = {
    date: new Date().toISOString().slice(0, 10),
    machine: { cpu: cpus()[0].model, cores: cpus().length, loadBefore: load, system: `${process.platform} ${process.arch}` },
    rounds: asked.rounds,
    ...(await measureInBrowser(asked)),
    native: asked.devices.includes("native") ? await measureNative(asked) : undefined,
    pruned: asked.devices.includes("native") ? await measurePruned(asked) : undefined,
    builds: buildSteps(),
  };
  outcome.machine.loadAfter = loadavg()[0];
  outcome.limits = limits(outcome);
  outcome.targets = targets(outcome);

  const text = report(outcome);
  console.log(text);
  const base = join(places.results, asked.isWhole ? "latest" : "partial");
  await mkdir(places.results, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(outcome, null, 2)}\n`);
  await writeFile(`${base}.md`, text);
  await writeFile(`${base}.svg`, chart(outcome));
  if (outcome.limits.some(({ verdict }) => verdict === "FAIL")) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
