"""The workflow of docs/examples does what it says: its commands run in an empty folder, and it stops what is over budget."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
WORKFLOW = EXAMPLES / "github-actions.yml"

DATA = """
import numpy as np

def load():
    rng = np.random.default_rng(0)
    images = rng.random((32, 8, 8, 1), np.float32)
    return {"validation": (images, rng.integers(0, 10, 32)), "calibration": images}
"""


def steps() -> dict[str, str]:
    """The workflow's commands by the name of their step, told by indentation alone."""
    text = WORKFLOW.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for step in re.split(r"(?m)^      - ", text)[1:]:
        name = re.search(r"(?m)^(?: {8})?name: (.+)$", step)
        run = re.search(r"(?m)^ {8}run: (?:\|\n((?: {10}.*\n?)+)|(.+))$", step)
        if name and run:
            found[name[1]] = re.sub(r"(?m)^ {10}", "", run[1]) if run[1] else run[2]
    return found


def test_the_workflow_is_what_a_yaml_reader_sees():
    """The commands that the other tests run are those that GitHub would, in the same order."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is needed: pip install PyYAML")
    document = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    (job,) = document["jobs"].values()
    seen = {step["name"]: step["run"] for step in job["steps"] if "run" in step}
    assert list(seen) == list(steps())
    assert {name: run.strip() for name, run in seen.items()} == {name: run.strip() for name, run in steps().items()}
    # PyYAML is a reader of YAML 1.1, where `on` is a truth.
    assert document[True] == ["push", "pull_request"]
    assert document["permissions"] == {"contents": "read"}


@pytest.fixture(scope="module")
def run_step(tmp_path_factory):
    """Runs one step as GitHub does (bash -e), in a folder with a small untrained model; `edgecompress` is the one under test."""
    import keras

    from edgecompress.demo.model import build_model

    folder = tmp_path_factory.mktemp("repository")
    programs = tmp_path_factory.mktemp("bin")
    (programs / "edgecompress").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edgecompress "$@"\n')
    (programs / "edgecompress").chmod(0o755)
    keras.utils.set_random_seed(0)
    build_model().save(folder / "model.keras")
    (folder / "data.py").write_text(DATA)
    shutil.copy(EXAMPLES / "budget.toml", folder)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-e", "-c", steps()[name]]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False)

    run.folder = folder
    return run


def test_the_workflow_runs_and_stops_what_grew(run_step):
    """Against its own baseline everything is held; against a smaller one the gate is closed, and the summary says which op or section."""
    folder = run_step.folder
    names = list(steps())
    assert names[0] == "Install"
    for name in names[1:3]:
        done = run_step(name)
        assert done.returncode == 0, done.stderr
    # The first baseline is what a run uploads.
    shutil.copytree(folder / "profiles", folder / "baseline")
    for name in names[3:]:
        done = run_step(name)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "## Within budget" in (folder / "summary.md").read_text()

    baseline = folder / "baseline" / "cortex-m4.json"
    text = baseline.read_text()
    latency = re.search(r'"p50": ([0-9.]+)', text)
    assert latency is not None
    baseline.write_text(text.replace(latency[0], f'"p50": {float(latency[1]) * 0.9}'))
    closed = run_step("Hold it to the budget")
    assert closed.returncode == 3, closed.stdout + closed.stderr
    run_step("Show the result on the page of this run")
    assert "**broken** | latency" in (folder / "summary.md").read_text()
    suite = ElementTree.fromstring((folder / "gate.xml").read_bytes())
    assert suite.attrib["failures"] == "1"
