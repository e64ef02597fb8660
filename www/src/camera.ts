/** The camera: opened on demand, closed as soon as the photo is taken. */
import { PhotoError, photoFromVideo, type Photo } from "./photo";

export class Camera {
  #stream: MediaStream | undefined;

  constructor(
    readonly video: HTMLVideoElement,
    /** Which camera, where there are several. */
    readonly facing: "environment" | "user" = "environment",
  ) {}

  /** Asks for the camera and shows its picture. Throws `PhotoError` with what the visitor can do. */
  async open(): Promise<void> {
    // Browsers hide the camera from pages that came over plain http.
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new PhotoError("The camera is only for pages served over https, or from localhost. Choose a photo instead.");
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: this.facing, width: { ideal: 1280 }, height: { ideal: 960 } },
      });
      this.video.srcObject = this.#stream;
      await this.video.play();
    } catch (error) {
      this.close();
      throw new PhotoError(refusal(error));
    }
  }

  /** Takes the picture shown and closes the camera. */
  async take(): Promise<Photo> {
    try {
      return await photoFromVideo(this.video);
    } finally {
      this.close();
    }
  }

  /** Closes the camera, so that its light goes out. Closing a closed one is fine. */
  close(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
    this.video.srcObject = null;
  }
}

function refusal(error: unknown): string {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "The camera was not allowed. Allow it in the address bar and try again, or choose a photo.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No camera was found on this device. Choose a photo instead.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is busy: another program may be using it. Close that one and try again, or choose a photo.";
    default:
      return `The camera could not be opened (${String(error)}). Choose a photo instead.`;
  }
}
