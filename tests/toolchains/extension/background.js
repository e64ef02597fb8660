import "./node_modules/firebrand/dist/service-worker.js";
import { FirebrandError, Tensor, load } from "./node_modules/firebrand/dist/index.js";
import { classifier } from "./classify.js";

globalThis.classify = classifier({ FirebrandError, Tensor, load });
