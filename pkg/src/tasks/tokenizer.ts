//! The tokeniser, in a file of its own, which only pages that embed text fetch.
/*! With Tokenizers.js (@huggingface/tokenizers) of Hugging Face, under the Apache License 2.0: see LICENSE-APACHE. */
import { Tokenizer } from "@huggingface/tokenizers";

/** Token numbers of a text, its special tokens among them. */
export type Tokenize = (text: string) => number[];

/** Reads a tokenizer.json. Throws what the library throws for one that it does not know. */
export function readTokenizer(json: object): Tokenize {
  const tokenizer = new Tokenizer(json, {});
  return (text) => tokenizer.encode(text).ids;
}
