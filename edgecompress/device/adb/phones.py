"""Which phones adb sees, which one is meant, and how one on the network is connected.

`adb connect` exits with 0 when it failed, so its text is matched; `already connected` can be a transport that is offline, so the state is
polled afterwards, and once a dead connection is closed and made again.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass

from edgecompress.device.adb.program import Adb, Patience, find_adb
from edgecompress.errors import DeviceError, EdgeCompressError, LinkError, TargetError

READY = "device"
"""adb's word for a phone that takes commands."""
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_SERIAL = re.compile(r"[A-Za-z0-9\[(][ -~]{0,127}")
_MOST_PHONES = 64
_POLL_S = 0.1
# How long a transport may stay offline before it is closed and made again.
_OFFLINE_SHARE = 0.3
_MODES = {
    "bootloader": "in its bootloader",
    "recovery": "in recovery",
    "sideload": "waiting for an update (sideload)",
    "rescue": "in rescue mode",
    "host": "connected as a host",
}


@dataclass(frozen=True)
class Phone:
    """One line of `adb devices -l`.

    Attributes:
        serial: adb's name of it; an address and port when it is on the network.
        state: `device` when it takes commands; `offline`, `unauthorized`, `no permissions ...` and others when not.
        model, product, device: as the phone names them; empty unless it takes commands.
        transport: adb's number of the connection; empty when adb does not say.
    """

    serial: str
    state: str
    model: str = ""
    product: str = ""
    device: str = ""
    transport: str = ""


def list_phones(*, patience: Patience | None = None) -> tuple[Phone, ...]:
    """Every phone that adb sees, in whichever state. Starts adb's server when none runs.

    Raises:
        ToolError: adb is not installed, or its server does not start.
    """
    return _list(Adb(find_adb(), patience=patience or Patience()))


def choose_phone(serial: str | None, *, patience: Patience) -> Adb:
    """adb for the phone that is meant, which is ready to take commands.

    Args:
        serial: a serial number of `list_phones`, or `host:port`, which is connected first; None for the one that is there, or
            $ANDROID_SERIAL.

    Raises:
        TargetError: that can be no serial number.
        DeviceError: there is none or several, it is not there, or it is not ready.
        LinkError: it is offline.
        ToolError: adb is not installed, or its server does not start.
    """
    adb = Adb(find_adb(), patience=patience)
    wanted = serial or os.environ.get("ANDROID_SERIAL") or None
    if wanted is None:
        return _only_phone(adb)
    if not _SERIAL.fullmatch(wanted):
        raise TargetError(f"{wanted!r} can be no phone's serial number", hint="adb devices -l lists them")
    one = Adb(adb.program, wanted, patience)
    if is_address(wanted):
        connect(one)
        return one
    phones = _list(adb)
    found = next((phone for phone in phones if phone.serial == wanted), None)
    if found is None:
        seen = f"adb sees {_shown(phones)}" if phones else "adb sees no phone at all"
        raise DeviceError(f"adb:{wanted} is not connected; {seen}", hint="connect it, and switch on USB debugging in its Developer options")
    _require_ready(found)
    return one


def is_address(serial: str) -> bool:
    """Whether a serial number is that of a phone on the network."""
    return _ADDRESS.fullmatch(serial) is not None


def connect(adb: Adb) -> None:
    """Connect `adb.serial`, an address and port, and wait until it takes commands.

    Raises:
        DeviceError: nothing answers there, or it has not allowed this computer.
        LinkError: it stays offline, even when connected afresh.
    """
    _connect_once(adb)
    if _becomes_ready(adb, adb.patience.connect_s * _OFFLINE_SHARE):
        return
    _disconnect(adb)
    _connect_once(adb)
    if not _becomes_ready(adb, adb.patience.connect_s):
        _disconnect(adb)
        raise adb.error("device offline", doing="adb connect")


def _connect_once(adb: Adb) -> None:
    """Let adb connect; an address where nothing answers does not stay in adb's list.

    Raises:
        DeviceError, LinkError: it cannot.
    """
    text = adb.call("connect", adb.serial, timeout_s=adb.patience.connect_s).text
    if re.search(r"^(?:already )?connected to ", text, re.MULTILINE):
        return
    if "failed to authenticate" not in text:
        _disconnect(adb)
    raise adb.error(text, doing="adb connect")


def _disconnect(adb: Adb) -> None:
    adb.call("disconnect", adb.serial)


def _becomes_ready(adb: Adb, limit_s: float) -> bool:
    """Poll the phone's state; False when it stays offline.

    Raises:
        DeviceError: it has not allowed this computer.
    """
    deadline = time.monotonic() + limit_s
    while True:
        answer = adb.call("get-state")
        if answer.stdout.strip() == READY.encode():
            return True
        error = adb.error(answer.text, doing="adb get-state")
        if not isinstance(error, LinkError):
            raise error
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)


def wait_ready(adb: Adb) -> bool:
    """Give a phone that was lost a moment to come back; one on the network is connected again."""
    try:
        if is_address(adb.serial):
            connect(adb)
            return True
        return _becomes_ready(adb, adb.patience.connect_s * _OFFLINE_SHARE)
    except EdgeCompressError:
        return False


def _list(adb: Adb) -> tuple[Phone, ...]:
    return parse_devices(adb.ask("devices", "-l"))


def parse_devices(text: str) -> tuple[Phone, ...]:
    """Phones of the text of `adb devices -l`; lines of any other form are left out."""
    found = (_parse_line(line) for line in text.splitlines()[: _MOST_PHONES * 4])
    return tuple(phone for phone in found if phone is not None)[:_MOST_PHONES]


def _parse_line(line: str) -> Phone | None:
    match = re.fullmatch(r"(\S{1,128})\s+(no permissions.*?|[a-z]+)((?:\s+[a-z_]+:\S*)*)\s*", line)
    if match is None or line.startswith("*"):
        return None
    properties = dict(word.split(":", 1) for word in match[3].split())
    return Phone(
        serial=match[1],
        state=match[2].strip(),
        model=_clean(properties.get("model", "")).replace("_", " "),
        product=_clean(properties.get("product", "")),
        device=_clean(properties.get("device", "")),
        transport=_clean(properties.get("transport_id", "")),
    )


def _clean(word: str) -> str:
    return "".join(character for character in word if character.isprintable())[:64]


def _only_phone(adb: Adb) -> Adb:
    phones = _list(adb)
    if not phones:
        raise adb.error("no devices/emulators found", doing="adb devices")
    if len(phones) > 1:
        raise DeviceError(f"adb sees {len(phones)} phones: {_shown(phones)}", hint=f"name one: adb:{phones[0].serial}")
    _require_ready(phones[0])
    return Adb(adb.program, phones[0].serial, adb.patience)


def _shown(phones: tuple[Phone, ...]) -> str:
    return ", ".join(f"{phone.serial} ({phone.model if phone.state == READY and phone.model else phone.state})" for phone in phones)


def _require_ready(phone: Phone) -> None:
    """Refuse a phone that takes no commands.

    Raises:
        DeviceError, LinkError: with why, and what to do.
    """
    if phone.state == READY:
        return
    adb = Adb("", phone.serial)
    if phone.state in _MODES:
        raise DeviceError(f"{adb.phone} is {_MODES[phone.state]}, not in Android", hint="start Android on it: adb reboot")
    raise adb.error(f"device {phone.state}", doing="adb devices")
