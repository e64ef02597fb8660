// Weights out of the two pickle dialects our models come in, as { shape, data: Float32Array }.
import { readPickle } from "./pickle.mjs";

const product = (shape) => shape.reduce((a, b) => a * b, 1);

const float32At = (bytes) => new Float32Array(bytes.slice().buffer);

const numpyGlobals = (() => {
  const ndarray = {};
  const reconstruct = {
    reduce: () => ({ shape: [], data: null }),
    build: (array, [, shape, dtype, fortran, bytes]) => {
      if (dtype.name !== "f4" || dtype.order === ">" || fortran) throw new Error(`NumPy array ${JSON.stringify(shape)}: expected little-endian float32 in C order, got ${dtype.order ?? ""}${dtype.name}${fortran ? " in Fortran order" : ""}`);
      if (bytes.byteLength !== 4 * product(shape)) throw new Error(`NumPy array ${JSON.stringify(shape)}: expected ${4 * product(shape)} bytes, got ${bytes.byteLength}`);
      array.shape = shape;
      array.data = float32At(bytes);
    },
  };
  const dtype = {
    reduce: ([name]) => ({ name, order: undefined }),
    build: (type, [, order]) => { type.order = order; },
  };
  return {
    "numpy.core.multiarray _reconstruct": reconstruct,
    "numpy._core.multiarray _reconstruct": reconstruct,
    "numpy ndarray": ndarray,
    "numpy dtype": dtype,
  };
})();

/** A pickled dictionary of lists of NumPy arrays: Map<string, Tensor[]>. */
export function readNumpyWeights(bytes) {
  return readPickle(bytes, { globals: numpyGlobals }).value;
}

/** `data` with the axes in the order `axes`, as NumPy's transpose. */
export function transpose({ shape, data }, axes) {
  const strides = shape.map((_, i) => product(shape.slice(i + 1)));
  return gather(data, 0, axes.map((a) => shape[a]), axes.map((a) => strides[a]));
}

function gather(data, offset, shape, strides) {
  const out = new Float32Array(product(shape));
  const index = new Array(shape.length).fill(0);
  let from = offset;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return { shape, data: out };
}

const torchMagic = 0x1950a86a20f9469cfc6cn;

/**
 * A state dictionary in torch's file format before 1.6: five pickles, then the storages one after
 * another, each an int64 count and its elements. Map<string, Tensor>; integer tensors are left out.
 */
export function readTorchWeights(bytes) {
  let { value, end } = readPickle(bytes);
  if (value !== torchMagic) throw new Error("not a torch checkpoint of the old format: the magic number is missing");
  ({ value, end } = readPickle(bytes, { offset: end }));
  if (value !== 1001) throw new Error(`torch checkpoint: expected protocol 1001, got ${value}`);
  ({ value, end } = readPickle(bytes, { offset: end }));
  if (value.get("little_endian") !== true) throw new Error("torch checkpoint: expected little-endian data");

  const types = { "torch FloatStorage": { bytes: 4, float: true }, "torch LongStorage": { bytes: 8, float: false } };
  const storages = new Map();
  const persistent = ([kind, type, key, , count]) => {
    if (kind !== "storage" || !Object.values(types).includes(type)) throw new Error("torch checkpoint: expected float32 or int64 storages");
    if (!storages.has(key)) storages.set(key, { type, count, data: undefined });
    return storages.get(key);
  };
  const globals = {
    ...types,
    "collections OrderedDict": { reduce: () => new Map(), build: () => {} },
    "torch._utils _rebuild_tensor_v2": { reduce: ([storage, offset, shape, strides]) => ({ storage, offset, shape, strides }) },
  };
  const dictionary = readPickle(bytes, { offset: end, globals, persistent });
  const keys = readPickle(bytes, { offset: dictionary.end });

  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = keys.end;
  for (const key of keys.value) {
    const storage = storages.get(key);
    if (!storage) throw new Error(`torch checkpoint: storage ${key} belongs to no tensor`);
    const stop = at + 8 + storage.count * storage.type.bytes;
    if (stop > bytes.byteLength) throw new Error(`torch checkpoint: storage ${key} ends at byte ${stop}, the file at ${bytes.byteLength}: it is cut short`);
    if (Number(view.getBigInt64(at, true)) !== storage.count) throw new Error(`torch checkpoint: storage ${key} has another length than its tensors expect`);
    if (storage.type.float) storage.data = float32At(bytes.subarray(at + 8, stop));
    at = stop;
  }

  const tensors = new Map();
  for (const [name, { storage, offset, shape, strides }] of dictionary.value) {
    if (!storage.type.float) continue;
    const last = offset + shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], 0);
    if (last >= storage.count) throw new Error(`torch checkpoint: ${name} reaches past its storage`);
    tensors.set(name, gather(storage.data, offset, shape, strides));
  }
  return tensors;
}
