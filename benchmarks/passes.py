"""Every pass on models that no test holds: two training steps, then full int8, then every runtime against every other.

    python benchmarks/passes.py                                     all passes on all models
    python benchmarks/passes.py --model conv1d --pass cluster       one pair
    python benchmarks/passes.py --quick                             the Conv1D model, a few passes

Models: MobileNetV2 of keras.applications at 96x96 with random weights, a U-Net with skip concatenations, a Conv1D net. Each row is a recipe
of that pass and `quantize`, trained for two steps on random data, so accuracy means nothing here. `C against TFLM` compares the generated C
on an emulated Cortex-M4 with TensorFlow Lite Micro; a refusal names its layer. `XNNPACK` is how far LiteRT's default kernels are from that,
in steps of the int8 output beside their tolerance: another way of rounding, which random deep networks amplify, so a figure and no failure.
Exit code 1 when the generated C's bytes differ.
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from enum import Enum
from functools import cache
from multiprocessing import get_context
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from edgecompress.convert import Converter
from edgecompress.errors import EdgeCompressError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.reference import LITERT_TOLERANCE
from edgecompress.pipeline.sources import LoadedModel
from edgecompress.pipeline.verify import Rung, Status, VerifyReport, verify_loaded
from edgecompress.recipe import parse_recipe

BATCH, SAMPLES, CLASSES, VERIFIED = 4, 8, 10, 2
_PAIRS_PER_PROCESS = 6
TRAIN = f"epochs = 1\nbatch_size = {BATCH}\n"
QAT = f'pass = "quantize"\nmethod = "qat"\n{TRAIN}'
PASSES = {
    "prune": (f'pass = "prune"\nsparsity = 0.5\n{TRAIN}', QAT),
    "prune 2:4": (f'pass = "prune"\npattern = "2:4"\n{TRAIN}', QAT),
    "prune 1x4": (f'pass = "prune"\nsparsity = 0.5\npattern = "1x4"\n{TRAIN}', QAT),
    "shrink": (f'pass = "shrink"\nmacs = 0.6\n{TRAIN}', QAT),
    "blocks": (f'pass = "shrink"\nremove = "blocks"\namount = 0.5\n{TRAIN}', QAT),
    "l1": (f'pass = "regularize"\nmethod = "l1"\n{TRAIN}', QAT),
    "l2": (f'pass = "regularize"\nmethod = "l2"\n{TRAIN}', QAT),
    "group lasso": (f'pass = "regularize"\nmethod = "group_lasso"\n{TRAIN}', QAT),
    "l0": (f'pass = "regularize"\nmethod = "l0"\n{TRAIN}', QAT),
    "lowrank auto": (f'pass = "lowrank"\nratio = 0.6\n{TRAIN}', QAT),
    "spatial": (f'pass = "lowrank"\nratio = 0.6\nmethod = "spatial"\n{TRAIN}', QAT),
    "channel": (f'pass = "lowrank"\nratio = 0.6\nmethod = "channel"\n{TRAIN}', QAT),
    "tucker": (f'pass = "lowrank"\nratio = 0.6\nmethod = "tucker"\n{TRAIN}', QAT),
    "cp": (f'pass = "lowrank"\nratio = 0.6\nmethod = "cp"\nsweeps = 5\n{TRAIN}', QAT),
    "separable": (f'pass = "replace"\nconvolution = "separable"\n{TRAIN}', QAT),
    "grouped": (f'pass = "replace"\nconvolution = "grouped"\ngroups = 2\n{TRAIN}', QAT),
    "shuffled": (f'pass = "replace"\nconvolution = "grouped"\ngroups = 2\nmixing = "shuffle"\n{TRAIN}', QAT),
    "bottleneck": (f'pass = "replace"\nconvolution = "bottleneck"\n{TRAIN}', QAT),
    "activations": (f'pass = "replace"\nactivations = {{ silu = "hard_swish", gelu = "relu" }}\n{TRAIN}', QAT),
    "student": (f'pass = "student"\nfamily = "mobilenet_v1"\n{TRAIN}', QAT),
    "distill": (f'pass = "distill"\n{TRAIN}', QAT),
    "fuse": ('pass = "fuse"', 'pass = "quantize"'),
    "cluster": (f'pass = "cluster"\n{TRAIN}', QAT),
    "tied": (f'pass = "cluster"\nclusters = "all"\ntie_filters = 0.5\n{TRAIN}', QAT),
    "bits": (f'pass = "bits"\nmethod = "uniform"\nbits = 4\n{TRAIN}', QAT),
    "ternary": (f'pass = "bits"\nmethod = "ternary"\n{TRAIN}', QAT),
    "binary": (f'pass = "bits"\nmethod = "binary"\n{TRAIN}', QAT),
    "log": (f'pass = "bits"\nmethod = "log"\n{TRAIN}', QAT),
    "qat": (QAT,),
    "qat tensor": (f'{QAT}scales = "tensor"\n',),
    "qat int16x8": (f'{QAT}mode = "int16x8"\n',),
    "ptq": ('pass = "quantize"',),
    "entropy": ('pass = "quantize"\ncalibrator = "entropy"',),
    "equalize": ('pass = "quantize"\nequalize = "replace_relu6"\nbias_correction = "empirical"',),
    "adaptive": ('pass = "quantize"\nrounding = "adaptive"\nrounding_steps = 20',),
}
QUICK = ("prune", "shrink", "cluster", "qat")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=MODELS, help="may be given several times")
    parser.add_argument("--pass", dest="passes", action="append", choices=PASSES, help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="the Conv1D model and a few passes")
    arguments = parser.parse_args()
    models = arguments.model or (["conv1d"] if arguments.quick else list(MODELS))
    passes = arguments.passes or (QUICK if arguments.quick else tuple(PASSES))
    print(_row("model", "pass", "MACs", "zeros", ".tflite", "XNNPACK", "seconds", "C against TFLM"))
    verdicts: Counter[Verdict] = Counter()
    # TensorFlow keeps the graphs of what it traced as long as a process lives: half a gigabyte for each pair of MobileNetV2.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=_PAIRS_PER_PROCESS) as process:
        for name, step in itertools.product(models, passes):
            start = time.perf_counter()
            try:
                cells, verdict = process.submit(_try, name, step).result()
            except BrokenProcessPool:
                print(f"error: {step} on {name} ended its process, perhaps for want of memory", file=sys.stderr)
                return 2
            verdicts[verdict] += 1
            *figures, said = cells
            print(_row(name, step, *figures, f"{time.perf_counter() - start:.0f}", said), flush=True)
    print(f"{verdicts.total()} tried: " + ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict))
    return int(verdicts[Verdict.DIFFERS] > 0)


class Verdict(Enum):
    """How one recipe on one model ended."""

    EQUAL = "with TFLM's bytes"
    REFUSED = "refused by name"
    MISSING = "not compared"
    DIFFERS = "with other bytes"


@cache
def _converter() -> Converter:
    """One for all pairs of a process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(Converter())


@cache
def _model(name: str) -> Any:  # noqa: ANN401 - Keras ships without types
    return MODELS[name]()


def _try(name: str, step: str) -> tuple[Sequence[str], Verdict]:
    """MACs, zeros, bytes, XNNPACK's distance and the verdict in words; and how it ended."""
    from edgecompress.compress import Data, compress
    from edgecompress.convert import read_tflite

    model, rng = _model(name), np.random.default_rng(0)
    x = rng.normal(0, 1, (SAMPLES, *model.input_shape[1:])).astype(np.float32)
    y = rng.integers(0, CLASSES, (SAMPLES, *model.output_shape[1:-1])).astype(np.int32)
    text = "".join(f"[[step]]\n{settings}\n" for settings in PASSES[step])
    try:
        result = compress(model, parse_recipe(text, step), Data((x, y), (x, y), x), converter=_converter())
        after = result.report["steps"][-1]["after"]
        graph = read_tflite(result.model_bytes, name="model")
        sizes = [graph.tensor(index).bytes for index in graph.inputs]
        samples = [lcg_inputs(seed, sizes) for seed in range(1, VERIFIED + 1)]
        report = verify_loaded(LoadedModel(result.model_bytes, graph), samples, source="generated inputs")
    except EdgeCompressError as error:
        return ("-", "-", "-", "-", f"{type(error).__name__}: {error.message}"), Verdict.REFUSED
    core = next(rung for rung in report.rungs if rung.name.startswith("generated C"))
    cells = (
        f"{after['macs']:,}",
        f"{after['zeros'] / after['weights']:.0%}",
        f"{after['tflite_bytes']:,}",
        _xnnpack(report),
        _against(core),
    )
    return cells, verdict_of(core)


def _xnnpack(report: VerifyReport) -> str:
    """Its largest difference beside its tolerance; "!" when above."""
    rung = next(rung for rung in report.rungs if rung.name.startswith("LiteRT default"))
    return f"{rung.largest_difference} of {LITERT_TOLERANCE}{'' if rung.ok else ' !'}"


def verdict_of(core: Rung) -> Verdict:
    """Of the generated C's rung alone."""
    if core.status is Status.MISSING or core.reference != "TFLM host":
        return Verdict.MISSING
    return Verdict.EQUAL if core.status is Status.EQUAL else Verdict.DIFFERS


def _against(core: Rung) -> str:
    if verdict_of(core) is Verdict.MISSING:
        return f"not compared: {core.note or 'TensorFlow Lite Micro has no wheel for this platform'}"
    return f"{core.status.value} ({core.mismatched_bytes} of {core.total_bytes} differ)"


def _mobilenet() -> Any:  # noqa: ANN401
    import keras

    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=CLASSES, classifier_activation=None)


def _unet() -> Any:  # noqa: ANN401
    """Three levels; each way up joins the way down by a concatenation; a class for every pixel."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    x = image = keras.Input((32, 32, 3))
    skips = []
    for level, filters in enumerate((8, 16)):
        x = _unit(x, filters, f"down_{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool_{level}")(x)
    x = _unit(x, 32, "bottom")
    for level, (filters, skip) in enumerate(zip((16, 8), reversed(skips), strict=True)):
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up_{level}")(x)
        x = layers.Concatenate(name=f"join_{level}")([x, skip])
        x = _unit(x, filters, f"after_{level}")
    return keras.Model(image, layers.Conv2D(CLASSES, 1, name="classes")(x), name="unet")


def _unit(x: Any, filters: int, name: str) -> Any:  # noqa: ANN401
    from keras import layers

    for half in ("a", "b"):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_{half}")(x)
        x = layers.BatchNormalization(name=f"{name}_{half}_bn")(x)
        x = layers.ReLU(name=f"{name}_{half}_relu")(x)
    return x


def _conv1d() -> Any:  # noqa: ANN401
    """A causal, dilated residual net over a sequence, with swish."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    x = sequence = keras.Input((64, 6))
    x = layers.Conv1D(16, 5, strides=2, padding="same", activation="swish", name="stem")(x)
    for block, dilation in enumerate((1, 2)):
        y = layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation, use_bias=False, name=f"block_{block}_a")(x)
        y = layers.BatchNormalization(name=f"block_{block}_bn")(y)
        y = layers.Activation("swish", name=f"block_{block}_swish")(y)
        y = layers.Conv1D(16, 1, name=f"block_{block}_b")(y)
        x = layers.Add(name=f"block_{block}_add")([x, y])
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(sequence, layers.Dense(CLASSES, name="logits")(x), name="conv1d")


MODELS: dict[str, Callable[[], Any]] = {"mobilenet_v2": _mobilenet, "unet": _unet, "conv1d": _conv1d}


def _row(*cells: str) -> str:
    widths = (13, 12, 12, 6, 10, 8, 8, 0)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
