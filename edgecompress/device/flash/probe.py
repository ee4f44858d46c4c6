"""Flashing through a debug probe: pyocd's Python API finds the probe, knows the part's flash, and writes it.

pyocd is an optional package (the extra `flash`); it is imported when it is used. Written against its releases 0.36 to 0.46:
https://pyocd.io/docs/api_examples. Nothing here unlocks a chip, since that erases it: pyocd's `auto_unlock` is off.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgecompress.elf import Image
from edgecompress.errors import DeviceError, ToolError
from edgecompress.progress import Progress
from edgecompress.target import Target

INSTALL = "pip install 'edgecompress[flash]'"
# What is read back at a time: small enough for a bar that moves.
VERIFY_BYTES = 16 << 10
_UDEV = "https://github.com/pyocd/pyOCD/tree/main/udev"


@dataclass(frozen=True)
class Probe:
    """A debug probe by its serial number."""

    id: str
    description: str

    def __str__(self) -> str:
        return f"{self.id} ({self.description})"


def is_installed() -> bool:
    """Whether pyocd is there."""
    return importlib.util.find_spec("pyocd") is not None


def list_probes() -> list[Probe]:
    """The debug probes that pyocd sees, sorted by description.

    Raises:
        ToolError: pyocd is not installed.
        DeviceError: it cannot look for probes.
    """
    return [Probe(str(probe.unique_id), str(probe.description)) for probe in _find_probes()]


def flash_by_probe(image: Image, target: Target, *, probe: str | None, progress: Progress) -> Probe:
    """Write an image, read it back, and reset the board.

    Args:
        target: with `flash.target`, pyocd's name of the part.
        probe: a probe's serial number, or a part of it that only one has; None when there is only one probe.

    Returns:
        The probe that was used.

    Raises:
        ToolError: pyocd is not installed, or does not know the part.
        DeviceError: no probe or no choice among several; the chip is locked, does not answer, or holds other bytes afterwards.
    """
    found = _find_probes()
    chosen = _choose([Probe(str(each.unique_id), str(each.description)) for each in found], probe)
    handle = next(each for each in found if str(each.unique_id) == chosen.id)
    # pyocd changes to a folder of its own when its environment names one.
    with contextlib.chdir("."), _pyocd_errors(target, chosen):
        session = _session(handle, target)
        try:
            _open(session, target, chosen)
            _write(session, image, target, progress)
            _verify(session, image, target, progress)
            progress("resetting", 0, None)
            session.target.reset()
        finally:
            session.close()
    return chosen


def _find_probes() -> list[Any]:
    if not is_installed():
        raise ToolError("pyocd is not installed, which speaks to debug probes", hint=f"{INSTALL}, or choose another --method")
    # Its warnings would mix with ours; what matters comes as an exception.
    logging.getLogger("pyocd").addHandler(logging.NullHandler())
    logging.getLogger("pyocd").propagate = False
    try:
        from pyocd.core.helpers import ConnectHelper

        return list(ConnectHelper.get_all_connected_probes(blocking=False))
    except Exception as e:
        # pyocd passes on what its USB libraries raise, each of which has its own exceptions.
        raise DeviceError(f"pyocd cannot look for debug probes: {_words(e)}", hint="try: pyocd list") from e


def _choose(probes: Sequence[Probe], wanted: str | None) -> Probe:
    if not probes:
        hint = f"connect the board by the USB plug of its debug chip; on Linux, pyocd needs its udev rules ({_UDEV})"
        raise DeviceError("no debug probe is connected", hint=hint)
    listed = ", ".join(str(probe) for probe in probes)
    if wanted is None and len(probes) > 1:
        raise DeviceError(f"{len(probes)} debug probes are connected: {listed}", hint=f"choose one: --probe {probes[0].id}")
    matching = [probe for probe in probes if wanted is None or wanted.lower() in probe.id.lower()]
    if not matching:
        raise DeviceError(f"no debug probe is called {wanted!r}; connected: {listed}", hint=f"choose one: --probe {probes[0].id}")
    exact = [probe for probe in matching if wanted is not None and probe.id.lower() == wanted.lower()] or matching
    if len(exact) > 1:
        raise DeviceError(f"{len(exact)} debug probes are called {wanted!r}: {listed}", hint="give the whole number")
    return exact[0]


def _session(handle: Any, target: Target) -> Any:  # noqa: ANN401 (pyocd is optional)
    from pyocd.core import exceptions
    from pyocd.core.session import Session

    part = target.flash.target if target.flash else None
    options = {
        "target_override": part,
        "auto_unlock": False,
        "no_config": True,
        "hide_programming_progress": True,
    }
    try:
        return Session(handle, auto_open=False, options=options)
    except exceptions.TargetSupportError as e:
        pack = (target.flash.pack if target.flash else None) or part
        hint = f"add it: pyocd pack install {pack}; then flash again"
        raise ToolError(f"pyocd does not know the part {part} of {target.name}", hint=hint) from e


def _open(session: Any, target: Target, probe: Probe) -> None:  # noqa: ANN401
    from pyocd.core import exceptions

    try:
        session.open()
    except exceptions.Error as e:
        if _is_locked(session):
            raise _locked(target, probe) from e
        raise
    if _is_locked(session):
        raise _locked(target, probe)


def _is_locked(session: Any) -> bool:  # noqa: ANN401
    try:
        return bool(session.target.is_locked())
    except Exception:  # asked of a chip that may not even answer: then it is another error that counts
        return False


def _locked(target: Target, probe: Probe) -> DeviceError:
    part = target.flash.target if target.flash else ""
    return DeviceError(
        f"the chip of {target.name} is locked against its debug port",
        hint=f"unlocking erases all it holds: pyocd erase --mass -t {part} -u {probe.id}; then flash again",
    )


class _Stages:
    """pyocd's fractions, 0 to 1 for erasing and then again for writing, as percents of two stages."""

    _NAMES = ("erasing", "writing")

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = 0
        self._percent = 0

    def __call__(self, fraction: float) -> None:
        percent = min(100, max(0, round(fraction * 100)))
        if percent < self._percent and self._stage + 1 < len(self._NAMES):
            self._stage += 1
            self._percent = 0
        self._percent = max(self._percent, percent)
        self._progress(self._NAMES[self._stage], self._percent, 100)


def _write(session: Any, image: Image, target: Target, progress: Progress) -> None:  # noqa: ANN401
    from pyocd.flash.loader import FlashLoader

    loader = FlashLoader(session, progress=_Stages(progress))
    try:
        for segment in image.segments:
            if segment.data:
                loader.add_data(segment.load_address, segment.data)
    except ValueError as e:
        part = target.flash.target if target.flash else ""
        raise DeviceError(
            f"pyocd knows no flash of {part} where the firmware lies: {_words(e)}",
            hint="compare flash.target and memory in the target's file",
        ) from e
    loader.commit()


def _verify(session: Any, image: Image, target: Target, progress: Progress) -> None:  # noqa: ANN401
    total = image.loadable_bytes
    done = 0
    for segment in image.segments:
        for at in range(0, len(segment.data), VERIFY_BYTES):
            wanted = segment.data[at : at + VERIFY_BYTES]
            address = segment.load_address + at
            found = bytes(session.target.read_memory_block8(address, len(wanted)))
            check_bytes(found, wanted, address, target)
            done += len(wanted)
            progress("verifying", done, total)


def check_bytes(found: bytes, wanted: bytes, address: int, target: Target) -> None:
    """Whether flash holds what was written.

    Raises:
        DeviceError: with the first address that does not.
    """
    if found == wanted:
        return
    at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted)))
    raise DeviceError(
        f"the flash of {target.name} holds other bytes than were written, from {address + at:#010x} on",
        hint="flash again; if that repeats, the flash is worn out or write-protected there",
    )


@contextlib.contextmanager
def _pyocd_errors(target: Target, probe: Probe) -> Iterator[None]:
    """What pyocd raises, as our errors."""
    from pyocd.core import exceptions

    from edgecompress.errors import EdgeCompressError

    try:
        yield
    except EdgeCompressError:
        raise
    except exceptions.FlashFailure as e:
        hint = "flash again; if that repeats, that part of flash is write-protected"
        raise DeviceError(f"the flash of {target.name} cannot be written: {_words(e)}", hint=hint) from e
    except exceptions.TransferFaultError as e:
        hint = "it may be protected against reading: unlocking erases all it holds (pyocd erase --mass)"
        raise DeviceError(f"{target.name} refuses access to its memory: {_words(e)}", hint=hint) from e
    except exceptions.TargetError as e:
        hint = "is the board powered, and the right one? Hold its reset button while it connects"
        raise DeviceError(f"the chip behind probe {probe.id} does not answer: {_words(e)}", hint=hint) from e
    except (exceptions.Error, OSError) as e:
        hint = "unplug the probe and plug it in again; close other programs that use it"
        raise DeviceError(f"the debug probe {probe} failed: {_words(e)}", hint=hint) from e


def _words(error: Exception) -> str:
    """An error's first line, or its kind when it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
