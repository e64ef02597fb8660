// What the examples of the documentation take as given: things of the page or program that they are a part of.
import type { LoadOptions, Session, Tensor } from "firebrand";
import type { AudioDetector, Box, Keypoint } from "firebrand/tasks";

declare global {
  /** A picture that the page shows. */
  const image: HTMLImageElement;
  const photo: HTMLImageElement;
  /** Its pixels, as a model takes them. */
  const pixels: Float32Array<ArrayBuffer>;
  /** Files that somebody chose. */
  const file: File;
  const catPhoto: File;
  const dogPhoto: File;
  const bytes: Uint8Array<ArrayBuffer>;
  /** A session that is loaded, what it takes, and how the page shows progress. */
  const session: Session;
  const data: Tensor<"float32">;
  const a: Tensor;
  const b: Tensor;
  const onProgress: NonNullable<LoadOptions["onProgress"]>;
  /** What else a session takes, by name. */
  const inputs: Record<string, Tensor>;
  /** A task that is ready. */
  const detector: AudioDetector;
  /** How the page shows what was found, and what it computes on. */
  function draw(box: Box, keypoints: readonly Keypoint[]): void;
  function show(...values: unknown[]): void;
  /** Keeps a file of a package, somewhere. */
  function save(name: string, bytes: Uint8Array): Promise<void>;
  interface ImportMeta {
    /** Vite's. */
    readonly env: { readonly BASE_URL: string };
  }
}
