//! What decides whether a session moves from the CPU to the GPU: the same answer, in clearly less time. A file of its own,
//! fetched where there is a GPU to move to.
import { compare } from "./golden.js";
import type { GoldenTensor } from "./manifest.js";
import type { WireTensor, WireValue } from "./protocol.js";

/** A run of the session on the CPU, to be repeated on the GPU. */
export interface Probe {
  inputs: WireValue[];
  outputs?: string[];
  /** What the CPU answered. */
  results: WireValue[];
}

/** Repeats a probe; gives the host's time for it, in milliseconds. */
export type Repeat = (probe: Probe) => Promise<{ outputs: WireValue[]; lastRunMs: number }>;

/** How far an element may be off: a thousandth of its output's largest, or this, whichever is more. */
const tolerance = { absolute: 1e-4, relative: 1e-3 };

/** The first run of a GPU compiles its kernels; of so many further ones, in so many milliseconds, the quickest counts. */
const timedRuns = 3;
const timedMs = 1000;

/** A GPU that saves less than a tenth of the time is not worth the move. */
const worthwhile = 0.9;

/** Runs a probe on the GPU: its time, or where its answer is not the CPU's. */
export async function weigh(probe: Probe, repeat: Repeat): Promise<{ ms: number } | { wrong: string }> {
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
