"""The demo's images and network."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hashlib

import numpy as np
import pytest

from edgecompress.demo.data import load_digits

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'edgecompress[demo]'")


def test_the_split_is_fixed_and_complete():
    """1,300 images to train on and 497 held out: always the same ones, each image once."""
    digits = load_digits()
    assert digits.train_x.shape == (1300, 8, 8, 1)
    assert digits.held_out_x.shape == (497, 8, 8, 1)
    assert len(digits.train_y) == 1300
    assert hashlib.sha256(digits.held_out_y.astype("<i4").tobytes()).hexdigest()[:8] == "36e6f358"
    assert digits.train_x.min() == 0.0
    assert digits.train_x.max() == 1.0
    assert set(np.unique(digits.train_y)) == set(range(10))


def test_the_network_has_what_it_promises():
    """At least 30,000 parameters; convolution with BatchNormalization, depthwise convolution, residual addition, global pooling, dense."""
    from edgecompress.demo.model import build_model

    model = build_model()
    kinds = {type(layer).__name__ for layer in model.layers}
    assert model.count_params() >= 30_000
    assert {"Conv2D", "BatchNormalization", "DepthwiseConv2D", "Add", "GlobalAveragePooling2D", "Dense"} <= kinds
