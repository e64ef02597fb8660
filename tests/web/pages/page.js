// The package as a plain page sees it: by a relative URL, so that the page's switches apply to it.
import * as firebrand from "../pkg/dist/index.js";
import { readCase, readImage } from "./cases.js";
import * as tiny from "./tiny-model.js";

const { FirebrandError, Tensor, load } = firebrand;

/** What an error tells, in a form that crosses to the test. */
function told(error) {
  if (!(error instanceof FirebrandError)) return { kind: `not a FirebrandError: ${error?.stack ?? error}` };
  const { kind, message, node, operator, file, cause } = error;
  return { kind, message, node, operator, file, cause: cause === undefined ? undefined : String(cause) };
}

/** The error of a promise that must reject. */
async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return told(error);
  }
  return { kind: "nothing was thrown" };
}

/** Runs a stored case; how far the outputs are from ONNX Runtime's, and where the largest value is. */
async function runCase(session, folder) {
  const { inputs, outputs, expect } = await readCase(`../cases/${folder}`, Tensor, readImage);
  const results = await session.run(inputs);
  let worst = 0;
  for (const [name, { data, shape }] of Object.entries(outputs)) {
    const got = results[name];
    if (String(got?.shape) !== String(shape)) throw new Error(`${name}: shape ${got?.shape}, expected ${shape}`);
    for (let at = 0; at < data.length; at++) {
      const difference = Math.abs(got.data[at] - data[at]);
      // A NaN is as far away as can be.
      if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
    }
  }
  const scores = results[expect.output].data;
  return { worst, top: scores.indexOf(Math.max(...scores)), expected: expect };
}

const pixels = (...values) => new Tensor("float32", Float32Array.from(values), [values.length / 3, 3]);

/** Whether a session still answers rightly. */
async function answers(session) {
  const { sum } = await session.run({ pixels: pixels(10, 20, 30) });
  return [...sum.data];
}

/** The longest time, in milliseconds, that the page was not free while `work` went on. */
async function longestStall(work) {
  let longest = 0;
  let last = performance.now();
  let isOver = false;
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    // A timer lets the work's own messages in; the channel alone would come first each time.
    if (!isOver) setTimeout(() => channel.port2.postMessage(0), 0);
  };
  channel.port2.postMessage(0);
  const result = await work();
  isOver = true;
  longest = Math.max(longest, performance.now() - last);
  channel.port1.close();
  return { longest, result };
}

Object.assign(globalThis, { firebrand, load, Tensor, tiny, told, rejection, runCase, pixels, answers, longestStall });
