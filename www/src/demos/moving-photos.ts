/** A clip made of photos: each is moved across slowly, as a camera would. There is no film in it that would have to be fetched. */

const SECONDS_EACH = 5;
const SIZE = { width: 480, height: 320 };

/** Where the view of a photo begins and ends: its centre and width, as parts of the photo's. */
export interface Move {
  readonly file: string;
  readonly from: readonly [x: number, y: number, width: number];
  readonly to: readonly [x: number, y: number, width: number];
}

/** Starts the clip, which repeats until the track of its stream ends. */
export async function movingPhotos(moves: readonly Move[]): Promise<MediaStream> {
  const canvas = Object.assign(document.createElement("canvas"), SIZE);
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("this browser draws no pictures");
  const photos = await Promise.all(
    moves.map(async ({ file }) => {
      const image = new Image();
      image.src = file;
      await image.decode();
      return image;
    }),
  );
  const stream = canvas.captureStream(25);
  const began = performance.now();
  const draw = () => {
    if (stream.getTracks().every(({ readyState }) => readyState === "ended")) return;
    requestAnimationFrame(draw);
    const time = (performance.now() - began) / 1000 / SECONDS_EACH;
    const at = Math.floor(time) % moves.length;
    const move = moves[at];
    const photo = photos[at];
    if (!move || !photo) return;
    const share = (1 - Math.cos((time % 1) * Math.PI)) / 2;
    const [x = 0.5, y = 0.5, part = 1] = move.from.map((start, axis) => start + ((move.to[axis] ?? start) - start) * share);
    const width = photo.naturalWidth * part;
    const height = (width * SIZE.height) / SIZE.width;
    const left = Math.min(Math.max(0, photo.naturalWidth * x - width / 2), photo.naturalWidth - width);
    const top = Math.min(Math.max(0, photo.naturalHeight * y - height / 2), Math.max(0, photo.naturalHeight - height));
    pen.drawImage(photo, left, top, width, height, 0, 0, SIZE.width, SIZE.height);
  };
  draw();
  return stream;
}
