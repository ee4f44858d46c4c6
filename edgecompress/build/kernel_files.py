"""The kernels' sources and headers as a generated folder holds them, so that it compiles by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from edgecompress.resources import resource_dir

# What only our own boards and applications include.
_APP_HEADERS = frozenset({"ec_model.h", "ec_port.h"})


def kernel_files(kernels: Sequence[str]) -> dict[str, str]:
    """`edgecompress/include/*.h` and `edgecompress/kernels/*.c` -> text.

    Args:
        kernels: paths below firmware/, as `GeneratedModel.kernels` has them.
    """
    firmware = resource_dir("firmware")
    headers = sorted(path for path in (firmware / "include").glob("*.h") if path.name not in _APP_HEADERS)
    files = {f"edgecompress/include/{path.name}": path for path in headers}
    files |= {f"edgecompress/kernels/{PurePosixPath(kernel).name}": firmware / kernel for kernel in kernels}
    return {name: path.read_text(encoding="utf-8") for name, path in files.items()}
