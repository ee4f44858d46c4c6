"""ELF images: addresses turn into names, and sizes into a verdict."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgecompress.artifact import Engine, MemorySizes, ModelInfo, PlannedBuffer
from edgecompress.build.sizes import check_fits, check_ram, measure_sizes
from edgecompress.elf import MAX_FILE_BYTES, Image, Section, Segment, Symbol, read_elf
from edgecompress.errors import BudgetError, ModelError
from edgecompress.target import load_target

IMAGE = Image(
    entry=0x41,
    segments=(Segment(0, 0, bytes(0x200), 0x200), Segment(0x20001000, 0x200, bytes(8), 8), Segment(0x20000000, 0x20000000, b"", 0x1000)),
    sections={
        ".text": Section(0, 0x180, True),
        ".ec_model": Section(0x180, 0x80, True),
        ".data": Section(0x20001000, 8, True),
        ".bss": Section(0x20001100, 24, False),
        ".ec_arena": Section(0x20001010, 64, False),
    },
    symbols=(Symbol("kws_invoke", 0x40, 0x20), Symbol("label", 0x60, 0), Symbol("kws_w0", 0x180, 0x20), Symbol("kws_w1", 0x1A0, 0x60)),
    manifest=None,
)

INFO = ModelInfo(
    name="kws",
    sha256="00" * 32,
    engine=Engine.AOT,
    macs=0,
    parameters=0,
    arena_bytes=64,
    inputs=(),
    outputs=(),
    steps=(),
    plan=(PlannedBuffer("mfcc", 0, 40, 0, 0), PlannedBuffer("scratch", 40, 24, 0, 0)),
)


def test_an_address_is_described_by_its_symbol():
    """Inside a symbol: name and offset; outside all: the bare address."""
    assert IMAGE.describe(0x40) == "kws_invoke"
    assert IMAGE.describe(0x52) == "kws_invoke+0x12"
    assert IMAGE.describe(0x60) == "label"
    assert IMAGE.describe(0x62) == "0x00000062"
    assert IMAGE.describe(0x20) == "0x00000020"


def test_a_missing_symbol_is_a_model_error():
    """Looking up a symbol that is not there says which."""
    assert IMAGE.symbol("kws_w1") == 0x1A0
    with pytest.raises(ModelError, match="no symbol kws_step"):
        IMAGE.symbol("kws_step")


def test_sizes_come_from_sections_and_segments():
    """Model and arena are sections, the harness is what remains of the loadable bytes, static RAM leaves the arena out."""
    assert measure_sizes(IMAGE, 0x100) == MemorySizes(
        code_bytes=0x100, model_bytes=0x80, harness_bytes=0x88, arena_bytes=64, static_ram_bytes=32
    )


def test_a_budget_error_counts_the_bytes_and_names_the_tensor():
    """Too little flash names the largest constant, too little RAM the largest buffer; an exact fit is a fit."""
    target = load_target("cortex-m4")
    flash, ram = target.region("flash"), target.region("ram")
    sizes = measure_sizes(IMAGE, 0x100)

    def with_bytes(flash_bytes: int, ram_bytes: int):
        regions = (flash.model_copy(update={"bytes": flash_bytes}), ram.model_copy(update={"bytes": ram_bytes}))
        return target.model_copy(update={"memory": regions})

    ram_needed = 64 + target.stack_bytes + 32
    check_fits(IMAGE, sizes, INFO, with_bytes(0x208, ram_needed))
    with pytest.raises(BudgetError, match=r"520 B of flash, 1 B more than the 519 B.*the largest tensor is kws_w1 with 96 B"):
        check_fits(IMAGE, sizes, INFO, with_bytes(0x207, ram_needed))
    with pytest.raises(BudgetError, match=r"4,192 B of RAM, 1 B more than the 4,191 B.*the largest tensor is mfcc with 40 B"):
        check_fits(IMAGE, sizes, INFO, with_bytes(0x208, ram_needed - 1))
    with pytest.raises(BudgetError, match="more than"):
        check_ram(dataclasses.replace(INFO, plan=()), with_bytes(0x208, 16))


def test_a_huge_file_is_not_read(tmp_path: Path):
    """A file beyond any firmware's size is refused by its size alone."""
    path = tmp_path / "huge.elf"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ModelError, match="a firmware has at most 67,108,864"):
        read_elf(path)
