"""What every test run ends with: the toy's sizes, because a size is a result."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded with `record_property("result", ...)`; it travels from xdist's workers with their reports."""
    results = [value for report in terminalreporter.getreports("passed") for name, value in report.user_properties if name == "result"]
    if results:
        terminalreporter.section("results")
        for line in sorted(set(results)):
            terminalreporter.write_line(line)
