/** SqueezeNet 1.1 behind one question: what is in this photo? */
import { load, Tensor, type LoadOptions, type Progress, type Session } from "firebrand";
import { best, imagenetLabels } from "./imagenet";

const MODELS = { float32: "models/squeezenet1.1.onnx", int8: "models/squeezenet1.1-int8.onnx" };
const ANSWERS = 5;

/** What the model's weights are, and the numbers between its layers. */
export type Precision = keyof typeof MODELS;

/** `"auto"`, or a device that must be used. */
export type DeviceChoice = NonNullable<LoadOptions["device"]>;

export interface Answer {
  readonly name: string;
  /** From 0 to 1. */
  readonly probability: number;
}

/** What one look at a photo gave, and what it took, in milliseconds. */
export interface Look {
  readonly answers: readonly Answer[];
  /** Photo to tensor, on the page. */
  readonly tensorMs: number;
  /** Tensor to answer: there and back from the worker. */
  readonly runMs: number;
}

export interface ClassifierOptions {
  precision: Precision;
  /** int8 is computed on the CPU, whatever the device. */
  device: DeviceChoice;
  signal: AbortSignal;
  onProgress(progress: Progress): void;
}

export class Classifier {
  /** The first run prepares what later ones find ready; it is not waited for until a photo comes. */
  readonly #warm: Promise<unknown>;

  private constructor(
    readonly session: Session,
    readonly labels: readonly string[],
    readonly precision: Precision,
    /** From the first request to a session that answers. */
    readonly loadMs: number,
  ) {
    // What fails here fails again, and is told, when a photo comes.
    this.#warm = session.warmup().catch(() => {});
  }

  static async load({ precision, ...options }: ClassifierOptions): Promise<Classifier> {
    const started = performance.now();
    const device = precision === "int8" ? "cpu" : options.device;
    const [session, labels] = await Promise.all([load(MODELS[precision], { ...options, device }), imagenetLabels(options.signal)]);
    return new Classifier(session, labels, precision, performance.now() - started);
  }

  async look(photo: ImageBitmap): Promise<Look> {
    const [input] = this.session.inputs;
    const [output] = this.session.outputs;
    if (!input || !output) throw new Error(`${MODELS[this.precision]} has no input or no output`);

    await this.#warm;
    const started = performance.now();
    // The network was trained in Caffe: blue first, minus ImageNet's mean, not scaled.
    const pixels = Tensor.fromImage(photo, {
      size: [227, 227],
      layout: "NCHW",
      color: "BGR",
      mean: [103.939, 116.779, 123.68],
      scale: 1,
      // The whole photo, as the model was checked: a crop may lose what it is of.
      fit: "fill",
    });
    const ready = performance.now();
    const result = await this.session.run({ [input.name]: pixels });
    const finished = performance.now();

    const probabilities = result[output.name]?.data as Float32Array;
    return {
      answers: best(probabilities, ANSWERS).map((index) => ({
        name: this.labels[index] ?? `class ${index}`,
        probability: probabilities[index] ?? 0,
      })),
      tensorMs: ready - started,
      runMs: finished - ready,
    };
  }

  dispose(): void {
    void this.session.dispose();
  }
}
