/** One runtime in one precision: its worker, and what was measured of it. */
import { median } from "../speed-panel";
import type { Open, Reply, Request } from "./messages";

/** What is known of a side so far. */
export interface Measured {
  readonly readyMs: number;
  readonly bytes: number;
  readonly about: string;
  /** All runs, in milliseconds. */
  readonly times: readonly number[];
  readonly answer: Float32Array;
}

export class Side {
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "compare" });
  #opened: Extract<Reply, { type: "opened" }> | undefined;
  readonly #times: number[] = [];
  #answer = new Float32Array();
  #bytes = 0;

  /** Loads the runtime and the model and answers once. */
  async open(request: Omit<Open, "type">): Promise<void> {
    const reply = await this.#ask({ type: "open", ...request });
    if (reply.type === "opened") this.#opened = reply;
  }

  /** Answers, and counts it unless it only warms up. */
  async run(count: number, isCounted = true): Promise<void> {
    const reply = await this.#ask({ type: "run", count });
    if (reply.type !== "ran") return;
    if (isCounted) this.#times.push(...reply.times);
    this.#answer = new Float32Array(reply.answer);
    this.#bytes = reply.bytes;
  }

  get measured(): Measured | undefined {
    if (!this.#opened) return undefined;
    const { readyMs, about } = this.#opened;
    return { readyMs, about, bytes: this.#bytes, times: this.#times, answer: this.#answer };
  }

  close(): void {
    this.#worker.terminate();
  }

  #ask(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => (data.type === "failed" ? reject(new Error(data.message)) : resolve(data));
      this.#worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message || "its worker could not be started"));
      };
      this.#worker.postMessage(request);
    });
  }
}

/** A quarter of the runs were quicker than the first, a quarter slower than the second. */
export function quartiles(times: readonly number[]): [lower: number, upper: number] {
  const sorted = [...times].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length < 2 ? [median(sorted), median(sorted)] : [median(sorted.slice(0, half)), median(sorted.slice(sorted.length - half))];
}
