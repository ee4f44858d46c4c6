"""Firmware that links TensorFlow Lite Micro, in an arena that was found by running it.

sources (arena: an estimate) --> probe firmware --> an emulated core of the same kind --> the smallest arena in which the model starts
                                                                                            --> sources (arena: exact) --> firmware
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompress.artifact import Firmware, GeneratedModel
from edgecompress.build.tflm import TflmTree, find_tflm, tflm_folder
from edgecompress.build.toolchain import Toolchain
from edgecompress.codegen import ExactArena, generate_tflm
from edgecompress.codegen.tflm_probe import arena_probe
from edgecompress.device import Device
from edgecompress.errors import BudgetError, DeviceError, ModelError, ToolError
from edgecompress.pipeline.sources import NO_OFFLINE_PLAN, LoadedModel, for_tflm
from edgecompress.target import Core, EmulatorLink, Target, load_target

# TFLM's allocator works in blocks of this size.
ARENA_STEP = 16

# Emulated cores, by the core that they stand for.
_TWINS = {
    Core.CORTEX_M0: "cortex-m0plus",
    Core.CORTEX_M0PLUS: "cortex-m0plus",
    Core.CORTEX_M3: "cortex-m3",
    Core.CORTEX_M4: "cortex-m4",
    Core.CORTEX_M7: "cortex-m7",
    Core.CORTEX_M33: "cortex-m33",
    Core.CORTEX_M55: "qemu-mps3-an547",
}
# Interpreters are made on this stack: more than any was seen to take.
_PROBE_STACK_BYTES = 16384
# What the probe itself and the application keep in RAM, buffers of the link included.
_PROBE_STATIC_BYTES = 32768


def build_tflm(
    target: Target,
    model: LoadedModel,
    *,
    folder: Path | None,
    toolchain: Toolchain,
    output: Path | None,
    name: str | None,
    offline_plan: bool,
) -> Firmware:
    """Compile and link a model with TensorFlow Lite Micro for a target.

    Args:
        folder: of TensorFlow Lite Micro, see `find_tflm`; that in EDGECOMPRESS_TFLM_DIR when None.
        output: the folder for firmware.elf; build/TARGET/NAME when None.
        offline_plan: our memory plan goes into the model where that lowers the arena on the host and on the core.

    Raises:
        UserError: the folder is missing, wrong, or has no library for the target; the toolchain has no C++.
        UnsupportedOpError: TensorFlow Lite Micro lacks an op of the model.
        BudgetError: it does not fit the target.
        ToolError: the compiler failed or is missing.
    """
    from edgecompress.build import build_firmware
    from edgecompress.build.cpp import require_cpp

    require_cpp(toolchain)
    tree = find_tflm(tflm_folder(folder), target)
    options = "" if offline_plan else NO_OFFLINE_PLAN
    data = for_tflm(model, offline_plan=offline_plan)
    sources = generate_tflm(model.graph, data, name=name, options=options)
    exact = find_arena(sources, target, tree, toolchain)
    plain = for_tflm(model, offline_plan=False)
    if exact is not None and data != plain:
        # Kernels of a core may want scratch that leaves no room for the plan.
        other = find_arena(generate_tflm(model.graph, plain, name=name), target, tree, toolchain)
        if other is not None and other.bytes <= exact.bytes:
            data, exact = plain, other
    if exact is not None:
        sources = generate_tflm(model.graph, data, name=name, arena=exact, options=options)
    place = output or Path("build") / target.name / sources.info.name
    return build_firmware(sources, target, toolchain=toolchain, output=place, tflm=tree)


def find_arena(sources: GeneratedModel, target: Target, tree: TflmTree, toolchain: Toolchain) -> ExactArena | None:
    """The smallest arena in which a model starts and runs on a core like the target's; None where no such core can be emulated here.

    Raises:
        ModelError: the model does not start in any arena.
        DeviceError: it faults in the largest one.
        ToolError: the compiler failed or is missing.
    """
    from edgecompress.build import build_firmware

    twin = emulated_twin(target)
    largest = (twin.ram_bytes - _PROBE_STACK_BYTES - _PROBE_STATIC_BYTES) // ARENA_STEP * ARENA_STEP
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as work:
        try:
            probe = build_firmware(arena_probe(sources, largest), twin, toolchain=toolchain, output=Path(work), tflm=tree)
        except BudgetError:
            return None
        try:
            with _Bench(probe, twin) as bench:
                found = smallest_arena(bench.attempt, largest)
        except ToolError:  # its emulator is not installed
            return None
    if found is None:
        raise ModelError(
            f"{sources.info.name}: TensorFlow Lite Micro does not start it on {twin.name} in {largest:,} B of arena",
            hint="edgecompress inspect shows its ops; use --engine aot",
        )
    return ExactArena(found, f"{target.core.value} and {tree.description}")


def emulated_twin(target: Target) -> Target:
    """An emulated device with the target's core, FPU and SIMD, and memory enough for most models."""
    own = {"core": target.core, "fpu": target.fpu, "simd": target.simd, "stack_bytes": _PROBE_STACK_BYTES}
    return load_target(_TWINS[target.core]).model_copy(update=own)


def smallest_arena(attempt: Callable[[int], tuple[bool, int]], largest: int) -> int | None:
    """The smallest arena, a multiple of ARENA_STEP, in which a model starts; None when it does not in the largest.

    Args:
        attempt: whether it starts in so many bytes, and how many it then uses. It starts in no fewer than it uses, but may need more
            while it plans its memory.
    """
    starts, used = attempt(largest)
    if not starts:
        return None
    low = -(-used // ARENA_STEP) * ARENA_STEP
    if attempt(low)[0]:
        return low
    high = largest
    while high - low > ARENA_STEP:
        middle = (low + high) // 2 // ARENA_STEP * ARENA_STEP
        low, high = (low, middle) if attempt(middle)[0] else (middle, high)
    return high


class _Bench:
    """The emulated core with the probe. In an arena that is too small TFLM may fault instead of failing: the core is then started again."""

    def __init__(self, probe: Firmware, twin: Target) -> None:
        """Raises ToolError: the core's emulator is not installed."""
        self._probe = probe
        self._twin = twin
        self._device = self._open()
        self._started = False

    def attempt(self, size: int) -> tuple[bool, int]:
        """Whether the model starts and runs in so many bytes, and how many it then uses.

        Raises:
            DeviceError: it faults at the first attempt, with the largest arena.
        """
        try:
            (answer,) = self._device.run([struct.pack("<i", size)])
        except (DeviceError, ToolError):  # QEMU ends where a fault handler faults
            if not self._started:
                raise
            self._device.close()
            self._device = self._open()
            return False, 0
        self._started = True
        status, used = struct.unpack("<2i", answer)
        return status == 0, used

    def _open(self) -> Device:
        from edgecompress.device import open_emulator, open_qemu

        return open_emulator(self._probe, self._twin) if isinstance(self._twin.link, EmulatorLink) else open_qemu(self._probe, self._twin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._device.close()
