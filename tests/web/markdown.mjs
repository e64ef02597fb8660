// The repository's Markdown files, taken apart as far as their tests need it: headings, links, fenced blocks.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./places.mjs";

/** Every Markdown file that is under version control, or would be, by path from the repository's root. */
export function documents() {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], { cwd: root, encoding: "utf8" });
  return [...new Set(listed.split("\0").filter(Boolean))].sort();
}

/**
 * The fenced blocks of a document. `info` are the words after the fence: the language, and then what its tests do with
 * it. `section` is the heading before it, `line` the fence's own.
 */
export function blocksOf(document) {
  const blocks = [];
  let open, section;
  for (const [at, text] of readFileSync(join(root, document), "utf8").split("\n").entries()) {
    const fence = /^( *)(```+)(.*)$/.exec(text);
    if (open && fence?.[2].startsWith(open.fence) && fence[3].trim() === "") {
      const { fence: _, lines, ...block } = open;
      blocks.push({ ...block, text: `${lines.join("\n")}\n` });
      open = undefined;
    } else if (open) open.lines.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text);
    else if (fence) open = { document, line: at + 1, section, info: fence[3].trim().split(/\s+/).filter(Boolean), indent: fence[1], fence: fence[2], lines: [] };
    else section = /^#+ (.*)$/.exec(text)?.[1] ?? section;
  }
  if (open) throw new Error(`${document}:${open.line}: this block does not end`);
  return blocks;
}

/** The block of a document that has `word` among its info words; there must be just one. */
export function blockNamed(document, word) {
  const [block, ...others] = blocksOf(document).filter(({ info }) => info.slice(1).includes(word));
  if (!block || others.length > 0) throw new Error(`${document}: expected one block "${word}", got ${block ? others.length + 1 : 0}`);
  return block;
}

/** Lines outside of fenced blocks. */
function* proseOf(document) {
  const inside = new Set(blocksOf(document).flatMap(({ line, text }) => Array.from({ length: text.split("\n").length + 1 }, (_, at) => line + at)));
  for (const [at, text] of readFileSync(join(root, document), "utf8").split("\n").entries()) if (!inside.has(at + 1)) yield { line: at + 1, text };
}

/** Headings by their level, with the anchors that GitHub gives them. */
export function headingsOf(document) {
  const seen = new Map();
  const headings = [];
  for (const { text } of proseOf(document)) {
    const [, hashes, title] = /^(#{1,6}) +(.*?)\s*$/.exec(text) ?? [];
    if (!hashes) continue;
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`*]/g, "");
    const slug = plain.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    headings.push({ level: hashes.length, title, anchor: times ? `${slug}-${times}` : slug });
  }
  return headings;
}

/** Links and pictures outside of code: where they stand, and where they lead. */
export function linksOf(document) {
  const links = [];
  for (const { line, text } of proseOf(document)) {
    const bare = text.replace(/(`+).*?\1/g, "");
    for (const [, target] of bare.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)) links.push({ line, target });
    for (const [, target] of bare.matchAll(/^\s*\[[^\]]+\]:\s*(\S+)/g)) links.push({ line, target });
    for (const [, target] of bare.matchAll(/\b(?:href|src)="([^"]+)"/g)) links.push({ line, target });
  }
  return links;
}
