"""Makes answers.json: what the models' own packages say, against which the tests hold firebrand/tasks.

Python 3.11, with mediapipe 0.10.21, magika 1.0.3, onnxruntime 1.32.0, scikit-learn 1.9.1, scipy, tokenizers and pillow:

python oracle.py CACHE BASIC_PITCH SILERO_VAD

CACHE is the folder that scripts/models.mjs fills; the others are the folders of the packages basic-pitch 0.4.0 and
silero-vad 6.2.3, of which only the functions that make notes and segments are run.
"""

import ast
import json
import math
import pathlib
import sys
import wave

import mediapipe
import numpy as np
import onnxruntime
import scipy.signal
from magika import Magika
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tokenizers import Tokenizer

cache, basic_pitch, silero_vad = map(pathlib.Path, sys.argv[1:])


def functions(file, names, scope):
    """Some functions of a module that is not run as a whole: it would import what only its other parts need."""
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    for node in tree.body:
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
    exec(compile(tree, str(file), "exec"), scope)
    return scope


def few(value, digits=6):
    return round(float(value), digits)


def faces():
    astronaut = np.array(Image.open(cache / "data/photos/astronaut.png").convert("RGB"))
    pictures = {
        "astronaut": astronaut,
        "wide": np.ascontiguousarray(astronaut[:300]),
        "twice": np.concatenate([astronaut[50:250, 130:330]] * 2, axis=1),
        "nobody": np.ascontiguousarray(np.array(Image.open(cache / "data/photos/coffee.png").convert("RGB"))),
    }
    answers = {}
    for name, picture in pictures.items():
        height, width, _ = picture.shape
        with mediapipe.solutions.face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5) as detector:
            found = detector.process(picture).detections or []
            # MediaPipe shrinks a picture without looking at every pixel; shrunk before, it is taken as it is.
            ratio = 128 / max(width, height)
            small = Image.fromarray(picture).resize((round(width * ratio), round(height * ratio)), Image.Resampling.BILINEAR)
            square = Image.new("RGB", (128, 128))
            corner = ((128 - small.width) // 2, (128 - small.height) // 2)
            square.paste(small, corner)
            prepared = detector.process(np.array(square)).detections or []
        across = [-corner[0] * width / small.width, 128 * width / small.width]
        down = [-corner[1] * height / small.height, 128 * height / small.height]
        answers[name] = {"whole": [face(one, [0, width], [0, height]) for one in found], "prepared": [face(one, across, down) for one in prepared]}
    return answers


def face(detection, across, down):
    """A detection in pixels, of a place given by its start and extent on either axis."""
    place = detection.location_data
    box = place.relative_bounding_box
    return {
        "score": few(detection.score[0]),
        "box": [few(across[0] + box.xmin * across[1], 2), few(down[0] + box.ymin * down[1], 2), few(box.width * across[1], 2), few(box.height * down[1], 2)],
        "keypoints": [[few(across[0] + point.x * across[1], 2), few(down[0] + point.y * down[1], 2)] for point in place.relative_keypoints],
    }


def mask():
    astronaut = np.array(Image.open(cache / "data/photos/astronaut.png").convert("RGB"))
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as segmenter:
        whole = segmenter.process(astronaut).segmentation_mask
        small = Image.fromarray(astronaut).resize((256, 256), Image.Resampling.BILINEAR)
        prepared = np.array(Image.fromarray(segmenter.process(np.array(small)).segmentation_mask).resize((512, 512), Image.Resampling.BILINEAR))
    values = {name: {"mean": few(found.mean()), "values": [few(value, 4) for value in found[16::32, 16::32].ravel()]} for name, found in {"whole": whole, "prepared": prepared}.items()}
    return {"step": 32, **values}


def speech():
    """Silence, speech, silence, the same speech half as loud, silence."""
    with wave.open(str(cache / "data/speech.wav")) as file:
        spoken = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    quiet = np.zeros(16000, np.float32)
    samples = np.concatenate([quiet, spoken, quiet, spoken / 2, quiet])
    session = onnxruntime.InferenceSession(cache / "models/silero-vad.onnx")
    state, context, scores = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for start in range(0, len(samples), 512):
        frame = np.zeros(512, np.float32)
        piece = samples[start : start + 512]
        frame[: len(piece)] = piece
        given = np.concatenate([context, frame])
        score, state = session.run(None, {"input": given[None], "state": state, "sr": np.array(16000, np.int64)})
        scores.append(float(score[0, 0]))
        context = given[-64:]
    scope = functions(silero_vad / "utils_vad.py", ["get_speech_timestamps_from_probs"], {})
    segments = scope["get_speech_timestamps_from_probs"](scores, audio_length_samples=len(samples))
    return {"segments": [[segment["start"] / 16000, segment["end"] / 16000] for segment in segments], "scores": [few(score, 5) for score in scores]}


def notes_scope():
    scope = {"np": np, "scipy": scipy, "MAX_FREQ_IDX": 87, "MIDI_OFFSET": 21}
    return functions(basic_pitch / "note_creation.py", ["output_to_notes_polyphonic", "get_infered_onsets", "constrain_frequency"], scope)


melody = [(0.25, 0.8, 60, 0.5), (0.75, 0.8, 64, 0.4), (1.5, 0.6, 67, 0.5), (2.3, 1.2, 57, 0.5), (2.3, 1.2, 61, 0.4), (2.3, 1.2, 64, 0.3), (3.9, 0.7, 72, 0.5)]


def tune():
    """Notes with four harmonics that fade."""
    rate = 22050
    samples = np.zeros(5 * rate)
    for start, length, pitch, loudness in melody:
        first = round(start * rate)
        time = np.arange(round(length * rate)) / rate
        for harmonic in range(1, 5):
            samples[first : first + len(time)] += loudness / harmonic / 2 * np.exp(-2 * time) * np.sin(2 * math.pi * 440 * 2 ** ((pitch - 69) / 12) * harmonic * time)
    samples = samples.astype(np.float32)
    session = onnxruntime.InferenceSession(cache / "models/basic-pitch.onnx")
    hop = 43844 - 30 * 256
    padded = np.concatenate([np.zeros(15 * 256, np.float32), samples])
    outputs = []
    for start in range(0, len(padded), hop):
        window = np.zeros(43844, np.float32)
        piece = padded[start : start + 43844]
        window[: len(piece)] = piece
        outputs.append(session.run(["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"], {"serving_default_input_2:0": window[None, :, None]}))
    frames = math.floor(len(samples) * (86 / rate))
    joined = [np.concatenate([output[which][0, 15:-15] for output in outputs])[:frames] for which in (0, 1)]
    found = notes_scope()["output_to_notes_polyphonic"](*joined, 0.5, 0.3, 11, True, None, None)

    def seconds(frame):
        return frame * 256 / rate - ((256 / rate) * (172 - 43844 / 256) + 0.0018) * (frame // 172)

    found.sort(key=lambda note: (note[0], note[2]))
    return {"melody": melody, "notes": [[few(seconds(start)), few(seconds(end)), int(pitch), round(127 * float(loudness))] for start, end, pitch, loudness in found]}


def mulberry32(seed):
    state = seed
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        z = ((state ^ state >> 15) * (state | 1)) & 0xFFFFFFFF
        z ^= (z + ((z ^ z >> 7) * (z | 61) & 0xFFFFFFFF)) & 0xFFFFFFFF
        yield (z ^ z >> 14) / 2**32


def created_notes():
    """Of seeded activations, which no music would have."""
    answers = []
    for seed in (1, 2, 3):
        numbers = mulberry32(seed)
        notes = np.sqrt(np.array([next(numbers) for _ in range(80 * 88)], np.float32).reshape(80, 88))
        onsets = np.array([next(numbers) for _ in range(80 * 88)], np.float32).reshape(80, 88) ** 2
        found = notes_scope()["output_to_notes_polyphonic"](notes.copy(), onsets.copy(), 0.8, 0.6, 5, True, None, None, energy_tol=11)
        found.sort(key=lambda note: (note[0], note[2]))
        answers.append({"seed": seed, "notes": [[int(start), int(end), int(pitch) - 21, few(loudness, 5)] for start, end, pitch, loudness in found]})
    return answers


texts = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "Füße, naïve café — “quoted”… 100%!",
    "日本語のテキスト mixed with English",
    "Pneumonoultramicroscopicsilicovolcanoconiosis 🎉 x²",
    "  tabs\tand\nlines  ",
    "",
]


def tokens():
    tokenizer = Tokenizer.from_file(str(cache / "models/minilm/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts]


contents = {
    "python": "import os\n\n\ndef main():\n    for name in os.listdir('.'):\n        print(name)\n\n\nif __name__ == '__main__':\n    main()\n",
    "json": json.dumps({"name": "x", "items": [1, 2, {"a": None}], "ok": True}, indent=2),
    "csv": "id,name,score\n" + "".join(f"{i},name{i},{i * 3 % 7}.5\n" for i in range(60)),
    "html": "<!doctype html>\n<html><head><title>A page</title></head><body><p>Text.</p></body></html>\n",
    "few": "abc",
    "spaces": " \n" * 3000 + "abc",
    "not sure": "x = 1\n",
    "prose": "It was a bright cold day in April, and the clocks were striking thirteen. " * 4,
    "long": ("line of words\n" * 700) + "  \n\t ",
}


def kinds():
    magika = Magika()
    answers = {}
    for name, text in contents.items():
        found = magika.identify_bytes(text.encode())
        answers[name] = {"text": text if len(text) < 1500 else None, "label": str(found.prediction.output.label), "mime": found.prediction.output.mime_type, "score": few(found.prediction.score)}
    for name, content in {"empty": b"", "no text": bytes([255, 254, 0, 1]), "png": (cache / "data/photos/coffee.png").read_bytes(), "wav": (cache / "data/speech.wav").read_bytes()}.items():
        found = magika.identify_bytes(content)
        answers[name] = {"bytes": list(content) if len(content) < 10 else None, "label": str(found.prediction.output.label), "mime": found.prediction.output.mime_type, "score": few(found.prediction.score)}
    return answers


def rows():
    table = np.genfromtxt(cache / "data/breast-cancer.csv", delimiter=",", skip_header=1)
    held_out = np.arange(len(table)) % 4 == 3
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-10, max_iter=10000))
    model.fit(table[~held_out, :-1], table[~held_out, -1])
    malignant = model.predict_proba(table[held_out, :-1])[:, 0]
    return {"accuracy": few(model.score(table[held_out, :-1], table[held_out, -1])), "malignant": [few(value) for value in malignant]}


answers = {
    "faces": faces(),
    "mask": mask(),
    "speech": speech(),
    "tune": tune(),
    "createdNotes": created_notes(),
    "tokens": tokens(),
    "kinds": kinds(),
    "rows": rows(),
}
lines = ",\n".join(f'"{name}": {json.dumps(answer, ensure_ascii=False)}' for name, answer in answers.items())
pathlib.Path(__file__).with_name("answers.json").write_text("{\n" + lines + "\n}\n")
