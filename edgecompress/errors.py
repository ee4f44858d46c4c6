"""Every failure that is not a bug of ours.

    EdgeCompressError
    |-- UserError              what was asked for cannot be done as asked
    |   |-- ModelError         a model file is missing, damaged or of the wrong kind
    |   |   `-- UnsupportedOpError   an op or version that an engine lacks
    |   |-- RecipeError        a recipe says something that no pass understands
    |   |-- DataError          a data function or a calibration set is missing or wrong
    |   |-- TargetError        a target file or name is wrong
    |   |-- StoreError         a store of profiles is damaged, of another program or too new
    |   `-- OutputError        a result cannot be written: full disk, read-only folder
    |-- ToolError              a compiler, converter or emulator that we started failed
    |-- BudgetError            it works but does not fit, or a gate is broken
    |-- DeviceError            a device is absent, silent or faulted
    |   `-- LinkError          the bytes between host and device are late, lost or damaged
    `-- MismatchError          two runtimes that must agree gave different bytes

A message says what was expected, what came, and where. A hint says the next action. Only `edgecompress.cli` turns them into exit codes.
"""


class EdgeCompressError(Exception):
    """An expected failure: one sentence, and what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(EdgeCompressError):
    """What was asked for cannot be done as asked."""


class ModelError(UserError):
    """A model file is missing, damaged or of the wrong kind."""


class UnsupportedOpError(ModelError):
    """An op or op version that the chosen engine or runtime lacks."""


class RecipeError(UserError):
    """A recipe says something that no pass understands."""


class DataError(UserError):
    """A data function or a calibration set is missing or gives the wrong thing."""


class TargetError(UserError):
    """A target name is unknown or its file is wrong."""


class StoreError(UserError):
    """A store of profiles is damaged, belongs to another program, or is too new."""


class OutputError(UserError):
    """A result cannot be written."""


class ToolError(EdgeCompressError):
    """A program that we started failed; the message holds its command and last lines."""


class BudgetError(EdgeCompressError):
    """It works but does not fit, or a gate is broken."""


class DeviceError(EdgeCompressError):
    """A device is absent, silent, or stopped in a fault."""


class LinkError(DeviceError):
    """Bytes between host and device came late, damaged or not at all."""


class MismatchError(EdgeCompressError):
    """Two runtimes that must agree gave different bytes."""
