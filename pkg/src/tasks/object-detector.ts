//! Detection with anchors, as MediaPipe's short-range face detector does it: its anchors
//! (mediapipe/calculators/tflite/ssd_anchors_calculator.cc, with fixed anchor sizes), its decoding of boxes
//! (mediapipe/calculators/tensor/tensors_to_detections_calculator.cc) and its weighted non-maximum suppression
//! (mediapipe/calculators/util/non_max_suppression_calculator.cc).
import { FirebrandError } from "../error.js";
import { pixelsOf, placement, type ImageSource } from "../image.js";
import type { ImagePreprocessing } from "../manifest.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor, type AnyTensor } from "../tensor.js";
import { Task, checkOption, floats, imageOptions, openTask, type CallOptions, type Description, type TaskName, type TaskOptions } from "./task.js";

/** How one picture is searched. */
export interface DetectOptions extends CallOptions {
  /** What is less sure than this is left out. Default: 0.5. */
  minScore?: number;
  /** How many to return at most. Default: all. */
  maxResults?: number;
}

/** A place in a picture, in its pixels. */
export interface Keypoint {
  name: string;
  x: number;
  y: number;
}

/** A rectangle in a picture, in its pixels; it may reach beyond the picture. */
export interface Box {
  /** The left edge. */
  x: number;
  /** The upper edge. */
  y: number;
  width: number;
  height: number;
}

/** Something that was found in a picture. */
export interface Detection {
  /** What it is. */
  label: string;
  /** How sure the model is, from 0 to 1. */
  score: number;
  /** Where it is. */
  box: Box;
  /** Places on it, for models that give them. */
  keypoints: Keypoint[];
}

interface Anchor {
  x: number;
  y: number;
}

/** A detection before it is named: the box by its corners and the points, as parts of the input's sides. */
interface Candidate {
  label: number;
  score: number;
  /** Left, top, right, bottom, then x and y of each point. */
  places: Float64Array;
}

/** What MediaPipe limits raw scores to, so that they stay finite. */
const scoreLimit = 100;

/** Finds things in pictures. Made by {@link faceDetector} and {@link objectDetector}. */
export class ObjectDetector extends Task {
  readonly #input: string;
  readonly #preprocessing: ImagePreprocessing;
  readonly #labels: readonly string[];
  readonly #keypoints: readonly string[];
  readonly #anchors: readonly Anchor[];
  readonly #overlapThreshold: number;

  /** @internal */
  constructor(session: Session, description: Description) {
    super(session);
    const { name, preprocessing } = description.picture;
    this.#input = name;
    this.#preprocessing = preprocessing;
    this.#labels = description.texts("labels");
    this.#keypoints = description.has("keypoints") ? description.texts("keypoints") : [];
    this.#anchors = anchorsOf(preprocessing.size, description.records("anchors", ["stride", "perCell"]));
    this.#overlapThreshold = description.number("overlapThreshold", 0, 1);
    if (this.#labels.length === 0) throw description.lacks("has an empty list of task.parameters.labels");
    if (this.#labels.length === 4 + 2 * this.#keypoints.length) throw description.lacks("has as many labels as numbers for each box, so that the two cannot be told apart");
  }

  /**
   * What a picture shows, the surest first.
   *
   * @returns boxes and points in pixels of the given picture
   * @throws {@link FirebrandError}: what `Tensor.fromImage` and `session.run` throw; `invalid_argument` for wrong options;
   *   `invalid_manifest` where the model's outputs do not fit the package's anchors, labels and points
   */
  async detect(image: ImageSource, options: DetectOptions = {}): Promise<Detection[]> {
    const { minScore = 0.5, maxResults = Infinity, signal } = options;
    checkOption("minScore", minScore, 0, 1);
    checkOption("maxResults", maxResults, 1, Infinity);
    const pixels = pixelsOf(image);
    const { size, fit } = this.#preprocessing;
    const tensor = Tensor.fromImage(pixels, imageOptions(this.#preprocessing));
    const outputs = await this.session.run({ [this.#input]: tensor }, signal ? { signal } : {});
    const found = suppress(this.#decode(outputs, minScore), this.#overlapThreshold).slice(0, maxResults);

    const [height, width] = size;
    const { crop, inner } = placement(pixels, height, width, fit);
    const toX = (part: number) => crop.x + ((part * width - inner.left) * crop.width) / inner.width;
    const toY = (part: number) => crop.y + ((part * height - inner.top) * crop.height) / inner.height;
    return found.map(({ label, score, places }) => {
      const [x, y] = [toX(places[0]!), toY(places[1]!)];
      const box = { x, y, width: toX(places[2]!) - x, height: toY(places[3]!) - y };
      const keypoints = this.#keypoints.map((name, at) => ({ name, x: toX(places[4 + 2 * at]!), y: toY(places[5 + 2 * at]!) }));
      return { label: this.#labels[label]!, score, box, keypoints };
    });
  }

  #decode(outputs: Record<string, AnyTensor>, minScore: number): Candidate[] {
    const classes = this.#labels.length;
    const numbers = 4 + 2 * this.#keypoints.length;
    const scores = this.#gather(outputs, classes);
    const boxes = this.#gather(outputs, numbers);
    const [height, width] = this.#preprocessing.size;
    const found: Candidate[] = [];
    for (const [at, anchor] of this.#anchors.entries()) {
      let label = 0;
      for (let other = 1; other < classes; other++) if (scores[at * classes + other]! > scores[at * classes + label]!) label = other;
      const raw = Math.min(scoreLimit, Math.max(-scoreLimit, scores[at * classes + label]!));
      const score = 1 / (1 + Math.exp(-raw));
      if (!(score >= minScore)) continue;
      const box = boxes.subarray(at * numbers, (at + 1) * numbers);
      const places = new Float64Array(numbers);
      for (let place = 0; place < numbers; place += 2) {
        // The second pair is the box's size; all others are places beside the anchor.
        const isSize = place === 2;
        places[place] = box[place]! / width + (isSize ? 0 : anchor.x);
        places[place + 1] = box[place + 1]! / height + (isSize ? 0 : anchor.y);
      }
      const [x, y, w, h] = [places[0]!, places[1]!, places[2]!, places[3]!];
      places.set([x - w / 2, y - h / 2, x + w / 2, y + h / 2]);
      found.push({ label, score, places });
    }
    return found.sort((a, b) => b.score - a.score);
  }

  /** The outputs that have `columns` numbers for each anchor, one after the other. */
  #gather(outputs: Record<string, AnyTensor>, columns: number): Float32Array {
    const all = new Float32Array(this.#anchors.length * columns);
    let filled = 0;
    for (const { name } of this.session.outputs) {
      const { data, shape } = floats(outputs[name], name);
      if (shape.at(-1) !== columns) continue;
      if (filled + data.length <= all.length) all.set(data, filled);
      filled += data.length;
    }
    if (filled !== all.length) {
      throw new FirebrandError("invalid_manifest", `object detection: ${this.#anchors.length} anchors take ${all.length} numbers of outputs with ${columns} columns, the model gives ${filled}: check the task's anchors, labels and keypoints`);
    }
    return all;
  }
}

/** The centres of all anchors, as parts of the input's sides: row by row, one grid after the other. */
function anchorsOf([height, width]: readonly [number, number], grids: readonly { stride: number; perCell: number }[]): Anchor[] {
  const anchors: Anchor[] = [];
  for (const { stride, perCell } of grids) {
    if (!(stride >= 1) || !Number.isInteger(perCell) || perCell < 1) throw new FirebrandError("invalid_manifest", `task.parameters.anchors: stride is 1 or more, perCell a whole number, 1 or more; got ${stride} and ${perCell}`);
    const rows = Math.ceil(height / stride);
    const columns = Math.ceil(width / stride);
    // What hostile manifests ask for must not fill memory.
    if (!(rows * columns * perCell <= 2 ** 20)) throw new FirebrandError("invalid_manifest", `task.parameters.anchors: stride ${stride} with ${perCell} in a cell makes too many anchors`);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let one = 0; one < perCell; one++) anchors.push({ x: (column + 0.5) / columns, y: (row + 0.5) / rows });
      }
    }
  }
  return anchors;
}

/** Makes one detection of all that overlap: their mean, each counting for its score; the score is the best one's. */
function suppress(candidates: readonly Candidate[], threshold: number): Candidate[] {
  const kept: Candidate[] = [];
  let remaining = candidates;
  while (remaining.length > 0) {
    const best = remaining[0]!;
    const isSame = (other: Candidate) => other === best || (other.label === best.label && overlap(best.places, other.places) > threshold);
    const group = remaining.filter(isSame);
    const total = group.reduce((sum, { score }) => sum + score, 0);
    const places = best.places.map((_, at) => group.reduce((sum, one) => sum + one.places[at]! * one.score, 0) / total);
    kept.push({ label: best.label, score: best.score, places });
    remaining = remaining.filter((other) => !isSame(other));
  }
  return kept;
}

/** Intersection over union of two boxes. */
function overlap(a: Float64Array, b: Float64Array): number {
  const side = (from: number, to: number) => Math.max(0, Math.min(a[to]!, b[to]!) - Math.max(a[from]!, b[from]!));
  const area = (of: Float64Array) => Math.max(0, of[2]! - of[0]!) * Math.max(0, of[3]! - of[1]!);
  const common = side(0, 2) * side(1, 3);
  const union = area(a) + area(b) - common;
  return union > 0 ? common / union : 0;
}

function open(source: ModelSource, options: TaskOptions, accepted: readonly TaskName[]): Promise<ObjectDetector> {
  return openTask(source, options, accepted, (session, description) => new ObjectDetector(session, description));
}

/**
 * Makes a detector of faces.
 *
 * ```js
 * const detector = await faceDetector("/models/face-detection/manifest.json");
 * for (const { score, box, keypoints } of await detector.detect(photo)) draw(box, keypoints);
 * ```
 *
 * @param source a package of the task `face-detection`
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one that lacks a parameter
 */
export function faceDetector(source: ModelSource, options: TaskOptions = {}): Promise<ObjectDetector> {
  return open(source, options, ["face-detection"]);
}

/** Makes a detector of whatever its package is for, faces among it; else as {@link faceDetector}. */
export function objectDetector(source: ModelSource, options: TaskOptions = {}): Promise<ObjectDetector> {
  return open(source, options, ["object-detection", "face-detection"]);
}
