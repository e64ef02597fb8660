// Pages on machines and in browsers other than this one: the browser's own parts are changed before anything uses them.
import type { Page } from "@playwright/test";

/** Opens a page of these tests; `stubs` come before everything else in it and in each worker of the package. */
export async function openStubbed(page: Page, address: string, stubs: (() => void)[]): Promise<void> {
  const prelude = stubs.map((stub) => `(${stub})();`).join("\n");
  await page.addInitScript(prelude);
  // Playwright's own scripts are not run in workers.
  await page.route("**/dist/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${prelude}\n${await response.text()}` });
  });
  await page.goto(address);
  await page.waitForFunction(() => "firebrand" in globalThis);
}
