"""The protobuf that benchmark_model writes to `--result_file_path`: `BenchmarkResult` of its proto/benchmark_result.proto.

    BenchmarkResult   2 latency_metrics   3 memory_metrics   4 misc_metrics
    LatencyMetrics    1 avg  2 min  3 max  4 stddev  5 median  6 p5  7 p95  8 init  9 first_inference    (float, ms)
    MemoryMetrics     1 init_footprint_kb  2 overall_footprint_kb  (int64)   3 peak_mem_mb (float)
    MiscMetrics       2 num_runs  3 num_warmup_runs  (int32)

Three messages of numbers need no protobuf library: a field is a varint `number << 3 | wire type` and its value. Unknown fields are passed
over. Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edgecompress.device.benchmark_model.told import Statistics, ToldLatency, ToldMemory, check_statistics, megabytes

MAX_FILE_BYTES = 64 << 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10
_LATENCY, _MEMORY, _MISC = 2, 3, 4

_Value = int | bytes


@dataclass(frozen=True)
class ResultFile:
    """What the file tells; None for what it does not hold."""

    latency: ToldLatency | None
    memory: ToldMemory


def parse_result_file(data: bytes) -> ResultFile:
    """Read the file.

    Raises:
        ValueError: it is none, or its numbers cannot be true; a sentence without a subject.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"it has {len(data):,} bytes; expected at most {MAX_FILE_BYTES:,}")
    parts = {number: value for number, value in _fields(data) if isinstance(value, bytes)}
    latency = dict(_fields(parts[_LATENCY])) if _LATENCY in parts else {}
    memory = dict(_fields(parts[_MEMORY])) if _MEMORY in parts else {}
    misc = dict(_fields(parts[_MISC])) if _MISC in parts else {}
    return ResultFile(_latency(latency, misc), _memory(memory))


def _latency(fields: dict[int, _Value], misc: dict[int, _Value]) -> ToldLatency | None:
    count, first = _integer(misc.get(2)), _microseconds(fields.get(9))
    if count is None or count < 1 or first is None:
        return None
    runs = Statistics(
        count,
        min=_microseconds(fields.get(2)),
        max=_microseconds(fields.get(3)),
        mean=_microseconds(fields.get(1)),
        p5=_microseconds(fields.get(6)),
        median=_microseconds(fields.get(5)),
        p95=_microseconds(fields.get(7)),
    )
    check_statistics(runs)
    return ToldLatency(runs, first, _microseconds(fields.get(8)))


def _memory(fields: dict[int, _Value]) -> ToldMemory:
    added = _integer(fields.get(2))
    return ToldMemory(megabytes(_float(fields.get(3))), added * 1024 if added is not None and 0 <= added < 1 << 40 else None)


def _fields(data: bytes) -> Iterator[tuple[int, _Value]]:
    """(number, value) of each field: an int for varints, the raw bytes for all else.

    Raises:
        ValueError: the bytes are cut, or no protobuf.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"it has a field of wire type {wire}")
        if number == 0 or size > len(data) - at:
            raise ValueError("it is cut, or no protobuf")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(_VARINT_BYTES):
        if at + index >= len(data):
            raise ValueError("it is cut, or no protobuf")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("it has a number of more than 64 bits")


def _integer(value: _Value | None) -> int | None:
    """An int32 or int64; negative numbers are written with 64 bits."""
    if not isinstance(value, int):
        return None
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


def _float(value: _Value | None) -> float | None:
    if not isinstance(value, bytes) or len(value) != 4:
        return None
    number: float = struct.unpack("<f", value)[0]
    return number if math.isfinite(number) else None


def _microseconds(value: _Value | None) -> float | None:
    """The file's ms are float32: 52 us come as 0.0520000011 ms."""
    number = _float(value)
    return None if number is None else float(f"{number * 1000:.7g}")
