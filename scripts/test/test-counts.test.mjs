import assert from "node:assert/strict";
import { test } from "node:test";
import { fromCargoTest, fromNextest, fromNodeTest, fromPlaywright, fromVitest } from "../test-counts.mjs";

test("nextest", () => {
  assert.deepEqual(fromNextest("     Summary [   0.006s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped\n"), { passed: 9, failed: 3, skipped: 3 });
  assert.deepEqual(fromNextest("\u001b[32m     Summary\u001b[0m [   1.2s] \u001b[1m1\u001b[0m test run: \u001b[1m1\u001b[0m passed, \u001b[1m0\u001b[0m skipped"), { passed: 1, failed: 0, skipped: 0 });
  assert.throws(() => fromNextest("error: could not compile"), /no summary/);
});

test("cargo test adds its binaries up", () => {
  const output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\n";
  assert.deepEqual(fromCargoTest(output), { passed: 4, failed: 2, skipped: 1 });
});

test("node --test, both forms", () => {
  assert.deepEqual(fromNodeTest("ℹ tests 6\nℹ suites 0\nℹ pass 3\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 0\n"), { passed: 3, failed: 2, skipped: 1 });
  assert.deepEqual(fromNodeTest("# tests 2\n# pass 2\n# fail 0\n"), { passed: 2, failed: 0, skipped: 0 });
  assert.throws(() => fromNodeTest(""), /no summary/);
});

test("Vitest and Playwright", () => {
  assert.deepEqual(fromVitest({ numPassedTests: 4, numFailedTests: 1, numPendingTests: 2, numTodoTests: 0 }), { passed: 4, failed: 1, skipped: 2 });
  assert.deepEqual(fromPlaywright({ stats: { expected: 5, unexpected: 1, flaky: 1, skipped: 2 }, errors: [] }), { passed: 5, failed: 2, skipped: 2 });
  assert.equal(fromPlaywright({ stats: { expected: 0, unexpected: 0, flaky: 0, skipped: 0 }, errors: [{}] }).failed, 1);
});
