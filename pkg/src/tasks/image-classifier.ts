import { FirebrandError } from "../error.js";
import type { ImageSource } from "../image.js";
import type { ImagePreprocessing } from "../manifest.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor } from "../tensor.js";
import { Task, checkOption, floats, imageOptions, openTask, type CallOptions, type TaskOptions } from "./task.js";

/** How one picture is classified. */
export interface ClassifyOptions extends CallOptions {
  /** How many classes to return at most. Default: 5. */
  topK?: number;
}

/** A class, and how sure the model is of it. */
export interface Classification {
  /** The class's name, as the package has it. */
  label: string;
  /** Its place in the model's output. */
  index: number;
  /** What the model gives for it; of a model that ends in a softmax a probability. */
  score: number;
}

/** Names what pictures show. Made by {@link imageClassifier}. */
export class ImageClassifier extends Task {
  readonly #input: string;
  readonly #preprocessing: ImagePreprocessing;
  readonly #output: string;
  readonly #labels: readonly string[];

  /** @internal */
  constructor(session: Session, input: string, preprocessing: ImagePreprocessing, output: string, labels: readonly string[]) {
    super(session);
    this.#input = input;
    this.#preprocessing = preprocessing;
    this.#output = output;
    this.#labels = labels;
  }

  /**
   * The likeliest classes of a picture, the likeliest first.
   *
   * @throws {@link FirebrandError}: what `Tensor.fromImage` and `session.run` throw; `invalid_argument` for a wrong
   *   `topK`; `invalid_manifest` where the package has another number of labels than the model has classes.
   */
  async classify(image: ImageSource, options: ClassifyOptions = {}): Promise<Classification[]> {
    const { topK = 5, signal } = options;
    checkOption("topK", topK, 1, Infinity);
    const pixels = Tensor.fromImage(image, imageOptions(this.#preprocessing));
    const outputs = await this.session.run({ [this.#input]: pixels }, { outputs: [this.#output], ...(signal && { signal }) });
    const { data } = floats(outputs[this.#output], this.#output);
    const labels = this.#labels;
    if (data.length !== labels.length) throw new FirebrandError("invalid_manifest", `imageClassifier: the model gives ${data.length} scores, the package has ${labels.length} labels: build it with the classes of this model`);
    const all = Array.from(data, (score, index) => ({ label: labels[index]!, index, score }));
    return all.sort((a, b) => b.score - a.score).slice(0, topK);
  }
}

/**
 * Makes a classifier of pictures.
 *
 * ```js
 * const classifier = await imageClassifier("/models/image-classification/manifest.json");
 * const [best] = await classifier.classify(photo);
 * console.log(best.label, best.score);
 * ```
 *
 * @param source a package with preprocessing of pictures and labels: the URL (in Node also a path) of its
 *   `manifest.json`, or what else `load` takes
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one without labels or preprocessing
 */
export function imageClassifier(source: ModelSource, options: TaskOptions = {}): Promise<ImageClassifier> {
  return openTask(
    source,
    options,
    ["image-classification"],
    (session, description) => {
      const { name, preprocessing } = description.picture;
      for (const output of description.manifest.outputs) {
        if (output.labels) return new ImageClassifier(session, name, preprocessing, output.name, output.labels);
      }
      throw description.lacks("has no output with labels");
    },
    true,
  );
}
