// The site without a network, and when a newer version of it comes.
import { expect, type Page } from "@playwright/test";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { site } from "./places.mjs";
import { test } from "./site-visit.ts";

const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm" };

/** Serves a folder whose files change: the tests' server has one folder for the site. */
async function serveFolder(folder: string): Promise<{ address: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const file = join(folder, new URL(request.url!, "http://localhost").pathname.replace(/\/$/, "/index.html"));
    if (!existsSync(file)) return void response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": types[extname(file)] ?? "application/octet-stream", "Cache-Control": "no-store" }).end(readFileSync(file));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((closed) => (server.closeAllConnections(), server.close(() => closed()))),
  };
}

/** Whether the site keeps this file. */
function keeps(page: Page, file: string): Promise<boolean> {
  return page.evaluate(async (file) => {
    for (const name of await caches.keys()) if (await (await caches.open(name)).match(file)) return true;
    return false;
  }, file);
}

test("after one visit the first demo answers without a network, and so does a demo that was used", async ({ page, context, visit }) => {
  test.setTimeout(90_000);
  await visit.openDone(page, "index");
  await expect.poll(() => keeps(page, "photos/rocket.jpg"), { timeout: 30_000 }).toBe(true);
  // Packages are kept by the runtime; the page itself, and its photos, from when it is first used under the service worker.
  await visit.openDone(page, "faces");
  await expect.poll(() => keeps(page, "models/face-detection/manifest.json"), { timeout: 15_000 }).toBe(true);

  await context.setOffline(true);
  visit.provoked = [/ERR_INTERNET_DISCONNECTED/];
  await visit.openDone(page, "index");
  expect(await page.evaluate(() => crossOriginIsolated), "what the host sent with the page is kept").toBe(true);
  await page.getByRole("button", { name: "Coffee" }).click();
  await expect(page.locator("#answers li").first()).toContainText("Espresso", { timeout: 30_000 });
  await visit.openDone(page, "faces");
  await expect(page.locator("#headline")).toHaveText("One face");
  await visit.open(page, "inspect");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("What is inside a model");
});

test("the manifest names icons that are there, and the page it starts with", async ({ page, visit }) => {
  await visit.open(page, "index");
  const found = await page.evaluate(async () => {
    const link = document.querySelector<HTMLLinkElement>("link[rel=manifest]")!;
    const manifest = await (await fetch(link.href)).json();
    const sizes = await Promise.all(
      manifest.icons.map(async ({ src, sizes }: { src: string; sizes: string }) => {
        const picture = await createImageBitmap(await (await fetch(new URL(src, link.href))).blob());
        return [sizes, `${picture.width}x${picture.height}`];
      }),
    );
    return { sizes, start: new URL(manifest.start_url, link.href).href, scope: new URL(manifest.scope, link.href).href, purposes: manifest.icons.map(({ purpose }: { purpose?: string }) => purpose) };
  });
  for (const [told, is] of found.sizes) expect(is).toBe(told);
  expect(found.sizes.map(([told]: string[]) => told)).toEqual(expect.arrayContaining(["192x192", "512x512"]));
  expect(found.purposes).toContain("maskable");
  expect(page.url()).toBe(found.start);
  expect(page.url().startsWith(found.scope)).toBe(true);
});

test("a newer version is offered in the footer, and taken when that is wanted", async ({ page }) => {
  test.setTimeout(90_000);
  const folder = mkdtempSync(join(tmpdir(), "firebrand-site-"));
  cpSync(site, folder, { recursive: true, filter: (path) => !/\/(peers|models)(\/|$)/.test(path.slice(site.length)) });
  const server = await serveFolder(folder);
  try {
    await page.goto(`${server.address}/demos.html`);
    await expect.poll(() => page.evaluate(async () => Boolean((await navigator.serviceWorker.getRegistration())?.active)), { timeout: 30_000 }).toBe(true);
    await page.reload();
    await expect(page.locator("#update")).toBeHidden();

    const worker = join(folder, "service-worker.js");
    const [version] = /[0-9a-f]{16}/.exec(readFileSync(worker, "utf8"))!;
    writeFileSync(worker, readFileSync(worker, "utf8").replace(version, "0123456789abcdef"));
    writeFileSync(join(folder, "demos.html"), readFileSync(join(folder, "demos.html"), "utf8").replace("<title>Firebrand: demos", "<title>Firebrand: newer demos"));
    await page.reload();
    await expect(page).toHaveTitle("Firebrand: demos");
    await expect(page.locator("#update")).toContainText("There is a newer version of this site.", { timeout: 30_000 });
    await page.getByRole("button", { name: "Load it" }).click();
    await expect(page).toHaveTitle("Firebrand: newer demos");
    expect(await page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith("firebrand-site-")).length), "the earlier version is gone").toBe(1);
  } finally {
    await server.close();
    rmSync(folder, { recursive: true });
  }
});
