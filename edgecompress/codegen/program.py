"""What `lower` decides and `emit` prints: steps that call kernels on planned buffers.

    Graph --lower--> Step (one kernel call each) --plan--> offsets --check--> --emit--> C

A step's arguments are typed, so that a check can see what a kernel reads and writes before any C exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.artifact import PlannedBuffer
from edgecompress.graph import Graph


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant array of the generated source, in the section that counts as model bytes; it starts at a multiple of 4.

    `c_type` is the element type as C writes it; `values` is an array of integers, flattened when printed, or of rows for a struct type
    (`ec_scale`: [n, 2], one row an element). `symbol` comes from `Names.constant`; constants with the same type and values are printed
    once, under the first one's symbol. `comment` says what it is in a few words: a shape, a layout.
    """

    symbol: str
    c_type: str
    values: NDArray[np.integer]
    comment: str = ""


@dataclass(frozen=True)
class TensorArg:
    """The buffer of a tensor by its index; for a constant tensor, its data among the constants. Written tensors get a pointer to
    non-const, all others to const."""

    tensor: int
    c_type: str = "int8_t"


@dataclass(frozen=True, eq=False)
class ConstantArg:
    """A pointer to a Constant; None is NULL."""

    constant: Constant | None


@dataclass(frozen=True)
class ScratchArg:
    """The step's scratch buffer (its size stands in `Step.scratch_bytes`)."""

    c_type: str = "int8_t"


@dataclass(frozen=True)
class ParamsArg:
    """A pointer to a `static const` struct of kernel parameters.

    Fields are printed as designated initializers in the order given: ints, Constants (a pointer to the array), nested mappings
    (structs), or tuples (arrays).
    """

    c_type: str
    fields: Mapping[str, Field]


@dataclass(frozen=True)
class LiteralArg:
    """An integer passed by value."""

    value: int


@dataclass(frozen=True)
class PointerArray:
    """A local array of pointers to tensors (CONCATENATION, SPLIT, PACK): `const int8_t *const in[] = {...}`."""

    tensors: tuple[int, ...]
    writes: bool
    c_type: str = "int8_t"


@dataclass(frozen=True)
class Names:
    """Unique C symbols for the constants of one op of one model."""

    model: str
    op: int

    def constant(self, what: str) -> str:
        """`kws_op3_weights` for `weights`."""
        return f"{self.model}_op{self.op}_{what}"


Field = int | Constant | Mapping[str, "Field"] | tuple["Field", ...]
Argument = TensorArg | ConstantArg | ScratchArg | ParamsArg | LiteralArg | PointerArray


@dataclass(frozen=True)
class Overlap:
    """Leave to let the output of a step overlap one of its inputs.

    The kernel reads `source` from its start to its end and writes `output` from its start to its end, and no byte of `source` is
    overwritten before its last reading as long as `offset(source) - offset(output) >= lead`. The two may have different sizes.

    Attributes:
        source, output: tensors that the step reads and writes.
        lead: bytes, any integer. 0 is a kernel that reads each element before it writes that position; a pointwise convolution from 8 to
            16 channels needs 8 bytes a pixel and a block; a kernel that keeps a ring of rows in scratch may have one below 0.
    """

    source: int
    output: int
    lead: int = 0


@dataclass(frozen=True)
class Step:
    """One kernel call.

    Attributes:
        ops: indices of the graph's ops that this call computes, the main one first.
        function: the kernel, `ec_<op>_<dtype>`.
        kernel: its source, relative to firmware/ ("kernels/portable/ec_add_s8.c").
        arguments: in the order of the C signature.
        reads, writes: activation tensors by index.
        scratch_bytes: scratch of the call, 0 for none; planned at 4-byte alignment.
        overlaps: inputs that an output may overlap, and how far. The plan makes use of them where nothing needs the input later; what is
            not declared stays apart.
    """

    ops: tuple[int, ...]
    function: str
    kernel: str
    arguments: tuple[Argument, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    scratch_bytes: int = 0
    overlaps: tuple[Overlap, ...] = ()

    @property
    def calls(self) -> tuple[Step, ...]:
        """The kernel calls that the step is made of: itself, but for a block of several (`stream.block.StreamStep`)."""
        return (self,)


def constant_bytes(step: Step) -> int:
    """What a step's own constants take of the flash; arrays that several steps share count in each."""
    return sum(_bytes_of(constant) for argument in step.arguments for constant in _constants_of(argument))


def _constants_of(argument: Argument) -> Iterator[Constant]:
    match argument:
        case ConstantArg(constant=Constant() as constant):
            yield constant
        case ParamsArg(fields=fields):
            yield from (value for value in fields.values() if isinstance(value, Constant))
        case _:
            pass


def _bytes_of(constant: Constant) -> int:
    return constant.values.size * (1 if constant.c_type.endswith("int8_t") else 2 if constant.c_type.endswith("int16_t") else 4)


@dataclass(frozen=True)
class Alias:
    """An op that moves no bytes (RESHAPE, SQUEEZE, EXPAND_DIMS): `output` is another name for `source`."""

    op: int
    source: int
    output: int


@dataclass(frozen=True)
class ArenaPlan:
    """Where every tensor that is no constant lies in the arena.

    Attributes:
        arena_bytes: what the arena needs; a multiple of 16.
        peak_bytes: the end of the highest buffer; a multiple of 4.
        bound_bytes: no plan of these steps has a lower peak: what one step needs, or more where a complete search refused it.
        offsets: byte offset of each tensor by its index, other names (Alias) included.
        scratch_offsets: byte offset of a step's scratch by the step's index, for steps that have some.
        buffers: the same for people: what lies where from which step to which.
    """

    arena_bytes: int
    peak_bytes: int
    bound_bytes: int
    offsets: Mapping[int, int]
    scratch_offsets: Mapping[int, int]
    buffers: tuple[PlannedBuffer, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """All that `emit` prints.

    Attributes:
        name: prefix of every symbol and file.
        command: how to generate it again.
        about: what the head of the source says about it, beside steps and arena; a sentence or none.
        called: the input whose rows the application is asked for, by tensor; None where all inputs are in the arena.
    """

    name: str
    command: str
    graph: Graph
    steps: Sequence[Step]
    aliases: Sequence[Alias]
    plan: ArenaPlan
    called: int | None = None
    about: str = ""
