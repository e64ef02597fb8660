import { beforeEach, expect, test, vi } from "vitest";
import type { Work } from "../src/convert.js";
import { rejectionOf } from "./thrown.js";

const work = vi.hoisted(() => vi.fn());
vi.mock("../src/converter.js", () => ({ work }));
const { build, convert } = await import("../src/convert.js");

const inPlace = { worker: false } as const;
const given = (): Work => work.mock.calls[0]![0];
beforeEach(() => void work.mockReset().mockResolvedValue({}));

test("a build's options cross under the names that Rust has for them, and none that was not given", async () => {
  await build(new Uint8Array(1), { ...inPlace, quantize: "int8", maxDrop: 0.02, pruneEachLayer: true, exclude: ["a*"], modelName: "cats", shardBytes: 7, classes: ["x"], labels: [1, 0], arch: "resnet18", pictures: { size: 8, mean: [1, 2, 3], scale: 0.5, layout: "NHWC" } });
  expect(JSON.parse(given().options)).toEqual({
    arch: "resnet18",
    labels: [1, 0],
    pictures: { "image-size": [8, 8], "image-mean": [1, 2, 3], "image-scale": [0.5, 0.5, 0.5], "image-layout": "NHWC" },
    build: { quantize: "int8", "max-drop": 0.02, "prune-each-layer": true, exclude: ["a*"] },
    package: { name: "cats", "shard-bytes": 7, classes: ["x"] },
  });
});

test("without options nothing is said", async () => {
  await convert(new Uint8Array(1), inPlace);
  expect(given()).toMatchObject({ call: "convert", name: "model", options: "{}", beside: {} });
  expect("data" in given()).toBe(false);
});

test("a model is called as its file is, or as the caller says", async () => {
  await convert(new File([new Uint8Array(1)], "cats.tflite"), inPlace);
  await convert(new URL("https://x.test/models/my%20net.onnx?v=2"), inPlace);
  await convert(new Uint8Array(1), { ...inPlace, name: "net.keras" });
  expect(work.mock.calls.map(([{ name }]) => name)).toEqual(["cats.tflite", "my net.onnx", "net.keras"]);
});

test("samples cross by name", async () => {
  await build(new Uint8Array(1), { ...inPlace, data: { "cats/a.png": new Uint8Array(2) }, calibrate: { "b.npz": new Uint8Array(3) } });
  expect([Object.keys(given().data!), Object.keys(given().calibrate!)]).toEqual([["cats/a.png"], ["b.npz"]]);
});

test("an error of the WebAssembly is a FirebrandError with its kind, node and file", async () => {
  work.mockRejectedValue({ kind: "over_budget", message: "too far", file: "a.onnx" });
  expect(await rejectionOf(build(new Uint8Array(1), inPlace))).toMatchObject({ name: "FirebrandError", kind: "over_budget", message: "too far", file: "a.onnx" });
});

test("a signal ends the work in place at its next step", async () => {
  const control = new AbortController();
  const answers: boolean[] = [];
  work.mockImplementation(async (_: Work, tell: (progress: object) => boolean) => {
    answers.push(tell({ step: "read", done: 0, total: 1 }));
    control.abort(new Error("enough"));
    answers.push(tell({ step: "measure", done: 0, total: 1 }));
    throw { kind: "aborted", message: "the build was ended by its caller" };
  });
  const error = await rejectionOf(build(new Uint8Array(1), { ...inPlace, signal: control.signal }));
  expect(error).toMatchObject({ kind: "aborted", cause: control.signal.reason });
  expect(answers).toEqual([true, false]);
  work.mockClear();
  expect(await rejectionOf(convert(new Uint8Array(1), { ...inPlace, signal: control.signal }))).toMatchObject({ kind: "aborted" });
  expect(work).not.toHaveBeenCalled();
});

test("a slip in drawing progress does not end the work", async () => {
  const complain = vi.spyOn(console, "error").mockImplementation(() => {});
  work.mockImplementation(async (_: Work, tell: (progress: object) => boolean) => ({ goesOn: tell({ step: "read", done: 0, total: 1 }) }));
  const slip = () => {
    throw new Error("slip");
  };
  expect(await convert(new Uint8Array(1), { ...inPlace, onProgress: slip })).toEqual({ goesOn: true });
  expect(complain).toHaveBeenCalledOnce();
  complain.mockRestore();
});
