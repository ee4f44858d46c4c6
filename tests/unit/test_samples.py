"""Real inputs for a model come from where the user says, or not at all."""

import numpy as np
import pytest

from edgecompress.errors import DataError
from edgecompress.graph import DType, Graph, Quantization, Tensor
from edgecompress.pipeline.samples import as_raw, as_reals, calibration_sets, load_calibration_set, load_samples
from edgecompress.resources import resource_dir


def _graph(shape=(1, 8, 8, 1)):
    tensor = Tensor(0, "image", shape, DType.INT8, Quantization((1 / 16,), (-128,)))
    return Graph("toy", "00", 0, (tensor,), (), (0,), (0,))


@pytest.mark.parametrize("name", calibration_sets())
def test_every_set_is_what_its_description_says(name):
    """A set that travels with the package has the hash and shape of its set.toml."""
    assert len(load_calibration_set(resource_dir("calibration_data") / name)) >= 16


def test_a_changed_set_is_refused(tmp_path):
    """A sample that was changed after the hash was taken is noticed."""
    source = resource_dir("calibration_data") / "digits"
    (tmp_path / "set.toml").write_text((source / "set.toml").read_text())
    samples = np.load(source / "samples.npy")
    samples[0, 0, 0, 0] += 1
    np.save(tmp_path / "samples.npy", samples)
    with pytest.raises(DataError, match="not the file"):
        load_calibration_set(tmp_path)


def test_reals_survive_the_way_through_int8():
    """Values on the grid of the tensor's scale come back exactly; others are saturated."""
    tensor = _graph().tensor(0)
    reals = np.full(tensor.shape, 0.5, np.float32)
    reals[0, 0, 0, 0] = 1e9
    back = as_reals(as_raw(reals, tensor), tensor)
    assert back[0, 1, 1, 0] == 0.5
    assert back[0, 0, 0, 0] == 255 / 16


def test_generated_inputs_differ_by_seed():
    """Without data, each input is another one of the model's size."""
    samples = load_samples(_graph(), None, 3)
    assert {len(raw) for (raw,) in samples.inputs} == {64}
    assert len({raw for (raw,) in samples.inputs}) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [("nothing", "no calibration set"), ("missing.npy", "cannot be read"), ("../digits", "no calibration set")],
)
def test_data_that_is_not_there_is_named(data, said):
    """A wrong name ends in one sentence."""
    with pytest.raises(DataError, match=said):
        load_samples(_graph(), data, 2)


def test_samples_of_another_shape_are_refused():
    """A model of 4x4 images does not take 8x8 ones."""
    with pytest.raises(DataError, match="shape"):
        load_samples(_graph((1, 4, 4, 1)), "digits", 2)


def test_pickled_arrays_are_refused(tmp_path):
    """A .npy that would run code when loaded is no data."""
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        load_samples(_graph(), str(tmp_path / "x.npy"), 2)


@pytest.mark.parametrize("returned", ["(image, row)", "{'row': row, 'image': image}"])
def test_a_data_function_feeds_every_input(tmp_path, returned):
    """Several inputs come as a tuple in the model's order, or by name, and each has its own scale."""
    (tmp_path / "data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    image, row = np.full((3, 2, 2, 1), 0.5, 'float32'), np.full((3, 5), 2.0, 'float32')\n"
        f"    return {{'calibration': {returned}}}\n"
    )
    image = Tensor(0, "image", (1, 2, 2, 1), DType.INT8, Quantization((1 / 16,), (-128,)))
    row = Tensor(1, "row", (1, 5), DType.INT8, Quantization((1 / 4,), (0,)))
    graph = Graph("toy", "00", 0, (image, row), (), (0, 1), (0,))
    samples = load_samples(graph, f"{tmp_path / 'data.py'}:load", 2)
    assert samples.inputs == ((bytes([(8 - 128) % 256] * 4), bytes([8] * 5)),) * 2


def test_too_few_arrays_are_refused():
    """One array does not feed a model of two inputs."""
    one = _graph()
    two = Graph("toy", "00", 0, one.tensors, (), (0, 0), (0,))
    with pytest.raises(DataError, match="gives 1 arrays; toy has 2 inputs"):
        load_samples(two, "digits", 2)
