"""Profiles as one HTML page that opens offline: `page` puts it together, one module a section, `markup` keeps foreign text harmless."""

from __future__ import annotations

from edgecompress.report.html.history import History, read_history
from edgecompress.report.html.page import render_html, write_html

__all__ = ["History", "read_history", "render_html", "write_html"]
