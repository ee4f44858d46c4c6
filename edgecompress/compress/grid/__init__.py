"""The passes `cluster` and `bits`: weights on few whole numbers of int8 counts.

    cluster     k-means over a layer or a channel; tied filters, shared layers
    bits        2 to 8 bits, ternary, binary, logarithmic
    codebook    how levels and scales are found, in numpy
    levels      a kernel on levels, and its gradients
    layers      what a model's layers become
    mixed       bits a layer by measured sensitivity
    bit_budget  the choice of bits under a budget
    tie         filters that share their integers, layers that share one kernel

Importing this package does not import Keras.
"""
