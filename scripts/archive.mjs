// Named members of a wheel (zip) or of a source or npm package (tar.gz).
import { readFile } from "node:fs/promises";
import { unzipSync } from "fflate";
import { parseTarGzip } from "nanotar";

/** Members for which `wanted(path)` holds, as a Map from path to bytes. */
export async function readMembers(file, wanted) {
  const bytes = await readFile(file);
  const members = new Map();
  if (/\.(whl|zip)$/.test(file)) {
    for (const [path, data] of Object.entries(unzipSync(bytes, { filter: (entry) => !entry.name.endsWith("/") && wanted(entry.name) }))) {
      members.set(path, data);
    }
  } else {
    for (const entry of await parseTarGzip(bytes, { filter: (entry) => wanted(entry.name) })) {
      if (entry.data) members.set(entry.name, entry.data);
    }
  }
  return members;
}

/** One member; an error that names the archive when it is missing. */
export async function readMember(file, path) {
  const data = (await readMembers(file, (name) => name === path)).get(path);
  if (!data) throw new Error(`${file}: expected the member ${path}, the archive has none: the pinned version and the path disagree`);
  return data;
}
