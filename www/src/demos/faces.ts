import "../shell";
import "./demos.css";
import "./snippets";
import { faceDetector, type Detection } from "firebrand/tasks";
import { element, made } from "../page";
import { creditsOf, people } from "../samples";
import { milliseconds, percent } from "../words";
import { Loading } from "./loading";
import { PictureStage } from "./picture-stage";

const COLOURS = { frame: "#ff7b2e", shade: "rgb(20 14 10 / 75%)", point: "#ffd08a" };

const stage = new PictureStage<Detection[]>({
  samples: people,
  clip: [
    { file: "photos/astronaut.png", from: [0.45, 0.4, 1], to: [0.43, 0.26, 0.55] },
    { file: "photos/astronaut.png", from: [0.3, 0.3, 0.6], to: [0.6, 0.3, 0.75] },
  ],
  run: async (image) => (await loading.task?.detect(image)) ?? [],
  paint(pen, image, faces = []) {
    pen.drawImage(image, 0, 0);
    const line = Math.max(2, image.width / 200);
    for (const { box, keypoints, score } of faces) {
      pen.lineWidth = line + 2;
      pen.strokeStyle = COLOURS.shade;
      pen.beginPath();
      pen.roundRect(box.x, box.y, box.width, box.height, line * 4);
      pen.stroke();
      pen.lineWidth = line;
      pen.strokeStyle = COLOURS.frame;
      pen.stroke();
      for (const { x, y } of keypoints) {
        pen.beginPath();
        pen.arc(x, y, line * 1.6, 0, 2 * Math.PI);
        pen.fillStyle = COLOURS.point;
        pen.fill();
        pen.lineWidth = 1;
        pen.strokeStyle = COLOURS.shade;
        pen.stroke();
      }
      const size = Math.max(11, image.width / 38);
      pen.font = `600 ${size}px system-ui, sans-serif`;
      const label = percent(score);
      const width = pen.measureText(label).width + size;
      pen.fillStyle = COLOURS.shade;
      pen.fillRect(box.x, box.y - size * 1.7, width, size * 1.5);
      pen.fillStyle = COLOURS.point;
      pen.fillText(label, box.x + size / 2, box.y - size * 0.62);
    }
  },
  tell(faces, ms) {
    const count = faces.length === 0 ? "No face" : faces.length === 1 ? "One face" : `${faces.length} faces`;
    element("headline", HTMLElement).textContent = count;
    element("faces", HTMLElement).replaceChildren(
      ...faces.map(({ score, box, keypoints }, at) => {
        const line = made("li", `Face ${at + 1}, ${percent(score)}`);
        line.append(made("small", `${Math.round(box.width)} × ${Math.round(box.height)} pixels at ${Math.round(box.x)}, ${Math.round(box.y)}; ${keypoints.length} points`));
        return line;
      }),
    );
    element("figures", HTMLElement).textContent = `Answered in ${milliseconds(ms)}.`;
    return count;
  },
  failed: (error) => loading.failed(error),
  say: (text) => loading.say(text),
});

const loading = new Loading({
  open: (options) => faceDetector("models/face-detection/manifest.json", options),
  onReady: () => stage.ready(),
});

element("credits", HTMLElement).append(creditsOf(people));
