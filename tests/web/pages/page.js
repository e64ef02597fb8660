// The package as a plain page sees it: by a relative URL, so that the page's switches apply to it.
import * as firebrand from "../pkg/dist/index.js";

globalThis.firebrand = firebrand;
