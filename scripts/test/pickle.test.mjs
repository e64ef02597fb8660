import assert from "node:assert/strict";
import { test } from "node:test";
import { PickleError, readPickle } from "../pickle.mjs";
import { readNumpyWeights, readTorchWeights, transpose } from "../weights.mjs";

const bytes = (text) => new Uint8Array(Buffer.from(text, "latin1"));
const base64 = (text) => new Uint8Array(Buffer.from(text, "base64"));

// pickle.dumps({"conv1": [arange(6) as float32 1x2x3, [0.5, -1]]}, protocol=3)
const numpy = base64("gAN9cQBYBQAAAGNvbnYxcQFdcQIoY251bXB5Ll9jb3JlLm11bHRpYXJyYXkKX3JlY29uc3RydWN0CnEDY251bXB5Cm5kYXJyYXkKcQRLAIVxBUMBYnEGh3EHUnEIKEsBSwFLAksDh3EJY251bXB5CmR0eXBlCnEKWAIAAABmNHELiYiHcQxScQ0oSwNYAQAAADxxDk5OTkr/////Sv////9LAHRxD2KJQxgAAAAAAACAPwAAAEAAAEBAAACAQAAAoEBxEHRxEWJoA2gESwCFcRJoBodxE1JxFChLAUsChXEVaA2JQwgAAAA/AACAv3EWdHEXYmVzLg==");
const doubles = base64("gAN9cQBYAQAAAHdxAV1xAmNudW1weS5fY29yZS5tdWx0aWFycmF5Cl9yZWNvbnN0cnVjdApxA2NudW1weQpuZGFycmF5CnEESwCFcQVDAWJxBodxB1JxCChLAUsBSwJLA4dxCWNudW1weQpkdHlwZQpxClgCAAAAZjhxC4mIh3EMUnENKEsDWAEAAAA8cQ5OTk5K/////0r/////SwB0cQ9iiUMwAAAAAAAAAAAAAAAAAADwPwAAAAAAAABAAAAAAAAACEAAAAAAAAAQQAAAAAAAABRAcRB0cRFiYXMu");

test("a pickle that names os.system is refused, and says so", () => {
  const harmful = bytes("\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
  assert.throws(() => readPickle(harmful), (error) => error instanceof PickleError && /"os\.system".*nothing was run/.test(error.message));
  assert.throws(() => readNumpyWeights(harmful), /"os\.system"/);
});

test("names that JavaScript objects have by birth are refused too", () => {
  for (const name of ["constructor", "__proto__", "toString"]) {
    assert.throws(() => readPickle(bytes(`\x80\x02c${name}\n\n)R.`), { globals: {} }), PickleError);
  }
  assert.throws(() => readPickle(bytes("\x80\x02c__proto__\nx\n)R.")), PickleError);
});

test("calling a value that is data is refused", () => {
  assert.throws(() => readPickle(bytes("\x80\x02X\x01\x00\x00\x00a)R.")), /may not be called/);
});

test("setting the state of plain data is refused", () => {
  assert.throws(() => readPickle(bytes("\x80\x02}Nb.")), /state/);
});

test("plain data of every kind comes out as it went in", () => {
  const file = bytes("\x80\x02}(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b](\x88NM\x00\x01J\xff\xff\xff\xffG\x3f\xf0\x00\x00\x00\x00\x00\x00eu.tail");
  const { value, end } = readPickle(file);
  assert.deepEqual([...value], [["a", 7], ["b", [true, null, 256, -1, 1]]]);
  assert.equal(end, file.length - "tail".length);
});

test("NumPy weights keep shape and values", () => {
  const [weight, bias] = readNumpyWeights(numpy).get("conv1");
  assert.deepEqual(weight, { shape: [1, 2, 3], data: new Float32Array([0, 1, 2, 3, 4, 5]) });
  assert.deepEqual(bias, { shape: [2], data: new Float32Array([0.5, -1]) });
});

test("an array of another type is refused", () => {
  assert.throws(() => readNumpyWeights(doubles), /expected little-endian float32.*got <f8/);
});

test("every cut of a pickle is an error that names a byte, never a value", () => {
  for (let length = 0; length < numpy.length; length++) {
    assert.throws(() => readNumpyWeights(numpy.subarray(0, length)), /pickle, byte \d+:/, `cut at ${length}`);
  }
});

test("a file that is no torch checkpoint is told apart", () => {
  assert.throws(() => readTorchWeights(bytes("\x80\x02K\x05.")), /not a torch checkpoint/);
});

test("transpose moves axes as NumPy does", () => {
  const hwio = { shape: [1, 2, 3], data: new Float32Array([0, 1, 2, 3, 4, 5]) };
  assert.deepEqual(transpose(hwio, [2, 1, 0]), { shape: [3, 2, 1], data: new Float32Array([0, 3, 1, 4, 2, 5]) });
});
