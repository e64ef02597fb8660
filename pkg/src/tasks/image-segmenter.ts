import { FirebrandError } from "../error.js";
import { pixelsOf, placement, taps, type ImageSource } from "../image.js";
import type { ImagePreprocessing } from "../manifest.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor } from "../tensor.js";
import { Task, floats, imageOptions, openTask, type CallOptions, type Description, type TaskOptions } from "./task.js";

/** Which pixels of a picture belong to something. */
export interface Segmentation {
  /** The given picture's, in pixels. */
  width: number;
  /** The given picture's, in pixels. */
  height: number;
  /** What the mask stands for. */
  labels: readonly string[];
  /** How much each pixel belongs to it, from 0 to 1, row by row: `mask[y * width + x]`. */
  mask: Float32Array;
}

/** Tells which pixels belong to something. Made by {@link imageSegmenter}. */
export class ImageSegmenter extends Task {
  readonly #input: string;
  readonly #preprocessing: ImagePreprocessing;
  readonly #output: string;
  readonly #labels: readonly string[];

  /** @internal */
  constructor(session: Session, description: Description) {
    super(session);
    const { name, preprocessing } = description.picture;
    const [output, ...others] = description.manifest.outputs;
    this.#input = name;
    this.#preprocessing = preprocessing;
    this.#labels = description.texts("labels");
    if (this.#labels.length !== 1 || !output || others.length > 0) throw description.lacks("has several outputs or labels; a model with one mask is what imageSegmenter knows");
    // What is cut off has no mask.
    if (preprocessing.fit === "cover") throw description.lacks('cuts pictures (image-fit = "cover"), which leaves their edges without a mask; use "fill" or "contain"');
    this.#output = output.name;
  }

  /**
   * The mask of a picture, of its size, scaled bilinearly from the model's.
   *
   * @throws {@link FirebrandError}: what `Tensor.fromImage` and `session.run` throw; `invalid_manifest` where the model
   *   gives no mask of one channel
   */
  async segment(image: ImageSource, options: CallOptions = {}): Promise<Segmentation> {
    const { signal } = options;
    const pixels = pixelsOf(image);
    const { size, fit } = this.#preprocessing;
    const tensor = Tensor.fromImage(pixels, imageOptions(this.#preprocessing));
    const outputs = await this.session.run({ [this.#input]: tensor }, signal ? { signal } : {});
    const { data, shape } = floats(outputs[this.#output], this.#output);
    const [rows = 0, columns = 0] = shape.filter((axis) => axis !== 1);
    if (rows * columns === 0 || rows * columns !== data.length) throw new FirebrandError("invalid_manifest", `imageSegmenter: output "${this.#output}" is a mask [1, height, width, 1], got [${shape.join(", ")}]`);
    const { width, height } = pixels;
    const { inner } = placement(pixels, size[0], size[1], fit);
    const part = { x: (inner.left * columns) / size[1], y: (inner.top * rows) / size[0], width: (inner.width * columns) / size[1], height: (inner.height * rows) / size[0] };
    return { width, height, labels: this.#labels, mask: resized(data, rows, columns, part, height, width) };
  }
}

/** A part of a plane as `height` × `width`, bilinearly at half-pixel centres. */
function resized(plane: Float32Array, rows: number, columns: number, part: { x: number; y: number; width: number; height: number }, height: number, width: number): Float32Array {
  const across = taps(part.x, part.width, width, columns);
  const down = taps(part.y, part.height, height, rows);
  const narrow = new Float32Array(rows * width);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let tap = 0; tap < across.count[x]!; tap++) sum += across.weights[x * across.stride + tap]! * plane[y * columns + across.start[x]! + tap]!;
      narrow[y * width + x] = sum;
    }
  }
  const mask = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const line = mask.subarray(y * width, (y + 1) * width);
    for (let tap = 0; tap < down.count[y]!; tap++) {
      const share = down.weights[y * down.stride + tap]!;
      const from = (down.start[y]! + tap) * width;
      for (let x = 0; x < width; x++) line[x]! += share * narrow[from + x]!;
    }
  }
  return mask;
}

/**
 * Makes a segmenter of pictures.
 *
 * ```js
 * const segmenter = await imageSegmenter("/models/image-segmentation/manifest.json");
 * const { width, height, mask } = await segmenter.segment(photo);
 * ```
 *
 * @param source a package of the task `image-segmentation`
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one that lacks a parameter or has several masks
 */
export function imageSegmenter(source: ModelSource, options: TaskOptions = {}): Promise<ImageSegmenter> {
  return openTask(source, options, ["image-segmentation"], (session, description) => new ImageSegmenter(session, description));
}
