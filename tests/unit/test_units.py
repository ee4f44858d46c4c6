"""Numbers as people read them."""

from __future__ import annotations

import pytest

from edgecompress.units import format_bytes, format_count, format_gap, format_hertz


@pytest.mark.parametrize(("count", "text"), [(None, ""), (0, "0 B"), (1, "1 B"), (36_500, "36,500 B"), (4_194_304, "4,194,304 B")])
def test_bytes_are_exact(count, text):
    """Every byte is shown, unknown is empty, and a true zero stays a zero."""
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""),
        (0, "0"),
        (640, "640"),
        (9_999, "9,999"),
        (10_000, "10.0 k"),
        (999_499, "999.5 k"),
        (29_863_178, "29.86 M"),
        (-2e6, "-2.00 M"),
    ],
)
def test_counts_are_short(count, text):
    """Three or four digits and a letter from ten thousand up; unknown is empty."""
    assert format_count(count) == text


@pytest.mark.parametrize(
    ("hertz", "text"), [(None, ""), (32_768, "32.768 kHz"), (120_000_000, "120 MHz"), (1_500_000_000, "1.5 GHz"), (50, "50 Hz")]
)
def test_hertz_take_the_largest_unit(hertz, text):
    """The unit is the largest that leaves at least one; unknown is empty."""
    assert format_hertz(hertz) == text


def test_gaps_are_percent_of_the_bound():
    """A peak at its bound has no gap; a bound of nothing divides nothing."""
    assert [format_gap(peak, bound) for peak, bound in ((105, 100), (64, 64), (8, 0), (0, 0))] == ["5.0 %", "none", "8 B", "none"]
