"""Comparisons for other programs and pages: JSON, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest
from test_compare import accurate, profile

from edgecompress.profile import Memory, Parity, Validity
from edgecompress.report.compare import compare
from edgecompress.report.compare.documents import csv_text, escaped, json_text, markdown_text


def read_csv(text: str) -> list[dict[str, str]]:
    """Lines by heading."""
    return list(csv.DictReader(io.StringIO(text)))


def test_json_holds_numbers_units_ratios_and_marks():
    """Every cell with what is known of it; an unknown one is null."""
    profiles = [("a", profile(p50=1000, memory=Memory(flash_bytes=10))), ("b", profile(p50=500))]
    document = json.loads(json_text(compare(profiles)))
    assert (document["format"], document["version"], document["baseline"]) == ("edgecompress comparison", 1, 0)
    assert document["profiles"] == ["a", "b"]
    rows = {row["metric"]: row for row in document["rows"]}
    assert rows["latency p50"] == {
        "metric": "latency p50",
        "better": "less",
        "cells": [
            {"text": "1,000 instructions", "value": 1000, "unit": "instructions"},
            {"text": "500 instructions", "value": 500, "unit": "instructions", "ratio": 0.5, "best": True},
        ],
    }
    assert rows["flash"]["cells"] == [{"text": "10 B", "value": 10, "unit": "bytes"}, None]
    assert rows["engine"]["better"] is None


def test_json_has_differences_of_accuracies():
    """Points, and that more is better."""
    document = json.loads(json_text(compare([("a", accurate(0.9)), ("b", accurate(0.8))])))
    accuracy = next(row for row in document["rows"] if row["metric"] == "accuracy")
    assert accuracy["better"] == "more" and accuracy["cells"][1]["points"] == pytest.approx(-10)


def test_csv_has_a_line_a_profile_and_units_in_its_heading():
    """Raw numbers in the column of their unit; what is not known is empty, and a zero is a zero."""
    doubtful = profile(p50=12.5, unit="us", validity=Validity(valid=False, reasons=("hot", "busy")))
    core, host = read_csv(csv_text([("core", profile(p50=123_456, memory=Memory(flash_bytes=1000, stack_bytes=0))), ("host", doubtful)]))
    assert (core["name"], core["latency_p50_instructions"], core["latency_p50_us"]) == ("core", "123456", "")
    assert (core["flash_bytes"], core["stack_bytes"], core["arena_bytes"], core["valid"]) == ("1000", "0", "", "")
    assert (host["latency_p50_instructions"], host["latency_p50_us"], host["flash_bytes"]) == ("", "12.5", "")
    assert (host["valid"], host["doubts"]) == ("no", "hot; busy")


def test_csv_has_the_same_columns_for_all():
    """A spreadsheet that was made for one comparison takes the next."""
    known = profile(parity=Parity(reference="r", inputs=3, mismatched_bytes=0, largest_difference=0), tags=("a", "b"))
    first, second = csv_text([("a", profile())]).splitlines()[0], csv_text([("a", known)]).splitlines()[0]
    assert first == second and len(set(first.split(","))) == len(first.split(","))


def test_csv_takes_any_name():
    """Commas, quotes and line ends are quoted and come back."""
    name = 'a,"b"\nc'
    (line,) = read_csv(csv_text([(name, profile(target="x,y"))]))
    assert line["name"] == name and line["target"] == "x,y"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_holds_no_formula(begin):
    """Whatever a file says, a spreadsheet shows it: a text that would be computed begins with an apostrophe, in every column."""
    evil = f"{begin}HYPERLINK('//x')"
    said = profile(target=evil, toolchain=evil, tags=(evil,), validity=Validity(valid=False, reasons=(evil,)))
    (line,) = read_csv(csv_text([(evil, said)]))
    assert {line[column] for column in ("name", "target", "toolchain", "tags", "doubts")} == {f"'{evil}"}
    assert not any(field.startswith(begin) for field in line.values())


def test_csv_numbers_are_no_text():
    """Numbers stay as they are, and a text that begins with a letter, a digit or an apostrophe as well."""
    (line,) = read_csv(csv_text([("'quoted", profile(p50=0.5, unit="us", target="2=1"))]))
    assert (line["name"], line["target"], line["latency_p50_us"]) == ("'quoted", "2=1", "0.5")


def test_markdown_is_a_table_with_the_best_in_bold():
    """A heading, a rule, a line a fact; the best is bold, and the last line says what that and the ratios mean."""
    text = markdown_text(compare([("a", profile(p50=1000)), ("b", profile(p50=500))]))
    lines = text.splitlines()
    assert lines[:2] == ["|  | a | b |", "|:--|--:|--:|"]
    assert "| latency p50 | 1,000 instructions | **500 instructions  (0.50x)** |" in lines
    assert lines[-1] == "bold: best of its fact, among numbers of one unit; ratios are against a"


def test_markdown_of_many_profiles_has_a_line_each():
    """Nine profiles and more are lines, with the facts that matter most."""
    lines = markdown_text(compare([(f"p{i}", profile(p50=1000 + i)) for i in range(9)])).splitlines()
    assert lines[0] == "| profile | target | model | engine | latency p50 |"
    assert (
        lines[2] == "| p0 | cortex-m4 | toy | aot | **1,000 instructions** |" and len([line for line in lines if line[:3] == "| p"]) == 10
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("kws_int8*", r"kws\_int8\*"),
        ("<img>", "&lt;img>"),
        ("&lt;", "&amp;lt;"),
        ("@team", "@&#8203;team"),
        ("[a](b)#1", r"\[a\](b)\#1"),
        ("a\nb", r"a\\nb"),
    ],
)
def test_markdown_shows_words_as_they_are(text, shown):
    """What a file says makes no cell, link, emphasis, HTML, line or mention."""
    assert escaped(text) == shown


def test_documents_carry_no_control_characters():
    """Names with escape sequences reach neither a page nor, unescaped, a JSON reader's terminal."""
    nasty = [("n\x1b[31m", profile(target="t\x1b\x07"))]
    assert "\x1b" not in markdown_text(compare(nasty)) and "\x1b" not in json_text(compare(nasty))
