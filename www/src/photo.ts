/** Photos: from a file, a drop, the clipboard, a sample or the camera. */

/** A decoded photo: `bitmap` for the model, `url` for an `<img>`. Close it when it is replaced. */
export interface Photo {
  readonly name: string;
  readonly url: string;
  readonly bitmap: ImageBitmap;
  close(): void;
}

/** A photo that cannot be had; the message is for the visitor. */
export class PhotoError extends Error {
  override name = "PhotoError";
}

/** The longest side kept; the model looks at 227 × 227 pixels, a phone's camera gives 8,000 × 6,000. */
const LONGEST_SIDE = 640;

/** Decodes an image file. Throws `PhotoError` when it is not an image this browser reads. */
export async function photoFromBlob(blob: Blob, name: string): Promise<Photo> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new PhotoError(
      blob.size === 0
        ? `“${name}” is empty.`
        : `“${name}” is not a photo this browser can read. JPEG, PNG, WebP and AVIF work.`,
    );
  }
  const excess = Math.max(bitmap.width, bitmap.height) / LONGEST_SIDE;
  if (excess > 1) {
    const large = bitmap;
    bitmap = await createImageBitmap(large, {
      resizeWidth: Math.round(large.width / excess),
      resizeHeight: Math.round(large.height / excess),
      resizeQuality: "high",
    });
    large.close();
  }
  return photo(name, URL.createObjectURL(blob), bitmap);
}

/** Fetches one of this page's own photos. */
export async function photoFromUrl(url: string, name: string): Promise<Photo> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw new PhotoError(`The photo “${name}” could not be fetched. Is the network there?`);
  }
  if (!response.ok) {
    throw new PhotoError(`The photo “${name}” could not be fetched: the server answered ${response.status}.`);
  }
  return photoFromBlob(await response.blob(), name);
}

/** The first image in a drop or a paste, or `undefined` when there is none. */
export function imageIn(transfer: DataTransfer | null): File | undefined {
  const files = [...(transfer?.files ?? [])];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0];
}

/** The picture that the camera shows now. */
export async function photoFromVideo(video: HTMLVideoElement): Promise<Photo> {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new PhotoError("The camera gave no picture. Try again.");
  return photoFromBlob(blob, "Camera photo");
}

function photo(name: string, url: string, bitmap: ImageBitmap): Photo {
  return {
    name,
    url,
    bitmap,
    close() {
      URL.revokeObjectURL(url);
      bitmap.close();
    },
  };
}
