/** What a build gives, as files to keep. */
import type { BuiltPackage } from "firebrand/convert";
import { zipSync, type Zippable } from "fflate";

/** The same package gives the same archive: zip knows no earlier time. */
const TIME = "1980-01-01T00:00:00";

/** The package as one archive: a folder, stored, since brotli on the way does better. */
export function packageInZip(folder: string, files: BuiltPackage["files"]): Blob {
  const entries: Zippable = Object.fromEntries(files.map(({ name, bytes }) => [`${folder}/${name}`, [bytes, { level: 0, mtime: TIME }]]));
  return new Blob([zipSync(entries) as Uint8Array<ArrayBuffer>], { type: "application/zip" });
}

/** Lets a link save `content`, instead of what it saved before. */
export function saveBy(link: HTMLAnchorElement, name: string, content: Blob): void {
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(content);
  link.download = name;
}
