"""What each pass takes on MobileNetV2 1.0 at 96x96, its fine-tuning left out.

    python benchmarks/pass_times.py                        all of them
    python benchmarks/pass_times.py --only shrink          one; may be given several times
    python benchmarks/pass_times.py --quick                a small network and a few passes: whether it runs

Random weights; passes that read data read 64 random images. Seconds by the clock, and of the processor (all threads), which hardly notices
what else the machine does. A pass that reads no data is meant to take 30 s at most, one that reads some 60 s; CP and adaptive rounding have
no limit, and show progress instead. Exit code 1 when the processor time of one is above its limit.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from edgecompress.compress import Data
from edgecompress.compress.passes import apply_pass
from edgecompress.progress import silent
from edgecompress.recipe import parse_recipe

SIDE, CLASSES, IMAGES = 96, 10, 64
FREE_S, READING_S = 30.0, 60.0


@dataclass(frozen=True)
class Timed:
    """One step of a recipe without its `epochs = 0`, and the seconds that it may take; None for as long as it needs."""

    step: str
    limit_s: float | None


def _free(step: str) -> Timed:
    return Timed(step, FREE_S)


def _reading(step: str) -> Timed:
    return Timed(step, READING_S)


_HALF = 'pass = "prune"\nsparsity = 0.5\n'
_CHANNELS = 'pass = "shrink"\nmacs = 0.5\n'
_TWO_THIRDS = 'pass = "lowrank"\nratio = 0.66\n'
PASSES = {
    "masks by magnitude": _free(_HALF),
    "masks by magnitude, layer by layer": _free(f'{_HALF}scope = "layer"'),
    "masks 2:4": _free('pass = "prune"\npattern = "2:4"'),
    "masks 1x4": _free(f'{_HALF}pattern = "1x4"'),
    "masks by random": _free(f'{_HALF}saliency = "random"'),
    "shrink": _free(_CHANNELS),
    "shrink by variance": _free(f'{_CHANNELS}saliency = "variance"'),
    "shrink by weight entropy": _free(f'{_CHANNELS}saliency = "weight_entropy"'),
    "shrink by BN scale": _free(f'{_CHANNELS}saliency = "bn_scale"'),
    "SVD and the best split": _free(_TWO_THIRDS),
    "Tucker-2": _free(f'{_TWO_THIRDS}method = "tucker"'),
    "k-means": _free('pass = "cluster"'),
    "k-means by channel": _free('pass = "cluster"\nscope = "channel"\nclusters = 8'),
    "4 bits": _free('pass = "bits"'),
    "separable": _free('pass = "replace"\nconvolution = "separable"'),
    "groups": _free('pass = "replace"\nconvolution = "grouped"'),
    "masks by gradient": _reading(f'{_HALF}saliency = "gradient"'),
    "masks by Taylor": _reading(f'{_HALF}saliency = "taylor"'),
    "masks by input norm": _reading(f'{_HALF}saliency = "input_norm"'),
    "masks by output error": _reading(f'{_HALF}saliency = "output_error"'),
    "shrink by activation": _reading(f'{_CHANNELS}saliency = "activation_mean"'),
    "shrink by activation entropy": _reading(f'{_CHANNELS}saliency = "activation_entropy"'),
    "shrink, solved anew": _reading(f'{_CHANNELS}refit = "least_squares"'),
    "blocks": _reading('pass = "shrink"\nremove = "blocks"\namount = 0.3'),
    "SVD by responses": _reading(f'{_TWO_THIRDS}method = "channel"\ncriterion = "responses"'),
    "equalization, min-max": _reading('pass = "quantize"\nequalize = "replace_relu6"'),
    "entropy": _reading('pass = "quantize"\ncalibrator = "entropy"'),
    "MSE": _reading('pass = "quantize"\ncalibrator = "mse"'),
    "bias correction": _reading('pass = "quantize"\nbias_correction = "empirical"'),
    "CP": Timed(f'{_TWO_THIRDS}method = "cp"', None),
    "adaptive rounding": Timed('pass = "quantize"\nrounding = "adaptive"\nrounding_steps = 50', None),
}
QUICK = ("masks by magnitude", "shrink", "k-means", "masks by gradient")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PASSES, metavar="PASS", help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="a small network and a few passes")
    arguments = parser.parse_args()
    model = _small() if arguments.quick else _mobilenet()
    data = _data(model)
    print(_row("pass", "seconds", "CPU s", "limit"))
    late = 0
    for name in arguments.only or (QUICK if arguments.quick else PASSES):
        timed = PASSES[name]
        (step,) = parse_recipe(f"[[step]]\n{timed.step}\nepochs = 0\n", name).step
        wall, cpu = time.perf_counter(), time.process_time()
        apply_pass(model, step, data, model, silent)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        late += timed.limit_s is not None and cpu > timed.limit_s
        limit = "-" if timed.limit_s is None else f"{timed.limit_s:.0f} s: {'kept' if cpu <= timed.limit_s else 'missed'}"
        print(_row(name, f"{wall:.1f}", f"{cpu:.1f}", limit), flush=True)
    return int(late > 0)


def _data(model: Any) -> Data:  # noqa: ANN401 - Keras ships without types
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (IMAGES, *model.input_shape[1:])).astype(np.float32)
    return Data(train=(x, rng.integers(0, CLASSES, IMAGES)), calibration=x)


def _mobilenet() -> Any:  # noqa: ANN401
    import keras

    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV2((SIDE, SIDE, 3), weights=None, classes=CLASSES, classifier_activation=None)


def _small() -> Any:  # noqa: ANN401
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, activation="relu")(image)
    x = layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    return keras.Model(image, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def _row(*cells: str) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, (36, 9, 7, 0), strict=True)).rstrip()


if __name__ == "__main__":
    raise SystemExit(main())
