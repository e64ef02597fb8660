/** float32 beside int8: what each answers to a photo, how soon, and what it weighs. */
import { title } from "./answer-panel";
import { Classifier, type Look, type Precision } from "./classifier";
import { element } from "./page";
import { LoadProgress } from "./progress";
import { cpuDetail, median } from "./speed-panel";
import { bytes, explain, milliseconds, percent, sentence } from "./words";

/** A comparison stops at whichever comes first, but answers once in each. */
const ROUNDS = 12;
const COMPARE_MS = 6000;

const LEFT_OFF = "The comparison was left off.";

const precisions: readonly Precision[] = ["float32", "int8"];

/** One side: a session of its own, so that the page's may be on any device. */
interface Side {
  readonly precision: Precision;
  readonly classifier: Classifier;
  readonly fileBytes: number;
  readonly runs: number[];
  look?: Look;
}

export class Comparison {
  readonly #status = element("compared", HTMLElement);

  /** Both answer in turns, so that what else the machine does meets both; leaves off when `still` no longer holds. */
  async run(photo: ImageBitmap, still: () => boolean): Promise<void> {
    this.#status.textContent = "Loading both …";
    const loaded = await Promise.allSettled(precisions.map(load));
    const sides = loaded.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    try {
      for (const result of loaded) if (result.status === "rejected") throw result.reason;
      this.#status.textContent = "Both answer in turns …";
      // The first answers warm up.
      for (const side of sides) side.look = await side.classifier.look(photo);
      const end = performance.now() + COMPARE_MS;
      for (let round = 0; round < ROUNDS && still() && (round === 0 || performance.now() < end); round++) {
        for (const side of sides) {
          side.look = await side.classifier.look(photo);
          side.runs.push(side.look.runMs);
        }
        this.#draw(sides);
      }
      this.#status.textContent = still() ? verdict(sides) : LEFT_OFF;
    } catch (error) {
      // A photo that is replaced has no pixels any more.
      const { title, message } = explain(error);
      this.#status.textContent = still() ? `${title} ${message}` : LEFT_OFF;
    } finally {
      for (const side of sides) side.classifier.dispose();
    }
  }

  #draw(sides: readonly Side[]): void {
    const longest = Math.max(...sides.map(({ runs }) => median(runs)));
    for (const { precision, classifier, fileBytes, runs, look } of sides) {
      const tile = element("comparison", HTMLElement).querySelector<HTMLElement>(`[data-precision="${precision}"]`);
      const [answer] = look?.answers ?? [];
      const { info } = classifier.session;
      set(tile, ".figure", milliseconds(median(runs)));
      set(
        tile,
        ".small",
        [
          answer ? `${title(answer.name)}, ${percent(answer.probability)}` : "No answer",
          `File ${bytes(fileBytes)}, ${bytes(info.memoryBytes)} of memory`,
          cpuDetail(info),
        ]
          .map(sentence)
          .join(" "),
      );
      const bar = tile?.querySelector<HTMLElement>(".bar i");
      if (bar) bar.style.width = `${(median(runs) / longest) * 100}%`;
    }
  }
}

async function load(precision: Precision): Promise<Side> {
  const progress = new LoadProgress();
  const { signal } = new AbortController();
  const classifier = await Classifier.load({ precision, device: "cpu", signal, onProgress: (report) => progress.report(report) });
  return { precision, classifier, fileBytes: progress.bytes("model"), runs: [] };
}

function set(tile: HTMLElement | null, selector: string, value: string): void {
  const target = tile?.querySelector(selector);
  if (target) target.textContent = value;
}

/** `int8 takes 45 % of float32's time, and 27 % of its bytes.` */
function verdict([float32, int8]: readonly Side[]): string {
  if (!float32 || !int8) return "";
  const share = (part: number, whole: number) => `${Math.round((part / whole) * 100)} %`;
  const time = share(median(int8.runs), median(float32.runs));
  const size = share(int8.fileBytes, float32.fileBytes);
  return `int8 takes ${time} of float32’s time, and ${size} of its bytes. Both on the CPU, ${int8.runs.length} answers each, in turns.`;
}
