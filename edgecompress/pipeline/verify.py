"""The ladder from fake-quant Keras down to generated C: who differs from whom, where it starts, and why.

    rung                      compared with           must be
    fake-quant Keras          LiteRT reference        close: a few LSB (float arithmetic against integers)
    LiteRT reference          TFLM host               equal, but for FULLY_CONNECTED (known: it rounds once, 1 LSB a layer)
    TFLM host                 (the bytes that count)
    generated C, on a core    TFLM host               equal, always
    TFLM, on a core           TFLM host               equal, always (with a library of the user's: --tflm-dir)
    LiteRT default (XNNPACK)  TFLM host               inside LITERT_TOLERANCE: another rounding family

Every rung runs the same inputs. The first op that differs is found by comparing every activation of both runtimes, each fed with its own
values; where the op's inputs still agree and its outputs do not, the difference starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from textwrap import shorten

import numpy as np

from edgecompress.artifact import Engine
from edgecompress.device import Device
from edgecompress.device.interpreters import NUMPY_TYPES, LiteRtReference, TflmHost, Trace, tflm_available
from edgecompress.errors import ModelError, ToolError
from edgecompress.graph import Graph, Op
from edgecompress.pipeline.layers import Layer, Tracer, compare_layers
from edgecompress.pipeline.reference import LITERT_TOLERANCE, element_difference
from edgecompress.pipeline.samples import as_raw, as_reals, load_samples
from edgecompress.pipeline.sources import LoadedModel, load_model
from edgecompress.progress import Progress, silent

# Fake-quant arithmetic in float32 against integers: up to 2 LSB on logits, 13 after a softmax amplifies them.
KERAS_TOLERANCE = 16
_LITERT_DEFAULT = "LiteRT default (XNNPACK)"
# Characters: LiteRT may say the same of every tensor.
_MOST_OF_A_REFUSAL = 100


class Status(Enum):
    """What a rung's comparison says."""

    EQUAL = "equal"
    WITHIN = "within tolerance"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True)
class Rung:
    """One comparison.

    Attributes:
        name, reference: the runtime, and the one it was compared with.
        mismatched_bytes: output elements that differ, of `total_bytes`, over all inputs.
        largest_difference: in LSB of the output.
        first_op: the first op whose inputs agree and whose outputs do not ("op 3 FULLY_CONNECTED logits"); empty when unknown or none.
        cause: the known cause, or empty.
        note: for a missing rung, what it needs.
    """

    name: str
    reference: str
    status: Status
    mismatched_bytes: int | None = None
    total_bytes: int | None = None
    largest_difference: int | None = None
    first_op: str = ""
    cause: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """False when bytes differ that must not."""
        return self.status is not Status.DIFFERS


@dataclass(frozen=True)
class VerifyReport:
    """All rungs, over `inputs` inputs of `source`. `ok` is False when bytes differ that must not.

    `layers` compares the generated C with TFLM op by op; empty when that was not asked for, or where one of them shows no tensors.
    """

    model: str
    inputs: int
    source: str
    rungs: tuple[Rung, ...]
    layers: tuple[Layer, ...] = ()

    @property
    def ok(self) -> bool:
        return all(rung.ok for rung in self.rungs)


def verify(
    model: Path,
    *,
    keras: Path | None = None,
    data: str | None = None,
    inputs: int = 16,
    target: str = "cortex-m4",
    layers: bool = False,
    tflm_dir: Path | None = None,
    progress: Progress = silent,
) -> VerifyReport:
    """Compare every runtime of an int8 model over real inputs.

    Args:
        model: an int8 .tflite.
        keras: the fake-quant model that it was converted from (compress leaves it beside the .tflite).
        data: FILE.py:FUNCTION, a .npy file, or the name of a calibration set; generated inputs when None.
        inputs: how many.
        target: an emulated core for the generated C.
        layers: compare the generated C with TensorFlow Lite Micro op by op as well.
        tflm_dir: a build of TensorFlow Lite Micro, to compare on the core too; see `build`.

    Raises:
        ModelError, DataError: the input is wrong.

    Example:
        >>> edgecompress.verify(Path("digits.tflite"), data="digits", inputs=4).ok
        True
    """
    loaded = load_model(model)
    samples = load_samples(loaded.graph, data, inputs)
    return verify_loaded(
        loaded,
        samples.inputs,
        source=samples.source,
        keras=keras,
        target=target,
        layers=layers,
        tflm_dir=tflm_dir,
        progress=progress,
    )


def verify_loaded(
    model: LoadedModel,
    samples: Sequence[Sequence[bytes]],
    *,
    source: str,
    keras: Path | None = None,
    target: str = "cortex-m4",
    layers: bool = False,
    tflm_dir: Path | None = None,
    progress: Progress = silent,
) -> VerifyReport:
    """As `verify`, for a model and inputs that are in memory."""
    ladder = _Ladder(model, samples)
    rungs = []
    progress("LiteRT reference kernels", 0, None)
    litert, refusal = _open_litert(model)
    litert_outputs = [] if litert is None else [litert.run(sample) for sample in samples]
    progress("fake-quant Keras", 0, None)
    rungs.append(_missing("fake-quant Keras", "LiteRT reference", refusal) if refusal else _keras_rung(ladder, keras, litert_outputs))
    progress("TensorFlow Lite Micro on the host", 0, None)
    reference_name, reference_outputs = "LiteRT reference", litert_outputs
    reference_trace: Tracer | None = None if litert is None else litert.trace
    if not tflm_available():
        note = "tflite-micro has no wheel for this platform: edgecompress doctor says where it has"
        rungs.append(_missing("LiteRT reference", "TFLM host", note))
    else:
        tflm = TflmHost(model.data, model.graph)
        reference_name, reference_outputs, reference_trace = "TFLM host", [tflm.run(sample) for sample in samples], tflm.trace
        rungs.append(
            _missing("LiteRT reference", reference_name, refusal)
            if litert is None
            else ladder.compare("LiteRT reference", litert_outputs, reference_name, reference_outputs, (litert.trace, tflm.trace))
        )
    progress(f"generated C on {target}", 0, None)
    by_op = layers and tflm_available()
    rung, compared = _core_rung(ladder, target, reference_name, reference_outputs, reference_trace, layers=by_op)
    rungs.append(rung)
    if tflm_dir is not None:
        progress(f"TensorFlow Lite Micro on {target}", 0, None)
        rungs.append(_tflm_rung(ladder, target, tflm_dir, reference_name, reference_outputs))
    progress("LiteRT default kernels", 0, None)
    rungs.append(_missing(_LITERT_DEFAULT, reference_name, refusal) if refusal else _litert_rung(ladder, reference_name, reference_outputs))
    return VerifyReport(model.graph.name, len(samples), source, tuple(rungs), compared)


def _open_litert(model: LoadedModel) -> tuple[LiteRtReference | None, str]:
    """LiteRT, or why it refuses a model that TensorFlow Lite Micro takes, which checks less.

    Raises:
        ModelError: it refuses, and there is no TensorFlow Lite Micro to go on with.
    """
    try:
        return LiteRtReference(model.data, model.graph), ""
    except ModelError as e:
        if not tflm_available():
            raise
        return None, shorten(e.message, _MOST_OF_A_REFUSAL, placeholder=" ...")


def _missing(name: str, reference: str, note: str) -> Rung:
    return Rung(name, reference, Status.MISSING, note=note)


class _Ladder:
    """The model and the samples that all rungs share."""

    def __init__(self, model: LoadedModel, samples: Sequence[Sequence[bytes]]) -> None:
        self.model = model
        self.samples = samples

    def compare(
        self,
        name: str,
        got: Sequence[list[bytes]],
        reference: str,
        expected: Sequence[list[bytes]],
        traces: tuple[Tracer, Tracer] | None = None,
    ) -> Rung:
        """Outputs against outputs; with a pair of tracers, the first op that differs as well."""
        mismatched = total = largest = 0
        worst: Sequence[bytes] | None = None
        for sample, have, want in zip(self.samples, got, expected, strict=True):
            for index, w, h in zip(self.model.graph.outputs, want, have, strict=True):
                difference = element_difference(self.model, index, w, h)
                mismatched += int(np.count_nonzero(difference))
                total += difference.size
                if difference.max(initial=0) > largest or (worst is None and difference.any()):
                    largest, worst = int(difference.max()), sample
        rung = Rung(name, reference, Status.DIFFERS if mismatched else Status.EQUAL, mismatched, total, largest)
        if worst is None or traces is None:
            return rung
        op = first_difference(self.model.graph, traces[0](worst), traces[1](worst))
        if op is None:
            return rung
        cause = known_cause(op, name)
        status = Status.WITHIN if cause and largest <= LITERT_TOLERANCE else Status.DIFFERS
        return replace(rung, status=status, first_op=_op_name(self.model.graph, op), cause=cause)


def first_difference(graph: Graph, left: Trace, right: Trace) -> Op | None:
    """The first op, in execution order, with an output that differs between two traces; None when all agree."""
    for op in graph.ops:
        for index in op.outputs:
            a, b = left.get(index), right.get(index)
            if a is not None and b is not None and not np.array_equal(a.reshape(-1), b.reshape(-1)):
                return op
    return None


def known_cause(op: Op, runtime: str) -> str:
    """Why this op is known to differ between these runtimes; empty when it is not."""
    if runtime == "LiteRT reference" and op.kind == "FULLY_CONNECTED":
        return "LiteRT's reference FULLY_CONNECTED rounds once, TensorFlow Lite Micro's twice"
    return ""


def _op_name(graph: Graph, op: Op) -> str:
    return f"op {op.index} {op.kind} {graph.tensor(op.outputs[0]).name}"


def _keras_rung(ladder: _Ladder, keras: Path | None, litert_outputs: Sequence[list[bytes]]) -> Rung:
    """The fake-quant model's outputs, quantized as the .tflite's outputs are."""
    name, reference = "fake-quant Keras", "LiteRT reference"
    if keras is None:
        note = "give --keras DIR/fake_quant.keras, which compress leaves beside a .tflite that was trained quantization-aware"
        return _missing(name, reference, note)
    from edgecompress.compress.predict import predict_outputs

    graph = ladder.model.graph
    reals = [[as_reals(raw, graph.tensor(i)) for i, raw in zip(graph.inputs, sample, strict=True)] for sample in ladder.samples]
    outputs = predict_outputs(keras, reals)
    counts = [[as_raw(out, graph.tensor(i)) for i, out in zip(graph.outputs, row, strict=True)] for row in outputs]
    rung = ladder.compare(name, counts, reference, litert_outputs)
    if rung.status is Status.EQUAL:
        return rung
    status = Status.WITHIN if (rung.largest_difference or 0) <= KERAS_TOLERANCE else Status.DIFFERS
    return replace(rung, status=status, cause="float32 arithmetic between fake-quants, integers between tensors")


def _core_rung(
    ladder: _Ladder, target: str, reference: str, expected: Sequence[list[bytes]], trace: Tracer | None, *, layers: bool
) -> tuple[Rung, tuple[Layer, ...]]:
    """The generated C on an emulated core; with `layers`, also op by op."""
    from edgecompress.pipeline.firmware import open_model

    name = f"generated C on {target}"
    try:
        with open_model(target, ladder.model) as device:
            got = [device.run(sample) for sample in ladder.samples]
            tracer = _core_tracer(ladder.model.graph, device)
            rung = ladder.compare(name, got, reference, expected, None if tracer is None or trace is None else (tracer, trace))
            if tracer is None or trace is None or not layers:
                return rung, ()
            return rung, compare_layers(ladder.model.graph, ladder.samples, tracer, trace)
    except ToolError as e:
        return _missing(name, reference, f"{e.message} ({e.hint})" if e.hint else e.message), ()


def _tflm_rung(ladder: _Ladder, target: str, folder: Path, reference: str, expected: Sequence[list[bytes]]) -> Rung:
    """TensorFlow Lite Micro itself on the core, with the user's library."""
    from edgecompress.pipeline.firmware import open_model

    with open_model(target, ladder.model, engine=Engine.TFLM, tflm_dir=folder) as device:
        got = [device.run(sample) for sample in ladder.samples]
        return ladder.compare(f"TensorFlow Lite Micro on {target}", got, reference, expected)


def _litert_rung(ladder: _Ladder, reference: str, expected: Sequence[list[bytes]]) -> Rung:
    """LiteRT as phones run it: another rounding family, so a tolerance."""
    from edgecompress.device import open_host

    with open_host(ladder.model.data) as host:
        got = [host.run(sample) for sample in ladder.samples]
    rung = ladder.compare(_LITERT_DEFAULT, got, reference, expected)
    if rung.status is Status.EQUAL:
        return rung
    status = Status.WITHIN if (rung.largest_difference or 0) <= LITERT_TOLERANCE else Status.DIFFERS
    return replace(rung, status=status, cause=f"XNNPACK rounds once, the reference twice; up to {LITERT_TOLERANCE} LSB is expected")


def _core_tracer(graph: Graph, device: Device) -> Tracer | None:
    """The core's own tensors, step by step; None for a device that cannot be looked into. A step that fuses ops shows its last."""
    from edgecompress.device import EmulatedDevice

    if not isinstance(device, EmulatedDevice):
        return None
    by_name = {graph.tensor(index).name: graph.tensor(index) for op in graph.ops for index in op.outputs}

    def trace(sample: Sequence[bytes]) -> Trace:
        known = ((by_name[name], raw) for name, raw in device.trace(sample).items() if name in by_name)
        return {tensor.index: np.frombuffer(raw, NUMPY_TYPES[tensor.dtype]) for tensor, raw in known}

    return trace
