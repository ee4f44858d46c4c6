"""The answer in plain sentences: does it fit, are the bytes the same, what is the best, and what speaks against the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgecompress.report.html.figure import note
from edgecompress.report.html.markup import Markup, tag
from edgecompress.report.html.subjects import Agreement, Fit, Subject, counted, numbers_of
from edgecompress.report.html.words import UNIT_NAMES, fraction, ratio, short_bytes, short_latency


def verdict_section(subjects: Sequence[Subject], baseline: int) -> Markup:
    """The sentences, the first of them large."""
    sentences = [fit_sentence(subjects), parity_sentence(subjects), *best_sentences(subjects, baseline)]
    doubtful = [s for s in subjects if s.profile.validity is not None and not s.profile.validity.valid]
    if doubtful:
        sentences.append(f"Something speaks against the times of {numbers_of(doubtful)}: see the row doubt of the table.")
    first, *rest = sentences
    state = _state(subjects)
    return tag(
        "section", tag("h2", "Verdict"), tag("p", first, class_="headline"), tag("ul", *(tag("li", each) for each in rest)),
        note(f"Numbers name the profiles, as in the table; ratios are against {subjects[baseline].number}."), id="verdict", class_=state,
    )  # fmt: skip


def _state(subjects: Sequence[Subject]) -> str:
    """What the margin says: bad where something is known to be wrong, good where something is known to fit, unknown otherwise."""
    if any(s.fit is Fit.TOO_LARGE or s.agreement is Agreement.DIFFERENT for s in subjects):
        return "bad"
    return "good" if any(s.fit is Fit.FITS for s in subjects) else "unknown"


def fit_sentence(subjects: Sequence[Subject]) -> str:
    """Whether all fit, which do not and by how much, and of how many that is not known."""
    large = [s for s in subjects if s.fit is Fit.TOO_LARGE]
    unknown = [s for s in subjects if s.fit is Fit.UNKNOWN]
    fitting = len(subjects) - len(large) - len(unknown)
    rest = f" Not known: {numbers_of(unknown)}; sizes or limits are missing." if unknown else ""
    if large:
        what, excess = large[0].excess[0]
        verb = "does not fit its target" if len(large) == 1 else "do not fit their targets"
        first = f"{large[0].number} takes {excess:,} B more {what} than there is."
        return f"{counted(len(large), 'profile')} {verb}: {numbers_of(large)}. {first}{rest}"
    if not fitting:
        return "Whether the models fit is not known: no profile has all sizes and limits."
    return ("The model fits its target." if fitting == 1 else f"All {fitting} with known sizes and limits fit their targets.") + rest


def parity_sentence(subjects: Sequence[Subject]) -> str:
    """How many give the reference's bytes."""
    words = {
        Agreement.SAME: "same bytes as the reference",
        Agreement.WITHIN: "different bytes within the tolerance",
        Agreement.DIFFERENT: "different bytes beyond the tolerance",
        Agreement.UNKNOWN: "not compared",
    }
    groups = ((words[kind], [s for s in subjects if s.agreement is kind]) for kind in Agreement)
    return "Outputs: " + "; ".join(f"{text}: {numbers_of(group)}" for text, group in groups if group) + "."


def best_sentences(subjects: Sequence[Subject], baseline: int) -> Iterator[str]:
    """The least latency of each unit, the least flash and RAM, the highest accuracy of each measure; nothing where all are equal."""
    for unit in dict.fromkeys(s.unit for s in subjects):
        name = UNIT_NAMES.get(unit, unit)
        base = subjects[baseline] if subjects[baseline].unit == unit else None
        yield from _least(f"Fewest {name}", [s for s in subjects if s.unit == unit], lambda s: s.latency, base, unit)
    yield from _least("Least flash", subjects, lambda s: s.profile.memory.flash_bytes, subjects[baseline], "bytes")
    yield from _least("Least RAM", subjects, lambda s: s.ram_bytes, subjects[baseline], "bytes")
    measures = dict.fromkeys((s.profile.accuracy.metric, s.profile.accuracy.set) for s in subjects if s.profile.accuracy)
    for metric, data in list(measures)[:4]:
        values = [
            s.profile.accuracy.value
            for s in subjects
            if s.profile.accuracy and (s.profile.accuracy.metric, s.profile.accuracy.set) == (metric, data)
        ]
        spread = fraction(max(values)) if min(values) == max(values) else f"{fraction(min(values))} to {fraction(max(values))}"
        yield f"{metric.capitalize()} on {data}: {spread}."


def _least(
    words: str, subjects: Sequence[Subject], value_of: Callable[[Subject], float | None], base: Subject | None, unit: str
) -> Iterator[str]:
    known = [(value, s) for s in subjects if (value := value_of(s)) is not None]
    if len({value for value, _ in known}) < 2:
        return
    value, best = min(known, key=lambda pair: (pair[0], pair[1].number))
    number = short_bytes(value) if unit == "bytes" else short_latency(value, unit)
    reference = None if base is None else value_of(base)
    against = f", {ratio(value, reference)} of {base.number}" if base is not None and reference and base is not best else ""
    yield f"{words}: {best.number} ({best.label}), {number}{against}."
