import { FirebrandError } from "./error.js";

/** What a picture may come from. `ImageData` (or its like) works in Node too. */
export type ImageSource =
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | ImageData
  | HTMLVideoElement
  | PixelSource;

/** Pixels as `ImageData` holds them: RGBA, 8 bits each, row by row, without padding. */
export interface PixelSource {
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  /** `width × height × 4` bytes. */
  readonly data: Uint8ClampedArray | Uint8Array;
}

/** How a picture becomes a tensor. */
export interface ImageOptions {
  /** The result's size in pixels: `[height, width]`, or one number for both. Default: the source's own. */
  size?: number | readonly [height: number, width: number];
  /** `"NCHW"` gives shape `[1, channels, height, width]`, `"NHWC"` gives `[1, height, width, channels]`. Default: `"NCHW"`. */
  layout?: "NCHW" | "NHWC";
  /**
   * The channels and their order: three, or with `"GRAY"` one, the luminance (ITU-R BT.601) in whole numbers as Pillow's
   * `"L"`. Default: `"RGB"`. Alpha is left out.
   */
  color?: "RGB" | "BGR" | "GRAY";
  /** Subtracted from each pixel (0…255): one number, or one per channel in the order of `color`. Default: 0. */
  mean?: number | readonly [number, number, number] | readonly [number];
  /** Multiplied after `mean` is subtracted, as `mean` is given. Default: 1/255. */
  scale?: number | readonly [number, number, number] | readonly [number];
  /**
   * Where the proportions differ: `"cover"` fills the result and cuts off what stands over, evenly;
   * `"contain"` shows the whole picture on black; `"fill"` stretches. Default: `"cover"`.
   */
  fit?: "cover" | "contain" | "fill";
}

/** A rectangle in the source, in pixels; fractions are allowed. */
interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

export function tensorFromImage(source: ImageSource, options: ImageOptions): { data: Float32Array; shape: number[] } {
  if (typeof options !== "object" || options === null) fail("options are an object");
  const pixels = pixelsOf(source);
  const [height, width] = sizeOf(options.size, pixels);
  const layout = oneOf("layout", options.layout ?? "NCHW", ["NCHW", "NHWC"]);
  const color = oneOf("color", options.color ?? "RGB", ["RGB", "BGR", "GRAY"]);
  const channels = color === "GRAY" ? 1 : 3;
  const fit = oneOf("fit", options.fit ?? "cover", ["cover", "contain", "fill"]);
  const mean = perChannel("mean", options.mean ?? 0, channels);
  const scale = perChannel("scale", options.scale ?? 1 / 255, channels);

  const { crop, inner } = placement(pixels, height, width, fit);
  const rgb = resample(color === "GRAY" ? luminance(pixels) : pixels, crop, inner.height, inner.width);

  const plane = height * width;
  const data = new Float32Array(channels * plane);
  const [channelStride, pixelStride] = layout === "NCHW" ? [plane, 1] : [1, channels];
  for (let channel = 0; channel < channels; channel++) {
    const from = color === "BGR" ? 2 - channel : channel;
    const subtract = mean[channel]!;
    const multiply = scale[channel]!;
    const start = channel * channelStride;
    if (plane !== inner.height * inner.width) {
      const black = -subtract * multiply;
      for (let at = start, end = start + plane * pixelStride; at < end; at += pixelStride) data[at] = black;
    }
    for (let y = 0; y < inner.height; y++) {
      let at = start + ((y + inner.top) * width + inner.left) * pixelStride;
      let read = y * inner.width * 3 + from;
      for (let x = 0; x < inner.width; x++, at += pixelStride, read += 3) {
        data[at] = (rgb[read]! - subtract) * multiply;
      }
    }
  }
  return { data, shape: layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels] };
}

/** The same picture in grey: the weights of ITU-R BT.601 in the very integers of Pillow's conversion to `"L"`. */
function luminance({ width, height, data }: PixelSource): PixelSource {
  const grey = new Uint8Array(data.length);
  for (let at = 0; at < data.length; at += 4) {
    grey.fill((data[at]! * 19595 + data[at + 1]! * 38470 + data[at + 2]! * 7471 + 0x8000) >> 16, at, at + 3);
  }
  return { width, height, data: grey };
}

/** Which part of a picture is shown where in a result of `height` × `width`. */
export function placement(picture: { width: number; height: number }, height: number, width: number, fit: "cover" | "contain" | "fill") {
  let crop: Rectangle = { x: 0, y: 0, width: picture.width, height: picture.height };
  let inner = { top: 0, left: 0, height, width };
  if (fit === "cover") {
    const ratio = Math.min(picture.width / width, picture.height / height);
    const cut = { width: width * ratio, height: height * ratio };
    crop = { x: (picture.width - cut.width) / 2, y: (picture.height - cut.height) / 2, ...cut };
  } else if (fit === "contain") {
    const ratio = Math.min(width / picture.width, height / picture.height);
    const innerHeight = Math.max(1, Math.round(picture.height * ratio));
    const innerWidth = Math.max(1, Math.round(picture.width * ratio));
    inner = {
      top: Math.floor((height - innerHeight) / 2),
      left: Math.floor((width - innerWidth) / 2),
      height: innerHeight,
      width: innerWidth,
    };
  }
  return { crop, inner };
}

/**
 * Resamples a rectangle of the picture to `height` × `width` RGB, with a triangle filter at
 * half-pixel centres: bilinear where it enlarges, widened by the factor where it shrinks, so that
 * every source pixel counts. It is Pillow's `BILINEAR` without the rounding between the two passes,
 * and gives the same numbers in every browser, which a canvas does not.
 */
export function resample(source: PixelSource, crop: Rectangle, height: number, width: number): Float32Array {
  const { data } = source;
  const columns = taps(crop.x, crop.width, width, source.width);
  const { weights } = columns;
  const rows = taps(crop.y, crop.height, height, source.height);
  const firstRow = rows.start[0]!;
  const lastRow = rows.start[height - 1]! + rows.count[height - 1]!;

  const narrow = new Float32Array((lastRow - firstRow) * width * 3);
  for (let y = firstRow, write = 0; y < lastRow; y++) {
    const line = y * source.width * 4;
    for (let x = 0; x < width; x++) {
      const count = columns.count[x]!;
      let weight = x * columns.stride;
      let read = line + columns.start[x]! * 4;
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let tap = 0; tap < count; tap++, weight++, read += 4) {
        const share = weights[weight]!;
        red += share * data[read]!;
        green += share * data[read + 1]!;
        blue += share * data[read + 2]!;
      }
      narrow[write++] = red;
      narrow[write++] = green;
      narrow[write++] = blue;
    }
  }

  const line = width * 3;
  const result = new Float32Array(height * line);
  const sum = new Float64Array(line);
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    const count = rows.count[y]!;
    for (let tap = 0; tap < count; tap++) {
      const share = rows.weights[y * rows.stride + tap]!;
      let read = (rows.start[y]! + tap - firstRow) * line;
      for (let x = 0; x < line; x++) sum[x]! += share * narrow[read++]!;
    }
    result.set(sum, y * line);
  }
  return result;
}

/** For each of `count` results along an axis: which source pixels count, and how much. */
export function taps(offset: number, extent: number, count: number, available: number) {
  const step = extent / count;
  const reach = Math.max(1, step);
  const stride = Math.ceil(reach * 2) + 2;
  const start = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Float64Array(count * stride);
  for (let index = 0; index < count; index++) {
    const centre = offset + (index + 0.5) * step;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.max(first + 1, Math.min(available, Math.floor(centre + reach + 0.5)));
    let total = 0;
    for (let at = first; at < end; at++) {
      const share = Math.max(0, 1 - Math.abs((at + 0.5 - centre) / reach));
      weights[index * stride + at - first] = share;
      total += share;
    }
    for (let at = 0; at < end - first; at++) weights[index * stride + at]! /= total;
    start[index] = first;
    counts[index] = end - first;
  }
  return { start, count: counts, weights, stride };
}

/** The pixels of a source; those of anything but `ImageData` and its like are read from a canvas. */
export function pixelsOf(source: ImageSource): PixelSource {
  if (typeof source !== "object" || source === null) {
    fail(`a picture is an ImageBitmap, image, canvas, video or ImageData, got ${source === null ? "null" : typeof source}`);
  }
  if ("data" in source) {
    const { width, height, data } = source;
    if (!isSize(width) || !isSize(height) || !(data instanceof Uint8ClampedArray || data instanceof Uint8Array)) {
      fail("ImageData has a width, a height and 8-bit RGBA data");
    }
    if (data.length !== width * height * 4) {
      throw new FirebrandError(
        "data_length_mismatch",
        `picture: ${width} × ${height} RGBA pixels are ${width * height * 4} bytes, the data has ${data.length}`,
      );
    }
    return source;
  }
  const { width, height } = naturalSize(source);
  if (!isSize(width) || !isSize(height)) {
    fail("it has no pixels yet; wait until it is loaded (await image.decode(), or the video's loadeddata event)");
  }
  const canvas = newCanvas(width, height);
  try {
    const context = canvas.getContext("2d", { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D | null;
    if (!context) fail("this browser gives no 2d canvas");
    context.drawImage(source, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  } catch (error) {
    if (error instanceof FirebrandError) throw error;
    throw new FirebrandError(
      "invalid_argument",
      'picture: its pixels may not be read; for a picture from another origin set crossOrigin = "anonymous" and let that server send CORS headers',
      { cause: error },
    );
  }
}

function naturalSize(source: Exclude<ImageSource, ImageData | PixelSource>): { width: number; height: number } {
  if ("naturalWidth" in source) return { width: source.naturalWidth, height: source.naturalHeight };
  if ("videoWidth" in source) return { width: source.videoWidth, height: source.videoHeight };
  return source;
}

function newCanvas(width: number, height: number): OffscreenCanvas | HTMLCanvasElement {
  if (typeof OffscreenCanvas === "function") return new OffscreenCanvas(width, height);
  if (typeof document === "object") return Object.assign(document.createElement("canvas"), { width, height });
  return fail("without a canvas (in Node, for instance) give { width, height, data } with RGBA pixels");
}

function sizeOf(size: ImageOptions["size"], pixels: PixelSource): [number, number] {
  if (size === undefined) return [pixels.height, pixels.width];
  const [height, width] = typeof size === "number" ? [size, size] : size;
  if (!isSize(height) || !isSize(width)) fail(`size is [height, width] or one number, in whole pixels; got ${JSON.stringify(size)}`);
  return [height, width];
}

function perChannel(name: string, value: number | readonly number[], channels: 1 | 3): readonly number[] {
  const values = typeof value === "number" ? Array<number>(channels).fill(value) : value;
  if (!Array.isArray(values) || values.length !== channels || !values.every(Number.isFinite)) {
    const each = channels === 1 ? " for the one channel of grey" : ", or one for each of the three channels";
    fail(`${name} is one number${each}; got ${JSON.stringify(value)}`);
  }
  return values;
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) fail(`${name} is one of ${allowed.join(", ")}; got ${JSON.stringify(value)}`);
  return value;
}

/** Canvases and typed arrays end well below this; it keeps a slip of the hand from filling memory. */
const largestSide = 32_768;

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= largestSide;
}

function fail(message: string): never {
  throw new FirebrandError("invalid_argument", `picture: ${message}`);
}
