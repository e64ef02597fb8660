// @gutenye/ocr-browser reads the text in a picture.
import Ocr from "@gutenye/ocr-browser";

/** A picture of these lines, as a data URL. */
function pictureOf(lines) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 448, height: 64 * lines.length + 32 });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "black";
  context.font = "36px sans-serif";
  for (const [at, line] of lines.entries()) context.fillText(line, 24, 64 * at + 56);
  return canvas.toDataURL();
}

async function main() {
  const ocr = await Ocr.create({
    models: {
      detectionPath: "./models/ch_PP-OCRv4_det_infer.onnx",
      recognitionPath: "./models/ch_PP-OCRv4_rec_infer.onnx",
      dictionaryPath: "./models/ppocr_keys_v1.txt",
    },
  });
  const found = await ocr.detect(pictureOf(globalThis.task.lines));
  return found.map(({ text, mean, box }) => ({ text, mean, box }));
}

globalThis.outcome = main();
