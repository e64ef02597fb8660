/**
 * Tasks: from what a page has (a picture, sound, a text, a file, a row of a table) to what it wants, on packages.
 *
 * ```js
 * import { faceDetector } from "firebrand/tasks";
 *
 * const detector = await faceDetector("/models/face-detection/manifest.json");
 * const faces = await detector.detect(photo);
 * ```
 *
 * Every task has a `session`, and ends with `dispose()` or `await using`.
 *
 * @packageDocumentation
 */
export { audioDetector, type AudioDetectOptions, type AudioDetector, type AudioFrame, type AudioSegment, type AudioStream, type StreamOptions } from "./audio-detector.js";
export type { AudioSamples, AudioSource } from "./audio.js";
export type { LiveAudio } from "./capture.js";
export { fileTyper, type FileType, type FileTyper } from "./file-typer.js";
export { imageClassifier, type Classification, type ClassifyOptions, type ImageClassifier } from "./image-classifier.js";
export { imageSegmenter, type ImageSegmenter, type Segmentation } from "./image-segmenter.js";
export { noteTranscriber, type Note, type NoteTranscriber, type TranscribeOptions } from "./note-transcriber.js";
export { faceDetector, objectDetector, type Box, type Detection, type DetectOptions, type Keypoint, type ObjectDetector } from "./object-detector.js";
export { tabularPredictor, type Feature, type Prediction, type TabularPredictor, type TabularRow } from "./tabular-predictor.js";
export type { CallOptions, Task, TaskName, TaskOptions } from "./task.js";
export { textEmbedder, type TextEmbedder } from "./text-embedder.js";
export { watchVideo, type VideoTask, type WatchedFrame, type WatchOptions, type WatchSummary } from "./video.js";
