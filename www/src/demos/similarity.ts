import "../shell";
import "./demos.css";
import "../controls.css";
import "./snippets";
import { textEmbedder } from "firebrand/tasks";
import { element, made } from "../page";
import { milliseconds } from "../words";
import { Loading } from "./loading";

/** How long typing has to rest before it is answered. */
const REST_MS = 250;

const query = element("query", HTMLTextAreaElement);
const texts = element("texts", HTMLTextAreaElement);
const ranking = element("ranking", HTMLElement);
const figures = element("figures", HTMLElement);

const sets: Record<string, { query: string; texts: readonly string[] }> = {
  "set-words": {
    query: "How do I get my money back?",
    texts: ["Our refund policy", "The bank of the river was muddy", "Returns and reimbursements within thirty days", "He keeps his money under the bed", "Shipping takes three days", "What to do when an order arrives broken"],
  },
  "set-news": {
    query: "The match ended in a draw.",
    texts: ["Neither team won the game.", "She drew a picture of a match.", "Striking a match in the dark", "The final score was two all.", "A storm is coming on Friday.", "The striker was injured in the first half."],
  },
};

/** Vectors of texts that were seen before: only what is new is run. */
const seen = new Map<string, Float32Array>();
let timer: ReturnType<typeof setTimeout> | undefined;
let isBusy = false;
let isStale = false;

const loading = new Loading({
  asks: true,
  open: (options) => textEmbedder("models/text-embedding/manifest.json", options),
  onReady: () => void rank(),
});

async function rank(): Promise<void> {
  const { task } = loading;
  if (!task) return;
  if (isBusy) {
    isStale = true;
    return;
  }
  isBusy = true;
  try {
    do {
      isStale = false;
      const asked = query.value.trim();
      const lines = [...new Set(texts.value.split("\n").map((line) => line.trim()).filter(Boolean))].slice(0, 60);
      if (!asked || lines.length === 0) {
        ranking.replaceChildren(made("li", "Write a question and some sentences.", "empty"));
        figures.textContent = "";
        continue;
      }
      const fresh = [asked, ...lines].filter((text) => !seen.has(text));
      const began = performance.now();
      const vectors = fresh.length > 0 ? await task.embed(fresh) : [];
      const ms = performance.now() - began;
      fresh.forEach((text, at) => {
        const vector = vectors[at];
        if (vector) seen.set(text, vector);
      });
      const ranked = lines.map((text) => ({ text, cosine: cosine(seen.get(asked), seen.get(text)) })).sort((a, b) => b.cosine - a.cosine);
      ranking.replaceChildren(...ranked.map(line));
      figures.textContent = fresh.length > 0 ? `${fresh.length} ${fresh.length === 1 ? "text" : "texts"} in ${milliseconds(ms)}, 384 numbers each.` : "All of them were known already.";
      const [first] = ranked;
      if (first) loading.say(`Nearest: ${first.text}, ${first.cosine.toFixed(2)}.`);
    } while (isStale);
  } catch (error) {
    loading.failed(error);
  } finally {
    isBusy = false;
  }
}

function line({ text, cosine }: { text: string; cosine: number }): HTMLLIElement {
  const item = made("li");
  const bar = made("div", "", "ember-bar");
  bar.setAttribute("aria-hidden", "true");
  const fill = made("div");
  fill.style.width = `${Math.max(0.4, Math.max(0, cosine) * 100)}%`;
  bar.append(fill);
  item.append(made("span", text, "name"), made("span", cosine.toFixed(2), "percent"), bar);
  return item;
}

/** The vectors have length 1. */
function cosine(a: Float32Array | undefined, b: Float32Array | undefined): number {
  return a && b ? a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0) : 0;
}

function fill(name: string): void {
  const set = sets[name];
  if (!set) return;
  query.value = set.query;
  texts.value = set.texts.join("\n");
  void rank();
}

for (const name of Object.keys(sets)) element(name, HTMLButtonElement).addEventListener("click", () => fill(name));
for (const field of [query, texts]) {
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => void rank(), REST_MS);
  });
}
fill("set-words");
