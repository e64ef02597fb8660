/** Which nodes are drawn as one: those whose names lie in one scope (`fire2/expand`), or that follow each other in a line. */
import type { GraphNode, ModelGraph } from "./model-graph";

/** Nodes, and groups of them, that can be drawn as one. */
export interface Group {
  readonly name: string;
  readonly children: readonly (Group | number)[];
  /** All nodes in it, by their place in the graph. */
  readonly nodes: readonly number[];
}

/** More boxes than this at once nobody reads. */
export const MOST_BOXES = 350;
/** A drawing starts with fewer, unless it would show next to nothing. */
const FIRST_BOXES = { least: 12, most: 90 };

/** The groups of a graph: by scope where names have scopes, by lines where that leaves too much. */
export function groupsOf({ nodes }: ModelGraph): Group {
  const all = nodes.map((_, at) => at);
  const byScope = scopes("", all, nodes, 0);
  const flat = byScope.children.length > MOST_BOXES;
  return flat ? { name: "", children: lines(nodes), nodes: all } : byScope;
}

/** The groups to begin with open: as many levels as still make an overview. */
export function openAtFirst(root: Group): Set<Group> {
  let open = new Set<Group>([root]);
  for (;;) {
    const next = new Set(open);
    for (const group of open) for (const child of group.children) if (typeof child !== "number") next.add(child);
    const more = boxes(root, next).length;
    const isEnough = more > FIRST_BOXES.most && boxes(root, open).length >= FIRST_BOXES.least;
    if (next.size === open.size || isEnough || more > MOST_BOXES) return open;
    open = next;
  }
}

/** What is drawn where these groups are open, in the order of the first node in each. */
export function boxes(root: Group, open: ReadonlySet<Group>): (Group | number)[] {
  const found: (Group | number)[] = [];
  const walk = (group: Group) => {
    for (const child of group.children) {
      if (typeof child !== "number" && open.has(child)) walk(child);
      else found.push(child);
    }
  };
  walk(root);
  return found.sort((a, b) => firstOf(a) - firstOf(b));
}

/** The groups around a node, the outermost first. */
export function around(root: Group, node: number): Group[] {
  const path: Group[] = [];
  for (let group: Group | undefined = root; group; ) {
    const inside: Group | undefined = group.children.find((child): child is Group => typeof child !== "number" && child.nodes.includes(node));
    if (inside) path.push(inside);
    group = inside;
  }
  return path;
}

export function firstOf(item: Group | number): number {
  return typeof item === "number" ? item : (item.nodes[0] ?? 0);
}

function scopeOf(node: GraphNode): string[] {
  return node.name.split("/").filter(Boolean).slice(0, -1);
}

function scopes(name: string, within: readonly number[], nodes: readonly GraphNode[], depth: number): Group {
  const parts = new Map<string, number[]>();
  const children: (Group | number)[] = [];
  for (const at of within) {
    const node = nodes[at];
    const scope = node ? scopeOf(node)[depth] : undefined;
    if (scope === undefined) children.push(at);
    else parts.set(scope, [...(parts.get(scope) ?? []), at]);
  }
  for (const [scope, inside] of parts) {
    if (inside.length === 1) children.push(...inside);
    else {
      const group = scopes(scope, inside, nodes, depth + 1);
      const [only] = group.children;
      // A scope around one other says nothing of its own.
      const isWrapper = group.children.length === 1 && only !== undefined && typeof only !== "number";
      children.push(isWrapper ? { ...only, name: `${scope}/${only.name}` } : group);
    }
  }
  children.sort((a, b) => firstOf(a) - firstOf(b));
  return { name, children, nodes: within };
}

/** Runs of nodes of which each feeds only the next. */
function lines(nodes: readonly GraphNode[]): (Group | number)[] {
  const makers = new Map<string, number>();
  const users = new Map<string, number[]>();
  nodes.forEach((node, at) => {
    for (const value of node.outputs) makers.set(value, at);
    for (const value of node.inputs) users.set(value, [...(users.get(value) ?? []), at]);
  });
  const taken = new Set<number>();
  return nodes.flatMap((_, at): (Group | number)[] => {
    if (taken.has(at)) return [];
    const line = [at];
    for (let last = nodes[at]; last; ) {
      const following: readonly number[] = last.outputs.flatMap((value) => users.get(value) ?? []);
      const [next] = following;
      if (following.length !== 1 || next === undefined || taken.has(next) || (nodes[next]?.inputs.length ?? 0) !== 1) break;
      line.push(next);
      last = nodes[next];
    }
    for (const one of line) taken.add(one);
    if (line.length < 3) return line;
    return [{ name: `${nodes[at]?.operator} … ${nodes[line.at(-1) ?? at]?.operator}`, children: line, nodes: line }];
  });
}
