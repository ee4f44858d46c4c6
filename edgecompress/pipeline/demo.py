"""The main job on real data: handwritten digits, from a float Keras model to measured int8 firmware.

Everything is left in one folder:

    summary.json, report.html
    float/        model.keras, digits_float.tflite
    int8/         digits_int8.tflite, report.json, generated/{aot,tflm}/, firmware/TARGET/, profiles/TARGET.json
    pruned_int8/  the same for digits_pruned_int8
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.artifact import Engine
from edgecompress.errors import MismatchError
from edgecompress.files import check_writable, write_bytes, write_text
from edgecompress.pipeline.compress import save_keras, write_result
from edgecompress.pipeline.firmware import build, generate
from edgecompress.pipeline.machines import LOCAL
from edgecompress.pipeline.measure import measure
from edgecompress.pipeline.samples import quantize_samples
from edgecompress.pipeline.sources import load_model
from edgecompress.pipeline.verify import VerifyReport, verify_loaded
from edgecompress.profile import Accuracy, Profile, write_profile
from edgecompress.progress import Progress, silent
from edgecompress.recipe import PruneSettings, QuantizeSettings, Recipe
from edgecompress.report.html import read_history, write_html

if TYPE_CHECKING:
    from keras import Model

    from edgecompress.compress import Data
    from edgecompress.convert import Converter
    from edgecompress.demo.data import Digits

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33")
VERIFIED_INPUTS = 16
# Fixed before the first training and never chosen by a result.
SEED = 0

INT8 = Recipe(step=(QuantizeSettings(method="qat", epochs=3),), seed=SEED)
PRUNED_INT8 = Recipe(
    step=(PruneSettings(sparsity=0.8, schedule="polynomial", epochs=8), QuantizeSettings(method="qat", epochs=3)), seed=SEED
)


@dataclass(frozen=True)
class Variant:
    """One of the three models: its accuracy on the held-out images, its sizes, and its profiles by target."""

    name: str
    model: Path
    accuracy: float
    tflite_bytes: int
    gzip_bytes: int
    profiles: Mapping[str, tuple[Path, Profile]]
    verified: VerifyReport | None


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves: the folder, the summary, the page of all profiles, and the variants `float`, `int8` and `pruned_int8`."""

    output: Path
    summary: Path
    report: Path
    variants: tuple[Variant, ...]
    held_out: int


def demo(output: Path, *, progress: Progress = silent) -> DemoResult:
    """Train, prune, quantize, convert, verify, generate, build and measure; leave all of it in `output`.

    Raises:
        DataError: scikit-learn, which holds the images, is not installed.
        OutputError: the folder cannot be written; known before any training.
        MismatchError: the generated C does not give the bytes of TensorFlow Lite Micro.

    Example:
        >>> edgecompress.demo(Path("edgecompress-demo")).summary  # doctest: +SKIP
        PosixPath('edgecompress-demo/summary.json')
    """
    check_writable(output)
    from edgecompress.compress import Data
    from edgecompress.convert import Converter
    from edgecompress.demo.data import load_digits

    digits = load_digits()
    data = Data(train=(digits.train_x, digits.train_y), calibration=digits.calibration_x)
    with Converter() as converter:
        trained, float_variant = _train(output / "float", digits, data, converter, progress)
        variants = [float_variant]
        for name, recipe, targets in (("int8", INT8, (*CORES, LOCAL)), ("pruned_int8", PRUNED_INT8, CORES)):
            path = _compress(trained, recipe, data, output / name, converter, progress)
            variants.append(_prove(name, path, digits, targets, progress))
    summary = output / "summary.json"
    write_text(summary, json.dumps({v.name: _summary(v, output) for v in variants}, indent=1) + "\n")
    return DemoResult(output, summary, _write_page(variants, output), tuple(variants), len(digits.held_out_x))


def _write_page(variants: Sequence[Variant], output: Path) -> Path:
    """All profiles as one page, with what compression did to each model."""
    measured = [variant for variant in variants if variant.profiles]
    profiles = [(f"{v.name} on {target}", profile) for v in measured for target, (_, profile) in v.profiles.items()]
    histories = [(variant.name, read_history(variant.model.parent / "report.json")) for variant in measured]
    path = output / "report.html"
    write_html(profiles, path, commands=["edgecompress demo"], histories=histories)
    return path


def _train(folder: Path, digits: Digits, data: Data, converter: Converter, progress: Progress) -> tuple[Model, Variant]:
    """The float model, and its .tflite."""
    from edgecompress.convert import Mode
    from edgecompress.demo.model import train_float

    model = train_float(data, seed=SEED, progress=progress)
    save_keras(model, folder / "model.keras")
    path = folder / "digits_float.tflite"
    write_bytes(path, converter.convert(model, Mode.FLOAT32))
    return model, _variant("float", path, digits, {}, None)


def _compress(model: Model, recipe: Recipe, data: Data, folder: Path, converter: Converter, progress: Progress) -> Path:
    """The recipe's .tflite in `folder`."""
    from edgecompress.compress import compress

    result = compress(model, recipe, data, progress=progress, converter=converter)
    return write_result(result, recipe, folder, f"digits_{folder.name}").model


def _prove(name: str, model: Path, digits: Digits, targets: tuple[str, ...], progress: Progress) -> Variant:
    """Verify, generate, build and measure one int8 model."""
    folder = model.parent
    loaded = load_model(model)
    samples = quantize_samples(loaded.graph, digits.held_out_x[:VERIFIED_INPUTS], source="held-out images")
    verified = verify_loaded(loaded, samples.inputs, source=samples.source, keras=folder / "fake_quant.keras", progress=progress)
    if not verified.ok:
        worst = next(rung for rung in verified.rungs if not rung.ok)
        raise MismatchError(f"{name}: {worst.name} and {worst.reference} differ in {worst.mismatched_bytes} bytes")
    for engine in (Engine.TFLM, Engine.AOT):
        progress(f"{name}: generate", 0, None)
        generate(model, engine=engine, output=folder / "generated" / engine.value)
    variant = _variant(name, model, digits, {}, verified)
    accuracy = Accuracy(value=variant.accuracy, metric="accuracy", set="scikit-learn digits, held out", n=len(digits.held_out_x))
    profiles = {}
    for done, target in enumerate(targets):
        progress(f"{name}: build and measure", done, len(targets))
        profiles[target] = _measure(target, model, accuracy)
    progress(f"{name}: build and measure", len(targets), len(targets))
    return _variant(name, model, digits, profiles, verified, accuracy=variant.accuracy)


def _measure(target: str, model: Path, accuracy: Accuracy) -> tuple[Path, Profile]:
    """Firmware and profile of one model on one target, left beside the model."""
    folder = model.parent
    commands = [f"edgecompress measure {target} {model.name} -o profiles/{target}.json"]
    measured = model
    if target != LOCAL:
        built = build(target, model, output=folder / "firmware" / target)
        commands = [
            f"edgecompress build {target} {model.name} -o firmware/{target}",
            f"edgecompress measure {target} firmware/{target}/firmware.elf -o profiles/{target}.json",
        ]
        measured = built.elf
    profile = measure(target, measured, reference=model, commands=commands, accuracy=accuracy)
    path = folder / "profiles" / f"{target}.json"
    write_profile(profile, path)
    return path, profile


def _variant(
    name: str,
    model: Path,
    digits: Digits,
    profiles: Mapping[str, tuple[Path, Profile]],
    verified: VerifyReport | None,
    *,
    accuracy: float | None = None,
) -> Variant:
    """A variant with its sizes, and its accuracy unless that is known already."""
    from edgecompress.compress import evaluate_tflite
    from edgecompress.compress.footprint import gzip_size

    data = model.read_bytes()
    if accuracy is None:
        accuracy = evaluate_tflite(data, digits.held_out_x, digits.held_out_y)
    return Variant(name, model, accuracy, len(data), gzip_size(data), profiles, verified)


def _summary(variant: Variant, output: Path) -> dict[str, object]:
    """The variant's entry in summary.json; paths are relative to the folder that holds it."""
    return {
        "accuracy": variant.accuracy,
        "tflite_bytes": variant.tflite_bytes,
        "gzip_bytes": variant.gzip_bytes,
        "model": str(variant.model.relative_to(output)),
        "profiles": {target: str(path.relative_to(output)) for target, (path, _) in variant.profiles.items()},
    }
