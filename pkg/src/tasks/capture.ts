//! Samples of live sound as they come, from an audio worklet. The worklet is a file of its own: a page whose
//! Content-Security-Policy allows no blob may have it.
import { FirebrandError, describe } from "../error.js";
import { typeName } from "../tensor.js";

/** Live sound: a stream with an audio track, or a node of the page's own audio graph. */
export type LiveAudio = MediaStream | AudioNode;

/** Gives one channel of live sound to `onSamples` until it is stopped. */
export async function capture(source: LiveAudio, onSamples: (samples: Float32Array, sampleRate: number) => void): Promise<{ stop(): Promise<void> }> {
  if (typeof AudioContext !== "function" || typeof AudioWorkletNode !== "function") {
    throw new FirebrandError("unsupported", "live sound: there is no Web Audio with worklets here; it needs a page over HTTPS or on localhost");
  }
  const isStream = source instanceof MediaStream;
  if (!isStream && !(typeof source === "object" && source !== null && "context" in source)) {
    throw new FirebrandError("invalid_argument", `live sound is a MediaStream or an AudioNode, got ${typeName(source)}`);
  }
  if (isStream && source.getAudioTracks().length === 0) {
    throw new FirebrandError("invalid_argument", "live sound: the stream has no audio track: ask for one with getUserMedia({ audio: true })");
  }
  const context = isStream ? new AudioContext() : source.context;
  try {
    // Vite would make a data: URL of so small a file, which strict policies forbid; nobody else minds the query.
    await context.audioWorklet.addModule(new URL("./capture-worklet.js?no-inline", import.meta.url));
  } catch (error) {
    if (isStream && context instanceof AudioContext) await context.close();
    throw new FirebrandError("network", `live sound: the package's dist/capture-worklet.js could not be loaded: deploy the package's dist folder as a whole (${describe(error)})`, { cause: error });
  }
  const node = isStream && context instanceof AudioContext ? context.createMediaStreamSource(source) : source;
  const worklet = new AudioWorkletNode(context, "firebrand-capture", { numberOfInputs: 1, numberOfOutputs: 0 });
  worklet.port.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data instanceof Float32Array) onSamples(data, context.sampleRate);
  };
  if (node instanceof AudioNode) node.connect(worklet);
  // A context that was made before the user did anything waits; one click later it goes on.
  if (isStream && context instanceof AudioContext) void context.resume();
  let isStopped = false;
  return {
    async stop() {
      if (isStopped) return;
      isStopped = true;
      worklet.port.onmessage = null;
      worklet.port.postMessage("stop");
      if (node instanceof AudioNode) node.disconnect(worklet);
      if (isStream && context instanceof AudioContext) await context.close();
    },
  };
}
