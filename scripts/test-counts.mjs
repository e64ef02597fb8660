// What each test runner counted, as { passed, failed, skipped }.

const colours = /\u001b\[[0-9;]*m/g;
const number = (text, pattern) => Number(text.match(pattern)?.[1] ?? 0);

function required(text, pattern, runner) {
  const found = text.match(pattern);
  if (!found) throw new Error(`no summary of ${runner} in its output`);
  return found[0];
}

/** `node --test`, in its spec or TAP form. */
export function fromNodeTest(output) {
  const text = output.replace(colours, "");
  required(text, /^(?:ℹ|#) tests \d+$/m, "node --test");
  const of = (name) => number(text, new RegExp(`^(?:ℹ|#) ${name} (\\d+)$`, "m"));
  return { passed: of("pass"), failed: of("fail") + of("cancelled"), skipped: of("skipped") + of("todo") };
}

/** `cargo nextest run`. */
export function fromNextest(output) {
  const line = required(output.replace(colours, ""), /^\s*Summary \[.*\] .* tests? run: .*$/m, "nextest");
  return { passed: number(line, /(\d+) passed/), failed: number(line, /(\d+) failed/) + number(line, /(\d+) timed out/) + number(line, /(\d+) exec failed/), skipped: number(line, /(\d+) skipped/) };
}

/** `cargo test`, all its binaries together. */
export function fromCargoTest(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  required(output, /test result: /, "cargo test");
  for (const [, passed, failed, ignored] of output.replace(colours, "").matchAll(/test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored/g)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  return counts;
}

/** Vitest's JSON report. */
export const fromVitest = (report) => ({
  passed: report.numPassedTests,
  failed: report.numFailedTests,
  skipped: report.numPendingTests + report.numTodoTests,
});

/** Playwright's JSON report; a test that passes only when repeated has failed. */
export const fromPlaywright = ({ stats, errors = [] }) => ({
  passed: stats.expected,
  failed: stats.unexpected + stats.flaky + errors.length,
  skipped: stats.skipped,
});
