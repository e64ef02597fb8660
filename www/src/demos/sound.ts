/** Sound: decoded, made, played and recorded. */

export interface Sound {
  readonly name: string;
  readonly samples: Float32Array;
  readonly sampleRate: number;
}

/** Sound that cannot be had; the message is for the visitor. */
export class SoundError extends Error {
  override name = "SoundError";
}

const RATE = 22_050;
/** Longer recordings are cut: the page is to show something, not to keep it. */
const LONGEST_SECONDS = 120;

export const secondsOf = ({ samples, sampleRate }: Sound): number => samples.length / sampleRate;

/** Decodes a sound file to one channel. Throws `SoundError` when the browser does not know it. */
export async function soundFromBlob(blob: Blob, name: string): Promise<Sound> {
  let decoded: AudioBuffer;
  try {
    decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await blob.arrayBuffer());
  } catch {
    throw new SoundError(blob.size === 0 ? `“${name}” is empty.` : `“${name}” is no sound that this browser can read. WAV, MP3, AAC, Ogg and WebM work.`);
  }
  const length = Math.min(decoded.length, LONGEST_SECONDS * RATE);
  const samples = new Float32Array(length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel++) {
    const data = decoded.getChannelData(channel);
    for (let at = 0; at < length; at++) samples[at] = (samples[at] ?? 0) + (data[at] ?? 0) / decoded.numberOfChannels;
  }
  return { name, samples, sampleRate: decoded.sampleRate };
}

export async function soundFromUrl(url: string, name: string): Promise<Sound> {
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) throw new SoundError(`The sound “${name}” could not be fetched${response ? `: the server answered ${response.status}` : ""}.`);
  return soundFromBlob(await response.blob(), name);
}

/** A note of a tune: its MIDI number, and its start and length in seconds. */
export interface Played {
  readonly pitch: number;
  readonly start: number;
  readonly length: number;
}

/** Notes as a plucked string plays them, more or less. */
export function synthesise(notes: readonly Played[], name: string): Sound {
  const seconds = Math.max(0, ...notes.map(({ start, length }) => start + length)) + 0.6;
  const samples = new Float32Array(Math.ceil(seconds * RATE));
  for (const { pitch, start, length } of notes) {
    const frequency = 440 * 2 ** ((pitch - 69) / 12);
    const from = Math.round(start * RATE);
    const count = Math.round((length + 0.25) * RATE);
    for (let at = 0; at < count && from + at < samples.length; at++) {
      const time = at / RATE;
      const envelope = Math.min(1, time / 0.006) * Math.exp(-time * 2.6) * Math.min(1, (count - at) / (0.2 * RATE));
      let value = 0;
      for (let partial = 1; partial <= 4; partial++) value += Math.sin(2 * Math.PI * frequency * partial * time) * Math.exp(-time * partial * 0.9) / partial ** 2.2;
      samples[from + at] = (samples[from + at] ?? 0) + value * envelope * 0.16;
    }
  }
  return { name, samples, sampleRate: RATE };
}

/** Plays one sound at a time. */
export class Player {
  #context: AudioContext | undefined;
  #source: AudioBufferSourceNode | undefined;

  get isPlaying(): boolean {
    return this.#source !== undefined;
  }

  /** Plays from the start; `onTime` hears the place, `onEnd` that it is over, also where it was stopped. */
  play({ samples, sampleRate }: Sound, onTime: (seconds: number) => void, onEnd: () => void): void {
    this.stop();
    const context = (this.#context ??= new AudioContext());
    void context.resume();
    const buffer = context.createBuffer(1, Math.max(1, samples.length), sampleRate);
    buffer.copyToChannel(new Float32Array(samples), 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    const began = context.currentTime;
    source.addEventListener("ended", () => {
      if (this.#source === source) this.#source = undefined;
      onEnd();
    });
    source.start();
    this.#source = source;
    const follow = () => {
      if (this.#source !== source) return;
      onTime(context.currentTime - began);
      requestAnimationFrame(follow);
    };
    follow();
  }

  stop(): void {
    this.#source?.stop();
    this.#source = undefined;
  }
}

/** The microphone. Throws `SoundError` with what the visitor can do. */
export async function openMicrophone(): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) throw new SoundError("The microphone is only for pages served over https, or from localhost. Choose a file instead.");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    switch (error instanceof DOMException ? error.name : "") {
      case "NotAllowedError":
      case "SecurityError":
        throw new SoundError("The microphone was not allowed. Allow it in the address bar and try again, or choose a file.");
      case "NotFoundError":
        throw new SoundError("No microphone was found on this device. Choose a file instead.");
      case "NotReadableError":
      case "AbortError":
        throw new SoundError("The microphone is busy: another program may be using it. Close that one and try again, or choose a file.");
      default:
        throw new SoundError(`The microphone could not be opened (${String(error)}). Choose a file instead.`);
    }
  }
}
