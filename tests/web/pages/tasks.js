// The tasks as a plain page sees them, and what they are given.
import { FirebrandError } from "../pkg/dist/index.js";
import * as tasks from "../pkg/dist/tasks.js";

/** A task by its factory, on its package. */
const open = (factory, name, options) => tasks[factory](`../tasks/${name}/manifest.json`, { device: "cpu", ...options });

/** The error of a promise that must reject. */
async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error instanceof FirebrandError ? { kind: error.kind, message: error.message } : { kind: `not a FirebrandError: ${error?.stack ?? error}` };
  }
  return { kind: "nothing was thrown" };
}

const blob = async (path) => (await fetch(path)).blob();

/** Parts of a photo, side by side; the whole of it where none are given. */
async function picture(path, ...parts) {
  const whole = await createImageBitmap(await blob(`../data/photos/${path}`));
  if (parts.length === 0) return whole;
  const canvas = new OffscreenCanvas(parts.reduce((sum, part) => sum + part[2], 0), parts[0][3]);
  const context = canvas.getContext("2d");
  let at = 0;
  for (const [x, y, width, height] of parts) {
    context.drawImage(whole, x, y, width, height, at, 0, width, height);
    at += width;
  }
  return canvas;
}

/** The samples of a 16-bit file of one channel. */
async function wav(path) {
  const bytes = new DataView(await (await fetch(path)).arrayBuffer());
  let at = 12;
  while (bytes.getUint32(at) !== 0x64617461) at += 8 + bytes.getUint32(at + 4, true);
  const samples = Float32Array.from({ length: bytes.getUint32(at + 4, true) / 2 }, (_, sample) => bytes.getInt16(at + 8 + 2 * sample, true) / 32768);
  return { samples, sampleRate: bytes.getUint32(24, true) };
}

/** A video of that many frames, each another; it plays when it is asked to. */
async function clip(count) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: "video/webm" });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((done) => (recorder.onstop = done));
  recorder.start();
  for (let frame = 0; frame < count; frame++) {
    context.fillStyle = `hsl(${frame * 37} 80% 50%)`;
    context.fillRect(0, 0, 64, 48);
    await new Promise((done) => setTimeout(done, 1000 / 30));
  }
  recorder.stop();
  await stopped;
  const video = Object.assign(document.createElement("video"), { muted: true, src: URL.createObjectURL(new Blob(parts, { type: "video/webm" })) });
  document.body.append(video);
  await new Promise((done, fail) => Object.assign(video, { onloadeddata: done, onerror: () => fail(video.error) }));
  return video;
}

/** Counts bitmaps that are open from now on. */
function countBitmaps() {
  const count = { open: 0, most: 0, made: 0 };
  const make = globalThis.createImageBitmap;
  globalThis.createImageBitmap = async (...given) => {
    const bitmap = await make.apply(globalThis, given);
    count.made++;
    count.most = Math.max(count.most, ++count.open);
    return bitmap;
  };
  const close = ImageBitmap.prototype.close;
  ImageBitmap.prototype.close = function () {
    if (this.width > 0) count.open--;
    close.call(this);
  };
  return count;
}

Object.assign(globalThis, { tasks, open, rejection, blob, picture, wav, clip, countBitmaps });
