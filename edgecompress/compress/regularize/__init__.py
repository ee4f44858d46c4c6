"""Training under a penalty that ends in zeros: weights of l1 and l2, whole channels of group lasso and l0.

    proximal  the proximal steps of l1, l2 and group lasso
    sets      channels that can only go together, over all the layers that make them
    gates     hard-concrete gates of l0
    learn     the pass `regularize`

Importing this package does not import Keras.
"""
