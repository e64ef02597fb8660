// The documentation holds what it says: links lead somewhere, examples have right types, commands and programs run, and the
// messages that it shows are those that the code writes. What runs in pages is docs.spec.ts.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, posix } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { blocksOf, documents, headingsOf, linksOf } from "./markdown.mjs";
import { addBias, unsupported, writeModel, zeros } from "./pages/tiny-model.js";
import { data, installed, models, nativeProgram, packages, root, taskPackages } from "./places.mjs";
import { serve } from "./server.mjs";

const folder = installed();
const { Tensor, load } = await import(pathToFileURL(join(folder, "node_modules/firebrand/dist/index.js")).href);
const { build } = await import(pathToFileURL(join(folder, "node_modules/firebrand/dist/convert.js")).href);

const mnist = join(root, "train/mnist/mnist-cnn.onnx");
const guides = documents().filter((document) => /^(README|pkg\/README|docs\/[^/]+)\.md$/.test(document));
const blocks = guides.flatMap(blocksOf);

/** What a program prints, and its exit code. */
const done = (program, args, options) => new Promise((resolve) => execFile(program, args, options, (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr })));

test("every relative link and anchor of every document leads somewhere", () => {
  const lost = [];
  for (const document of documents()) {
    for (const { line, target } of linksOf(document)) {
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
      const [path, anchor] = target.split("#");
      const file = path ? posix.join(posix.dirname(document), decodeURIComponent(path)) : document;
      if (!existsSync(join(root, file))) lost.push(`${document}:${line}: ${target}: there is no ${file}`);
      else if (anchor && file.endsWith(".md") && !headingsOf(file).some((heading) => heading.anchor === anchor)) lost.push(`${document}:${line}: ${target}: ${file} has no heading #${anchor}`);
    }
  }
  assert.deepEqual(lost, []);
});

test("docs/README.md leads to every document beside it", () => {
  const linked = linksOf("docs/README.md").map(({ target }) => posix.join("docs", target.split("#")[0]));
  assert.deepEqual(guides.filter((document) => /^docs\/(?!README)/.test(document) && !linked.includes(document)), []);
});

test("docs/user-pains.md names tests that there are", () => {
  const named = [...readFileSync(join(root, "docs/user-pains.md"), "utf8").matchAll(/`(\w[\w/.-]+\.(?:ts|mjs|rs))`: ((?:"[^"]+"(?:, )?)+)/g)];
  assert.ok(named.length > 20);
  const missing = named.flatMap(([, file, titles]) => {
    const text = readFileSync(join(root, file), "utf8");
    return [...titles.matchAll(/"([^"]+)"/g)].filter(([, title]) => !text.includes(title)).map(([, title]) => `${file}: ${title}`);
  });
  assert.deepEqual(missing, []);
});

// What others' packages are called by is marked as "peer": they are not installed here.
for (const [language, strict] of [["js", false], ["ts", true]]) {
  test(`every ${language} example has right types`, async () => {
    const examples = blocks.filter(({ info }) => info[0] === language && !info.includes("peer"));
    assert.ok(examples.length > 0);
    const place = mkdtempSync(join(folder, "examples-"));
    const named = new Map(examples.map((block, at) => [`example-${at}.${language}`, block]));
    try {
      for (const file of ["examples.d.ts", ...(language === "js" ? ["examples-js.d.ts"] : [])]) cpSync(new URL(file, import.meta.url), join(place, file));
      // Each is a module of its own, whether or not it imports something.
      for (const [file, { text }] of named) writeFileSync(join(place, file), `${text}export {};\n`);
      const compilerOptions = { noEmit: true, allowJs: true, checkJs: true, strict, target: "es2022", lib: ["es2023", "esnext.disposable", "dom", "dom.iterable"], module: "esnext", moduleResolution: "bundler", types: [], skipLibCheck: true };
      writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*"] }));
      const { stdout } = await done(process.execPath, [join(root, "pkg/node_modules/typescript/bin/tsc"), "--pretty", "false"], { cwd: place });
      const complaints = stdout.trim().replace(/^(example-\d+\.[jt]s)\((\d+),/gm, (_, file, line) => `${named.get(file).document}:${named.get(file).line + Number(line)} (`);
      assert.equal(complaints, "");
    } finally {
      rmSync(place, { recursive: true });
    }
  });
}

/** What is not run, by how it begins, and why. */
const notRun = {
  "firebrand build efficientnet-lite0.pth": "ten seconds; optimise.md has its like for a smaller network",
  "firebrand convert my-net.pth": "there is no such network",
  "firebrand convert model.safetensors": "its weights are larger than all else that the tests need",
};

/** The commands of a block that are Firebrand's, a line each. */
const commandsOf = ({ text }) =>
  text
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) => line.replace(/\s#\s.*$/, "").trim())
    .filter((line) => line.startsWith("firebrand "));

/** The first `count` of what an .npy file has along its first axis. */
function firstOf(path, count) {
  const bytes = readFileSync(path);
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString("latin1", 0, start);
  const [, all] = /'shape': \((\d+)/.exec(header);
  const shorter = header.replace(`(${all}`, `(${String(count).padStart(all.length)}`);
  return Buffer.concat([Buffer.from(shorter, "latin1"), bytes.subarray(start, start + ((bytes.length - start) / Number(all)) * count)]);
}

/** float32 numbers as an .npy file. */
function npyOf(...values) {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${values.length},), }`.padEnd(117);
  return Buffer.concat([Buffer.from("\x93NUMPY\x01\x00\x76\x00", "latin1"), Buffer.from(`${header}\n`), new Uint8Array(Float32Array.from(values).buffer)]);
}

describe("commands and programs", () => {
  let place, environment;
  before(() => {
    place = mkdtempSync(join(tmpdir(), "firebrand-docs-"));
    environment = { ...process.env, PATH: `${dirname(nativeProgram())}${delimiter}${process.env.PATH}` };
    const files = {
      node_modules: join(folder, "node_modules"),
      "coffee.png": join(data, "photos/coffee.png"),
      "imagenet-labels.json": join(data, "imagenet-labels.json"),
      "efficientnet-lite0.pth": join(models, "efficientnet-lite0.pth"),
      "emotion_model.hdf5": join(models, "emotion_model.hdf5"),
      "hand-landmark-lite.tflite": join(models, "hand-landmark-lite.tflite"),
      "file-typing": join(taskPackages, "file-typing"),
      "esrgan-slim": join(models, "esrgan-slim"),
      "mnist.onnx": mnist,
      "mnist-cnn.onnx": mnist,
      "squeezenet1.1.onnx": join(models, "squeezenet1.1.onnx"),
    };
    for (const [name, file] of Object.entries(files)) symlinkSync(file, join(place, name));
    mkdirSync(join(place, "photos"));
    for (const photo of ["coffee.png", "chelsea.png"]) cpSync(join(data, "photos", photo), join(place, "photos", photo));
    for (const what of ["digits", "labels"]) writeFileSync(join(place, `${what}.npy`), firstOf(join(data, `mnist-${what}.npy`), 400));
    const three = (name) => ({ name, shape: [3] });
    writeFileSync(join(place, "model.onnx"), writeModel({ inputs: [three("x"), three("mask")], outputs: [three("y")], nodes: [{ op: "Mul", name: "mul", inputs: ["x", "mask"], outputs: ["y"] }] }));
    writeFileSync(join(place, "x.npy"), npyOf(1, 2, 3));
    writeFileSync(join(place, "mask.json"), "[0, 1, 1]");
  });
  after(() => rmSync(place, { recursive: true }));

  // One after another: later commands of a document use what earlier ones made.
  for (const document of guides) {
    const commands = blocksOf(document).filter(({ info }) => info[0] === "sh").flatMap(commandsOf);
    const programs = blocksOf(document).flatMap(({ info, text }) => info.slice(1).flatMap((word) => (word.startsWith("node=") ? [{ file: word.slice(5), text }] : [])));
    if (commands.length + programs.length === 0) continue;
    test(`${document}: they run as they are written`, async () => {
      for (const command of commands) {
        if (Object.keys(notRun).some((start) => command.startsWith(start))) continue;
        const { code, stderr } = await done("sh", ["-c", command], { cwd: place, env: environment });
        assert.equal(code, 0, `${command}\n${stderr}`);
      }
      for (const { file, text } of programs) {
        writeFileSync(join(place, file), text);
        const { code, stdout, stderr } = await done(process.execPath, [file], { cwd: place });
        assert.equal(code, 0, stderr);
        const expected = blocksOf(document).find(({ info }) => info.includes(`output=${file}`));
        assert.equal(stdout, expected?.text, `${document} does not say what ${file} prints`);
      }
    });
  }

  test("what is not run is there", () => {
    const all = blocks.filter(({ info }) => info[0] === "sh").flatMap(commandsOf);
    for (const start of Object.keys(notRun)) assert.ok(all.some((command) => command.startsWith(start)), start);
  });
});

describe("troubleshooting.md shows the messages that the code writes", () => {
  let server, place;
  before(async () => {
    server = await serve();
    place = mkdtempSync(join(tmpdir(), "firebrand-docs-"));
    cpSync(join(packages, "tiny"), join(place, "models/tiny"), { recursive: true });
    const manifest = JSON.parse(readFileSync(join(place, "models/tiny/manifest.json"), "utf8"));
    manifest.golden.samples[0].tolerance = { absolute: 0, relative: 0 };
    writeFileSync(join(place, "models/tiny/manifest.json"), JSON.stringify(manifest));
  });
  after(async () => {
    await server.close();
    rmSync(place, { recursive: true });
  });

  const numbers = (shape, count = shape.reduce((a, b) => a * b)) => new Tensor("float32", new Float32Array(count), shape);
  const squeezenet = () => load(join(models, "squeezenet1.1.onnx"));
  const run = async (inputs, options) => (await squeezenet()).run(inputs, options);
  const fetched = (path) => load(`${server.address}/${path}`);
  const relu = (input, opset) => writeModel({ inputs: [{ name: "x", shape: [3] }], outputs: [{ name: "y", shape: [3] }], nodes: [{ op: "Relu", name: "relu", inputs: [input], outputs: ["y"] }], opset });
  /** A copy of the package whose WebAssembly is of another version; the message as versions 1.2.0 and 1.1.0 write it. */
  const mixed = async () => {
    const copy = join(place, "firebrand");
    cpSync(join(folder, "node_modules/firebrand/dist"), copy, { recursive: true });
    const { version } = JSON.parse(readFileSync(join(root, "pkg/package.json"), "utf8"));
    const older = version.replace(/\d+$/, (patch) => String((Number(patch) + 1) % 10));
    for (const build of ["cpu-simd128", "cpu-relaxed"]) {
      const file = join(copy, "wasm", build, "firebrand_bg.wasm");
      writeFileSync(file, readFileSync(file, "latin1").replaceAll(version, older), "latin1");
    }
    const { load } = await import(pathToFileURL(join(copy, "index.js")).href);
    await load(addBias()).catch(({ kind, message }) => Promise.reject({ kind, message: message.replace(/cpu-\w+/, "cpu-relaxed").replace(`of Firebrand ${version}`, "of Firebrand 1.2.0").replace(`that of ${older}`, "that of 1.1.0") }));
  };
  const causes = {
    empty_file: () => fetched("made/empty.onnx"),
    not_a_model: () => fetched("~html/models/squeezenet1.1.onnx"),
    truncated: () => load(readFileSync(join(models, "squeezenet1.1.onnx")).subarray(0, 1000)),
    invalid_model: () => load(relu("z")),
    unsupported_operator: () => load(unsupported()),
    unsupported: () => load(relu("x", 99)),
    missing_external_data: () => fetched("made/lost.onnx"),
    limit_exceeded: async () => (await load(zeros())).run({ length: new Tensor("int64", BigInt64Array.of(2n ** 28n), [1]) }),
    invalid_manifest: () => fetched("~html/packages/tiny/manifest.json"),
    integrity: () => fetched("~flip/packages/tiny/manifest.json"),
    self_test_failed: () => load(join(place, "models/tiny/manifest.json")),
    unknown_input: () => run({ dat: numbers([1, 3, 227, 227]) }),
    missing_input: () => run({}),
    unknown_output: () => run({ data: numbers([1, 3, 227, 227]) }, { outputs: ["probability"] }),
    dtype_mismatch: () => run({ data: new Tensor("uint8", new Uint8Array(3 * 227 * 227), [1, 3, 227, 227]) }),
    shape_mismatch: () => run({ data: numbers([1, 227, 227, 3]) }),
    data_length_mismatch: async () => numbers([1, 3, 2, 2], 10),
    invalid_argument: () => run({ data: [1, 2] }),
    aborted: () => load(addBias(), { signal: AbortSignal.abort() }),
    disposed: async () => {
      const session = await load(addBias());
      await session.dispose();
      await session.run({ pixels: numbers([1, 3]) });
    },
    over_budget: () => build(mnist, { prune: 0.99 }),
    device_unavailable: () => load(addBias(), { device: "webgpu" }),
    network: () => fetched("~status-503/models/squeezenet1.1.onnx"),
    version_mismatch: mixed,
    io: () => load(join(place, "models/none.onnx")),
  };
  // pkg/test/troubleshooting.test.ts compares those that machines cannot be brought to; docs.spec.ts loses a GPU.
  const elsewhere = ["out_of_memory", "unsupported_browser", "internal", "device_lost"];

  /** The last bits of a result depend on which instructions a Node.js has. */
  const anyBits = (text) => text.replace(/element \d+: expected [\d.]+ within [\d.]+, got [\d.]+/, "element …");
  const shown = new Map(blocksOf("docs/troubleshooting.md").filter(({ info }) => info[0] === "text").map(({ section, text }) => [section, text.trim()]));
  for (const [kind, message] of shown) {
    if (elsewhere.includes(kind)) continue;
    test(kind, async () => {
      const error = await causes[kind]().then(() => assert.fail("nothing was thrown"), (error) => error);
      assert.equal(error.kind, kind);
      const said = error.message.replaceAll(server.address, "https://example.com").replaceAll(/\/~[a-z0-9-]+(?=\/)/g, "").replaceAll(place, "");
      assert.equal(anyBits(said), anyBits(message));
    });
  }
});
