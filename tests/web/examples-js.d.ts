// JavaScript cannot say what an output is, as TypeScript does by a type argument. There it is the tensor that the model gives.
import type { InputValue, RunOptions, Tensor } from "firebrand";

// As seen from where the test puts this file, in a folder beside node_modules.
declare module "../node_modules/firebrand/dist/session.js" {
  interface Session {
    run(inputs: Record<string, InputValue>, options?: RunOptions): Promise<Record<string, Tensor<any>>>;
  }
}
