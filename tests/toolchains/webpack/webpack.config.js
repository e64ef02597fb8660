// The page lies beside the bundle; all else is webpack's own choice.
module.exports = { mode: "production", entry: "./src/main.js", performance: { hints: false } };
