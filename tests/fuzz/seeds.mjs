// What the fuzzer of a reader starts from beside its corpus: the files that other tests have, taken apart where a target
// takes them in parts.
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, crc32, deflateSync, inflateRawSync } from "node:zlib";

const tests = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (...path) => readFile(join(tests, ...path));

/** The members of a zip file, by name. */
function unzipped(zip) {
  const members = {};
  let at = zip.readUInt32LE(zip.lastIndexOf("PK\x05\x06", undefined, "latin1") + 16);
  while (zip.readUInt32LE(at) === 0x02014b50) {
    const [packed, nameLength, extra, comment, local] = [20, 28, 30, 32, 42].map((field) => (field === 20 || field === 42 ? zip.readUInt32LE(at + field) : zip.readUInt16LE(at + field)));
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const bytes = zip.subarray(start, start + packed);
    members[zip.toString("latin1", at + 46, at + 46 + nameLength)] = zip.readUInt16LE(at + 10) === 0 ? bytes : inflateRawSync(bytes);
    at += 46 + nameLength + extra + comment;
  }
  return members;
}

/** A PNG file of noise. */
function png(width, height, colorType, channels) {
  const chunk = (type, data) => {
    const typed = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(typed));
    return Buffer.concat([length, typed, check]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, colorType, 0, 0, 0], 8);
  const line = 1 + width * channels;
  const pixels = Buffer.from(Array.from({ length: height * line }, (_, index) => (index % line === 0 ? 0 : (index * 167) % 256)));
  const palette = colorType === 3 ? [chunk("PLTE", Buffer.alloc(768, 90))] : [];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header), ...palette, chunk("IDAT", deflateSync(pixels)), chunk("IEND", Buffer.alloc(0))]);
}

/** A JPEG file of eight by eight pixels, all of one grey: one code of one bit in each table. */
function jpeg() {
  const segment = (marker, ...data) => [0xff, marker, 0, data.length + 2, ...data];
  const table = (id) => segment(0xc4, id, 1, ...Array(15).fill(0), 0);
  const frame = segment(0xc0, 8, 0, 8, 0, 8, 1, 1, 0x11, 0);
  const scan = [...segment(0xda, 1, 1, 0, 0, 63, 0), 0x3f];
  return Buffer.from([0xff, 0xd8, ...segment(0xdb, 0, ...Array(64).fill(1)), ...frame, ...table(0x00), ...table(0x10), ...scan, 0xff, 0xd9]);
}

/** The files that `tests/import/keras.py` made, by name. */
async function keras() {
  const raw = brotliDecompressSync(await read("import/keras.br"));
  const body = 4 + raw.readUInt32LE(0);
  const { files } = JSON.parse(raw.subarray(4, body).toString());
  return Object.entries(files).map(([name, [start, length]]) => [name, raw.subarray(body + start, body + start + length)]);
}

const arrays = async () => Object.values(unzipped(await read("weights/arrays.npz")));

const made = {
  async data() {
    const pictures = [png(6, 4, 2, 3), png(3, 5, 0, 1), png(4, 4, 3, 1), png(2, 3, 6, 4), jpeg()];
    const table = Buffer.from('a,b,"c d",label\n1,2.5,-3e2,0\n 4,5,6,1\n');
    return [...pictures, ...(await arrays()), await read("weights/arrays.npz"), table];
  },

  async keras() {
    const all = [];
    for (const [name, bytes] of await keras()) {
      if (name.endsWith(".h5")) all.push(bytes);
      if (name.endsWith(".json")) all.push(Buffer.from(JSON.stringify(JSON.parse(bytes.toString()).modelTopology.model_config ?? {})));
      if (!name.endsWith(".keras")) continue;
      const { "config.json": config, "model.weights.h5": weights } = unzipped(bytes);
      const text = Buffer.from(JSON.stringify(JSON.parse(config.toString())));
      all.push(bytes, text, Buffer.concat([text, weights]));
    }
    const { cases } = JSON.parse((await read("import/tfjs.json")).toString());
    for (const { model } of cases) all.push(Buffer.from(JSON.stringify(JSON.parse(model).modelTopology)));
    return all;
  },

  async package() {
    return [Buffer.from(JSON.stringify(JSON.parse((await read("package/tiny/manifest.json")).toString())))];
  },

  async tfjs() {
    const { cases } = JSON.parse((await read("import/tfjs.json")).toString());
    const all = cases.map(({ model }) => Buffer.from(model));
    for (const name of await readdir(join(tests, "import/tfjs-graph"))) {
      if (!name.endsWith(".json") || name === "cases.json") continue;
      const text = Buffer.from(JSON.stringify(JSON.parse((await read("import/tfjs-graph", name)).toString())));
      const shard = await read("import/tfjs-graph", name.replace(".json", ".bin")).catch(() => undefined);
      all.push(text, ...(shard ? [Buffer.concat([text, Buffer.from([0]), shard])] : []));
    }
    return [...all, ...(await keras()).filter(([name]) => name.endsWith(".json")).map(([, bytes]) => bytes)];
  },

  async tflite() {
    const names = await readdir(join(tests, "import/tflite"));
    return Promise.all(names.filter((name) => name.endsWith(".tflite")).map((name) => read("import/tflite", name)));
  },

  async weights() {
    const names = (await readdir(join(tests, "weights"))).filter((name) => /\.(pkl|pth|npz)$/.test(name));
    const files = await Promise.all(names.map((name) => read("weights", name)));
    const pickles = Object.entries(unzipped(await read("weights/state.pth"))).filter(([name]) => name.endsWith(".pkl")).map(([, bytes]) => bytes);
    const header = Buffer.from(JSON.stringify({ __metadata__: { format: "pt" }, a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] }, b: { dtype: "BF16", shape: [], data_offsets: [24, 26] } }));
    const length = Buffer.alloc(8);
    length.writeUInt32LE(header.length);
    const description = Buffer.from(JSON.stringify(JSON.parse((await read("weights/description.json")).toString())));
    return [...files, ...pickles, ...(await arrays()), Buffer.concat([length, header, Buffer.alloc(26)]), description];
  },
};

/** Writes the first inputs of `target` that are no longer than `longest` bytes to `folder`, which is new then. */
export async function seed(target, folder, longest) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const inputs = (await made[target]?.()) ?? [];
  const short = inputs.filter((input) => input.length <= longest);
  await Promise.all(short.map((input, index) => writeFile(join(folder, String(index)), input)));
}
