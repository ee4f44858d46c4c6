"""Profiles side by side: ratios only where they mean something, empty cells where nothing is known, and nothing cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edgecompress.errors import UserError
from edgecompress.profile import Accuracy, Latency, Memory, Parity, Profile, ProfiledModel
from edgecompress.report.compare import Comparison, Row, compare, format_ratio, show
from edgecompress.report.variants import VariantFacts, compare_variants


def profile(*, p50: float = 1000.0, unit: str = "instructions", **changes) -> Profile:
    """A profile with one latency."""
    facts = {
        "target": "cortex-m4",
        "model": ProfiledModel(name="toy", sha256=None, macs=640, parameters=None),
        "engine": "aot",
        "toolchain": "zig",
        "latency": Latency(unit=unit, min=p50, p50=p50, p90=p50, p99=p50, first=p50, runs=3),
        "memory": Memory(),
    }
    return Profile(**{**facts, **changes})


def row(comparison: Comparison, metric: str) -> Row:
    """The row of one metric."""
    return next(row for row in comparison.rows if row.metric == metric)


def shown(comparison: Comparison, width: int) -> str:
    """What a console of `width` columns shows."""
    stream = io.StringIO()
    show(comparison, Console(file=stream, width=width, markup=False, highlight=False))
    return stream.getvalue()


def test_ratios_are_against_the_first():
    """Half the instructions is 0.50x; the first column carries no ratio."""
    latency = row(compare([("a", profile(p50=1000)), ("b", profile(p50=500)), ("c", profile(p50=2500))]), "latency p50")
    assert [cell.ratio for cell in latency.cells] == [None, 0.5, 2.5]
    assert latency.cells[1].shown == "500 instructions  (0.50x)"


def test_instructions_are_never_divided_by_microseconds():
    """Different units stand side by side without a ratio."""
    latency = row(compare([("core", profile(p50=1000)), ("host", profile(p50=500, unit="us"))]), "latency p50")
    assert [cell.text for cell in latency.cells] == ["1,000 instructions", "500 us"]
    assert latency.cells[1].ratio is None


def test_the_unknown_is_empty_and_a_zero_is_a_zero():
    """A missing number gives an empty cell and no ratio; a measured zero is shown and divides nothing."""
    comparison = compare(
        [
            ("a", profile(memory=Memory(arena_bytes=100, stack_bytes=0))),
            ("b", profile(memory=Memory(arena_bytes=None, stack_bytes=8))),
            ("c", profile(memory=Memory(arena_bytes=0, stack_bytes=None))),
        ]
    )
    assert [cell.shown for cell in row(comparison, "arena").cells] == ["100 B", "", "0 B  (0.00x)"]
    assert [cell.shown for cell in row(comparison, "stack").cells] == ["0 B", "8 B", ""]


def test_an_untold_percentile_is_an_empty_cell():
    """A latency without percentiles shows its mean, and compares by nothing else."""
    told = Latency(unit="us", min=40, p50=None, p90=None, p99=None, first=60, runs=9, mean=50)
    comparison = compare([("samples", profile(unit="us", p50=45)), ("told", profile(latency=told))])
    assert [cell.shown for cell in row(comparison, "latency p50").cells] == ["45.0 us", ""]
    assert [cell.shown for cell in row(comparison, "  mean").cells] == ["", "50.0 us"]


def test_no_ratio_refers_to_another_than_the_first():
    """When the first profile lacks a fact, the others are not compared with each other."""
    comparison = compare([("a", profile()), ("b", profile(memory=Memory(arena_bytes=10))), ("c", profile(memory=Memory(arena_bytes=20)))])
    assert [cell.ratio for cell in row(comparison, "arena").cells] == [None, None, None]


def test_a_fact_that_nobody_knows_has_no_row():
    """Empty rows are left out."""
    assert "cycles" not in [row.metric for row in compare([("a", profile()), ("b", profile())]).rows]


def test_accuracy_and_parity_say_what_they_refer_to():
    """Accuracy names its set and size; parity its reference, and a difference how large it is."""
    accuracy = Accuracy(value=0.9718, metric="top-1", set="digits", n=497)
    same = Parity(reference="TFLM host", inputs=3, mismatched_bytes=0, largest_difference=0)
    other = Parity(reference="TFLM host", inputs=3, mismatched_bytes=1234, largest_difference=2)
    comparison = compare([("a", profile(accuracy=accuracy, parity=same)), ("b", profile(parity=other))])
    assert [cell.shown for cell in row(comparison, "accuracy").cells] == ["0.9718 top-1 (digits, n = 497)", ""]
    assert [cell.shown for cell in row(comparison, "parity").cells] == ["same bytes, 3 inputs", "1,234 differ, by <= 2, 3 inputs"]
    assert [cell.shown for cell in row(comparison, "  against").cells] == ["TFLM host", "TFLM host"]


def test_without_a_profile_there_is_nothing_to_compare():
    """An empty list is the user's error."""
    with pytest.raises(UserError, match="at least one"):
        compare([])


@pytest.mark.parametrize("width", [200, 100, 80, 60])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_no_number_is_cut_at_any_width(width, count):
    """Columns that do not fit go into further tables, each with the first column; no line is longer than the console."""
    profiles = [(f"column{i}", profile(p50=123_456_789.0 * (i + 1), memory=Memory(flash_bytes=1_234_567 + i))) for i in range(count)]
    text = shown(compare(profiles), width)
    assert max(len(line) for line in text.splitlines()) <= width
    for index in range(count):
        assert f"column{index}" in text
        assert f"{1_234_567 + index:,} B" in text
    assert "…" not in text
    assert f"{123.456789 * count:.2f} M instructions" in text


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.0, "1.00x"), (0.453, "0.45x"), (0.0042, "0.0042x"), (12.345, "12.3x"), (1234.5, "1,234.5x"), (0.0, "0.00x")]
)
def test_ratios_keep_their_digits(ratio, text):
    """A small ratio is not rounded to nothing."""
    assert format_ratio(ratio) == text


def test_forms_of_a_model_compare_from_the_first_number():
    """Float has no cell on a core, so int8 is what pruned int8 is compared with there; sizes are compared with float."""
    comparison = compare_variants(
        [
            VariantFacts("float", 0.98, 120_000, 110_000, {}),
            VariantFacts("int8", 0.975, 40_000, 30_000, {"cortex-m4": profile(p50=2000), "local": profile(p50=50, unit="us")}),
            VariantFacts("pruned", 0.97, 40_000, 12_000, {"cortex-m4": profile(p50=1000), "local": profile(p50=60, unit="us")}),
        ]
    )
    assert [cell.shown for cell in row(comparison, "cortex-m4 p50").cells] == ["", "2,000 instructions", "1,000 instructions  (0.50x)"]
    assert [cell.shown for cell in row(comparison, "local p50").cells] == ["", "50.0 us", "60.0 us  (1.20x)"]
    assert [cell.shown for cell in row(comparison, ".tflite, gzip").cells] == ["110,000 B", "30,000 B  (0.27x)", "12,000 B  (0.11x)"]
    assert [cell.shown for cell in row(comparison, "accuracy").cells] == ["98.00%", "97.50%", "97.00%"]


def test_an_arena_s_peak_stands_beside_its_bound():
    """Peak, bound and gap are rows; a profile without them has empty cells."""
    known = Memory(arena_bytes=112, arena_peak_bytes=105, arena_bound_bytes=100)
    comparison = compare([("a", profile(memory=known)), ("b", profile())])
    cells = [[cell.text for cell in row(comparison, metric).cells] for metric in ("  peak", "  bound", "  gap")]
    assert cells == [["105 B", ""], ["100 B", ""], ["5.0 %", ""]]
