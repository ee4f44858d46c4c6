"""What both engines say about a model's name and about its inputs and outputs."""

from __future__ import annotations

import re

from edgecompress.artifact import TensorSpec
from edgecompress.errors import UserError
from edgecompress.graph import Tensor

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


def checked_name(name: str) -> str:
    """`name` as the prefix of C symbols and files.

    Raises:
        UserError: it is no lower-case C identifier of at most 63 characters, or takes the prefix of the kernels.
    """
    if not _IDENTIFIER.fullmatch(name) or name == "ec" or name.startswith("ec_"):
        raise UserError(
            f"a model's name becomes part of C names: expected lower-case letters, digits and _, not beginning with ec_, came {name!r:.80}",
            hint="give another one with --name",
        )
    return name


def tensor_spec(tensor: Tensor) -> TensorSpec:
    """An input or output as the application sees it; no scale where there is not exactly one."""
    single = tensor.quantization is not None and len(tensor.quantization.scales) == 1
    return TensorSpec(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        bytes=tensor.bytes,
        scale=tensor.scale if single else None,
        zero_point=tensor.zero_point if single else None,
    )
