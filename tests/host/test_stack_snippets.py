"""The static stack bound of small pieces of assembly: one for each way in which code moves the stack pointer, branches or calls."""

from __future__ import annotations

import dataclasses
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecompress.build.stack import StackBound, stack_bound
from edgecompress.build.stack_code import StackBoundError
from edgecompress.build.toolchain import ZIG, locate
from edgecompress.elf import Image, read_elf
from edgecompress.errors import ModelError
from edgecompress.resources import resource_dir

SNIPPETS = Path(__file__).parents[1] / "stack_snippets"
CORES = {
    "armv6m": ("eabi", "cortex_m0plus"),
    "armv7em": ("eabihf", "cortex_m4+vfp4d16sp"),
    "armv81m": ("eabihf", "cortex_m55+mve_fp+fp_armv8d16"),
}

_DATA = """
    .section .rodata.table, "a", %progbits
    .p2align 2
    .type table, %object
    .size table, 12
table: .word leaf, leaf8, leaf100
    .section .rodata.tables, "a", %progbits
    .p2align 2
    .type tables, %object
    .size tables, 8
tables: .word table, table
    .section .data.variable, "aw", %progbits
    .p2align 2
    .type variable, %object
    .size variable, 4
variable: .word leaf100
"""


def snippets(core: str) -> dict[str, tuple[str, str]]:
    """By name: what is expected, and the code. `== name: expected` begins one."""
    found = {}
    for part in (SNIPPETS / f"{core}.s").read_text().split("\n== ")[1:]:
        head, body = part.split("\n", 1)
        name, expected = head.split(": ", 1)
        found[name] = (expected, body)
    return found


EXACT = [(core, name, int(expected)) for core in CORES for name, (expected, _) in snippets(core).items() if expected.isdigit()]
REFUSED = [(core, name, expected) for core in CORES for name, (expected, _) in snippets(core).items() if not expected.isdigit()]


def _function(name: str, body: str) -> str:
    head = f"    .p2align 2\n    .global {name}\n    .thumb_func\n    .type {name}, %function\n"
    return f"{head}{name}:\n{body}\n    .size {name}, . - {name}\n"


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Image]:
    """All snippets of a core in one ELF file."""
    done: dict[str, Image] = {}

    def link(core: str) -> Image:
        if core not in done:
            functions = "".join(_function(name, body) for name, (_, body) in snippets(core).items())
            done[core] = _link(tmp_path_factory.mktemp(core), f"    .syntax unified\n    .text\n{functions}{_DATA}", *CORES[core])
        return done[core]

    return link


def _link(folder: Path, text: str, abi: str, cpu: str) -> Image:
    (folder / "snippets.s").write_text(text)
    script = resource_dir("firmware") / "boards" / "cortex_m" / "model.ld"
    target = ["-target", f"thumb-freestanding-{abi}", f"-mcpu={cpu}"]
    command = [*locate(ZIG).command, *target, "-g", "-nostdlib", "-Wl,-e,leaf", "-T", str(script), "snippets.s", "-o", "snippets.elf"]
    subprocess.run(command, cwd=folder, check=True, timeout=240)
    return read_elf(folder / "snippets.elf")


@pytest.mark.parametrize(("core", "name", "expected"), EXACT)
def test_the_bound_of_a_snippet_is_exact(linked, core, name, expected):
    """What a piece of code takes at most is told to the byte."""
    assert stack_bound(linked(core), name).bytes == expected


@pytest.mark.parametrize(("core", "name", "sentence"), REFUSED)
def test_what_has_no_bound_is_refused_by_name(linked, core, name, sentence):
    """Recursion, pointers and frames that are known only when the code runs, and broken code, are one sentence that names the function."""
    with pytest.raises(StackBoundError) as caught:
        stack_bound(linked(core), name)
    assert sentence in caught.value.message
    assert name in caught.value.message or "calls_its_argument" in sentence


def test_the_deepest_path_is_told(linked):
    """The bound comes with the calls that reach it, and the depth on entry to each."""
    assert stack_bound(linked("armv6m"), "loop") == StackBound(108, (("loop", 0), ("leaf100", 8)))


def test_an_unknown_entry_is_a_model_error(linked):
    """A misspelt entry is no bound of 0."""
    with pytest.raises(ModelError, match="no symbol lop"):
        stack_bound(linked("armv6m"), "lop")


def test_damaged_code_is_a_sentence(linked):
    """Code with a few spoiled bytes has a bound or is refused; nothing else comes out."""
    image = linked("armv7em")
    names = [symbol.name for symbol in image.symbols if symbol.function]
    refused = 0
    for seed in range(200):
        dice = random.Random(seed)
        code = bytearray(image.segments[0].data)
        for _ in range(12):
            code[dice.randrange(len(code))] = dice.randrange(256)
        spoiled = dataclasses.replace(image, segments=(dataclasses.replace(image.segments[0], data=bytes(code)),))
        try:
            assert stack_bound(spoiled, dice.choice(names)).bytes >= 0
        except StackBoundError:
            refused += 1
    assert 20 < refused < 180
