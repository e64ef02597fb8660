/** What the places of a classifier's output stand for. */
const LABELS = "models/imagenet-labels.json";

/** The names of ImageNet's thousand classes, in the order of a model's output. */
export async function imagenetLabels(signal: AbortSignal): Promise<string[]> {
  const response = await fetch(LABELS, { signal });
  if (!response.ok) throw new Error(`${LABELS}: the server answered ${response.status}`);
  return (await response.json()) as string[];
}

/** The indices of the largest values, the largest first. */
export function best(values: ArrayLike<number>, count: number): number[] {
  return Array.from(values, (_, index) => index)
    .sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0))
    .slice(0, count);
}
