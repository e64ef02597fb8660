// What the tests of the site's pages share: the site, built and served once, and what has to hold whatever a visitor does.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, test as base, type BrowserContext, type Page } from "@playwright/test";
import { cache, root, site } from "./places.mjs";
import { serve } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Where screenshots are left. */
export const screenshots = join(cache, "screenshots");

/** Every page, and what shows that it is done with what it does on its own. */
export const pages: Record<string, string> = {
  index: "#ready:not([hidden])",
  demos: ".demo-cards",
  classify: "#answers li",
  faces: "#faces li",
  cutout: "#save:not(:disabled)",
  voice: "#segments li",
  notes: "#notes tr",
  similarity: "#idle:not([hidden])",
  filetype: "#ready:not([hidden])",
  diagnosis: "#share[style]",
  compare: "#about-tfjs:not(:empty)",
  optimise: "#idle:not([hidden])",
  inspect: "#model-drop",
  licences: "#licences tbody tr",
};

export class Visit {
  /** What a test provokes, and so may be complained about. */
  provoked: RegExp[] = [];
  readonly #requests: { url: string; method: string }[] = [];
  readonly #complaints: string[] = [];

  constructor(readonly address: string) {}

  /** Notes what a context's pages, their workers and their service worker ask for, and what they complain about. */
  watch(context: BrowserContext): void {
    context.on("request", (request) => this.#requests.push({ url: request.url(), method: request.method() }));
    context.on("weberror", (error) => this.#complaints.push(String(error.error())));
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#complaints.push(`${message.text()} (${message.location().url})`);
    });
  }

  async open(page: Page, name: string, switches = "~isolated"): Promise<void> {
    await page.goto(`${this.address}/${switches}/site/${name === "index" ? "" : `${name}.html`}`);
  }

  async openDone(page: Page, name: string): Promise<void> {
    await this.open(page, name);
    await expect(page.locator(pages[name]!).first()).toBeAttached({ timeout: 30_000 });
  }

  /** The paths that were asked for, without the origin and the switches. */
  get asked(): string[] {
    return this.#requests.map(({ url }) => new URL(url).pathname.replace(/^\/(~[^/]+\/)*site\//, ""));
  }

  /** Nothing was asked of another origin, nothing was sent, and nothing was complained about. */
  expectQuiet(): void {
    expect(this.#requests.length, "the page asked for something").toBeGreaterThan(0);
    expect(this.#requests.filter(({ url, method }) => method !== "GET" || (!/^(blob|data):/.test(url) && new URL(url).origin !== this.address))).toEqual([]);
    // Chromium says so itself where a page asks for a GPU and there is none.
    const expected = [/No available adapters/, /Service Worker registration blocked by Playwright/, ...this.provoked];
    expect(this.#complaints.filter((text) => !expected.some((pattern) => pattern.test(text)))).toEqual([]);
  }
}

export const test = base.extend<{ visit: Visit }, { address: string }>({
  address: [
    // Playwright reads from the first parameter which fixtures are wanted.
    async ({}, use) => {
      if (!process.env.FIREBRAND_SITE) execFileSync("npm", ["run", "--silent", "build"], { cwd: join(root, "www"), stdio: "inherit" });
      mkdirSync(screenshots, { recursive: true });
      const server = await serve({ port: 0, root: site });
      await use(server.address);
      await server.close();
    },
    { scope: "worker", timeout: 180_000 },
  ],
  visit: async ({ address, context }, use) => {
    const visit = new Visit(address);
    visit.watch(context);
    await use(visit);
    visit.expectQuiet();
  },
});

export async function expectAccessible(page: Page): Promise<void> {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { target: unknown; failureSummary: string }[] }[] }> } };
    const found = await axe.run();
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${String(node.target)} ${node.failureSummary}`).join(" | ")}`);
  });
  expect(violations).toEqual([]);
}

/** How much wider the page is than the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}
