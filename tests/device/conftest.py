"""A private adb server and a simulated phone for whoever needs one; tests that ask for them are skipped where adb is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from simulated_phone import AdbServer, SimulatedPhone


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """A private adb server, to which every adb of this session goes."""
    if shutil.which("adb") is None or sys.platform != "linux":
        pytest.skip("needs adb on Linux: apt-get install adb (.ci/packages.txt, group phone)")
    with AdbServer(tmp_path_factory.mktemp("adb-server")) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        patch.delenv("ANDROID_SERIAL", raising=False)
        patch.delenv("EDGECOMPRESS_ADB", raising=False)
        yield server


@pytest.fixture
def make_phone(adb_server: AdbServer, tmp_path: Path) -> Iterator[Callable[..., SimulatedPhone]]:
    """Makes simulated phones, with the arguments of `SimulatedPhone`; adb does not know them yet, and not any more afterwards."""
    with ExitStack() as stack:

        def make(name: str = "phone", **words: object) -> SimulatedPhone:
            phone = stack.enter_context(SimulatedPhone(tmp_path / name, **words))
            stack.callback(_forget, adb_server, phone.serial)
            return phone

        yield make


def _forget(server: AdbServer, serial: str) -> None:
    with suppress(subprocess.SubprocessError):
        server.call("disconnect", serial)


@pytest.fixture
def phone(make_phone: Callable[..., SimulatedPhone]) -> SimulatedPhone:
    """A simulated phone that adb does not know yet."""
    return make_phone()
