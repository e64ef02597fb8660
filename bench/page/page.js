// One runtime and one model in a fresh page: cold start, then rounds of runs when asked.
import { readNpy } from "/cases/cases.js";

const peer = new URL(location).searchParams.get("peer");

let adapter;
let model;
let expected;

const npy = async (url) => readNpy(await (await fetch(url)).arrayBuffer());
const nextFrame = () => new Promise((done) => requestAnimationFrame(done));
const { port1, port2 } = new MessageChannel();
/** Lets the page draw and react, as an application does between runs; a timer would idle for 4 ms between short ones. */
const breathe = () => new Promise((done) => {
  port1.onmessage = done;
  port2.postMessage(null);
});

/** The memories of every WebAssembly instance of the page, those in workers apart. They only ever grow. */
const memories = new Set();
for (const name of ["instantiate", "instantiateStreaming"]) {
  const original = WebAssembly[name];
  WebAssembly[name] = async (source, imports, ...rest) => {
    const result = await original.call(WebAssembly, source, imports, ...rest);
    const given = Object.values(imports ?? {}).flatMap((module) => Object.values(module));
    for (const value of [...Object.values((result.instance ?? result).exports), ...given]) if (value instanceof WebAssembly.Memory) memories.add(value);
    return result;
  };
}

/**
 * The longest time for which the page could not react: the longest task of more than 50 ms that the browser
 * reports, and the longest wait for a frame beyond the usual one. `milliseconds` is the larger of the two.
 */
class Stall {
  #tasks = 0;
  #gap = 0;
  #last = performance.now();
  #isOpen = true;
  #observer = new PerformanceObserver((list) => this.#take(list.getEntries()));

  constructor() {
    this.#observer.observe({ type: "longtask" });
    const frame = () => {
      if (!this.#isOpen) return;
      this.#frame();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  #frame() {
    const now = performance.now();
    this.#gap = Math.max(this.#gap, now - this.#last);
    this.#last = now;
  }

  #take(entries) {
    for (const { duration } of entries) this.#tasks = Math.max(this.#tasks, duration);
  }

  async end() {
    await nextFrame();
    await nextFrame();
    this.#frame();
    this.#isOpen = false;
    this.#take(this.#observer.takeRecords());
    this.#observer.disconnect();
    const frame = Math.max(0, this.#gap - 1000 / 60);
    return { longtask: this.#tasks, frame, milliseconds: Math.max(this.#tasks, frame) };
  }
}

/** The largest difference to the expected answer; a peer that is not asked for one gives none. */
function difference(got) {
  if (!expected) return undefined;
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]) || (Number.isNaN(value) ? Infinity : 0)), got.length === expected.length ? 0 : Infinity);
}

globalThis.bench = {
  /** Fetches what is no part of the measurement, and waits until the page is drawn. */
  async open(options) {
    model = options.model;
    for (const input of model.inputs) {
      const { data, shape, dtype } = await npy(input.url);
      Object.assign(input, input.int32 && dtype === "int64" ? { data: Int32Array.from(data, Number), dtype: "int32" } : { data, dtype }, { shape });
    }
    expected = model.expected && (await npy(model.expected)).data;
    if (!crossOriginIsolated) throw new Error("the page is not cross-origin isolated, so its clock is coarse");
    await nextFrame();
    await nextFrame();
  },

  /** From nothing to the first answer. */
  async cold(options) {
    const stall = new Stall();
    const begin = performance.now();
    adapter = await import(peer);
    await adapter.start(options);
    const started = performance.now();
    const split = await adapter.prepare(model);
    const prepared = performance.now();
    const answer = await adapter.run(model.inputs);
    const answered = performance.now();
    return {
      runtimeMs: started - begin + (split?.runtimeMs ?? 0),
      modelMs: split?.modelMs ?? prepared - started,
      firstRunMs: answered - prepared,
      totalMs: answered - begin,
      difference: difference(answer),
      stall: await stall.end(),
      about: adapter.about(),
    };
  },

  /** `count` runs, or as many as fit into `milliseconds`, at least two. */
  async round({ milliseconds, count = Infinity }) {
    const stall = new Stall();
    const samples = [];
    let answer;
    const end = performance.now() + milliseconds;
    do {
      const begin = performance.now();
      answer = await adapter.run(model.inputs);
      samples.push(performance.now() - begin);
      await breathe();
    } while (samples.length < count && (performance.now() < end || samples.length < 2));
    const { memoryBytes = [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, 0) } = adapter.about();
    return { samples, difference: difference(answer), memoryBytes, stall: await stall.end() };
  },

  /** Where the time goes, of a peer that tells. */
  profile: ({ runs }) => adapter.profile?.(model.inputs, runs),
};
