"""Being written."""

from edgecompress.codegen.lower.rules import Lowering

LOWER: dict[str, Lowering] = {}
