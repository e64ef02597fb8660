import { FirebrandError, abortedError, describe } from "../error.js";
import type { Session } from "../session.js";
import type { ModelSource } from "../source.js";
import { Tensor, typeName } from "../tensor.js";
import { Task, floats, isObject, openTask, type CallOptions, type Description, type TaskOptions } from "./task.js";
import type { Tokenize } from "./tokenizer.js";

/** Makes vectors of texts. Made by {@link textEmbedder}. */
export class TextEmbedder extends Task {
  readonly #tokenize: Tokenize;
  readonly #maxTokens: number;
  readonly #output: string;

  /** @internal */
  constructor(session: Session, description: Description, tokenize: Tokenize) {
    super(session);
    this.#tokenize = tokenize;
    this.#maxTokens = description.count("maxTokens", 2 ** 16);
    const [output] = session.outputs;
    const takes = session.inputs.map(({ name }) => name);
    if (!output || !takes.includes("input_ids") || !takes.every((name) => name === "input_ids" || name === "attention_mask" || name === "token_type_ids")) {
      throw description.lacks(`is no encoder of text: expected the inputs "input_ids", "attention_mask" and "token_type_ids", got ${takes.join(", ")}`);
    }
    this.#output = output.name;
  }

  /**
   * The vectors of texts: the mean over a text's tokens, of length 1. What is longer than the model takes (256 tokens
   * of MiniLM, some 200 words) is cut off at its end.
   *
   * @returns one vector for each text, in order; of MiniLM 384 numbers
   * @throws {@link FirebrandError}: `invalid_argument` for what is no text; what `session.run` throws
   */
  async embed(texts: string | readonly string[], options: CallOptions = {}): Promise<Float32Array[]> {
    const { signal } = options;
    if (signal?.aborted) throw abortedError(signal);
    const all = typeof texts === "string" ? [texts] : texts;
    if (!Array.isArray(all)) throw new FirebrandError("invalid_argument", `embed takes a text or an array of texts, got ${typeName(texts)}`);
    const tokens = all.map((text, at) => {
      if (typeof text !== "string") throw new FirebrandError("invalid_argument", `embed: text ${at} is ${typeName(text)}`);
      return this.#cut(this.#tokenize(text));
    });
    // One by one: in a batch, quantised activations would make a text's vector depend on what lies beside it.
    const vectors: Float32Array[] = [];
    for (const one of tokens) vectors.push(await this.#run(one, signal));
    return vectors;
  }

  /** How near two texts are in meaning: the cosine of their vectors, from −1 to 1. */
  async similarity(a: string, b: string, options: CallOptions = {}): Promise<number> {
    const [first, second] = await this.embed([a, b], options);
    return first!.reduce((sum, value, at) => sum + value * second![at]!, 0);
  }

  /** The last token marks the end, and stays. */
  #cut(tokens: number[]): number[] {
    return tokens.length <= this.#maxTokens ? tokens : [...tokens.slice(0, this.#maxTokens - 1), tokens.at(-1)!];
  }

  async #run(tokens: readonly number[], signal: AbortSignal | undefined): Promise<Float32Array> {
    const shape = [1, tokens.length];
    const given = { input_ids: BigInt64Array.from(tokens, BigInt), attention_mask: new BigInt64Array(tokens.length).fill(1n), token_type_ids: new BigInt64Array(tokens.length) };
    const inputs: Record<string, Tensor> = {};
    for (const [name, data] of Object.entries(given)) {
      if (this.session.inputs.some((input) => input.name === name)) inputs[name] = new Tensor("int64", data, shape);
    }
    const outputs = await this.session.run(inputs, { outputs: [this.#output], ...(signal && { signal }) });
    const { data, shape: got } = floats(outputs[this.#output], this.#output);
    const width = got.at(-1) ?? 0;
    if (got.length !== 3 || width === 0 || data.length !== tokens.length * width) throw new FirebrandError("invalid_manifest", `textEmbedder: output "${this.#output}" is [1, tokens, width], got [${got.join(", ")}]`);
    const mean = new Float32Array(width);
    for (const [at, value] of data.entries()) mean[at % width]! += value / tokens.length;
    const norm = Math.hypot(...mean);
    return norm > 0 ? mean.map((value) => value / norm) : mean;
  }
}

/**
 * Makes an embedder of texts.
 *
 * ```js
 * const embedder = await textEmbedder("/models/text-embedding/manifest.json");
 * console.log(await embedder.similarity("A man is eating food.", "A man is eating a piece of bread."));
 * ```
 *
 * @param source a package of the task `text-embedding`, whose file `tokenizer` is a tokenizer.json
 * @throws {@link FirebrandError}: what `load` throws; `invalid_argument` for a package of another task;
 *   `invalid_manifest` for one that lacks a parameter, or whose tokeniser is not known
 */
export function textEmbedder(source: ModelSource, options: TaskOptions = {}): Promise<TextEmbedder> {
  return openTask(source, options, ["text-embedding"], async (session, description) => {
    const json = description.json("tokenizer");
    if (!isObject(json)) throw description.lacks('has in its file "tokenizer" no tokenizer.json');
    const { readTokenizer } = await import("./tokenizer.js");
    // Texts are cut and filled up here, by the batch.
    const plain = { ...json, truncation: null, padding: null };
    let tokenize: Tokenize;
    try {
      tokenize = readTokenizer(plain);
      tokenize("A text.");
    } catch (error) {
      throw description.lacks(`has in its file "tokenizer" a tokeniser that cannot be used (${describe(error)})`);
    }
    return new TextEmbedder(session, description, tokenize);
  });
}
