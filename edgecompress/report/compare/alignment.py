"""Which layer of one model is which of another: a sequence alignment of their ops.

Ops pair in order, first by kind and name, then, between those pairs, by kind and MACs, then by kind alone. An op that another model's step
fuses into the op before it belongs to that step.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecompress.errors import UserError
from edgecompress.report.compare.blocks import matching_blocks

if TYPE_CHECKING:
    from edgecompress.profile import ProfiledOp

MOST_OPS = 1_000
"""Of one profile: what `matching_blocks` aligns in a fraction of a second, whatever they are."""

_LEAST_ANCHORS = 0.25
"""Of the longer model's ops, which pair by name or by MACs where two profiles are of one model."""
_LEAST_KINDS = 0.75
"""Of both models' ops, which pair by kind alone where names and MACs have all changed (difflib's ratio)."""


@dataclass(frozen=True)
class Layer:
    """Ops that do the same work: indices into the ops of each profile; none where a model has no such layer."""

    ops: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Pairing:
    """Ops of two models.

    Attributes:
        partners: by index of the second model's op, the first model's op that it pairs with.
        anchored: how many of them pair by name or MACs.
    """

    partners: dict[int, int]
    anchored: int


def align(models: Sequence[tuple[str, Sequence[ProfiledOp]]], baseline: int) -> list[Layer]:
    """The layers of all models, each model aligned with the one at `baseline`, in the baseline's order.

    Raises:
        UserError: a model shares no layers with the baseline, or has more ops than `MOST_OPS`.
    """
    for name, ops in models:
        if len(ops) > MOST_OPS:
            raise UserError(f"{name} has {len(ops):,} ops; up to {MOST_OPS:,} are compared", hint="leave out --ops")
    base_name, base_ops = models[baseline]
    layers = _Layers(len(base_ops), len(models), baseline)
    for column, (name, ops) in enumerate(models):
        if column == baseline:
            continue
        pairing = pair(base_ops, ops)
        if not _belong_together(base_ops, ops, pairing):
            raise UserError(
                f"{name} and {base_name} have no layers in common: their ops differ in names, MACs and the order of their kinds",
                hint="per layer, profiles of one model compare, or of forms that were made from it",
            )
        layers.add(column, base_ops, ops, pairing)
    return layers.merged()


def share_layers(first: Sequence[ProfiledOp], second: Sequence[ProfiledOp]) -> bool:
    """Whether `align` takes two models of these ops."""
    return max(len(first), len(second)) <= MOST_OPS and _belong_together(first, second, pair(first, second))


def pair(first: Sequence[ProfiledOp], second: Sequence[ProfiledOp]) -> Pairing:
    """Pair the ops of two models, in order."""
    matched = list(_matches(first, second, (0, len(first)), (0, len(second)), _KEYS))
    return Pairing({right: left for left, right, _ in matched}, sum(level < 2 for _, _, level in matched))


def kinds_of(op: ProfiledOp) -> str:
    """The kind of a step with what it fuses: `CONV_2D + ADD`."""
    return " + ".join([op.kind, *op.fused])


def _by_name(op: ProfiledOp) -> Hashable:
    return op.kind.upper(), op.name


def _by_macs(op: ProfiledOp) -> Hashable:
    # Ops without MACs are all alike in that, which says nothing.
    return (op.kind.upper(), op.macs) if op.macs else object()


def _by_kind(op: ProfiledOp) -> Hashable:
    return op.kind.upper()


_Key = Callable[["ProfiledOp"], Hashable]
_KEYS: tuple[_Key, ...] = (_by_name, _by_macs, _by_kind)


def _matches(
    first: Sequence[ProfiledOp], second: Sequence[ProfiledOp], left: tuple[int, int], right: tuple[int, int], keys: Sequence[_Key]
) -> Iterator[tuple[int, int, int]]:
    """(op of the first, op of the second, level of the key) within two ranges; what one key leaves open goes to the next."""
    if not keys or left[0] == left[1] or right[0] == right[1]:
        return
    key, *rest = keys
    left_keys, right_keys = [key(op) for op in first[slice(*left)]], [key(op) for op in second[slice(*right)]]
    left_from, right_from = left[0], right[0]
    for block in matching_blocks(left_keys, right_keys):
        left_to, right_to = left[0] + block.left, right[0] + block.right
        yield from _matches(first, second, (left_from, left_to), (right_from, right_to), rest)
        yield from ((left_to + step, right_to + step, len(_KEYS) - len(keys)) for step in range(block.size))
        left_from, right_from = left_to + block.size, right_to + block.size


def _belong_together(first: Sequence[ProfiledOp], second: Sequence[ProfiledOp], pairing: Pairing) -> bool:
    # Converters give the last ops of any model the same names, so a name or two say nothing.
    return pairing.anchored >= _LEAST_ANCHORS * max(len(first), len(second)) or 2 * len(pairing.partners) >= _LEAST_KINDS * (
        len(first) + len(second)
    )


class _Layers:
    """Layers under construction: one for each op of the baseline, and what the other models have between them."""

    def __init__(self, count: int, columns: int, baseline: int) -> None:
        self._columns, self._baseline = columns, baseline
        self._members: list[dict[int, list[int]]] = [{baseline: [index]} for index in range(count)]
        self._joined: set[int] = set()
        self._between: dict[int, list[tuple[int, int]]] = {}

    def add(self, column: int, base_ops: Sequence[ProfiledOp], ops: Sequence[ProfiledOp], pairing: Pairing) -> None:
        """One more model. An unpaired op belongs to the step before it where the other model's step fuses its kind."""
        last, waiting = -1, list[str]()
        for index, op in enumerate(ops):
            partner = pairing.partners.get(index)
            if partner is not None:
                self._members[partner].setdefault(column, []).append(index)
                self._join(partner, op, set(pairing.partners.values()), base_ops)
                last, waiting = partner, [kind.upper() for kind in base_ops[partner].fused]
            elif op.kind.upper() in waiting:
                waiting.remove(op.kind.upper())
                self._members[last].setdefault(column, []).append(index)
            else:
                self._between.setdefault(last, []).append((column, index))

    def _join(self, partner: int, op: ProfiledOp, paired: set[int], base_ops: Sequence[ProfiledOp]) -> None:
        """The baseline's ops that this step computes as well become one layer with its partner."""
        waiting = [kind.upper() for kind in op.fused if kind not in base_ops[partner].fused]
        following = partner + 1
        while following < len(base_ops) and following not in paired and base_ops[following].kind.upper() in waiting:
            waiting.remove(base_ops[following].kind.upper())
            self._joined.add(following)
            following += 1

    def merged(self) -> list[Layer]:
        """The layers in order; an op that the baseline lacks stands after the op that it follows."""
        layers = [Layer(self._only(column, index)) for column, index in self._between.get(-1, [])]
        members: dict[int, list[int]] = {}
        for index, more in enumerate(self._members):
            if index not in self._joined:
                members = {}
            for column, ops in more.items():
                members.setdefault(column, []).extend(ops)
            if index + 1 not in self._joined:
                layers.append(Layer(tuple(tuple(sorted(members.get(column, ()))) for column in range(self._columns))))
            layers.extend(Layer(self._only(column, op)) for column, op in self._between.get(index, []))
        return layers

    def _only(self, column: int, index: int) -> tuple[tuple[int, ...], ...]:
        return tuple((index,) if each == column else () for each in range(self._columns))
