"""Bytes, hertz and counts as people read them. 1 KB is 1,000 bytes, as in datasheets' flash prices and this project's tables."""


def format_bytes(count: int | None) -> str:
    """`36_500 -> '36,500 B'`; an unknown (None) is an empty string, never a zero."""
    return "" if count is None else f"{count:,} B"


def format_count(count: float | None) -> str:
    """A short count for tables: `29_863_178 -> '29.86 M'`, `640 -> '640'`; None is an empty string."""
    if count is None:
        return ""
    if abs(count) >= 1e6:
        return f"{count / 1e6:.2f} M"
    if abs(count) >= 1e4:
        return f"{count / 1e3:.1f} k"
    return f"{count:,.0f}"


def format_hertz(hertz: int | None) -> str:
    """`120_000_000 -> '120 MHz'`; None is an empty string."""
    if hertz is None:
        return ""
    for size, unit in ((1_000_000_000, "GHz"), (1_000_000, "MHz"), (1_000, "kHz")):
        if hertz >= size:
            return f"{hertz / size:g} {unit}"
    return f"{hertz} Hz"


def format_gap(peak: int, bound: int) -> str:
    """How far a peak is above its lower bound: `52, 50 -> '4.0 %'`; equal ones are `none`."""
    if peak <= bound:
        return "none"
    return f"{100 * (peak - bound) / bound:.1f} %" if bound else f"{peak:,} B"
