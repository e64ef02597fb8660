// The browser under measurement: fresh pages, their fetched files, and the CPU time of their processes.
import { existsSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const candidates = ["/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"];

const flags = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
];

/** Linux counts the CPU time of processes in these, 100 a second on all its common machines. */
const tickMs = 10;

/**
 * The longest task of the page's main thread while `during` lasts, in milliseconds of that thread's own CPU time:
 * whatever else wants the CPU, SwiftShader's drawing for one, makes the page wait too, but is not the runtime's doing.
 */
async function longestTask(browser, page, during) {
  await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
  let trace;
  try {
    await during();
  } finally {
    trace = await browser.stopTracing();
  }
  const { traceEvents } = JSON.parse(trace.toString());
  const threads = new Set(traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ ph, tdur, pid, tid }) => ph === "X" && tdur !== undefined && threads.has(`${pid} ${tid}`));
  if (tasks.length < 10) throw new Error("the browser's trace has no tasks of the page, so its longest cannot be told");
  return tasks.reduce((most, { tdur }) => Math.max(most, tdur / 1000), 0);
}

export async function openBrowser(origin) {
  const executablePath = process.env.CHROME_PATH ?? candidates.find((path) => existsSync(path));
  if (!executablePath) throw new Error("no Chromium found: install it (apt-get install chromium) or set CHROME_PATH");
  const browser = await chromium.launch({ executablePath, args: flags });
  const devtools = await browser.newBrowserCDPSession();

  return {
    version: browser.version(),

    /** A page of its own, in a context without anything cached. */
    async openPage(adapter, options, timeout) {
      const context = await browser.newContext();
      const page = await context.newPage();
      page.setDefaultTimeout(timeout);
      const errors = [];
      page.on("pageerror", (error) => errors.push(error.message));
      page.on("crash", () => errors.push("the page crashed"));
      await page.goto(`${origin}/page/index.html?peer=${encodeURIComponent(adapter)}`);
      await page.waitForFunction(() => "bench" in globalThis);
      const call = async (method, argument, within = timeout) => {
        let timer;
        const late = new Promise((_, reject) => {
          timer = setTimeout(() => reject(new Error(`no answer within ${within / 1000} s`)), within);
        });
        try {
          return await Promise.race([page.evaluate(([name, given]) => globalThis.bench[name](given), [method, argument]), late]);
        } catch (error) {
          const [first] = error.message.replace(/^page\.evaluate: /, "").split("\n");
          throw new Error([first, ...errors.filter((other) => !first.includes(other)).slice(0, 2)].join("; "));
        } finally {
          clearTimeout(timer);
        }
      };
      await call("open", options);
      return { call, close: () => context.close(), longestTask: (during) => longestTask(browser, page, during) };
    },

    /** CPU milliseconds that all renderer processes have used, or undefined where the system does not tell. */
    async rendererCpu() {
      const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
      let ticks = 0;
      for (const { type, id } of processInfo) {
        if (type !== "renderer") continue;
        try {
          const fields = readFileSync(`/proc/${id}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
          ticks += Number(fields[11]) + Number(fields[12]);
        } catch {
          return undefined;
        }
      }
      return ticks * tickMs;
    },

    close: () => browser.close(),
  };
}
