/**
 * What went wrong, in a form that programs may match on. The names are stable; later versions may
 * add some. `docs/troubleshooting.md` in the repository has a section for each.
 *
 * - The file: `empty_file`, `not_a_model` (an HTML page, for instance), `truncated`,
 *   `invalid_model`, `unsupported_operator` (all of them are named), `unsupported`,
 *   `missing_external_data`, `limit_exceeded`.
 * - The package: `invalid_manifest`, `integrity` (a file is not the one that the manifest names),
 *   `self_test_failed` (the machine computes a golden sample wrongly).
 * - The call: `unknown_input`, `missing_input`, `unknown_output`, `dtype_mismatch`,
 *   `shape_mismatch`, `data_length_mismatch`, `invalid_argument`, `aborted`, `disposed`.
 * - The converter: `over_budget` (a model would lose more accuracy than it may).
 * - The machine: `out_of_memory`, `device_unavailable`, `device_lost`, `network`, `io`, `unsupported_browser` (a feature
 *   is missing that Firebrand cannot do without; the message names it and the browsers that have it).
 * - The deployment: `version_mismatch` (files of two versions of Firebrand meet; the message names both).
 * - `internal`: a defect of Firebrand itself; please report it.
 */
export type ErrorKind =
  | "empty_file"
  | "not_a_model"
  | "truncated"
  | "invalid_model"
  | "invalid_manifest"
  | "integrity"
  | "self_test_failed"
  | "unsupported_operator"
  | "unsupported"
  | "missing_external_data"
  | "unknown_input"
  | "missing_input"
  | "unknown_output"
  | "dtype_mismatch"
  | "shape_mismatch"
  | "data_length_mismatch"
  | "invalid_argument"
  | "out_of_memory"
  | "limit_exceeded"
  | "device_unavailable"
  | "device_lost"
  | "unsupported_browser"
  | "version_mismatch"
  | "io"
  | "network"
  | "aborted"
  | "disposed"
  | "over_budget"
  | "internal";

/** Where an error happened, as far as it is known. */
export interface ErrorDetails {
  /** The model's node, by name. */
  node?: string | undefined;
  /** The node's operator, such as `Conv`. */
  operator?: string | undefined;
  /** The file: its URL, path or name. */
  file?: string | undefined;
  /** What led to this error: another error, or an `AbortSignal`'s reason. */
  cause?: unknown;
}

/**
 * The only error that this package throws. The message says where, what was expected, what came,
 * and what to do; match on {@link FirebrandError.kind}, never on the message.
 *
 * ```js
 * try {
 *   await session.run({ pixels });
 * } catch (error) {
 *   if (error instanceof FirebrandError && error.kind === "shape_mismatch") …
 * }
 * ```
 */
export class FirebrandError extends Error {
  /** What went wrong. */
  readonly kind: ErrorKind;
  /** The model's node, by name, where one is to blame. */
  declare readonly node?: string;
  /** The operator of that node. */
  declare readonly operator?: string;
  /** The file that is to blame: its URL, path or name. */
  declare readonly file?: string;

  /** An error of `kind`. `message` says where, what was expected, what came and what to do. */
  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    if (details.node !== undefined) this.node = details.node;
    if (details.operator !== undefined) this.operator = details.operator;
    if (details.file !== undefined) this.file = details.file;
  }

  static {
    this.prototype.name = "FirebrandError";
  }
}

/** The error of an aborted call. */
export function abortedError(signal: AbortSignal): FirebrandError {
  return new FirebrandError("aborted", "the call was aborted by its signal", { cause: signal.reason });
}

/** What a caught value says. */
export function describe(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  return String(thrown);
}
