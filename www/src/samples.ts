/** The sample photos: all CC0 or in the public domain, copied by scripts/assets.mjs. */
export interface Sample {
  readonly name: string;
  readonly file: string;
  readonly credit: string;
}

export const samples: readonly Sample[] = [
  { name: "Coffee", file: "photos/coffee.png", credit: "Rachel Michetti, CC0" },
  { name: "Chelsea", file: "photos/chelsea.png", credit: "Stéfan van der Walt, CC0" },
  { name: "Filming", file: "photos/camera.png", credit: "Lav Varshney, CC0" },
  { name: "Rocket", file: "photos/rocket.jpg", credit: "SpaceX, public domain" },
];

/** Those with somebody in it. */
export const people: readonly Sample[] = [
  { name: "Astronaut", file: "photos/astronaut.png", credit: "NASA, public domain" },
  ...samples.filter(({ name }) => name === "Filming"),
];

/** Whose photos these are, in a sentence. */
export function creditsOf(shown: readonly Sample[]): string {
  return `${shown.map(({ name, credit }) => `${name}: ${credit}`).join(". ")}. From scikit-image.`;
}
