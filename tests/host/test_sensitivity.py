"""What compressing one layer alone costs: measured on validation data, shown as a table and a picture."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers

from edgecompress.compress import Data
from edgecompress.compress.sensitivity import (
    SETTINGS,
    cluster_columns,
    measure_sensitivity,
    prune_columns,
    round_columns,
    truncate_columns,
)
from edgecompress.errors import DataError, ModelError
from edgecompress.report.sensitivity import draw_sensitivity, sensitivity_columns, sensitivity_rows

NEEDED, IDLE = "needed", "idle"


@pytest.fixture(scope="module")
def model():
    """Class = the larger of two inputs, through `needed`; `idle` adds nothing."""
    x = pair = keras.Input((2,), name="pair")
    wide = layers.Dense(8, use_bias=False, name=NEEDED)(x)
    x = layers.Dense(8, use_bias=False, name=IDLE)(pair)
    x = layers.Add(name="sum")([wide, x])
    net = keras.Model(pair, layers.Dense(2, use_bias=False, name="logits")(x), name="larger")
    rng = np.random.default_rng(0)
    spread = np.linalg.qr(rng.normal(0, 1, (8, 2)))[0]
    net.get_layer(NEEDED).kernel.assign(spread.T)
    net.get_layer(IDLE).kernel.assign(np.zeros((2, 8)))
    net.get_layer("logits").kernel.assign(spread)
    return net


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(1).normal(0, 1, (400, 2)).astype(np.float32)
    return Data(validation=(x, x.argmax(axis=1).astype(np.int32)))


@pytest.fixture(scope="module")
def report(model, data):
    return measure_sensitivity(model, data, samples=300)


def test_a_layer_that_matters_costs_more(model, data, report):
    """The layer that carries the decision loses accuracy at rank 1; the idle one loses nothing anywhere; the model stays as it was."""
    losses = {(p.layer, p.technique, p.setting): report.loss(p) for p in report.points}
    assert report.baseline == 1.0
    assert report.samples == 300
    assert losses[NEEDED, "rank", 0.5] > 0.1
    assert all(loss == 0 for (layer, *_), loss in losses.items() if layer == IDLE)
    assert losses[NEEDED, "bits", 6] <= losses[NEEDED, "bits", 2]
    assert float(np.abs(model.get_layer(IDLE).kernel.numpy()).max()) == 0
    assert measure_sensitivity(model, data, samples=300) == report


def test_every_layer_and_setting_is_measured(report):
    """Layers times settings, and progress that ends at their number."""
    assert len(report.points) == 3 * sum(len(settings) for settings in SETTINGS.values())
    assert report.weights == {NEEDED: 16, IDLE: 16, "logits": 16}


def test_progress_reaches_its_total(model, data):
    """The listener hears every measurement, skipped ones counted."""
    heard = []
    measure_sensitivity(model, data, techniques=("bits",), samples=10, progress=lambda *event: heard.append(event))
    assert heard[-1] == ("sensitivity", 12, 12)


def test_depthwise_kernels_are_rounded_only():
    """A depthwise kernel is not pruned or factorized, and that is said."""
    x = keras.Input((4, 4, 3))
    net = keras.Model(x, layers.Flatten()(layers.DepthwiseConv2D(2, name="depthwise")(x)))
    images = np.zeros((4, 4, 4, 3), np.float32)
    found = measure_sensitivity(net, Data(validation=(images, np.zeros((4, 27)) + 0.5)))
    assert {p.technique for p in found.points} == {"bits", "clusters"}
    assert found.skipped == tuple(f"depthwise: {t}: a depthwise kernel is left whole" for t in ("sparsity", "rank"))
    assert found.left_out == ()
    assert found.metric == "mean_absolute_error"


def test_layers_of_other_kinds_are_named():
    """A recurrent layer is left out of the table, and that is said."""
    x = keras.Input((3, 2))
    net = keras.Model(x, layers.Dense(2, name="scores")(layers.LSTM(4, name="memory")(x)))
    found = measure_sensitivity(net, Data(validation=(np.zeros((4, 3, 2), np.float32), np.arange(4) % 2)), techniques=("bits",))
    assert list(found.weights) == ["scores"]
    assert found.left_out == found.skipped == ("memory: LSTM is no convolution or dense layer",)


def test_changes_by_hand():
    """Each technique on a matrix whose result is known."""
    columns = np.array([[1.0, -4.0], [2.0, 3.0], [-3.0, 0.5]])
    assert np.array_equal(prune_columns(columns, 0.5), [[0, -4], [0, 3], [-3, 0]])
    rank_one = np.outer([1.0, 2.0, 3.0], [2.0, -1.0])
    assert np.allclose(truncate_columns(rank_one, 0.5), rank_one)
    left, values, right = np.linalg.svd(columns, full_matrices=False)
    assert np.allclose(truncate_columns(columns, 0.5), values[0] * np.outer(left[:, 0], right[0]))
    # Three bits are seven values: multiples of a third of the largest weight.
    thirds = np.array([[3.0], [2.0], [-1.0], [0.0]])
    assert np.allclose(round_columns(thirds, 3), thirds, atol=0.02)
    assert len(np.unique(np.round(cluster_columns(np.linspace(-1, 1, 50)[:, None], 4), 9))) == 4


def test_what_is_missing_is_said(model):
    """No validation data, labels without a score, nothing with a kernel."""
    with pytest.raises(DataError, match="validation"):
        measure_sensitivity(model, Data(calibration=np.zeros((4, 2), np.float32)))
    with pytest.raises(DataError, match="allow no score"):
        measure_sensitivity(model, Data(validation=(np.zeros((4, 2), np.float32), np.zeros((4, 7)))))
    x = keras.Input((2,))
    with pytest.raises(ModelError, match="no layer with a kernel"):
        measure_sensitivity(keras.Model(x, layers.ReLU()(x)), Data(validation=(np.zeros((4, 2), np.float32), np.zeros((4, 2)))))


def test_the_table_and_the_picture_show_the_losses(report):
    """One row a layer, one column a setting; the picture is whole SVG, the same each time, and names every layer."""
    rows = sensitivity_rows(report)
    assert len(rows) == 3
    assert all(len(row) == len(sensitivity_columns(report)) for row in rows)
    assert rows[1][2:] == ["+0.0"] * (len(rows[1]) - 2)
    picture = draw_sensitivity(report)
    ElementTree.fromstring(picture)
    assert draw_sensitivity(report) == picture
    for words in (NEEDED, IDLE, "logits", *SETTINGS):
        assert f"<!-- {words} -->" in picture
