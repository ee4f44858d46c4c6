"""The emulator: right bytes, exact counts, memory in use, and faults that say where."""

from __future__ import annotations

import dataclasses

import pytest
from toy_firmware import ARENA_BYTES, SAMPLE, TOUCHED_BYTES, toy_model, toy_output

from edgecompress.artifact import Firmware
from edgecompress.build import build_firmware
from edgecompress.device import open_emulator
from edgecompress.errors import DataError, DeviceError, TargetError
from edgecompress.target import load_target

M4, M0PLUS = "cortex-m4", "cortex-m0plus"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Builds a toy for a target, with `breakage` as C statements at the start of step 1."""

    def build(target: str, breakage: str = "") -> Firmware:
        return build_firmware(toy_model(before_step_1=breakage), load_target(target), output=tmp_path_factory.mktemp("toy") / "out")

    return build


@pytest.fixture(scope="module")
def toys(build):
    return {name: build(name) for name in (M0PLUS, M4)}


def instruction_by_instruction(firmware: Firmware) -> int:
    """The instructions of one invoke, counted by a hook on each of them (blocks translated before it was there must go)."""
    import unicorn

    device = open_emulator(firmware, load_target(firmware.target))
    machine, model = device._machine, device._model
    device._write_inputs(model, [SAMPLE])
    seen = []
    machine._engine.hook_add(unicorn.UC_HOOK_CODE, lambda engine, address, size, user: seen.append(address))
    machine._engine.ctl_flush_tb()
    machine.call(model.invoke, model.arena, doing="invoke")
    return len(seen)


@pytest.mark.parametrize("target", [M0PLUS, M4])
def test_outputs_are_the_bytes_of_the_model(toys, target):
    """Any number of inferences in a row gives the model's bytes, although each overwrites its input."""
    with open_emulator(toys[target], load_target(target)) as device:
        for data in (SAMPLE, bytes(16), SAMPLE, bytes(range(16))):
            assert device.run([data]) == [toy_output(data)]
        assert device.info().name == "toy"
        assert device.info().step_count == 2


def test_calls_return_wherever_the_linker_puts_the_breakpoint(build):
    """A breakpoint at the first address of one of the emulator's pages of 1 KiB is returned to like any other."""

    def padded(size: int) -> tuple[Firmware, int]:
        firmware = build(M4, f'__asm volatile("b 1f\\n.space {size}\\n1:");')
        with open_emulator(firmware, load_target(M4)) as device:
            return firmware, device._machine._landing

    _, plain = padded(512)
    firmware, landing = padded(512 + -plain % 1024)
    assert landing % 1024 == 0
    with open_emulator(firmware, load_target(M4)) as device:
        for data in (SAMPLE, bytes(16)):
            assert device.run([data]) == [toy_output(data)]


@pytest.mark.parametrize("target", ["cortex-m3", "cortex-m7", "cortex-m33"])
def test_the_other_cores_run_the_same(build, target):
    """The start-up, the FPU set-up and the calls work on every emulated core."""
    with open_emulator(build(target), load_target(target)) as device:
        assert device.run([SAMPLE]) == [toy_output(SAMPLE)]
        assert device.measure([SAMPLE], runs=1, warmup=0).first > 200


@pytest.mark.parametrize(("target", "skipped"), [(M0PLUS, 0), (M4, 2)])
def test_counts_are_exact(toys, target, skipped):
    """The native and the Python block hook give what a hook on each instruction counts, plus the two instructions in the toy's IT block
    whose condition fails: a core fetches them too, and QEMU's icount has them."""
    expected = instruction_by_instruction(toys[target]) + skipped
    for native in (True, False):
        with open_emulator(toys[target], load_target(target), native_hook=native) as device:
            measured = device.measure([SAMPLE], runs=3, warmup=1)
            assert measured.samples == (expected,) * 3
            assert measured.first == expected
            assert measured.environment["counting"].startswith("native" if native else "Python")


def test_a_measurement_is_complete(toys):
    """Steps sum up to the whole but for the calls between them; stack, arena, unit and environment are there."""
    with open_emulator(toys[M4], load_target(M4)) as device:
        measured = device.measure([SAMPLE], runs=5, warmup=2)
        again = device.measure([SAMPLE], runs=5, warmup=2)
    assert measured == again
    assert measured.unit == "instructions"
    assert len(measured.samples) == 5
    assert len(measured.ops) == 2
    assert 0 < measured.samples[0] - sum(measured.ops) < 20
    assert measured.arena_touched_bytes == TOUCHED_BYTES < ARENA_BYTES
    assert 0 < measured.stack_bytes < 100
    assert measured.clock_hz is None and measured.cycles is None
    assert measured.environment["emulated_cpu"] == M4


def test_a_write_of_the_paint_itself_counts_as_touched(build):
    """Arena bytes that happen to get one paint's value are found with the other."""
    for paint in ("0xa5", "0x5a"):
        firmware = build(M4, f"((uint8_t *)arena)[60] = {paint};")
        with open_emulator(firmware, load_target(M4)) as device:
            assert device.measure([SAMPLE], runs=1, warmup=0).arena_touched_bytes == 61


FAULTS = [
    (M4, "*(volatile int *)0x60000000 = 1;", r"a write where no memory is \(4 bytes at 0x60000000\)"),
    (M4, "(void)*(volatile int *)0x60000000;", r"a read where no memory is \(4 bytes at 0x60000000\)"),
    (M4, "*(volatile int *)0x100 = 1;", r"a write to read-only memory \(4 bytes at 0x00000100\)"),
    (M4, "((void (*)(void))(in + 1))();", "a jump to memory that holds no code"),
    (M4, "__builtin_trap();", "an undefined instruction"),
    (M4, '__asm volatile("bkpt 3");', "a breakpoint"),
    (M4, '__asm volatile("svc 0");', "an SVC instruction"),
    (M4, 'for (;;) __asm volatile("");', "no end within 1,000,000 instructions"),
    # Its depth is known only when it runs; what is known to be too deep is not even built.
    (M4, "volatile char big[256]; big[0] = 1; toy_step(arena, 1); (void)big[0];", "below the stack: it overflowed"),
    (M0PLUS, '__asm volatile("ldr r2, [%0]" ::"l"(in + 1) : "r2");', "an unaligned or failed access"),
    (M0PLUS, '__asm volatile(".short 0xeeb0, 0x0a40");', "an undefined instruction"),
]


@pytest.mark.parametrize(("target", "breakage", "sentence"), FAULTS)
def test_a_fault_says_what_and_where(build, target, breakage, sentence):
    """A fault is a DeviceError with the address, the program counter and the nearest symbol; afterwards the device starts afresh."""
    firmware = build(target, breakage)
    with open_emulator(firmware, load_target(target), limit=1_000_000) as device:
        with pytest.raises(DeviceError, match=sentence) as caught:
            device.run([SAMPLE])
        assert "invoke stopped at" in caught.value.message
        assert "toy_" in caught.value.message
        with pytest.raises(DeviceError, match=sentence):
            device.run([SAMPLE])


def test_strict_refuses_what_only_real_cores_refuse(build):
    """An unaligned LDM faults on a real Cortex-M4; the emulator notices when asked to be strict, and lets a plain LDR pass."""
    load_many = build(M4, '__asm volatile("ldmia %0, {r2, r3}" ::"r"(in + 1) : "r2", "r3");')
    with open_emulator(load_many, load_target(M4), strict=True) as device, pytest.raises(DeviceError, match="an unaligned address"):
        device.run([SAMPLE])
    load_one = build(M4, '__asm volatile("ldr r2, [%0]" ::"r"(in + 1) : "r2");')
    with open_emulator(load_one, load_target(M4), strict=True) as device:
        assert device.run([SAMPLE]) == [toy_output(SAMPLE)]


def test_an_error_status_is_an_error(build):
    """What the model returns is believed: -2 is no output, but an error in words."""
    generated = toy_model()
    source = generated.files["toy.c"].replace("toy_step(arena, i);\n    return EC_OK;", "toy_step(arena, i);\n    return EC_ERROR_INDEX;")
    assert source != generated.files["toy.c"]
    generated = dataclasses.replace(generated, files={**generated.files, "toy.c": source})
    firmware = build_firmware(generated, load_target(M4), output=build(M4).elf.parent)
    with open_emulator(firmware, load_target(M4)) as device, pytest.raises(DeviceError, match="invoke returned -2: no such input"):
        device.run([SAMPLE])


def test_wrong_inputs_are_refused(toys):
    """The number of inputs and the size of each are checked before anything runs."""
    with open_emulator(toys[M4], load_target(M4)) as device:
        with pytest.raises(DataError, match=r"input 0 \(in\) has 16 bytes; 15 came"):
            device.run([bytes(15)])
        with pytest.raises(DataError, match=r"1 input\(s\); 0 came"):
            device.run([])


def test_a_firmware_of_another_target_is_refused(toys):
    """A firmware does not start on a core that it was not built for."""
    with pytest.raises(TargetError, match="was built for cortex-m4, not for cortex-m0plus"):
        open_emulator(toys[M4], load_target(M0PLUS))


def test_a_start_up_that_leaves_the_fpu_off_is_noticed(build, tmp_path, monkeypatch):
    """The emulator itself runs float code with the FPU off; a real core would not, so the start-up is checked."""
    import shutil

    from edgecompress.build import firmware as room
    from edgecompress.resources import resource_dir

    copy = tmp_path / "firmware"
    shutil.copytree(resource_dir("firmware"), copy)
    startup = copy / "boards" / "cortex_m" / "startup.c"
    startup.write_text(startup.read_text().replace("SCB_CPACR |= CPACR_CP10_CP11;", ""))
    monkeypatch.setattr(room, "resource_dir", lambda name: copy)
    with pytest.raises(DeviceError, match="left the FPU off"):
        open_emulator(build(M4), load_target(M4))
