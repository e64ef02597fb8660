/** Lets code import a `.proto` file: for each of its messages `M` a function `readM(pbf)`. */
import { compileRaw } from "pbf/compile";
import { parse } from "protocol-buffers-schema";
import type { Plugin } from "vite";

export function protobuf(): Plugin {
  return {
    name: "protobuf",
    transform(source, id) {
      if (!id.endsWith(".proto")) return undefined;
      return { code: compileRaw(parse(source), { noWrite: true }), map: null };
    },
  };
}
