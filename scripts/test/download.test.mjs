import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { Corrupted, download, Offline } from "../download.mjs";

const content = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7919) & 255));
const sha256 = createHash("sha256").update(content).digest("hex");

let answer;
let asked;
const server = createServer((request, response) => {
  asked.push(request.headers.range);
  answer(request, response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/file.bin`;
const folder = await mkdtemp(join(tmpdir(), "firebrand-download-"));
const file = join(folder, "file.bin");
const fetchIt = (options = {}) => download({ url, file, sha256, bytes: content.length, pauseMs: 1, ...options });

beforeEach(async () => {
  asked = [];
  for (const path of [file, `${file}.part`]) await rm(path, { force: true });
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const whole = (_request, response) => response.end(content);
const ranged = (request, response) => {
  const from = Number(request.headers.range?.match(/bytes=(\d+)-/)?.[1] ?? 0);
  if (from === 0) return response.end(content);
  response.writeHead(206, { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` });
  response.end(content.subarray(from));
};

test("a file is fetched once and is whole", async () => {
  answer = whole;
  assert.equal(await fetchIt(), true);
  assert.deepEqual(await readFile(file), content);
  assert.equal(await fetchIt(), false);
  assert.deepEqual(asked, [undefined]);
  assert.equal(existsSync(`${file}.part`), false);
});

test("a download left half done is resumed where it stopped", async () => {
  answer = ranged;
  await writeFile(`${file}.part`, content.subarray(0, 20_000));
  await fetchIt();
  assert.deepEqual(asked, ["bytes=20000-"]);
  assert.deepEqual(await readFile(file), content);
});

test("a connection cut in the middle is taken up again in the same call", async () => {
  let first = true;
  answer = (request, response) => {
    if (!first) return ranged(request, response);
    first = false;
    response.writeHead(200, { "content-length": content.length });
    response.write(content.subarray(0, 30_000), () => setTimeout(() => response.destroy(), 50));
  };
  await fetchIt();
  assert.equal(asked.length, 2);
  assert.match(asked[1], /^bytes=\d+-$/);
  assert.deepEqual(await readFile(file), content);
});

test("a server without ranges sends all of it again", async () => {
  answer = whole;
  await writeFile(`${file}.part`, content.subarray(0, 20_000));
  await fetchIt();
  assert.deepEqual(await readFile(file), content);
});

test("other bytes than the pinned ones are refused and leave nothing behind", async () => {
  const other = Buffer.from(content);
  other[100] ^= 1;
  answer = (_request, response) => response.end(other);
  await assert.rejects(fetchIt(), (error) => error instanceof Corrupted && error.message.includes(`expected SHA-256 ${sha256}`));
  assert.equal(existsSync(file), false);
  assert.equal(existsSync(`${file}.part`), false);
});

test("a spoiled half is thrown away and the file fetched anew", async () => {
  answer = ranged;
  await writeFile(`${file}.part`, Buffer.alloc(20_000, 1));
  await fetchIt();
  assert.deepEqual(asked, ["bytes=20000-", undefined]);
  assert.deepEqual(await readFile(file), content);
});

test("a file spoiled in the cache is fetched again", async () => {
  answer = whole;
  await writeFile(file, "something else");
  assert.equal(await fetchIt(), true);
  assert.deepEqual(await readFile(file), content);
});

test("no network: one clear sentence", async () => {
  await assert.rejects(fetchIt({ url: "http://127.0.0.1:9/file.bin" }), (error) => {
    assert.ok(error instanceof Offline);
    assert.match(error.message, /^offline: file\.bin is not in the cache and the registry cannot be reached \(.+\); connect once and run again$/);
    return true;
  });
});

test("an answer of 404 is not taken for a missing network", async () => {
  answer = (_request, response) => response.writeHead(404).end();
  await assert.rejects(fetchIt(), /answered 404/);
  assert.equal(asked.length, 1);
});
