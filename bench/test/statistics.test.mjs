import assert from "node:assert/strict";
import { test } from "node:test";
import { median, quantile, ratio, shuffled } from "../statistics.mjs";

test("quantiles lie between neighbours in proportion, whatever the order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(quantile([10, 0], 0.95), 9.5);
  assert.equal(quantile([7], 0.95), 7);
});

test("a ratio compares rounds, so a slow machine in one round changes nothing", () => {
  assert.deepEqual(ratio([[1, 1], [10, 10]], [[2, 2], [20, 20]]), { median: 0.5, least: 0.5, most: 0.5 });
});

test("shuffling keeps every item once", () => {
  const items = [1, 2, 3, 4, 5];
  assert.deepEqual(shuffled(items).sort(), items);
});
