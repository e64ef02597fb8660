// Draws public/icons/ from src/icon.svg with Chromium: node scripts/icons.mjs, when the mark changes.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const chrome = process.env.CHROME_PATH ?? ["/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
if (!chrome) throw new Error("no Chromium found: install it (apt-get install chromium) or set CHROME_PATH");

const mark = readFileSync(join(here, "src/icon.svg"), "utf8");
/** The share of the side that the mark takes; what a system may cut off is kept free on the maskable one. */
const icons = { "192": [192, 0.84], "512": [512, 0.84], "maskable-512": [512, 0.6] };

const folder = mkdtempSync(join(tmpdir(), "icons-"));
try {
  for (const [name, [size, share]] of Object.entries(icons)) {
    const page = join(folder, `${name}.html`);
    const mask = name.startsWith("maskable");
    const style = `margin:0;width:${size}px;height:${size}px;display:grid;place-items:center;background:${mask ? "#faf6f0" : "transparent"}`;
    writeFileSync(page, `<body style="${style}">${mark.replace("<svg", `<svg width="${size * share}" height="${size * share}"`)}</body>`);
    // A window has a least size, so the picture is cut from a larger one's corner by its own size.
    execFileSync(chrome, ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1", "--default-background-color=00000000", `--window-size=${size},${size}`, `--screenshot=${join(here, `public/icons/icon-${name}.png`)}`, `file://${page}`], { stdio: "ignore" });
  }
} finally {
  rmSync(folder, { recursive: true });
}
