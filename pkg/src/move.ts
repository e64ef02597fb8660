//! Moving a session from the CPU to the GPU: readying the GPU while the CPU answers, and deciding by what both make of one run:
//! the same answer, in clearly less time. A file of its own, fetched where there is a GPU to move to.
import { FirebrandError } from "./error.js";
import { compare } from "./golden.js";
import type { GoldenTensor } from "./manifest.js";
import { tensorsOf, type WireTensor, type WireValue } from "./protocol.js";

/** The inputs of a run, and which outputs were asked for. */
export interface Run {
  inputs: WireValue[];
  outputs?: string[];
}

/** A host with the model. */
export interface Loaded {
  /** How many nodes of the model run on the GPU. */
  nodesOnGpu: number;
  isOpen(): boolean;
  repeat: Repeat;
  close(error?: FirebrandError): void;
}

/** Repeats a run; gives the host's time for it, in milliseconds. */
export type Repeat = (run: Run) => Promise<{ outputs: WireValue[]; lastRunMs: number }>;

/** Sees a run that the CPU has answered. */
export type Watch = (run: Run, results: WireValue[], ms: number) => void;

/** What a move needs of its session. */
export interface Movable<Gpu extends Loaded> {
  /** What messages call the GPU. */
  name: string;
  /** Ends the move: the session was disposed of. */
  signal: AbortSignal;
  /** Loads the model on the GPU. */
  start(): Promise<Gpu>;
  /** Has it told of the latest run that the CPU has answered, if there is one, and of all from now on. */
  watch(seen: Watch): void;
  /** Works when the runs in line are done; the CPU's host repeats a run there. */
  inTurn(work: (onCpu: Repeat) => Promise<string | undefined>): Promise<string | undefined>;
  /** Has the session go on with this host. */
  adopt(gpu: Gpu, reason: string): void;
}

/** How far an element may be off: a thousandth of its output's largest, or this, whichever is more. */
const tolerance = { absolute: 1e-4, relative: 1e-3 };

/** The first run of a GPU compiles its kernels; of so many further ones, in so many milliseconds, the quickest counts. */
const timedRuns = 3;
const timedMs = 1000;

/** A GPU that saves less than a tenth of the time is not worth the move. */
const worthwhile = 0.9;

/** A GPU that takes longer for the runs of the comparison, in milliseconds, is given up. */
const patienceMs = 60_000;

/** A run that the CPU has answered, to be repeated on the GPU. */
interface Probe extends Run {
  results: WireValue[];
}

/** Moves a session to the GPU if that is right and quicker. Gives why it stays on the CPU; nothing where it has moved. */
export async function moveToGpu<Gpu extends Loaded>(session: Movable<Gpu>): Promise<string | undefined> {
  const { name, signal } = session;
  const paces = new Map<string, { bestMs: number; runs: number }>();
  const keepPace = (run: Run, ms: number) => {
    const { bestMs, runs } = paces.get(shapesOf(run)) ?? { bestMs: Infinity, runs: 0 };
    paces.set(shapesOf(run), { bestMs: Math.min(bestMs, ms), runs: runs + 1 });
  };
  let latest: Probe | undefined;
  let onProbe = (_: Probe) => {};
  session.watch(({ inputs, outputs }, results, ms) => {
    // The caller may change what it is given.
    latest = { inputs, ...(outputs && { outputs }), results: structuredClone(results) };
    keepPace(latest, ms);
    onProbe(latest);
  });

  const gpu = await session.start();
  const close = () => gpu.close();
  signal.addEventListener("abort", close);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let hasMoved = false;
  try {
    if (gpu.nodesOnGpu === 0) return `no node of the model runs on ${name}`;
    const probe = latest ?? (await new Promise<Probe>((resolve) => (onProbe = resolve)));
    timer = setTimeout(() => gpu.close(new FirebrandError("device_unavailable", `a few runs took more than ${patienceMs / 1000} s`)), patienceMs);
    const weighed = await weigh(probe, gpu.repeat);
    clearTimeout(timer);
    if ("wrong" in weighed) return `${name} gave another answer than the CPU (${weighed.wrong})`;
    return await session.inTurn(async (onCpu) => {
      let pace = paces.get(shapesOf(probe))!;
      if (pace.runs < 2) {
        // One run may have been slow for being the first.
        keepPace(probe, (await onCpu(probe)).lastRunMs);
        pace = paces.get(shapesOf(probe))!;
      }
      const times = `${weighed.ms.toFixed(1)} ms a run, the CPU ${pace.bestMs.toFixed(1)} ms`;
      if (!isQuicker(weighed.ms, pace.bestMs)) return `${name} is not clearly quicker: it takes ${times}`;
      if (!gpu.isOpen()) return `${name} was ready, and then its worker ended`;
      hasMoved = true;
      session.adopt(gpu, `${name} gives the CPU's answers and is quicker: it takes ${times}`);
      return undefined;
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", close);
    if (!hasMoved) close();
  }
}

/** What the time of a run depends on. */
function shapesOf({ inputs, outputs }: Run): string {
  return JSON.stringify([outputs, inputs.map((value) => [value.name, tensorsOf(value).map(({ dtype, shape }) => [dtype, shape])])]);
}

/** Runs a probe on the GPU: its time, or where its answer is not the CPU's. */
async function weigh(probe: Probe, repeat: Repeat): Promise<{ ms: number } | { wrong: string }> {
  const first = await repeat(probe);
  const wrong = differenceOf(probe.results, first.outputs);
  if (wrong !== undefined) return { wrong };
  let ms = first.lastRunMs;
  let spent = 0;
  for (let turn = 0; turn < timedRuns && spent < timedMs; turn++) {
    const { lastRunMs } = await repeat(probe);
    ms = Math.min(ms, lastRunMs);
    spent += lastRunMs;
  }
  return { ms };
}

/** Whether a run that takes `gpuMs` there is clearly quicker than `cpuMs` here. */
export function isQuicker(gpuMs: number, cpuMs: number): boolean {
  return gpuMs < worthwhile * cpuMs;
}

/** Where `got` is another answer than `expected`, in words. */
export function differenceOf(expected: readonly WireValue[], got: readonly WireValue[]): string | undefined {
  const [should, is] = [expected.flatMap(named), got.flatMap(named)];
  if (should.map(([name]) => name).join() !== is.map(([name]) => name).join()) return `expected ${inWords(should)}, got ${inWords(is)}`;
  for (const [at, [name, tensor]] of should.entries()) {
    const other = is[at]![1];
    if (!(tensor.data instanceof Uint8Array)) {
      if (tensor.data.join("\0") !== (other.data as string[]).join("\0")) return `output ${JSON.stringify(name)}: other texts`;
      continue;
    }
    const stored: GoldenTensor = { dtype: tensor.dtype, shape: tensor.shape, offset: 0, bytes: tensor.data.byteLength };
    const compared = compare({ inputs: {}, outputs: { [name]: stored }, tolerance }, [{ name, ...other }], tensor.data);
    if ("wrong" in compared) return compared.wrong;
  }
  return undefined;
}

/** The tensors of a value, each by a name of its own. */
function named(value: WireValue): [name: string, tensor: WireTensor][] {
  if ("sequence" in value) return value.sequence.map((tensor, at) => [`${value.name}[${at}]`, tensor]);
  if ("maps" in value) return [[`${value.name}, keys`, value.maps.keys], [`${value.name}, values`, value.maps.values]];
  return "absent" in value ? [] : [[value.name, value]];
}

function inWords(tensors: [name: string, tensor: WireTensor][]): string {
  return tensors.map(([name]) => JSON.stringify(name)).join(", ") || "nothing";
}
