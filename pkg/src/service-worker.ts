/**
 * `firebrand/service-worker`: what `firebrand` otherwise loads when it is needed. Service workers, those of browser
 * extensions among them, load no code while they run, so they import this beside it:
 *
 * ```js
 * import "firebrand/service-worker";
 * import { load } from "firebrand";
 * ```
 *
 * Sessions there have no worker of their own, and one thread. The WebAssembly is still fetched when it is needed.
 *
 * @packageDocumentation
 */
import "./package.js";
import "./wasm/cpu-simd128/firebrand.js";
import "./wasm/cpu-relaxed/firebrand.js";
import "./wasm/cpu-all/firebrand.js";
import "./wasm/webgpu/firebrand.js";
import { Host } from "./host.js";
import { moveToGpu } from "./move.js";
import { leavePart } from "./parts.js";

leavePart("host", Host);
leavePart("move", moveToGpu);
