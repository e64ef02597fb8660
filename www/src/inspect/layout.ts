/** A layered layout: everything flows downwards, connections go around what lies between. */

export interface Box {
  readonly width: number;
  readonly height: number;
}

export interface Edge {
  readonly from: number;
  readonly to: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  /** The centre of each box. */
  readonly centres: readonly Point[];
  /** For each edge the points that it goes through, from the first box's lower side to the other's upper side. */
  readonly routes: readonly (readonly Point[])[];
  readonly width: number;
  readonly height: number;
}

const GAP = { beside: 22, below: 34, route: 10 };
const MARGIN = 20;
const ORDERING_SWEEPS = 10;
const PLACING_SWEEPS = 40;

interface Place {
  readonly width: number;
  readonly height: number;
  readonly rank: number;
  /** Not a box: where an edge passes a rank. */
  readonly isRoute: boolean;
  readonly above: number[];
  readonly below: number[];
  x: number;
}

/** Lays boxes out that are given in an order in which edges go forwards; an edge that goes back is drawn upwards. */
export function layOut(boxes: readonly Box[], edges: readonly Edge[]): Layout {
  const forward = edges.map(({ from, to }) => (from < to ? { from, to } : { from: to, to: from }));
  const ranks = rank(boxes.length, forward);
  const places: Place[] = boxes.map(({ width, height }, at) => ({ width, height, rank: ranks[at] ?? 0, isRoute: false, above: [], below: [], x: 0 }));
  const passing = forward.map(({ from, to }) => {
    const path = [from];
    for (let between = (ranks[from] ?? 0) + 1; between < (ranks[to] ?? 0); between++) {
      places.push({ width: 0, height: 0, rank: between, isRoute: true, above: [], below: [], x: 0 });
      path.push(places.length - 1);
    }
    path.push(to);
    for (let at = 1; at < path.length; at++) {
      const [upper, lower] = [path[at - 1] ?? 0, path[at] ?? 0];
      places[upper]?.below.push(lower);
      places[lower]?.above.push(upper);
    }
    return path;
  });
  const rows: number[][] = [];
  places.forEach((place, at) => (rows[place.rank] ??= []).push(at));
  order(rows, places);
  placeAcross(rows, places);

  const tops: number[] = [];
  let height = MARGIN;
  for (const row of rows) {
    tops.push(height);
    height += Math.max(0, ...row.map((at) => places[at]?.height ?? 0)) + GAP.below;
  }
  const middle = (at: number): number => {
    const { rank } = places[at] ?? { rank: 0 };
    return ((tops[rank] ?? 0) + (tops[rank + 1] ?? height) - GAP.below) / 2;
  };
  const left = Math.min(0, ...places.map(({ x, width }) => x - width / 2));
  const right = Math.max(0, ...places.map(({ x, width }) => x + width / 2));
  const across = (at: number) => (places[at]?.x ?? 0) - left + MARGIN;
  const routes = passing.map((path, at) => {
    const points = path.map((place, step): Point => {
      const half = (places[place]?.height ?? 0) / 2;
      return { x: across(place), y: middle(place) + (step === 0 ? half : step === path.length - 1 ? -half : 0) };
    });
    const { from, to } = edges[at] ?? { from: 0, to: 0 };
    return from < to ? points : points.reverse();
  });
  return {
    centres: boxes.map((_, at) => ({ x: across(at), y: middle(at) })),
    routes,
    width: right - left + 2 * MARGIN,
    height: height - GAP.below + MARGIN,
  };
}

/** Each box below all that feed it; what nothing feeds just above what it feeds. */
function rank(count: number, edges: readonly Edge[]): number[] {
  const above: number[][] = Array.from({ length: count }, () => []);
  const below: number[][] = Array.from({ length: count }, () => []);
  for (const { from, to } of edges) {
    above[to]?.push(from);
    below[from]?.push(to);
  }
  const ranks: number[] = [];
  for (let at = 0; at < count; at++) ranks[at] = Math.max(-1, ...(above[at] ?? []).map((one) => ranks[one] ?? 0)) + 1;
  for (let at = count - 1; at >= 0; at--) {
    const next = below[at] ?? [];
    if ((above[at] ?? []).length === 0 && next.length > 0) ranks[at] = Math.max(0, Math.min(...next.map((one) => ranks[one] ?? 0)) - 1);
  }
  return ranks;
}

/** Orders each row by where its neighbours are, down and up, so that fewer edges cross. */
function order(rows: readonly number[][], places: readonly Place[]): void {
  const position: number[] = [];
  const note = (row: readonly number[]) => row.forEach((at, index) => (position[at] = index));
  rows.forEach(note);
  for (let sweep = 0; sweep < ORDERING_SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (let step = 1; step < rows.length; step++) {
      const row = rows[down ? step : rows.length - 1 - step];
      if (!row) continue;
      const wanted = new Map(
        row.map((at) => {
          const near = (down ? places[at]?.above : places[at]?.below) ?? [];
          return [at, near.length > 0 ? mean(near.map((one) => position[one] ?? 0)) : (position[at] ?? 0)] as const;
        }),
      );
      row.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0) || (position[a] ?? 0) - (position[b] ?? 0));
      note(row);
    }
  }
}

/** Moves what is in a row to below or above its neighbours, as near as its order and the gaps allow. */
function placeAcross(rows: readonly number[][], places: readonly Place[]): void {
  for (const row of rows) {
    const offsets = offsetsIn(row, places);
    const whole = offsets.at(-1) ?? 0;
    row.forEach((at, index) => {
      const place = places[at];
      if (place) place.x = (offsets[index] ?? 0) - whole / 2;
    });
  }
  for (let sweep = 0; sweep < PLACING_SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (let step = 0; step < rows.length; step++) {
      const row = rows[down ? step : rows.length - 1 - step];
      if (!row) continue;
      const offsets = offsetsIn(row, places);
      const wanted = row.map((at, index) => {
        const place = places[at];
        const near = place ? [...place.above, ...place.below] : [];
        // A long edge is straight where it passes, and goes around; it hardly pulls boxes aside.
        const weights = near.map((one) => (places[one]?.isRoute ? (place?.isRoute ? 8 : 0.1) : 1));
        const sum = weights.reduce((all, weight) => all + weight, 0);
        const x = sum > 0 ? near.reduce((all, one, at) => all + (places[one]?.x ?? 0) * (weights[at] ?? 0), 0) / sum : (place?.x ?? 0);
        return { value: x - (offsets[index] ?? 0), weight: place?.isRoute ? 2 : 1 + near.length };
      });
      const settled = nearestRising(wanted);
      row.forEach((at, index) => {
        const place = places[at];
        if (place) place.x = (settled[index] ?? 0) + (offsets[index] ?? 0);
      });
    }
  }
}

/** How far from the first each is at least. */
function offsetsIn(row: readonly number[], places: readonly Place[]): number[] {
  let sum = 0;
  return row.map((at, index) => {
    const [before, here] = [places[row[index - 1] ?? -1], places[at]];
    if (before && here) sum += (before.width + here.width) / 2 + (before.isRoute && here.isRoute ? GAP.route : GAP.beside);
    return sum;
  });
}

/** The rising numbers that are nearest to those wanted, by least squares: neighbours that would cross share their mean. */
function nearestRising(wanted: readonly { value: number; weight: number }[]): number[] {
  const pools: { value: number; weight: number; count: number }[] = [];
  for (const { value, weight } of wanted) {
    let pool = { value, weight, count: 1 };
    for (let before = pools.at(-1); before && before.value > pool.value; before = pools.at(-1)) {
      const all = before.weight + pool.weight;
      pool = { value: (before.value * before.weight + pool.value * pool.weight) / all, weight: all, count: before.count + pool.count };
      pools.pop();
    }
    pools.push(pool);
  }
  return pools.flatMap(({ value, count }) => Array<number>(count).fill(value));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
