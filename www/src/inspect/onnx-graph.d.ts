declare module "*.proto" {
  import type { PbfReader } from "pbf";

  export interface TensorProto {
    dims: number[];
    data_type: number;
    name: string;
  }
  export interface AttributeProto {
    name: string;
    f: number;
    i: number;
    s: Uint8Array;
    t?: TensorProto;
    floats: number[];
    ints: number[];
    type: number;
  }
  export interface NodeProto {
    input: string[];
    output: string[];
    name: string;
    op_type: string;
    attribute: AttributeProto[];
    domain: string;
  }
  export interface GraphProto {
    node: NodeProto[];
    initializer: TensorProto[];
    input: { name: string }[];
    output: { name: string }[];
  }
  export function readModelProto(pbf: PbfReader): { graph?: GraphProto };
}
