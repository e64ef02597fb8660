/** Numbers and failures, in words a visitor can read. A number never parts from its unit: no-break spaces. */
import { FirebrandError } from "firebrand";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** `5031224` → `5.0 MB`: decimal units, as download sizes are usually given. */
export function bytes(count: number): string {
  if (count < 1000) return `${whole.format(count)} bytes`;
  if (count < 1_000_000) return `${whole.format(count / 1000)} kB`;
  return `${tenth.format(count / 1_000_000)} MB`;
}

/** `8.43` → `8.4 ms`, `112.7` → `113 ms`, `2310` → `2.3 s`. */
export function milliseconds(duration: number): string {
  if (duration < 10) return `${tenth.format(duration)} ms`;
  if (duration < 1000) return `${whole.format(duration)} ms`;
  return `${tenth.format(duration / 1000)} s`;
}

/** `0.9871` → `98.7 %`; what rounds to nothing is `under 0.1 %`, never `0.0 %`. */
export function percent(fraction: number): string {
  if (fraction > 0 && fraction < 0.0005) return "under 0.1 %";
  return `${tenth.format(fraction * 100)} %`;
}

/** `"no adapter here"` → `"No adapter here."` */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}

/** What a visitor is told when something fails. */
export interface Failure {
  title: string;
  advice: string;
  kind: string;
  message: string;
  /** Whether another device may do better. */
  ofDevice: boolean;
}

const deviceKinds: readonly string[] = ["device_unavailable", "device_lost", "out_of_memory", "limit_exceeded", "self_test_failed", "unsupported", "internal"];

/** Failures by kind: what happened, and what the visitor can do. */
export type Explanations = Readonly<Record<string, readonly [title: string, advice: string]>>;

const explanations: Explanations = {
  network: [
    "The model could not be fetched.",
    "Is the network there, and does the server answer? Then try again.",
  ],
  empty_file: ["The model file is empty.", "The server answered with no bytes. Whoever put up this page should look at its models folder."],
  not_a_model: [
    "What the server sent is not a model.",
    "It may have answered with a web page in the file's place. Whoever put up this page should look at its models folder.",
  ],
  truncated: ["The model arrived incomplete.", "The download was probably cut short. Try again."],
  invalid_model: ["The model file is damaged.", "Try again; if it stays so, the file on the server is broken."],
  integrity: ["The model is not the one that was published.", "Its checksum differs. Try again; if it stays so, do not trust this copy of the page."],
  unsupported_operator: ["The model needs operators that Firebrand does not have yet.", "The message below names every one."],
  unsupported: ["This browser or this model asks for something Firebrand does not have.", "A current Chrome, Edge, Firefox or Safari can run it."],
  device_unavailable: ["This browser offers no WebGPU device.", "The CPU answers just the same."],
  device_lost: ["The graphics device went away.", "Its driver may have been restarted. Try again, or use the CPU."],
  out_of_memory: ["There is not enough memory.", "Close some tabs, then try again."],
  limit_exceeded: ["This needs more than the device allows.", "Try the CPU."],
  invalid_manifest: ["The package's manifest says what cannot be.", "The message below says what; whoever made the package should look at it."],
  self_test_failed: ["This device computes the model wrongly.", "A sample came out otherwise than where the package was made. Use the CPU."],
  over_budget: ["Refused: it would lose more than it may.", "The result agrees too little with the original, so it is not given out."],
};

/** Turns anything thrown into words; `own` goes before what is said elsewhere. */
export function explain(error: unknown, own: Explanations = {}): Failure {
  if (error instanceof FirebrandError) {
    const [title, advice] = own[error.kind] ?? explanations[error.kind] ?? ["That did not work.", "Try again."];
    return { title, advice, kind: error.kind, message: error.message, ofDevice: deviceKinds.includes(error.kind) };
  }
  return {
    title: "That did not work.",
    advice: "Try again, or reload the page.",
    kind: error instanceof Error ? error.name : "Error",
    message: error instanceof Error ? error.message : String(error),
    ofDevice: false,
  };
}
