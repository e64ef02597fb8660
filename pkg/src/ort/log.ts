//! What is said on the console: each thing once, and only where `env.logLevel` lets it through.

/** How serious a message must be to be said; `env` is what sets it. */
export const log: { level: "verbose" | "info" | "warning" | "error" | "fatal"; debug: boolean } = { level: "warning", debug: false };

const said = new Set<string>();

/** Says once what a page does not get. */
export function warnOnce(message: string): void {
  if (log.level !== "error" && log.level !== "fatal") sayOnce(message, (text) => console.warn(text));
}

/** Says once what may be of use to who looks into it: with `env.debug`, or `env.logLevel = "verbose"`. */
export function debugOnce(message: string): void {
  if (log.debug || log.level === "verbose") sayOnce(message, (text) => console.debug(text));
}

function sayOnce(message: string, say: (text: string) => void): void {
  if (said.has(message)) return;
  said.add(message);
  say(`firebrand/ort: ${message}`);
}
