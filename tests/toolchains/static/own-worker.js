import { FirebrandError, Tensor, load } from "./node_modules/firebrand/dist/index.js";
import { classifier } from "./classify.js";

const classify = classifier({ FirebrandError, Tensor, load });
addEventListener("message", async ({ data }) => postMessage(await classify(...data)));
