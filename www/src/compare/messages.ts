/** What the page and the worker of one runtime say to each other. */

export type RuntimeName = "firebrand" | "ort" | "tfjs";

export interface Open {
  readonly type: "open";
  readonly runtime: RuntimeName;
  /** The model's address, and that of the folder where the runtime's files lie. */
  readonly model: string;
  readonly files: string;
  readonly input: Float32Array;
  readonly shape: readonly number[];
}

export type Request = Open | { readonly type: "run"; readonly count: number };

export type Reply =
  | {
      readonly type: "opened";
      /** From nothing to the first answer, in milliseconds. */
      readonly readyMs: number;
      readonly about: string;
    }
  | {
      readonly type: "ran";
      readonly times: readonly number[];
      readonly answer: Float32Array;
      /** Bytes of all files that came until now, decoded. */
      readonly bytes: number;
    }
  | { readonly type: "failed"; readonly message: string };

/** A runtime with a model of one input and one output, on one thread of the CPU. */
export interface Runner {
  run(): Promise<Float32Array>;
  /** What it runs on, in a few words. */
  readonly about: string;
}
