"""Firmware onto boards, one module a way:

    probe     a debug probe (CMSIS-DAP, ST-LINK, J-Link), through pyocd's Python API
    uf2       a copy to the USB drive that a boot loader shows
    openocd   a debug probe, through OpenOCD as a program
    dfu       a boot loader that speaks USB DFU with ST's extensions, through dfu-util as a program

Each function takes the linked image, writes, verifies what can be read back, and starts the firmware. None of them erases a locked chip.
"""
