"""Pictures and digits as model inputs: what networks are calibrated, trained and measured with."""

from pathlib import Path

import numpy as np
import tensorflow as tf

PHOTOS = ["coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "camera.png"]

# (pixel − mean) × scale in the order of the channels that a network was made for.
IMAGENET = {"color": "rgb", "mean": (123.675, 116.28, 103.53), "scale": (1 / 58.395, 1 / 57.12, 1 / 57.375)}


def photos(folder, side, style):
    """Every photo whole, its four quarters and its middle, squeezed to a square: [n, side, side, 3], float32."""
    crops = []
    for name in PHOTOS:
        picture = tf.io.decode_image((Path(folder) / "photos" / name).read_bytes(), channels=3, expand_animations=False).numpy().astype(np.float32)
        height, width, _ = picture.shape
        halves = [(0, 0), (0, width // 2), (height // 2, 0), (height // 2, width // 2), (height // 4, width // 4)]
        for crop in [picture] + [picture[y : y + height // 2, x : x + width // 2] for y, x in halves]:
            crops.append(tf.image.resize(crop, (side, side), antialias=True).numpy())
    return normalised(np.stack(crops), style)


def normalised(pixels, style):
    """RGB pixels of 0 to 255, in any shape that ends with the channels, as a network takes them."""
    ordered = pixels.astype(np.float32)
    if style["color"] == "bgr":
        ordered = ordered[..., ::-1]
    return np.ascontiguousarray((ordered - np.float32(style["mean"])) * np.float32(style["scale"]))


def digits(folder):
    """MNIST digits as [n, 28, 28, 1] from 0 to 1 and what they are; in an order without meaning, always the same one."""
    images = np.load(Path(folder) / "mnist-digits.npy").astype(np.float32)[..., None] / np.float32(255)
    labels = np.load(Path(folder) / "mnist-labels.npy").astype(np.int64)
    order = np.random.default_rng(7).permutation(len(labels))
    return images[order], labels[order]
