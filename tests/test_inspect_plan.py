"""What `inspect` says of a memory plan: its peak, what no plan can be below, and the gap between them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from sample_models import Net, tiny_classifier

from edgecompress.cli import main
from edgecompress.cli.console import stdout_console
from edgecompress.cli.inspect import _print_plan
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite

LINE = re.compile(r"^Peak ([\d,]+) B, lower bound ([\d,]+) B, gap (.+)$", re.MULTILINE)


def inspected(model: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    path = folder / "model.tflite"
    path.write_bytes(model)
    assert main(["inspect", str(path)]) == 0
    return capsys.readouterr().out


def test_peak_and_bound_are_those_of_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line holds the plan's own numbers; of one dense layer, input and output are all that lives, and the bound is reached."""
    net = Net()
    x = net.activation((1, 12))
    assert LINE.findall(inspected(net.build([x], [net.dense(x, 8)]), tmp_path, capsys)) == [("20", "20", "none")]


def test_a_gap_is_a_share_of_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that stays above its bound says by how much."""
    info = generate_aot(read_tflite(tiny_classifier(), name="model")).info
    peak = info.arena_peak_bytes
    assert peak is not None
    _print_plan(stdout_console(), replace(info, arena_bound_bytes=peak - 16), "portable")
    assert LINE.findall(capsys.readouterr().out) == [(str(peak), str(peak - 16), f"{1600 / (peak - 16):.1f} %")]


def test_a_plan_without_a_bound_has_no_such_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A firmware of an older version stated none: nothing is made up in its place."""
    info = generate_aot(read_tflite(tiny_classifier(), name="model")).info
    _print_plan(stdout_console(), replace(info, arena_bound_bytes=None), "portable")
    shown = capsys.readouterr().out
    assert "Memory plan of the generated C, portable kernels: arena " in shown
    assert "lower bound" not in shown


def test_a_plan_is_made_for_the_kernels_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels with scratch have another plan, and the line says whose it is."""
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_classifier())
    arenas = []
    for kernels in ("portable", "dsp"):
        assert main(["inspect", str(path), "--kernels", kernels]) == 0
        arenas.append(re.findall(rf"generated C, {kernels} kernels: arena ([\d,]+) B", capsys.readouterr().out))
    assert all(arenas), arenas
    assert arenas[0] != arenas[1]


def test_a_model_without_a_plan_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What generated C cannot run is inspected all the same, with the reason in the plan's place."""
    net = Net()
    x = net.activation((1, 4, 4, 2))
    y = net.layer("SPACE_TO_DEPTH", [x], (1, 2, 2, 8), block_size=2)
    shown = inspected(net.build([x], [y]), tmp_path, capsys)
    assert "No memory plan: the aot engine cannot take this model." in shown
    assert "SPACE_TO_DEPTH" in shown.split("No memory plan", 1)[1]
    assert not LINE.search(shown)
