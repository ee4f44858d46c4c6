"""The pass `transformer`: fewer attention heads, narrower feed-forward blocks.

attention      MultiHeadAttention with some of its heads
feed_forward   Dense, activation, Dense with some of the units between
importance     which heads and units go first
step           the pass itself
"""
