"""Spoken digits as 49x10 log-mel images, and a DS-CNN of MLPerf Tiny's shape for them.

A clip (8 kHz) is brought to one mean power and placed at random in one second, and white noise of that power is added (0 dB). Frames of
40 ms every 20 ms make 49 rows; each row is log(1e-6 + energy) in 10 bands of the mel scale, mel(f) = 2595 log10(1 + f / 700), triangles
from 20 Hz to 4 kHz. All values are shifted and scaled by two constants of the training part, so that they have mean 0 and variance 1 there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edgecompress.errors import DataError
from technique_jobs.splits import Split, Splits

FRAMES, BANDS = 49, 10
CLASSES = 10
TEST_TAKES, VALIDATION_TAKES = range(10), range(10, 15)
_RATE = 8_000
_WINDOW, _HOP, _FFT = 320, 160, 512
_LOWEST_HZ = 20.0
_NOISE_SEED = 0
_FLOOR = 1e-6
_FULL_SCALE = 32_768.0
# Root mean square that every clip is brought to: about that of the louder speakers. One of the five is five times quieter than the rest.
_LOUDNESS = 0.06


@dataclass(frozen=True, eq=False)
class Speech:
    """All clips as features [n, 49, 10, 1], with what is known of each."""

    features: NDArray[np.float32]
    label: NDArray[np.int32]
    speaker: NDArray[Any]
    take: NDArray[np.int32]


def load_fsdd(folder: Path) -> Speech:
    """`folder`/fsdd.npz through the front end; the same on every call.

    Raises:
        DataError: the file is not there.
    """
    path = folder / "fsdd.npz"
    if not path.is_file():
        raise DataError(f"{path}: is not there", hint="EDGECOMPRESS_DATA names the folder that holds it")
    with np.load(path) as file:
        audio, offsets = file["audio"], file["offsets"]
        known = {name: file[name] for name in ("label", "speaker", "take")}
    rng = np.random.default_rng(_NOISE_SEED)
    bands = mel_bands()
    clips = [audio[begin:end] for begin, end in pairwise(offsets)]
    features = np.stack([log_mel(place(clip, rng), bands) for clip in clips])
    train = np.asarray(known["take"]) > max(VALIDATION_TAKES)
    features = (features - features[train].mean()) / features[train].std()
    return Speech(features[..., None].astype(np.float32), known["label"].astype(np.int32), known["speaker"], known["take"].astype(np.int32))


def by_take(speech: Speech) -> Splits:
    """Takes 0 to 9 of everybody are for testing, 10 to 14 for validation, the rest for training."""
    test, validation = np.isin(speech.take, TEST_TAKES), np.isin(speech.take, VALIDATION_TAKES)
    return Splits(_part(speech, ~test & ~validation), _part(speech, validation), _part(speech, test))


def without_speaker(speech: Speech) -> Splits:
    """Everything that the last speaker said is for testing; takes 10 to 14 of the others for validation, the rest for training."""
    test = speech.speaker == np.unique(speech.speaker)[-1]
    validation = ~test & np.isin(speech.take, VALIDATION_TAKES)
    return Splits(_part(speech, ~test & ~validation & ~np.isin(speech.take, TEST_TAKES)), _part(speech, validation), _part(speech, test))


def place(clip: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.float64]:
    """One second with the clip somewhere in it, under white noise of the clip's mean power; a longer clip is cut at its end.

    Every clip is brought to the same mean power: the speakers' recordings differ by as much as the words do.
    """
    second = np.zeros(_RATE)
    heard = clip[:_RATE] / _FULL_SCALE
    heard = heard * _LOUDNESS / max(float(np.sqrt(np.mean(heard**2))), _FULL_SCALE**-1)
    begin = int(rng.integers(0, _RATE - len(heard) + 1))
    second[begin : begin + len(heard)] = heard
    return second + rng.normal(0.0, np.sqrt(np.mean(heard**2)), _RATE)


def log_mel(second: NDArray[np.float64], bands: NDArray[np.float64]) -> NDArray[np.float64]:
    """[8000] samples in -1 to 1 -> [49, 10]."""
    frames = np.lib.stride_tricks.sliding_window_view(second, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), _FFT)) ** 2
    return np.log(_FLOOR + power @ bands)


def mel_bands() -> NDArray[np.float64]:
    """[257, 10]: the weight of each frequency in each triangular band; neighbours cross at 1/2."""
    low, high = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (_LOWEST_HZ, _RATE / 2))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0)
    hertz = np.fft.rfftfreq(_FFT, 1.0 / _RATE)[:, None]
    rising, falling = (hertz - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - hertz) / np.diff(edges)[1:]
    return np.clip(np.minimum(rising, falling), 0.0, None)


def ds_cnn() -> keras.Model:
    """MLPerf Tiny's keyword spotter with random weights: 2.66 million multiply-accumulates, 10 classes."""
    x = sound = keras.Input((FRAMES, BANDS, 1), name="log_mel")
    x = _normalized(layers.Conv2D(64, (10, 4), 2, padding="same", use_bias=False, name="stem")(x), "stem")
    x = layers.Dropout(0.2, name="stem_dropout")(x)
    for block in range(1, 5):
        name = f"depthwise_{block}"
        x = _normalized(layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=name)(x), name)
        name = f"pointwise_{block}"
        x = _normalized(layers.Conv2D(64, 1, use_bias=False, name=name)(x), name)
    x = layers.Dropout(0.4, name="dropout")(x)
    x = layers.Flatten(name="flatten")(layers.AveragePooling2D((25, 5), name="pool")(x))
    return keras.Model(sound, layers.Dense(CLASSES, name="logits")(x), name="ds_cnn")


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x))


def _part(speech: Speech, chosen: NDArray[np.bool_]) -> Split:
    return Split(speech.features[chosen], speech.label[chosen])
