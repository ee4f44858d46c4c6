"""The page of profiles: well formed, closed to the world, true to its numbers, and bounded."""

from __future__ import annotations

import html
import json
import re
import shlex
from html.parser import HTMLParser

import pytest

from edgecompress.cli import main
from edgecompress.errors import ModelError, UserError
from edgecompress.profile import Accuracy, Latency, Limits, Memory, Parity, PlanEntry, Profile, ProfiledModel, ProfiledOp, write_profile
from edgecompress.report.compare.ops import compare_ops
from edgecompress.report.html import ops as html_ops
from edgecompress.report.html import read_history, render_html
from edgecompress.report.html.arena import peak_of
from edgecompress.report.html.arena_use import bytes_in_use, most_in_use
from edgecompress.report.html.axis import Axis
from edgecompress.report.html.bounds import MOST_BUFFERS_IN_USE, MOST_OP_CHARTS, MOST_PAIRS_OF_OPS
from edgecompress.report.html.markup import tag
from edgecompress.report.html.scatter import Point, labels_of, pareto_front
from edgecompress.report.html.subjects import Subject, number_profiles, numbers_of
from edgecompress.report.html.verdict import fit_sentence, parity_sentence

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e https://example.org"
VOID = {"meta", "link", "br", "hr", "input", "rect", "line", "circle", "path"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and whether they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def profile(
    *, name="toy", target="cortex-m4", unit="instructions", latency=1000.0, flash=3000, limit=10_000, mismatched=0, ops=2
) -> Profile:
    return Profile(
        target=target,
        model=ProfiledModel(name=name, sha256="ab", macs=1, parameters=1),
        engine="aot",
        toolchain=None,
        latency=Latency(unit=unit, min=latency, p50=latency, p90=latency, p99=latency, first=latency, runs=3),
        memory=Memory(code_bytes=flash // 3, model_bytes=flash // 3, harness_bytes=flash // 3, flash_bytes=flash, arena_bytes=64,
                      static_ram_bytes=0, stack_bytes=8, arena_bound_bytes=48),
        ops=tuple(ProfiledOp(name=f"layer_{i}", kind="CONV_2D", macs=1, latency=latency / (i + 1)) for i in range(ops)),
        parity=Parity(reference="r", inputs=1, mismatched_bytes=mismatched, largest_difference=mismatched),
        limits=Limits(flash_bytes=limit, ram_bytes=1000),
        plan=(PlanEntry(tensor="in", offset=0, bytes=16, first_op=0, last_op=0),
              PlanEntry(tensor=name, offset=16, bytes=48, first_op=1, last_op=2)),
        commands=("edgecompress measure",),
        environment={"host": name},
    )  # fmt: skip


def test_a_page_is_well_formed_and_names_its_pictures():
    """Elements nest, ids differ, links lead somewhere, and each picture has a title and a description."""
    page = Page(render_html([("a", profile()), ("b", profile(unit="us", target="local"))]))
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(link["href"][1:] in ids for link in page.named("a"))
    pictures = [picture for picture in page.named("svg") if picture.get("role") == "img"]
    assert len(pictures) >= 5
    assert all({picture["aria-labelledby"], picture["aria-describedby"]} <= set(ids) for picture in pictures)


def test_a_page_asks_for_nothing():
    """No address of another file or host is in it, and the policy allows none."""
    text = render_html([("a", profile())])
    page = Page(text)
    assert not re.search(r"https?://|@import|url\(", text)
    assert not [a for _, a in page.elements if "src" in a or "style" in a or any(name.startswith("on") for name in a)]
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_foreign_text_stays_text():
    """Names out of a profile open no element, and their control characters are written out."""
    text = render_html([(HOSTILE, profile(name=HOSTILE, target=HOSTILE))], commands=[HOSTILE])
    assert len(Page(text).named("script")) == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert tag("p", '<b a="1">') == "<p>&lt;b a=&quot;1&quot;&gt;</p>"


def test_bars_are_as_long_as_their_bytes():
    """The first segment of each profile's flash is its code, on one axis for all."""
    page = Page(render_html([("a", profile(flash=3000)), ("b", profile(flash=6000))]))
    widths = [float(rect["width"].rstrip("%")) for rect in page.named("rect") if rect.get("class") == "flash-0"]
    assert widths[1] == pytest.approx(2 * widths[0], rel=1e-3)


def test_units_never_share_an_axis():
    """Instructions and microseconds of the same ops on the same target are two charts."""
    ids = [a.get("id") for a in Page(render_html([("a", profile()), ("b", profile(unit="us"))])).named("figure")]
    assert [ident for ident in ids if ident.startswith("ops-")] == ["ops-0", "ops-1"]
    same = [a.get("id") for a in Page(render_html([("a", profile()), ("b", profile())])).named("figure")]
    assert [ident for ident in same if ident.startswith("ops-")] == ["ops-0"]


def test_layers_are_aligned_as_compare_aligns_them():
    """A renamed layer and what another engine fuses lie beside their partners, and a layer that one lacks is said to be missing."""
    plain = [("CONV_2D", "c1", 900, 100.0), ("ADD", "a1", 0, 20.0), ("CONV_2D", "c2", 800, 70.0), ("SOFTMAX", "out", 0, 5.0)]
    ops = [ProfiledOp(name=name, kind=kind, macs=macs, latency=latency) for kind, name, macs, latency in plain]
    fused = [ProfiledOp(name="renamed", kind="CONV_2D", macs=900, latency=90.0, fused=("ADD",)), *ops[2:3]]
    profiles = [("plain", profile().model_copy(update={"ops": tuple(ops)})), ("fused", profile().model_copy(update={"ops": tuple(fused)}))]
    text = render_html(profiles)
    section = text[text.index('id="ops"') : text.index('id="arena"')]
    assert re.findall("<title>([12]: [^<]*)</title>", section) == ["1: 120", "2: 90", "1: 70", "2: 70", "1: 5"]
    assert section.count("2: no such layer") == 1
    aligned = {row.label: [cell.latency for cell in row.cells] for row in compare_ops(profiles).rows}
    shown = re.findall(r'<th scope="row">(\S+ \S+)  [^<]*</th><td>([^<]*)</td><td>([^<]*)</td>', section)
    assert {label: [float(a) if a else None, float(b) if b else None] for label, a, b in shown} == aligned


def test_models_without_common_layers_have_charts_of_their_own():
    """What `compare --ops` refuses is not drawn beside each other, and what was not timed is no bar of zero."""
    other = tuple(ProfiledOp(name=f"f{i}", kind="FULLY_CONNECTED", macs=7000 + i, latency=None if i else 3.0) for i in range(9))
    text = render_html([("a", profile(ops=9)), ("b", profile().model_copy(update={"ops": other})), ("c", profile(ops=9))])
    assert [a["id"] for a in Page(text).named("figure") if a["id"].startswith("ops-")] == ["ops-0", "ops-1"]
    assert "in the order of execution; profiles 1, 3." in text
    assert "not timed" not in text and text.count("<title>2: ") == 1


def test_the_work_of_the_charts_of_layers_is_bounded(monkeypatch):
    """Many large models of one target and without common layers are held against each other so often only; who is left out is named."""
    asked: list[int] = []
    monkeypatch.setattr(html_ops, "share_layers", lambda first, second: asked.append(len(first) * len(second)) or False)
    large = tuple(ProfiledOp(name="x", kind="ADD", macs=None, latency=1.0) for _ in range(900))
    subjects = number_profiles([("x", profile().model_copy(update={"ops": large}))] * 300)
    groups = html_ops.group_by_layers(subjects)
    assert sum(asked) <= MOST_PAIRS_OF_OPS and len(groups.shown) == MOST_OP_CHARTS and len(groups.left_out) == 292
    longer = number_profiles([("x", profile().model_copy(update={"ops": large * 2}))])
    assert [subject.number for subject in html_ops.group_by_layers(longer).too_long] == [1]


def test_the_verdict_says_what_does_not_fit():
    """A model that is too large is named with the bytes that are too many; unknown is not called fitting."""
    large = number_profiles([("a", profile()), ("b", profile(flash=12_000))])
    assert fit_sentence(large) == "1 profile does not fit its target: 2. 2 takes 2,000 B more flash than there is."
    unknown = number_profiles([("a", profile().model_copy(update={"limits": None}))])
    assert "not known" in fit_sentence(unknown)
    assert "beyond the tolerance: 1" in parity_sentence(number_profiles([("a", profile(mismatched=3))]))


def test_the_margin_of_the_verdict_claims_no_more_than_is_known():
    """Red where something is known to be wrong, green where something is known to fit, neither where it is not known."""
    unknown = profile().model_copy(update={"limits": None})
    for states, shown in (
        ([unknown], "unknown"),
        ([unknown, profile()], "good"),
        ([unknown, profile(flash=12_000)], "bad"),
        ([unknown, profile(mismatched=3)], "bad"),
    ):
        page = Page(render_html([("x", each) for each in states]))
        assert next(a["class"] for a in page.named("section") if a["id"] == "verdict") == shown


def test_commands_are_shown_as_they_are_typed():
    """A line each, without anything that would have to be taken out again."""
    both = profile().model_copy(update={"commands": ("edgecompress build a", "edgecompress measure a -o 'x y'")})
    text = render_html([("a", both)], commands=["edgecompress compare a"])
    lines = re.findall("<span>(edgecompress [^<]*)</span>", text)
    assert [html.unescape(line) for line in lines] == ["edgecompress build a", "edgecompress measure a -o 'x y'", "edgecompress compare a"]


def test_numbers_of_near_points_do_not_cover_each_other():
    """Points that lie on each other share a label; of near ones the second stands below its point."""
    points = [Point(Subject(i, "", profile()), cost, 0.9) for i, cost in enumerate([0.0, 0.001, 0.05, 0.09, 0.5])]
    labels = labels_of(points, Axis(0.0, 1.0, ()), lambda value: 100 * value)
    assert [([point.subject.number for point in label.points], label.is_below) for label in labels] == [
        ([0, 1], False),
        ([2, 3], True),
        ([4], False),
    ]


def test_the_front_holds_what_nothing_beats():
    """A point that another equals or beats in both is not on the front."""
    points = [
        Point(Subject(i, "", profile()), cost, accuracy) for i, (cost, accuracy) in enumerate([(3, 0.9), (1, 0.5), (2, 0.5), (4, 0.8)])
    ]
    assert [point.subject.number for point in pareto_front(points)] == [1, 0]


def test_the_peak_is_where_the_highest_buffer_ends():
    """The end in bytes, and the first step that reaches it."""
    assert peak_of(profile().plan) == (64, 1)
    assert "Peak 64 B, reached in step 1. No plan can be below 48 B." in render_html([("a", profile())])


def test_bytes_in_use_count_each_byte_once():
    """What two live buffers share is in use once, a step without buffers uses none, and steps of one amount are one run."""
    lives = [(0, 100, 0, 1), (50, 100, 1, 3), (0, 10, 6, 4)]
    plan = tuple(PlanEntry(tensor="t", offset=o, bytes=b, first_op=first, last_op=last) for o, b, first, last in lives)
    assert [(use.steps, use.bytes) for use in bytes_in_use(plan)] == [
        ("step 0", 100),
        ("step 1", 150),
        ("steps 2 to 3", 100),
        ("steps 4 to 5", 0),
        ("step 6", 10),
    ]
    assert most_in_use(bytes_in_use(plan)).steps == "step 1"
    assert bytes_in_use(()) == () == bytes_in_use(plan * MOST_BUFFERS_IN_USE)


def test_a_strip_is_drawn_for_any_numbers():
    """Steps and bytes of a damaged file cost no more than its entries: one run between two of them, however long."""
    far = (
        PlanEntry(tensor="t", offset=0, bytes=2**62, first_op=2**62, last_op=2**62),
        PlanEntry(tensor="n", offset=0, bytes=0, first_op=0, last_op=0),
    )
    for plan in (far, far[1:]):
        text = render_html([("a", profile().model_copy(update={"plan": plan}))])
        assert "are in use at once" in text
        assert Page(text).open == []
    assert 'id="arena"' not in render_html([("a", profile().model_copy(update={"plan": None}))])


def test_numbers_are_drawn_together():
    """Runs are written as one."""
    subjects = number_profiles([("x", profile())] * 7)
    assert numbers_of([*subjects[:4], subjects[5], subjects[6]]) == "1 to 4, 6, 7"


def test_500_profiles_make_a_bounded_page():
    """500 large profiles stay below 5 MB, and the page says which charts lack whom."""
    many = [(f"{HOSTILE} {i}", profile(name=f"{HOSTILE * 9}{i}", target=f"{HOSTILE * 9}{i}", ops=200)) for i in range(500)]
    text = render_html(many)
    assert len(text.encode()) < 5_000_000
    assert "Left out of this page" in text
    assert len(Page(text).named("tr")) > 500


def test_a_history_is_checked(tmp_path):
    """A report.json becomes a table of steps; a damaged one is one sentence; no profile is one, too."""
    report = {"schema": 2, "sha256": "ab", "steps": [{"pass": "prune", "epochs": 8, "before": {"macs": 77}, "after": {}, "seconds": 1}]}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    text = render_html([("a", profile())], histories=[("small", read_history(path))])
    assert "Measured as 1." in text
    assert "epochs = 8" in text
    heads = re.findall('<th scope="col">([^<]*)</th>', text[text.index('id="history"') :].split("</thead>")[0])
    assert heads == ["step", "MACs", "seconds"]
    path.write_text('{"schema": 3}')
    with pytest.raises(ModelError, match="schema"):
        read_history(path)
    with pytest.raises(UserError, match="at least one profile"):
        render_html([])


def test_compare_writes_the_page(tmp_path):
    """`compare --html` leaves the same page as the function, with the very command that was typed, quoted for a shell."""
    source, target = tmp_path / "it's a.json", tmp_path / "page.html"
    write_profile(profile(), source)
    typed = ["compare", str(source), "--baseline", "1", "--html", str(target)]
    assert main(typed) == 0
    text = target.read_text(encoding="utf-8")
    assert text == render_html([("it's a", profile())], commands=[shlex.join(["edgecompress", *typed])])
    *_, shown = re.findall("<span>(edgecompress [^<]*)</span>", text)
    assert shlex.split(html.unescape(shown)) == ["edgecompress", *typed]


def test_a_long_command_of_the_page_is_whole():
    """Hundreds of files that a shell's pattern became are all named; a profile's own commands are bounded."""
    files = shlex.join(["edgecompress", "compare", *(f"runs/profile_{number:03}.json" for number in range(500))])
    text = render_html([("a", profile().model_copy(update={"commands": (files,)}))], commands=[files])
    assert text.count("runs/profile_499.json") == 1


@pytest.mark.parametrize("latency", [0.0, 5e-324, 1e-300, float(2**63)])
def test_any_number_of_a_file_has_a_place(latency):
    """The least and the largest numbers that a profile may hold are drawn, and no place in the page is unbounded or unknown."""
    accuracy = Accuracy(value=1.0, metric="m", set="s", n=1)
    extreme = profile(latency=latency).model_copy(
        update={"accuracy": accuracy, "memory": Memory(flash_bytes=2**63 - 1, code_bytes=2**63 - 1)}
    )
    page = Page(render_html([("a", extreme), ("b", profile(latency=latency))]))
    places = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in ("x", "y", "width", "height", "cx", "cy")
    ]
    assert len(places) > 20
    assert not [place for place in places if not re.fullmatch(r"-?[0-9.]+%?", str(place))]
