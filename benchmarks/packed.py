"""What packed weights cost and save: instructions on a Cortex-M4 and bytes of weights, by layer and form.

    python benchmarks/packed.py               every layer and form
    python benchmarks/packed.py --blocks      zero blocks of four inputs, which the default (speed) leaves out too
    python benchmarks/packed.py --quick       one layer

Each row is a layer, each cell `instructions of the packed layer / of the layer with the core's own kernels` and
`bytes of constants / of those`. Outputs are compared with the numpy reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from kernels import CORES, conv, count, dense, depthwise, markdown_lines, model_of
from numpy.typing import NDArray

from edgecompress.artifact import GeneratedModel
from edgecompress.codegen import generate_aot
from edgecompress.codegen.emit import emit_files
from edgecompress.codegen.lower import lower
from edgecompress.codegen.plan import plan_arena
from edgecompress.codegen.program import Program, constant_bytes
from edgecompress.graph import Graph
from edgecompress.target import KernelSet, Optimize, load_target

LAYERS = (
    conv(8, 64, 64, size=1),
    conv(8, 128, 128, size=1),
    conv(8, 32, 32),
    conv(2, 32, 32),
    depthwise(16, 64, 3, 1),
    dense(64, 10),
    dense(640, 128),
)

_Weights = NDArray[np.int8]


def values_of(count: int) -> Callable[[_Weights], _Weights]:
    """Weights that take so many values, none of which is -128 (the DSP kernels have no word for that beside a negative one)."""
    step = 256 // count
    return lambda w: (w.astype(np.int16) // step * step + step // 2).astype(np.int8)


def scattered(count: int) -> Callable[[_Weights], _Weights]:
    """Weights that take so many values, at uneven distances, as clusters have them."""
    book = np.sort(np.random.default_rng(6).choice(np.arange(-127, 128), count, replace=False)).astype(np.int8)
    return lambda w: book[(w.astype(np.int16) + 128) * count // 256]


def of_four(kept: int) -> Callable[[_Weights], _Weights]:
    """Weights with so many of each four that are not 0."""

    def sparse(w: _Weights) -> _Weights:
        rows = w.reshape(-1, 4)
        order = np.random.default_rng(5).permuted(np.tile(np.arange(4), (len(rows), 1)), axis=1)
        return np.where(order < kept, rows, 0).astype(np.int8).reshape(w.shape)

    return sparse


def of_blocks(share: float) -> Callable[[_Weights], _Weights]:
    """Weights of which this share of the fours along the inputs is not all 0."""

    def sparse(w: _Weights) -> _Weights:
        rows = w.reshape(-1, 4)
        kept = np.random.default_rng(3).permutation(len(rows)) < share * len(rows)
        return np.where(kept[:, None], rows, 0).astype(np.int8).reshape(w.shape)

    return sparse


FORMS: dict[str, Callable[[_Weights], _Weights]] = {
    "32 values": scattered(32),
    "16 values": scattered(16),
    "int4": values_of(16),
    "4 values": scattered(4),
    "2:4": of_four(2),
    "1:4": of_four(1),
}

BLOCK_FORMS: dict[str, Callable[[_Weights], _Weights]] = {f"{share:.0%} of the blocks": of_blocks(share) for share in (0.5, 0.4, 0.25, 0.1)}
BLOCK_LAYERS = (conv(8, 64, 64, size=1), conv(8, 32, 32), dense(64, 64), dense(128, 128), dense(640, 128))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small layer")
    parser.add_argument("--blocks", action="store_true", help="zero blocks, with default options")
    arguments = parser.parse_args()
    blocks = arguments.blocks
    layers = (conv(4, 8, 8, size=1),) if arguments.quick else BLOCK_LAYERS if blocks else LAYERS
    forms, optimize = (BLOCK_FORMS, Optimize.SPEED) if blocks else (FORMS, Optimize.SIZE)
    graph, values = model_of(layers)
    target = load_target(CORES["m4"])
    own = count(graph, values, target, target.kernels)
    own_bytes = constants(graph, Optimize.SPEED)
    columns = []
    for form in forms.values():
        packed = with_weights(graph, form)
        counted = count(packed, values, target, target.kernels, generate_packed(packed, target.kernels, optimize))
        size = constants(packed, optimize)
        columns.append([f"{c.per_mac / o.per_mac:.2f}, {s / b:.2f}" for c, o, s, b in zip(counted, own, size, own_bytes, strict=True)])
    heads = ["layer", "per MAC, unpacked", *forms]
    rows = [[layer.name, f"{o.per_mac:.2f}", *cells] for layer, o, *cells in zip(layers, own, *columns, strict=True)]
    print("\n".join(markdown_lines(heads, rows)))
    return 0


def generate_packed(graph: Graph, kernels: KernelSet, optimize: Optimize) -> GeneratedModel:
    """The kernels of `lower`: for size the smallest constants with the fastest kernels for them, whatever arena they take."""
    steps, aliases = lower(graph, kernels=kernels, optimize=optimize)
    plan = plan_arena(steps, aliases, graph)
    model = generate_aot(graph)
    info = replace(model.info, arena_bytes=plan.arena_bytes, plan=plan.buffers, arena_bound_bytes=plan.bound_bytes)
    files = emit_files(Program(info.name, "benchmarks/packed.py", graph, steps, aliases, plan))
    return GeneratedModel(info, files, tuple(sorted({step.kernel for step in steps})))


def constants(graph: Graph, optimize: Optimize) -> list[int]:
    """Bytes of each layer's constants."""
    steps, _ = lower(graph, kernels=load_target(CORES["m4"]).kernels, optimize=optimize)
    return [constant_bytes(step) for step in steps]


def with_weights(graph: Graph, form: Callable[[_Weights], _Weights]) -> Graph:
    """The graph with other weights in each layer."""
    weights = {op.inputs[1] for op in graph.ops}
    changed = tuple(
        replace(t, data=form(t.data.astype(np.int8))) if t.index in weights and t.data is not None else t for t in graph.tensors
    )
    return replace(graph, tensors=changed)


if __name__ == "__main__":
    raise SystemExit(main())
