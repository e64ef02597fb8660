// Pages on machines and in browsers other than this one: the browser's own parts are changed before anything uses them.
import type { Page } from "@playwright/test";

/** Opens a page of these tests; `stubs` come before everything else in it and in each worker of the package. */
export async function openPage(page: Page, address: string, stubs: (() => void)[]): Promise<void> {
  if (stubs.length > 0) {
    const prelude = stubs.map((stub) => `(${stub})();`).join("\n");
    await page.addInitScript(prelude);
    // Playwright's own scripts are not run in workers. A route is between every worker and its host, so that there is none without need.
    await page.route("**/dist/worker.js", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${prelude}\n${await response.text()}` });
    });
  }
  await page.goto(address);
  await page.waitForFunction(() => "firebrand" in globalThis);
}

/** The software adapter says that it is a GPU. */
export function hardware() {
  const { prototype } = (globalThis as any).GPUAdapterInfo;
  for (const field of ["vendor", "architecture", "device", "description"]) Object.defineProperty(prototype, field, { get: () => (field === "vendor" ? "acme" : "") });
  Object.defineProperty(prototype, "isFallbackAdapter", { get: () => false });
}

/** Where there is a GPU's device, time goes by a thousand times as slowly; elsewhere each look at the clock takes 5 ms. */
export function quickGpu() {
  const scope = globalThis as any;
  if ("document" in scope) return;
  const now = performance.now.bind(performance);
  let looks = 0;
  let hasDevice = false;
  performance.now = () => (hasDevice ? now() / 1000 : now() + 5 * looks++);
  const request = scope.GPUAdapter.prototype.requestDevice;
  scope.GPUAdapter.prototype.requestDevice = async function (descriptor: unknown) {
    const device = await request.call(this, descriptor);
    hasDevice = true;
    return device;
  };
}
