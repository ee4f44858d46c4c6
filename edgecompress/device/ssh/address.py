"""`USER@HOST:PORT`, as people write it; the user and the port may be left out, and ssh's own configuration knows aliases."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.errors import TargetError

# No part may begin with a dash: ssh would take it for an option.
_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.\\-]{0,63})@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%a-z]{2,64})\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True)
class Address:
    """Where a board is. `user` and `port` are None when ssh's configuration shall say."""

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def login(self) -> str:
        """As ssh takes it: `pi@raspberrypi`."""
        return self.host if self.user is None else f"{self.user}@{self.host}"


def parse_address(text: str) -> Address:
    """Read `USER@HOST:PORT`.

    Raises:
        TargetError: it is none.

    Example:
        >>> parse_address("pi@raspberrypi:2222")
        Address(host='raspberrypi', user='pi', port=2222)
    """
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 1 <= port <= 65535):
        raise TargetError(f"ssh:{text!r} is no USER@HOST or USER@HOST:PORT", hint="for example ssh:pi@raspberrypi or ssh:pi@192.0.2.7:2222")
    return Address(found["host"] or found["ipv6"], found["user"], port)
