"""A setting that names a layer names one that exists."""

import keras
import pytest
from keras import layers
from sample_models import tiny_classifier, with_custom_op

from edgecompress.compress.layers import require_float_layers, require_layers, walk_layers
from edgecompress.errors import RecipeError
from edgecompress.pipeline.compress import _lacking


@pytest.fixture(scope="module")
def model():
    """A nested model with an operator between its layers."""
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.SeparableConv2D(4, 3, name="separable")], name="block")
    image = keras.Input((8, 8, 3))
    x = inner(image)
    return keras.Model(image, layers.LayerNormalization(name="normal")(x * 0.5))


@pytest.mark.parametrize("name", ["normal", "block", "block/separable", "block/separable_pointwise", "*"])
def test_layers_models_and_parts_are_names(model, name):
    """Each of these can be what a float-layer error names."""
    require_float_layers(model, [name])


def test_operators_are_names(model):
    """`x * 0.5` is an operation of the graph, under the name that Keras gave it."""
    (multiply,) = [operation.name for operation in model.operations if operation.__class__.__name__ == "Multiply"]
    require_float_layers(model, [multiply])


def test_an_unknown_layer_is_named_with_the_nearest(model):
    """A typing error does not pass silently."""
    with pytest.raises(RecipeError, match="'norml'") as e:
        require_float_layers(model, ["norml"])
    assert "'normal'" in e.value.hint
    with pytest.raises(RecipeError, match="prune: exclude"):
        require_layers([path for path, _ in walk_layers(model)], ["nothing_like_it"], "prune: exclude")


def test_layers_that_are_not_shown_are_counted():
    """A hint that lists a long model's layers says how many it leaves out."""
    with pytest.raises(RecipeError) as e:
        require_layers([f"conv{number}" for number in range(20)], ["q"], "prune: exclude")
    assert e.value.hint.endswith("conv7 and 12 more")


def test_what_an_engine_lacks_is_known_after_compress():
    """A model that no engine can take says so, by engine and op; one that both can take says nothing."""
    assert _lacking(tiny_classifier()) == {}
    lacking = _lacking(with_custom_op())
    assert set(lacking) == {"aot", "tflm"}
    assert all("CUSTOM" in reason or "custom" in reason for reason in lacking.values())
