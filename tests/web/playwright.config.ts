import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

const chrome =
  process.env.CHROME_PATH ?? ["/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
if (!chrome) throw new Error("no Chromium found: install it (apt-get install chromium) or set CHROME_PATH");

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.ts",
  outputDir: process.env.PLAYWRIGHT_OUTPUT ?? "test-results",
  // SwiftShader and the CPU kernels share the same few cores: one browser at a time.
  workers: 1,
  fullyParallel: false,
  retries: 0,
  timeout: 60_000,
  reporter: "list",
  forbidOnly: !!process.env.CI,
  use: {
    launchOptions: {
      executablePath: chrome,
      args: [
        "--no-sandbox",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
      ],
    },
  },
});
