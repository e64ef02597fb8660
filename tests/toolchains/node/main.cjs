const { FirebrandError, Tensor, load } = require("firebrand");
const { classifier } = require("./classify.js");

const [manifest, options] = process.argv.slice(2);
classifier({ FirebrandError, Tensor, load })(manifest, JSON.parse(options)).then((answer) => console.log(JSON.stringify(answer)));
