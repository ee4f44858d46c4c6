"""Joules of inferences: windows cut by the energy pin, both instruments over their documented interfaces, and what is said when it fails.

All instruments are synthetic; no real one has confirmed this.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from simulated_device import SimulatedDevice
from synthetic_instruments import (
    BUSY_A,
    IDLE_A,
    VOLTS,
    Bench,
    Ppk2Stream,
    SyntheticJoulescope,
    SyntheticPpk2,
    SyntheticPpk2Api,
    install_joulescope,
    install_ppk2,
)
from synthetic_mlperf_device import SyntheticMlperfDevice

from edgecompress.cli import main
from edgecompress.device.energy import WindowIntegrator, open_monitor
from edgecompress.device.energy.joulescope import _Listener
from edgecompress.errors import DeviceError, ToolError, UserError
from edgecompress.instrument import Instrument
from edgecompress.pipeline import measure
from edgecompress.pipeline.energy import energy_meter
from edgecompress.profile import Profile
from edgecompress.protocol import SerialProtocol
from edgecompress.resources import resource_dir
from edgecompress.target import load_target

NUCLEO = resource_dir("targets") / "nucleo-l4r5zi.toml"


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 0.3 s instead of MLPerf's 10."""
    monkeypatch.setattr("edgecompress.pipeline.energy.WINDOW_S", 0.3)


def measured(bench: Bench, target: str = "serial:", **options: object) -> Profile:
    with SyntheticMlperfDevice(took_us=900, pulse=bench.pulse) as device:
        return measure(target, port=device.url, protocol=SerialProtocol.MLPERF_TINY, runs=3, warmup=0, **options)


def check(profile: Profile, bench: Bench) -> None:
    """The energy of a window is that of the bench's, and the window lies between its last two pulses."""
    energy = profile.energy
    assert energy is not None and profile.energy_uj is not None
    assert energy.window_s == pytest.approx(bench.pulses[-1][0] - bench.pulses[-2][1], abs=0.001)
    assert energy.window_s > 0.25
    assert profile.energy_uj * energy.inferences / 1e6 == pytest.approx(BUSY_A * VOLTS * energy.window_s, rel=0.01)


# ---- the window


def pin_of(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 24])
def test_a_window_is_summed_in_any_pieces(pieces: int) -> None:
    """Samples between the pulses, and no others, are added up, wherever the pieces are cut."""
    pin = pin_of("110011110011111111001111")
    amperes = np.arange(24, dtype=np.float32)
    integrator = WindowIntegrator(10.0)
    for part in np.array_split(np.arange(24), pieces):
        integrator.feed(amperes[part], np.full(len(part), 2.0), pin[part])
    with pytest.raises(DeviceError, match="pulsed 3"):
        integrator.result()
    integrator = WindowIntegrator(10.0)
    for part in np.array_split(np.arange(16), pieces):
        integrator.feed(amperes[part], np.full(len(part), 2.0), pin[part])
    window = integrator.result()
    assert (window.samples, window.seconds, window.joules) == (4, 0.4, pytest.approx((4 + 5 + 6 + 7) * 2 / 10))


@pytest.mark.parametrize("pin", ["1111", "0000", "1100", "0111", "110011", "1001"])
def test_a_pin_that_does_not_pulse_twice_is_named(pin: str) -> None:
    """No pulse, one, or a line that starts low is no window."""
    integrator = WindowIntegrator(10.0)
    integrator.feed(np.ones(len(pin)), np.ones(len(pin)), pin_of(pin))
    with pytest.raises(DeviceError, match="expected 2"):
        integrator.result()


def test_lost_samples_count_as_time_at_the_mean_power() -> None:
    """One of 200 lost samples changes nothing; three are too many."""
    for lost, ok in ((1, True), (3, False)):
        integrator = WindowIntegrator(100.0)
        integrator.feed(np.ones(2), np.ones(2), pin_of("10"))
        integrator.feed(np.full(200 - lost, 0.5), np.ones(200 - lost), np.ones(200 - lost, np.bool_))
        integrator.feed_lost(lost)
        integrator.feed(np.ones(1), np.ones(1), pin_of("0"))
        if ok:
            window = integrator.result()
            assert (window.samples, window.lost_samples, window.joules) == (200, 1, pytest.approx(1.0))
        else:
            with pytest.raises(DeviceError, match="lost 3 of 200"):
                integrator.result()


# ---- instruments


def test_a_joulescope_measures_an_inference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`measure --energy joulescope`: microjoules of one inference, with window and rate in the profile; the instrument is let go."""
    bench = Bench()
    instrument = SyntheticJoulescope(bench)
    install_joulescope(monkeypatch, instrument)
    output = tmp_path / "profile.json"
    words = ["--protocol", "mlperf-tiny", "--runs", "3", "--warmup", "0", "--energy", "joulescope", "--volts", "3", "-o", str(output)]
    with SyntheticMlperfDevice(took_us=900, pulse=bench.pulse) as device:
        assert main(["measure", "serial:", "--port", device.url, *words]) == 0, capsys.readouterr().err
    assert "energy" in capsys.readouterr().out
    profile = Profile.model_validate(json.loads(output.read_text(encoding="utf-8")))
    check(profile, bench)
    assert profile.energy is not None
    assert (profile.energy.instrument, profile.energy.sampling_hz, profile.energy.lost_samples) == ("JS220-000000", 50_000, 0)
    assert (instrument.opened, instrument.parameters["io_voltage"]) == (0, "3.0V")


def test_our_firmware_has_all_facts_and_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a measurement in our own protocol the same board is measured under the instrument; the energy stands beside all else."""
    bench = Bench()
    instrument = SyntheticJoulescope(bench)
    install_joulescope(monkeypatch, instrument)
    monkeypatch.setattr("edgecompress.pipeline.energy.WINDOW_S", 1.2)
    with SimulatedDevice(size=60, pulse=bench.pulse) as device:
        profile = measure("serial:", port=device.url, runs=3, warmup=0, energy=Instrument.JOULESCOPE)
    check(profile, bench)
    assert profile.energy is not None
    assert (profile.engine, profile.latency.p50, profile.energy.inferences) == ("aot", 960.0, 1250)
    assert instrument.opened == 0


def test_a_ppk2_measures_an_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The PPK2's bytes become amperes; the known supply makes watts of them; the energy pin is at the input that the target file names."""
    bench = Bench()
    api = SyntheticPpk2Api(Ppk2Stream(bench))
    install_ppk2(monkeypatch, api)
    with open_monitor(Instrument.PPK2, volts=VOLTS, pin=2) as monitor:
        reading = monitor.measure(lambda: (bench.pulse(), bench.pulse(), None)[2])
    assert reading.window.joules == pytest.approx(BUSY_A * VOLTS * reading.window.seconds, rel=0.02)
    assert api.calls == ["/dev/ttyPPK2", 3000, "ampere", "ON"]


def test_a_target_file_names_its_instrument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With [energy] in the target's file, every measurement of it has energy, and --energy may name the other instrument."""
    bench = Bench()
    api = SyntheticPpk2Api(Ppk2Stream(bench))
    install_ppk2(monkeypatch, api)
    file = tmp_path / "desk.toml"
    text = NUCLEO.read_text(encoding="utf-8").replace('"nucleo-l4r5zi"', '"desk"', 1)
    wiring = '[energy]\ninstrument = "ppk2"\nvolts = 3.0\ninput = 2\nsource = true\n\n[sources]\nenergy = "the wires on this desk"'
    file.write_text(text.replace("[sources]", wiring), encoding="utf-8")
    check(measured(bench, str(file)), bench)
    assert api.calls == ["/dev/ttyPPK2", 3000, "source", "ON"]
    desk = load_target(str(file))
    assert energy_meter(desk, None, Instrument.PPK2, 2.5).volts == 2.5
    assert energy_meter(desk, None, Instrument.PPK2, None) == desk.energy
    assert energy_meter(desk, None, Instrument.JOULESCOPE, None).input == 0
    assert energy_meter(desk, "replay:log", None, None) is None


def test_samples_that_a_ppk2_lost_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaps in the samples' counters are time that passed: the energy stays right, and the profile says how many."""
    bench = Bench()
    install_ppk2(monkeypatch, SyntheticPpk2Api(Ppk2Stream(bench, lost=40)))
    monkeypatch.setattr("edgecompress.pipeline.energy.WINDOW_S", 0.5)
    with SyntheticMlperfDevice(took_us=900, pulse=bench.pulse) as device, open_monitor(Instrument.PPK2, volts=VOLTS, pin=2) as monitor:
        from edgecompress.pipeline.energy import with_energy
        from edgecompress.pipeline.firmware import SerialPort
        from edgecompress.pipeline.mlperf import measure_mlperf

        port = SerialPort(device.url, 115200, None)
        profile = with_energy(measure_mlperf(port, input_bytes=None, runs=3, warmup=0), monitor, port, 490)
    check(profile, bench)
    assert profile.energy is not None and profile.energy.lost_samples in range(40, 1000, 40)


def test_a_joulescope_that_falls_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples that left the instrument's buffer before they were read are lost samples, and too many of them are an error."""
    bench = Bench()
    install_joulescope(monkeypatch, SyntheticJoulescope(bench, skipped=4_000))
    with pytest.raises(DeviceError, match=r"lost 4,0\d\d of"):
        measured(bench, energy=Instrument.JOULESCOPE)


# ---- what goes wrong


@pytest.mark.parametrize(("bench", "pulses"), [(Bench(wired=False), 0), (Bench(glitch=True), 3)])
def test_a_wrong_wire_is_named(bench: Bench, pulses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input on which nothing, or too much, happens is an error with what to do."""
    install_joulescope(monkeypatch, SyntheticJoulescope(bench))
    with pytest.raises(DeviceError, match=rf"pulsed {pulses} time\(s\)") as caught:
        measured(bench, energy=Instrument.JOULESCOPE)
    assert "wire" in caught.value.hint


def test_a_window_that_is_not_the_inferences_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pulses that lie closer than the inferences took, by the device's clock, are somebody else's."""
    bench = Bench()
    install_joulescope(monkeypatch, SyntheticJoulescope(bench))
    pulses = []

    def pulse_late() -> None:
        pulses.append(0)
        if len(pulses) == 2:
            bench.pulse()
            bench.pulse()

    with (
        SyntheticMlperfDevice(took_us=900, pulse=pulse_late) as device,
        pytest.raises(DeviceError, match="between the pulses of its energy pin lie"),
    ):
        measure("serial:", port=device.url, protocol=SerialProtocol.MLPERF_TINY, runs=3, warmup=0, energy=Instrument.JOULESCOPE)


def test_a_missing_package_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the instrument's package the error has the command of pip, before the board is asked anything."""
    for instrument, module in ((Instrument.JOULESCOPE, "joulescope"), (Instrument.PPK2, "ppk2_api")):
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, "ppk2_api.ppk2_api", raising=False)
        with pytest.raises(ToolError, match=f"the Python package {module} cannot be loaded") as caught:
            measure("serial:", port="socket://127.0.0.1:9", energy=instrument, volts=3.0)
        assert caught.value.hint == f"pip install 'edgecompress[{instrument.value}]'"


def test_one_instrument_must_be_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, and two, are errors that list them."""
    install_joulescope(monkeypatch)
    with pytest.raises(DeviceError, match="expected one Joulescope; connected: none"):
        open_monitor(Instrument.JOULESCOPE)
    install_joulescope(monkeypatch, SyntheticJoulescope(Bench()), SyntheticJoulescope(Bench()))
    with pytest.raises(DeviceError, match="JS220-000000, JS220-000000"):
        open_monitor(Instrument.JOULESCOPE)
    api = SyntheticPpk2Api(Ppk2Stream(Bench()))
    install_ppk2(monkeypatch, api)
    monkeypatch.setattr(api, "list_devices", list)
    with pytest.raises(DeviceError, match="expected one PPK2; connected: none"):
        open_monitor(Instrument.PPK2, volts=3.0)


def test_what_a_package_raises_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instrument that fails inside its package is one sentence, also when it fails in the driver's thread."""
    api = SyntheticPpk2Api(Ppk2Stream(Bench()))
    install_ppk2(monkeypatch, api)
    monkeypatch.setattr(api, "get_modifiers", lambda: 1 / 0)
    with pytest.raises(DeviceError, match="PPK2: ZeroDivisionError"):
        open_monitor(Instrument.PPK2, volts=3.0)
    listener = _Listener(WindowIntegrator(1.0), "current_lsb")
    assert listener.stream_notify(object()) is True
    with pytest.raises(DeviceError, match="its samples cannot be read"):
        listener.result()


def test_what_an_instrument_does_not_have_is_refused() -> None:
    """A PPK2 without a voltage, and an input that an instrument lacks, are UserErrors before it is opened."""
    for volts in (None, 0.5, 6.0):
        with pytest.raises(UserError, match="must know the board's supply"):
            open_monitor(Instrument.PPK2, volts=volts)
    with pytest.raises(UserError, match="no digital input 2"):
        open_monitor(Instrument.JOULESCOPE, pin=2)


@pytest.mark.parametrize(
    "words",
    [["local", "m"], ["cortex-m4", "m"], ["adb:", "m"], ["serial:", "--port", "replay:log"], ["nucleo-f446re", "--port", "replay:log"]],
)
def test_only_a_board_on_a_port_takes_current(words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A computer, a phone, an emulated core and a recorded session refuse --energy in one sentence."""
    model = tmp_path / "m"
    model.write_bytes(b"")
    assert main(["measure", *(str(model) if word == "m" else word for word in words), "--energy", "joulescope"]) == 2
    assert "a board on a port" in capsys.readouterr().err


def test_volts_without_energy_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """--volts alone has no effect, and says so."""
    assert main(["measure", "serial:", "--port", "x", "--volts", "3"]) == 2
    assert "--volts has no effect here" in capsys.readouterr().err


def test_the_idle_board_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the board takes before and after the window, here a fifth, does not count."""
    bench = Bench()
    install_joulescope(monkeypatch, SyntheticJoulescope(bench))
    profile = measured(bench, energy=Instrument.JOULESCOPE)
    assert profile.energy is not None and profile.energy_uj is not None
    mean_a = profile.energy_uj * profile.energy.inferences / 1e6 / VOLTS / profile.energy.window_s
    assert mean_a > BUSY_A - 0.1 * (BUSY_A - IDLE_A)


# ---- the real packages, where they are installed


def test_the_real_ppk2_package_over_a_synthetic_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real ppk2-api talks to a synthetic PPK2 behind a pseudo-terminal: its bytes, its calibration, the same joules."""
    package = pytest.importorskip("ppk2_api.ppk2_api", reason="needs ppk2-api: pip install 'edgecompress[ppk2]'")
    bench = Bench()
    with SyntheticPpk2(bench) as ppk2:
        monkeypatch.setattr(package.PPK2_API, "list_devices", staticmethod(lambda: [ppk2.port]))
        with open_monitor(Instrument.PPK2, volts=VOLTS, pin=2) as monitor:
            reading = monitor.measure(lambda: (bench.pulse(), bench.pulse(), None)[2])
        assert reading.window.joules == pytest.approx(BUSY_A * VOLTS * reading.window.seconds, rel=0.05)
        assert [command[0] for command in ppk2.commands] == [0x07, 0x19, 0x0D, 0x11, 0x0C, 0x06, 0x07]


def test_the_real_joulescope_package_takes_our_listener() -> None:
    """The real package's buffer, filled as its driver fills it, gives our listener the window; the parameters that we set exist."""
    buffers = pytest.importorskip("joulescope.v1.stream_buffer", reason="needs joulescope: pip install 'edgecompress[joulescope]'")
    from joulescope.parameters_v1 import name_to_value

    for name, value in (("io_voltage", "3.3V"), ("io_voltage", "5.0V"), ("current_lsb", "gpi0"), ("voltage_lsb", "gpi1")):
        name_to_value(name, value)
    buffer = buffers.StreamBuffer(1.0, frequency=2_000_000, device="js220", output_frequency=1_000_000)
    listener = _Listener(WindowIntegrator(1_000_000.0), "current_lsb")
    pin = np.ones(80_000, np.uint8)
    pin[10_000:10_100] = pin[60_000:60_100] = 0
    for start in range(0, 80_000, 16_000):
        part = slice(start, start + 16_000)
        bits = np.packbits(pin[part], bitorder="little")
        floats = np.ones(16_000, np.float32)
        for (field, index), data in {(1, 0): floats * 0.5, (2, 0): floats * 3, (3, 0): floats, (5, 0): bits, (5, 1): bits}.items():
            value = {
                "sample_id": 2 * start,
                "sample_rate": 2_000_000,
                "decimate_factor": 2,
                "field_id": field,
                "index": index,
                "data": data,
            }
            buffer.insert("", value)
        value = {
            "sample_id": 2 * start,
            "sample_rate": 2_000_000,
            "decimate_factor": 2,
            "field_id": 4,
            "index": 0,
            "data": floats.astype("u1"),
        }
        buffer.insert("", value)
        assert listener.stream_notify(buffer) is False
    window = listener.result()
    assert (window.samples, window.joules) == (49_900, pytest.approx(1.5 * 0.0499))
