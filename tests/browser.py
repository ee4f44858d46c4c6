"""Debian's Chromium, headless, driven over its DevTools protocol through a pair of pipes: one start, any number of pages.

Messages are JSON objects that end in a NUL (`--remote-debugging-pipe`: Chromium reads descriptor 3 and writes 4), so no port is opened and
no client library is needed. https://chromedevtools.github.io/devtools-protocol/ has the methods.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = shutil.which("chromium")
WHAT_IS_MISSING = "needs chromium: apt install chromium"
_REPLY_TIMEOUT_S = 60.0
_COMMON = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe")


class Browser:
    """A running Chromium with one page. `complaints` are the console's lines and uncaught errors, `requests` the addresses asked for."""

    def __init__(self, folder: Path) -> None:
        """Start it with a new profile in `folder`."""
        theirs_in, ours_out = _high_pipe()
        ours_in, theirs_out = _high_pipe()
        run = [str(CHROMIUM), *_COMMON, f"--user-data-dir={folder / 'user'}", "about:blank"]
        # bash and not sh: descriptors of two digits.
        command = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "chromium", *run]
        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stdout=log, stderr=log)
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._numbers = itertools.count(1)
        self._waiting = b""
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._session = None
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What a method of the protocol gives back."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        reply = next(each for each in self._messages() if each.get("id") == number)
        assert "error" not in reply, f"{method}: {reply.get('error')}"
        return dict(reply["result"])

    def open(self, address: str, *, scripts: bool = True) -> None:
        """Show a page; returns when it has loaded. Forgets the complaints and requests of the page before."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.complaints.clear()
        self.requests.clear()
        self._events.clear()
        self.call("Page.navigate", url=address)
        if not any(event["method"] == "Page.loadEventFired" for event in self._events):
            next(each for each in self._messages() if each.get("method") == "Page.loadEventFired")

    def show_as(self, *, width: int = 1200, scheme: str = "light", media: str = "screen") -> None:
        """Emulate a viewport `width` CSS pixels wide, a colour scheme (`light`, `dark`) and a medium (`screen`, `print`)."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value_of(self, script: str) -> Any:
        """What an expression of JavaScript gives, as JSON would hold it."""
        reply = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """One key, down and up: `Tab`, `Enter`, or a letter."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0]))}
        self.call("Input.dispatchKeyEvent", type="keyDown", text={"Enter": "\r", "Tab": ""}.get(key, text or key), **facts)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def print_pdf(self) -> bytes:
        """The page as a printer gets it, on A4, without backgrounds."""
        self.call("Emulation.clearDeviceMetricsOverride")
        self.call("Emulation.setEmulatedMedia", media="print")
        data = self.call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)["data"]
        return base64.b64decode(data)

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Messages as they come; events are noted on the way."""
        end = time.monotonic() + _REPLY_TIMEOUT_S
        while True:
            while b"\0" not in self._waiting:
                ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
                assert ready, f"chromium was silent for {_REPLY_TIMEOUT_S:.0f} s"
                data = os.read(self._in, 1 << 20)
                assert data, "chromium ended"
                self._waiting += data
            line, _, self._waiting = self._waiting.partition(b"\0")
            message = json.loads(line)
            if "method" in message:
                self._note(message)
            yield message

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        facts = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(facts["exceptionDetails"]))
        elif event["method"] == "Runtime.consoleAPICalled":
            self.complaints.append(str(facts["args"]))
        elif event["method"] == "Log.entryAdded":
            self.complaints.append(facts["entry"]["text"])


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are no descriptors that the child uses."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
