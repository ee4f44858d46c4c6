"""The page of profiles in a real browser, headless: readable in light, dark, narrow and print, by keyboard, without scripts, and quiet."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, WHAT_IS_MISSING, Browser

from edgecompress.profile import Accuracy, Latency, Limits, Memory, Parity, PlanEntry, Profile, ProfiledModel, ProfiledOp, Validity
from edgecompress.report.html import render_html

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHAT_IS_MISSING)

COLOURS_OF_TEXT = """(() => {
  const clear = "rgba(0, 0, 0, 0)";
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (colour !== clear) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!own || box.width < 2 || element.closest("script, svg title, svg desc, .skip")) continue;
    const style = getComputedStyle(element);
    const label = element.closest("text");
    if (!label) { found.push([element.tagName, element.textContent, style.color, behind(element)]); continue; }
    // A label lies on paper, or on what was drawn below it before.
    const colours = new Set();
    for (const share of [0.05, 0.5, 0.95]) {
      let colour = behind(label.closest("figure"));
      const x = box.left + share * box.width, y = box.top + box.height / 2;
      for (const shape of label.closest("figure").querySelectorAll("svg rect")) {
        const area = shape.getBoundingClientRect();
        if (x >= area.left && x < area.right && y >= area.top && y < area.bottom) colour = getComputedStyle(shape).fill;
      }
      colours.add(style.paintOrder.startsWith("stroke") && style.stroke !== "none" ? style.stroke : colour);
    }
    for (const colour of colours) found.push([label.getAttribute("class") || "label", element.textContent, style.fill, colour]);
  }
  return found;
})()"""

COLOURS_OF_SHAPES = """(() => {
  const paper = getComputedStyle(document.body).backgroundColor, shapes = document.querySelectorAll("figure rect, figure circle, .swatch");
  return [...shapes].map((each) => {
    const style = getComputedStyle(each), swatch = each.matches(".swatch");
    return [each.getAttribute("class"), swatch ? style.backgroundColor : style.fill, swatch ? style.borderTopColor : style.stroke, paper];
  });
})()"""

SEEN = """(() => {
  const words = (element) => element.textContent.trim().replace(/\\s+/g, " ");
  const visible = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  return {
    tables: [...document.querySelectorAll("main table")].map((each) => [words(each.caption), visible(each) || !!each.closest("details")]),
    charts: [...document.querySelectorAll("main figure svg[role=img]")].map((each) => [words(each.querySelector("title")), visible(each)]),
    said: [...document.querySelectorAll("main h2, main h3, main p, main li, main tbody th, main td, main text")]
      .filter((each) => !each.closest(".tools") && words(each) && visible(each)).map(words),
  };
})()"""

ROWS = """[...document.querySelectorAll("table.sortable tbody tr")].filter((each) => each.checkVisibility())
  .map((each) => each.cells[0].textContent)"""


def contrast(first: str, second: str) -> float:
    """WCAG 2.1's contrast ratio of two opaque colours such as `rgb(1, 2, 3)`."""

    def luminance(colour: str) -> float:
        assert colour.startswith("rgb("), colour
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def profile(number: int, **changes: Any) -> Profile:
    """A profile of which everything is known; what it takes depends on its number."""
    latency = 1e6 - 40_000 * number
    facts = {
        "target": "cortex-m4",
        "model": ProfiledModel(name="digits_int8", sha256="ab", macs=1_200_000, parameters=70_000),
        "engine": "aot",
        "toolchain": "zig",
        "latency": Latency(unit="instructions", min=latency, p50=latency, p90=latency, p99=latency, first=latency, runs=3),
        "memory": Memory(code_bytes=10_000, model_bytes=50_000 + 1000 * number, harness_bytes=600, flash_bytes=60_600 + 1000 * number,
                         arena_bytes=5000, static_ram_bytes=300, stack_bytes=400, arena_peak_bytes=5000, arena_bound_bytes=4000),
        "ops": tuple(ProfiledOp(name=f"layer_{at}", kind="CONV_2D", macs=at + 1, latency=latency / (at + 2)) for at in range(5)),
        "parity": Parity(reference="tflite-micro", inputs=3, mismatched_bytes=0, largest_difference=0),
        "accuracy": Accuracy(value=0.9 + 0.01 * (number % 4), metric="accuracy", set="digits", n=500),
        "limits": Limits(flash_bytes=62_000, ram_bytes=6000),
        "plan": (PlanEntry(tensor="image", offset=0, bytes=2000, first_op=0, last_op=0),
                 PlanEntry(tensor="scratch", offset=2000, bytes=3000, first_op=0, last_op=1),
                 PlanEntry(tensor="stem", offset=0, bytes=1000, first_op=1, last_op=3)),
        "commands": ("edgecompress build cortex-m4 digits_int8.tflite", "edgecompress measure cortex-m4 " + "firmware/" * 30),
        "environment": {"compiler": "zig"},
        "validity": Validity(valid=False, reasons=("it was hot",)) if number == 1 else None,
    }  # fmt: skip
    return Profile(**{**facts, **changes})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests."""
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five profiles as columns, every section filled; the last one is too large, and one is of a host that knows little."""
    known = [(f"kws {number}", profile(number)) for number in range(4)]
    clock = Latency(unit="us", min=9, p50=10, p90=11, p99=12, first=20, runs=50)
    host = profile(4, target="local", latency=clock, memory=Memory(), limits=None, plan=None, ops=(), accuracy=None)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html([*known, ("host", host)], commands=["edgecompress compare"]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve profiles as rows, so that the table can be sorted; the flash of the first is not known."""
    profiles = [profile((7 * number) % 12) for number in range(12)]
    profiles[0] = profiles[0].model_copy(update={"memory": Memory()})
    path = tmp_path_factory.mktemp("many") / "report.html"
    path.write_text(render_html([(f"p{number:02}", each) for number, each in enumerate(profiles)]), encoding="utf-8")
    return path


def test_a_browser_finds_no_fault_and_asks_for_nothing_else(browser, many):
    """The console stays silent, the script runs under its policy, and the server sees one request."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = many.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{server.server_port}/report.html")
        assert browser.value_of("document.querySelectorAll('th button').length") > 10
        server.shutdown()
    assert browser.complaints == []
    assert asked == ["/report.html"]
    assert [address for address in browser.requests if not address.startswith("data:")] == [
        f"http://127.0.0.1:{server.server_port}/report.html"
    ]


@pytest.mark.parametrize(
    "look", [{"scheme": "light"}, {"scheme": "dark"}, {"media": "print"}, {"media": "print", "scheme": "dark"}], ids=str
)
def test_all_text_stands_out(browser, page, look):
    """Text, cells and labels of charts have a contrast of 4.5 to 1 at least (WCAG 2.1, 1.4.3), on paper and on the bars they lie on."""
    browser.open(page.as_uri())
    browser.show_as(**look)
    found = browser.value_of(COLOURS_OF_TEXT)
    assert {"TD", "P", "LI", "H3", "label", "inside-0", "inside-1", "inside-2", "inside-3", "exceeds"} <= {kind for kind, *_ in found}
    faint = [(kind, text, ink, paper) for kind, text, ink, paper in found if contrast(ink, paper) < 4.5]
    assert faint == []


@pytest.mark.parametrize("look", [{"scheme": "light"}, {"scheme": "dark"}, {"media": "print"}], ids=str)
def test_all_shapes_stand_out(browser, page, look):
    """Bars, points, buffers and the colours of legends have an inside or an outline of 3 to 1 against the paper (WCAG 2.1, 1.4.11)."""
    browser.open(page.as_uri())
    browser.show_as(**look)
    found = browser.value_of(COLOURS_OF_SHAPES)
    assert {"flash-0", "ram-2", "series-3", "buffer", "scratch", "use", "most", "front", "dominated"} <= {kind for kind, *_ in found}
    colours = {(kind, paper, *(each for each in shown if each.startswith("rgb("))) for kind, *shown, paper in found}
    assert [shape for shape in colours if max(contrast(shape[1], each) for each in shape[2:]) < 3] == []


def test_a_screen_reader_is_told_all(browser, page, many):
    """Landmarks, headings, tables and pictures have names, pictures a description, and what can be operated says what it does."""
    for path, picked in (
        (page, {"image", "table", "navigation", "main", "heading", "region", "link"}),
        (many, {"button", "searchbox", "status"}),
    ):
        browser.open(path.as_uri())
        browser.show_as()
        nodes = [node for node in browser.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
        told: dict[str, list[tuple[str, str]]] = {}
        for node in nodes:
            names = (node.get(key, {}).get("value", "") for key in ("name", "description"))
            told.setdefault(node["role"]["value"], []).append(tuple(names))
        assert picked <= set(told)
        for role in picked - {"main", "status"}:
            assert [names for names in told[role] if not names[0]] == []
        assert [names for names in told.get("image", []) if names[1] in ("", names[0])] == []
        assert len(told["main"]) == 1


def test_dark_is_dark(browser, page):
    """A reader who asks for dark gets light text on a dark page, and in print dark text on white all the same."""
    browser.open(page.as_uri())
    papers = []
    for look in ({"scheme": "light"}, {"scheme": "dark"}, {"scheme": "dark", "media": "print"}):
        browser.show_as(**look)
        papers.append(browser.value_of("getComputedStyle(document.body).backgroundColor"))
    assert contrast(papers[0], papers[1]) > 10
    assert papers[2] == "rgb(255, 255, 255)"


def test_a_phone_scrolls_down_only(browser, page, many):
    """At 390 pixels the page is as wide as the screen, and a wide table scrolls in a box of its own, which the keyboard reaches."""
    for path in (page, many):
        browser.open(path.as_uri())
        browser.show_as(width=390)
        assert browser.value_of("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]
        box = browser.value_of(
            "(() => { const box = document.querySelector('#table .scroll'); box.scrollLeft = 200; const area = box.getBoundingClientRect();"
            " return [box.scrollWidth > box.clientWidth, box.scrollLeft, area.right <= innerWidth, box.tabIndex]; })()"
        )
        assert box == [True, 200, True, 0]


def test_print_shows_what_the_screen_shows(browser, page, many):
    """On A4, all that the screen says is there, nothing is beyond the paper, nothing is fixed, and the colours of legends are kept."""
    for path in (page, many):
        browser.open(path.as_uri())
        browser.show_as()
        on_screen = browser.value_of(SEEN)
        # A4 at 96 dots an inch, without Chromium's margins of 1 cm.
        browser.show_as(width=718, media="print")
        on_paper = browser.value_of(SEEN)
        assert on_paper["charts"] == on_screen["charts"] and on_paper["tables"] == on_screen["tables"]
        assert set(on_screen["said"]) <= set(on_paper["said"])
        assert browser.value_of("document.documentElement.scrollWidth") == 718
        styles = browser.value_of("[...document.querySelectorAll('body *')].map((each) => getComputedStyle(each).position)")
        assert not {"fixed", "sticky"} & set(styles)
        kept = browser.value_of("[...document.querySelectorAll('.swatch')].map((each) => getComputedStyle(each).printColorAdjust)")
        assert kept and set(kept) == {"exact"}
        assert browser.print_pdf().startswith(b"%PDF")


def test_the_table_sorts_by_keyboard(browser, many):
    """Tab leads to a column's button, Enter sorts by it, a second Enter turns the order; what is not known stays at the end."""
    browser.open(many.as_uri())
    browser.show_as()
    for _ in range(80):
        browser.press("Tab")
        if browser.value_of("document.activeElement.textContent") == "flash":
            break
    browser.press("Enter")
    ordered = [f"{number + 1} p{number:02}" for number in sorted(range(1, 12), key=lambda number: (7 * number) % 12)]
    assert browser.value_of(ROWS) == [*ordered, "1 p00"]
    assert browser.value_of("document.activeElement.parentElement.getAttribute('aria-sort')") == "ascending"
    browser.press("Enter")
    assert browser.value_of(ROWS) == [*reversed(ordered), "1 p00"]
    assert browser.value_of("document.querySelectorAll('[aria-sort]').length") == 1


def test_the_table_filters_by_keyboard(browser, many):
    """Typing leaves the rows that hold the words, and says how many these are; print leaves the same ones."""
    browser.open(many.as_uri())
    browser.show_as()
    for _ in range(40):
        browser.press("Tab")
        if browser.value_of("document.activeElement.type") == "search":
            break
    for letter in "p1":
        browser.press(letter)
    assert browser.value_of(ROWS) == ["11 p10", "12 p11"]
    assert browser.value_of("document.querySelector('.tools [role=status]').textContent") == "2 of 12"
    browser.show_as(media="print")
    assert browser.value_of(ROWS) == ["11 p10", "12 p11"]


def test_a_page_without_scripts_shows_all(browser, page, many):
    """Every table, chart and word is there, and no button or field that would do nothing."""
    for path in (page, many):
        seen = []
        for scripts in (True, False):
            browser.open(path.as_uri(), scripts=scripts)
            browser.show_as()
            seen.append(browser.value_of(SEEN))
        assert seen[0] == seen[1]
        assert all(visible for _, visible in seen[1]["tables"] + seen[1]["charts"])
        assert len(seen[1]["charts"]) >= 4
        assert browser.value_of("document.querySelectorAll('button, input').length") == 0
