"""From ops to kernel calls: one lowering function a kind of op, and the table that finds it.

A lowering decides everything that can be decided before the model runs: padding, fixed-point scales, clamps, the layout of constants. Its
signature is `lower_conv2d(graph, op, names) -> Step | Alias`; it raises UnsupportedOpError (through `rules`) for what its kernel cannot do.
Each module has its own literal table `LOWER`; `LOWERINGS` is all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgecompress.codegen.lower import (
    activation,
    conv,
    dsp,
    elementwise,
    fully_connected,
    mve,
    packed,
    pool,
    resize,
    shape,
    sixteen,
    sixteen_curves,
    sixteen_dsp,
    thumb1,
    thumb2,
    transpose_conv,
    wide,
)
from edgecompress.codegen.lower.rules import TFLM_HINT, FastLowering, Lowering, unsupported
from edgecompress.codegen.lower.views import views, without_dead_taps
from edgecompress.codegen.program import Alias, Names, Step, constant_bytes
from edgecompress.errors import ModelError, UnsupportedOpError
from edgecompress.graph import DType, Graph, Op
from edgecompress.target import KernelSet, Optimize

LOWERINGS: dict[str, Lowering] = {
    **conv.LOWER,
    **fully_connected.LOWER,
    **transpose_conv.LOWER,
    **elementwise.LOWER,
    **activation.LOWER,
    **pool.LOWER,
    **shape.LOWER,
    **resize.LOWER,
}


SIXTEEN: dict[str, Lowering] = {**sixteen.LOWER, **sixteen_curves.LOWER}
"""Ops from int16 to int16 whose kernels are others; what only moves elements stands in `LOWERINGS`."""


FASTER: dict[KernelSet, tuple[dict[str, FastLowering], ...]] = {
    KernelSet.PORTABLE: (),
    KernelSet.THUMB1: (thumb1.LOWER,),
    KernelSet.THUMB2: (thumb2.LOWER,),
    KernelSet.DSP: (dsp.LOWER,),
    KernelSet.MVE: (mve.LOWER, dsp.LOWER),
    KernelSet.WIDE: (wide.LOWER,),
}
"""What each set tries for an op, best first, before the portable kernel."""

FASTER_SIXTEEN: dict[KernelSet, dict[str, FastLowering]] = {KernelSet.DSP: sixteen_dsp.LOWER, KernelSet.MVE: sixteen_dsp.LOWER}
"""The same for ops from int16 to int16."""

PACKED: dict[KernelSet, tuple[dict[str, FastLowering], ...]] = {KernelSet.DSP: (dsp.PACKED, dsp.SMALL)}
"""The same from packed weights, two at most: the second one with less scratch."""


_MOST_GROWTH = 1.25
"""Of a step's constants for less scratch: biases and scales that are not packed, but no zero blocks that the faster step leaves out."""


def lower(
    graph: Graph, model: str | None = None, kernels: KernelSet = KernelSet.PORTABLE, optimize: Optimize = Optimize.SPEED
) -> tuple[tuple[Step, ...], tuple[Alias, ...]]:
    """The kernel calls of a graph in execution order, and the tensors that are other names for a buffer.

    Args:
        graph: a model of int8, or of int16 activations with int8 weights, throughout.
        model: prefix of every symbol; the graph's name unless given.
        kernels: which kernels may be called.
        optimize: the fastest kernel of each op, or the one whose constants are smallest.

    Raises:
        UnsupportedOpError: an op, version, type or option without a kernel; op, layer and version are named.
    """
    lowered = [choices(graph, op, model or graph.name, kernels, optimize)[0] for op in graph.ops]
    return tuple(s for s in lowered if isinstance(s, Step)), tuple(a for a in lowered if isinstance(a, Alias))


def choices(graph: Graph, op: Op, model: str, kernels: KernelSet, optimize: Optimize) -> tuple[Step | Alias, ...]:
    """What an op may become, best first: its step for `optimize`; for size also a step with less scratch, where there is one.

    Raises:
        UnsupportedOpError: as `lower`.
    """
    portable = lower_op(graph, op, model)
    live, cropped = without_dead_taps(graph, op)
    if cropped is not op:
        graph, op, portable = live, cropped, lower_op(live, cropped, model)
    fast = _faster(graph, op, model, kernels, portable)
    if optimize is Optimize.SPEED or isinstance(fast, Alias) or isinstance(portable, Alias):
        return (fast,)
    plain = fast is portable
    smaller = [step for step in _packed(graph, op, model, kernels, portable, plain) if constant_bytes(step) < constant_bytes(fast)]
    if smaller:
        return tuple(smaller)
    if fast is portable or constant_bytes(portable) > _MOST_GROWTH * constant_bytes(fast):
        return (fast,)
    return fast, portable


def _packed(graph: Graph, op: Op, model: str, kernels: KernelSet, portable: Step, plain: bool) -> Iterator[Step]:
    """Steps on packed weights, the fastest first.

    The portable kernels take 2 to 14 times the instructions of a set's own on whole weights, which no flash is worth: where the set packs
    ops of this kind itself, they are for layers that are `plain`, without a kernel of the set's own. Views are not for them.
    """
    if _is_sixteen(graph, op):
        return
    own = PACKED.get(kernels, ())
    steps = _packed_by_set(graph, op, model, own)
    yield from steps
    if not steps and (plain or not any(op.kind in table for table in own)):
        step = packed.packed_step(graph, op, Names(model, op.index), portable)
        if step is not None:
            yield step


def _packed_by_set(graph: Graph, op: Op, model: str, own: tuple[dict[str, FastLowering], ...]) -> list[Step]:
    """Of the first view that the set's own kernels pack."""
    for view, viewed in views(graph, op) if own else ():
        start = lower_op(view, viewed, model)
        lowerings = [table[viewed.kind] for table in own if viewed.kind in table]
        steps = [lowering(view, viewed, Names(model, op.index), start) for lowering in lowerings if isinstance(start, Step)]
        found = [step for step in steps if step is not None]
        if found:
            return found
    return []


def _faster(graph: Graph, op: Op, model: str, kernels: KernelSet, portable: Step | Alias) -> Step | Alias:
    if isinstance(portable, Alias) or not FASTER[kernels]:
        return portable
    if _is_sixteen(graph, op):
        fast = FASTER_SIXTEEN.get(kernels, {}).get(op.kind)
        return (fast and fast(graph, op, Names(model, op.index), portable)) or portable
    for view, viewed in views(graph, op):
        start = lower_op(view, viewed, model)
        if isinstance(start, Alias):
            return portable
        for table in FASTER[kernels]:
            lowering = table.get(viewed.kind)
            step = None if lowering is None else lowering(view, viewed, Names(model, op.index), start)
            if step is not None:
                return step
    return portable


def lower_op(graph: Graph, op: Op, model: str) -> Step | Alias:
    """What becomes of one op.

    Raises:
        UnsupportedOpError: as `lower`; arithmetic that does not know the layer gets its name here.
    """
    lowering = (SIXTEEN.get(op.kind) if _is_sixteen(graph, op) else None) or LOWERINGS.get(op.kind)
    if lowering is None:
        raise unsupported(graph, op, "the aot engine has no kernel for this op", f"replace this layer, or {TFLM_HINT}")
    _require_elements(graph, op)
    try:
        return lowering(graph, op, Names(model, op.index))
    except UnsupportedOpError:
        raise
    except ModelError as e:
        raise unsupported(graph, op, e.message, e.hint or TFLM_HINT) from e


def _is_sixteen(graph: Graph, op: Op) -> bool:
    tensors = (*graph.op_inputs(op)[:1], *graph.op_outputs(op)[:1])
    return len(tensors) == 2 and all(t is not None and t.dtype is DType.INT16 for t in tensors)


def _require_elements(graph: Graph, op: Op) -> None:
    """No kernel is called for a tensor without elements: C has no arrays of length 0."""
    for tensor in (*graph.op_inputs(op), *graph.op_outputs(op)):
        if tensor is not None and not tensor.is_constant and tensor.elements == 0:
            raise unsupported(graph, op, f"{tensor.name} of shape {tensor.shape} has no elements", "convert the model with fixed shapes")
