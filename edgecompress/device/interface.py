"""What every device can do, whichever wire leads to it: say what it runs, run one inference, be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from edgecompress.artifact import Engine, ModelInfo, TensorSpec
from edgecompress.errors import DataError
from edgecompress.profile import Measurement


@dataclass(frozen=True)
class DeviceModel:
    """The model that a device says it runs.

    Attributes:
        sha256: of the .tflite, in lower-case hex.
        inputs, outputs: at least `bytes` of each is true; a device that knows no names or shapes gives `""` and `(bytes,)`.
        step_count: how many numbers `Measurement.ops` will have; 0 when the device cannot time steps.
    """

    name: str
    sha256: str
    engine: Engine
    arena_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    step_count: int


class Device(Protocol):
    """One open device. It is a context manager; `close` may be called twice."""

    def info(self) -> DeviceModel:
        """What the device says it runs.

        Raises:
            DeviceError, LinkError: it does not answer, or not in a form we know.
        """
        ...

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """One inference: raw bytes of each input tensor in, raw bytes of each output tensor out.

        Raises:
            DataError: the number of inputs, or the size of one, is not the model's.
            DeviceError, LinkError: the device faulted or fell silent.
        """
        ...

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """Time `runs` inferences after `warmup` untimed ones; the inputs are restored before each, outside the timed part.

        Raises:
            DataError, DeviceError, LinkError: as `run`.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def device_model(info: ModelInfo) -> DeviceModel:
    """The part of a firmware's manifest that a device can confirm."""
    return DeviceModel(info.name, info.sha256, info.engine, info.arena_bytes, info.inputs, info.outputs, len(info.steps))


def check_inputs(inputs: Sequence[bytes], specs: Sequence[TensorSpec]) -> None:
    """Refuse inputs that are not the model's, before they travel.

    Raises:
        DataError: with the tensor, its size, and what came.
    """
    hint = "give the raw bytes of each input tensor, in the model's order"
    if len(inputs) != len(specs):
        raise DataError(f"the model has {len(specs)} input(s); {len(inputs)} came", hint=hint)
    for index, (data, spec) in enumerate(zip(inputs, specs, strict=True)):
        if len(data) != spec.bytes:
            shape = "x".join(str(n) for n in spec.shape)
            raise DataError(f"input {index} ({spec.name or shape}) has {spec.bytes} bytes; {len(data)} came", hint=hint)
