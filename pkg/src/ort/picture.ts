//! Tensors of pictures and pictures of tensors, with the numbers that onnxruntime-common gives.
import { FirebrandError } from "../index.js";
import { warnOnce } from "./log.js";
import type { ImageFormat, OptionsNormalizationParameters, Tensor, TensorFromUrlOptions, TensorToImageDataOptions } from "./tensor.js";

export type PictureSource = ImageData | HTMLImageElement | ImageBitmap | string;

/** Pixels as `ImageData` holds them: RGBA, 8 bits each. */
interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

type Canvas = HTMLCanvasElement | OffscreenCanvas;

/** For each plane of a tensor, which of red, green, blue and alpha it has. */
const channelsOf: Readonly<Record<ImageFormat, readonly number[]>> = { RGB: [0, 1, 2], RGBA: [0, 1, 2, 3], BGR: [2, 1, 0], RBG: [0, 2, 1] };

export async function pictureOf(image: PictureSource, options: TensorFromUrlOptions = {}): Promise<{ data: Float32Array; dims: number[] }> {
  if (typeof options !== "object" || options === null) throw invalid("options are an object");
  if (options.dataType === "uint8") warnOnce('Tensor.fromImage: dataType "uint8" is not heeded; as with onnxruntime-common, the tensor is float32');
  if (isElement(image)) return toTensor(readElement(image, options), options.tensorFormat ?? "RGBA", options);
  return toTensor(await readOther(image, options), options.tensorFormat ?? "RGB", options);
}

function isElement(image: PictureSource): image is HTMLImageElement {
  return typeof HTMLImageElement !== "undefined" && image instanceof HTMLImageElement;
}

function readElement(image: HTMLImageElement, options: TensorFromUrlOptions): Pixels {
  const { width, height } = image;
  const { canvas, context } = newCanvas(width, height);
  context.drawImage(image, 0, 0);
  return cropped(readCanvas(canvas, context), options);
}

async function readOther(image: Exclude<PictureSource, HTMLImageElement>, options: TensorFromUrlOptions): Promise<Pixels> {
  if (typeof image === "string") return drawn(await loadImage(image));
  if (typeof ImageBitmap !== "undefined" && image instanceof ImageBitmap) return drawn(image);
  if (isPixels(image)) return cropped(image, options);
  throw invalid("Input data provided is not supported - aborted tensor creation; give an ImageData, an HTMLImageElement, an ImageBitmap or a URL");
}

/** A picture in its own size. */
function drawn(image: ImageBitmap | HTMLImageElement): Pixels {
  const { canvas, context } = newCanvas(image.width, image.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return readCanvas(canvas, context);
}

function toTensor({ data: pixels, width, height }: Pixels, format: ImageFormat, { tensorLayout = "NCHW", norm }: TensorFromUrlOptions): { data: Float32Array; dims: number[] } {
  const channels = channelsFor(format);
  const mean = perChannel("mean", norm?.mean, 255);
  const bias = perChannel("bias", norm?.bias, 0);
  const plane = width * height;
  const count = channels.length;
  const isPlanar = isNchw(tensorLayout);
  const data = new Float32Array(plane * count);
  for (const [place, channel] of channels.entries()) {
    const [start, step] = isPlanar ? [place * plane, 1] : [place, count];
    const add = bias[channel] ?? 0;
    const divisor = mean[channel] ?? 255;
    for (let pixel = 0; pixel < plane; pixel++) data[start + pixel * step] = ((pixels[pixel * 4 + channel] ?? 0) + add) / divisor;
  }
  return { data, dims: isPlanar ? [1, count, height, width] : [1, height, width, count] };
}

/** Cuts off what stands over, and leaves black and transparent what is missing, as reading past a canvas does. */
function cropped(pixels: Pixels, { resizedWidth, resizedHeight }: TensorFromUrlOptions): Pixels {
  if (resizedWidth === undefined || resizedHeight === undefined) return pixels;
  if (!isSide(resizedWidth) || !isSide(resizedHeight)) throw invalid(`resizedWidth and resizedHeight are whole numbers of pixels, got ${resizedWidth} and ${resizedHeight}`);
  if (resizedWidth === pixels.width && resizedHeight === pixels.height) return pixels;
  warnOnce("Tensor.fromImage: resizedWidth and resizedHeight cut the picture off, as in onnxruntime-common; to resample it, use createImageBitmap(image, { resizeWidth, resizeHeight })");
  const data = new Uint8ClampedArray(resizedWidth * resizedHeight * 4);
  const width = Math.min(resizedWidth, pixels.width);
  for (let y = 0; y < Math.min(resizedHeight, pixels.height); y++) {
    const from = y * pixels.width * 4;
    data.set(pixels.data.subarray(from, from + width * 4), y * resizedWidth * 4);
  }
  return { width: resizedWidth, height: resizedHeight, data };
}

export function toImageData(tensor: { readonly dims: readonly number[]; readonly data: Tensor.DataType }, options: TensorToImageDataOptions = {}): ImageData {
  if (typeof ImageData !== "function") throw new FirebrandError("unsupported", "Tensor.toImageData: there is no ImageData here; use it in a browser");
  const { width, height, pixels } = toPixels(tensor, options);
  return new ImageData(pixels, width, height);
}

export function toDataURL(tensor: { readonly dims: readonly number[]; readonly data: Tensor.DataType }, options: TensorToImageDataOptions = {}): string {
  if (typeof document !== "object") throw new FirebrandError("unsupported", "toDataURL is not supported here, without a document; use toImageData()");
  const image = toImageData(tensor, options);
  const { canvas, context } = newCanvas(image.width, image.height);
  context.putImageData(image, 0, 0);
  if ("toDataURL" in canvas) return canvas.toDataURL();
  throw new FirebrandError("unsupported", "toDataURL is not supported here");
}

function toPixels({ dims, data }: { readonly dims: readonly number[]; readonly data: Tensor.DataType }, { format = "RGB", tensorLayout = "NCHW", norm }: TensorToImageDataOptions): { width: number; height: number; pixels: Uint8ClampedArray<ArrayBuffer> } {
  const channels = channelsFor(format);
  const isPlanar = isNchw(tensorLayout);
  const [count, height, width] = isPlanar ? [dims[1], dims[2], dims[3]] : [dims[3], dims[1], dims[2]];
  if (dims.length !== 4 || dims[0] !== 1 || count !== channels.length || !isSide(width) || !isSide(height)) {
    const axes = isPlanar ? `[1, ${channels.length}, height, width]` : `[1, height, width, ${channels.length}]`;
    throw new FirebrandError("shape_mismatch", `Tensor format doesn't match input tensor dims: expected ${axes} for ${format}, got [${dims.join(", ")}]`);
  }
  const mean = perChannel("mean", norm?.mean, 255);
  const bias = perChannel("bias", norm?.bias, 0);
  const plane = width * height;
  const pixels = new Uint8ClampedArray(plane * 4).fill(255);
  for (const [place, channel] of channels.entries()) {
    const [start, step] = isPlanar ? [place * plane, 1] : [place, count];
    const subtract = bias[channel] ?? 0;
    const multiply = mean[channel] ?? 255;
    for (let pixel = 0; pixel < plane; pixel++) pixels[pixel * 4 + channel] = (Number(data[start + pixel * step]) - subtract) * multiply;
  }
  return { width, height, pixels };
}

/** One number for each of red, green, blue and alpha. */
function perChannel(name: string, given: NonNullable<OptionsNormalizationParameters["norm"]>["mean"], otherwise: number): readonly number[] {
  if (given === undefined) return [otherwise, otherwise, otherwise, otherwise];
  const values = typeof given === "number" ? [given, given, given, given] : [...given];
  if ((values.length !== 3 && values.length !== 4) || !values.every(Number.isFinite)) throw invalid(`norm.${name} is one number, or an array of 3 or 4; got ${JSON.stringify(given)}`);
  return values.length === 3 ? [...values, otherwise] : values;
}

function channelsFor(format: ImageFormat): readonly number[] {
  if (!Object.hasOwn(channelsOf, format)) throw invalid(`expected one of the formats ${Object.keys(channelsOf).join(", ")}, got ${JSON.stringify(format)}`);
  return channelsOf[format];
}

function isNchw(layout: unknown): boolean {
  if (layout !== "NCHW" && layout !== "NHWC") throw invalid(`tensorLayout is "NCHW" or "NHWC", got ${JSON.stringify(layout)}`);
  return layout === "NCHW";
}

function isPixels(image: unknown): image is Pixels {
  return typeof image === "object" && image !== null && "data" in image && image.data instanceof Uint8ClampedArray && "width" in image && "height" in image && isSide(image.width) && isSide(image.height) && image.data.length === image.width * image.height * 4;
}

function isSide(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

function loadImage(url: string): Promise<HTMLImageElement> {
  if (typeof Image !== "function") throw new FirebrandError("unsupported", "Tensor.fromImage: pictures are fetched by URL where there is a document; elsewhere give an ImageBitmap or an ImageData");
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.crossOrigin = "anonymous";
    image.onload = () => resolve(image);
    image.onerror = () => reject(new FirebrandError("network", `Tensor.fromImage: no picture could be had from ${url.startsWith("data:") ? "the data URL" : url}: check the address, and for another origin that its server sends CORS headers`));
    image.src = url;
  });
}

function newCanvas(width: number, height: number): { canvas: Canvas; context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D } {
  if (!isSide(width) || !isSide(height)) throw invalid("the picture has no pixels yet; wait until it is loaded (await image.decode())");
  const canvas = typeof document === "object" ? Object.assign(document.createElement("canvas"), { width, height }) : typeof OffscreenCanvas === "function" ? new OffscreenCanvas(width, height) : undefined;
  if (canvas === undefined) throw new FirebrandError("unsupported", "Tensor.fromImage: Canvas is not supported here; give an ImageData");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null || !("getImageData" in context)) throw new FirebrandError("unsupported", "Can not access image data: this browser gives no 2d canvas");
  return { canvas, context };
}

function readCanvas({ width, height }: Canvas, context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D): Pixels {
  try {
    return context.getImageData(0, 0, width, height);
  } catch (error) {
    throw new FirebrandError("invalid_argument", 'Can not access image data: for a picture from another origin set crossOrigin = "anonymous" and let that server send CORS headers', { cause: error });
  }
}

function invalid(message: string): FirebrandError {
  return new FirebrandError("invalid_argument", `Tensor and pictures: ${message}`);
}
