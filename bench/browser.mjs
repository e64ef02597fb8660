// The browser under measurement: fresh pages, their fetched files, and the CPU time of their processes.
import { existsSync, readdirSync, readFileSync } from "node:fs";
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

/** CPU milliseconds that the threads of a process have used, by the scheduler's own account. Of Linux only. */
function cpuOf(process) {
  const tasks = `/proc/${process}/task`;
  let nanoseconds = 0;
  for (const task of readdirSync(tasks)) {
    try {
      nanoseconds += Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]);
    } catch (error) {
      // A thread that ended since the folder was read.
      if (!["ENOENT", "ESRCH"].includes(error.code)) throw error;
    }
  }
  return nanoseconds / 1e6;
}

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
      try {
        return processInfo.filter(({ type }) => type === "renderer").reduce((sum, { id }) => sum + cpuOf(id), 0);
      } catch {
        return undefined;
      }
    },

    close: () => browser.close(),
  };
}
