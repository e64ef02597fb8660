// What is told of many samples.

/** The value below which the part `q` (0 to 1) of the samples lies, between neighbours in proportion. */
export function quantile(samples, q) {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

export const median = (samples) => quantile(samples, 0.5);

/**
 * Which part of the other's time ours took: the medians of the same round divided, so that what slowed the whole
 * machine for a while slowed both; then the median of these, the least and the most.
 */
export function ratio(ours, theirs) {
  const each = ours.map((samples, round) => median(samples) / median(theirs[round]));
  return { median: median(each), least: Math.min(...each), most: Math.max(...each) };
}

/** A new array in random order. */
export function shuffled(items) {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
