/** How far loading is: one number from the three phases, which may overlap. */
import type { Progress } from "firebrand";

export type Phase = Progress["phase"];

/** The share of the wait that each phase usually is. */
const shares: Record<Phase, number> = { runtime: 0.25, model: 0.55, prepare: 0.2 };

export interface PhaseState {
  loaded: number;
  total: number | undefined;
}

export class LoadProgress {
  readonly phases: Partial<Record<Phase, PhaseState>> = {};
  /** The phase last heard of. */
  current: Phase = "runtime";
  #files = new Map<string, { phase: Phase; loaded: number; total: number | undefined }>();
  #highest = 0;

  report({ phase, loaded, total, file }: Progress): void {
    this.current = phase;
    this.#files.set(`${phase} ${file ?? ""}`, { phase, loaded, total });
    const files = [...this.#files.values()].filter((entry) => entry.phase === phase);
    this.phases[phase] = {
      loaded: files.reduce((sum, entry) => sum + entry.loaded, 0),
      total: files.every((entry) => entry.total !== undefined)
        ? files.reduce((sum, entry) => sum + (entry.total ?? 0), 0)
        : undefined,
    };
  }

  /** From 0 to 1, never falling. */
  get fraction(): number {
    let sum = 0;
    for (const [phase, share] of Object.entries(shares) as [Phase, number][]) {
      sum += share * fractionOf(this.phases[phase]);
    }
    this.#highest = Math.max(this.#highest, sum);
    return this.#highest;
  }

  /** Bytes that arrived in a phase. */
  bytes(phase: Phase): number {
    return this.phases[phase]?.loaded ?? 0;
  }
}

/** Without a total, half: something is happening, and nobody knows how much is left. */
function fractionOf(state: PhaseState | undefined): number {
  if (!state) return 0;
  if (state.total === undefined) return 0.5;
  return state.total === 0 ? 1 : Math.min(1, state.loaded / state.total);
}
