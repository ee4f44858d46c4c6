"""The closing step `quantize`: a float model computing on the int8 grid, its ranges trained or measured.

    step             the pass, and the conversion of what it gave
    aware            a trainable copy with fake-quant in place; and back to what is converted
    roles            what each call means for int8
    placement        where ranges stand
    fake_quant       activation ranges; kernels on their int8 grid
    layers           layers whose kernel computes on the grid, or on a codebook
    calibrators      ranges from histograms, in numpy
    ranges           calibrators applied to a model
    playback         a network run call by call, in float and on the grid
    equalize         cross-layer equalization
    adaround         adaptive rounding
    bias_correction  mean shifts taken out of biases

Importing this package does not import Keras.
"""
