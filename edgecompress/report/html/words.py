"""Numbers as the page writes them: short on axes and in charts, exact in tables."""

from __future__ import annotations

from edgecompress.report.compare import format_ratio


def short_bytes(count: float) -> str:
    """`84_148 -> '84.1 KB'`; 1 KB is 1,000 bytes, as everywhere in this project."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if abs(count) >= size:
            return f"{_three(count / size)} {unit}"
    return f"{count:,.0f} B"


def short_count(count: float) -> str:
    """`1_132_839 -> '1.13 M'`."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(count) >= size:
            return f"{_three(count / size)}{unit}"
    return _three(count)


def short_latency(latency: float, unit: str) -> str:
    """`1.13 M` instructions, `10.2 us`: the unit of a clock stands beside its number, instructions are named by the axis."""
    return f"{short_count(latency)} {unit}" if unit == "us" else short_count(latency)


def share_of(part: float, whole: float) -> str:
    """`84_148, 8_388_608 -> '1.0 %'`."""
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"


def fraction(value: float) -> str:
    """An accuracy: `0.9919 -> '99.19 %'`; what is no fraction stays a number."""
    return f"{100 * value:.2f} %" if 0 <= value <= 1 else f"{value:.4g}"


def ratio(value: float, base: float) -> str:
    """`value` against `base`, as `compare` writes it."""
    return format_ratio(value / base)


UNIT_NAMES = {"us": "microseconds", "instructions": "instructions"}
"""Units of latency in words."""


def _three(value: float) -> str:
    """Three significant digits, without zeros that say nothing: `84.1`, `5.51`, `120`, `2`."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.2e}"
