"""The pass `lowrank`: kernels as products of smaller ones.

methods    the splits: what each costs and which kernels it gives
choose     which split and ranks: energy, ratio, budget
sites      layers of a network that can be split, and why the others cannot
responses  second moments of a layer's outputs on calibration data
parts      the layers that a split becomes
step       the pass itself
"""
