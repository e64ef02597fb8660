// Tensors of pictures, and pictures of tensors, by onnxruntime-common and by firebrand/ort beside each other.
import * as theirs from "onnxruntime-common";
import * as ours from "firebrand/ort";

/** A picture of 5 × 4 pixels, without transparency. */
function pixels() {
  const data = new Uint8ClampedArray(5 * 4 * 4);
  for (let at = 0; at < 20; at++) data.set([at * 12, 255 - at * 7, (at * 53) % 256, 255], at * 4);
  return new ImageData(data, 5, 4);
}

function canvasOf(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

async function imageOf(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

const plain = ({ type, dims, data }) => ({ type, dims: [...dims], array: data.constructor.name, data: [...data] });
const told = (call) => Promise.resolve().then(call).then((value) => value, (error) => ({ error: error.message }));

async function main() {
  const image = pixels();
  const url = canvasOf(image).toDataURL();
  const element = await imageOf(url);
  const norm = { mean: [1, 2, 4, 8], bias: [-1, -2, -3, -4] };
  const given = {
    "image data": [image],
    "image data, RGBA": [image, { tensorFormat: "RGBA" }],
    "image data, BGR": [image, { tensorFormat: "BGR", norm }],
    "image data, RBG": [image, { tensorFormat: "RBG", norm: { mean: 127.5, bias: -127.5 } }],
    "image data, cut off": [image, { resizedWidth: 3, resizedHeight: 2 }],
    "image data, with more": [image, { resizedWidth: 7, resizedHeight: 6 }],
    "image data, of bytes": [image, { dataType: "uint8" }],
    element: [element],
    "element, normalised": [element, { norm }],
    "element, cut off": [element, { resizedWidth: 3, resizedHeight: 2 }],
    bitmap: [await createImageBitmap(image), {}],
    "bitmap, BGR": [await createImageBitmap(image), { tensorFormat: "BGR", resizedWidth: 2, resizedHeight: 2 }],
    "data URL": [url],
    "data URL, RGBA": [url, { tensorFormat: "RGBA", norm }],
    "no picture": [3],
  };
  const outcomes = {};
  for (const [name, [source, options]] of Object.entries(given)) {
    outcomes[name] = [];
    // Theirs writes to the options.
    for (const ort of [theirs, ours]) outcomes[name].push(await told(async () => plain(await ort.Tensor.fromImage(source, options && { ...options }))));
  }
  for (const [name, [dims, options]] of Object.entries({
    "image data of RGB": [[1, 3, 2, 2]],
    "image data of RGBA": [[1, 4, 2, 2], { format: "RGBA" }],
    "image data, scaled": [[1, 3, 2, 2], { format: "RGB", norm: { mean: 100, bias: 0.1 } }],
    "image data of another shape": [[1, 4, 2, 2], { format: "RGB" }],
  })) {
    const data = Float32Array.from({ length: dims.reduce((count, axis) => count * axis) }, (_, at) => (at % 11) / 10);
    outcomes[name] = await Promise.all([theirs, ours].map((ort) => told(() => { const made = new ort.Tensor("float32", data, dims).toImageData(options); return [made.width, made.height, ...made.data]; })));
  }
  // Of whole numbers, so that no rounding is asked for.
  const rgb = Float32Array.from({ length: 12 }, (_, at) => (at * 20) / 255);
  outcomes["data URL of RGB"] = [];
  for (const ort of [theirs, ours]) {
    const drawn = await imageOf(new ort.Tensor("float32", rgb, [1, 3, 2, 2]).toDataURL());
    const canvas = Object.assign(document.createElement("canvas"), { width: 2, height: 2 });
    canvas.getContext("2d").drawImage(drawn, 0, 0);
    outcomes["data URL of RGB"].push([...canvas.getContext("2d").getImageData(0, 0, 2, 2).data]);
  }
  const half = (ort) => plain(new ort.Tensor("float16", Uint16Array.of(0x3c00, 0xc000), [2]));
  outcomes["float16 of bits"] = [half(theirs), half(ours)];
  outcomes["float16 of numbers"] = [theirs, ours].map((ort) => plain(new ort.Tensor("float16", [1.5, -2], [2])));
  const bgr = await told(() => [...new ours.Tensor("float32", [0, 0.2, 1], [1, 3, 1, 1]).toImageData({ format: "BGR" }).data]);
  const nhwc = await told(async () => plain(await ours.Tensor.fromImage(element, { tensorFormat: "RGB", tensorLayout: "NHWC", norm: { mean: 1 } })));
  return { outcomes, bgr, nhwc, pixels: [...image.data] };
}

globalThis.outcome = main();
