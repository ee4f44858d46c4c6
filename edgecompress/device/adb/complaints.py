"""What adb and a phone's shell say when something is wrong, and what a person can do about it.

Each line of the tables is a pattern over adb's text (the first that matches wins), what it means, and the next step. The texts were read
from adb 29 and adb 36, and from Android's shell (mksh) and toybox; adb's exit code says nothing beyond "something failed".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.errors import DeviceError, EdgeCompressError, LinkError, OutputError, ToolError

# Text from the phone that a message repeats.
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class _Complaint:
    pattern: str
    kind: type[EdgeCompressError]
    message: str
    hint: str


_ALLOW = (
    'unlock the phone and accept "Allow USB debugging", then try again; when no question appears, choose '
    '"Revoke USB debugging authorizations" in the phone\'s Developer options and reconnect it'
)
SERVER_HINT = "run adb kill-server and try again; ANDROID_ADB_SERVER_PORT chooses another port when something else uses adb's (5037)"
_WIRELESS = (
    'in the phone\'s Developer options switch on "Wireless debugging" and use the address and port shown there '
    "(the first time: adb pair), or run adb tcpip 5555 while it is on a cable"
)
_RECONNECT = "reconnect the phone, check the cable, and try again"

_COMPLAINTS = (
    # adb's own server.
    _Complaint(
        r"server version .* doesn't match this client(?!; killing\.\.\.\s*\Z)[\s\S]*(?:fail|cannot|could not|error)",
        ToolError,
        "two versions of adb take turns in ending each other's server",
        "set EDGECOMPRESS_ADB to the adb that your other tools use (Android Studio: Sdk/platform-tools/adb), then run adb kill-server",
    ),
    _Complaint(
        r"cannot connect to daemon|failed to start daemon|could not read ok from ADB Server|cannot bind|failed to check server version"
        r"|could not install \*smartsocket\*|adb server didn't ACK|daemon still not running",
        ToolError,
        "adb's server cannot be started, or does not answer",
        SERVER_HINT,
    ),
    _Complaint(
        r"ADB_SERVER_PORT must be",
        ToolError,
        "ANDROID_ADB_SERVER_PORT is no port number",
        "unset it, or set it to the port of your adb server",
    ),
    # The way to the phone.
    _Complaint(r"unauthori[sz]ed|failed to authenticate", DeviceError, "{phone} has not allowed this computer to debug it", _ALLOW),
    _Complaint(r"still authorizing|device authorizing", DeviceError, "{phone} is still asking whether this computer may debug it", _ALLOW),
    _Complaint(
        r"no permissions|insufficient permissions",
        DeviceError,
        "this user may not open {phone}'s USB device",
        "on Linux install its udev rules (Debian: apt-get install android-sdk-platform-tools-common), reconnect the phone, "
        "and run adb kill-server; some systems want you in the group plugdev as well",
    ),
    _Complaint(r"device offline|is offline", LinkError, "{phone} is offline: adb knows it, but it does not answer", _RECONNECT),
    _Complaint(
        r"more than one device|more than one emulator", DeviceError, "adb sees several phones", "name one: adb:SERIAL (adb devices -l)"
    ),
    _Complaint(
        r"no devices(?:/emulators)? found",
        DeviceError,
        "no phone is connected",
        "connect one by cable and switch on USB debugging in its Developer options; adb devices -l lists what adb sees",
    ),
    _Complaint(
        r"device '[^'\n]*' not found|device not found|no such device '[^'\n]*'|unknown host service",
        LinkError,
        "{phone} is not connected",
        "adb devices -l lists what adb sees; reconnect the phone and switch on USB debugging in its Developer options",
    ),
    _Complaint(r"Connection refused", DeviceError, "{phone}: nothing answers adb at that address (connection refused)", _WIRELESS),
    _Complaint(
        r"No route to host|Network is unreachable|(?:Operation|Connection) timed out|Host is down",
        DeviceError,
        "{phone}: that address is not reached",
        "bring the phone and this computer into the same network; " + _WIRELESS,
    ),
    _Complaint(
        r"(?:cannot|failed to) resolve host|Name or service not known|nodename nor servname|Temporary failure in name resolution"
        r"|No address associated",
        DeviceError,
        "{phone}: no computer of that name is known",
        "use the address that the phone shows below Wireless debugging",
    ),
    # In the middle of work.
    _Complaint(
        r"cannot (?:write|create) '[^'\n]*': ([^\n]{1,100})",
        OutputError,
        "what {phone} sends cannot be written on this computer: {0}",
        "free some space, or set TMPDIR to another folder",
    ),
    _Complaint(
        r"No space left on device",
        DeviceError,
        "{phone} has no space left for the files of a measurement",
        "free some storage on the phone (everything is written below /data/local/tmp)",
    ),
    _Complaint(
        r"(?:remote|couldn't create|failed to copy|mkdir|mktemp)[^\n]*(?:Permission denied|Read-only file system|Operation not permitted)",
        DeviceError,
        "{phone} does not let adb write below /data/local/tmp",
        "a work profile or a vendor's lock may forbid it: use another phone, or ask who manages this one",
    ),
    _Complaint(
        r"failed to read copy response|error: closed|protocol fault|Connection reset|Broken pipe|device disconnected|transport error"
        r"|couldn't read from device|unexpected EOF|connect failed: closed|\bEOF\b",
        LinkError,
        "{phone} went away in the middle of {doing}",
        _RECONNECT,
    ),
    _Complaint(r"failed to connect|unable to connect|cannot connect", DeviceError, "{phone} does not answer at that address", _WIRELESS),
)

_START_COMPLAINTS = (
    _Complaint(
        r"\b(timeout|sha256sum): (?:inaccessible or )?not found",
        DeviceError,
        "{phone} has no program called {0}",
        "use a phone with Android 8 or newer",
    ),
    _Complaint(
        r"not executable: (32|64)-bit ELF file",
        DeviceError,
        "{phone} cannot run {doing}: it has no support for {0}-bit programs",
        "build it for the phone's own processor (its ABI list says which)",
    ),
    _Complaint(
        r"Exec format error|not executable: magic|unexpected e_machine|is for EM_",
        DeviceError,
        "{phone} cannot run {doing}: it was built for another processor",
        "build it for the phone's own processor (its ABI list says which)",
    ),
    _Complaint(
        r"CANNOT LINK EXECUTABLE[^\n]*?(library \"[^\"\n]{1,80}\" not found|cannot locate symbol \"[^\"\n]{1,80}\")",
        DeviceError,
        "{phone} cannot run {doing}: {0}",
        "use a program that is linked statically, or built for this Android version",
    ),
    _Complaint(
        r"Permission denied",
        DeviceError,
        "{phone} does not let {doing} be executed (permission denied)",
        "it may come without the executable bit; some vendors forbid programs below /data/local/tmp: use another phone",
    ),
    _Complaint(
        r"inaccessible or not found|No such file or directory|not found",
        DeviceError,
        "{phone} finds no program {doing}",
        "it was not copied, or needs a loader that the phone lacks: use a statically linked one",
    ),
)


def explain(text: str, *, phone: str, doing: str) -> EdgeCompressError:
    """The error behind what adb printed.

    Args:
        text: both streams of adb; untrusted.
        phone: what to call the phone.
        doing: what was tried: `adb push`.
    """
    if not text.strip():
        return LinkError(f"{phone} went away in the middle of {doing}; adb did not say why", hint=_RECONNECT)
    return _first(_COMPLAINTS, text, phone, doing) or DeviceError(
        f"{phone}: {doing} failed: {_last_line(text)}", hint="adb devices -l says what adb sees; reconnect the phone and try again"
    )


def explain_start(text: str, *, phone: str, program: str) -> EdgeCompressError | None:
    """Why a program was not started, from the last line of its error stream; None when it seems to have run.

    For exit codes 126 and 127, which are the shell's and the program's own alike.
    """
    return _first(_START_COMPLAINTS, _last_line(text), phone, program)


def known(text: str) -> bool:
    """Whether a text is in the table."""
    return any(re.search(complaint.pattern, text, re.IGNORECASE) for complaint in _COMPLAINTS)


def _first(table: tuple[_Complaint, ...], text: str, phone: str, doing: str) -> EdgeCompressError | None:
    for complaint in table:
        found = re.search(complaint.pattern, text, re.IGNORECASE)
        if found is not None:
            return complaint.kind(complaint.message.format(*found.groups(), phone=phone, doing=doing), hint=complaint.hint)
    return None


def _last_line(text: str) -> str:
    """The last line that says something, short and printable."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    return "".join(character if character.isprintable() else "?" for character in lines[-1].strip())[:_SHOWN_CHARACTERS]
