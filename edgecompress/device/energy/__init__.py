"""Energy of inferences: an instrument measures a board's current while the board marks the inferences by its energy pin.

    open_monitor(Instrument.JOULESCOPE)             amperes and volts, 1 or 2 million samples a second
    open_monitor(Instrument.PPK2, volts=3.3)        amperes, 100,000 samples a second

Each instrument is reached through its own Python package, an optional one. No real instrument has confirmed this.
"""

from __future__ import annotations

from edgecompress.device.energy import joulescope, ppk2
from edgecompress.device.energy.monitor import EnergyMonitor, Reading
from edgecompress.device.energy.window import Window, WindowIntegrator
from edgecompress.errors import UserError
from edgecompress.instrument import Instrument

__all__ = ["EnergyMonitor", "Reading", "Window", "WindowIntegrator", "open_monitor"]

_INPUTS = {Instrument.JOULESCOPE: joulescope.INPUTS, Instrument.PPK2: ppk2.INPUTS}


def open_monitor(instrument: Instrument, *, volts: float | None = None, pin: int = 0, source: bool = False) -> EnergyMonitor:
    """The one instrument of its kind that is connected to this computer.

    Args:
        volts: of the board's supply. A PPK2 must be told; a Joulescope measures it, and takes this for its inputs' level (3.3 when None).
        pin: the instrument's digital input that the board's energy pin is wired to.
        source: a PPK2 feeds the board; else it is an ampere meter in the board's supply.

    Raises:
        UserError: a voltage or an input that the instrument does not have.
        ToolError: the instrument's Python package is not installed.
        DeviceError: no instrument is connected, or several are.
    """
    if not 0 <= pin < _INPUTS[instrument]:
        raise UserError(
            f"a {instrument.value} has no digital input {pin}; expected 0 to {_INPUTS[instrument] - 1}", hint="name the one that is wired"
        )
    if instrument is Instrument.JOULESCOPE:
        return joulescope.open_joulescope(pin=pin, volts=volts)
    if volts is None or not ppk2.LEAST_VOLTS <= volts <= ppk2.MOST_VOLTS:
        came = "none was given" if volts is None else f"{volts:g} came"
        raise UserError(
            f"a PPK2 must know the board's supply, {ppk2.LEAST_VOLTS} to {ppk2.MOST_VOLTS:g} V; {came}",
            hint="add --volts, for example --volts 3.3",
        )
    return ppk2.open_ppk2(volts=volts, pin=pin, source=source)
