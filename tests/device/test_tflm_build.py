"""A folder that a user names as a build of TensorFlow Lite Micro is checked before anything is linked with it."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from edgecompress.build.tflm import _HEADERS, LIBRARY, find_tflm
from edgecompress.errors import UserError
from edgecompress.target import load_target

ARMV6M, ARMV7EM, ARMV81M = 12, 13, 21


def archive(arch: int, *, hard: bool, double: bool = False, symbols: bytes = b"") -> bytes:
    """An archive of one object that holds nothing but its build attributes, with an index of symbols where there are some."""
    pairs = b"\x05core\0" + bytes([6, arch, 7, 0x4D]) + (bytes([10, 6, *([] if double else [27, 1]), 28, 1]) if hard else b"")
    body = b"aeabi\0\x01" + struct.pack("<I", 5 + len(pairs)) + pairs
    attributes = b"A" + struct.pack("<I", 4 + len(body)) + body
    header = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<2H5I6H", 1, 40, 1, 0, 0, 52, 0, 52, 0, 0, 40, 1, 0)
    section = struct.pack("<10I", 0, 0x70000003, 0, 0, 92, len(attributes), 0, 0, 1, 0)
    data = header + section + attributes
    return b"!<arch>\n" + (member("/", symbols) if symbols else b"") + member("a.o/", data)


def member(name: str, data: bytes) -> bytes:
    return f"{name:16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)


def tree(folder: Path, **libraries: bytes) -> Path:
    """A folder with the headers, and a library in each named build."""
    for header in _HEADERS:
        (folder / header).parent.mkdir(parents=True, exist_ok=True)
        (folder / header).touch()
    for name, data in libraries.items():
        (folder / "gen" / name / "lib").mkdir(parents=True)
        (folder / "gen" / name / "lib" / LIBRARY).write_bytes(data)
    return folder


def test_the_library_of_the_right_core_is_taken(tmp_path: Path) -> None:
    """Of several builds the one that fits the core and its float ABI is found."""
    folder = tree(tmp_path, m0=archive(ARMV6M, hard=False), m4=archive(ARMV7EM, hard=True), soft=archive(ARMV7EM, hard=False))
    assert find_tflm(folder, load_target("cortex-m4")).library == folder / "gen" / "m4" / "lib" / LIBRARY
    assert find_tflm(folder, load_target("cortex-m0plus")).library == folder / "gen" / "m0" / "lib" / LIBRARY


@pytest.mark.parametrize(
    ("library", "words"),
    [
        (archive(ARMV7EM, hard=False), "float ABI"),
        (archive(21, hard=True), "does not execute"),
        (archive(ARMV7EM, hard=True, double=True), "double-precision"),
        (b"", "does not begin as an archive"),
        (b"!<arch>\n", "holds no ELF object"),
        *[(archive(ARMV7EM, hard=True)[:size], "is no archive") for size in (70, 100, 130, 165)],
    ],
)
def test_a_library_that_does_not_fit_is_an_error(tmp_path: Path, library: bytes, words: str) -> None:
    """A library for another core, with the other float ABI, or damaged is refused with the reason."""
    with pytest.raises(UserError, match=words):
        find_tflm(tree(tmp_path, one=library), load_target("cortex-m4"))


def test_a_wrong_folder_is_an_error(tmp_path: Path) -> None:
    """A folder without the headers, without a library, or with two that fit is refused; the message names what is wrong."""
    with pytest.raises(UserError, match=r"micro_interpreter\.h is missing"):
        find_tflm(tmp_path, load_target("cortex-m4"))
    with pytest.raises(UserError, match=LIBRARY):
        find_tflm(tree(tmp_path), load_target("cortex-m4"))
    folder = tree(tmp_path, a=archive(ARMV7EM, hard=True), b=archive(ARMV7EM, hard=True))
    with pytest.raises(UserError, match="several libraries fit cortex-m4: a, b") as several:
        find_tflm(folder, load_target("cortex-m4"))
    assert several.value.hint == f"name one of them: --tflm-dir {folder / 'gen' / 'a'}"


def test_the_closest_library_is_taken(tmp_path: Path) -> None:
    """Of libraries that a core executes, the one for its own architecture is taken; a folder below gen/ settles what is left open."""
    registrations = b"\0_ZN6tflite21Register_CONV_2D_INT8Ev\0"
    m4, m55, fast = (
        archive(ARMV7EM, hard=True),
        archive(ARMV81M, hard=True, double=True),
        archive(ARMV7EM, hard=True, symbols=registrations),
    )
    folder = tree(tmp_path, m4=m4, m55=m55)
    found = find_tflm(folder, load_target("qemu-mps3-an547"))
    assert found.library.parent.parent.name == "m55" and not found.cmsis_nn and "-DCMSIS_NN" not in found.defines
    tree(tmp_path, m4nn=fast)
    found = find_tflm(folder / "gen" / "m4nn", load_target("cortex-m4"))
    assert found.library.parent.parent.name == "m4nn" and found.cmsis_nn and "-DCMSIS_NN" in found.defines
    assert found.root == folder and found.includes == find_tflm(folder / "gen" / "m4", load_target("cortex-m4")).includes


def test_a_library_with_other_tensors_is_refused(tmp_path: Path) -> None:
    """A library whose tensors are laid out as on a phone is refused: the headers would lie about it."""
    with pytest.raises(UserError, match="no_tf_lite_static_memory"):
        find_tflm(tree(tmp_path, m4_no_tf_lite_static_memory_gcc=archive(ARMV7EM, hard=True)), load_target("cortex-m4"))


def test_damaged_libraries_never_surprise(tmp_path: Path) -> None:
    """Whatever bytes of an archive are changed, cut off or doubled, it is taken or refused with a sentence."""
    rng = random.Random(7)
    whole = archive(ARMV7EM, hard=True, symbols=b"\0_ZN6tflite21Register_CONV_2D_INT8Ev\0")
    folder = tree(tmp_path, one=whole)
    library, target = folder / "gen" / "one" / "lib" / LIBRARY, load_target("cortex-m4")
    taken = 0
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            data = data[: rng.randrange(len(data))]
        library.write_bytes(data)
        try:
            find_tflm(folder, target)
            taken += 1
        except UserError as e:
            assert str(library) in e.message and e.hint
    assert 0 < taken < 1500
