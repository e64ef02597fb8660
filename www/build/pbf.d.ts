declare module "protocol-buffers-schema" {
  /** A parsed `.proto` file; only `pbf/compile` looks into it. */
  export interface Schema {
    readonly syntax: number;
  }
  export function parse(source: string): Schema;
}

declare module "pbf/compile" {
  import type { Schema } from "protocol-buffers-schema";
  /** The source of a module that reads and writes the schema's messages. */
  export function compileRaw(schema: Schema, options?: { noWrite?: boolean }): string;
}
