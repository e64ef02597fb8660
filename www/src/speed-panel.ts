/** How fast: answers of this session, the wait before the first, and on what it all ran. */
import type { Session } from "firebrand";
import type { Classifier, Look, Precision } from "./classifier";
import { element } from "./page";
import type { LoadProgress } from "./progress";
import { bytes, milliseconds, sentence } from "./words";

/** As many runs as the little chart shows. */
const SHOWN = 40;

export class SpeedPanel {
  readonly #runs: number[] = [];

  /** A new session: what was measured on the last one says nothing about it. */
  loaded(classifier: Classifier, progress: LoadProgress): void {
    this.#runs.length = 0;
    this.#draw();
    const { session, loadMs } = classifier;
    const { runtimeMs, modelMs, prepareMs } = session.info.timings;
    text("load-total", milliseconds(loadMs));
    text("runtime-ms", milliseconds(runtimeMs));
    text("model-ms", milliseconds(modelMs));
    text("prepare-ms", milliseconds(prepareMs));
    // Runtime and model come side by side; preparing waits for both.
    const fetched = Math.max(runtimeMs, modelMs);
    const whole = fetched + prepareMs;
    const bars = element("split", HTMLElement).children;
    [
      [0, runtimeMs],
      [0, modelMs],
      [fetched, prepareMs],
    ].forEach(([start = 0, length = 0], index) => {
      const { style } = bars[index] as HTMLElement;
      style.marginLeft = `${(start / whole) * 100}%`;
      style.width = `${(length / whole) * 100}%`;
    });
    const runtime = progress.bytes("runtime");
    const model = progress.bytes("model");
    text("fetched", bytes(runtime + model));
    text("fetched-detail", `Runtime ${bytes(runtime)}, model ${bytes(model)}, before compression.`);
    this.device(classifier);
  }

  device({ session: { info }, precision }: Classifier): void {
    text("device-name", info.device === "webgpu" ? "WebGPU" : "CPU");
    text("device-detail", deviceDetail(info, precision));
  }

  add(look: Look): void {
    this.#runs.push(look.runMs);
    this.#draw();
  }

  #draw(): void {
    const runs = this.#runs;
    const last = runs.at(-1);
    text("median", last === undefined ? "–" : milliseconds(median(runs)));
    text("runs", runs.length > 1 ? `of ${runs.length}` : "");
    text("last", last === undefined ? "Give it a photo to see." : `Last one ${milliseconds(last)}, quickest ${milliseconds(Math.min(...runs))}.`);
    const shown = runs.slice(-SHOWN);
    const highest = Math.max(...shown);
    element("history", HTMLElement).replaceChildren(
      ...shown.map((run) => {
        const bar = document.createElement("i");
        bar.style.height = `${Math.max(6, (run / highest) * 100)}%`;
        return bar;
      }),
    );
  }
}

function text(id: string, value: string): void {
  element(id, HTMLElement).textContent = value;
}

function deviceDetail(info: Session["info"], precision: Precision): string {
  const parts = precision === "int8" ? [] : [info.deviceReason];
  if (info.adapter && info.adapter !== "unnamed") parts.push(info.adapter);
  if (info.device === "webgpu") parts.push(`${info.nodes.webgpu} of ${info.nodes.total} nodes on the GPU`);
  if (info.device === "cpu") parts.push(cpuDetail(info));
  parts.push(`${bytes(info.memoryBytes)} of memory, ${precision}`);
  return parts.map(sentence).join(" ");
}

/** `One thread, relaxed SIMD` */
export function cpuDetail({ threads, simd }: Session["info"]): string {
  return `${threads === 1 ? "One thread" : `${threads} threads`}, ${simd === "relaxed" ? "relaxed SIMD" : "SIMD"}`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
