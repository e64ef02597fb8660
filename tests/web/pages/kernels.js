// The kernels' checks of a WebAssembly module, as src/kernels/oracle.rs exports them.
const text = ({ memory }, at) => {
  const view = new DataView(memory.buffer);
  return new TextDecoder().decode(new Uint8Array(memory.buffer, at + 4, view.getUint32(at, true)));
};

/** Names of the checks, what computes, and `run(index)`, which gives why a check fails, or an empty text. */
export async function checksOf(module) {
  // A check that panics leaves its instance broken, so each gets a new one.
  const start = async () => (await WebAssembly.instantiate(module, {})).exports;
  const first = await start();
  const run = async (index) => {
    const exports = await start();
    try {
      return text(exports, exports.check(index));
    } catch (error) {
      return text(exports, exports.why()) || error.message;
    }
  };
  return { names: Array.from({ length: first.count() }, (_, index) => text(first, first.name(index))), level: text(first, first.level()), run };
}
