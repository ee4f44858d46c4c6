"""Which steps cannot follow which: a later step must not undo what an earlier one did.

| earlier                  | what it leaves                      | what would undo it                                                     |
|--------------------------|-------------------------------------|------------------------------------------------------------------------|
| prune                    | zeros                               | lowrank, replace: other kernels take their place                       |
| cluster, bits            | folded weights on a codebook        | whatever makes other layers or weights, and a second codebook          |
| anything                 | a smaller model                     | student: a fresh net takes its place                                   |
| fuse                     | two models in one                   | whatever changes one of them                                           |

`quantize` closes a recipe.
"""

from __future__ import annotations

from collections.abc import Sequence

_CODEBOOK = ("cluster", "bits")
# These make other layers or other weights than those that an earlier step has chosen.
_REBUILDING = ("shrink", "lowrank", "replace", "regularize", "transformer", "student")


def first_conflict(passes: Sequence[str]) -> str:
    """Why this order cannot be, naming both steps (counted from 1); empty when it can.

    Args:
        passes: names of the passes, in the recipe's order.
    """
    if "quantize" in passes[:-1]:
        return "quantize must be the last step, and there can be only one"
    for later, name in enumerate(passes):
        for earlier, before in enumerate(passes[:later]):
            reason = _reason(before, name)
            if reason:
                return f"step {later + 1} ({name}) cannot follow step {earlier + 1} ({before}): {reason}"
    return ""


def _reason(earlier: str, later: str) -> str:
    if later == "student":
        return "a fresh net would take the place of the model that was compressed; begin with it"
    if earlier == "fuse" and later != "quantize":
        return "it would change one of the models that were fused; fuse last, before quantize"
    if earlier in _CODEBOOK and later in _CODEBOOK:
        return "weights stand on one codebook; name other layers in one step, or leave one of them out"
    if earlier in _CODEBOOK and later in _REBUILDING:
        return "its weights are on a codebook, which new layers would not keep; put it before"
    if earlier == "prune" and later in ("lowrank", "replace"):
        return "the pruned kernels would be replaced by others without zeros; prune after it"
    return ""
