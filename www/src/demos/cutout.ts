import "../shell";
import "./demos.css";
import "./snippets";
import { imageSegmenter, type Segmentation } from "firebrand/tasks";
import { element } from "../page";
import { creditsOf, people } from "../samples";
import { milliseconds, percent } from "../words";
import { Loading } from "./loading";
import { PictureStage } from "./picture-stage";

type Background = "nothing" | "blur" | "ember" | "mask";

const choice = element("background", HTMLElement);
const background = (): Background => {
  const value = choice.querySelector<HTMLInputElement>("input:checked")?.value;
  return value === "blur" || value === "ember" || value === "mask" ? value : "nothing";
};

const layer = document.createElement("canvas");

const stage = new PictureStage<Segmentation>({
  samples: people,
  clip: [
    { file: "photos/astronaut.png", from: [0.45, 0.4, 1], to: [0.45, 0.35, 0.75] },
    { file: "photos/camera.png", from: [0.5, 0.45, 1], to: [0.42, 0.4, 0.8] },
  ],
  async run(image) {
    const { task } = loading;
    if (!task) throw new Error("the model is not there yet");
    return task.segment(image);
  },
  paint(pen, image, segmentation) {
    const { width, height } = image;
    if (!segmentation) {
      pen.drawImage(image, 0, 0);
      return;
    }
    const mode = background();
    if (mode === "mask") {
      pen.putImageData(shade(segmentation, [255, 123, 46], (value) => value), 0, 0);
      return;
    }
    // The person alone, on a canvas of its own.
    layer.width = width;
    layer.height = height;
    const cut = layer.getContext("2d");
    if (!cut) return;
    cut.putImageData(shade(segmentation, [0, 0, 0], edge), 0, 0);
    cut.globalCompositeOperation = "source-in";
    cut.drawImage(image, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (mode === "blur") {
      pen.filter = `blur(${Math.max(4, width / 60)}px)`;
      pen.drawImage(image, 0, 0);
      pen.filter = "none";
    } else if (mode === "ember") {
      const glow = pen.createRadialGradient(width / 2, height * 0.55, width / 20, width / 2, height * 0.55, width * 0.75);
      glow.addColorStop(0, "#ffd08a");
      glow.addColorStop(0.35, "#ff7b2e");
      glow.addColorStop(1, "#3a1505");
      pen.fillStyle = glow;
      pen.fillRect(0, 0, width, height);
    }
    pen.drawImage(layer, 0, 0);
  },
  tell({ mask }, ms) {
    const share = mask.reduce((sum, value) => sum + value, 0) / Math.max(1, mask.length);
    element("headline", HTMLElement).textContent = share < 0.01 ? "Nobody in sight" : `${percent(share)} of the picture`;
    element("figures", HTMLElement).textContent = `Masked in ${milliseconds(ms)}.`;
    element("save", HTMLButtonElement).disabled = false;
    return share < 0.01 ? "nobody" : `a person on ${percent(share)} of the picture`;
  },
  failed: (error) => loading.failed(error),
  say: (text) => loading.say(text),
});

const loading = new Loading({
  open: (options) => imageSegmenter("models/image-segmentation/manifest.json", options),
  onReady: () => stage.ready(),
});

/** A mask as pixels of one colour, more or less opaque. */
function shade({ mask, width, height }: Segmentation, [red, green, blue]: readonly [number, number, number], opacity: (value: number) => number): ImageData {
  const pixels = new ImageData(width, height);
  const { data } = pixels;
  mask.forEach((value, at) => {
    data[4 * at] = red;
    data[4 * at + 1] = green;
    data[4 * at + 2] = blue;
    data[4 * at + 3] = opacity(value) * 255;
  });
  return pixels;
}

/** The mask's soft rim, made narrower. */
function edge(value: number): number {
  const share = Math.min(1, Math.max(0, (value - 0.3) / 0.5));
  return share * share * (3 - 2 * share);
}

choice.addEventListener("change", () => stage.repaint());
element("save", HTMLButtonElement).addEventListener("click", () => {
  stage.canvas.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "cutout.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
});
element("credits", HTMLElement).append(creditsOf(people));
