/**
 * Who feeds whom in a model, for the drawing. The file was read and found well formed by `inspect` before; here only what
 * it says of its connections is looked at.
 */
import { PbfReader } from "pbf";
import { readModelProto, type AttributeProto, type TensorProto } from "./onnx-graph.proto";

/** A weight that a node reads. */
export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface GraphNode {
  readonly name: string;
  readonly operator: string;
  readonly domain: string;
  /** The values that are computed from the model's inputs. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly weights: readonly Weight[];
  /** Whether nodes of its own belong to it, which are not told of. */
  readonly hasBody: boolean;
  /** In words, by name. */
  readonly attributes: readonly (readonly [name: string, value: string])[];
}

export interface ModelGraph {
  /** In the file's order. Nodes that depend on weights alone are left out. */
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** How many nodes depend on weights alone. */
  readonly constantNodes: number;
}

export function readGraph(model: Uint8Array): ModelGraph {
  const { graph } = readModelProto(new PbfReader(model));
  if (!graph) return { nodes: [], inputs: [], outputs: [], constantNodes: 0 };
  const constants = new Map<string, Weight>();
  for (const tensor of graph.initializer) constants.set(tensor.name, weightOf(tensor.name, tensor));
  const nodes: GraphNode[] = [];
  let constantNodes = 0;
  // Files are in an order in which values are made before they are used; where one is not, its node is drawn.
  for (const { name, op_type: operator, domain, input, output, attribute } of graph.node) {
    const weights = input.flatMap((value) => constants.get(value) ?? []);
    const inputs = input.filter((value) => value !== "" && !constants.has(value));
    const hasBody = attribute.some(({ type }) => type === GRAPH || type === GRAPHS);
    if (inputs.length === 0 && !hasBody && !SOURCES.has(operator)) {
      constantNodes++;
      const tensor = attribute.find(({ t }) => t)?.t;
      // What is made of one weight, such as its dequantised form, has that weight's shape.
      for (const value of output) constants.set(value, tensor ? weightOf(value, tensor) : { name: value, shape: weights[0]?.shape ?? [] });
      continue;
    }
    nodes.push({
      name: name || output[0] || operator,
      operator,
      domain,
      inputs,
      outputs: output.filter(Boolean),
      weights,
      hasBody,
      attributes: attribute.map((one) => [one.name, inWords(one)] as const),
    });
  }
  return {
    nodes,
    inputs: graph.input.map(({ name }) => name).filter((name) => !constants.has(name)),
    outputs: graph.output.map(({ name }) => name),
    constantNodes,
  };
}

/** Operators that make something new of nothing. */
const SOURCES = new Set(["RandomNormal", "RandomUniform"]);

/** ONNX's numbers for kinds of attributes. */
const [FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, GRAPHS] = [1, 2, 3, 4, 5, 6, 7, 10];

function weightOf(name: string, { dims }: TensorProto): Weight {
  return { name, shape: dims };
}

function inWords({ type, f, i, s, t, floats, ints }: AttributeProto): string {
  switch (type) {
    case FLOAT:
      return String(Number(f.toPrecision(6)));
    case INT:
      return String(i);
    case STRING:
      return new TextDecoder().decode(s);
    case TENSOR:
      return `tensor [${t?.dims.join(", ") ?? ""}]`;
    case FLOATS:
      return floats.map((value) => Number(value.toPrecision(6))).join(", ");
    case INTS:
      return ints.join(", ");
    case GRAPH:
    case GRAPHS:
      return "a body of nodes";
    default:
      return "…";
  }
}
