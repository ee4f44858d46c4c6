"""The wheel: all that the package needs travels in it, nothing else does, and it works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    pytest.importorskip("hatchling", reason="hatchling is needed to build the wheel: pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("edgecompress-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds what installing the wheel would copy."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the unpacked wheel, in another folder; PYTHONPATH comes before the editable install."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "edgecompress", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_wheel_holds_firmware_targets_and_samples(wheel):
    """Every file of firmware/, targets/ and calibration_data/ travels, under `edgecompress/_data`."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("firmware", "targets", "calibration_data"):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert files, f"{folder}/ is empty"
        for path in files:
            assert f"edgecompress/_data/{path.relative_to(ROOT).as_posix()}" in names
    assert "edgecompress/py.typed" in names
    for file in ("boot2.S", "boot2.ld"):  # read by name when a Pico's firmware is built
        assert f"edgecompress/_data/firmware/boards/rp2040/{file}" in names


def test_the_wheel_holds_nothing_else(wheel):
    """No tests, no environment, no build results."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edgecompress"}


def test_an_installed_wheel_lists_its_targets(installed, tmp_path):
    """Outside the checkout, the installed package finds its own files."""
    done = run_installed(installed, tmp_path, "targets")
    assert done.returncode == 0, done.stderr
    assert "cortex-m4" in done.stdout
    code = "import edgecompress.resources as r; print(r.resource_dir('targets'))"
    where = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(installed))
