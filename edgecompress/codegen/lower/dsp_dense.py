"""Dense layers from packed weights for cores with the DSP extension (docs/kernels.md says when)."""

from __future__ import annotations

from edgecompress.codegen.lower.dense import DenseLayer, read_dense
from edgecompress.codegen.lower.packing import FILTERS
from edgecompress.codegen.lower.packing_dense import Codes, DenseBlocks, Fours, Nibbles, dense_blocks, pack_dense
from edgecompress.codegen.program import Constant, ConstantArg, LiteralArg, Names, Step
from edgecompress.graph import Graph, Op

_FOLDER = "dsp"
_TABLE_WORD, _WORD_COST = 4, 3
_TABLE_SHARE = 4
"""A table of pairs is paid up to this part of the flash that packing saves."""

# Instructions of one row of inputs: a product of the dense kernel and an output, a block and an output.
_DENSE_PRODUCT, _DENSE_OUTPUT = 1.02, 16
_BLOCK_COST, _BLOCK_OUTPUT = 9.8, 48

_FEWEST_ROWS = 4
"""Of the table of pairs, which is filled four rows at a time."""


def sparse_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Only blocks of four inputs that are not all zero, where that takes fewer instructions than the dense kernel."""
    layer = read_dense(graph, op, portable)
    blocks = None if layer is None else dense_blocks(layer.matrix)
    if layer is None or blocks is None or not _blocks_pay(layer, blocks):
        return None
    return _blocks_step(layer, names, blocks)


def _blocks_pay(layer: DenseLayer, blocks: DenseBlocks) -> bool:
    """Whether blocks take fewer instructions than all weights, and less flash; figures from benchmarks/packed.py.

    Of a single output, for which fours of filters are dear, blocks without zeros would be faster, and larger.
    """
    out_len, in_len = layer.matrix.shape
    dense = (out_len + -out_len % FILTERS) * (_DENSE_PRODUCT * in_len + _DENSE_OUTPUT)
    return blocks.stream.size < layer.matrix.size and bool(_BLOCK_COST * blocks.count + _BLOCK_OUTPUT * out_len < dense)


def packed_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """From the smallest form of the weights that a kernel of its own takes, as fast as it is."""
    layer = read_dense(graph, op, portable)
    match None if layer is None else pack_dense(layer.matrix):
        case Nibbles() as nibbles if layer is not None:
            return _nibbles_step(layer, names, nibbles)
        case Codes() as codes if layer is not None:
            return _table_step(layer, names, codes) if _table_pays(layer, codes) else _books_step(layer, names, codes)
        case Fours() as fours if layer is not None:
            return _fours_step(layer, names, fours)
        case DenseBlocks() as blocks if layer is not None:
            return _blocks_step(layer, names, blocks)
        case _:
            return None


def small_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """The same without its table, where that is much beside what packing saves."""
    layer = read_dense(graph, op, portable)
    match None if layer is None else pack_dense(layer.matrix):
        case Codes() as codes if layer is not None and _table_pays(layer, codes) and _table_is_large(layer, codes):
            return _books_step(layer, names, codes)
        case _:
            return None


def _table_pays(layer: DenseLayer, packed: Codes) -> bool:
    """A table is of one codebook; a word of it takes three instructions, and a product saves one (benchmarks/packed.py)."""
    out_len, in_len = layer.matrix.shape
    products = layer.output.elements // out_len * (out_len + -out_len % FILTERS) * in_len
    return len(packed.books) == 1 and products >= _WORD_COST * _table_bytes(packed) // _TABLE_WORD


def _table_is_large(layer: DenseLayer, packed: Codes) -> bool:
    return _TABLE_SHARE * _table_bytes(packed) > layer.matrix.size - packed.bytes


def _table_bytes(packed: Codes) -> int:
    return _TABLE_WORD * max(_FEWEST_ROWS, 1 << packed.bits) << packed.bits


def _nibbles_step(layer: DenseLayer, names: Names, packed: Nibbles) -> Step:
    comment = f"{layer.weights_text}: {packed.base} + {packed.step} * u, u of 4 bits, in half words of four outputs"
    words = Constant(names.constant("weights"), "uint32_t", packed.words, comment)
    weights = (ConstantArg(words), LiteralArg(packed.base), LiteralArg(packed.step))
    return layer.call(names, "ec_fully_connected_nibbles_dsp_s8", _FOLDER, weights)


def _table_step(layer: DenseLayer, names: Names, packed: Codes) -> Step:
    weights = (*_codes_arguments(layer, names, packed), LiteralArg(packed.books.size), LiteralArg(packed.bits))
    return layer.call(names, "ec_fully_connected_codes_dsp_s8", _FOLDER, weights, scratch_bytes=_table_bytes(packed))


def _books_step(layer: DenseLayer, names: Names, packed: Codes) -> Step:
    arguments, bits = _codes_arguments(layer, names, packed), LiteralArg(packed.bits)
    if len(packed.books) == 1:
        return layer.call(names, "ec_fully_connected_book_dsp_s8", _FOLDER, (*arguments, bits))
    return layer.call(names, "ec_fully_connected_books_dsp_s8", _FOLDER, (*arguments, LiteralArg(packed.books.shape[1]), bits))


def _codes_arguments(layer: DenseLayer, names: Names, packed: Codes) -> tuple[ConstantArg, ConstantArg]:
    count, values = packed.books.shape
    codes = Constant(names.constant("codes"), "uint8_t", packed.stream, f"{layer.weights_text}: codes of {packed.bits} bits, by pairs")
    return ConstantArg(codes), ConstantArg(
        Constant(names.constant("books"), "int8_t", packed.books.reshape(-1), f"codebooks [{count}][{values}]")
    )


def _fours_step(layer: DenseLayer, names: Names, packed: Fours) -> Step:
    comment = f"{layer.weights_text}: {packed.kept} of each four inputs, of four outputs, and their places"
    weights = (ConstantArg(Constant(names.constant("weights"), "int8_t", packed.stream, comment)), LiteralArg(packed.kept))
    return layer.call(names, "ec_fully_connected_fours_dsp_s8", _FOLDER, weights)


def _blocks_step(layer: DenseLayer, names: Names, packed: DenseBlocks) -> Step:
    comment = f"{layer.weights_text}: {packed.count} of {layer.matrix.size // 4} blocks of 4, with their places"
    weights = (ConstantArg(Constant(names.constant("blocks"), "int8_t", packed.stream, comment)),)
    return layer.call(names, "ec_fully_connected_blocks_dsp_s8", _FOLDER, weights)
