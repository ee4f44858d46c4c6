"""Training, the same for every pass.

    train         `fit`: Adam, a cosine, progress; `copy_model`
    trainee       a model with more terms in its loss
    keep_zeros    weights that are zero stay zero
    grouped       grouped convolutions, group by group
    objective     which loss
    surroundings  the tf.distribute strategy, and deterministic ops

Importing this package does not import Keras.
"""
