"""Devices: what every one of them can do is `Device`; each way to reach one has its own module and one `open_...` function."""

from edgecompress.device.emulator import EmulatedDevice, open_emulator
from edgecompress.device.interface import Device, DeviceModel, check_inputs, device_model

__all__ = ["Device", "DeviceModel", "EmulatedDevice", "check_inputs", "device_model", "open_emulator"]
