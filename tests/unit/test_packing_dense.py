"""Dense weights in fewer bits, taken apart again by hand as the DSP kernels meet them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.codegen.lower import lower
from edgecompress.codegen.lower.packing_dense import Codes, DensePacking, Fours, Nibbles, dense_blocks, pack_dense
from edgecompress.target import KernelSet
from tests.unit.test_plan_models import Network

SHAPE = (6, 11)
FOURS = 2, 3
"""Of outputs and inputs, once padded."""


def unpacked(packed: DensePacking | None) -> NDArray[np.int64]:
    """The weights of `SHAPE` with their padding, by the words of the contract."""
    matrix = np.zeros((FOURS[0], 4, FOURS[1], 4), np.int64)
    for index in np.ndindex(matrix.shape):
        quad, output, four, element = index
        match packed:
            case Nibbles(words=words, base=base, step=step):
                half = int(words[quad, four, element % 2]) >> (16 * (element // 2)) & 0xFFFF
                nibble = half >> (4 * output) & 15
                matrix[index] = base + step * (nibble ^ 8 if output == 3 else nibble)
            case Codes(stream=stream, books=books, bits=bits):
                field = (element % 2) * 8 + output * 2 + element // 2
                at = ((quad * FOURS[1] + four) * 16 + field) * bits
                code = int.from_bytes(stream.tobytes(), "little") >> at & ((1 << bits) - 1)
                matrix[index] = books[min(4 * quad + output, len(books) - 1), code]
            case Fours(stream=stream, kept=kept):
                block = stream[quad, four]
                for slot in range(kept):
                    if int(block[4 * kept + slot]) >> (2 * output) & 3 == element and block[4 * slot + output]:
                        matrix[index] = block[4 * slot + output]
    return matrix.reshape(4 * FOURS[0], 4 * FOURS[1])[: SHAPE[0], : SHAPE[1]]


def drawn(book: list[int], seed: int = 1) -> NDArray[np.int8]:
    """Weights of `SHAPE` with every value of the book."""
    weights = np.random.default_rng(seed).choice(book, SHAPE).astype(np.int8)
    weights.reshape(-1)[: len(book)] = book
    return weights


def sparse(kept: int) -> NDArray[np.int8]:
    """So many weights of each four."""
    weights = drawn(list(range(1, 60)))
    places = np.arange(SHAPE[1]) + np.arange(SHAPE[0])[:, None]
    return np.where(places % 4 < kept, weights, 0).astype(np.int8)


@pytest.mark.parametrize(
    ("matrix", "form", "size"),
    [
        (drawn(list(range(-8, 8))), Nibbles, 8 * 12 // 2),
        (drawn(list(range(-128, 127, 17))), Nibbles, 8 * 12 // 2),
        (drawn([-3, 4]), Codes, 8 * 12 // 8 + 2),
        (drawn([-90, -3, 5, 100]), Codes, 8 * 12 // 4 + 4),
        (drawn([-90, -3, 5, 7, 9, 100]), Codes, 8 * 12 * 3 // 8 + 6),
        (drawn([*range(10), -77]), Codes, 8 * 12 // 2 + 11),
        (drawn([*range(30), -77]), Codes, 8 * 12 * 5 // 8 + 31),
        (np.arange(6, dtype=np.int8)[:, None] * 20 + drawn([0, 1]), Codes, 8 * 12 // 8 + 12),
        (sparse(1), Fours, 2 * 3 * 5),
        (sparse(2), Fours, 2 * 3 * 10),
    ],
    ids=["int4", "16 steps", "1 bit", "2 bits", "3 bits", "4 bits", "5 bits", "a book an output", "1:4", "2:4"],
)
def test_weights_come_back(matrix: NDArray[np.int8], form: type[DensePacking], size: int) -> None:
    """The smallest form is taken, has the expected bytes, and gives the same weights."""
    packed = pack_dense(matrix)
    assert isinstance(packed, form) and packed.bytes == size
    np.testing.assert_array_equal(unpacked(packed), matrix)


def test_many_values_have_no_form() -> None:
    """33 values in each output, none of them 0."""
    assert pack_dense(np.tile(np.arange(1, 34, dtype=np.int8) * np.array(3, np.int8), (4, 2))) is None


def test_blocks_that_are_not_zero() -> None:
    """Each after its place among 255 fours; in front the number of them, for each 1,020 inputs, up to all; an empty output has none."""
    weights = np.zeros((3, 1028), np.int8)
    weights[0, [5, 7, 1018, 1021]] = 1, -2, 3, -4
    weights[2] = 9
    blocks = dense_blocks(weights)
    assert blocks is not None and blocks.count == 3 + 257
    first = [2, 1, 0, 1, 0, -2, 254, 0, 0, 3, 0, 1, 0, 0, -4, 0, 0]
    assert blocks.stream[: len(first) + 2].tolist() == [n - 256 if n > 127 else n for n in first] + [0, 0]
    assert blocks.stream[len(first) + 2 :].view(np.uint8).tolist() == [
        *(255, *(n for place in range(255) for n in (place, 9, 9, 9, 9))),
        *(2, 0, 9, 9, 9, 9, 1, 9, 9, 9, 9),
    ]
    assert dense_blocks(weights[:, :1027]) is None


def test_weights_without_zeros_are_not_stored_as_blocks() -> None:
    """A layer of one output, for which fours of filters are too much, keeps its weights as they are: blocks would be larger."""
    network = Network()
    made = network.dense(network.input(1, 1, 832), 1)
    steps, _ = lower(network.graph([made]), kernels=KernelSet.DSP)
    assert [step.function for step in steps] == ["ec_fully_connected_s8"]
