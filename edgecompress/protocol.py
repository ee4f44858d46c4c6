"""What the firmware on a serial port speaks."""

from __future__ import annotations

from enum import Enum


class SerialProtocol(Enum):
    """EDGECOMPRESS: our firmware, which speaks both. MLPERF_TINY: any firmware of that benchmark."""

    EDGECOMPRESS = "edgecompress"
    MLPERF_TINY = "mlperf-tiny"
