"""From a Keras model to int8 firmware that fits the board, with a measured profile that proves it.

The verbs of the command line are functions here, with the same names and the same words:

    demo  compress  sensitivity  inspect  verify  generate  build  flash  run  measure  compare  profiles  gate  targets  doctor

`build_android` and `build_ios` are the commands `build android` and `build ios`.

Nothing is imported until a name is used, so `import edgecompress` costs nothing.

Example:
    >>> import edgecompress
    >>> profile = edgecompress.measure("cortex-m4", Path("digits.tflite"))
    >>> edgecompress.write_profile(profile, Path("profile.json"))
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecompress.artifact import Engine, Firmware
    from edgecompress.doctor import doctor
    from edgecompress.errors import (
        BudgetError,
        DataError,
        DeviceError,
        EdgeCompressError,
        LinkError,
        MismatchError,
        ModelError,
        OutputError,
        RecipeError,
        StoreError,
        TargetError,
        ToolError,
        UnsupportedOpError,
        UserError,
    )
    from edgecompress.gate import gate
    from edgecompress.pipeline.android import build_android
    from edgecompress.pipeline.compress import compress
    from edgecompress.pipeline.demo import demo
    from edgecompress.pipeline.firmware import build, generate, run
    from edgecompress.pipeline.flash import flash
    from edgecompress.pipeline.inspect import inspect
    from edgecompress.pipeline.machines import MachineOptions
    from edgecompress.pipeline.measure import measure
    from edgecompress.pipeline.sensitivity import sensitivity
    from edgecompress.pipeline.swift import build_ios
    from edgecompress.pipeline.verify import verify
    from edgecompress.profile import Profile, read_profile, write_profile
    from edgecompress.report.compare import compare
    from edgecompress.store import ProfileStore, profiles
    from edgecompress.target import Target, load_target
    from edgecompress.target import all_targets as targets

__version__ = "0.1.0"

__all__ = [
    "BudgetError",
    "DataError",
    "DeviceError",
    "EdgeCompressError",
    "Engine",
    "Firmware",
    "LinkError",
    "MachineOptions",
    "MismatchError",
    "ModelError",
    "OutputError",
    "Profile",
    "ProfileStore",
    "RecipeError",
    "StoreError",
    "Target",
    "TargetError",
    "ToolError",
    "UnsupportedOpError",
    "UserError",
    "build",
    "build_android",
    "build_ios",
    "compare",
    "compress",
    "demo",
    "doctor",
    "flash",
    "gate",
    "generate",
    "inspect",
    "load_target",
    "measure",
    "profiles",
    "read_profile",
    "run",
    "sensitivity",
    "targets",
    "verify",
    "write_profile",
]

_HOMES = {
    "artifact": ("Engine", "Firmware"),
    "doctor": ("doctor",),
    "pipeline": ("build", "compress", "demo", "generate", "inspect", "measure", "run"),
    "gate": ("gate",),
    "pipeline.flash": ("flash",),
    "pipeline.android": ("build_android",),
    "pipeline.machines": ("MachineOptions",),
    "pipeline.sensitivity": ("sensitivity",),
    "pipeline.swift": ("build_ios",),
    "pipeline.verify": ("verify",),
    "profile": ("Profile", "read_profile", "write_profile"),
    "report.compare": ("compare",),
    "store": ("ProfileStore", "profiles"),
    "target": ("Target", "load_target"),
}
_HOME_OF = {name: (home, name) for home, names in _HOMES.items() for name in names} | {"targets": ("target", "all_targets")}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'edgecompress' has no attribute {name!r}")
    home, attribute = _HOME_OF.get(name, ("errors", name))
    value = getattr(import_module(f"edgecompress.{home}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps verbs verbs: some share their name with a room (compress/, build/, doctor.py).

    Importing a submodule binds it as an attribute of its package, which would put the room in the function's place. Rooms are reached by
    `from edgecompress.build import ...`, which does not look at that attribute.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
