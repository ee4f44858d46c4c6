"""doctor: what is there, what is missing, and how to get it, without importing any of it."""

from __future__ import annotations

import importlib
import importlib.metadata
import shutil

import pytest

from edgecompress.cli import main
from edgecompress.doctor import State, doctor


def finding(part: str):
    """The one finding about a part."""
    (only,) = [finding for finding in doctor() if finding.part == part]
    return only


@pytest.fixture
def no_packages(monkeypatch):
    """No package is installed, this one excepted."""

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)


def test_an_installed_package_shows_its_version():
    """What is there is ok, with the version that its metadata says."""
    found = finding("unicorn")
    assert (found.state, found.found, found.remedy) == (State.OK, importlib.metadata.version("unicorn"), "")


@pytest.mark.usefixtures("no_packages")
def test_a_missing_package_comes_with_its_command():
    """The command asks for the version that this package needs."""
    found = finding("unicorn")
    assert (found.state, found.found) == (State.MISSING, "")
    assert found.remedy == "pip install 'unicorn==2.1.4'"
    assert finding("tensorflow").remedy.startswith("pip install 'tensorflow>=")


def test_another_version_than_the_pinned_one_is_wrong(monkeypatch):
    """unicorn's exact release matters; another one is told apart from a missing one."""
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.0.0")
    assert finding("unicorn").state is State.WRONG


@pytest.mark.usefixtures("no_packages")
def test_where_no_wheel_exists_doctor_says_so(monkeypatch):
    """tflite-micro has no wheel for most platforms; there no pip command would help."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    found = finding("tflite-micro")
    assert found.state is State.MISSING
    assert "no wheel for this platform" in found.remedy
    assert "pip install" not in found.remedy


def test_a_missing_program_comes_with_its_command(monkeypatch):
    """Programs that pip cannot install name their Debian package."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("EDGECOMPRESS_ADB", raising=False)
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    assert finding("qemu-system-arm").remedy == "apt install qemu-system-arm"
    assert finding("adb").state is State.MISSING


def test_a_program_that_does_not_start_is_wrong(monkeypatch, tmp_path):
    """A program that fails is neither there nor missing."""
    broken = tmp_path / "adb"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("EDGECOMPRESS_ADB", str(broken))
    assert finding("adb").state is State.WRONG


def test_a_cache_that_cannot_be_written_is_wrong(monkeypatch, tmp_path):
    """A file in the cache's place is seen before a build fails on it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert finding("cache folder").state is State.WRONG


def test_serial_ports_are_listed(monkeypatch):
    """A port that may not be opened says what to do; without ports one line says that none is needed."""
    from serial.tools import list_ports, list_ports_common

    port = list_ports_common.ListPortInfo("/no/such/port")
    port.description = "board"
    monkeypatch.setattr(list_ports, "comports", lambda: [port])
    found = finding("serial port")
    assert (found.state, found.found) == (State.WRONG, "/no/such/port (board)")
    assert "dialout" in found.remedy
    monkeypatch.setattr(list_ports, "comports", list)
    assert finding("serial port").state is State.MISSING


@pytest.mark.usefixtures("no_packages")
def test_the_command_succeeds_whatever_is_missing(capsys):
    """A diagnosis is no failure."""
    assert main(["doctor"]) == 0
    assert "pip install 'keras>=" in capsys.readouterr().out


def test_packages_are_those_of_the_project():
    """Each package that doctor looks for is one that the project asks for."""
    room = importlib.import_module("edgecompress.doctor")
    assert {package.name for package in room._PACKAGES} <= set(room._requirements())
