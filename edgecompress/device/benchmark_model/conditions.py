"""What a machine tells of its cores, temperatures and power, before and after a program of others ran there: null where it does not.

One script asks everything, so that it is one call over the link. Frequencies: sysfs-devices-system-cpu of the Linux kernel's ABI; thermal
status and battery saver: Android's own services, which no other system has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgecompress.conditions import Conditions
from edgecompress.device.native import MAX_CORES, CoreClass
from edgecompress.device.remote import Remote
from edgecompress.errors import UserError

_TIMEOUT_S = 60.0
_MOST_CHARACTERS = 200_000
_SCRIPT = (
    "for c in /sys/devices/system/cpu/cpu[0-9]*; do "
    "echo core ${c##*/cpu} max=$(cat $c/cpufreq/cpuinfo_max_freq) now=$(cat $c/cpufreq/scaling_cur_freq); done; "
    "for z in /sys/class/thermal/thermal_zone[0-9]*; do echo zone $(cat $z/temp) $(cat $z/type); done; "
    "echo machine $(uname -m); "
    "echo allowed $(grep Cpus_allowed_list: /proc/self/status); "
    "if command -v dumpsys > /dev/null; then "
    "echo saver $(settings get global low_power); "
    "echo thermal $(dumpsys thermalservice | grep -m 1 'Thermal Status:'); fi; true"
)
# Sensors that are off report values such as -40 or -273 degrees; no core computes beyond 150.
_COLDEST, _HOTTEST = -30.0, 150.0


@dataclass(frozen=True)
class Seen:
    """One look at a machine.

    Attributes:
        max_khz, now_khz: of the cores that may be used, by their numbers; None for one that hides it.
        machine: as `uname -m` says it.
    """

    max_khz: Mapping[int, int | None] = field(default_factory=dict)
    now_khz: Mapping[int, int | None] = field(default_factory=dict)
    celsius: Mapping[str, float] = field(default_factory=dict)
    machine: str | None = None
    battery_saver: bool | None = None
    thermal_status: int | None = None


def look_at(remote: Remote) -> Seen:
    """Ask the machine.

    Raises:
        DeviceError, LinkError: it does not answer.
    """
    return parse_seen(remote.run(["sh", "-c", _SCRIPT], timeout_s=_TIMEOUT_S).stdout.decode("utf-8", "replace"))


def parse_seen(text: str) -> Seen:
    """What the script's answer says; a line that we do not know says nothing."""
    text = text[:_MOST_CHARACTERS]
    allowed = _allowed(text)
    cores = [
        (int(number), _khz(highest), _khz(now))
        for number, highest, now in re.findall(r"^core (\d{1,4}) max=(\d*) now=(\d*)$", text, re.MULTILINE)
        if int(number) < MAX_CORES and (allowed is None or int(number) in allowed)
    ]
    celsius: dict[str, float] = {}
    for value, kind in re.findall(r"^zone (-?\d{1,7}) (\S[^\n]{0,60})$", text, re.MULTILINE):
        # Thousandths of a degree, which a few phones give as whole degrees.
        degrees = int(value) / 1000 if abs(int(value)) >= 1000 else float(value)
        if _COLDEST <= degrees <= _HOTTEST:
            celsius[kind] = max(degrees, celsius.get(kind, degrees))
    machine = re.search(r"^machine (\S{1,40})$", text, re.MULTILINE)
    saver = re.search(r"^saver ([01])$", text, re.MULTILINE)
    thermal = re.search(r"^thermal Thermal Status: ([0-6])$", text, re.MULTILINE)
    return Seen(
        max_khz={number: highest for number, highest, _ in cores},
        now_khz={number: now for number, _, now in cores},
        celsius=celsius,
        machine=machine[1] if machine else None,
        battery_saver=saver[1] == "1" if saver else None,
        thermal_status=int(thermal[1]) if thermal else None,
    )


def choose_cores(seen: Seen, core: CoreClass | int, threads: int) -> tuple[int, ...] | None:
    """The cores to hold a program to; None for any, or where a machine hides its cores so that no class is known.

    One thread gets one core of the class, several get the class.

    Raises:
        UserError: there is no such core, or it may not be used.
    """
    if core is CoreClass.ANY or (isinstance(core, CoreClass) and not seen.max_khz):
        return None
    if isinstance(core, int):
        if seen.max_khz and core not in seen.max_khz:
            raise UserError(f"there is no core {core}", hint=f"there are {', '.join(map(str, sorted(seen.max_khz)))}")
        return (core,)
    by_speed = sorted(seen.max_khz, key=lambda number: (seen.max_khz[number] or 0, number))
    best = by_speed[-1] if core is CoreClass.FAST else by_speed[0]
    alike = [number for number in sorted(seen.max_khz) if seen.max_khz[number] == seen.max_khz[best]]
    return (best,) if threads == 1 else tuple(alike)


def between(before: Seen, after: Seen, *, threads: int, cores: Sequence[int] | None) -> Conditions:
    """What was seen around a run. Frequencies are those of the last core it was held to, or of the fastest one."""
    fastest = max(before.max_khz, key=lambda number: (before.max_khz[number] or 0, number), default=None)
    speaking = cores[-1] if cores else fastest
    return Conditions(
        threads=threads,
        cores=None if cores is None else tuple(cores),
        core_max_khz=None if speaking is None else before.max_khz.get(speaking),
        khz_before=None if speaking is None else before.now_khz.get(speaking),
        khz_after=None if speaking is None else after.now_khz.get(speaking),
        celsius_before=dict(before.celsius) or None,
        celsius_after=dict(after.celsius) or None,
        thermal_status=_worst(before.thermal_status, after.thermal_status),
        battery_saver=after.battery_saver if before.battery_saver is None else before.battery_saver or after.battery_saver,
    )


def _allowed(text: str) -> set[int] | None:
    """Cores that the system lets a program of ours use, from the kernel's list (`0-3,6`); None where it does not tell."""
    found = re.search(r"^allowed Cpus_allowed_list:\s*(\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*)$", text, re.MULTILINE)
    if found is None:
        return None
    ranges = [part.partition("-") for part in found[1].split(",")]
    return {core for first, _, last in ranges for core in range(int(first), min(int(last or first), MAX_CORES) + 1)}


def _khz(text: str) -> int | None:
    return int(text) if text and 0 < int(text) < 1 << 31 else None


def _worst(before: int | None, after: int | None) -> int | None:
    known = [status for status in (before, after) if status is not None]
    return max(known) if known else None
