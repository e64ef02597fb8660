//! Notes out of what Basic Pitch says of each moment and pitch, as basic_pitch/note_creation.py makes them with its
//! defaults: a note starts at a peak of the onsets and lasts while its pitch sounds; what sounds without an onset
//! becomes notes afterwards, the loudest first.

/** What the model says, row by row: a row for each frame, a column for each pitch. */
export interface Activations {
  readonly frames: number;
  readonly pitches: number;
  /** How likely each pitch sounds. */
  readonly notes: Float32Array;
  /** How likely it starts. */
  readonly onsets: Float32Array;
}

/** How likely something must be, and how long last. */
export interface NoteThresholds {
  readonly onset: number;
  readonly frame: number;
  /** In frames; a note is longer than that. */
  readonly minLength: number;
}

/** A note in frames; `end` is the first frame without it. */
export interface FrameNote {
  start: number;
  end: number;
  /** The column. */
  pitch: number;
  /** From 0 to 1. */
  amplitude: number;
}

/** A note ends when it was too quiet for so many frames. */
const energyTolerance = 11;

/** All notes, by their start, then by pitch. */
export function createNotes(activations: Activations, thresholds: NoteThresholds): FrameNote[] {
  const { frames, pitches, notes } = activations;
  const onsets = withInferred(activations);
  const energy = notes.slice();
  const found: FrameNote[] = [];

  const add = (start: number, end: number, pitch: number) => {
    let sum = 0;
    for (let at = start; at < end; at++) sum += notes[at * pitches + pitch]!;
    found.push({ start, end, pitch, amplitude: sum / (end - start) });
  };
  /** A pitch that belongs to a note is none of its own, and neither are those beside it. */
  const silence = (at: number, pitch: number) => {
    for (let other = Math.max(0, pitch - 1); other <= Math.min(pitches - 1, pitch + 1); other++) energy[at * pitches + other] = 0;
  };
  const isQuiet = (at: number, pitch: number) => energy[at * pitches + pitch]! < thresholds.frame;

  // The latest onset first: an earlier note of the same pitch ends where a later one starts.
  for (let start = frames - 2; start >= 1; start--) {
    for (let pitch = pitches - 1; pitch >= 0; pitch--) {
      const onset = onsets[start * pitches + pitch]!;
      const isPeak = onset > onsets[(start - 1) * pitches + pitch]! && onset > onsets[(start + 1) * pitches + pitch]!;
      if (!isPeak || onset < thresholds.onset) continue;
      let end = start + 1;
      let quiet = 0;
      for (; end < frames - 1 && quiet < energyTolerance; end++) quiet = isQuiet(end, pitch) ? quiet + 1 : 0;
      end -= quiet;
      if (end - start <= thresholds.minLength) continue;
      for (let at = start; at < end; at++) silence(at, pitch);
      add(start, end, pitch);
    }
  }

  // What is left sounds without an onset. Energies only ever become 0, so one order serves for all.
  const left = [...energy.keys()].filter((at) => energy[at]! > thresholds.frame).sort((a, b) => energy[b]! - energy[a]! || a - b);
  for (const cell of left) {
    if (!(energy[cell]! > thresholds.frame)) continue;
    const middle = Math.floor(cell / pitches);
    const pitch = cell % pitches;
    energy[cell] = 0;
    let end = middle + 1;
    let quiet = 0;
    for (; end < frames - 1 && quiet < energyTolerance; end++) {
      quiet = isQuiet(end, pitch) ? quiet + 1 : 0;
      silence(end, pitch);
    }
    end -= 1 + quiet;
    let start = middle - 1;
    quiet = 0;
    for (; start > 0 && quiet < energyTolerance; start--) {
      quiet = isQuiet(start, pitch) ? quiet + 1 : 0;
      silence(start, pitch);
    }
    start += 1 + quiet;
    if (end - start > thresholds.minLength) add(start, end, pitch);
  }
  return found.sort((a, b) => a.start - b.start || a.pitch - b.pitch);
}

/** The onsets, or where a pitch suddenly becomes louder that rise, scaled to the onsets' largest. */
function withInferred({ frames, pitches, notes, onsets }: Activations): Float32Array {
  const rise = new Float32Array(onsets.length);
  for (let at = 2 * pitches; at < frames * pitches; at++) {
    rise[at] = Math.max(0, Math.min(notes[at]! - notes[at - pitches]!, notes[at]! - notes[at - 2 * pitches]!));
  }
  const largest = (of: Float32Array) => of.reduce((most, value) => Math.max(most, value), 0);
  const most = largest(rise);
  if (most === 0) return onsets;
  const scale = largest(onsets);
  return onsets.map((onset, at) => Math.max(onset, (scale * rise[at]!) / most));
}
