"""Profiles side by side: ratios only where they mean something, empty cells where nothing is known, and nothing cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edgecompress.errors import UserError
from edgecompress.profile import Accuracy, Latency, Memory, Parity, Profile, ProfiledModel
from edgecompress.report.compare import Better, Comparison, Row, compare, format_ratio, show
from edgecompress.report.compare.cells import Cell, with_best
from edgecompress.report.compare.documents import csv_text, json_text, markdown_text
from edgecompress.report.html import render_html
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


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-11-25T13:05:45+00:00", "2026-11-25 13:05 UTC"),
        ("2026-11-25T01:05:45+02:00", "2026-11-24 23:05 UTC"),
        ("2026-11-25T13:05:45", "2026-11-25 13:05"),
        ("last\x1bweek", "last\\x1bweek"),
        ("0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00"),
    ],
)
def test_the_date_of_a_measurement_is_a_row(at, text):
    """In UTC where the zone is known; a text that is no date is shown as it is, and a profile without one has an empty cell."""
    compared = compare([("old", profile()), ("new", profile(measured_at=at))])
    assert [cell.text for cell in row(compared, "measured").cells] == ["", text]
    assert "measured" not in [each.metric for each in compare([("old", profile())]).rows]


def test_dates_are_in_every_form_of_the_table():
    """On a terminal, narrow and with many profiles as well, and as Markdown, CSV, JSON and HTML."""
    dated = [(f"p{i}", profile(measured_at=f"2026-11-{10 + i}T13:05:45+00:00")) for i in range(9)]
    for profiles in (dated[:2], dated):
        compared = compare(profiles)
        forms = [shown(compared, 200), shown(compared, 60), markdown_text(compared), json_text(compared), render_html(profiles)]
        assert all("2026-11-11 13:05 UTC" in form for form in forms)
        assert "2026-11-11T13:05:45+00:00" in csv_text(profiles)


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
    # Not against one and the same column, so no line says so.
    assert comparison.baseline is None and "ratios are" not in shown(comparison, 200)


def test_an_arena_s_peak_stands_beside_its_bound():
    """Peak, bound and gap are rows; a profile without them has empty cells."""
    known = Memory(arena_bytes=112, arena_peak_bytes=105, arena_bound_bytes=100)
    comparison = compare([("a", profile(memory=known)), ("b", profile())])
    cells = [[cell.text for cell in row(comparison, metric).cells] for metric in ("  peak", "  bound", "  gap")]
    assert cells == [["105 B", ""], ["100 B", ""], ["5.0 %", ""]]


def accurate(value: float, *, metric: str = "top-1", data: str = "digits", n: int = 100) -> Profile:
    """A profile with an accuracy."""
    return profile(accuracy=Accuracy(value=value, metric=metric, set=data, n=n))


def best(row: Row) -> list[bool]:
    """Which cells are marked."""
    return [cell.best for cell in row.cells]


def test_ratios_are_against_the_baseline():
    """Any column can be the one that ratios refer to; it has none itself."""
    profiles = [("a", profile(p50=1000)), ("b", profile(p50=500)), ("c", profile(p50=2000))]
    comparison = compare(profiles, baseline=1)
    assert [cell.ratio for cell in row(comparison, "latency p50").cells] == [2.0, None, 4.0]
    assert comparison.baseline == 1 and "ratios are against b" in shown(comparison, 200)


@pytest.mark.parametrize("baseline", [-1, 2])
def test_a_baseline_beyond_the_profiles_is_an_error(baseline):
    """There is no such column."""
    with pytest.raises(UserError, match="the baseline is profile"):
        compare([("a", profile()), ("b", profile())], baseline=baseline)


def test_every_table_of_several_holds_the_baseline():
    """Where columns do not fit beside each other, what ratios refer to stands in each table."""
    comparison = compare([(f"column{i}", profile(p50=1000 + i)) for i in range(5)], baseline=2)
    tables = shown(comparison, 100).split("\n\n")[:-1]
    assert len(tables) > 1 and all("column2" in table for table in tables)


def test_the_best_of_a_row_is_marked():
    """The least latency and the least memory, in text as well as in the cells."""
    comparison = compare([("a", profile(p50=1000, memory=Memory(flash_bytes=7))), ("b", profile(p50=900, memory=Memory(flash_bytes=8)))])
    assert best(row(comparison, "latency p50")) == [False, True] and best(row(comparison, "flash")) == [True, False]
    assert "* 900 instructions  (0.90x)" in shown(comparison, 200)
    assert "best of its fact" in shown(comparison, 200)


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ([2, 1, 1], [False, True, True]),
        ([1, 1, 1], [False, False, False]),
        ([1], [False]),
        ([None, 1], [False, False]),
        ([0, 1, None], [True, False, False]),
    ],
)
def test_equals_are_all_marked_unless_all_are_equal(values, marks):
    """Two that share the first place both have it; where nobody is worse, nobody is better; the unknown is no zero."""
    cells = [Cell("" if value is None else str(value), value, "bytes") for value in values]
    assert [cell.best for cell in with_best(cells, Better.LESS)] == marks


def test_units_are_ranked_apart():
    """500 us is not better than 1,000 instructions; each unit that two share has a best of its own."""
    mixed = [("a", profile(p50=1000)), ("b", profile(p50=500, unit="us"))]
    assert best(row(compare(mixed), "latency p50")) == [False, False]
    comparison = compare([*mixed, ("c", profile(p50=400, unit="us")), ("d", profile(p50=2000))])
    assert best(row(comparison, "latency p50")) == [True, False, True, False]
    assert [cell.ratio for cell in row(comparison, "latency p50").cells] == [None, None, None, 2.0]


def test_of_accuracies_the_higher_is_better():
    """More is better, and differences are points, not ratios."""
    cells = row(compare([("a", accurate(0.90)), ("b", accurate(0.92))]), "accuracy").cells
    assert [cell.best for cell in cells] == [False, True]
    assert cells[1].ratio is None and cells[1].points == pytest.approx(2.0)
    assert cells[1].shown == "0.9200 top-1 (digits, n = 100)  (+2.00 points)"


@pytest.mark.parametrize("other", [accurate(0.99, metric="AUC"), accurate(0.99, data="speech")])
def test_accuracies_of_different_sets_or_metrics_are_not_ranked(other):
    """0.99 on easier data is not better."""
    cells = row(compare([("a", accurate(0.90)), ("b", other)]), "accuracy").cells
    assert [(cell.best, cell.points, cell.ratio) for cell in cells] == [(False, None, None)] * 2


def test_what_is_neither_good_nor_bad_is_not_marked():
    """MACs, parameters and the harness say what was measured, not how well."""
    small = profile(model=ProfiledModel(name="s", sha256=None, macs=1, parameters=1), memory=Memory(harness_bytes=1))
    large = profile(model=ProfiledModel(name="l", sha256=None, macs=2, parameters=2), memory=Memory(harness_bytes=2))
    comparison = compare([("a", small), ("b", large)])
    assert not any(cell.best for metric in ("MACs", "parameters", "  harness") for cell in row(comparison, metric).cells)


def test_words_of_a_profile_do_not_drive_the_terminal():
    """Escape sequences, line ends and marks that turn the writing are shown as what they are; a name of a megabyte is cut."""
    nasty = profile(target="m4\x1b[2J\nroot#", toolchain="\u202ereversed", tags=("x" * 1_000_000,))
    text = shown(compare([("name\x1b]0;title\x07\n", nasty), ("b", nasty)]), 120)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "m4\\x1b[2J\\nroot#" in text and len(text) < 20_000


@pytest.mark.parametrize("width", [200, 80, 40, 20])
def test_many_profiles_are_a_line_each(width):
    """More than eight profiles stand below each other, whatever the width; what is left out for want of room is named."""
    profiles = [(f"p{i:03}", profile(p50=1e6 + i, memory=Memory(flash_bytes=30_000 + i, arena_bytes=1 + i))) for i in range(60)]
    text = shown(compare(profiles), width)
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= width
    assert sum(line.startswith("p0") for line in lines) == 60
    assert "target: cortex-m4" in text and "\u2026" not in text
    if width == 200:
        assert "p059" in text and "30,059  (1.00x)" in text and "no room" not in text
    if width == 40:
        assert "no room for flash" in " ".join(lines)


def test_a_line_keeps_different_units_apart():
    """Where units differ they stand in the cells; where they are one, in the heading."""
    counted = [(f"m{i}", profile(p50=1000 + i)) for i in range(9)]
    assert "1,003  (1.00x)" in shown(compare(counted), 200)
    assert "500 us" in shown(compare([*counted, ("host", profile(p50=500, unit="us"))]), 200)


def test_a_terminal_of_forty_columns_shows_every_number():
    """Too narrow for two columns: a heading for each fact, a line for each profile."""
    comparison = compare([("before", profile(p50=123_456_789.0)), ("after", profile(p50=23_456_789.0))])
    text = shown(comparison, 40)
    assert max(len(line) for line in text.splitlines()) <= 40
    flowing = " ".join(text.split())
    assert "before 123.46 M instructions" in flowing and "after * 23.46 M instructions (0.19x)" in flowing
