//! Finding the largest float32 tensor that a model stores or declares, which is what a GPU must be able to hold. Sizes are
//! read from the file's outer fields; what is malformed is left for the runtime to tell.
import type { ModelReport } from "./protocol.js";

/** Field numbers of onnx.proto, and the number of its float32. */
const graphOfModel = 7;
const initializerOfGraph = 5;
const dimsOfTensor = 1;
const dtypeOfTensor = 2;
const nameOfTensor = 8;
const float32 = 1;

export interface NamedSize {
  what: string;
  bytes: number;
}

/** The largest float32 tensor among the weights, inputs and outputs. Axes that may vary count as 1. */
export function largestTensor(model: Uint8Array, { inputs, outputs }: Pick<ModelReport, "inputs" | "outputs">): NamedSize | undefined {
  let largest: NamedSize | undefined;
  const consider = (what: () => string, shape: readonly number[]) => {
    const bytes = shape.reduce((product, size) => product * size, 4);
    if (bytes > (largest?.bytes ?? 0)) largest = { what: what(), bytes };
  };
  for (const [kind, values] of [["input", inputs], ["output", outputs]] as const) {
    for (const { name, dtype, shape } of values) {
      if (dtype === "float32") consider(() => `the ${kind} ${JSON.stringify(name)}`, shape.map((axis) => (typeof axis === "number" ? axis : 1)));
    }
  }
  try {
    for (const graph of fields(model)) {
      if (graph.field !== graphOfModel || !graph.bytes) continue;
      for (const initializer of fields(graph.bytes)) {
        if (initializer.field !== initializerOfGraph || !initializer.bytes) continue;
        const shape: number[] = [];
        let dtype = 0;
        let name = new Uint8Array();
        for (const { field, value, bytes } of fields(initializer.bytes)) {
          if (field === dimsOfTensor) shape.push(...(bytes ? packed(bytes) : [value]));
          else if (field === dtypeOfTensor) dtype = value;
          else if (field === nameOfTensor && bytes) name = bytes as Uint8Array<ArrayBuffer>;
        }
        if (dtype === float32) consider(() => `the weight ${JSON.stringify(new TextDecoder().decode(name))}`, shape);
      }
    }
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  return largest;
}

class Malformed extends Error {}

interface Field {
  field: number;
  /** Of a number. */
  value: number;
  /** Of anything that has a length. */
  bytes?: Uint8Array;
}

function* fields(message: Uint8Array): Generator<Field> {
  for (let at = 0; at < message.byteLength; ) {
    const [tag, start] = varint(message, at);
    const field = Math.floor(tag / 8);
    const kind = tag % 8;
    if (kind === 0) {
      const [value, end] = varint(message, start);
      at = end;
      yield { field, value };
    } else if (kind === 2) {
      const [length, from] = varint(message, start);
      at = from + length;
      if (at > message.byteLength) throw new Malformed();
      yield { field, value: 0, bytes: message.subarray(from, at) };
    } else if (kind === 1 || kind === 5) {
      at = start + (kind === 1 ? 8 : 4);
    } else {
      throw new Malformed();
    }
  }
}

function packed(bytes: Uint8Array): number[] {
  const values = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const [value, end] = varint(bytes, at);
    values.push(value);
    at = end;
  }
  return values;
}

/** A number, and where it ends. */
function varint(bytes: Uint8Array, at: number): [value: number, end: number] {
  let value = 0;
  for (let shift = 1; ; shift *= 128) {
    const byte = bytes[at++];
    if (byte === undefined || shift > 2 ** 63) throw new Malformed();
    value += (byte & 127) * shift;
    if (byte < 128) return [value, at];
  }
}
