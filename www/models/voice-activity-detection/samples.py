"""Makes samples.npz beside this file: four frames of speech with the state that the model has there, by ONNX Runtime.

python samples.py silero-vad.onnx speech.wav
"""

import pathlib
import sys
import wave

import numpy as np
import onnxruntime

model, sound = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
with wave.open(sound) as file:
    assert file.getframerate() == 16000 and file.getnchannels() == 1
    samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
rate = np.array(16000, np.int64)
state, context, kept = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
for frame in samples[: len(samples) // 512 * 512].reshape(-1, 512):
    given = np.concatenate([context, frame])
    kept.append((given, state))
    _, state = session.run(None, {"input": given[None], "state": state, "sr": rate})
    context = given[-64:]
chosen = kept[:16:4]
np.savez_compressed(
    pathlib.Path(__file__).with_name("samples.npz"),
    input=np.stack([given for given, _ in chosen]),
    state=np.stack([state for _, state in chosen]),
    sr=np.full(len(chosen), 16000, np.int64),
)
