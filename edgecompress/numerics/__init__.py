"""Integer arithmetic of int8 models, in numpy: the oracle that the C kernels are tested against."""
