"""`compare`: profiles as columns, their facts as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecompress.errors import UserError
from edgecompress.report.compare.cells import Better, Comparison, Row, with_best, with_points_to, with_ratios_to
from edgecompress.report.compare.facts import FACTS, Fact

if TYPE_CHECKING:
    from edgecompress.profile import Profile


def compare(profiles: Sequence[tuple[str, Profile]], *, baseline: int = 0) -> Comparison:
    """Put profiles side by side.

    Args:
        profiles: (name of the column, profile).
        baseline: the column that ratios refer to, from 0.

    Raises:
        UserError: there is no profile, or no such column.

    Example:
        >>> profile = edgecompress.measure("cortex-m4", Path("digits.tflite"))
        >>> edgecompress.compare([("before", profile), ("after", profile)]).names
        ('before', 'after')
    """
    check_columns(len(profiles), baseline)
    documents = [profile for _, profile in profiles]
    rows = tuple(row for row in (_row(fact, documents, baseline) for fact in FACTS) if row.known)
    return Comparison(tuple(name for name, _ in profiles), rows, baseline)


def check_columns(count: int, baseline: int) -> None:
    """Whether there is something to compare, and with what.

    Raises:
        UserError: no profile, or a baseline beyond them.
    """
    if not count:
        raise UserError(
            "compare needs at least one profile; none was given", hint="measure writes profiles: edgecompress measure ... -o profile.json"
        )
    if not 0 <= baseline < count:
        raise UserError(f"the baseline is profile {baseline} of {count}, counted from 0", hint=f"name one of 0 to {count - 1}")


def _row(fact: Fact, profiles: Sequence[Profile], baseline: int) -> Row:
    cells = [fact.cell_of(profile) for profile in profiles]
    # A difference in points says more of a fraction than a ratio does.
    related = with_points_to(cells, baseline) if fact.better is Better.MORE else with_ratios_to(cells, baseline)
    return Row(fact.metric, related if fact.better is None else with_best(related, fact.better), fact.better)
