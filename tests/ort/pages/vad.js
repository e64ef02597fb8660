// @ricky0123/vad-web finds speech at 16 kHz: in a file, and frame by frame as from a microphone.
import { MicVAD, NonRealTimeVAD } from "@ricky0123/vad-web";

/** The samples of a WAV file of 16 bits and one channel, from behind its header. */
async function samplesOf(url) {
  const bytes = await (await fetch(url)).arrayBuffer();
  return Float32Array.from(new Int16Array(bytes, 44), (sample) => sample / 32768);
}

async function segments(vad, audio) {
  const found = [];
  for await (const { start, end, audio: cut } of vad.run(audio, 16000)) found.push({ start, end, samples: cut.length });
  return found;
}

/** What the later networks say of each frame, without the microphone in front of them. */
async function frames(model, audio) {
  const probabilities = [];
  const events = [];
  const vad = await MicVAD.new({
    model,
    baseAssetPath: "./models/",
    onnxWASMBasePath: globalThis.wasmFolder ?? "./nowhere/",
    startOnLoad: false,
    onFrameProcessed: ({ isSpeech }) => probabilities.push(isSpeech),
    onSpeechStart: () => events.push("start"),
    onVADMisfire: () => events.push("too short"),
    onSpeechEnd: (cut) => events.push(`end, ${cut.length} samples`),
  });
  vad.frameProcessor.resume();
  const began = performance.now();
  for (let at = 0; at + 512 <= audio.length; at += 512) await vad.processFrame(audio.slice(at, at + 512));
  const msPerFrame = (performance.now() - began) / probabilities.length;
  await vad.model.release();
  return { probabilities, events, msPerFrame };
}

async function main() {
  const speech = await samplesOf("./data/speech.wav");
  const padded = new Float32Array(16000 * 4);
  padded.set(speech, 12000);
  // The noise is the same in every run.
  let state = 1;
  const noise = Float32Array.from({ length: 32000 }, () => ((state = (state * 48271) % 2147483647) / 2147483647 - 0.5) * 0.002);
  const vad = await NonRealTimeVAD.new({ modelURL: "./models/silero_vad_legacy.onnx" });
  const file = { speech: await segments(vad, padded), again: await segments(vad, padded), silence: await segments(vad, new Float32Array(32000)), noise: await segments(vad, noise) };
  return { file, v5: await frames("v5", padded), v6: await frames("v6", padded) };
}

globalThis.outcome = main();
