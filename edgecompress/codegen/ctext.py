"""Pieces of C text: comments, numbers, arrays and structs, wrapped as a person would.

Names that come from a model file are not trusted: only `comment_text` may bring them into a source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from edgecompress.codegen.program import Constant, Field

LINE_WIDTH = 120
INDENT = "    "
_NUMBERS_A_LINE = 24
_COMMENT_LENGTH = 80

SymbolOf = Callable[[Constant], str]


def comment_text(text: str, length: int = _COMMENT_LENGTH) -> str:
    """`text` as it may stand in any C comment: printable ASCII without what could end, nest or continue one, and not longer than
    `length`."""
    kept = "".join(c if c.isascii() and c.isprintable() and c not in "*\\?`\"'" else "_" for c in text)
    # "//" would be the start of a comment in a comment, which compilers warn of.
    kept = kept.replace("//", "/_").strip()
    return kept if len(kept) <= length else kept[: length - 3] + "..."


def float_literal(value: float) -> str:
    """The shortest C float literal that gives this float32 back."""
    text = str(np.float32(value))
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def shape_text(shape: Sequence[int]) -> str:
    """`[1,64]`; a scalar is `[]`."""
    return "[" + ",".join(str(n) for n in shape) + "]"


def wrap_list(items: Iterable[str], indent: str, most: int = _NUMBERS_A_LINE) -> str:
    """`items` with a comma after each, at most `most` a line, no line beyond LINE_WIDTH unless a single item is."""
    lines: list[str] = []
    line: list[str] = []
    used = len(indent)
    for item in items:
        size = len(item) + 2
        if line and (used + size - 1 > LINE_WIDTH or len(line) == most):
            lines.append(indent + " ".join(line))
            line, used = [], len(indent)
        line.append(f"{item},")
        used += size
    if line:
        lines.append(indent + " ".join(line))
    return "\n".join(lines)


def array_values(constant: Constant) -> str:
    """The values of a constant as lines of an initializer: numbers, or `{ a, b }` for the rows of a struct."""
    if constant.values.ndim == 2 and not constant.c_type.endswith("_t"):
        rows = ["{ " + ", ".join(str(v) for v in row) + " }" for row in constant.values.tolist()]
        return wrap_list(rows, INDENT, most=4)
    flat = constant.values.reshape(-1).tolist()
    most = 20 if constant.c_type in ("int8_t", "uint8_t") else 8
    return wrap_list([str(v) for v in flat], INDENT, most)


def constant_declarator(constant: Constant, symbol: str) -> str:
    """`const int8_t kws_op1_weights[640]`."""
    return f"const {constant.c_type} {symbol}[{constant_length(constant)}]"


def constant_length(constant: Constant) -> int:
    """Elements of a constant, in its C type."""
    rows = constant.values.ndim == 2 and not constant.c_type.endswith("_t")
    return constant.values.shape[0] if rows else constant.values.size


def struct_lines(fields: Mapping[str, Field], symbol_of: SymbolOf) -> str:
    """Designated initializers of a struct, as many a line as fit."""
    return wrap_list((f".{name} = {field_text(value, symbol_of)}" for name, value in fields.items()), INDENT)


def field_text(value: Field, symbol_of: SymbolOf) -> str:
    """One value of an initializer."""
    match value:
        case Constant():
            return symbol_of(value)
        case Mapping():
            return "{ " + ", ".join(f".{k} = {field_text(v, symbol_of)}" for k, v in value.items()) + " }"
        case tuple():
            return "{ " + ", ".join(field_text(v, symbol_of) for v in value) + " }"
        case _:
            return str(value)
