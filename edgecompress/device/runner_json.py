"""The documents of firmware/runner, schema 1, as they come over a link: bounded, whole, strict, and checked before they are believed.

A document ends with its own CRC-32, so that a digit that changed on the way is no other number but an error.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgecompress.validation import first_problem

SCHEMA = 1
# 100,000 samples of at most 10 digits and a comma are 1.1 MB.
MAX_ANSWER_BYTES = 4 << 20

_CHECK_SUM = re.compile(rb',"crc32":([0-9]{1,10})\}\s*\Z')

# A clock of 64 bits in ns; sizes in KiB up to 2^50 bytes.
_Ns = Annotated[int, Field(ge=0, lt=1 << 63)]
_Kib = Annotated[int, Field(ge=0, lt=1 << 40)]
_Khz = Annotated[int, Field(gt=0, lt=1 << 31)]
_Core = Annotated[int, Field(ge=0, lt=1024)]
_Count = Annotated[int, Field(ge=0, lt=1 << 31)]
_Text = Annotated[str, Field(max_length=80)]
_Crc32 = Annotated[int, Field(ge=0, lt=1 << 32)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Answer(_Document):
    """What every document begins with. `process` is the program as its kernel calls it, `machine` and `kernel` are uname's."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    verb: str
    name: _Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    process: _Text | None
    machine: _Text | None
    kernel: _Text | None
    crc32: _Crc32


class ListedCore(_Document):
    core: _Core
    max_khz: _Khz | None


class InfoAnswer(_Answer):
    verb: Literal["info"]
    engine: Literal["aot"]
    arena_bytes: _Count
    step_count: _Count
    input_bytes: Annotated[tuple[_Count, ...], Field(max_length=256)]
    output_bytes: Annotated[tuple[_Count, ...], Field(max_length=256)]
    cores: Annotated[tuple[ListedCore, ...], Field(max_length=1024)]


class RunAnswer(_Answer):
    verb: Literal["run"]
    output_crc32: Annotated[tuple[_Crc32, ...], Field(max_length=256)]


class Zone(_Document):
    zone: Annotated[int, Field(ge=0, lt=256)]
    type: _Text
    millicelsius: Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]


class Summary(_Document):
    """For people who start the program by hand; the host computes its own from the samples."""

    min: _Ns
    p50: _Ns
    p90: _Ns
    p99: _Ns


class MeasureAnswer(_Answer):
    verb: Literal["measure"]
    core: _Core | None
    core_max_khz: _Khz | None
    khz_before: _Khz | None
    khz_after: _Khz | None
    clock_overhead_ns: _Ns
    first_ns: _Ns
    summary_ns: Summary
    warmup_runs: _Count
    stride: Annotated[int, Field(ge=1, lt=1 << 31)]
    outputs_crc32: _Crc32
    wall_ns: _Ns
    cpu_ns: _Ns
    rss_before_kb: _Kib | None
    rss_after_kb: _Kib | None
    peak_rss_kb: _Kib | None
    zones_before: Annotated[tuple[Zone, ...], Field(max_length=256)]
    zones_after: Annotated[tuple[Zone, ...], Field(max_length=256)]
    step_runs: _Count
    steps_ns: Annotated[tuple[_Ns, ...], Field(max_length=65536)]
    samples_ns: Annotated[tuple[_Ns, ...], Field(min_length=1, max_length=100_000)]


_Kind = TypeVar("_Kind", bound=_Answer)


def parse_answer(kind: type[_Kind], stdout: bytes) -> _Kind:
    """One document of the expected kind.

    Raises:
        ValueError: it is too long, not JSON, damaged, of another schema, or breaks it; a sentence without a subject.
    """
    if len(stdout) > MAX_ANSWER_BYTES:
        raise ValueError(f"it has {len(stdout):,} bytes; expected at most {MAX_ANSWER_BYTES:,}")
    try:
        document = json.loads(stdout.decode("ascii"))
    except (ValueError, RecursionError) as e:  # not ASCII, not JSON, or an int of thousands of digits
        raise ValueError(f"it is not JSON: {_start(stdout)}") from e
    if not isinstance(document, dict):
        raise ValueError(f"it is no JSON object: {_start(stdout)}")
    version = document.get("schema")
    if version != SCHEMA:
        raise ValueError(f"it has schema {version!r:.20}; expected {SCHEMA}")
    end = _CHECK_SUM.search(stdout)
    if end is None or int(end[1]) != zlib.crc32(stdout[: end.start()]):
        raise ValueError("it was damaged on its way: its CRC-32 is wrong")
    try:
        # As JSON, where a list is how a tuple is written; from Python objects strict validation would refuse it.
        return kind.model_validate_json(stdout)
    except ValidationError as e:
        raise ValueError(first_problem(e)) from e


def _start(stdout: bytes) -> str:
    """The first line of what came instead, for a message."""
    return repr(stdout[:60].decode("ascii", "replace")) if stdout else "nothing came"
