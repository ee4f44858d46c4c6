"""The aot engine: a graph as plain C calls of int8 kernels on a static memory plan.

Graph --lower--> steps --plan_arena--> offsets --check_program--> --emit_files--> C
"""

from __future__ import annotations

from edgecompress.artifact import Engine, GeneratedModel, ModelInfo, StepInfo, Streaming
from edgecompress.codegen.check import check_program
from edgecompress.codegen.emit import emit_files
from edgecompress.codegen.lower import lower
from edgecompress.codegen.program import Program, Step
from edgecompress.codegen.smaller import lower_smallest
from edgecompress.codegen.specs import checked_name, tensor_spec
from edgecompress.codegen.stream.apply import PlannedProgram, plan_program
from edgecompress.errors import ModelError
from edgecompress.graph import Graph, count_macs
from edgecompress.target import KernelSet, Optimize

# Offsets and element counts are int32 in the kernels.
_LARGEST_ARENA = (1 << 31) - 1


def generate_aot(
    graph: Graph,
    *,
    name: str | None = None,
    keep_input: bool = False,
    kernels: KernelSet = KernelSet.PORTABLE,
    optimize: Optimize = Optimize.SPEED,
    stream: Streaming = Streaming.NONE,
) -> GeneratedModel:
    """The C sources of a fully int8 model.

    Args:
        graph: from `read_tflite`.
        name: prefix of every symbol and file, a lower-case C identifier; the graph's name unless given.
        keep_input: inputs stay intact during an inference, which may take a larger arena.
        kernels: which kernels the sources call; portable ones run everywhere, `Target.kernels` tells what a core can run.
        optimize: the fastest kernels, or packed weights and kernels with the smallest arena.
        stream: whether first layers go by rows, for a smaller arena and the same bytes (docs/streaming.md).

    Raises:
        UserError: `name` cannot be a prefix.
        UnsupportedOpError: an op, version, type or option without a kernel; op, layer and version are named.
        ModelError: scales or shapes that no runtime takes, or a model beyond 2 GB.
    """
    prefix = checked_name(graph.name if name is None else name)
    _check_graph(graph)
    small = optimize is Optimize.SIZE
    steps, aliases = lower_smallest(graph, prefix, kernels, keep_input) if small else lower(graph, prefix, kernels)
    planned = plan_program(graph, steps, aliases, keep_input=keep_input, stream=stream)
    command = _command(graph, prefix, keep_input, kernels, optimize, stream)
    return generated_model(graph, prefix, planned, command, keep_input=keep_input)


def generated_model(graph: Graph, prefix: str, planned: PlannedProgram, command: str, *, keep_input: bool = False) -> GeneratedModel:
    """The C sources of a planned program, which is checked.

    Args:
        command: how to generate it again.
    """
    steps, aliases, plan = planned.steps, planned.aliases, planned.plan
    if plan.arena_bytes > _LARGEST_ARENA:
        raise ModelError(f"{graph.name}: expected an arena below 2 GB, came {plan.arena_bytes} bytes")
    check_program(steps, aliases, plan, planned.arena_graph, keep_input)
    files = emit_files(Program(prefix, command, graph, steps, aliases, plan, planned.called, planned.about))
    info = ModelInfo(
        name=prefix,
        sha256=graph.sha256,
        engine=Engine.AOT,
        macs=graph.macs,
        parameters=graph.parameters,
        arena_bytes=plan.arena_bytes,
        inputs=tuple(tensor_spec(graph.tensor(i)) for i in graph.inputs),
        outputs=tuple(tensor_spec(graph.tensor(i)) for i in graph.outputs),
        steps=tuple(_step_info(graph, n, step) for n, step in enumerate(steps)),
        plan=plan.buffers,
        arena_bound_bytes=plan.bound_bytes,
        stream=planned.info,
    )
    return GeneratedModel(info, files, tuple(sorted({call.kernel for step in steps for call in step.calls})))


def _check_graph(graph: Graph) -> None:
    for i in graph.inputs:
        if graph.tensor(i).is_constant:
            raise ModelError(f"{graph.tensor(i).name} is a constant and an input of the model at once", hint="convert the model again")
    if len(set(graph.inputs)) != len(graph.inputs):
        raise ModelError(f"{graph.name}: one tensor is two inputs of the model", hint="convert the model again")


def _command(graph: Graph, prefix: str, keep_input: bool, kernels: KernelSet, optimize: Optimize, stream: Streaming) -> str:
    options = ("" if prefix == graph.name else f" --name {prefix}") + (" --keep-input" if keep_input else "")
    options += "" if kernels is KernelSet.PORTABLE else f" --kernels {kernels.value}"
    options += "" if optimize is Optimize.SPEED else f" --optimize {optimize.value}"
    options += "" if stream is Streaming.NONE else f" --stream {stream.value}"
    return f"edgecompress generate {graph.name}.tflite --engine aot{options}"


def _step_info(graph: Graph, n: int, step: Step) -> StepInfo:
    main, *fused = (graph.ops[i] for i in step.ops)
    macs = sum(count_macs(graph, graph.ops[i]) for i in step.ops)
    return StepInfo(n, graph.tensor(step.writes[0]).name, main.kind, macs, tuple(op.kind for op in fused))
