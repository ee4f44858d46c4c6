"""The in-process emulator as a device: exact instruction counts, per step too, stack and arena in use, and faults as errors.

The firmware's board (firmware/boards/emulator) stops after start-up with the model's table in hand; from there the model's functions are
called by address. So what is counted is one call of <name>_invoke, from its first instruction to its return, and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edgecompress.artifact import Firmware, ModelInfo
from edgecompress.device.interface import DeviceModel, check_inputs, device_model
from edgecompress.device.machine import DEFAULT_LIMIT, Machine
from edgecompress.elf import read_elf
from edgecompress.errors import DeviceError, TargetError
from edgecompress.profile import Measurement
from edgecompress.target import Target

# The layout of `ec_model` in firmware/include/ec_model.h on a 32-bit core.
_MODEL = struct.Struct("<II32sIIIIIIIIIII")

# What memory is painted with, one after the other: a byte that holds the paint after both was not written.
_PAINTS = (b"\xa5", b"\x5a")

_STATUS = {-1: "the arena is too small or not aligned", -2: "no such input, output or step", -3: "the interpreter refused or failed"}


@dataclass(frozen=True)
class _Model:
    """Addresses from the firmware's table."""

    arena: int
    init: int
    input: int
    output: int
    invoke: int
    step: int


def open_emulator(
    firmware: Firmware, target: Target, *, native_hook: bool = True, strict: bool = False, limit: int = DEFAULT_LIMIT
) -> EmulatedDevice:
    """Start a firmware on an emulated core.

    Args:
        native_hook: False counts in Python, ten times slower.
        strict: stop at unaligned LDM, LDRD and the like, which real cores refuse and emulators let pass; 20 times slower.
        limit: instructions that one call of the firmware may take; more is a DeviceError.

    Raises:
        ModelError: the ELF file is missing or damaged.
        TargetError: it was built for another target, or the target is not an emulated one.
        DeviceError: it does not start.
    """
    return EmulatedDevice(firmware, target, native_hook=native_hook, strict=strict, limit=limit)


class EmulatedDevice:
    """See `open_emulator`; the rest is `Device`."""

    def __init__(self, firmware: Firmware, target: Target, *, native_hook: bool, strict: bool, limit: int) -> None:
        if firmware.target != target.name:
            raise TargetError(f"{firmware.elf} was built for {firmware.target}, not for {target.name}", hint="build it for this target")
        if target.link.kind != "emulator":
            raise TargetError(
                f"{target.name} is not emulated in this process; its link is {target.link.kind}", hint="measure it by its name"
            )
        self._info: ModelInfo = firmware.info
        self._machine = Machine(read_elf(firmware.elf), target, native=native_hook, strict=strict, limit=limit)
        self._model: _Model | None = None
        self._reset()

    def info(self) -> DeviceModel:
        return device_model(self._info)

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        check_inputs(inputs, self._info.inputs)
        model = self._model or self._reset()
        self._write_inputs(model, inputs)
        self._invoke(model)
        return self._read_outputs(model)

    def trace(self, inputs: Sequence[bytes]) -> dict[str, bytes]:
        """One inference step by step: each tensor's bytes as the step that computes it left them, by the tensor's name."""
        check_inputs(inputs, self._info.inputs)
        model = self._model or self._reset()
        self._write_inputs(model, inputs)
        found = {}
        for step in self._info.steps:
            self._count(model.step, model.arena, step.index, doing=f"step {step.index} ({step.name})")
            for buffer in self._info.plan:
                if buffer.first_op == step.index:
                    found[buffer.tensor] = self._machine.read(model.arena + buffer.offset, buffer.bytes)
        return found

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """See `Device.measure`. The machine is reset before, so that `first` is the first inference after power-up."""
        if runs < 1 or warmup < 0:
            raise ValueError(f"{runs} runs after {warmup} warm-ups cannot be measured; expected at least 1 and 0")
        check_inputs(inputs, self._info.inputs)
        first, stack, untouched = self._painted_run(inputs, _PAINTS[0])
        second, stack_again, untouched_again = self._painted_run(inputs, _PAINTS[1])
        model = self._model or self._reset()
        # The second painted run took the place of the first one to come.
        counts = [second, *(self._counted_run(model, inputs) for _ in range(warmup + runs - 1))]
        return Measurement(
            unit="instructions",
            samples=tuple(float(count) for count in counts[warmup:]),
            first=float(first),
            ops=tuple(float(count) for count in self._count_steps(model, inputs)),
            stack_bytes=max(stack, stack_again),
            arena_touched_bytes=self._info.arena_bytes - min(untouched, untouched_again),
            environment=dict(self._machine.environment),
        )

    def close(self) -> None:
        self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _reset(self, paint: bytes = _PAINTS[0]) -> _Model:
        """Start the firmware again, and initialise its model in an arena full of paint."""
        self._model = None
        table, arena = self._machine.reset()
        fields = _MODEL.unpack(self._machine.read(table, _MODEL.size))
        if fields[2].hex() != self._info.sha256 or fields[3] != self._info.arena_bytes:
            raise DeviceError(f"{self._info.name}: the firmware holds another model than its manifest says", hint="build it again")
        model = _Model(arena, *fields[9:14])
        self._machine.write(arena, paint * self._info.arena_bytes)
        status = self._machine.call(model.init, arena, self._info.arena_bytes, doing="init")
        self._check_status(status, "init")
        self._model = model
        return model

    def _painted_run(self, inputs: Sequence[bytes], paint: bytes) -> tuple[int, int, int]:
        """Reset with painted memory and run once: instructions, bytes of stack, bytes at the arena's end that still hold the paint."""
        model = self._reset(paint)
        self._write_inputs(model, inputs)
        bottom = self._machine.target.region("ram").origin
        self._machine.write(bottom, paint * (self._machine.stack_top - bottom))
        count = self._invoke(model)
        stack = self._machine.read(bottom, self._machine.stack_top - bottom)
        arena = self._machine.read(model.arena, self._info.arena_bytes)
        return count, len(stack.lstrip(paint)), len(arena) - len(arena.rstrip(paint))

    def _counted_run(self, model: _Model, inputs: Sequence[bytes]) -> int:
        self._write_inputs(model, inputs)
        return self._invoke(model)

    def _invoke(self, model: _Model) -> int:
        """One inference; the instructions it took."""
        return self._count(model.invoke, model.arena, doing="invoke")

    def _count_steps(self, model: _Model, inputs: Sequence[bytes]) -> list[int]:
        if not self._info.steps or not model.step:
            return []
        self._write_inputs(model, inputs)
        return [self._count(model.step, model.arena, step.index, doing=f"step {step.index} ({step.name})") for step in self._info.steps]

    def _count(self, function: int, *arguments: int, doing: str) -> int:
        before = self._machine.instructions
        try:
            status = self._machine.call(function, *arguments, doing=doing)
        except DeviceError:
            # Whatever it left in memory is no model any more.
            self._model = None
            raise
        self._check_status(status, doing)
        return self._machine.instructions - before

    def _check_status(self, status: int, doing: str) -> None:
        signed = status - 2**32 if status >= 2**31 else status
        if signed != 0:
            meaning = _STATUS.get(signed, "no known status")
            raise DeviceError(
                f"{self._info.name}: {doing} returned {signed}: {meaning}", hint="see ec_status in firmware/include/ec_types.h"
            )

    def _write_inputs(self, model: _Model, inputs: Sequence[bytes]) -> None:
        for index, data in enumerate(inputs):
            self._machine.write(self._machine.call(model.input, model.arena, index, doing=f"input {index}"), data)

    def _read_outputs(self, model: _Model) -> list[bytes]:
        found = []
        for index, spec in enumerate(self._info.outputs):
            address = self._machine.call(model.output, model.arena, index, doing=f"output {index}")
            found.append(self._machine.read(address, spec.bytes))
        return found
