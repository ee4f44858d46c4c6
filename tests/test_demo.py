"""The main job, whole: what `make demo` promises holds for the folder that it leaves."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest

from edgecompress.profile import read_profile

CORES = {"cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run through the command line: the folder, and what was printed."""
    output = tmp_path_factory.mktemp("demo") / "out put"
    done = subprocess.run(
        [sys.executable, "-m", "edgecompress", "demo", "-o", str(output)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=output.parent,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return output, done.stdout, json.loads((output / "summary.json").read_text())


@pytest.mark.timeout(900)
def test_accuracy_and_size_are_as_promised(demo, record_property):
    """Pruned int8 is within 2 points of float, and its gzip at least 7.5 times smaller."""
    _, _, summary = demo
    assert set(summary) == {"float", "int8", "pruned_int8"}
    small, large = summary["pruned_int8"], summary["float"]
    assert large["accuracy"] > 0.95
    assert small["accuracy"] >= large["accuracy"] - 0.02
    assert large["gzip_bytes"] / small["gzip_bytes"] >= 7.5
    record_property(
        "result",
        f"demo: accuracy float {large['accuracy']:.4f}, int8 {summary['int8']['accuracy']:.4f}, pruned int8 {small['accuracy']:.4f}; "
        f"gzip {large['gzip_bytes']:,} -> {small['gzip_bytes']:,} B ({large['gzip_bytes'] / small['gzip_bytes']:.2f} times smaller)",
    )


@pytest.mark.timeout(900)
def test_summary_is_true_of_the_files(demo):
    """Sizes are those of the files that the summary names, and 80 % of the pruned model's kernels are zero."""
    output, _, summary = demo
    for entry in summary.values():
        model = (output / entry["model"]).read_bytes()
        assert entry["tflite_bytes"] == len(model)
        assert entry["gzip_bytes"] == len(gzip.compress(model, 9, mtime=0))
    steps = json.loads((output / "pruned_int8" / "report.json").read_text())["steps"]
    assert steps[0]["note"]["sparsity"] >= 0.8


@pytest.mark.timeout(900)
def test_profiles_are_measured_and_equal_the_reference(demo):
    """Four cores with instructions for both int8 models, the host in microseconds for one, no core for float; no byte differs."""
    output, _, summary = demo
    assert summary["float"]["profiles"] == {}
    assert set(summary["int8"]["profiles"]) == CORES | {"local"}
    assert set(summary["pruned_int8"]["profiles"]) == CORES
    for name in ("int8", "pruned_int8"):
        for target, path in summary[name]["profiles"].items():
            profile = read_profile(output / path)
            assert profile.latency.unit == ("us" if target == "local" else "instructions")
            assert profile.accuracy.value == summary[name]["accuracy"]
            if target in CORES:
                assert profile.parity.mismatched_bytes == 0


@pytest.mark.timeout(900)
def test_it_ends_with_the_place_of_its_results(demo):
    """The last lines name the folder, the page of all profiles and the summary; sources of both engines and firmware are there."""
    output, printed, _ = demo
    assert printed.rstrip().endswith(str(output / "summary.json"))
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "9 profiles, 2 models, 5 targets" in page
    assert page.count("Measured as") == 2
    for variant in ("int8", "pruned_int8"):
        assert (output / variant / "generated" / "aot" / f"digits_{variant}.c").is_file()
        assert (output / variant / "generated" / "tflm" / f"digits_{variant}_model.cc").is_file()
        assert (output / variant / "firmware" / "cortex-m4" / "firmware.elf").is_file()
