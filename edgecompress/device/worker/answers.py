"""The lines of `litert_worker`, schema 1, as they come over a link: bounded, strict, and checked before they are believed."""

from __future__ import annotations

import json
import math
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgecompress.artifact import TensorSpec
from edgecompress.graph import DType
from edgecompress.validation import first_problem

SCHEMA = 1
# 100,000 samples of at most 11 digits and two separators are 1.3 MB.
MAX_ANSWER_BYTES = 4 << 20
MAX_SAMPLES = 100_000

_Ns = Annotated[int, Field(ge=0, lt=1 << 63)]
_Kib = Annotated[int, Field(ge=0, lt=1 << 40)]
_Khz = Annotated[int, Field(gt=0, lt=1 << 31)]
_Core = Annotated[int, Field(ge=0, lt=1024)]
_Count = Annotated[int, Field(ge=0, lt=1 << 31)]
_Text = Annotated[str, Field(max_length=80)]
_Zone = tuple[_Text, Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Answer(_Document):
    schema_version: Annotated[Literal[1], Field(alias="schema")]
    verb: str
    engine: Literal["litert", "tflite-runtime"]
    engine_version: _Text | None
    python: _Text
    machine: _Text
    kernel: _Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    kernels: Literal["xnnpack", "builtin", "reference"]
    threads: Annotated[int, Field(ge=1, le=1024)]
    rss_before_kb: _Kib | None


class Tensor(_Document):
    """An input or output as the runtime describes it."""

    name: Annotated[str, Field(max_length=10_000)]
    shape: Annotated[tuple[_Count, ...], Field(max_length=32)]
    dtype: Literal["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"]
    bytes: _Count
    scale: Annotated[float, Field(gt=0)] | None
    zero_point: Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)] | None

    def spec(self) -> TensorSpec:
        """As the rest of the package knows it.

        Raises:
            ValueError: its size is not that of its shape; a sentence without a subject.
        """
        dtype = DType(self.dtype)
        expected = math.prod(self.shape) * dtype.bits // 8
        if self.bytes != expected:
            raise ValueError(f"tensor {self.name!r:.40} has {self.bytes:,} bytes; its shape has {expected:,}")
        return TensorSpec(self.name, self.shape, dtype, self.bytes, self.scale, self.zero_point)


class InfoAnswer(_Answer):
    verb: Literal["info"]
    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=256)]
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=256)]


class RunAnswer(_Answer):
    verb: Literal["run"]
    output_crc32: Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...], Field(max_length=256)]


class MeasureAnswer(_Answer):
    verb: Literal["measure"]
    cores: Annotated[tuple[_Core, ...], Field(max_length=1024)] | None
    core_max_khz: _Khz | None
    khz_before: _Khz | None
    khz_after: _Khz | None
    zones_before: Annotated[tuple[_Zone, ...], Field(max_length=256)]
    zones_after: Annotated[tuple[_Zone, ...], Field(max_length=256)]
    rss_after_kb: _Kib | None
    peak_rss_kb: _Kib | None
    first_ns: _Ns
    warmup_runs: _Count
    wall_ns: _Ns
    cpu_ns: _Ns
    samples_ns: Annotated[tuple[_Ns, ...], Field(min_length=1, max_length=MAX_SAMPLES)]


class Complaint(_Document):
    """What the script could not do: `kind` is `engine` (not installed), `model`, `core`, `input` or `output`."""

    kind: Literal["engine", "model", "core", "input", "output"]
    text: Annotated[str, Field(max_length=300)]


class _Failure(_Document):
    schema_version: Annotated[Literal[1], Field(alias="schema")]
    error: Complaint


_Kind = TypeVar("_Kind", bound=BaseModel)


def parse_answer(kind: type[_Kind], stdout: bytes) -> _Kind:
    """One line of the expected kind; what a login's profile printed before it is passed over.

    Raises:
        ValueError: it is too long, not JSON, of another schema, or breaks it; a sentence without a subject.
    """
    if len(stdout) > MAX_ANSWER_BYTES:
        raise ValueError(f"it has {len(stdout):,} bytes; expected at most {MAX_ANSWER_BYTES:,}")
    line = (stdout.strip().splitlines() or [b""])[-1]
    try:
        document = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError) as e:  # not ASCII, not JSON, or an int of thousands of digits
        raise ValueError(f"it is not JSON: {line[:60].decode('ascii', 'replace')!r}" if line else "nothing came") from e
    version = document.get("schema") if isinstance(document, dict) else None
    if version != SCHEMA:
        raise ValueError(f"it has schema {version!r:.20}; expected {SCHEMA}")
    try:
        # As JSON, where a list is how a tuple is written; from Python objects strict validation would refuse it.
        return kind.model_validate_json(line)
    except ValidationError as e:
        raise ValueError(first_problem(e)) from e


def parse_complaint(stdout: bytes) -> Complaint | None:
    """What the script complains of; None when it said nothing that we know."""
    try:
        return parse_answer(_Failure, stdout).error
    except ValueError:
        return None
