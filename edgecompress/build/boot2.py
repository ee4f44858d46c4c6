"""The RP2040's second boot stage as its boot ROM wants it: 252 bytes of code, then their CRC-32.

    crc = remainder of x^32 * code by 0x04C11DB7, started with 0xFFFFFFFF, highest bit of each byte first, nothing inverted at the end

RP2040 datasheet 2.8.1.3.1. (It is not zlib's CRC-32, which takes the lowest bit first and inverts the result.)
"""

from __future__ import annotations

from edgecompress.errors import TargetError

BOOT2_BYTES = 256
_CRC_BYTES = 4
_POLYNOMIAL = 0x04C11DB7
_BYTES_PER_LINE = 16


def seal_boot2(code: bytes) -> bytes:
    """The 256 bytes that go to the start of flash: `code`, zeros, the checksum in little-endian order.

    Raises:
        TargetError: the code is longer than 252 bytes.
    """
    room = BOOT2_BYTES - _CRC_BYTES
    if len(code) > room:
        raise TargetError(f"boot2 has {len(code)} bytes; the boot ROM takes {room}", hint="make the board's boot2.S shorter")
    padded = code.ljust(room, b"\0")
    return padded + crc32(padded).to_bytes(_CRC_BYTES, "little")


def crc32(data: bytes) -> int:
    """The boot ROM's checksum of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (_POLYNOMIAL if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def render_boot2(block: bytes) -> str:
    """An assembly file that holds the block in the section that the linker script puts first."""
    rows = [", ".join(f"0x{byte:02x}" for byte in block[at : at + _BYTES_PER_LINE]) for at in range(0, len(block), _BYTES_PER_LINE)]
    lines = "\n".join(f"    .byte {row}" for row in rows)
    return f'    .section .ec_boot,"a",%progbits\n{lines}\n'
