"""The page of profiles in a real browser, headless: no error, no request, and the same with and without scripts."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from edgecompress.profile import Latency, Memory, Profile, ProfiledModel
from edgecompress.report.html import render_html

BROWSER = shutil.which("chromium")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium: apt install chromium")


def chromium(folder: Path, address: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The page's document after its script has run; the console goes to stderr."""
    common = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={folder / 'user'}"]
    command = [str(BROWSER), *common, *options, "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Twelve profiles, so that the table can be sorted."""
    latency = Latency(unit="us", min=1, p50=1, p90=1, p99=1, first=1, runs=1)
    model = ProfiledModel(name="toy", sha256=None, macs=None, parameters=None)
    memory = Memory(code_bytes=1, model_bytes=2, harness_bytes=3, flash_bytes=6)
    profile = Profile(target="local", model=model, engine="aot", toolchain=None, latency=latency, memory=memory)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html([(f"p{i}", profile) for i in range(12)]), encoding="utf-8")
    return path


def test_a_browser_finds_no_fault_and_asks_for_nothing_else(page, tmp_path):
    """The console stays silent, the script runs under its policy, and the server sees one request."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = page.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = chromium(tmp_path, f"http://127.0.0.1:{server.server_port}/report.html")
        server.shutdown()
    assert "CONSOLE" not in done.stderr
    assert '<button type="button">' in done.stdout
    assert asked == ["/report.html"]


def test_a_browser_without_scripts_shows_all(page, tmp_path):
    """With its script refused, the table and the charts are there, and no button that would do nothing."""
    quiet = tmp_path / "quiet.html"
    quiet.write_text(
        re.sub("script-src &#x27;.*?&#x27;", "script-src &#x27;none&#x27;", page.read_text(encoding="utf-8")), encoding="utf-8"
    )
    done = chromium(tmp_path, quiet.as_uri())
    assert "<button" not in done.stdout
    assert done.stdout.count('<svg role="img"') == 1
    assert "p11" in done.stdout
