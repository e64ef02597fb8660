/** The example on the first page is the source of `example.ts`, which the type checker reads too. */
import source from "./example.ts?raw";

const example = source.trim();
const token = /(\/\/[^\n]*)|("[^"\n]*")|\b(import|from|const|for|of|await|new)\b|\b(\d[\d.]*)\b/g;
const classes = ["comment", "string", "keyword", "number"] as const;

export function showSnippet(code: HTMLElement, copy: HTMLButtonElement, text = example): void {
  code.replaceChildren(...highlight(text));

  const label = copy.textContent;
  let timer: ReturnType<typeof setTimeout> | undefined;
  copy.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(`${text}\n`);
    } catch {
      getSelection()?.selectAllChildren(code);
      said = "Selected: press Ctrl C";
    }
    copy.textContent = said;
    clearTimeout(timer);
    timer = setTimeout(() => (copy.textContent = label), 2500);
  });
}

function highlight(text: string): Node[] {
  const nodes: Node[] = [];
  let end = 0;
  for (const match of text.matchAll(token)) {
    nodes.push(document.createTextNode(text.slice(end, match.index)));
    const span = document.createElement("span");
    span.className = classes.find((_, group) => match[group + 1] !== undefined) ?? "";
    span.textContent = match[0];
    nodes.push(span);
    end = match.index + match[0].length;
  }
  nodes.push(document.createTextNode(text.slice(end)));
  return nodes;
}
