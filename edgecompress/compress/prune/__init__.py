"""The pass `prune`: zeros among weights.

    step      the pass, and `PruningCallback` for a training loop of one's own
    kernels   which weights may go
    masks     which of them live
    schedule  how many are zero at each step
    sparsity  amounts, thresholds, N:M groups and blocks
    new_head  a new task's head, trained while the rest is pruned

Importing this package does not import Keras.
"""
