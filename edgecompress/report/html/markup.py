"""HTML and SVG that cannot be broken by what stands in it: text is escaped unless it is `Markup` already.

Only `tag` and `joined` make `Markup`, out of escaped parts. Attribute names are written in Python's manner: `class_`, `aria_label`,
`text_anchor` become `class`, `aria-label`, `text-anchor`; names with capitals (`viewBox`) stay as they are.
"""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """Text that is HTML already, each part of it escaped where it was put in."""

    __slots__ = ()


Part = str | None
"""A child of an element: `Markup` as it is, other text escaped, None left out."""
Value = str | int | float | bool | None
"""An attribute: True stands alone (`open`), None and False leave it out."""

_VOID = frozenset({"meta", "link", "br", "hr", "input", "rect", "line", "circle", "path"})
_LANGUAGE_WORDS = {"class_": "class", "name_": "name"}


def tag(name: str, /, *parts: Part, **attributes: Value) -> Markup:
    """The element `name` around `parts`."""
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    if name in _VOID and not parts:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{joined(parts)}</{name}>")


def joined(parts: Iterable[Part], between: str = "") -> Markup:
    """The parts one after another, `between` them escaped text."""
    return Markup(escaped(between).join(escaped(part) for part in parts if part is not None))


def escaped(part: str) -> str:
    """Text as HTML shows it; `Markup` as it is. Control characters, and those that turn the direction of writing, become visible."""
    if isinstance(part, Markup):
        return part
    return html.escape(visible(part), quote=True)


def visible(text: str) -> str:
    """`text` with characters that have no picture of their own written as `\\x1b`; tabs and line ends become spaces."""
    if text.isprintable():
        return text
    spaced = " ".join(text.splitlines()).replace("\t", " ")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in spaced)


def clipped(text: str, length: int) -> str:
    """The first `length` characters at most, the last of them an ellipsis where something is missing."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _attribute(key: str, value: Value) -> str:
    name = _LANGUAGE_WORDS.get(key, key).replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(_number(value))}"'


def _number(value: Value) -> str:
    # Three decimals of a percent are a hundredth of a pixel.
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
