// Writes the reference of the npm package and of the crate, and fails where either is not complete.
//   node build.mjs [npm | rust]…      both where none is named
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Application, Comment, ReflectionKind } from "typedoc";

const root = fileURLToPath(new URL("../..", import.meta.url));
const out = join(root, "site-docs");
const target = process.env.CARGO_TARGET_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "firebrand/target");
const { version, exports } = JSON.parse(readFileSync(join(root, "pkg/package.json"), "utf8"));

/** Each entry of the package that has types, by the name that programs import, with its source. */
const entries = Object.entries(exports).flatMap(([path, { types }]) => (types ? [{ name: `firebrand${path.slice(1)}`, source: join(root, "pkg", types.replace("/dist/", "/src/").replace(/\.d\.ts$/, ".ts")) }] : []));

const isMain = ({ name }) => name === "index" || name === "firebrand";

/** Names of firebrand/ort are another package's, whose documentation says what they are. */
function borrow(reflection) {
  if (!reflection.hasComment() && !reflection.kindOf(ReflectionKind.Parameter)) reflection.comment = new Comment([{ kind: "text", text: "As in onnxruntime-common." }]);
  reflection.traverse(borrow);
}

async function npm() {
  const app = await Application.bootstrap({
    entryPoints: entries.map(({ source }) => source),
    tsconfig: join(root, "pkg/tsconfig.json"),
    name: `firebrand ${version}`,
    readme: "none",
    // Nothing says yet where the repository is read.
    disableSources: true,
    excludeInternal: true,
    excludePrivate: true,
    hideGenerator: true,
    githubPages: false,
    logLevel: "Warn",
    validation: { notExported: false, invalidLink: true, rewrittenLink: true, notDocumented: true },
    // An interface says what it is for; most of its properties say the rest by their names.
    requiredToBeDocumented: ["Module", "Namespace", "Enum", "Variable", "Function", "Class", "Interface", "Constructor", "Method", "Accessor", "TypeAlias"],
  });
  // Errors belong to the main entry, and are what every other entry throws.
  app.converter.addUnknownSymbolResolver(({ symbolReference }, from) => {
    const [name, ...inner] = symbolReference?.path?.map(({ path }) => path) ?? [];
    const target = inner.length > 0 ? undefined : from.project.children?.find(isMain)?.getChildByName(name ?? "");
    return target && { target };
  });
  const project = await app.convert();
  if (!project) return 1;
  for (const module of project.children ?? []) {
    module.name = entries.find(({ source }) => source.endsWith(`/src/${module.name}.ts`) || source.endsWith(`/src/${module.name}/index.ts`))?.name ?? module.name;
    if (module.name === "firebrand/ort") module.traverse(borrow);
  }
  app.validate(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) return 1;
  await app.generateDocs(project, join(out, "npm"));
  return app.logger.hasErrors() ? 1 : 0;
}

function rust() {
  // What other packages left there would be copied, too.
  rmSync(join(target, "doc"), { recursive: true, force: true });
  const { status, stdout, error } = spawnSync("cargo", ["doc", "--locked", "--no-deps", "--lib", "--package", "firebrand", "--quiet", "--message-format", "json"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, CARGO_TARGET_DIR: target, RUSTDOCFLAGS: "-W missing_docs" },
  });
  if (error) throw error;
  const complaints = stdout
    .split("\n")
    .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []))
    .flatMap(({ reason, message }) => (reason === "compiler-message" && !isTaken(message) ? [message.rendered] : []));
  if (status !== 0 || complaints.length > 0) {
    process.stderr.write(complaints.join("\n"));
    return status || 1;
  }
  rmSync(join(out, "rust"), { recursive: true, force: true });
  cpSync(join(target, "doc"), join(out, "rust"), { recursive: true });
  return 0;
}

/** As for TypeScript: a struct or an enum says what it is for, and most of its fields and variants the rest by their names. */
const isTaken = ({ code, message }) => (code ? code.code === "missing_docs" && /\ba (struct field|variant)$/.test(message) : /^\d+ warnings? emitted$/.test(message));

const parts = { npm, rust };
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts);
mkdirSync(out, { recursive: true });
for (const name of wanted) {
  const code = (await parts[name]?.()) ?? 2;
  if (code !== 0) {
    process.stderr.write(parts[name] ? `the reference of ${name} is not complete\n` : `there is no part "${name}"; there are ${Object.keys(parts).join(" and ")}\n`);
    process.exit(code);
  }
}
if (wanted.length < Object.keys(parts).length) process.exit(0);
writeFileSync(
  join(out, "index.html"),
  `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Firebrand ${version}: reference</title>
    <style>:root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif } body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem }</style>
  </head>
  <body>
    <h1>Firebrand ${version}: reference</h1>
    <ul>
      <li><a href="npm/index.html">The npm package</a>: ${entries.map(({ name }) => `<code>${name}</code>`).join(", ")}</li>
      <li><a href="rust/firebrand/index.html">The crate <code>firebrand</code></a></li>
    </ul>
    <p>Guides are in the repository, in <code>docs/</code>.</p>
  </body>
</html>
`,
);
process.stdout.write(`reference: ${join(out, "index.html")}\n`);
