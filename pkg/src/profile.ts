import type { Device } from "./protocol.js";
import type { DType } from "./tensor.js";

/** What one run took, node by node. Times are in milliseconds, as `performance.now()` tells them. */
export interface Profile {
  /** The whole run. */
  readonly durationMs: number;
  /**
   * The nodes that ran, in order. The nodes of a body (of If, Loop, Scan) count for the node that has it. On WebGPU
   * each node is waited for, so that its time is its own; such a run takes longer than others.
   */
  readonly nodes: readonly NodeProfile[];
  /**
   * The most multiply-adds that this machine's CPU makes in a second: one thread, over registers alone, with the
   * instructions that the runtime's kernels are made of. Measured after the run, in about 20 ms.
   */
  readonly peak: { readonly float32: number; readonly int8: number };
}

/** What a node took. */
export interface NodeProfile {
  /** The node's name in the model. */
  readonly name: string;
  /** The operator that ran. */
  readonly operator: string;
  /** Where it ran. */
  readonly device: Device;
  /** Since the run began. */
  readonly startMs: number;
  /** What it took, without the nodes before it. */
  readonly durationMs: number;
  /** Of sums of products: convolutions, matrix products, attention, recurrent layers. A bias or an activation is not counted. */
  readonly multiplyAdds: number;
  /** How much of the peak they reach; 1 is all of it. Only of nodes on the CPU that have some. */
  readonly shareOfPeak?: number;
  /** Bytes of the inputs. */
  readonly bytesRead: number;
  /** Bytes of the outputs. */
  readonly bytesWritten: number;
  /** Each output; `null` for what is no tensor. */
  readonly outputs: readonly ({ readonly dtype: DType; readonly shape: readonly number[] } | null)[];
}

/**
 * A profile as JSON that chrome://tracing, [Perfetto](https://ui.perfetto.dev) and their like open.
 *
 * ```js
 * const { profile } = await session.run(inputs, { profile: true });
 * link.href = URL.createObjectURL(new Blob([toChromeTrace(profile)], { type: "application/json" }));
 * ```
 */
export function toChromeTrace(profile: Profile): string {
  // The format counts in microseconds.
  const micros = (ms: number) => ms * 1000;
  const place = { ph: "X", pid: 1, tid: 1 };
  const run = { name: "run", cat: "run", ...place, ts: 0, dur: micros(profile.durationMs) };
  const nodes = profile.nodes.map(({ name, operator, device, startMs, durationMs, multiplyAdds, shareOfPeak, bytesRead, bytesWritten, outputs }) => ({
    name,
    cat: operator,
    ...place,
    ts: micros(startMs),
    dur: micros(durationMs),
    args: {
      operator,
      device,
      multiplyAdds,
      ...(shareOfPeak !== undefined && { shareOfPeak }),
      bytesRead,
      bytesWritten,
      outputs: outputs.map((output) => (output ? `${output.dtype} [${output.shape.join(", ")}]` : "")).join(", "),
    },
  }));
  const named = { name: "process_name", ph: "M", pid: 1, tid: 1, args: { name: "Firebrand" } };
  return JSON.stringify({ traceEvents: [named, run, ...nodes], displayTimeUnit: "ms" });
}
