"""The constants of a program: what goes to flash as the model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgecompress.codegen.ctext import shape_text
from edgecompress.codegen.plan import resolve_aliases
from edgecompress.codegen.program import Argument, Constant, ConstantArg, ParamsArg, PointerArray, Program, TensorArg
from edgecompress.graph import DType, Tensor

_C_TYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.INT64: "int64_t",
    DType.BOOL: "uint8_t",
}


def c_type_of(tensor: Tensor) -> str:
    """How C calls a tensor's elements."""
    return _C_TYPES[tensor.dtype]


class Constants:
    """Each array once: equal ones share the first one's symbol.

    Attributes:
        ops: the op that each symbol was made for; -1 for an output that is a constant.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._by_content: dict[tuple[str, tuple[int, ...], bytes], Constant] = {}
        self.ops: dict[str, int] = {}
        for call in (call for step in program.steps for call in step.calls):
            for argument in call.arguments:
                for constant in self._constants_of(argument):
                    self._add(constant, call.ops[0])
        self._add_constant_outputs()

    def all(self) -> list[Constant]:
        """Every array that is printed, in the order of first use."""
        return list(self._by_content.values())

    def symbol(self, constant: Constant) -> str:
        """The symbol under which this array is printed."""
        return self._by_content[_content(constant)].symbol

    def of_tensor(self, tensor: Tensor) -> Constant:
        """The data of a constant tensor that a step reads like any other."""
        if tensor.data is None:
            raise TypeError(f"{tensor.name} is no constant")
        symbol = f"{self._program.name}_t{tensor.index}"
        values = tensor.data.astype(np.uint8 if tensor.dtype is DType.BOOL else tensor.data.dtype)
        return Constant(symbol, c_type_of(tensor), values, f"t{tensor.index} {shape_text(tensor.shape)}")

    def _add(self, constant: Constant, op: int) -> None:
        kept = self._by_content.setdefault(_content(constant), constant)
        self.ops.setdefault(kept.symbol, op)

    def _constants_of(self, argument: Argument) -> list[Constant]:
        match argument:
            case ConstantArg(constant=Constant() as constant):
                return [constant]
            case ParamsArg(fields=fields):
                return list(_constants_within(fields))
            case TensorArg(tensor=index):
                return self._constant_tensors([index])
            case PointerArray(tensors=indices):
                return self._constant_tensors(indices)
            case _:
                return []

    def _constant_tensors(self, indices: Sequence[int]) -> list[Constant]:
        roots = resolve_aliases(self._program.aliases)
        tensors = [self._program.graph.tensor(roots.get(i, i)) for i in indices]
        return [self.of_tensor(t) for t in tensors if t.is_constant]

    def _add_constant_outputs(self) -> None:
        for constant in self._constant_tensors(self._program.graph.outputs):
            self._add(constant, -1)


def _content(constant: Constant) -> tuple[str, tuple[int, ...], bytes]:
    values = constant.values
    return f"{constant.c_type} {values.dtype.str}", values.shape if values.ndim == 2 else (values.size,), values.tobytes()


def _constants_within(value: object) -> list[Constant]:
    match value:
        case Constant():
            return [value]
        case Mapping():
            return [c for v in value.values() for c in _constants_within(v)]
        case tuple():
            return [c for v in value for c in _constants_within(v)]
        case _:
            return []
