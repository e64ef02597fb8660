// burn-flex's convolutions alone, those of the model one after the other.
import init, { Convolution } from "/flex/peer.js";

let convolutions;

export async function start() {
  await init();
}

export async function prepare(model) {
  const layers = await (await fetch(model.file)).json();
  convolutions = layers.map(({ input, weight, stride, padding, groups }) => new Convolution(input, weight, stride, padding, groups));
}

export async function run() {
  for (const convolution of convolutions) convolution.run();
}

export function about() {
  return { device: "cpu", threads: 1, place: "page" };
}
