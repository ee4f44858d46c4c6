"""Dense layers as fast kernels take them: weights in fours of filters, folded and doubled biases, shifted scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.packing import FILTERS, FoldedBias, fold_bias, shifts_right, worth_padding
from edgecompress.codegen.lower.rules import input_tensor, output_tensor
from edgecompress.codegen.lower.weighted import bias_values
from edgecompress.codegen.program import Argument, Constant, ConstantArg, Field, Names, ParamsArg, ScratchArg, Step, TensorArg
from edgecompress.graph import Graph, Op, Tensor
from edgecompress.numerics.fixedpoint import FixedScale
from edgecompress.numerics.scales import dense_scales

_SCALE_BYTES = 8
"""sizeof(ec_scale)."""


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """A layer that `read_dense` found fit; `matrix` is [outputs, inputs]."""

    portable: Step
    params: ParamsArg
    source: Tensor
    output: Tensor
    matrix: NDArray[np.int8]
    folded: FoldedBias
    scales: tuple[FixedScale, ...]

    def step(self, names: Names, function: str, folder: str, packed: NDArray[np.integer], layout: str) -> Step | None:
        """The call `(ec_dense_params, in, packed, twice_bias, scales, out)`; None where fours of filters would cost too many zeros."""
        if not worth_padding(self.matrix.size, packed.size):
            return None
        c_type = "uint8_t" if packed.dtype == np.uint8 else "int8_t"
        weights = ConstantArg(Constant(names.constant("weights"), c_type, packed, f"{self.weights_text}, {layout}"))
        return self.call(names, function, folder, (weights,), padding=-len(self.matrix) % FILTERS)

    def call(
        self, names: Names, function: str, folder: str, weights: Sequence[Argument], *, padding: int = 0, scratch_bytes: int = 0
    ) -> Step:
        """The call `(ec_dense_params, in, *weights, twice_bias, scales, [scratch,] out)`.

        Args:
            padding: outputs beyond the last one whose bias and scale are read.
        """
        bias = np.append(2 * self.folded.values, np.zeros(padding, np.int64)).astype(np.int32)
        spread = self.scales if len(self.scales) == 1 else self.scales + self.scales[-1:] * padding
        rows = np.array([(s.multiplier, -1 - s.shift) for s in spread], np.int64)
        arguments: tuple[Argument, ...] = (
            ParamsArg("ec_dense_params", self._fields()),
            TensorArg(self.source.index),
            *weights,
            ConstantArg(Constant(names.constant("bias"), "int32_t", bias, f"bias [{len(bias)}] less the zero point's part, doubled")),
            ConstantArg(
                Constant(names.constant("scales"), "ec_scale", rows, f"scales [{len(rows)}]: multiplier, right shift before the last bit")
            ),
            *((ScratchArg(),) if scratch_bytes else ()),
            TensorArg(self.output.index),
        )
        kernel = f"kernels/{folder}/{function}.c"
        return replace(self.portable, function=function, kernel=kernel, arguments=arguments, scratch_bytes=scratch_bytes)

    def _fields(self) -> dict[str, Field]:
        out_len, in_len = self.matrix.shape
        return {
            "batches": self.output.elements // out_len,
            "in_len": in_len,
            "out_len": out_len,
            "scale_bytes": 0 if len(self.scales) == 1 else _SCALE_BYTES,
            **{field: self.params.fields[field] for field in ("out_zero_point", "out_min", "out_max")},
        }

    @property
    def weights_text(self) -> str:
        """For comments of the generated source."""
        out_len, in_len = self.matrix.shape
        return f"weights [{out_len}][{in_len}] (o, i)"


def read_dense(graph: Graph, op: Op, portable: Step) -> DenseLayer | None:
    """FULLY_CONNECTED; None for weights that the model computes or that have a zero point, and where a shared bound does not hold."""
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    params, quantization = portable.arguments[0], weights.quantization
    if weights.data is None or source.is_constant or quantization is None or any(quantization.zero_points):
        return None
    scales = dense_scales(source, weights, output, weights.shape[0])
    matrix = weights.data.astype(np.int8)
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    if not folded.fits or not shifts_right(scales) or not isinstance(params, ParamsArg):
        return None
    return DenseLayer(portable, params, source, output, matrix, folded, scales)
