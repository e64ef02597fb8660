//! Telling the caller how far loading is, neither too often nor at the cost of the load.
import type { Progress } from "./protocol.js";

/** Takes the bytes so far, and all of them where that is known. */
export type ReportBytes = (loaded: number, total?: number) => void;

/** Progress is told this often at most, in milliseconds; the end of a file always is. */
const interval = 50;

/** Makes progress of one file's bytes. */
export function progressOf(phase: Progress["phase"], file: string | undefined, send: (progress: Progress) => void): ReportBytes {
  let last = -Infinity;
  return (loaded, total) => {
    const now = performance.now();
    if (now - last < interval && loaded !== total) return;
    last = now;
    const progress: Progress = { phase, loaded };
    if (total !== undefined) progress.total = total;
    if (file !== undefined) progress.file = file;
    send(progress);
  };
}

/** Calls back; a slip in drawing a page must not end what it is told of. */
export function tell<Told>(callback: ((told: Told) => void) | undefined, told: Told): void {
  try {
    callback?.(told);
  } catch (error) {
    console.error(error);
  }
}
