import "../shell";
import "./demos.css";
import "../controls.css";
import "./snippets";
import { fileTyper, type FileType } from "firebrand/tasks";
import { chosenIn, onDrops, type GivenFile } from "../given-files";
import { element, made } from "../page";
import { bytes, milliseconds, percent } from "../words";
import { Loading } from "./loading";

/** More lines than this push the older ones out. */
const MOST_SHOWN = 30;

const list = element("files", HTMLElement);
const waiting: GivenFile[] = [];

const python = `import sys
from collections import Counter


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        words = Counter(file.read().lower().split())
    for word, count in words.most_common(10):
        print(f"{count:6d}  {word}")


if __name__ == "__main__":
    main(sys.argv[1])
`;
const rust = `use std::{env, fs};

fn main() -> std::io::Result<()> {
    let path = env::args().nth(1).unwrap_or_else(|| "Cargo.toml".to_string());
    for (number, line) in fs::read_to_string(path)?.lines().enumerate() {
        println!("{:>4} {line}", number + 1);
    }
    Ok(())
}
`;
const csv = ["station,time,temperature,humidity", ...Array.from({ length: 40 }, (_, at) => `north,2026-05-${String(1 + (at % 28)).padStart(2, "0")}T12:00:00Z,${(12 + (at % 7)).toFixed(1)},${50 + (at % 30)}`)].join("\n");

/** Files whose names say something else. */
const examples: Record<string, () => Promise<File>> = {
  "example-python": async () => new File([python], "holiday.jpg"),
  "example-rust": async () => new File([rust], "letter.txt"),
  "example-csv": async () => new File([csv], "program.exe"),
  "example-photo": async () => new File([await (await fetch("photos/rocket.jpg")).blob()], "notes.txt"),
  "example-sound": async () => new File([await (await fetch("sounds/speech.wav")).blob()], "speech"),
};

const loading = new Loading({
  open: (options) => fileTyper("models/file-typing/manifest.json", options),
  onReady: () => void work(),
});

let isWorking = false;

function take(files: readonly GivenFile[]): void {
  waiting.push(...files);
  void work();
}

async function work(): Promise<void> {
  const { task } = loading;
  if (!task || isWorking) return;
  isWorking = true;
  try {
    for (let given = waiting.shift(); given; given = waiting.shift()) {
      const began = performance.now();
      const type = await task.identify(given.file);
      show(given, type, performance.now() - began);
    }
  } catch (error) {
    loading.failed(error);
  } finally {
    isWorking = false;
  }
}

function show({ path, file }: GivenFile, { label, mime, description, score }: FileType, ms: number): void {
  list.querySelector(".empty")?.remove();
  const line = made("tr");
  const head = made("th", path);
  head.setAttribute("scope", "row");
  head.append(made("small", bytes(file.size)));
  const kind = made("td", description ?? label);
  kind.append(made("small", `${label}, ${mime}`));
  line.append(head, kind, made("td", percent(score)), made("td", milliseconds(ms)));
  list.prepend(line);
  while (list.children.length > MOST_SHOWN) list.lastElementChild?.remove();
  loading.say(`${path}: ${description ?? label}, ${percent(score)}.`);
}

const input = element("file", HTMLInputElement);
const drop = element("drop", HTMLButtonElement);
drop.addEventListener("click", () => input.click());
input.addEventListener("change", () => take(chosenIn(input)));
onDrops(
  (files) => take(files),
  (on) => drop.classList.toggle("over", on !== undefined),
);
for (const [id, make] of Object.entries(examples)) {
  element(id, HTMLButtonElement).addEventListener("click", async () => {
    try {
      const file = await make();
      take([{ path: file.name, file }]);
    } catch (error) {
      loading.failed(error);
    }
  });
}
