"""What the trades hand to each other on the way from a graph to a core: generated sources, and linked firmware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgecompress.graph import DType


class Engine(Enum):
    """What executes the model on the device."""

    AOT = "aot"
    TFLM = "tflm"
    LITERT = "litert"
    TFLITE_RUNTIME = "tflite-runtime"


class Streaming(Enum):
    """Whether first layers are computed in bands of rows: not; with the input in the arena; or with rows of the input called for."""

    NONE = "none"
    ROWS = "rows"
    INPUT = "input"


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model, as the application sees it. `scale` is None for a tensor that is not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    bytes: int
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class StepInfo:
    """One step of the generated code: one op, or several that were fused.

    `name` is the output tensor's name, `kind` the op's, `fused` the kinds of further ops that this step computes as well.
    """

    index: int
    name: str
    kind: str
    macs: int
    fused: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedBuffer:
    """A buffer of the arena: it holds `tensor` (a name; `scratch` for scratch) from step `first_op` to step `last_op`, both included."""

    tensor: str
    offset: int
    bytes: int
    first_op: int
    last_op: int


@dataclass(frozen=True)
class StreamedBlock:
    """Ops `first_op` to `last_op` as one step: `bands` turns of `rows` rows of the last one's output, in `buffer_bytes` of scratch."""

    step: int
    first_op: int
    last_op: int
    bands: int
    rows: int
    buffer_bytes: int


@dataclass(frozen=True)
class StreamInfo:
    """What streaming did.

    Attributes:
        mode: as asked for.
        blocks: none where the plan is the one without streaming; then `note` says why.
        plain_arena_bytes: the arena without streaming.
        recomputed_macs: multiply-accumulates that are done more than once: none, because rows are kept from band to band.
        asked_rows: of the first input, called for by `<name>_input_rows`; 0 where it is in the arena.
    """

    mode: Streaming
    blocks: tuple[StreamedBlock, ...]
    plain_arena_bytes: int
    recomputed_macs: int = 0
    asked_rows: int = 0
    note: str = ""

    @property
    def words(self) -> str:
        """What streaming did, for people."""
        if not self.blocks:
            return self.note
        blocks = ", ".join(f"ops {b.first_op} to {b.last_op} in {b.bands} bands" for b in self.blocks)
        asked = f"; {self.asked_rows:,} rows of the input are called for" if self.asked_rows else ""
        return f"{blocks}; {self.plain_arena_bytes:,} B of arena without; {self.recomputed_macs:,} MACs computed twice{asked}"


@dataclass(frozen=True)
class ModelInfo:
    """What anybody downstream needs to know about a model without its weights. It travels inside the firmware's ELF as JSON.

    Attributes:
        arena_bytes: what the application gives to the model; for the aot engine the plan's peak, rounded up to 16.
        arena_bound_bytes: no plan of the same steps has a lower peak; None where nothing was planned, or an older version did.
        stream: what streaming by rows did; None where it was not asked for.
        arena_is_estimate: whether `arena_bytes` may be too little or too much, because no core was asked (the tflm engine only).
    """

    name: str
    sha256: str
    engine: Engine
    macs: int
    parameters: int
    arena_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    steps: tuple[StepInfo, ...]
    plan: tuple[PlannedBuffer, ...]
    arena_bound_bytes: int | None = None
    arena_is_estimate: bool = False
    stream: StreamInfo | None = None

    @property
    def calls_for_rows(self) -> bool:
        """Whether the application is asked for rows of the first input, which is not in the arena."""
        return self.stream is not None and self.stream.asked_rows > 0

    @property
    def arena_peak_bytes(self) -> int | None:
        """Where the highest buffer of the plan ends, rounded up to a word; None without a plan."""
        return max((-(-(b.offset + b.bytes) // 4) * 4 for b in self.plan), default=None)


@dataclass(frozen=True)
class GeneratedModel:
    """Generated sources: `files` maps a relative path to its text; `kernels` are paths below firmware/ that they call."""

    info: ModelInfo
    files: Mapping[str, str]
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class MemorySizes:
    """Bytes of a firmware, read from its linked ELF.

    Attributes:
        code_bytes: text + rodata + data of what the model needs: calls, kernels, compiler run-time.
        model_bytes: weights, biases, scales, tables.
        harness_bytes: start-up, drivers, serial application.
        arena_bytes: the planned arena.
        static_ram_bytes: .data + .bss without the arena and the stack.
    """

    code_bytes: int
    model_bytes: int
    harness_bytes: int
    arena_bytes: int
    static_ram_bytes: int

    @property
    def flash_bytes(self) -> int:
        return self.code_bytes + self.model_bytes + self.harness_bytes


@dataclass(frozen=True)
class Firmware:
    """A linked firmware image for one target.

    Attributes:
        stack_bound_bytes: no inference takes more of the stack, told from the code; None where that cannot be told, or an older version
            built it.
        stack_problem: why it cannot be told, after a build.
    """

    elf: Path
    target: str
    info: ModelInfo
    sizes: MemorySizes
    toolchain: str
    stack_bound_bytes: int | None = None
    stack_problem: str = ""
