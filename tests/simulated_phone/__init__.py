"""A simulated phone: the device side of adb in Python, so that the real adb program connects, copies files and runs programs.

It is not a phone: there is no Android behind it, only a folder of this computer that plays /data/local/tmp, and this computer's shell
with a few commands that answer like a phone's (`getprop`, `dumpsys`, `timeout`). Programs for aarch64 and armv7 run in QEMU's user mode.

    packets    frames of the transport, and streams with one WRTE in flight each
    daemon     a TCP port that adb connects to; which service a stream gets
    shell      shell: and exec: with and without separated outputs
    sync       files: STAT, LIST, SEND, RECV and their second versions
    faults     what goes wrong, at which service and after how many bytes
    sandbox    the phone's folder and commands
    server     a private adb server for the tests

The protocol: docs/dev/protocol.md, docs/dev/sync.md and docs/user in packages/modules/adb of the Android Open Source Project.
"""

from simulated_phone.daemon import SimulatedPhone
from simulated_phone.faults import Fault, FaultKind
from simulated_phone.server import AdbServer

__all__ = ["AdbServer", "Fault", "FaultKind", "SimulatedPhone"]
