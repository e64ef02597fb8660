// What every project does with the package: the scores of one small picture.

const pixels = () => Float32Array.from({ length: 192 }, (_, at) => (((at * 7) % 64) - 32) / 16);

/** Makes `classify(manifest, options)`, which gives the scores and what they were computed on, or `{ kind, message }` of the error. */
export const classifier = ({ FirebrandError, Tensor, load }) =>
  async function classify(manifest, options) {
    try {
      const session = await load(manifest, options);
      const { probabilities } = await session.run({ pixels: new Tensor("float32", pixels(), [1, 3, 8, 8]) });
      const { device, selfTest, threadsReason } = session.info;
      await session.dispose();
      return { scores: [...probabilities.data], device, selfTested: selfTest.passed, threadsReason };
    } catch (error) {
      return { kind: error instanceof FirebrandError ? error.kind : "not a FirebrandError", message: String(error?.message ?? error) };
    }
  };
