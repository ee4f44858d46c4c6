"""What was measured: one JSON document per model, engine and device.

Missing facts are null, never zero. An emulator's unit is `instructions`; only a clock that was read on a device gives `us`.
The JSON Schema of this document is published as docs/profile.schema.json (made by `profile_json_schema`).
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgecompress.conditions import Conditions, Validity
from edgecompress.errors import ModelError
from edgecompress.files import write_text
from edgecompress.validation import first_problem

SCHEMA_VERSION = 1
"""Within one version, fields are only added, and every added field may be missing: what an earlier release wrote is read as it is. A change
that needs more than that takes the next number, and an upgrade of documents of this one."""
LARGEST_PROFILE_BYTES = 64 << 20
"""A profile of a thousand ops has half a megabyte."""
MOST = 2**63 - 1
"""Of counts and amounts: what a signed 64-bit integer holds; more is damage."""
_LONGEST_QUOTE = 200
_WRITTEN_BY = "profiles are written by edgecompress measure"


@dataclass(frozen=True)
class TimedOp:
    """One op as a runtime of its own names it: its name, its kind, and its share of one inference in the measurement's unit."""

    name: str
    kind: str
    latency: float


@dataclass(frozen=True)
class Measurement:
    """What a device gives back: raw numbers, in `unit`.

    Attributes:
        samples: one number per timed run after warm-up, in order; empty where only a `summary` is known.
        first: the very first run, before warm-up.
        ops: one number per step of the generated code, in order; empty when the device cannot tell.
        stack_bytes: stack high-water mark of one inference; None when unknown.
        arena_touched_bytes: 1 + the highest arena offset that was written; None when unknown.
        cycles: of one run, where a real cycle counter was read.
        clock_hz: where the device reported it.
        environment: what the device says of itself.
        named_ops: instead of `ops`, from a runtime that names its ops itself.
        peak_rss_bytes: the process's largest resident memory (VmHWM); None when unknown.
        model_ram_bytes: what loading and running the model added to the process's memory; None when unknown.
        conditions: what was seen around the timed runs; None where nothing disturbs them (an emulator).
        summary: instead of `samples`, from a program that keeps the single times to itself.
    """

    unit: Literal["instructions", "us"]
    samples: tuple[float, ...]
    first: float
    ops: tuple[float, ...] = ()
    stack_bytes: int | None = None
    arena_touched_bytes: int | None = None
    cycles: int | None = None
    clock_hz: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    named_ops: tuple[TimedOp, ...] = ()
    peak_rss_bytes: int | None = None
    model_ram_bytes: int | None = None
    conditions: Conditions | None = None
    summary: Latency | None = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Count = Annotated[int, Field(ge=0, le=MOST)]
Amount = Annotated[float, Field(ge=0.0, le=float(MOST))]
EngineName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""`aot`, `tflm`, `litert` or `tflite-runtime` where this program measured; another program's profile names its own, on one line."""


class ProfiledModel(_Document):
    name: str
    sha256: str | None
    macs: Count | None
    parameters: Count | None


class Latency(_Document):
    """One inference. Percentiles are nearest-rank over `runs` runs; `first` is the first run, apart from them.

    `p50`, `p90` and `p99` are null where a program that we started tells only others, or none; `mean` then stands in.
    """

    unit: Literal["instructions", "us"]
    min: Amount
    p50: Amount | None
    p90: Amount | None
    p99: Amount | None
    first: Amount
    runs: Annotated[int, Field(ge=1)]
    mean: Amount | None = None


class Memory(_Document):
    """Bytes; see `edgecompress.artifact.MemorySizes`. `flash_bytes` is the sum of code, model and harness.

    `arena_peak_bytes` is where the highest buffer of the plan ends, `arena_bound_bytes` what no plan of the same steps can be below;
    `stack_bytes` is what an inference was seen to take of the stack, `stack_bound_bytes` what none can exceed.
    """

    code_bytes: Count | None = None
    model_bytes: Count | None = None
    harness_bytes: Count | None = None
    flash_bytes: Count | None = None
    arena_bytes: Count | None = None
    static_ram_bytes: Count | None = None
    stack_bytes: Count | None = None
    peak_rss_bytes: Count | None = None
    model_ram_bytes: Count | None = None
    arena_peak_bytes: Count | None = None
    arena_bound_bytes: Count | None = None
    stack_bound_bytes: Count | None = None


class ProfiledOp(_Document):
    """One step; `latency` is in the profile's unit; `fused` names the kinds of further ops that the step computes."""

    name: str
    kind: str
    macs: Count | None
    latency: Amount | None
    fused: tuple[str, ...] = ()


class Parity(_Document):
    """Outputs on this device against `reference`, over `inputs` inputs.

    Attributes:
        tolerance: by how many counts an element may differ: 0 where the device rounds as the reference does.
        outputs_sha256: of all outputs, one after another: equal for two runtimes that gave the same bytes.
    """

    reference: str
    inputs: Count
    mismatched_bytes: Count
    largest_difference: Count
    tolerance: Count = 0
    outputs_sha256: str | None = None


class Accuracy(_Document):
    """`value` is a fraction, the more the better, of `n` samples of `set`."""

    value: Annotated[float, Field(ge=0.0, le=1.0)]
    metric: str
    set: str
    n: Annotated[int, Field(ge=1)]


class Limits(_Document):
    """What the target has."""

    flash_bytes: Count | None = None
    ram_bytes: Count | None = None


class EnergyWindow(_Document):
    """How `energy_uj` was measured.

    Attributes:
        instrument: what took it, as it names itself.
        inferences: of the window, whose energy is that of all of them; `energy_uj` is of one.
        window_s: from the end of the energy pin's first pulse to the start of its second.
        sampling_hz: of the instrument.
        lost_samples: of the window, which the instrument did not deliver; they count at the mean power.
    """

    instrument: str
    inferences: Annotated[int, Field(ge=1)]
    window_s: Annotated[float, Field(gt=0.0)]
    sampling_hz: Annotated[float, Field(gt=0.0)]
    lost_samples: Count = 0


class PlanEntry(_Document):
    tensor: str
    offset: Count
    bytes: Count
    first_op: Count
    last_op: Count


class Profile(_Document):
    """The document. Fields after `parity` are optional and null when unknown."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    target: str
    model: ProfiledModel
    engine: EngineName | None
    toolchain: str | None
    latency: Latency
    memory: Memory
    ops: tuple[ProfiledOp, ...] = ()
    parity: Parity | None = None
    accuracy: Accuracy | None = None
    clock_hz: Annotated[int, Field(gt=0)] | None = None
    cycles: Count | None = None
    energy_uj: Amount | None = None
    energy: EnergyWindow | None = None
    measured_at: str | None = None
    commands: tuple[str, ...] | None = None
    environment: dict[str, str] | None = None
    limits: Limits | None = None
    plan: tuple[PlanEntry, ...] | None = None
    tags: tuple[str, ...] | None = None
    conditions: Conditions | None = None
    validity: Validity | None = None


def nearest_rank(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest sample with at least `percent` % of all samples at or below it.

    Raises:
        ValueError: no samples, or percent outside (0, 100].
    """
    if not samples or not 0 < percent <= 100:
        raise ValueError(f"percentile {percent} of {len(samples)} samples is not defined")
    return sorted(samples)[math.ceil(percent * len(samples) / 100) - 1]


def summarize(measurement: Measurement) -> Latency:
    """Percentiles of the timed runs; where only a summary is known, that summary."""
    if measurement.summary is not None:
        return measurement.summary
    samples = measurement.samples
    return Latency(
        unit=measurement.unit,
        min=min(samples),
        p50=nearest_rank(samples, 50),
        p90=nearest_rank(samples, 90),
        p99=nearest_rank(samples, 99),
        first=measurement.first,
        runs=len(samples),
    )


def profile_json_schema() -> dict[str, Any]:
    """The JSON Schema of a profile, draft 2020-12."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Profile.model_json_schema(by_alias=True)}


def profile_json_schema_text() -> str:
    """What docs/profile.schema.json holds; `make schema` writes it."""
    return json.dumps(profile_json_schema(), indent=1) + "\n"


def profile_text(profile: Profile) -> str:
    """The document as JSON, with a line end."""
    return json.dumps(profile.model_dump(mode="json", by_alias=True), indent=1) + "\n"


def write_profile(profile: Profile, path: Path) -> None:
    """Write the document beside `path`, then rename it into place.

    Raises:
        OutputError: the folder is missing or read-only, or the disk is full.
    """
    write_text(path, profile_text(profile))


def read_profile(path: Path) -> Profile:
    """Read one profile.

    Raises:
        ModelError: the file is missing, no regular file, too large, not JSON, of a newer schema, or breaks the schema; the message names
            the field.
    """
    return parse_profile(read_profile_text(path), str(path))


def read_profile_text(path: Path) -> str:
    """The text of a profile's file, not checked yet.

    Raises:
        ModelError: the file is missing, no regular file, larger than `LARGEST_PROFILE_BYTES`, or not UTF-8.
    """
    try:
        # Opening a pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path}: is no regular file, and so no profile", hint=_WRITTEN_BY)
        with path.open("rb") as file:
            data = file.read(LARGEST_PROFILE_BYTES + 1)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read: {e.strerror}", hint=_WRITTEN_BY) from e
    except ValueError as e:  # a NUL in the path
        raise ModelError(f"{path}: cannot be read: {e}", hint=_WRITTEN_BY) from e
    if len(data) > LARGEST_PROFILE_BYTES:
        raise ModelError(f"{path}: is larger than {LARGEST_PROFILE_BYTES >> 20} MiB, and so no profile", hint=_WRITTEN_BY)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise ModelError(f"{path}: is not JSON: {e}", hint=_WRITTEN_BY) from e


def parse_profile(text: str, source: str) -> Profile:
    """The profile that a document holds.

    Args:
        source: where it came from, for messages.

    Raises:
        ModelError: it is not JSON, names a field twice, is of a newer schema, or breaks the schema; the message names the field.
    """
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except _DoubleKeyError as e:
        raise ModelError(f"{source}: {e}", hint=_WRITTEN_BY) from e
    except (ValueError, RecursionError) as e:  # not JSON, or an int of thousands of digits
        raise ModelError(f"{source}: is not JSON: {e}", hint=_WRITTEN_BY) from e
    if not isinstance(document, dict):
        raise ModelError(f"{source}: expected a profile; the document is no JSON object", hint=_WRITTEN_BY)
    _check_version(document, source)
    try:
        return Profile.model_validate(document)
    except ValidationError as e:
        raise _broken_schema(e, source) from e


def _check_version(document: dict[str, Any], source: str) -> None:
    """Whether this program knows the document's schema. One that names none is of the first."""
    version = document.get("schema", 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ModelError(f"{source}: schema should be a whole number from 1; {_clipped(repr(version))} came", hint=_WRITTEN_BY)
    if version > SCHEMA_VERSION:
        raise ModelError(
            f"{source}: is a profile of schema {version}; this version reads up to {SCHEMA_VERSION}",
            hint=f"upgrade edgecompress to a version that reads schema {version}",
        )


def _broken_schema(error: ValidationError, source: str) -> ModelError:
    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return ModelError(f"{source}: {_clipped(first_problem(error))}", hint=_WRITTEN_BY)
    field = _clipped(".".join(str(part) for part in first["loc"]))
    return ModelError(
        f"{source}: {field}: this version knows no such field of schema {SCHEMA_VERSION}",
        hint="upgrade edgecompress if a later one wrote it",
    )


def _clipped(text: str) -> str:
    """What a damaged file says, as far as a sentence has room for it."""
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


class _DoubleKeyError(ValueError):
    """A JSON object names a field twice, so that readers disagree on what it says."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _DoubleKeyError(f"{_clipped(repr(name))} stands twice in one object")
            seen.add(name)
    return document
