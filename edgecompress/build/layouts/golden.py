"""The golden vector as C: inputs and outputs as the raw bytes that the model reads and writes, little-endian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecompress.artifact import TensorSpec
from edgecompress.errors import ModelError
from edgecompress.graph import DType

_BYTES_A_LINE = 16
_ELEMENT_BYTES = {
    DType.INT8: 1,
    DType.UINT8: 1,
    DType.BOOL: 1,
    DType.INT16: 2,
    DType.INT32: 4,
    DType.FLOAT32: 4,
    DType.INT64: 8,
}


@dataclass(frozen=True)
class GoldenTensor:
    """One input or output of the vector, as the skeleton prints it."""

    about: str
    values: str
    element_bytes: int
    is_float: bool


def golden_tensors(specs: Sequence[TensorSpec], raws: Sequence[bytes]) -> list[GoldenTensor]:
    """What ec_golden.c holds of each tensor.

    Raises:
        ModelError: the bytes are not those of these tensors, or the element type is none that an application fills.
    """
    return [_golden_tensor(spec, raw) for spec, raw in zip(specs, raws, strict=True)]


def _golden_tensor(spec: TensorSpec, raw: bytes) -> GoldenTensor:
    size = _ELEMENT_BYTES.get(spec.dtype)
    if size is None:
        raise ModelError(f"{spec.name!r} holds {spec.dtype.value}; expected integers or float32", hint="convert the model to int8")
    if len(raw) != spec.bytes:
        raise ModelError(f"{spec.name!r}: a golden vector of {len(raw)} bytes; expected {spec.bytes}", hint="convert the model again")
    shape = ",".join(str(length) for length in spec.shape)
    return GoldenTensor(f"{spec.dtype.value} [{shape}]", _byte_lines(raw), size, spec.dtype is DType.FLOAT32)


def _byte_lines(raw: bytes) -> str:
    # C has no empty arrays.
    data = raw or bytes(1)
    lines = (data[at : at + _BYTES_A_LINE] for at in range(0, len(data), _BYTES_A_LINE))
    return "\n".join("    0x" + line.hex(" ").replace(" ", ", 0x") + "," for line in lines)
