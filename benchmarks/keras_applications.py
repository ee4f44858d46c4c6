"""Take the models of keras.applications to int8, or to the error that names the layer.

    python benchmarks/keras_applications.py            all of them, both routes
    python benchmarks/keras_applications.py --quick    the small ones
    python benchmarks/keras_applications.py MobileNetV2 DenseNet121

Random weights (nothing is downloaded), the smallest input that each accepts, random pixels for calibration. Columns: float layers before
and after `prepare`, how far its output is from the original's (share of the largest output), what could not be folded; then, for
post-training int8 and for quantization-aware structure with observed ranges, the operators of the .tflite or the error. `steps` is the
largest difference between the fake-quant model and the .tflite, in int8 steps of the output: random deep networks amplify rounding, so this
is a check of structure, not of accuracy.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecompress.convert import Converter, read_tflite
from edgecompress.errors import EdgeCompressError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_IMAGES = 4


@dataclass(frozen=True)
class Application:
    """One model: its name in keras.applications, the smallest input side, and further arguments."""

    name: str
    side: int
    options: tuple[tuple[str, float], ...] = ()
    quick: bool = False


APPLICATIONS = (
    Application("MobileNet", 32, (("alpha", 0.25),), quick=True),
    Application("MobileNetV2", 32, (("alpha", 0.35),), quick=True),
    Application("MobileNetV3Small", 32, (("alpha", 0.35),), quick=True),
    Application("MobileNetV3Large", 32, (("alpha", 0.35),)),
    Application("EfficientNetB0", 32, quick=True),
    Application("EfficientNetV2B0", 32),
    Application("ResNet50", 32),
    Application("ResNet50V2", 32),
    Application("VGG16", 32),
    Application("DenseNet121", 32),
    Application("InceptionV3", 75),
    Application("InceptionResNetV2", 75),
    Application("Xception", 71),
    Application("NASNetMobile", 32),
    Application("ConvNeXtTiny", 32, quick=True),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models to try; all by default")
    parser.add_argument("--quick", action="store_true", help="only the small models")
    parser.add_argument("--skip-aware", action="store_true", help="post-training int8 only")
    arguments = parser.parse_args()
    chosen = [app for app in APPLICATIONS if (app.name in arguments.names) or (not arguments.names and (app.quick or not arguments.quick))]
    if not chosen:
        parser.error(f"no such model; known: {', '.join(app.name for app in APPLICATIONS)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with Converter() as converter:
        for application in chosen:
            _try(application, converter, aware=not arguments.skip_aware)
    return 0


def _try(application: Application, converter: Converter, *, aware: bool) -> None:
    from edgecompress.keras_graph.prepare import prepare_noted

    model = _build(application)
    images = np.random.default_rng(1).uniform(0, 255, (CALIBRATION_IMAGES, *model.input_shape[1:])).astype("float32")
    start = time.perf_counter()
    prepared = prepare_noted(model)
    seconds = time.perf_counter() - start
    expected, got = np.asarray(model(images)), np.asarray(prepared.model(images))
    error = float(np.max(np.abs(expected - got)) / np.max(np.abs(expected)))
    print(
        f"{application.name}: {len(model.layers)} -> {len(prepared.model.layers)} layers in {seconds:.1f} s, "
        f"off by {error:.1e}, {len(prepared.notes)} not folded",
        flush=True,
    )
    print(f"  post-training    {_post_training(prepared.model, images, converter)}", flush=True)
    if aware:
        print(f"  quantization-aware  {_quantization_aware(prepared.model, images, converter)}", flush=True)


def _build(application: Application) -> Any:  # noqa: ANN401 - Keras ships without types
    """The model with random statistics in its normalizations, so that folding has something to fold."""
    import keras

    keras.utils.set_random_seed(0)
    side = application.side
    build = getattr(keras.applications, application.name)
    model = build(input_shape=(side, side, 3), weights=None, classes=10, classifier_activation=None, **dict(application.options))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.weights:
                middle = 1.0 if any(word in weight.path for word in ("gamma", "variance")) else 0.0
                weight.assign(rng.uniform(middle - 0.2, middle + 0.2, weight.shape))
    return model


def _post_training(model: Any, images: NDArray[np.float32], converter: Converter) -> str:  # noqa: ANN401
    try:
        return _describe(converter.convert(model, calibration=images))
    except EdgeCompressError as error:
        return f"{type(error).__name__}: {error.message[:300]}"


def _quantization_aware(model: Any, images: NDArray[np.float32], converter: Converter) -> str:  # noqa: ANN401
    from edgecompress.compress.evaluate import run_tflite
    from edgecompress.compress.int8.aware import export_view, observe_ranges, quantization_aware

    try:
        aware = quantization_aware(model)
        observe_ranges(aware, [images])
        data = converter.convert(export_view(aware), trained_ranges=True)
    except EdgeCompressError as error:
        return f"{type(error).__name__}: {error.message[:300]}; {error.hint}"
    graph = read_tflite(data)
    scale = graph.tensor(graph.outputs[0]).quantization
    step = float(scale.scales[0]) if scale is not None else 1.0
    apart = np.abs(run_tflite(data, images) - np.asarray(aware(images))).max() / step
    return f"{_describe(data)}; {apart:.0f} steps"


def _describe(data: bytes) -> str:
    kinds = Counter(op.kind for op in read_tflite(data).ops)
    return f"int8, {len(data) / 1e6:.1f} MB: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


if __name__ == "__main__":
    raise SystemExit(main())
