/** One runtime with one model, measured where nothing else runs. */
import type { Reply, Request, Runner } from "./messages";
import { start } from "./runners";

let runner: Runner | undefined;

const reply = (message: Reply) => postMessage(message);

async function answer(request: Request): Promise<void> {
  if (request.type === "open") {
    performance.setResourceTimingBufferSize(500);
    const began = performance.now();
    runner = await start[request.runtime](request);
    await runner.run();
    const readyMs = performance.now() - began;
    reply({ type: "opened", readyMs, about: runner.about });
    return;
  }
  if (!runner) throw new Error("nothing is open");
  const times: number[] = [];
  let last = new Float32Array();
  for (let run = 0; run < request.count; run++) {
    const began = performance.now();
    last = new Float32Array(await runner.run());
    times.push(performance.now() - began);
  }
  reply({ type: "ran", times, answer: last, bytes: bytesFetched() });
}

/** Told with each round: the browser notes a large file some time after it was read. */
function bytesFetched(): number {
  const files = performance.getEntriesByType("resource").filter((entry) => entry instanceof PerformanceResourceTiming);
  return files.reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0);
}

addEventListener("message", ({ data }: MessageEvent<Request>) => {
  answer(data).catch((error: unknown) => reply({ type: "failed", message: error instanceof Error ? error.message : String(error) }));
});
