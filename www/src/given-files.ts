/** Files that a visitor gives: dropped, chosen, or in folders. */

export interface GivenFile {
  /** Below what was given, folders before it with `/`. */
  readonly path: string;
  readonly file: File;
}

/** More files than this are a folder given by mistake. */
const MOST_FILES = 5000;

/** What was chosen in a file dialog. */
export function chosenIn(input: HTMLInputElement): GivenFile[] {
  const files = [...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  // So that choosing the same files again is a change again.
  input.value = "";
  return tidy(files);
}

/** What was dropped, folders read to their ends. To be called while the drop is handled: later it has nothing. */
export async function droppedIn(transfer: DataTransfer | null): Promise<GivenFile[]> {
  const items = [...(transfer?.items ?? [])].filter(({ kind }) => kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry());
  const plain = [...(transfer?.files ?? [])];
  // Files that no file system has, such as a picture out of a page, have no entry.
  if (entries.every((entry) => !entry?.isDirectory)) return tidy(plain.map((file) => ({ path: file.name, file })));
  const found: GivenFile[] = [];
  for (const entry of entries) if (entry) await walk(entry, found);
  return tidy(found);
}

/** Calls `take` with what is dropped anywhere on the page, and with what it was dropped on. */
export function onDrops(take: (files: GivenFile[], on: Element) => void, hover: (on: Element | undefined) => void): void {
  let depth = 0;
  addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth++;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) hover(undefined);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    hover(event.target instanceof Element ? event.target : undefined);
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    hover(undefined);
    const on = event.target instanceof Element ? event.target : document.body;
    void droppedIn(event.dataTransfer).then((files) => take(files, on));
  });
}

/** Whether a browser may read this as a picture. */
export function isPicture({ path, file }: GivenFile): boolean {
  return file.type.startsWith("image/") || /\.(png|jpe?g|webp|avif|gif|bmp)$/i.test(path);
}

/** Without hidden files, and without the folders that all have in common. */
function tidy(files: GivenFile[]): GivenFile[] {
  let kept = files.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  const first = () => kept[0]?.path.split("/")[0];
  while (kept.length > 0 && kept.every(({ path }) => path.includes("/") && path.split("/")[0] === first())) {
    kept = kept.map(({ path, file }) => ({ path: path.slice(path.indexOf("/") + 1), file }));
  }
  return kept.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

async function walk(entry: FileSystemEntry, found: GivenFile[]): Promise<void> {
  if (found.length >= MOST_FILES) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const some = () => new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
  // A reader gives at most a hundred at a time.
  for (let entries = await some(); entries.length > 0; entries = await some()) {
    for (const below of entries) await walk(below, found);
  }
}
