// What holds for every page of the site: accessible, still, narrow, quick, quiet.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "@playwright/test";
import { site } from "./places.mjs";
import { expectAccessible, overflow, pages, screenshots, test } from "./site-visit.ts";

test.use({ serviceWorkers: "block" });

const names = Object.keys(pages);

for (const name of names) {
  test.describe(name, () => {
    test.use({ viewport: { width: 1280, height: 800 } });

    test("accessible in light and dark, nothing overflows at any width, nothing moves", async ({ page, visit }) => {
      await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
      await visit.openDone(page, name);
      await expect(page.getByRole("heading", { level: 1 })).toHaveCount(1);
      await expectAccessible(page);
      expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
      await page.screenshot({ path: join(screenshots, `site-${name}-desk-light.png`), fullPage: true });
      await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
      await expectAccessible(page);
      const wide: string[] = [];
      for (const width of [768, 390, 320]) {
        await page.setViewportSize({ width, height: 844 });
        const by = await overflow(page);
        if (by > 0) wide.push(`${width}: ${by} pixels too wide`);
        if (width === 390) await page.screenshot({ path: join(screenshots, `site-${name}-phone-dark.png`), fullPage: true });
      }
      expect(wide).toEqual([]);
      await expectAccessible(page);
    });

    test("drawn soon, and it stays where it is", async ({ page, visit }) => {
      await page.addInitScript(() => {
        const seen = { shift: 0, sources: [] as string[] };
        Object.assign(globalThis, { seen });
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean; sources: { node: Node | null }[] })[]) {
            if (entry.hadRecentInput) continue;
            seen.shift += entry.value;
            seen.sources.push(...entry.sources.map(({ node }) => `${entry.value.toFixed(4)} ${node instanceof Element ? node.outerHTML.slice(0, 80) : String(node)}`));
          }
        }).observe({ type: "layout-shift", buffered: true });
      });
      for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
        await page.setViewportSize(viewport);
        await visit.openDone(page, name);
        const { shift, sources } = await page.evaluate(async () => {
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          return (globalThis as unknown as { seen: { shift: number; sources: string[] } }).seen;
        });
        expect(shift, sources.join("\n")).toBeLessThan(0.02);
        const painted = () => page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity);
        await expect.poll(painted).toBeLessThan(2500);
      }
    });
  });
}

test("every page leads to every other, and says where one is", async ({ page, visit }) => {
  await visit.open(page, "index");
  for (const [link, title] of [["Demos", /demos$/], ["Compare", /beside other runtimes/], ["Optimise", /optimise a model/], ["Inspect", /inside a model/], ["Home", /a model, running in your browser/]] as const) {
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: link, exact: true }).click();
    await expect(page).toHaveTitle(title);
    await expect(page.getByRole("navigation", { name: "Pages" }).locator("[aria-current]")).toHaveText(link);
  }
  const cards = page.locator(".demo-cards a");
  const addresses = await cards.evaluateAll((links) => links.map((link) => link.getAttribute("href")!.replace("./", "")));
  expect(addresses.length).toBe(8);
  for (const address of addresses) {
    await visit.open(page, address.replace(".html", ""));
    await expect(page.locator("nav [aria-current]")).toHaveText("Demos");
  }
});

for (const [name, text] of Object.entries({ index: "Skip to the demo", faces: "Skip to the demo", compare: "Skip to the tool", inspect: "Skip to the tool", demos: "Skip to the demos" })) {
  test(`${name} by keyboard: past the header at once, and everything shows its focus`, async ({ page, visit }) => {
    await visit.openDone(page, name);
    await page.keyboard.press("Tab");
    await expect(page.getByRole("link", { name: text, exact: true })).toBeFocused();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.querySelector("main")?.contains(document.activeElement))).toBe(true);
    for (let step = 0; step < 12; step++) {
      const shown = await page.evaluate(() => {
        const focused = document.activeElement;
        if (!focused || focused === document.body) return "body";
        const parts = [focused, focused.nextElementSibling, ...focused.querySelectorAll("rect")].filter((part) => part !== null);
        return parts.some((part) => getComputedStyle(part).outlineStyle !== "none" || getComputedStyle(part).strokeWidth === "4px") ? "shown" : focused.outerHTML.slice(0, 120);
      });
      expect(["shown", "body"]).toContain(shown);
      await page.keyboard.press("Tab");
    }
  });
}

test("the licence of everything that is shipped can be read", async ({ page, visit }) => {
  await visit.open(page, "index");
  await page.getByRole("link", { name: "Licences" }).click();
  const texts = await page.locator("#licences td a").evaluateAll((links) => Promise.all(links.map(async (link) => (await fetch((link as HTMLAnchorElement).href)).text())));
  expect(texts.length).toBe(12);
  for (const text of texts) expect(text).toMatch(/licen[cs]e|permission is hereby granted|redistribution and use/i);
});

test("no page may ask another origin, or run code that is written into it", async ({ page, visit }) => {
  visit.provoked = [/Content Security Policy/];
  for (const name of names) {
    await visit.open(page, name);
    const tried = await page.evaluate(async () => {
      const refused: string[] = [];
      addEventListener("securitypolicyviolation", ({ effectiveDirective }) => refused.push(effectiveDirective));
      await fetch("http://127.0.0.2:9/").catch(() => {});
      const script = document.createElement("script");
      script.textContent = "globalThis.ranInline = true";
      document.head.append(script);
      await new Promise((done) => setTimeout(done, 50));
      return { refused, inline: "ranInline" in globalThis };
    });
    expect(tried.inline, name).toBe(false);
    expect(tried.refused, name).toEqual(expect.arrayContaining(["connect-src", "script-src-elem"]));
  }
});

test("opened as a file, a page says what it needs", async ({ browser, page, visit }) => {
  await visit.open(page, "demos");
  await expect(page.locator("#opened-as-file")).toBeHidden();
  const context = await browser.newContext();
  const local = await context.newPage();
  await local.goto(pathToFileURL(join(site, "demos.html")).href);
  await expect(local.getByRole("alert")).toContainText("Serve this folder with any web server");
  await context.close();
});
