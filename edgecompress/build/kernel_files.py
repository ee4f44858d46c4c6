"""The kernels' sources and headers as a generated folder holds them, so that it compiles by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from edgecompress.resources import resource_dir

# What generated sources and the application may include, whatever the kernels include themselves.
_ALWAYS = ("ec_kernels.h", "ec_memory.h")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"(ec_\w+\.h)"', re.MULTILINE)


def kernel_files(kernels: Sequence[str]) -> dict[str, str]:
    """`edgecompress/include/*.h` and `edgecompress/kernels/*.c` -> text: the kernels, and the headers that they need.

    Args:
        kernels: paths below firmware/, as `GeneratedModel.kernels` has them.
    """
    firmware = resource_dir("firmware")
    sources = {PurePosixPath(kernel).name: (firmware / kernel).read_text(encoding="utf-8") for kernel in kernels}
    headers = _headers(firmware / "include", sources.values())
    files = {f"edgecompress/include/{name}": headers[name] for name in sorted(headers)}
    return files | {f"edgecompress/kernels/{name}": text for name, text in sources.items()}


def _headers(folder: Path, sources: Iterable[str]) -> dict[str, str]:
    """Headers that the sources include, and those that these include."""
    found: dict[str, str] = {}
    wanted = {*_ALWAYS, *(name for text in sources for name in _INCLUDE.findall(text))}
    while wanted:
        new = {name: (folder / name).read_text(encoding="utf-8") for name in wanted}
        found |= new
        wanted = {name for text in new.values() for name in _INCLUDE.findall(text)} - found.keys()
    return found
