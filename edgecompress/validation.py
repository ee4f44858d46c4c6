"""What is wrong with a file that people write, in one sentence: the field, what was expected, and what came."""

from __future__ import annotations

from pydantic import ValidationError

# Messages of pydantic that speak of its own machinery, by the type of the error.
_PLAIN = {
    "extra_forbidden": "there is no such setting",
    "union_tag_not_found": "{discriminator} is missing",
    "union_tag_invalid": "{discriminator} should be one of {expected_tags}",
    "tuple_type": "should be a list",
}
_OWN_WORDS = "value_error"


def first_problem(error: ValidationError) -> str:
    """The first problem of a validation, such as `step.0.epochs: should be a valid integer; 'many' came`."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    facts = {name: str(value).replace("'kind' | ", "") for name, value in first.get("ctx", {}).items()}
    plain = _PLAIN.get(first["type"])
    message = plain.format_map(facts) if plain else first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    came = facts.get("tag", first["input"])
    shown = f"; {came!r} came" if isinstance(came, str | int | float) and where and first["type"] != _OWN_WORDS else ""
    return f"{where}: {message}{shown}" if where else message


def reason(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read as text."""
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
