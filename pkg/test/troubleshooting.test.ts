import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { toFailure } from "../src/protocol.js";
import { chooseBuild } from "../src/runtime.js";
import { thrownBy } from "./thrown.js";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
const document = read("../../docs/troubleshooting.md");
const sections = [...document.matchAll(/^### (.*)$/gm)].map(([, heading]) => heading);

const kindsOf = (text: string, union: RegExp, name: RegExp) => [...(union.exec(text)?.[1] ?? "").matchAll(name)].map(([, kind]) => kind);
const ours = kindsOf(read("../src/error.ts"), /export type ErrorKind =([^;]*);/, /"(\w+)"/g);
const inRust = kindsOf(read("../../src/error.rs"), /fn as_str\(self\)([^]*?)\n {4}\}/, /Self::\w+ => "(\w+)"/g);
const variants = kindsOf(read("../../src/error.rs"), /pub enum ErrorKind \{([^]*?)\n\}/, /^ {4}(\w+),$/gm);

describe("docs/troubleshooting.md", () => {
  it("has one section for each kind of error, and none of no kind", () => {
    expect(ours.length).toBeGreaterThan(20);
    expect(sections.toSorted()).toEqual(ours.toSorted());
  });

  it("has one for each kind that the Rust crate has", () => {
    expect(inRust.length).toBe(variants.length);
    expect(variants.length).toBeGreaterThan(20);
    expect(inRust.filter((kind) => !sections.includes(kind))).toEqual([]);
  });

  for (const [kind, thrown] of [
    ["out_of_memory", new RangeError("WebAssembly.Memory.grow(): Maximum memory size exceeded")],
    ["unsupported_browser", thrownBy(() => chooseBuild("cpu", 1, () => false))],
    ["internal", new WebAssembly.RuntimeError("unreachable")],
  ] as const) {
    it(`shows the message of ${kind} as the code writes it`, () => {
      const failure = toFailure(thrown);
      expect(failure.kind).toBe(kind);
      expect(document).toContain(`### ${kind}\n`);
      expect(document.split(`### ${kind}\n`)[1]?.split("\n### ")[0]).toContain(`\`\`\`text\n${failure.message}\n\`\`\``);
    });
  }
});
