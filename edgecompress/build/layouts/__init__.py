"""A model as a project of an ecosystem: pure functions from generated sources and a golden vector to the files of a folder.

All the model's files, kernels included, lie in one folder `model`, where quoted includes find each other without any include path: Arduino
and PlatformIO offer none. Models' names never begin with ec_, so `ec_golden.c` and the kernels cannot meet them there.
"""

from __future__ import annotations

from edgecompress.build.layouts.project import ProjectLayout, layout_files

__all__ = ["ProjectLayout", "layout_files"]
