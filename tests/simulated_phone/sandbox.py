"""The folder that plays a phone's storage, and the commands that answer like a phone's.

Paths below /data/local/tmp and /sys/devices/system/cpu in a command line are those of the folder; everything else is this computer's.
`timeout` is a script before the real one: it starts programs of other processors through QEMU's user mode, and refuses like toybox.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MAPPED = ("/data/local/tmp", "/sys/devices/system/cpu")
MODEL = "Sim Phone 1"
PROPERTIES = {
    "ro.product.manufacturer": "edgecompress",
    "ro.product.model": MODEL,
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a",
    "ro.soc.model": "SIM76",
    "ro.soc.manufacturer": "Nobody",
    "ro.board.platform": "sim",
    "ro.build.fingerprint": "edgecompress/sim_phone/sim:14/SIM1/1:user/test-keys",
}
BATTERY = "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  level: 81\n  scale: 100\n  temperature: 273"
CORE_MAX_KHZ = (1_800_000, 1_800_000, 2_400_000, None)

_TIMEOUT = """#!/bin/sh
# toybox's timeout -k SECONDS SECONDS PROGRAM ..., and the loader of programs for other processors
after=$2 limit=$3
shift 3
program=$1
case $program in
*/*)
  [ -e "$program" ] || { echo "timeout: exec $program: No such file or directory" >&2; exit 127; }
  [ -x "$program" ] || { echo "timeout: exec $program: Permission denied" >&2; exit 126; }
  case $(od -An -v -tx1 -N20 "$program" | tr -d ' \\n') in
  7f454c46*b700) loader='qemu-aarch64-static -cpu cortex-a76' ;;
  7f454c46*2800) loader='qemu-arm-static -cpu cortex-a15'
    case "$(getprop ro.product.cpu.abilist)" in
    *armeabi*) ;;
    *) echo "/system/bin/sh: $program: not executable: 32-bit ELF file" >&2; exit 126 ;;
    esac ;;
  *) loader= ;;
  esac
  [ -z "$loader" ] || set -- $loader -L @ROOT@ "$@" ;;
*)
  command -v "$program" >/dev/null || { echo "timeout: exec $program: No such file or directory" >&2; exit 127; }
  ;;
esac
exec @TIMEOUT@ -k "$after" "$limit" "$@"
"""


class Sandbox:
    """A phone's storage and commands in a folder of this computer."""

    def __init__(self, root: Path, properties: Mapping[str, str]) -> None:
        self.root = root.resolve()
        self.temporary = self.root / "data" / "local" / "tmp"
        self._commands = self.root / "bin"
        self._running: list[subprocess.Popen[bytes]] = []
        for folder in (self.temporary, self._commands, self.root / "home"):
            folder.mkdir(parents=True)
        self._write_cores()
        self._write_commands({**PROPERTIES, **properties})

    def path(self, name: str) -> Path:
        """The file that plays `name`."""
        return self.root / name.lstrip("/")

    def start(self, command: str, *, merge: bool) -> subprocess.Popen[bytes]:
        """Start a shell on a command line of the phone, with its error stream apart unless `merge`."""
        for prefix in MAPPED:
            command = command.replace(prefix, f"{self.root}{prefix}")
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self.root,
            env={"PATH": f"{self._commands}:{os.environ.get('PATH', os.defpath)}", "HOME": str(self.root / "home"), "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def refuse(self, command: str) -> None:
        """From now on this command may do nothing."""
        self._command(command, f'#!/bin/sh\necho "{command}: Permission denied" >&2\nexit 1\n')

    def left_running(self) -> list[int]:
        """Processes that still work inside the phone's storage."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(self.temporary):
                    found.append(int(entry.name))
        return found

    def files(self) -> list[str]:
        """What is in /data/local/tmp."""
        return sorted(path.name for path in self.temporary.iterdir())

    def stop(self) -> None:
        """End what the phone runs. Whoever reads from it comes to the end by that, and closes its pipes."""
        for process in self._running:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        for pid in self.left_running():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for process in self._running:
            process.wait()

    def _write_cores(self) -> None:
        for core, khz in enumerate(CORE_MAX_KHZ):
            folder = self.path("/sys/devices/system/cpu") / f"cpu{core}" / "cpufreq"
            folder.mkdir(parents=True)
            if khz is not None:
                (folder / "cpuinfo_max_freq").write_text(f"{khz}\n")
                (folder / "scaling_cur_freq").write_text(f"{khz}\n")
        (self.path("/sys/devices/system/cpu") / "possible").write_text(f"0-{len(CORE_MAX_KHZ) - 1}\n")

    def _write_commands(self, properties: Mapping[str, str]) -> None:
        cases = "\n".join(f"{shlex.quote(name)}) echo {shlex.quote(value)} ;;" for name, value in properties.items())
        self._command("getprop", f'#!/bin/sh\ncase "$1" in\n{cases}\n*) echo ;;\nesac\n')
        self._command("settings", '#!/bin/sh\n[ "$3" = low_power ] && echo 0 || echo null\n')
        services = f"battery) echo {shlex.quote(BATTERY)} ;;\nthermalservice) echo 'IsStatusOverride: false'; echo 'Thermal Status: 0' ;;"
        self._command("dumpsys", f'#!/bin/sh\ncase "$1" in\n{services}\n*) echo "Can\'t find service: $1" ;;\nesac\n')
        real = shutil.which("timeout") or "timeout"
        self._command("timeout", _TIMEOUT.replace("@ROOT@", shlex.quote(str(self.root))).replace("@TIMEOUT@", real))

    def _command(self, name: str, text: str) -> None:
        path = self._commands / name
        path.write_text(text)
        path.chmod(0o755)
