import { FirebrandError, Tensor, load } from "firebrand";
import { classifier } from "../classify.js";

const classify = classifier({ FirebrandError, Tensor, load });
addEventListener("message", async ({ data }) => postMessage(await classify(...data)));
