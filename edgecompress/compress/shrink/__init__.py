"""The pass `shrink`: channels and residual blocks really taken out.

families   sets of channels that compete with each other, and how many of each may go
costs      multiply-accumulates and parameters for any choice, without building a model
choose     which channels go, to an amount or a budget
blocks     residual branches, and what each adds on real inputs
probe      values inside a network on calibration inputs
refit      weights behind a removal, solved anew by least squares
remove     masking and removal by layer path, for other passes and for users
step       the pass itself
"""
