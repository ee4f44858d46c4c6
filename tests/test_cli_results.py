"""What the commands print of what the functions gave back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgecompress import pipeline
from edgecompress.artifact import Engine, Firmware, MemorySizes, ModelInfo, Streaming
from edgecompress.cli import main
from edgecompress.pipeline import CompressSummary, DemoResult
from edgecompress.pipeline import verify as verify_room
from edgecompress.pipeline.demo import Variant
from edgecompress.pipeline.layers import Layer
from edgecompress.pipeline.verify import Rung, Status, VerifyReport
from edgecompress.profile import Latency, Memory, Profile, ProfiledModel
from edgecompress.target import Optimize

EQUAL = Rung("generated C on cortex-m4", "TFLM host", Status.EQUAL, 0, 160, 0)
CLOSE = Rung("LiteRT default (XNNPACK)", "TFLM host", Status.WITHIN, 3, 160, 2, cause="rounds once")
MISSING = Rung("fake-quant Keras", "LiteRT reference", Status.MISSING, note="give --keras")
BROKEN = Rung("generated C on cortex-m4", "TFLM host", Status.DIFFERS, 7, 160, 5, first_op="op 3 ADD sum")


def report(*rungs: Rung) -> VerifyReport:
    """A ladder over two inputs."""
    return VerifyReport("toy", 2, "generated inputs", rungs)


def profile(instructions: float) -> Profile:
    """A profile on a core."""
    return Profile(
        target="cortex-m4",
        model=ProfiledModel(name="toy", sha256=None, macs=1, parameters=1),
        engine="aot",
        toolchain="zig",
        latency=Latency(unit="instructions", min=1, p50=instructions, p90=1, p99=1, first=1, runs=1),
        memory=Memory(flash_bytes=5000),
    )


def test_verify_prints_a_line_a_rung(monkeypatch, capsys):
    """A missing rung says what it needs, a close one why it may differ; nothing is wrong with either."""
    monkeypatch.setattr(verify_room, "verify", lambda model, **options: report(MISSING, EQUAL, CLOSE))
    assert main(["verify", "m.tflite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("fake-quant Keras" in line and "missing" in line and "give --keras" in line for line in lines)
    assert any("generated C on cortex-m4" in line and "0 of 160" in line for line in lines)
    assert any("XNNPACK" in line and "3 of 160" in line and "rounds once" in line for line in lines)


def test_verify_prints_a_line_an_op(monkeypatch, capsys):
    """With --layers every op is printed, and the first one that differs is named; a core that shows nothing is said to."""
    layers = (Layer(0, "CONV_2D", "a;b", 64, 0, 0.0), Layer(1, "RESHAPE", "c", 0, 0, 0.0), Layer(2, "ADD", "d", 64, 3, 2.0))
    monkeypatch.setattr(verify_room, "verify", lambda model, **options: dataclasses.replace(report(EQUAL), layers=layers))
    assert main(["verify", "m.tflite", "--layers"]) == 0
    out = capsys.readouterr().out
    assert "0 of 64" in out and "no step of its own" in out and "The first op that differs is 2 ADD d" in out
    monkeypatch.setattr(verify_room, "verify", lambda model, **options: report(EQUAL))
    assert main(["verify", "m.tflite", "--layers"]) == 0
    assert "No layers" in capsys.readouterr().out


def test_bytes_that_must_agree_and_do_not_are_exit_5(monkeypatch, capsys):
    """The table is printed all the same, and the error says how many, whose, and where it starts."""
    monkeypatch.setattr(verify_room, "verify", lambda model, **options: report(BROKEN, CLOSE))
    assert main(["verify", "m.tflite", "--inputs", "2"]) == 5
    shown = capsys.readouterr()
    assert "7 of 160" in shown.out
    assert shown.err.splitlines()[0] == (
        "error: toy: generated C on cortex-m4 and TFLM host must agree; 7 of 160 bytes differ, first at op 3 ADD sum"
    )


def test_compress_says_what_it_wrote_and_what_that_costs(monkeypatch, capsys):
    """Paths, sizes, and the score before and after; without labels there is no score."""
    summary = CompressSummary(Path("o/model.tflite"), Path("o/report.json"), None, 12_345, 6_789, "accuracy", 0.98, 0.9718)
    monkeypatch.setattr(pipeline, "compress", lambda model, **options: summary)
    assert main(["compress", "m.keras", "--data", "d.py:f", "-o", "o"]) == 0
    shown = capsys.readouterr().out
    for words in ("o/model.tflite", "o/report.json", "12,345 B", "6,789 B", "accuracy", "0.9718", "0.9800"):
        assert words in shown
    assert "fake-quant" not in shown


def test_compress_says_what_it_could_not_measure(monkeypatch, capsys):
    """A score that is missing is a line with the reason."""
    summary = CompressSummary(Path("m.tflite"), Path("report.json"), None, 2048, 1024, None, None, None, remark="give a metric of your own")
    monkeypatch.setattr(pipeline, "compress", lambda *args, **options: summary)
    assert main(["compress", "m.keras", "--data", "d.py:f", "-o", "o"]) == 0
    assert "not measured  give a metric of your own" in capsys.readouterr().out


def test_build_says_what_the_firmware_takes(monkeypatch, capsys):
    """Flash is split into code, model and harness."""
    info = ModelInfo("toy", "ab" * 32, Engine.AOT, 1, 1, 64, (), (), (), ())
    firmware = Firmware(Path("build/cortex-m4/toy/firmware.elf"), "cortex-m4", info, MemorySizes(1000, 200, 30, 64, 8), "zig 0.17.1")
    monkeypatch.setattr(pipeline, "build", lambda target, model, **options: firmware)
    assert main(["build", "cortex-m4", "m.tflite"]) == 0
    shown = capsys.readouterr().out
    for words in ("build/cortex-m4/toy/firmware.elf", "1,230 B (code 1,000 B, model 200 B, harness 30 B)", "64 B", "8 B", "zig 0.17.1"):
        assert words in shown


def test_build_names_the_file_to_copy(monkeypatch, capsys, tmp_path):
    """Where a build leaves a UF2 file beside the ELF, its path is printed."""
    info = ModelInfo("toy", "ab" * 32, Engine.AOT, 1, 1, 64, (), (), (), ())
    firmware = Firmware(tmp_path / "firmware.elf", "pico", info, MemorySizes(1000, 200, 30, 64, 8), "zig 0.17.1")
    monkeypatch.setattr(pipeline, "build", lambda target, model, **options: firmware)
    assert main(["build", "pico", "m.tflite"]) == 0
    assert "firmware.uf2" not in capsys.readouterr().out
    (tmp_path / "firmware.uf2").touch()
    assert main(["build", "pico", "m.tflite"]) == 0
    assert str(tmp_path / "firmware.uf2") in capsys.readouterr().out


def test_generate_prints_the_path_of_each_file(monkeypatch, capsys):
    """One path a line, for scripts."""
    monkeypatch.setattr(pipeline, "generate", lambda model, **options: [Path("o/a.h"), Path("o/a.c")])
    assert main(["generate", "m.tflite", "-o", "o"]) == 0
    assert capsys.readouterr().out == "o/a.h\no/a.c\n"


def test_the_demo_ends_with_where_everything_is(monkeypatch, capsys, tmp_path):
    """Forms side by side, float with an empty cell on the cores; the last lines name the folder and the summary."""
    path = tmp_path / "demo"
    variants = (
        Variant("float", path / "a", 0.98, 300_000, 250_000, {}, None),
        Variant("int8", path / "b", 0.975, 90_000, 70_000, {"cortex-m4": (path / "p", profile(4_000_000))}, report(EQUAL)),
        Variant("pruned_int8", path / "c", 0.97, 90_000, 25_000, {"cortex-m4": (path / "q", profile(4_000_000))}, report(EQUAL)),
    )
    monkeypatch.setattr(pipeline, "demo", lambda out, **options: DemoResult(out, out / "summary.json", out / "report.html", variants, 497))
    assert main(["demo", "-o", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (core,) = [line for line in lines if line.startswith("cortex-m4 p50")]
    assert core.split() == ["cortex-m4", "p50", "4.00", "M", "instructions", "4.00", "M", "instructions", "(1.00x)"]
    assert any("98.00%" in line and "97.00%" in line for line in lines)
    assert any("25,000 B  (0.10x)" in line for line in lines)
    assert any("497 held-out images" in line for line in lines)
    assert lines[-3].endswith(str(path))
    assert lines[-2].endswith(str(path / "report.html"))
    assert lines[-1].endswith(str(path / "summary.json"))


@pytest.mark.parametrize("output", ["build/out", None])
def test_options_arrive_as_they_were_given(output, monkeypatch):
    """What is left out is None or the documented default."""
    asked = {}
    info = ModelInfo("toy", "ab" * 32, Engine.TFLM, 1, 1, 64, (), (), (), ())

    def fake_build(target: str, model: Path, **options: object) -> Firmware:
        asked.update(options, target=target, model=model)
        return Firmware(Path("f.elf"), target, info, MemorySizes(1, 1, 1, 1, 1), "gcc")

    monkeypatch.setattr(pipeline, "build", fake_build)
    extra = (
        []
        if output is None
        else [
            "-o",
            output,
            "--name",
            "kws",
            "--keep-input",
            "--engine",
            "tflm",
            "--toolchain",
            "gcc",
            "--tflm-dir",
            "tflm",
            "--no-offline-plan",
        ]
    )
    assert main(["build", "cortex-m7", "m.tflite", *extra]) == 0
    expected = {"target": "cortex-m7", "model": Path("m.tflite"), "engine": Engine.AOT, "toolchain": None}
    expected |= {"optimize": Optimize.SPEED, "stream": Streaming.NONE}
    given = {"engine": Engine.TFLM, "toolchain": "gcc", "output": Path("build/out"), "name": "kws", "keep_input": True}
    given |= {"tflm_dir": Path("tflm"), "offline_plan": False}
    rest = {"output": None, "name": None, "keep_input": False, "tflm_dir": None, "offline_plan": True}
    assert asked == {**expected, **(rest if output is None else given)}
