//! Runs in an audio worklet's scope: gives what it hears, all channels averaged, in pieces of some hundredths of a second.

declare function registerProcessor(name: string, processor: new () => unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const pieceLength = 1024;

class Capture extends AudioWorkletProcessor {
  #piece = new Float32Array(pieceLength);
  #filled = 0;
  #isStopped = false;

  constructor() {
    super();
    this.port.onmessage = () => (this.#isStopped = true);
  }

  process([channels = []]: Float32Array[][]): boolean {
    const length = channels[0]?.length ?? 0;
    for (let at = 0; at < length; at++) {
      let sum = 0;
      for (const channel of channels) sum += channel[at]!;
      this.#piece[this.#filled++] = sum / channels.length;
      if (this.#filled < pieceLength) continue;
      this.port.postMessage(this.#piece, [this.#piece.buffer]);
      this.#piece = new Float32Array(pieceLength);
      this.#filled = 0;
    }
    return !this.#isStopped;
  }
}

registerProcessor("firebrand-capture", Capture);
