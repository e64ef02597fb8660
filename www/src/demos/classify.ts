import "../shell";
import "./demos.css";
import "./snippets";
import { imageClassifier, type Classification } from "firebrand/tasks";
import { row } from "../answer-panel";
import { element } from "../page";
import { creditsOf, people, samples } from "../samples";
import { milliseconds, percent } from "../words";
import { Loading } from "./loading";
import { PictureStage } from "./picture-stage";

const shown = [...samples, ...people.filter(({ name }) => name === "Astronaut")];

const stage = new PictureStage<Classification[]>({
  samples: shown,
  clip: [
    { file: "photos/coffee.png", from: [0.5, 0.5, 1], to: [0.5, 0.45, 0.6] },
    { file: "photos/chelsea.png", from: [0.35, 0.4, 0.6], to: [0.55, 0.45, 1] },
    { file: "photos/rocket.jpg", from: [0.5, 0.7, 0.6], to: [0.5, 0.5, 1] },
  ],
  run: async (image) => (await loading.task?.classify(image)) ?? [],
  paint: (pen, image) => pen.drawImage(image, 0, 0),
  tell(answers, ms) {
    element("answers", HTMLElement).replaceChildren(...answers.map(({ label, score }) => row({ name: label, probability: score })));
    element("figures", HTMLElement).textContent = `Answered in ${milliseconds(ms)}.`;
    const [first] = answers;
    return first ? `${first.label.split(",")[0]}, ${percent(first.score)}` : "nothing known";
  },
  failed: (error) => loading.failed(error),
  say: (text) => loading.say(text),
});

const loading = new Loading({
  open: (options) => imageClassifier("models/image-classification/manifest.json", options),
  onReady: () => stage.ready(),
});

element("credits", HTMLElement).append(creditsOf(shown));
