"""Layers exchanged for cheaper ones that start from the trained weights.

    model.replace              the pass
    convolutions               convolutions as depthwise separable, grouped or bottleneck ones, in the graph
    kernels                    their kernels, in numpy
    grouping                   which channel goes to which group, in numpy
    orders                     a new order of channels, taken up by the layers around
    activations                silu, gelu and others as relu or hard_swish
    statistics                 normalizations measured anew behind kernels that changed
    shuffle                    a channel shuffle in operators that every int8 runtime has

Importing this package does not import Keras.
"""
