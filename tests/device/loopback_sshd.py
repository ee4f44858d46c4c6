"""A real sshd on loopback, for tests: its own keys, its own port, run as this user, and ended by its process number."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 20.0


def find_sshd() -> str | None:
    """sshd wants to be started by its absolute path; it is rarely on a user's PATH."""
    found = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    return found if found and shutil.which("ssh") and shutil.which("ssh-keygen") else None


@dataclass(frozen=True)
class Sshd:
    """A running server. `folder` is what its sessions have as TMPDIR."""

    process: subprocess.Popen[bytes]
    port: int
    keys: Path
    folder: Path

    @property
    def address(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    def options(self, *, key: str = "user", hosts: str = "known_hosts") -> tuple[str, ...]:
        """Words for ssh: no configuration but ours, this key, these known hosts."""
        settings = {
            "IdentityFile": self.keys / key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.keys / hosts,
            "GlobalKnownHostsFile": os.devnull,
            "IdentityAgent": "none",
        }
        return ("-F", os.devnull, *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_sshd(keys: Path) -> Iterator[Sshd]:
    """Start one; `keys` is an empty folder of ours."""
    sshd = find_sshd()
    assert sshd is not None
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True, timeout=60)
    folder = keys / "board"
    folder.mkdir()
    port = free_port()
    shutil.copyfile(keys / "user.pub", keys / "authorized_keys")
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
    (keys / "wrong_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'stranger.pub').read_text()}")
    (keys / "no_hosts").write_text("")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where root's sshd locks itself in before a login
    (keys / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys / 'host'}\nAuthorizedKeysFile {keys / 'authorized_keys'}\nPidFile none\n"
        "UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        f"SetEnv TMPDIR={folder}\n"
    )
    with (keys / "log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(keys / "sshd_config")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (keys / "log").read_text()
            assert time.monotonic() < end, "sshd did not listen"
            time.sleep(0.05)
        yield Sshd(process, port, keys, folder)
    finally:
        process.terminate()
        process.wait(10)
