"""Charts of the page as a browser lays them out: lengths, places and marks are those of the numbers, on a wide screen and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, WHAT_IS_MISSING, Browser

from edgecompress.profile import Accuracy, Latency, Limits, Memory, PlanEntry, Profile, ProfiledModel, ProfiledOp
from edgecompress.report.html import render_html

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHAT_IS_MISSING)

FLASH = {"a": (10_000, 50_000, 2_000), "b": (5_000, 20_000, 1_000), "c": (12_000, 70_000, 3_000)}
LATENCY = {"a": 400_000.0, "b": 900_000.0, "c": 1_000_000.0}
ACCURACY = {"a": 0.90, "b": 0.95, "c": 0.93}
OPS = {"a": (300_000.0, 100_000.0), "b": (600_000.0, 300_000.0), "c": (900_000.0, 100_000.0)}
FLASH_LIMIT = 90_000
PLAN = (("in", 0, 1000, 0, 0), ("x", 1000, 3000, 0, 1), ("scratch", 0, 800, 1, 1), ("y", 1000, 2000, 1, 3))
IN_USE = {0: 4000, 1: 3800, 2: 2000, 3: 2000}
"""`y` writes over `x` in step 1."""

DRAWN = """(ident) => {
  const picture = document.querySelector(`#${ident} svg[role=img]`), frame = picture.getBoundingClientRect();
  const shapes = [...picture.querySelectorAll("rect, circle, line, text")].map((each) => {
    const box = each.getBoundingClientRect(), title = each.querySelector("title") ||
      (each.parentElement.firstElementChild.tagName === "title" ? each.parentElement.firstElementChild : null);
    return {tag: each.tagName, class: each.getAttribute("class") || "", title: title ? title.textContent : "",
            text: each.tagName === "text" ? each.textContent : "",
            left: box.left - frame.left, top: box.top - frame.top, width: box.width, height: box.height};
  });
  return {width: frame.width, shapes};
}"""

Shape = dict[str, Any]


def profile(name: str) -> Profile:
    code, model, harness = FLASH[name]
    latency = LATENCY[name]
    return Profile(
        target="cortex-m4",
        model=ProfiledModel(name=name, sha256=None, macs=None, parameters=None),
        engine="aot",
        toolchain=None,
        latency=Latency(unit="instructions", min=latency, p50=latency, p90=latency, p99=latency, first=latency, runs=1),
        memory=Memory(code_bytes=code, model_bytes=model, harness_bytes=harness, flash_bytes=code + model + harness),
        ops=tuple(ProfiledOp(name=f"op{at}", kind="CONV_2D", macs=None, latency=taken) for at, taken in enumerate(OPS[name])),
        accuracy=Accuracy(value=ACCURACY[name], metric="accuracy", set="digits", n=100),
        limits=Limits(flash_bytes=FLASH_LIMIT),
        plan=tuple(PlanEntry(tensor=t, offset=o, bytes=b, first_op=f, last_op=last) for t, o, b, f, last in PLAN),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Three profiles, open in a browser."""
    folder = tmp_path_factory.mktemp("charts")
    path = folder / "report.html"
    path.write_text(render_html([(name, profile(name)) for name in FLASH]), encoding="utf-8")
    with Browser(folder) as browser:
        browser.open(Path(path).as_uri())
        yield browser


@pytest.fixture(params=[1200, 390], ids=["wide", "phone"])
def drawn(request: pytest.FixtureRequest, page: Browser) -> Any:
    """What a chart draws, by its id: shapes with their boxes in pixels from the picture's corner."""
    page.show_as(width=request.param)

    def shapes_of(ident: str) -> list[Shape]:
        return list(page.value_of(f"({DRAWN})({ident!r})")["shapes"])

    return shapes_of


def of_class(shapes: list[Shape], name: str) -> list[Shape]:
    return [shape for shape in shapes if shape["class"] == name and shape["tag"] in ("rect", "circle", "line")]


def middle(shape: Shape) -> float:
    return shape["left"] + shape["width"] / 2


def scale_of(shapes: list[Shape], factors: dict[str, float]) -> float:
    """Pixels from one of the bottom axis's ticks to another per unit of what they say."""
    ticks = []
    for shape in shapes:
        number, _, unit = shape["text"].partition(" ")
        if number[:1].isdigit() and unit in factors and shape["top"] > max(each["top"] for each in shapes) - 30:
            line = min((each for each in shapes if each["class"] == "grid"), key=lambda each: abs(each["left"] - middle(shape)))
            ticks.append((float(number) * factors[unit], line["left"]))
    (first, start), *_, (last, end) = ticks
    return float((end - start) / (last - first))


def test_bars_of_flash_are_as_long_as_their_bytes(drawn):
    """Code, model and harness follow each other, each as long as its bytes on the axis's scale; the limit's mark stands at the limit."""
    shapes = drawn("memory-flash")
    scale = scale_of(shapes, {"KB": 1000.0})
    segments = [of_class(shapes, f"flash-{part}") for part in range(3)]
    for row, parts in enumerate(FLASH.values()):
        start = 0.0
        for part, size in enumerate(parts):
            bar = segments[part][row]
            assert bar["left"] == pytest.approx(start, abs=0.5)
            assert bar["width"] == pytest.approx(size * scale, abs=0.5)
            assert bar["title"] == f"{('code', 'model', 'harness')[part]}: {size:,} B"
            start += bar["width"]
    assert [mark["left"] for mark in of_class(shapes, "limit")] == pytest.approx([FLASH_LIMIT * scale] * 3, abs=2)


@pytest.mark.parametrize(
    ("ident", "costs", "beaten"),
    [("accuracy-size-0", {name: sum(parts) for name, parts in FLASH.items()}, {"a", "c"}), ("accuracy-instructions-0", LATENCY, {"c"})],
    ids=["flash", "latency"],
)
def test_points_lie_at_their_numbers(drawn, ident, costs, beaten):
    """Across the cost, up the accuracy, on one scale each; and the front is what no other profile beats in both."""
    points = {shape["title"].split()[1].rstrip(":"): shape for shape in drawn(ident) if shape["tag"] == "circle"}
    assert set(points) == set(costs)
    across, up = [{name: place(points[name]) for name in points} for place in (middle, lambda shape: -(shape["top"] + shape["height"] / 2))]
    for places, numbers in ((across, costs), (up, ACCURACY)):
        low, high = min(numbers, key=numbers.__getitem__), max(numbers, key=numbers.__getitem__)
        assert places[high] - places[low] > 50
        for name, number in numbers.items():
            share = (number - numbers[low]) / (numbers[high] - numbers[low])
            assert places[name] == pytest.approx(places[low] + share * (places[high] - places[low]), abs=0.5)
    assert {name for name, shape in points.items() if shape["class"] == "dominated"} == beaten


def test_points_lie_on_the_ticks_of_their_axis(drawn):
    """A point of 900 k instructions is where the axis would put a tick of 900 k."""
    shapes = drawn("accuracy-instructions-0")
    scale = scale_of(shapes, {"k": 1e3, "M": 1e6})
    points = {shape["title"].split()[1].rstrip(":"): middle(shape) for shape in shapes if shape["tag"] == "circle"}
    assert points["b"] - points["a"] == pytest.approx((LATENCY["b"] - LATENCY["a"]) * scale, abs=1)


def test_bars_of_ops_are_as_long_as_they_take(drawn):
    """One bar an op and profile, from the left, on one scale."""
    shapes = drawn("ops-0")
    scale = scale_of(shapes, {"k": 1e3, "M": 1e6, "": 1.0})
    for series, taken in enumerate(OPS.values()):
        bars = of_class(shapes, f"series-{series}")
        assert [bar["left"] for bar in bars] == pytest.approx([0, 0], abs=0.5)
        assert [bar["width"] for bar in bars] == pytest.approx([latency * scale for latency in taken], abs=1)


def test_buffers_lie_at_their_bytes_and_steps(drawn):
    """A buffer is as high as its bytes, as far up as its offset and as wide as its life; the line of the peak touches the highest one."""
    shapes = drawn("arena-0")
    buffers = {
        s["title"].split(":")[0]: s for s in shapes if s["tag"] == "rect" and s["class"] in ("buffer", "scratch") and " at " in s["title"]
    }
    assert set(buffers) == {name for name, *_ in PLAN}
    bottom = buffers["in"]["top"] + buffers["in"]["height"]
    step, byte = buffers["in"]["width"], buffers["x"]["height"] / 3000
    for name, offset, size, first, last in PLAN:
        box = buffers[name]
        assert box["height"] == pytest.approx(size * byte, abs=1.5)
        assert box["top"] + box["height"] == pytest.approx(bottom - offset * byte, abs=1.5)
        assert box["left"] == pytest.approx(first * step, abs=1)
        assert box["width"] == pytest.approx((last - first + 1) * step, abs=1.5)
    assert of_class(shapes, "peak")[0]["top"] == pytest.approx(buffers["x"]["top"], abs=1.5)


def test_the_strip_below_shows_what_is_in_use(drawn):
    """A bar a run of steps, as high as the bytes that live buffers cover, shared ones once; the highest is marked and named."""
    shapes = drawn("arena-0")
    bars = [*of_class(shapes, "most"), *of_class(shapes, "use")]
    assert [(bar["class"], bar["title"]) for bar in bars] == [
        ("most", "step 0: 4,000 B in use"),
        ("use", "step 1: 3,800 B in use"),
        ("use", "steps 2 to 3: 2,000 B in use"),
    ]
    byte, step = bars[0]["height"] / IN_USE[0], bars[0]["width"]
    for bar, first, steps in zip(bars, (0, 1, 2), (1, 1, 2), strict=True):
        assert bar["height"] == pytest.approx(IN_USE[first] * byte, abs=1)
        assert (bar["left"], bar["width"]) == pytest.approx((first * step, steps * step), abs=1.5)
    assert of_class(shapes, "peak")[-1]["top"] == pytest.approx(bars[0]["top"], abs=1.5)
    assert any("4,000 B at most, in step 0" in shape["text"] for shape in shapes)
