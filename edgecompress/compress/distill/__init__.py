"""Learning from teachers: their outputs and features as targets, and student and teachers fused into one model.

    targets  the loss of one output against the teachers' outputs
    taps     what layers give while a model runs
    lesson   all of it for one student, as a term of its loss
    learn    the pass `distill`

Importing this package does not import Keras.
"""
