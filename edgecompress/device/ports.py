"""Serial ports of this computer, and which of them leads to a board: the one whose USB ids are in the board's target file.

A board's port is that of its debug chip, so two boards of one make look alike; then the serial number of a probe tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecompress.errors import DeviceError
from edgecompress.target import Target

_NAME_IT = "name it with --port, for example --port /dev/ttyACM0"


@dataclass(frozen=True)
class Port:
    """One serial port. `usb_id` is `0483:374b`, or empty where it is no USB device; so is `serial_number`."""

    url: str
    description: str
    usb_id: str = ""
    serial_number: str = ""

    def __str__(self) -> str:
        facts = ", ".join(fact for fact in (self.description, self.usb_id) if fact and fact != "n/a")
        return f"{self.url} ({facts})" if facts else self.url


def list_ports() -> list[Port]:
    """The serial ports of this computer, sorted by name."""
    from serial.tools import list_ports as pyserial

    found = sorted(pyserial.comports(), key=lambda port: str(port.device))
    return [
        Port(
            str(port.device),
            str(port.description or ""),
            "" if port.vid is None or port.pid is None else f"{port.vid:04x}:{port.pid:04x}",
            str(port.serial_number or ""),
        )
        for port in found
    ]


def find_port(target: Target, *, probe: str | None = None) -> Port:
    """The port that leads to a board.

    Args:
        probe: where several look alike, the one with this serial number (or a part of it) is meant.

    Raises:
        DeviceError: none has the board's USB ids, or several have; with the ports that there are.
    """
    ports = list_ports()
    wanted = target.usb.serial if target.usb else ()
    if not wanted:
        raise DeviceError(f"{target.name} does not say by which USB id its serial port is known; {_here(ports)}", hint=_NAME_IT)
    matching = [port for port in ports if port.usb_id in wanted]
    if not matching:
        raise DeviceError(
            f"no serial port has the USB id of {target.name} ({' or '.join(wanted)}); {_here(ports)}",
            hint=f"connect the board by USB, or {_NAME_IT}",
        )
    if probe is not None and len(matching) > 1:
        matching = [port for port in matching if probe.lower() in port.serial_number.lower()] or matching
    if len(matching) > 1:
        raise DeviceError(f"{len(matching)} serial ports could be {target.name}: {_listed(matching)}", hint=_NAME_IT)
    return matching[0]


def matching_names(port: Port, targets: Sequence[Target]) -> list[str]:
    """Names of the targets whose serial port this can be, in the order of `targets`."""
    return [target.name for target in targets if target.usb is not None and port.usb_id in target.usb.serial]


def _here(ports: Sequence[Port]) -> str:
    return f"ports here: {_listed(ports)}" if ports else "no serial port is connected"


def _listed(ports: Sequence[Port]) -> str:
    return ", ".join(str(port) for port in ports)
