"""What TensorFlow Lite Micro takes, and what is wanted of the generated C: the numbers that benchmarks hold their rows against.

Counted in QEMU with TensorFlow Lite Micro 90b983c2, CMSIS-NN 4ab83cc3 and gcc 12.2: one inference of the generated inputs that are used
here. CMSIS-NN with registrations for int8 alone, the reference kernels with the default ones. `code` is text, rodata and data without the
model.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.graph import Graph
from edgecompress.target import Core

RESNET8, DS_CNN, AUTOENCODER, MOBILENET_V1 = "ResNet8", "DS-CNN", "autoencoder", "MobileNetV1 0.25"

# The int8 files of MLPerf Tiny: how their sha256 begin.
_SHA256 = {"3c002613d1b2": RESNET8, "aeea43680070": DS_CNN, "87cf24194ef9": AUTOENCODER}
# MobileNetV1 0.25 of 96x96x3 with two classes: its numbers hang on the shapes, not on the weights.
_MOBILENET_V1_MACS = 7_489_664


@dataclass(frozen=True)
class Bar:
    """TensorFlow Lite Micro with one model on one core. Bytes; None is unknown."""

    model: str
    core: Core
    kernels: str
    instructions: int
    code: int | None = None
    arena: int | None = None
    stack: int | None = None


@dataclass(frozen=True)
class Wanted:
    """At most this many instructions and bytes; None is not asked for."""

    instructions: int
    code: int | None = None
    arena: int | None = None


CMSIS_NN, REFERENCE = "CMSIS-NN", "reference"

BARS = (
    Bar(RESNET8, Core.CORTEX_M4, CMSIS_NN, 29_863_178, code=49_922, arena=54_996, stack=932),
    Bar(RESNET8, Core.CORTEX_M4, REFERENCE, 132_042_387, code=53_711, arena=54_340),
    Bar(RESNET8, Core.CORTEX_M3, CMSIS_NN, 41_800_000),
    Bar(RESNET8, Core.CORTEX_M55, CMSIS_NN, 4_810_859, code=48_897, arena=55_028),
    Bar(DS_CNN, Core.CORTEX_M4, CMSIS_NN, 7_699_231, code=52_116, arena=22_820, stack=932),
    Bar(DS_CNN, Core.CORTEX_M4, REFERENCE, 48_642_141, code=45_619, arena=22_772),
    Bar(DS_CNN, Core.CORTEX_M3, CMSIS_NN, 10_500_000),
    Bar(DS_CNN, Core.CORTEX_M55, CMSIS_NN, 1_786_711, code=50_401, arena=27_348),
    Bar(MOBILENET_V1, Core.CORTEX_M4, CMSIS_NN, 24_101_539, code=52_118, arena=100_708, stack=932),
    Bar(MOBILENET_V1, Core.CORTEX_M4, REFERENCE, 116_629_118, code=45_619, arena=100_660),
    Bar(MOBILENET_V1, Core.CORTEX_M3, CMSIS_NN, 32_100_000),
    Bar(MOBILENET_V1, Core.CORTEX_M55, CMSIS_NN, 6_433_107, code=50_397, arena=100_772),
    Bar(AUTOENCODER, Core.CORTEX_M4, CMSIS_NN, 582_879, code=26_967, arena=2_580, stack=644),
    Bar(AUTOENCODER, Core.CORTEX_M4, REFERENCE, 1_952_378, code=22_911, arena=2_260),
    Bar(AUTOENCODER, Core.CORTEX_M3, CMSIS_NN, 956_000),
    Bar(AUTOENCODER, Core.CORTEX_M55, CMSIS_NN, 149_890, code=23_385, arena=9_268),
)

_ON_M4 = {
    RESNET8: Wanted(13_000_000, code=12_000, arena=36_500),
    DS_CNN: Wanted(3_800_000, code=12_000, arena=17_000),
    MOBILENET_V1: Wanted(11_000_000, code=12_000, arena=56_000),
    AUTOENCODER: Wanted(300_000, code=3_000, arena=900),
}
_ON_OTHERS = {
    (RESNET8, Core.CORTEX_M55): Wanted(3_000_000),
    (DS_CNN, Core.CORTEX_M55): Wanted(1_000_000),
    (RESNET8, Core.CORTEX_M3): Wanted(25_000_000),
    # Half of what the portable kernels took when these cores had no others.
    (RESNET8, Core.CORTEX_M0PLUS): Wanted(39_455_188),
    (DS_CNN, Core.CORTEX_M0PLUS): Wanted(12_070_254),
    (MOBILENET_V1, Core.CORTEX_M0PLUS): Wanted(35_213_209),
    (AUTOENCODER, Core.CORTEX_M0PLUS): Wanted(806_394),
}
# These run what an M4 runs.
_LIKE_M4 = (Core.CORTEX_M7, Core.CORTEX_M33)
_LIKE_M4_SHARE = 1.05

# On every core.
WANTED_STACK = 1_000
WANTED_MODEL_SHARE = 1.05


def known_model(graph: Graph) -> str | None:
    """The name in these tables of the model in a file; None for any other."""
    by_macs = MOBILENET_V1 if graph.macs == _MOBILENET_V1_MACS else None
    return _SHA256.get(graph.sha256[:12], by_macs)


def bars_of(graph: Graph, core: Core) -> list[Bar]:
    """What is known of a file on a core, CMSIS-NN first."""
    model = known_model(graph)
    return [bar for bar in BARS if bar.model == model and bar.core is core]


def bar_of(graph: Graph, core: Core) -> Bar | None:
    """CMSIS-NN's; an M7 and an M33 run the instructions of an M4."""
    found = bars_of(graph, Core.CORTEX_M4 if core in _LIKE_M4 else core)
    return next((bar for bar in found if bar.kernels == CMSIS_NN), None)


def wanted_of(graph: Graph, core: Core) -> Wanted | None:
    """What is asked of a file on a core."""
    model = known_model(graph)
    if model is None:
        return None
    if core is Core.CORTEX_M4:
        return _ON_M4[model]
    if core in _LIKE_M4:
        return Wanted(round(_ON_M4[model].instructions * _LIKE_M4_SHARE))
    return _ON_OTHERS.get((model, core))
