//! The package's files that are started when they are needed. Each leaves what it offers here, under its name: a
//! bundler that makes a script of such a file drops what it exports, but does what it does.
import { runtimeVersion } from "./version.js";

function parts(): Record<string, unknown> {
  // Versions that meet on one page do not fit each other. build.mjs writes the same expression into each runtime's file.
  const place = Symbol.for(`firebrand ${runtimeVersion}`);
  const scope = globalThis as { [place]?: Record<string, unknown> };
  return (scope[place] ??= {});
}

/** Offers a part to whoever asks in this page, worker or process. */
export function leavePart(name: string, part: unknown): void {
  parts()[name] = part;
}

/** The part that was left under a name. */
export function partOf<Part>(name: string): Part | undefined {
  return parts()[name] as Part | undefined;
}

/**
 * Runs the file that leaves a part, where nobody did so before. Rejects as `import` does, and gives `undefined` where
 * the file is another version's.
 */
export async function importPart<Part>(name: string, url: string): Promise<Part | undefined> {
  const known = partOf<Part>(name);
  if (known !== undefined) return known;
  await import(/* @vite-ignore */ /* webpackIgnore: true */ url);
  return partOf<Part>(name);
}
