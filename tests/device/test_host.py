"""This computer as a device: LiteRT gives the bytes it should, in microseconds, and refuses what it cannot run."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sample_models import every_op, tiny_classifier, with_custom_op
from tflite_builder import run_litert

from edgecompress.device import Kernels, open_host
from edgecompress.errors import DataError, ModelError, UserError
from edgecompress.numerics.lcg import lcg_inputs


def sample(host) -> list[bytes]:
    return lcg_inputs(1, [spec.bytes for spec in host.info().inputs])


@pytest.mark.parametrize("kernels", list(Kernels))
def test_outputs_are_litert_s(kernels):
    """Raw bytes in, raw bytes out: what LiteRT's interpreter gives for the same kernels."""
    model = tiny_classifier()
    with open_host(model, kernels=kernels) as host:
        data = sample(host)
        outputs = host.run(data)
        (spec,) = host.info().inputs
    arrays = [np.frombuffer(data[0], np.int8).reshape(spec.shape)]
    assert outputs == [np.asarray(a).tobytes() for a in run_litert(model, arrays, kernels.value)]


def test_measurement_is_in_microseconds():
    """As many samples as runs, a first one apart, and an environment that says with what."""
    with open_host(tiny_classifier(), kernels="builtin", threads=2) as host:
        measured = host.measure(sample(host), runs=5, warmup=2)
        assert host.info().sha256 == hashlib.sha256(tiny_classifier()).hexdigest()
    assert measured.unit == "us"
    assert len(measured.samples) == 5
    assert all(0 < value < 1e6 for value in (*measured.samples, measured.first))
    assert measured.environment["kernels"] == "builtin"
    assert measured.environment["threads"] == "2"
    assert measured.environment["cpu"]
    assert measured.environment["litert"]


def test_all_ops_run():
    """A model with every op that the aot engine knows runs here too."""
    with open_host(every_op()) as host:
        outputs = host.run(sample(host))
        assert [len(o) for o in outputs] == [spec.bytes for spec in host.info().outputs]


def test_inputs_are_checked():
    """An input of the wrong size is a DataError."""
    with open_host(tiny_classifier()) as host, pytest.raises(DataError, match="bytes"):
        host.run([b"too short"])


@pytest.mark.parametrize("data", [b"", b"not a model at all", with_custom_op()])
def test_what_litert_refuses_is_a_model_error(data, capfd):
    """A file that is no model, or has an op that LiteRT lacks, is a ModelError in one line, and LiteRT's log stays quiet."""
    with pytest.raises(ModelError, match="LiteRT refuses this model") as caught:
        open_host(data)
    assert "\n" not in caught.value.message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("threads", [0, -1, 1000])
def test_threads_are_checked(threads):
    """A number of threads that makes no sense is a UserError."""
    with pytest.raises(UserError, match="threads"):
        open_host(tiny_classifier(), threads=threads)
