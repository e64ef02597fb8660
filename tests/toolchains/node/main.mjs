import { FirebrandError, Tensor, load } from "firebrand";
import { classifier } from "./classify.js";

const [manifest, options] = process.argv.slice(2);
console.log(JSON.stringify(await classifier({ FirebrandError, Tensor, load })(manifest, JSON.parse(options))));
