"""Profiles layer by layer: which layers are the same work, what changed most, and what cannot be compared."""

from __future__ import annotations

import csv
import io
import json
from difflib import SequenceMatcher
from random import Random

import pytest
from rich.console import Console
from test_compare import profile

from edgecompress.errors import UserError
from edgecompress.profile import Profile, ProfiledOp
from edgecompress.report.compare import blocks
from edgecompress.report.compare.alignment import MOST_OPS, align, pair
from edgecompress.report.compare.blocks import matching_blocks
from edgecompress.report.compare.op_pictures import op_csv, op_json, op_markdown, show_ops
from edgecompress.report.compare.ops import OpComparison, OpRow, compare_ops


def op(kind: str, name: str = "", latency: float | None = 10, macs: int | None = 0, fused: tuple[str, ...] = ()) -> ProfiledOp:
    """One step."""
    return ProfiledOp(name=name or kind.lower(), kind=kind, macs=macs, latency=latency, fused=fused)


def net(*ops: ProfiledOp, unit: str = "instructions") -> Profile:
    """A profile of these steps."""
    return profile(ops=ops, unit=unit)


def small_net(scale: float = 1) -> Profile:
    """Three layers."""
    return net(op("CONV_2D", "c1", 100 * scale, 900), op("ADD", "a1", 20), op("SOFTMAX", "out", 5))


def layer(comparison: OpComparison, name: str) -> OpRow:
    """The row of a layer."""
    return next(row for row in comparison.rows if row.name == name)


def shown(comparison: OpComparison, width: int) -> str:
    """What a console of `width` columns shows."""
    stream = io.StringIO()
    show_ops(comparison, Console(file=stream, width=width, markup=False, highlight=False))
    return stream.getvalue()


def test_the_largest_change_stands_first():
    """Sorted by how much a layer gained or lost, whichever; with share, ratio and the sum."""
    after = net(op("CONV_2D", "c1", 90, 900), op("ADD", "a1", 60), op("SOFTMAX", "out", 5))
    comparison = compare_ops([("before", small_net()), ("after", after)])
    assert [(row.name, row.change) for row in comparison.rows] == [("a1", 40), ("c1", -10), ("out", 0)]
    cell = layer(comparison, "a1").cells[1]
    assert (cell.latency, cell.ratio, cell.share) == (60, 3.0, pytest.approx(60 / 155))
    assert (comparison.totals.change, comparison.totals.cells[1].ratio) == (30, pytest.approx(155 / 125))


def test_one_profile_shows_its_slowest_layers():
    """Nothing to compare with: the slowest first, and no ratio."""
    comparison = compare_ops([("only", small_net())])
    assert [row.name for row in comparison.rows] == ["c1", "a1", "out"]
    assert all(cell.ratio is None for row in comparison.rows for cell in row.cells)
    assert "the slowest layer first" in shown(comparison, 100)


def test_ratios_are_against_the_baseline():
    """Any profile can be the one that changes refer to."""
    row = layer(compare_ops([("a", small_net()), ("b", small_net(2))], baseline=1), "c1")
    assert [cell.ratio for cell in row.cells] == [0.5, None] and row.change == -100


def test_a_layer_of_one_model_only_is_shown_so():
    """A removed layer loses all that it took, an added one gains it; neither has a ratio."""
    cut = net(op("CONV_2D", "c1", 100, 900), op("SOFTMAX", "out", 5), op("RESHAPE", "r", 3))
    comparison = compare_ops([("a", small_net()), ("b", cut)])
    removed, added = layer(comparison, "a1"), layer(comparison, "r")
    assert (removed.change, removed.cells[1].is_absent, removed.cells[1].latency, removed.cells[1].ratio) == (-20, True, None, None)
    assert (added.change, added.cells[0].is_absent, added.cells[1].ratio) == (3, True, None)
    assert "no such layer" in shown(comparison, 120)


def test_renamed_and_shrunk_layers_pair_between_their_neighbours():
    """Layers pair by name; between those, by MACs; between those, by kind: a pruned layer has another name and fewer MACs."""
    first = [op("CONV_2D", "a", 1, 100), op("CONV_2D", "b", 1, 200), op("ADD", "c"), op("CONV_2D", "d", 1, 400)]
    second = [op("CONV_2D", "a", 1, 100), op("CONV_2D", "b_pruned", 1, 150), op("ADD", "c"), op("CONV_2D", "other", 1, 400)]
    pairing = pair(first, second)
    assert pairing.partners == {0: 0, 1: 1, 2: 2, 3: 3} and pairing.anchored == 3


def test_kinds_are_written_as_one_likes():
    """Another engine may call it conv_2d."""
    assert pair([op("CONV_2D", "x")], [op("conv_2d", "y")]).partners == {0: 0}


def test_what_one_engine_fuses_is_added_up_in_the_other():
    """A step that computes CONV_2D and ADD is compared with both of them together, whichever of the two is the baseline."""
    fusing = net(op("CONV_2D", "sum", 90, 900, fused=("ADD",)), op("SOFTMAX", "out", 5))
    plain = small_net()
    for baseline in (0, 1):
        comparison = compare_ops([("fusing", fusing), ("plain", plain)], baseline=baseline)
        row = next(row for row in comparison.rows if row.kind == "CONV_2D + ADD")
        assert [cell.latency for cell in row.cells] == [90, 120] and len(comparison.rows) == 2


def test_what_was_not_timed_is_no_zero():
    """A layer without a time has no ratio and no change, and its profile's other layers still have theirs."""
    partly = net(op("CONV_2D", "c1", None, 900), op("ADD", "a1", 20), op("SOFTMAX", "out", 5))
    comparison = compare_ops([("a", small_net()), ("b", partly)])
    row = layer(comparison, "c1")
    assert (row.change, row.cells[1].latency, row.cells[1].ratio, row.cells[1].is_absent) == (None, None, None, False)
    assert comparison.rows[-1] is row and layer(comparison, "a1").change == 0
    assert "not timed" in shown(comparison, 120)


def test_models_without_a_common_layer_are_one_sentence():
    """Another model is named as such, with what does compare."""
    other = net(*(op("FULLY_CONNECTED", f"f{i}", 5, 7000 + i) for i in range(9)), op("SOFTMAX", "out"))
    with pytest.raises(UserError, match="b and a have no layers in common") as caught:
        compare_ops([("a", small_net()), ("b", other)])
    assert "forms that were made from it" in caught.value.hint


def test_units_do_not_mix():
    """Instructions of a core and microseconds of a host are one sentence."""
    with pytest.raises(UserError, match=r"host counts us, core instructions: these do not compare per op"):
        compare_ops([("core", small_net()), ("host", net(op("CONV_2D"), unit="us"))])


def test_a_profile_without_times_per_op_is_named():
    """Whether it has no ops or untimed ones."""
    for bare in (profile(), net(op("CONV_2D", latency=None))):
        with pytest.raises(UserError, match="bare holds no times per op"):
            compare_ops([("a", small_net()), ("bare", bare)])


def test_an_empty_list_is_the_same_error_as_without_ops():
    """Nothing to compare."""
    with pytest.raises(UserError, match="at least one profile"):
        compare_ops([])


def test_a_profile_with_too_many_ops_is_refused():
    """The alignment's work is bounded."""
    with pytest.raises(UserError, match="1,001 ops"):
        compare_ops([("a", net(*[op("ADD")] * (MOST_OPS + 1)))])


def test_blocks_are_those_of_difflib():
    """On random sequences of few and of many kinds, with and without a common beginning, every pair is the one that difflib finds."""
    for seed in range(300):
        random = Random(seed)
        kinds = random.choice([1, 2, 3, 8, 40])
        first, second = ([random.randrange(kinds) for _ in range(random.randrange(30))] for _ in range(2))
        second = first[: random.choice([0, 0, 9])] + second
        expected = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
        pairs = [(block.a + step, block.b + step) for block in expected for step in range(block.size)]
        found = matching_blocks(first, second)
        assert [(block.left + step, block.right + step) for block in found for step in range(block.size)] == pairs
        assert found[-1] == (len(first), len(second), 0)


@pytest.mark.parametrize(
    ("first", "second"),
    [("ABC", "CBA"), ("AB", "BA"), ("A", "A"), ("AAB", "ABB"), ("ABCDEFGH", "HGFEDCBA")],
    ids=["reversed", "shifted", "equal", "runs", "eight"],
)
def test_the_work_of_an_alignment_is_bounded(monkeypatch, first, second):
    """The largest models, no name in common, kinds that alternate: two maxima an op at most, over the cube of the ops in two bytes each."""
    parts: list[int] = []
    longest = blocks.Finder.longest

    def counted(self, top: int, bottom: int, left: int, right: int) -> blocks.Block:
        parts.append((bottom - top) * (right - left))
        return longest(self, top, bottom, left, right)

    monkeypatch.setattr(blocks.Finder, "longest", counted)
    models = [[op(kinds[at % len(kinds)], f"{side}{at}") for at in range(MOST_OPS)] for side, kinds in (("a", first), ("b", second))]
    assert pair(*models).partners
    # Names and MACs have nothing in common: one maximum each, then those of the kinds.
    assert len(parts) <= 2 * MOST_OPS + 3
    assert sum(parts) <= MOST_OPS**3 / 3 + 3 * MOST_OPS**2


def test_every_op_is_in_one_layer():
    """However models differ, no op is lost and none is counted twice."""
    kinds = ["CONV_2D", "ADD", "RELU", "MUL", "CONV_2D", "RELU", "ADD", "SOFTMAX"]
    base = [op(kind, f"n{i}", i + 1, i * 10) for i, kind in enumerate(kinds)]
    forms = [base[:5] + base[6:], [base[0], op("PAD", "p")] + base[1:], [op("CONV_2D", "n0", 1, 0, ("ADD", "RELU"))] + base[3:]]
    for baseline in range(4):
        models = [(str(i), ops) for i, ops in enumerate([base, *forms])]
        layers = align(models, baseline)
        for column, (_, ops) in enumerate(models):
            assert sorted(index for each in layers for index in each.ops[column]) == list(range(len(ops)))


@pytest.mark.parametrize("width", [120, 60, 40])
def test_layers_fit_the_terminal(width):
    """Side by side, or below each other where that does not fit; every number whole."""
    long = [op("DEPTHWISE_CONV_2D", f"model/block_{i}/depthwise/BiasAdd;model/block_{i}/Relu", 123_456 + i, 900 + i) for i in range(4)]
    text = shown(compare_ops([("before", net(*long)), ("after", net(*long))]), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert text.count("123.5 k") == 8 and "block_3/Relu" not in text


def test_too_many_columns_are_refused_in_tables_only():
    """Nine profiles are for a spreadsheet."""
    comparison = compare_ops([(f"p{i}", small_net()) for i in range(9)])
    for draw in (op_markdown, lambda each: shown(each, 200)):
        with pytest.raises(UserError, match="room for 8 profiles; 9 were given"):
            draw(comparison)
    assert len(op_csv(comparison).splitlines()) == 1 + 9 * 3


def test_documents_hold_the_numbers():
    """CSV has the unit in its heading and a line a layer and profile; JSON null where a layer is missing; Markdown a table."""
    cut = net(op("CONV_2D", "c1", 50, 900), op("SOFTMAX", "out", 5))
    comparison = compare_ops([("a", small_net()), ("b|x", cut)])
    lines = list(csv.DictReader(io.StringIO(op_csv(comparison))))
    assert [(line["layer"], line["profile"], line["latency_instructions"], line["ratio"]) for line in lines][:2] == [
        ("c1", "a", "100.0", ""),
        ("c1", "b|x", "50.0", "0.5"),
    ]
    assert ("a1", "b|x") not in [(line["layer"], line["profile"]) for line in lines]
    document = json.loads(op_json(comparison))
    assert (document["format"], document["version"], document["unit"]) == ("edgecompress layers", 1, "instructions")
    removed = next(each for each in document["layers"] if each["name"] == "a1")
    assert removed["cells"][1] is None and removed["change"] == -20 and removed["step"] == 1
    assert op_markdown(comparison).splitlines()[0] == r"| layer | kind | a | b\|x | change |"


def test_names_of_layers_are_no_formulas():
    """A spreadsheet shows them; numbers, signs included, stay numbers."""
    text = op_csv(compare_ops([("@a", net(op("-KIND", "=1+1", 7.5, 5)))]))
    (line,) = csv.DictReader(io.StringIO(text))
    assert [line[key] for key in ("layer", "kind", "profile", "latency_instructions")] == ["'=1+1", "'-KIND", "'@a", "7.5"]


def test_names_of_layers_do_not_drive_the_terminal():
    """Names come out of model files."""
    nasty = net(op("CONV_2D", "a\x1b[2J\nb", 1, 5))
    assert "\x1b" not in shown(compare_ops([("\x1bx", nasty), ("b", nasty)]), 120)
