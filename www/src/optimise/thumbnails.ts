/** Pictures shown small. */

export interface Picture {
  readonly name: string;
  /** A file, or the address of one of the site's own. */
  readonly source: Blob | string;
}

/** An image of it, and the URL that is to be revoked when it is gone. */
export function thumbnail({ source }: Picture): { image: HTMLImageElement; url: string | undefined } {
  const url = typeof source === "string" ? undefined : URL.createObjectURL(source);
  const image = document.createElement("img");
  image.src = url ?? (source as string);
  image.alt = "";
  image.decoding = "async";
  image.loading = "lazy";
  return { image, url };
}
