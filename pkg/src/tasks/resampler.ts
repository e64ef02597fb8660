//! Sound of one rate at another: band-limited interpolation with a windowed sinc, the same numbers everywhere, for whole
//! recordings and for sound that comes piece by piece.

/** Zero crossings of the sinc on either side. */
const crossings = 32;

/** Where the pass band ends, as a part of the lower rate's half: what is above would come back mirrored. */
const rolloff = 0.945;

/** The shape of the Kaiser window. */
const beta = 12;

/** What browsers and files have, with room. */
export function isSampleRate(rate: unknown): rate is number {
  return typeof rate === "number" && Number.isInteger(rate) && rate >= 1000 && rate <= 768_000;
}

/** Takes samples at one rate, and gives them at another. Both are whole numbers. */
export class Resampler {
  readonly #up: number;
  readonly #down: number;
  /** How many samples of the source count on either side. */
  readonly #reach: number;
  readonly #cutoff: number;
  /** The weights of each phase, made when it is met. */
  readonly #phases = new Map<number, Float64Array>();
  /** What may still count, and the index in the source of its first. */
  #held = new Float32Array(0);
  #heldFrom = 0;
  #taken = 0;
  #given = 0;

  constructor(from: number, to: number) {
    const common = greatestCommonDivisor(from, to);
    this.#up = to / common;
    this.#down = from / common;
    this.#cutoff = rolloff * Math.min(1, to / from);
    this.#reach = Math.ceil(crossings / this.#cutoff);
  }

  /** The samples that can be told after these. */
  push(samples: Float32Array): Float32Array {
    if (this.#up === this.#down) return samples.slice();
    const joined = new Float32Array(this.#held.length + samples.length);
    joined.set(this.#held);
    joined.set(samples, this.#held.length);
    this.#held = joined;
    this.#taken += samples.length;
    // Of a later sample the right half of the window is not there yet.
    return this.#make(Math.ceil(((this.#taken - this.#reach) * this.#up) / this.#down));
  }

  /** What remains at the end, where silence follows. */
  end(): Float32Array {
    return this.#up === this.#down ? new Float32Array(0) : this.#make(Math.ceil((this.#taken * this.#up) / this.#down));
  }

  #make(end: number): Float32Array {
    const made = new Float32Array(Math.max(0, end - this.#given));
    for (let at = 0; at < made.length; at++, this.#given++) {
      const exact = this.#given * this.#down;
      const whole = Math.floor(exact / this.#up);
      const weights = this.#weights(exact - whole * this.#up);
      const from = whole - this.#reach + 1 - this.#heldFrom;
      const first = Math.max(0, -from);
      const last = Math.min(weights.length, this.#held.length - from);
      let sum = 0;
      for (let tap = first; tap < last; tap++) sum += weights[tap]! * this.#held[from + tap]!;
      made[at] = sum;
    }
    const needed = Math.max(this.#heldFrom, Math.floor((this.#given * this.#down) / this.#up) - this.#reach);
    this.#held = this.#held.slice(Math.min(this.#held.length, needed - this.#heldFrom));
    this.#heldFrom = needed;
    return made;
  }

  /** For a place that is `phase / up` after a sample: the weights of those around it. */
  #weights(phase: number): Float64Array {
    let weights = this.#phases.get(phase);
    if (weights) return weights;
    const reach = this.#reach;
    weights = new Float64Array(2 * reach);
    for (let tap = 0; tap < weights.length; tap++) {
      const distance = tap - reach + 1 - phase / this.#up;
      const window = 1 - (distance / reach) ** 2;
      if (window > 0) weights[tap] = this.#cutoff * sinc(distance * this.#cutoff) * (bessel(beta * Math.sqrt(window)) / bessel(beta));
    }
    this.#phases.set(phase, weights);
    return weights;
  }
}

/** A whole recording at another rate. */
export function resampled(samples: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return samples;
  const resampler = new Resampler(from, to);
  const start = resampler.push(samples);
  const rest = resampler.end();
  const all = new Float32Array(start.length + rest.length);
  all.set(start);
  all.set(rest, start.length);
  return all;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** The modified Bessel function of order 0. */
function bessel(x: number): number {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-12 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
