"""UF2: firmware as a file that a boot loader takes as if it were copied to a USB drive.

    block = 512 bytes: magic, magic, flags, address, 256, number, count, family, 256 bytes of flash, 220 zeros, magic

https://github.com/microsoft/uf2. Each block stands for itself, since the host's file system writes them in any order. Whole erase sectors
are covered, because the RP2040's loader may otherwise leave a sector half written (RP2040 datasheet, erratum RP2040-E14).
"""

from __future__ import annotations

import struct

from edgecompress.elf import Image

PAYLOAD_BYTES = 256
SECTOR_BYTES = 4096
_BLOCK = struct.Struct("<8I476sI")
_MAGIC_START_0, _MAGIC_START_1, _MAGIC_END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_FAMILY_ID_PRESENT = 0x00002000
# What erased flash holds.
_ERASED = b"\xff"


def to_uf2(image: Image, family: int) -> bytes:
    """A firmware as a UF2 file.

    Args:
        family: the id of the chip's boot loader: 0xe48bff56 for an RP2040, 0xe48bff59 for an RP2350 that runs Arm code in secure state.
    """
    sectors = _sectors(image)
    per_sector = SECTOR_BYTES // PAYLOAD_BYTES
    count = len(sectors) * per_sector
    blocks = bytearray()
    for index, (address, data) in enumerate(sorted(sectors.items())):
        for page in range(per_sector):
            at = page * PAYLOAD_BYTES
            payload = bytes(data[at : at + PAYLOAD_BYTES])
            number = index * per_sector + page
            blocks += _BLOCK.pack(
                _MAGIC_START_0, _MAGIC_START_1, _FAMILY_ID_PRESENT, address + at, PAYLOAD_BYTES, number, count, family, payload, _MAGIC_END
            )
    return bytes(blocks)


def _sectors(image: Image) -> dict[int, bytearray]:
    """What flash holds, by the address of each sector that is not left alone."""
    sectors: dict[int, bytearray] = {}
    for segment in image.segments:
        done = 0
        while done < len(segment.data):
            address = segment.load_address + done
            start = address - address % SECTOR_BYTES
            sector = sectors.setdefault(start, bytearray(_ERASED * SECTOR_BYTES))
            part = segment.data[done : done + start + SECTOR_BYTES - address]
            sector[address - start : address - start + len(part)] = part
            done += len(part)
    return sectors
