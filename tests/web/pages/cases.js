// Reads the stored cases of tests/models: inputs, and what ONNX Runtime made of them.

/** Reads a NumPy file of little-endian numbers in C order. */
export function readNpy(buffer) {
  const view = new DataView(buffer);
  const length = view.getUint8(6) === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const start = view.getUint8(6) === 1 ? 10 : 12;
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, start, length));
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((axis) => axis.trim()).map(Number);
  const kinds = { "<f4": ["float32", Float32Array], "|u1": ["uint8", Uint8Array], "<i4": ["int32", Int32Array], "<i8": ["int64", BigInt64Array], "|b1": ["bool", Uint8Array] };
  const [dtype, array] = kinds[/'descr': '([^']*)'/.exec(header)[1]];
  if (!/'fortran_order': False/.test(header)) throw new Error("a Fortran-ordered file");
  return { dtype, shape, data: new array(buffer.slice(start + length)) };
}

async function fetchOk(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response;
}

/** The picture of a case, as the browser decodes it. */
export async function readImage(url) {
  return createImageBitmap(await (await fetchOk(url)).blob());
}

/**
 * Reads the case in `folder` (a URL). `image` reads a picture for `Tensor.fromImage`; without it
 * the stored pixels are taken.
 */
export async function readCase(folder, Tensor, image) {
  const base = new URL(`${folder}/`, globalThis.location?.href ?? folder);
  const { inputs, outputs, expect } = await (await fetchOk(new URL("case.json", base))).json();
  const npy = async (path) => readNpy(await (await fetchOk(new URL(path, base))).arrayBuffer());
  const given = {};
  for (const [name, input] of Object.entries(inputs)) {
    if (input.file) {
      const { dtype, data, shape } = await npy(input.file);
      given[name] = new Tensor(dtype, data, shape);
    } else {
      const { mean, scale } = input;
      const options = { layout: input.layout.toUpperCase(), color: input.color.toUpperCase(), mean, scale };
      given[name] = Tensor.fromImage(image ? await image(new URL(input.image, base)) : rgba(await npy(input.pixels)), options);
    }
  }
  const expected = {};
  for (const [name, { file }] of Object.entries(outputs)) expected[name] = await npy(file);
  return { inputs: given, outputs: expected, expect };
}

/** Stored RGB pixels in the form of ImageData. */
function rgba({ shape: [height, width], data: rgb }) {
  const data = new Uint8ClampedArray(height * width * 4);
  for (let pixel = 0; pixel < height * width; pixel++) data.set([rgb[pixel * 3], rgb[pixel * 3 + 1], rgb[pixel * 3 + 2], 255], pixel * 4);
  return { width, height, data };
}
