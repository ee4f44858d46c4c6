"""Profiles side by side: one row a fact, one column a profile, ratios against one of them, the best of each row marked.

`cells` are the nouns and the arithmetic, `facts` the rows of a profile, `table` the comparison, `terminal` its picture, `documents` the
forms for other programs and pages, `ops` the same per layer.
"""

from __future__ import annotations

from edgecompress.report.compare.cells import Better, Cell, Comparison, Row, format_latency, format_ratio, with_ratios
from edgecompress.report.compare.table import compare
from edgecompress.report.compare.terminal import show

__all__ = ["Better", "Cell", "Comparison", "Row", "compare", "format_latency", "format_ratio", "show", "with_ratios"]
