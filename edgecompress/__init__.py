"""From a Keras model to int8 firmware that fits the board, with a measured profile that proves it.

The verbs of the command line are functions here, with the same names and the same words. Nothing heavy is imported until a verb is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
