"""Random models whose layers go by rows: odd sizes, strides, paddings, pools, sums with an earlier tensor; and blocks of them, forced.

`force_blocks` cuts a model at random, whether or not that lowers its arena, so that every kind of band is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgecompress.artifact import GeneratedModel, StreamInfo, Streaming
from edgecompress.codegen.aot import generated_model
from edgecompress.codegen.lower import lower
from edgecompress.codegen.plan import plan_arena
from edgecompress.codegen.stream.apply import PlannedProgram
from edgecompress.codegen.stream.block import Block, asked_rows, lay_out
from edgecompress.codegen.stream.chain import Chain, find_chains
from edgecompress.codegen.stream.schedule import play_bands
from edgecompress.codegen.stream.search import apply_blocks
from edgecompress.graph import Graph
from edgecompress.target import KernelSet
from tests.op_cases import OpCases
from tests.op_chains import Chain as Layers
from tests.op_chains import layer

Put = Callable[[OpCases, Layers], None]


def row_chain(c: OpCases) -> None:
    """Three to nine layers over an image of 5 to 20 rows."""
    state = Layers(c, shape=(1, int(c.rng.integers(5, 21)), int(c.rng.integers(2, 9)), int(c.pick(1, 3, 4, 8))))
    for _ in range(int(c.rng.integers(3, 10))):
        if state.shape[1] < 2:
            break
        put: Put = c.pick(_convolution, _pointwise, _pointwise, _depthwise, _depthwise, _depthwise, _pool, _pad, _rectify, _residual)
        put(c, state)
    c.outputs.append(state.tensor)


def _convolution(c: OpCases, s: Layers) -> None:
    layer(c, s, "CONV_2D", int(c.rng.integers(1, 5)), int(c.pick(4, 8, *c.rng.integers(1, 10, 2))))


def _pointwise(c: OpCases, s: Layers) -> None:
    layer(c, s, "CONV_2D", 1, int(c.pick(8, 16, *c.rng.integers(1, 22, 3))))


def _depthwise(c: OpCases, s: Layers) -> None:
    layer(c, s, "DEPTHWISE_CONV_2D", int(c.pick(3, 3, 3, 2, 5)), s.shape[3])


def _pool(c: OpCases, s: Layers) -> None:
    kind, padding = c.pick("AVERAGE_POOL_2D", "MAX_POOL_2D"), c.pick("SAME", "VALID")
    size, stride = (min(int(c.rng.integers(1, 4)), s.shape[1]), min(int(c.rng.integers(1, 4)), s.shape[2])), c.rng.integers(1, 4, 2)
    sides = {"stride_h": int(stride[0]), "stride_w": int(stride[1]), "filter_height": size[0], "filter_width": size[1]}
    out = [-(-n // k) if padding == "SAME" else (n - f) // k + 1 for n, f, k in zip(s.shape[1:3], size, stride.tolist(), strict=True)]
    s.put(kind, (1, *out, s.shape[3]), s.quantization, padding=padding, **sides)


def _pad(c: OpCases, s: Layers) -> None:
    widths = c.rng.integers(0, 3, (4, 2))
    widths[0] = widths[3] = 0
    s.put("PAD", tuple(int(d + w.sum()) for d, w in zip(s.shape, widths, strict=True)), s.quantization, c.constant(widths))


def _rectify(c: OpCases, s: Layers) -> None:
    s.put(c.pick("RELU", "HARD_SWISH", "RELU6"), s.shape, c.pick(s.quantization, c.quantization(0.01, 0.1)))


def _residual(c: OpCases, s: Layers) -> None:
    """A depthwise layer that keeps the shape, and the sum with its input or an earlier tensor of that shape."""
    same = [tensor for tensor, shape, _ in s.older if shape == s.shape]
    other = c.pick(s.tensor, *same)
    if c.pick(True, False):
        layer(c, s, "DEPTHWISE_CONV_2D", 3, s.shape[3], same_shape=True)
    s.put(c.pick("ADD", "ADD", "MUL"), s.shape, c.quantization(0.01, 0.1), other, first=c.pick(True, False))


def force_blocks(graph: Graph, kernels: KernelSet, rng: np.random.Generator, *, call_for_rows: bool) -> GeneratedModel | None:
    """The model with random blocks, one after the other; None where no chain may stand as asked for."""
    steps, aliases = lower(graph, graph.name, kernels)
    chains = list(find_chains(graph, steps, aliases))
    called = graph.inputs[0] if call_for_rows else None
    if call_for_rows:
        readers = [n for n, step in enumerate(steps) if called in {chain_owner(chains, i) for i in step.reads}]
        chains = [c for c in chains if c.source != called or all(c.first <= n < c.end for n in readers)]
    blocks: list[Block] = []
    for chain in rng.permutation(np.array(chains, dtype=object)).tolist() if chains else []:
        if all(chain.end <= b.chain.first or b.chain.end <= chain.first for b in blocks):
            rows = int(rng.integers(1, max(2, graph.tensor(chain.output).shape[1])))
            bands = play_bands(graph, chain, rows, warm_up=bool(rng.integers(2)))
            blocks.append(lay_out(graph, chain, bands, rows, call_for_rows=chain.source == called))
    blocks.sort(key=lambda block: block.chain.first)
    if not blocks or (call_for_rows and not any(b.calls_for_rows for b in blocks)):
        return None
    plain = plan_arena(steps, aliases, graph)
    steps, aliases = apply_blocks(graph, steps, aliases, blocks)
    arena_graph = replace(graph, inputs=graph.inputs[1:]) if call_for_rows else graph
    asked = next((asked_rows(b) for b in blocks if b.calls_for_rows), 0)
    info = StreamInfo(Streaming.INPUT if call_for_rows else Streaming.ROWS, (), plain.arena_bytes, asked_rows=asked)
    plan = plan_arena(steps, aliases, arena_graph)
    return generated_model(graph, graph.name, PlannedProgram(steps, aliases, plan, arena_graph, called, info), "a test")


def chain_owner(chains: list[Chain], tensor: int) -> int:
    """The tensor that owns the bytes of a name."""
    return chains[0].owner(tensor) if chains else tensor
