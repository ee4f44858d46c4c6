"""Sizes of a firmware, read from its linked ELF, and whether they fit the target.

    flash_bytes = code_bytes + model_bytes + harness_bytes = the file bytes of all PT_LOAD segments

`code_bytes` is exact: the same objects are linked a second time from the model's entry points alone, and unused sections dropped.
"""

from __future__ import annotations

from edgecompress.artifact import MemorySizes, ModelInfo
from edgecompress.build.stack import StackBound
from edgecompress.elf import Image
from edgecompress.errors import BudgetError
from edgecompress.target import Target


def model_code_bytes(image: Image) -> int:
    """Code of a link that holds nothing but the model: its loadable bytes without weights and tables."""
    return image.loadable_bytes - image.section_bytes(".ec_model")


def measure_sizes(image: Image, code_bytes: int) -> MemorySizes:
    """The sizes of a linked firmware.

    Args:
        code_bytes: of the model alone, from `model_code_bytes`.
    """
    model_bytes = image.section_bytes(".ec_model")
    return MemorySizes(
        code_bytes=code_bytes,
        model_bytes=model_bytes,
        harness_bytes=image.loadable_bytes - model_bytes - code_bytes,
        arena_bytes=image.section_bytes(".ec_arena"),
        static_ram_bytes=image.section_bytes(".data") + image.section_bytes(".bss"),
    )


def check_fits(image: Image, sizes: MemorySizes, info: ModelInfo, target: Target) -> None:
    """Refuse a firmware that is larger than its target.

    Raises:
        BudgetError: by how many bytes, and which tensor is largest.
    """
    excess = sizes.flash_bytes - target.flash_bytes
    if excess > 0:
        raise BudgetError(
            f"{info.name} does not fit {target.name}: it needs {sizes.flash_bytes:,} B of flash, {excess:,} B more than "
            f"the {target.flash_bytes:,} B there are (model {sizes.model_bytes:,} B, code {sizes.code_bytes:,} B, "
            f"rest {sizes.harness_bytes:,} B){_largest_constant(image)}",
            hint="prune or shrink the model, or choose a target with more flash",
        )
    check_ram(info, target, static_bytes=sizes.static_ram_bytes)


def check_ram(info: ModelInfo, target: Target, *, static_bytes: int = 0) -> None:
    """Refuse a model whose arena does not fit; possible before anything is compiled.

    Raises:
        BudgetError: by how many bytes, and which tensor is largest.
    """
    needed = info.arena_bytes + target.stack_bytes + static_bytes
    excess = needed - target.ram_bytes
    if excess <= 0:
        return
    largest = max(info.plan, key=lambda buffer: buffer.bytes, default=None)
    tensor = f"; the largest tensor is {_short(largest.tensor)} with {largest.bytes:,} B" if largest else ""
    raise BudgetError(
        f"{info.name} does not fit {target.name}: it needs {needed:,} B of RAM, {excess:,} B more than the "
        f"{target.ram_bytes:,} B there are (arena {info.arena_bytes:,} B, stack {target.stack_bytes:,} B, static data {static_bytes:,} B)"
        f"{tensor}",
        hint="make the input or the widest layer smaller, or choose a target with more RAM",
    )


def check_stack(bound: StackBound, target: Target) -> None:
    """Refuse a model whose inference may overflow the stack that the target reserves.

    Raises:
        BudgetError: by how many bytes, and through which calls.
    """
    excess = bound.bytes - target.stack_bytes
    if excess > 0:
        entry, *calls = (name for name, _ in bound.path)
        through = f" through {', '.join(calls)}" if calls else ""
        raise BudgetError(
            f"{entry} does not fit {target.name}: it takes up to {bound.bytes:,} B of stack{through}, {excess:,} B more than the "
            f"{target.stack_bytes:,} B there are",
            hint="reserve more in the target's file, as stack_bytes",
        )


def _short(name: str) -> str:
    """A tensor's name for a sentence: converters join the names of everything that they fused with semicolons."""
    return name.split(";", 1)[0]


def _largest_constant(image: Image) -> str:
    largest = max(image.symbols_within(".ec_model"), key=lambda symbol: symbol.bytes, default=None)
    return f"; the largest tensor is {largest.name} with {largest.bytes:,} B" if largest else ""
