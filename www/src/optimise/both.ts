/** The original and what was made of it, loaded side by side, on the CPU: there both can run. */
import { load, Tensor, type AnyTensor, type DType, type Manifest, type Session, type TensorData, type ValueInfo } from "firebrand";
import { convert, type BuiltPackage } from "firebrand/convert";
import { median } from "../speed-panel";
import type { GivenModel } from "../model-choice";

/** A comparison stops at whichever comes first, but answers once in each. */
const ROUNDS = 8;
const COMPARE_MS = 3000;

/** What one of the two gave. */
export interface Side {
  /** The first output's numbers; none where it has none that can be shown. */
  readonly numbers: readonly number[] | undefined;
  /** The median, in milliseconds. */
  readonly runMs: number;
  readonly memoryBytes: number;
}

export interface Compared {
  readonly original: Side;
  readonly optimised: Side;
  readonly rounds: number;
  /** Of any element of the first output, where both have as many. */
  readonly largestDifference: number | undefined;
  /** What the places of that output stand for, if the package says so. */
  readonly labels: readonly string[] | undefined;
}

export class Both {
  private constructor(
    readonly original: Session,
    readonly optimised: Session,
  ) {}

  static async load(model: GivenModel, { files, report }: BuiltPackage, signal: AbortSignal): Promise<Both> {
    const { externalData, arch, name } = model;
    const given = async () => {
      if (report.format === "onnx") return load(model.source, { externalData, device: "cpu", signal });
      const converted = await convert(model.source, { name, externalData, ...(arch !== undefined && { arch }), signal });
      return load(converted.model, { device: "cpu", signal });
    };
    const packed = async () => {
      const manifest = files.at(-1);
      if (!manifest) throw new Error("the package has no files");
      const others = Object.fromEntries(files.slice(0, -1).map((file) => [file.name, file.bytes]));
      return load(manifest.bytes, { externalData: others, device: "cpu", cache: "none", signal });
    };
    const loaded = await Promise.allSettled([given(), packed()]);
    const [original, optimised] = loaded;
    if (original.status === "fulfilled" && optimised.status === "fulfilled") return new Both(original.value, optimised.value);
    for (const result of loaded) if (result.status === "fulfilled") void result.value.dispose();
    throw loaded.find((result) => result.status === "rejected")?.reason;
  }

  /** Whether the model takes one picture. */
  get takesPicture(): boolean {
    return this.#preprocessing !== undefined && this.original.inputs.length === 1;
  }

  /** Both answer in turns, so that what else the machine does meets both. Without a picture they get random numbers. */
  async compare(picture: ImageBitmap | undefined, still: () => boolean): Promise<Compared> {
    const pixels = picture && this.#preprocessing ? Tensor.fromImage(picture, this.#preprocessing) : undefined;
    const inputs = pixels ? { [this.original.inputs[0]?.name ?? ""]: pixels } : randomInputs(this.original.inputs);
    const runs: Record<"original" | "optimised", number[]> = { original: [], optimised: [] };
    const answers: { original?: readonly number[] | undefined; optimised?: readonly number[] | undefined } = {};
    // The first answers warm up.
    for (const side of ["original", "optimised"] as const) await this[side].run(inputs);
    const end = performance.now() + COMPARE_MS;
    for (let round = 0; round < ROUNDS && still() && (round === 0 || performance.now() < end); round++) {
      for (const side of ["original", "optimised"] as const) {
        const session = this[side];
        const started = performance.now();
        const outputs = await session.run(inputs);
        runs[side].push(performance.now() - started);
        answers[side] = numbersOf(outputs[session.outputs[0]?.name ?? ""]);
      }
    }
    const [a, b] = [answers.original, answers.optimised];
    const side = (name: "original" | "optimised"): Side => ({ numbers: answers[name], runMs: median(runs[name]), memoryBytes: this[name].info.memoryBytes });
    return {
      original: side("original"),
      optimised: side("optimised"),
      rounds: runs.optimised.length,
      largestDifference: a && b && a.length === b.length ? a.reduce((largest, value, at) => Math.max(largest, Math.abs(value - (b[at] ?? 0))), 0) : undefined,
      labels: this.optimised.manifest?.outputs[0]?.labels,
    };
  }

  dispose(): void {
    void this.original.dispose();
    void this.optimised.dispose();
  }

  get #preprocessing() {
    const { preprocessing } = (this.optimised.manifest as Manifest | undefined)?.inputs[0] ?? {};
    return preprocessing?.kind === "image" ? preprocessing : undefined;
  }
}

/** An output's elements as numbers; none where they are bits of halves, or no numbers. */
function numbersOf(value: AnyTensor | undefined): number[] | undefined {
  if (!value || !("data" in value)) return undefined;
  if (["string", "float16", "bfloat16"].includes(value.dtype) || value.dtype.startsWith("float8")) return undefined;
  return Array.from(value.data as Iterable<number | bigint>, Number);
}

/** The same numbers for both: floats from 0 to 1, small whole numbers; 1 for each axis that may vary. */
function randomInputs(infos: readonly ValueInfo[]): Record<string, Tensor> {
  const required = infos.filter(({ optional, kind }) => !optional && kind === undefined);
  return Object.fromEntries(
    required.map(({ name, dtype, shape }) => {
      const sizes = shape.map((size) => (typeof size === "number" ? size : 1));
      const count = sizes.reduce((product, size) => product * size, 1);
      const of = dtype as DType;
      return [name, new Tensor(of, randomData(of, count), sizes)];
    }),
  );
}

function randomData(dtype: DType, count: number): TensorData[DType] {
  switch (dtype) {
    case "float32":
      return Float32Array.from({ length: count }, Math.random);
    case "float64":
      return Float64Array.from({ length: count }, Math.random);
    case "int64":
      return BigInt64Array.from({ length: count }, () => BigInt(Math.round(Math.random())));
    case "int32":
      return Int32Array.from({ length: count }, () => Math.round(Math.random()));
    case "uint8":
      return Uint8Array.from({ length: count }, () => Math.floor(Math.random() * 256));
    case "int8":
      return Int8Array.from({ length: count }, () => Math.floor(Math.random() * 256) - 128);
    case "bool":
      return new Uint8Array(count).fill(1);
    default:
      throw new Error(`The model takes ${dtype}, which this page has no example of.`);
  }
}
