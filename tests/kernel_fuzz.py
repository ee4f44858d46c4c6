"""Random cases of one family against the oracle: on the host under sanitizers, and on every emulated core with the kernels of its own.

Case `n` of a seed is the same op whatever stands around it, so that a failure is repeated alone. What once failed is kept in `FOUND`, and
runs with every test.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.artifact import GeneratedModel
from edgecompress.build import build_firmware
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator, open_qemu
from edgecompress.errors import EdgeCompressError
from edgecompress.graph import Graph
from edgecompress.numerics.reference import run_reference
from edgecompress.target import EmulatorLink, KernelSet, Optimize, load_target
from tests import conv_families, edge_families, op_chains, op_families, packed_families, sixteen_families, wide_families
from tests.aot_host import compile_models
from tests.op_cases import Family, OpCases
from tests.spread_plan import generate_spread

WEIGHTED: tuple[Family, ...] = (
    edge_families.edge_conv2d,
    edge_families.edge_pointwise,
    edge_families.edge_depthwise,
    edge_families.edge_dense,
    edge_families.edge_sums,
    edge_families.edge_add,
    conv_families.conv2d,
    conv_families.depthwise_without_bias,
    conv_families.fully_connected,
    conv_families.transpose_conv,
    wide_families.wide_conv2d,
    wide_families.wide_depthwise,
    wide_families.wide_add,
    sixteen_families.sixteen_conv,
    sixteen_families.sixteen_depthwise,
    sixteen_families.sixteen_dense,
    sixteen_families.sixteen_sum,
)
"""Layers that a core may have kernels of its own for."""

PACKED = packed_families.PACKED
"""Layers whose weights are stored in fewer bits where the model is optimized for size."""

CHAINS: tuple[Family, ...] = (op_chains.convolution_chain, op_chains.chain, sixteen_families.sixteen_chain)
"""Several ops in a row on an arena in which outputs overlap inputs."""

OTHERS: tuple[Family, ...] = (
    *(family for family in op_families.FAMILIES if family is not op_families.rename),
    *(family for family in sixteen_families.FAMILIES if family not in WEIGHTED),
)

FAMILIES: dict[str, Family] = {family.__name__: family for family in (*WEIGHTED, *PACKED, *CHAINS, *OTHERS)}

CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m3", "cortex-m0plus")
"""Emulated in this process."""

M55 = "qemu-mps3-an547"
# The serial protocol takes 32 inputs a model.
_M55_INPUTS = 32


@dataclass(frozen=True)
class Case:
    """One op, or one chain of them."""

    family: str
    seed: int
    number: int

    def __str__(self) -> str:
        return f'Case("{self.family}", {self.seed}, {self.number})'


FOUND: tuple[Case, ...] = ()
"""What `python -m tests.fuzz_kernels` found, once a kernel's fault."""


@dataclass(frozen=True)
class Failure:
    """A case whose bytes differ, or that ended the program; `where` is a core with its kernels, or the host with some."""

    case: Case
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.case} on {self.where}: {self.problem}"


class Batch:
    """Several cases in one model, with the outputs that they must have."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._first_output: list[int] = []
        grown = _grown(cases, self._first_output)
        self.cases = tuple(cases)
        self.data, self.inputs = grown.build()
        self.graph: Graph = read_tflite(self.data, name="cases")
        values = run_reference(self.graph, self.inputs)
        self.expected = [values[i] for i in self.graph.outputs]
        packed = any(FAMILIES[case.family] in PACKED for case in cases)
        self._optimize = Optimize.SIZE if packed else Optimize.SPEED

    def on_host(self, kernels: KernelSet, folder: Path, calls: Counter[str] | None = None) -> list[Failure]:
        """Under sanitizers: on the plan as it is, and on an arena with poisoned gaps between all tensors."""
        where = f"the host, {kernels.value} kernels"
        models = [
            generate_aot(self.graph, name="planned", kernels=kernels, optimize=self._optimize),
            generate_spread(self.graph, kernels, self._optimize),
        ]
        if calls is not None:
            calls.update(kernel_calls(models[0]))
        try:
            program = compile_models(models, folder)
            results = program.run_all([(0, self.inputs), (1, self.inputs)])
        except AssertionError as error:
            return self._narrowed(where, str(error), lambda part, n: part.on_host(kernels, folder.with_name(f"{folder.name}{n}")))
        found = [failure for outputs in results for failure in self._differing(where, outputs)]
        return list({failure.case: failure for failure in found}.values())

    def on_core(self, target: str, kernels: KernelSet, folder: Path, *, spread: bool = False, strict: bool = True) -> list[Failure]:
        """On an emulated core; with `spread` on an arena that is faster to plan."""
        where = f"{target}, {kernels.value} kernels"
        core = load_target(target)
        generated = (
            generate_spread(self.graph, kernels, self._optimize)
            if spread
            else generate_aot(self.graph, kernels=kernels, optimize=self._optimize)
        )
        firmware = build_firmware(generated, core, output=folder)
        raw = [np.ascontiguousarray(value).tobytes() for value in self.inputs]
        opened = open_emulator(firmware, core, strict=strict) if isinstance(core.link, EmulatorLink) else open_qemu(firmware, core)
        try:
            with opened as device:
                outputs = device.run(raw)
        except EdgeCompressError as error:
            again = {"spread": spread, "strict": strict}
            return self._narrowed(
                where, error.message, lambda part, n: part.on_core(target, kernels, folder.with_name(f"{folder.name}{n}"), **again)
            )
        shaped = [np.frombuffer(ours, want.dtype).reshape(want.shape) for ours, want in zip(outputs, self.expected, strict=True)]
        return list(self._differing(where, shaped))

    def _differing(self, where: str, outputs: Sequence[NDArray[Any]]) -> Iterator[Failure]:
        ends = [*self._first_output[1:], len(self.expected)]
        for case, begin, end in zip(self.cases, self._first_output, ends, strict=True):
            for k in range(begin, end):
                wrong = np.flatnonzero(outputs[k].reshape(-1) != self.expected[k].reshape(-1))
                if wrong.size:
                    first = int(wrong[0])
                    pair = f"element {first} is {outputs[k].reshape(-1)[first]}, expected {self.expected[k].reshape(-1)[first]}"
                    yield Failure(case, where, f"{wrong.size} of {self.expected[k].size} elements differ, {pair}; {self._described(k)}")
                    break

    def _narrowed(self, where: str, problem: str, again: Any) -> list[Failure]:
        """The cases of a program that ended: each half again, until one case is left."""
        if len(self.cases) == 1:
            return [Failure(self.cases[0], where, problem[-1500:])]
        middle = len(self.cases) // 2
        found = [failure for n, part in enumerate((self.cases[:middle], self.cases[middle:])) for failure in again(Batch(part), n)]
        return found or [Failure(self.cases[0], where, f"all {len(self.cases)} cases from here on together: {problem[-1500:]}")]

    def _described(self, output: int) -> str:
        index = self.graph.outputs[output]
        op = next(op for op in self.graph.ops if index in op.outputs)
        shapes = " ".join(f"{list(t.shape)}" for t in self.graph.op_inputs(op) if t is not None)
        return f"{op.kind} {shapes} -> {list(self.graph.tensor(index).shape)} {op.options}"


def cases_of(family: str, seed: int, first: int, count: int) -> list[Case]:
    """Cases `first` to `first + count - 1` of a seed."""
    return [Case(family, seed, first + n) for n in range(count)]


def batches_for(target: str, cases: Sequence[Case], largest: int) -> Iterator[tuple[Case, ...]]:
    """As many cases a firmware as are fast. QEMU's link takes fewer inputs; a case without any, or with too many alone, is left out."""
    cases = [case for case in cases if fits_core(case)]
    if isinstance(load_target(target).link, EmulatorLink):
        yield from (tuple(cases[first : first + largest]) for first in range(0, len(cases), largest))
        return
    waiting: list[Case] = []
    taken = 0
    for case in cases:
        inputs = _inputs_of(case)
        if taken + inputs > _M55_INPUTS and waiting:
            yield tuple(waiting)
            waiting, taken = [], 0
        if 0 < inputs <= _M55_INPUTS:
            waiting.append(case)
            taken += inputs
    if waiting:
        yield tuple(waiting)


def fits_core(case: Case) -> bool:
    """Firmware has no inputs of truth values."""
    return all(value.dtype != np.bool_ for value in _grown([case]).values)


def _inputs_of(case: Case) -> int:
    return len(_grown([case]).inputs)


def _grown(cases: Sequence[Case], first_outputs: list[int] | None = None) -> OpCases:
    """One model of all cases, each with random numbers of its own."""
    grown = OpCases(0)
    for case in cases:
        if first_outputs is not None:
            first_outputs.append(len(grown.outputs))
        grown.rng = np.random.default_rng([case.seed, case.number])
        grown.grow(FAMILIES[case.family], 1)
    return grown


def kernel_calls(model: GeneratedModel) -> Counter[str]:
    """How often the generated sources call each kernel."""
    text = model.files[f"{model.info.name}.c"]
    return Counter(re.findall(r"^    (ec_\w+)\(", text, re.MULTILINE))


def qemu_is_here() -> bool:
    """Whether an M55 can be emulated."""
    return shutil.which("qemu-system-arm") is not None
