import { FirebrandError } from "../error.js";
import { typeName } from "../tensor.js";
import type { CallOptions } from "./task.js";

type FrameCall<Result> = (frame: ImageBitmap, options: CallOptions) => Promise<Result>;

/** What is done to each frame: a task for pictures, or a function. */
export type VideoTask<Result> =
  | FrameCall<Result>
  | { classify: FrameCall<Result> }
  | { detect: FrameCall<Result> }
  | { segment: FrameCall<Result> };

/** The frame that a result is of. */
export interface WatchedFrame {
  /** Its pixels, which are freed when `onResult` returns. */
  readonly bitmap: ImageBitmap;
  /** Where it is in the video, in seconds. */
  readonly time: number;
}

/** How a video is watched. */
export interface WatchOptions {
  /** Ends the watching when it aborts; the promise resolves then. */
  signal?: AbortSignal;
}

/** What came of watching. */
export interface WatchSummary {
  /** Frames that the video showed meanwhile. */
  frames: number;
  /** Those that there is a result of; the others came while an earlier one was worked on, and were dropped. */
  results: number;
}

/**
 * Runs a task on what a video shows, one frame at a time: a frame that comes while another is worked on is dropped, so
 * that results are as fresh as can be, and each frame's memory is freed. It waits while the video is paused or its page
 * is hidden.
 *
 * ```js
 * const stop = new AbortController();
 * await watchVideo(video, detector, (faces, { time }) => draw(faces, time), { signal: stop.signal });
 * ```
 *
 * @param video a playing video, of a file or of a camera (`srcObject`)
 * @param task an image classifier, detector or segmenter, or a function of an `ImageBitmap`, which need not free it
 * @param onResult called with each result; the frame is freed when it returns
 * @returns when the video has ended or the signal aborted
 * @throws {@link FirebrandError}: `invalid_argument` for what is no video; what the task throws but `aborted`, and what
 *   `onResult` throws
 */
export async function watchVideo<Result>(video: HTMLVideoElement, task: VideoTask<Result>, onResult: (result: Result, frame: WatchedFrame) => void, options: WatchOptions = {}): Promise<WatchSummary> {
  if (typeof HTMLVideoElement !== "function" || !(video instanceof HTMLVideoElement)) {
    throw new FirebrandError("invalid_argument", `watchVideo takes a video element, got ${typeName(video)}`);
  }
  const call = callOf(task);
  const { signal } = options;
  const summary = { frames: 0, results: 0 };
  if (signal?.aborted || video.ended) return summary;

  const ending = new AbortController();
  const end = () => ending.abort();
  let current: Promise<void> | undefined;
  let failure: { error: unknown } | undefined;
  const work = async (time: number) => {
    let bitmap: ImageBitmap | undefined;
    try {
      bitmap = await createImageBitmap(video);
      if (ending.signal.aborted) return;
      const result = await call(bitmap, { signal: ending.signal });
      if (ending.signal.aborted) return;
      summary.results++;
      onResult(result, { bitmap, time });
    } catch (error) {
      if (ending.signal.aborted) return;
      failure = { error };
      end();
    } finally {
      bitmap?.close();
      current = undefined;
    }
  };
  const frames = eachFrame(video, (time) => {
    summary.frames++;
    if (!document.hidden) current ??= work(time);
  });
  signal?.addEventListener("abort", end, { once: true });
  video.addEventListener("ended", end, { once: true });
  await new Promise<void>((resolve) => ending.signal.addEventListener("abort", () => resolve(), { once: true }));
  signal?.removeEventListener("abort", end);
  video.removeEventListener("ended", end);
  frames.stop();
  await current;
  if (failure) throw failure.error;
  return summary;
}

function callOf<Result>(task: VideoTask<Result>): FrameCall<Result> {
  if (typeof task === "function") return task;
  if (typeof task === "object" && task !== null) {
    if ("classify" in task) return (frame, options) => task.classify(frame, options);
    if ("detect" in task) return (frame, options) => task.detect(frame, options);
    if ("segment" in task) return (frame, options) => task.segment(frame, options);
  }
  throw new FirebrandError("invalid_argument", `watchVideo takes an image classifier, detector or segmenter, or a function; got ${typeName(task)}`);
}

/** Tells of each frame that a video shows, where it is in seconds. */
function eachFrame(video: HTMLVideoElement, onFrame: (time: number) => void): { stop(): void } {
  let handle = 0;
  if (typeof video.requestVideoFrameCallback === "function") {
    const next = (_: number, { mediaTime }: VideoFrameCallbackMetadata) => {
      handle = video.requestVideoFrameCallback(next);
      onFrame(mediaTime);
    };
    handle = video.requestVideoFrameCallback(next);
    return { stop: () => video.cancelVideoFrameCallback(handle) };
  }
  // Where the screen is drawn more often than the video, its time tells whether there is a new frame.
  let last = -1;
  const next = () => {
    handle = requestAnimationFrame(next);
    if (video.readyState < video.HAVE_CURRENT_DATA || video.currentTime === last) return;
    last = video.currentTime;
    onFrame(last);
  };
  handle = requestAnimationFrame(next);
  return { stop: () => cancelAnimationFrame(handle) };
}
