"""What a phone says about itself, as far as it tells without root: None where it does not.

One script asks everything, so that it is one call of adb. Properties: https://source.android.com/docs/core/architecture/configuration;
frequencies: Documentation/ABI/testing/sysfs-devices-system-cpu of the Linux kernel; thermal status 0 to 6: android.os.PowerManager.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.device.remote import Remote
from edgecompress.errors import LinkError

_TIMEOUT_S = 60.0
_MOST_CHARACTERS = 100
_MOST_CORES = 64
_PROPERTIES = {
    "manufacturer": "ro.product.manufacturer",
    "model": "ro.product.model",
    "android": "ro.build.version.release",
    "sdk": "ro.build.version.sdk",
    "abis": "ro.product.cpu.abilist",
    "soc_model": "ro.soc.model",
    "soc_manufacturer": "ro.soc.manufacturer",
    "platform": "ro.board.platform",
    "build": "ro.build.fingerprint",
}
_CORES = "/sys/devices/system/cpu"
_COMMANDS = {
    **{key: f"getprop {name}" for key, name in _PROPERTIES.items()},
    "kernel": "uname -r",
    "cores": f"for c in {_CORES}/cpu[0-9]*; do echo ${{c##*/}} $(cat $c/cpufreq/cpuinfo_max_freq); done",
    "saver": "settings get global low_power",
    "thermal": "dumpsys thermalservice | grep -m 1 'Thermal Status:'",
    "battery": "dumpsys battery",
}
_SCRIPT = "; ".join(f"echo; echo '[{key}]'; {command}" for key, command in _COMMANDS.items()) + "; true"


@dataclass(frozen=True)
class PhoneFacts:
    """What a phone says about itself. None: it does not say.

    Attributes:
        android: its version, as people write it: `14`.
        sdk: the API level: 34.
        abis: what its programs may be built for, the best first: `arm64-v8a`.
        soc: the chip, with its maker where Android 12 or newer says so; else the board's platform name.
        build: the build's fingerprint.
        core_max_khz: the highest frequency of each core, by its number; a core that hides it is None.
        battery_saver: whether it saves power.
        thermal_status: 0 (none) to 6 (shutdown).
        battery_percent, battery_celsius, charging: as the battery service reports them.
    """

    manufacturer: str | None
    model: str | None
    android: str | None
    sdk: int | None
    abis: tuple[str, ...]
    soc: str | None
    build: str | None
    kernel: str | None
    core_max_khz: tuple[int | None, ...]
    battery_saver: bool | None
    thermal_status: int | None
    battery_percent: int | None
    battery_celsius: float | None
    charging: bool | None

    @property
    def title(self) -> str:
        """The phone in a few words: `Google Pixel 8, Android 14, Google Tensor G3`."""
        maker = self.manufacturer if self.manufacturer and not (self.model or "").lower().startswith(self.manufacturer.lower()) else None
        phone = " ".join(word for word in (maker, self.model) if word) or "a phone"
        return ", ".join(word for word in (phone, f"Android {self.android}" if self.android else None, self.soc) if word)


def phone_facts(remote: Remote) -> PhoneFacts:
    """Ask a phone about itself.

    Raises:
        DeviceError, LinkError: the link was lost, or the phone does not answer in time.
    """
    finished = remote.run(("sh", "-c", _SCRIPT), timeout_s=_TIMEOUT_S)
    if finished.exit_code != 0:
        raise LinkError(f"{remote.name}: does not say what it is (exit code {finished.exit_code})", hint="try again")
    return parse_facts(finished.stdout.decode("utf-8", "replace"))


def parse_facts(text: str) -> PhoneFacts:
    """Facts from the script's output, which is untrusted."""
    said = _sections(text)
    battery = said["battery"]
    tenths = _number(battery, r"^\s*temperature: (-?\d+)\s*$", -500, 2000)
    return PhoneFacts(
        manufacturer=_words(said["manufacturer"]),
        model=_words(said["model"]),
        android=_words(said["android"]),
        sdk=_number(said["sdk"], r"\A\s*(\d+)\s*\Z", 1, 1000),
        abis=tuple(re.findall(r"[a-z0-9_-]{1,20}", said["abis"])[:8]),
        soc=_soc(said),
        build=_words(said["build"]),
        kernel=_words(said["kernel"]),
        core_max_khz=_core_frequencies(said["cores"]),
        battery_saver={"0": False, "1": True}.get(said["saver"].strip()),
        thermal_status=_number(said["thermal"], r"Thermal Status: (\d+)", 0, 6),
        battery_percent=_number(battery, r"^\s*level: (\d+)\s*$", 0, 100),
        battery_celsius=None if tenths is None else tenths / 10,
        charging=_charging(battery),
    )


def _sections(text: str) -> Mapping[str, str]:
    """Each command's output, empty where it printed nothing or was not reached."""
    parts = re.split(rf"^\[({'|'.join(_COMMANDS)})\]\r?$", text, flags=re.MULTILINE)
    said = dict.fromkeys(_COMMANDS, "")
    for key, output in zip(parts[1::2], parts[2::2], strict=False):
        said[key] = said[key] or output.strip("\r\n")
    return said


def _words(output: str) -> str | None:
    """One line of printable text, or None when there is none."""
    line = next(iter(output.splitlines()), "").strip()
    return "".join(character for character in line if character.isprintable())[:_MOST_CHARACTERS] or None


def _number(output: str, pattern: str, least: int, most: int) -> int | None:
    """The first number that a pattern finds, or None when there is none or it is out of range."""
    found = re.search(pattern, output, re.MULTILINE)
    value = int(found[1]) if found and len(found[1]) < 10 else None
    return value if value is not None and least <= value <= most else None


def _soc(said: Mapping[str, str]) -> str | None:
    model = _words(said["soc_model"])
    if model is None:
        return _words(said["platform"])
    maker = _words(said["soc_manufacturer"])
    return model if maker is None or model.lower().startswith(maker.lower()) else f"{maker} {model}"


def _core_frequencies(output: str) -> tuple[int | None, ...]:
    found = {int(core): int(khz) if khz else None for core, khz in re.findall(r"^cpu(\d{1,3})(?: (\d{1,9}))?\s*$", output, re.MULTILINE)}
    count = max(found, default=-1) + 1
    return tuple(found.get(core) for core in range(min(count, _MOST_CORES)))


def _charging(battery: str) -> bool | None:
    powered = re.findall(r"^\s*(?:AC|USB|Wireless|Dock) powered: (true|false)\s*$", battery, re.MULTILINE)
    return "true" in powered if powered else None
