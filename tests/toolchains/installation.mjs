// Where each project's npm packages are: in the user's cache, by what the lock file says, so that nothing is fetched twice.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cache, installed } from "../web/places.mjs";

export const here = fileURLToPath(new URL(".", import.meta.url));

/** The folder that `scripts/setup.mjs toolchain:NAME` installs into. */
export function installationOf(name) {
  const lock = readFileSync(join(here, name, "package-lock.json"));
  return join(cache, "toolchains", `${name}-${createHash("sha256").update(lock).digest("hex").slice(0, 16)}`);
}

/** Its `node_modules`, which must have been installed. */
export function modulesOf(name) {
  const modules = join(installationOf(name), "node_modules");
  if (!existsSync(modules)) throw new Error(`${modules} is missing: run "node scripts/setup.mjs toolchain:${name}" first`);
  return modules;
}

/**
 * A copy of a project to work in, with what it depends on and the packed package in its `node_modules`, as npm would
 * have put it there. Give it to {@link discard} in the end.
 */
export function stage(name) {
  mkdirSync(join(cache, "tests"), { recursive: true });
  const folder = mkdtempSync(join(cache, "tests", `toolchain-${name}-`));
  cpSync(join(here, name), folder, { recursive: true });
  cpSync(join(here, "classify.js"), join(folder, "classify.js"));
  const modules = join(folder, "node_modules");
  if (existsSync(join(here, name, "package-lock.json"))) linkTree(modulesOf(name), modules);
  cpSync(join(installed(), "node_modules/firebrand"), join(modules, "firebrand"), { recursive: true });
  return folder;
}

/** Runs one of a project's scripts; rejects with what it said. */
export async function runScript(folder, script, ...args) {
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", PARCEL_WORKERS: "1" };
  await promisify(execFile)("npm", ["run", "--silent", script, "--", ...args], { cwd: folder, env, timeout: 240_000 }).catch(({ message, stdout, stderr }) => {
    throw new Error(`npm run ${script}: ${message}\n${stdout}\n${stderr}`);
  });
}

export function discard(folder) {
  if (folder) rmSync(folder, { recursive: true, force: true });
}

/** Tools look at where files really are, so folders are made, and files linked: next has ten thousand. */
function linkTree(from, to) {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkTree(source, target);
    else if (entry.isSymbolicLink()) cpSync(source, target, { verbatimSymlinks: true });
    else {
      try {
        linkSync(source, target);
      } catch {
        copyFileSync(source, target);
      }
    }
  }
}
