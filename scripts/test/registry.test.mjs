import assert from "node:assert/strict";
import { test } from "node:test";
import { fileInIndex, pypiIndexes } from "../registry.mjs";

const base = "https://index.example/simple/thing/";

test("a JSON index gives the address of the file asked for", () => {
  const page = JSON.stringify({ files: [{ filename: "thing-1.tar.gz", url: "../../f/thing-1.tar.gz" }, { filename: "thing-2.tar.gz", url: "https://files.example/thing-2.tar.gz" }] });
  assert.equal(fileInIndex(page, "application/vnd.pypi.simple.v1+json", base, "thing-1.tar.gz"), "https://index.example/f/thing-1.tar.gz");
  assert.equal(fileInIndex(page, "application/vnd.pypi.simple.v1+json", base, "thing-2.tar.gz"), "https://files.example/thing-2.tar.gz");
  assert.equal(fileInIndex(page, "application/vnd.pypi.simple.v1+json", base, "thing-3.tar.gz"), undefined);
});

test("an HTML index does too", () => {
  const page = '<a href="/f/thing-1.whl#sha256=aa">thing-1.whl</a><br><a data-x="1" href="/f/thing-2.whl?a=1&amp;b=2">thing-2.whl</a>';
  assert.equal(fileInIndex(page, "text/html; charset=utf-8", base, "thing-2.whl"), "https://index.example/f/thing-2.whl?a=1&b=2");
  assert.equal(fileInIndex(page, "text/html", base, "thing-1.whl"), "https://index.example/f/thing-1.whl#sha256=aa");
});

test("pip's own variables choose the index", async () => {
  const environment = { PIP_INDEX_URL: "https://one.example/simple", PIP_EXTRA_INDEX_URL: "https://two.example/simple https://three.example/simple" };
  assert.deepEqual(await pypiIndexes(environment), ["https://one.example/simple", "https://two.example/simple", "https://three.example/simple"]);
});
