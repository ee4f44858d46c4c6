"""The serial application compiled for this computer, with sanitizers: its integer arithmetic against floats, and any bytes for commands."""

from __future__ import annotations

import ctypes
import random
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from aot_host import host_compiler

from edgecompress.device import wire
from edgecompress.resources import resource_dir

APP = resource_dir("firmware") / "app"
INCLUDE = resource_dir("firmware") / "include"
RUN_TIMEOUT_S = 60
NAME = b"m-name-dut-[edgecompress]\r\nm-ready\r\n"
DATA = bytes(range(40))


def compile_c(sources: Sequence[Path], output: Path, *flags: str) -> Path:
    compiler = host_compiler()
    command = [*compiler.command, "-std=c11", *flags, f"-I{INCLUDE}", f"-I{APP}", *map(str, sources), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def application(tmp_path_factory) -> Path:
    sources = [path for path in sorted(APP.glob("*.c")) if path.name != "session.c"]
    sources.append(Path(__file__).parent / "host_port.c")
    return compile_c(sources, tmp_path_factory.mktemp("app") / "app", *host_compiler().flags)


def talk(application: Path, data: bytes) -> bytes:
    """What the application says to `data`, after its banner."""
    done = subprocess.run([str(application)], input=data, capture_output=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    banner, separator, rest = done.stdout.partition(b"m-init-done\r\nm-ready\r\n")
    assert separator
    assert banner.startswith(b"m-timestamp-mode-performance\r\nm-lap-us-")
    return rest


def ask(application: Path, *bodies: str) -> list[str]:
    """The bodies of the last answers to our requests."""
    requests = b"".join(wire.encode_frame(i, body) for i, body in enumerate(bodies))
    lines = wire.LineReader().feed(talk(application, requests))
    answers = {answer.sequence: answer.body for answer in map(wire.decode_answer, filter(wire.is_answer, lines))}
    assert lines.count(wire.READY) == len(bodies)
    return [answers[i] for i in range(len(bodies))]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("name", "m-name-dut-[edgecompress]"),
        ("profile", "m-profile-[edgecompress serial harness 1]|m-model-[ic01]"),
        ("", ""),
        ("db", "e-[Command 'db' requires a subcommand]"),
        ("db load", "e-[Command 'db load' requires the # of bytes]"),
        ("db load 0", "e-[Command 'db load' must be >0 bytes]"),
        ("db load 41", "e-[Supplied buffer size 41 exceeds maximum of 40]"),
        ("db load 40", "m-[Expecting 40 bytes]"),
        ("db 123", "e-[Insufficent number of hex digits]"),
        ("infer 0 1", "e-[Inference iterations must be >0]"),
        ("infer 1 -1", "e-[Inference warmup must be >=0]"),
        ("infer 1 0", "e-[Input db has 0 bytes, expected 40]"),
        ("results", "e-[No results yet: run infer first]"),
        ("frobnicate 1", "e-[Unknown command: frobnicate]"),
        ("\x1b[A]x", "e-[Unknown command: ?[A?x]"),
        ("x" * 400, "e-[Command too long]"),
        ("db print 9 30", "m-buffer-00-00-00-00-00-00-00-00|m-buffer-00"),
    ],
)
def test_commands_of_mlperf_tiny(application, command, answer):
    """Each command is answered as facts of the protocol say, and then with m-ready."""
    lines = wire.LineReader().feed(talk(application, command.encode() + b"%"))
    assert lines == [*filter(None, answer.split("|")), "m-ready"]


def test_an_inference_of_mlperf_tiny(application):
    """A whole sequence, 31 bytes a command as MLPerf's runner sends it; laps differ by the runs alone."""
    pixels = bytes(byte ^ 0x80 for byte in DATA)
    lines = wire.LineReader().feed(
        talk(application, b"db load 40%db " + pixels[:31].hex().encode() + b"%db " + pixels[31:].hex().encode() + b"%infer 3 2%")
    )
    values = ((np.frombuffer(DATA, np.int8).astype(np.float32) + 4) * np.float32(0.5)).tolist()
    results = "m-results-[" + ",".join(f"{v:.3f}" for v in values) + "]"
    start = next(wire.parse_lap(line) or 0 for line in lines if line.startswith("m-lap"))
    assert lines == [
        *("m-[Expecting 40 bytes]", "m-ready", "m-ready", "m-load-done", "m-ready"),
        *("m-warmup-start-2", "m-warmup-done", "m-infer-start-3", f"m-lap-us-{start}", f"m-lap-us-{start + 1500}", "m-infer-done"),
        *(results, "m-ready"),
    ]


def test_a_session_of_frames(application):
    """info, load, run, read: the answers are those of docs/serial.md."""
    load = wire.load_body(0, 0, DATA[:24]), wire.load_body(0, 24, DATA[24:])
    bodies = (
        "info",
        "clock",
        "input 0",
        "run 0",
        "begin 0",
        load[0],
        load[0],
        load[1],
        f"end 0 {wire.crc32(DATA):08x}",
        "run 2",
        "read 0 8 4",
    )
    info, clock, tensor, early, begun, first, again, second, end, run, read = ask(application, *bodies)
    assert wire.parse_info(info).name == "ic01"
    assert wire.parse_clock(clock).clock_hz is None
    assert wire.parse_tensor(tensor).bytes == 40
    assert (early, begun, first, again, second, end, run) == ("error inputs", "ok 0", "ok 24", "ok 24", "ok 40", "ok", "ok 500")
    assert wire.parse_data(read, 4) == bytes([9, 10, 11, 12])


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("", "error verb"),
        ("infos", "error verb"),
        ("input 1", "error index"),
        ("input 4294967296", "error index"),
        ("begin 7", "error index"),
        ("load 0 0 AAAA", "error index"),
        ("end 0 00000000", "error index"),
        ("read 0 0 41", "error index"),
        ("read 0 4294967295 2", "error index"),
        ("run x", "error number"),
        ("run 1001", "error number"),
        ("steps 1", "error number"),
        ("memory", "error inputs"),
    ],
)
def test_requests_that_make_no_sense(application, body, answer):
    """Every impossible request is refused with its reason."""
    assert ask(application, body) == [answer]


@pytest.mark.parametrize("data", ["A", "AAA", "AA=A", "A===", "AA==AAAA", "AAAA*", "====", "A" * 60, ""])
def test_data_that_are_no_data(application, data):
    """What is not base64, or more bytes than the input has, is refused."""
    assert ask(application, "begin 0", f"load 0 0 {data}")[1] == "error data"


def test_damaged_frames_are_named(application):
    """A frame with a wrong length, header or CRC is answered with what is wrong."""
    whole = wire.encode_frame(9, "info")
    for damaged, reason in (
        (whole.replace(b"7e", b"7f").replace(b"inf", b"imf"), "crc"),
        (whole.replace(b"0004", b"0005"), "length"),
        (whole.replace(b"0004", b"ffff"), "length"),
        (whole.replace(b"09 ", b"zz "), "header"),
        (b"ec 01 0004%", "short"),
    ):
        (line, ready) = wire.LineReader().feed(talk(application, damaged))
        assert wire.decode_answer(line).body == f"error frame {reason}"
        assert ready == wire.READY


def test_any_bytes_and_then_a_command(application):
    """After 3,000 blocks of random bytes, mutated commands and cut frames, each next command is answered; no sanitizer complains."""
    rng = random.Random(2)
    text = ["name", "profile", "help", "db load 40", "db load 160", "db " + DATA[:31].hex(), "db print 8 4", "infer 2 1", "results"]
    bodies = ["info", "begin 0", wire.load_body(0, 0, DATA), "run 1", "steps 0", "read 0 0 40"]
    commands = [*(t.encode() for t in text), *(wire.encode_frame(i, body)[:-1] for i, body in enumerate(bodies))]
    stream = bytearray()
    for _ in range(3000):
        block = bytearray()
        for _ in range(rng.randrange(4)):
            piece = bytearray(rng.choice(commands) if rng.random() < 0.8 else rng.randbytes(rng.randrange(500)))
            for _ in range(rng.randrange(3)):
                if piece:
                    piece[rng.randrange(len(piece))] = rng.randrange(256)
            block += piece[: rng.randrange(len(piece) + 1)] if rng.random() < 0.3 else piece + b"%"
        stream += block + b"%name%"
    assert talk(application, bytes(stream)).count(NAME) >= 3000


# ---- decimal.c ----


class Decimal(ctypes.Structure):
    _fields_ = (("negative", ctypes.c_bool), ("thousandths", ctypes.c_uint64))

    @property
    def text(self) -> str:
        return f"{'-' if self.negative else ''}{self.thousandths // 1000}.{self.thousandths % 1000:03d}"


@pytest.fixture(scope="module")
def decimals(tmp_path_factory):
    path = compile_c([APP / "decimal.c", APP / "divide.c"], tmp_path_factory.mktemp("decimal") / "decimal.so", "-O1", "-shared", "-fPIC")
    library = ctypes.CDLL(str(path))
    library.ec_decimal_of_float.restype = library.ec_decimal_dequantize.restype = Decimal
    library.ec_decimal_quantize.restype = ctypes.c_int8
    library.ec_decimal_fixed24.restype = ctypes.c_int64
    library.ec_divide.restype = ctypes.c_uint64
    return library


def bits(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def some_floats(seed: int, count: int) -> list[np.float32]:
    """Floats of every size up to 2^40, halves of thousandths among them."""
    rng = np.random.default_rng(seed)
    wide = np.ldexp(rng.uniform(-1, 1, count), rng.integers(-40, 41, count))
    ties = rng.integers(-20000, 20000, count) / 2000
    return [np.float32(v) for v in (*wide, *ties, 0.0, 0.0005, 0.0015, -0.0004, 2.0**-149, 1e-30, 2.0**23, 2.0**40)]


def test_floats_are_printed_as_printf_prints_them(decimals):
    """Three decimals of any float32, ties included, are those of printf."""
    for value in some_floats(1, 3000):
        assert decimals.ec_decimal_of_float(bits(value)).text == f"{value:.3f}", value


def test_dequantization_equals_float_arithmetic(decimals):
    """(float)(q - zero_point) * scale, rounded to float and then to three decimals, for int8 to int32 distances."""
    rng = np.random.default_rng(3)
    distances = [*rng.integers(-255, 256, 2000), *rng.integers(-65535, 65536, 500), *rng.integers(-(2**32), 2**32, 500)]
    for distance, scale in zip(distances, np.abs(some_floats(4, 1500)), strict=False):
        expected = np.float32(distance) * scale
        if scale > 0 and abs(expected) < 2.0**50:
            got = decimals.ec_decimal_dequantize(ctypes.c_int64(distance), bits(scale)).text
            # a quantized zero has no sign
            assert got == f"{expected:.3f}" or distance == 0, (distance, scale)


def test_quantization_equals_float_arithmetic(decimals):
    """round(value / scale) + zero_point, saturated, with float32 division and halves away from zero."""
    rng = np.random.default_rng(5)
    for value in some_floats(6, 3000):
        scale = np.float32(np.ldexp(rng.uniform(0.5, 1), rng.integers(-12, 6)))
        zero_point = int(rng.integers(-128, 128))
        ratio = float(value / scale)
        steps = np.copysign(np.floor(min(abs(ratio), 1e6) + 0.5), ratio)
        expected = int(np.clip(steps + zero_point, -128, 127))
        assert decimals.ec_decimal_quantize(bits(value), bits(scale), zero_point) == expected, (value, scale, zero_point)
    for special, expected in ((float("inf"), 127), (float("-inf"), -128), (float("nan"), 5), (0.0, 5)):
        assert decimals.ec_decimal_quantize(bits(special), bits(0.5), 5) == expected


def test_fixed_point_is_close(decimals):
    """q * scale with 24 fractional bits, to 2^-24."""
    rng = np.random.default_rng(7)
    for _ in range(2000):
        q, scale = int(rng.integers(-511, 512)), np.float32(np.ldexp(rng.uniform(0.5, 1), rng.integers(-20, 10)))
        assert abs(decimals.ec_decimal_fixed24(q, bits(scale)) / 2**24 - q * float(scale)) <= 2**-24


def test_division(decimals):
    """64-bit division by schoolbook equals Python's."""
    rng = random.Random(8)
    for _ in range(2000):
        value, divisor = rng.getrandbits(rng.randrange(1, 65)), rng.randrange(1, 2 ** rng.randrange(1, 33))
        rest = ctypes.c_uint32()
        assert decimals.ec_divide(ctypes.c_uint64(value), ctypes.c_uint32(divisor), ctypes.byref(rest)) == value // divisor
        assert rest.value == value % divisor
