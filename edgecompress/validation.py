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
_TYPES = ("str", "int", "float", "bool")


def first_problem(error: ValidationError) -> str:
    """The first problem of a validation, such as `link.baud: should be a valid integer; 'many' came`."""
    first = error.errors()[0]
    where = _where([str(part) for part in first["loc"]])
    facts = {name: str(value).replace("'kind' | ", "") for name, value in first.get("ctx", {}).items()}
    plain = _PLAIN.get(first["type"])
    message = plain.format_map(facts) if plain else first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    came = facts.get("tag", first["input"])
    shown = f"; {came!r} came" if isinstance(came, str | int | float) and where and first["type"] != _OWN_WORDS else ""
    return f"{where}: {message}{shown}" if where else message


def _where(parts: list[str]) -> str:
    """The field as people write it: steps are counted from 1 and named, `step 1 (prune): epochs`."""
    # Where several types are allowed, the last part is pydantic's name of the one that was tried.
    if parts and (parts[-1] in _TYPES or set(parts[-1]) & set("-[")):
        parts = parts[:-1]
    if len(parts) < 2 or parts[0] != "step" or not parts[1].isdigit():
        return ".".join(parts)
    step = f"step {int(parts[1]) + 1}"
    if len(parts) == 2:
        return step
    name, *field = parts[2:]
    return f"{step} ({name}): {'.'.join(field)}" if field else f"{step} ({name})"


def reason(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read as text."""
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
