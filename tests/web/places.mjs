// Where the tests find what set-up prepared. Nothing here is made by this file but the unpacked package.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = fileURLToPath(new URL("../..", import.meta.url));
/** The user's cache of this project, outside the tree. */
export const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "firebrand");
/** Prepared models. */
export const models = join(cache, "models");
/** Prepared pictures, labels and other data. */
export const data = join(cache, "data");
/** Stored ONNX Runtime inputs and outputs, one folder per model and case. */
export const cases = join(root, "tests/models");
/** Stored cases like ONNX's own, with ONNX Runtime's answers. */
export const ownCases = join(root, "tests/conformance/cases");
/** Stored packages. */
export const packages = join(root, "tests/package");
/** Packages of the tasks, which scripts/packages.mjs builds. */
export const taskPackages = join(cache, "packages");
/** What the models' own packages say of the tasks' samples. */
export const taskAnswers = join(root, "tests/tasks");
/** The built demo page. */
export const site = process.env.FIREBRAND_SITE ?? join(root, "site");

let program;

/** The native program, built as the Rust tests build it. */
export function nativeProgram() {
  if (program) return program;
  const target = process.env.CARGO_TARGET_DIR ?? join(cache, "target");
  execFileSync("cargo", ["build", "--locked", "--quiet", "--bin", "firebrand"], { cwd: root, env: { ...process.env, CARGO_TARGET_DIR: target }, stdio: ["ignore", "ignore", "inherit"] });
  return (program = join(target, "debug/firebrand"));
}

/** The tarball that `make pkg` wrote. */
export function tarball() {
  const { name, version } = JSON.parse(readFileSync(join(root, "pkg/package.json"), "utf8"));
  const file = join(root, "pkg", `${name}-${version}.tgz`);
  if (!existsSync(file)) throw new Error(`${file} is missing: run "make pkg" first`);
  return file;
}

/**
 * Installs the tarball as a user would, once per content, and returns the folder that holds
 * `node_modules/firebrand`.
 */
export function installed() {
  const file = tarball();
  const hash = createHash("sha256").update(readFileSync(file)).digest("hex").slice(0, 16);
  const folder = join(cache, "tests", `installed-${hash}`);
  if (existsSync(folder)) return folder;
  mkdirSync(join(cache, "tests"), { recursive: true });
  const fresh = mkdtempSync(join(cache, "tests", "installing-"));
  writeFileSync(join(fresh, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  execFileSync("npm", ["install", "--offline", "--no-audit", "--no-fund", "--no-save", file], {
    cwd: fresh,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    renameSync(fresh, folder);
  } catch (error) {
    // Another process was quicker with the same content.
    if (!existsSync(folder)) throw error;
    rmSync(fresh, { recursive: true });
  }
  return folder;
}
