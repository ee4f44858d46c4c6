"""A private adb server for the tests: its own port and home, so that neither phones nor keys of this computer are touched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_START_S = 30.0
_END_S = 10.0
# No longer does it outlive a test run that was killed.
_MOST_S = "3600"


class AdbServer:
    """A context manager; adb finds it by ANDROID_ADB_SERVER_PORT = `port`."""

    def __init__(self, folder: Path, *, program: str | None = None) -> None:
        found = program or shutil.which("adb")
        if found is None:
            raise FileNotFoundError("adb")
        self.program = found
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._environment = {
            **os.environ,
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "HOME": str(folder),
            "ANDROID_USER_HOME": str(folder),
            "TMPDIR": str(folder),
            "ADB_MDNS_AUTO_CONNECT": "0",
            # Emulators of this computer are not looked for.
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "5554",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        log = (self.folder / "adb-server.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                ["timeout", _MOST_S, self.program, "nodaemon", "server"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "adb-server.log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(self, *words: str) -> str:
        """What adb prints; CalledProcessError when it fails."""
        done = subprocess.run(
            [self.program, *words], env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_START_S
        )
        return done.stdout.decode("utf-8", "replace")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as link:
                link.sendall(b"000chost:version")
                return link.recv(4) == b"OKAY"
        except OSError:
            return False
