"""How a recipe is run: each step measured, resumed after a kill, repeated to the bit, on several devices, with a loss of one's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from edgecompress.compress import Checkpoints, Data, compress
from edgecompress.compress.footprint import count_weights
from edgecompress.compress.score import score_model
from edgecompress.convert import Converter, read_tflite
from edgecompress.errors import DataError, ModelError, UnsupportedOpError
from edgecompress.recipe import PruneSettings, QuantizeSettings, Recipe
from edgecompress.recipe.replace import ReplaceSettings

TIMEOUT_S = 240


@pytest.fixture(scope="module")
def converter():
    with Converter() as running:
        yield running


@pytest.fixture(scope="module")
def data():
    """Vectors whose largest entry tells one of three classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (96, 6)).astype(np.float32)
    y = x[:, :3].argmax(axis=1).astype(np.int32)
    return Data(train=(x[:64], y[:64]), validation=(x[64:], y[64:]), calibration=x[:32])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,), name="vector"), layers.Dense(8, "relu", name="hidden"), layers.Dense(3, name="scores")])


RECIPE = Recipe(
    step=(
        PruneSettings(sparsity=0.5, epochs=2, every=1),
        PruneSettings(sparsity=0.75, epochs=2, every=1),
        QuantizeSettings(method="qat", epochs=1),
    )
)


class Interrupt:
    """A listener that interrupts at one stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.heard: list[str] = []

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        self.heard.append(stage)
        if stage == self.stage:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(model, data, converter):
    return compress(model, RECIPE, data, converter=converter)


def test_each_step_is_measured_after_conversion(whole):
    """Sizes, zeros, MACs and scores stand before and after each step, and the last ones are those of the file that is written."""
    entries = json.loads(json.dumps(whole.report))["steps"]
    assert [entry["pass"] for entry in entries] == ["prune", "prune", "quantize"]
    for earlier, later in pairwise(entries):
        assert later["before"] == earlier["after"]
    assert entries[0]["before"]["zeros"] < 36
    assert entries[0]["after"]["zeros"] >= 36
    weights, zeros = count_weights(read_tflite(whole.model_bytes))
    last = entries[-1]["after"]
    assert (last["weights"], last["zeros"]) == (weights, zeros) == (72, zeros)
    assert zeros >= 54
    assert (last["parameters"], last["macs"]) == (72 + 11, 72)
    assert last["tflite_bytes"] == len(whole.model_bytes)
    assert last["tflite"]["metric"] == "accuracy"
    assert last["keras"]["n"] == 32
    assert all(entry["seconds"] > 0 for entry in entries)


@pytest.mark.parametrize(("stage", "finished"), [("prune to 50%", 0), ("prune to 75%", 1), ("train quantization-aware", 2)])
def test_a_run_goes_on_where_it_was_interrupted(stage, finished, whole, model, data, converter, tmp_path):
    """After Ctrl-C in any step, the steps before it are not done again, and the bytes are those of one run."""
    kept = Checkpoints(tmp_path / "steps")
    with pytest.raises(KeyboardInterrupt):
        compress(model, RECIPE, data, converter=converter, progress=Interrupt(stage), checkpoints=kept)
    listener = Interrupt("")
    again = compress(model, RECIPE, data, converter=converter, progress=listener, checkpoints=kept)
    assert again.resumed == finished
    assert again.model_bytes == whole.model_bytes
    assert len(again.report["steps"]) == 3
    assert ("prune to 50%" in listener.heard) == (finished == 0)


def test_another_recipe_or_model_does_not_resume(model, data, converter, tmp_path):
    """Kept steps count only for the same model, data, loss, metric and settings; damaged ones do not count."""
    kept = Checkpoints(tmp_path / "steps")
    one = Recipe(step=(PruneSettings(sparsity=0.5, epochs=0), QuantizeSettings()))
    assert compress(model, one, data, converter=converter, checkpoints=kept).resumed == 0
    assert compress(model, one, data, converter=converter, checkpoints=kept).resumed == 1
    other = Recipe(step=(PruneSettings(sparsity=0.6, epochs=0), QuantizeSettings()))
    assert compress(model, other, data, converter=converter, checkpoints=kept).resumed == 0
    assert compress(model, one, data, converter=converter, checkpoints=kept).resumed == 0
    judged = replace(data, metric=lambda labels, outputs: float((outputs.argmax(axis=1) == labels).mean()))
    assert compress(model, one, judged, converter=converter, checkpoints=kept).resumed == 0
    trained = replace(data, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0))
    assert compress(model, one, trained, converter=converter, checkpoints=kept).resumed == 0
    assert compress(model, one, trained, converter=converter, checkpoints=kept).resumed == 1
    assert compress(model, one, data, converter=converter, checkpoints=kept).resumed == 0
    stored = tmp_path / "steps" / "0" / "model.keras"
    stored.write_bytes(stored.read_bytes()[:100])
    assert compress(model, one, data, converter=converter, checkpoints=kept).resumed == 0
    kept.remove()
    assert not (tmp_path / "steps").exists()


def test_a_shuffled_dataset_resumes(model, data, converter, tmp_path):
    """Batches that differ at every reading do not make it another data set, given as `Data` takes it; another length does."""
    kept = Checkpoints(tmp_path / "steps")
    recipe = Recipe(step=(PruneSettings(sparsity=0.5, epochs=0), QuantizeSettings()))

    def shuffled(samples: int) -> Data:
        batches = tf.data.Dataset.from_tensor_slices(tuple(part[:samples] for part in data.train)).shuffle(64).batch(16)
        return replace(data, train=batches)

    assert compress(model, recipe, shuffled(64), converter=converter, checkpoints=kept).resumed == 0
    assert compress(model, recipe, shuffled(64), converter=converter, checkpoints=kept).resumed == 1
    assert compress(model, recipe, shuffled(32), converter=converter, checkpoints=kept).resumed == 0


def test_the_users_loss_and_metric(data, model, converter):
    """A loss and a metric of the data function train and judge; a metric that fails is named."""
    called = []

    def half_squares(y, y_pred):
        called.append(True)
        return keras.ops.mean(keras.ops.square(keras.ops.one_hot(y, 3) - y_pred), axis=-1) / 2

    def distance(labels, outputs):
        return np.abs(np.eye(3)[labels] - outputs).mean()

    own = Data(data.train, data.validation, data.calibration, loss=half_squares, metric=distance, metric_goal="min")
    result = compress(model, RECIPE, own, converter=converter)
    assert called
    assert result.report["steps"][0]["note"]["objective"] == "the data function's loss"
    assert result.report["score"]["metric"] == "distance"
    assert result.report["steps"][-1]["after"]["tflite"]["higher_is_better"] is False
    named = score_model(model, Data(validation=data.validation, metric="sparse_categorical_accuracy"))
    assert named == score_model(model, Data(validation=data.validation, metric=keras.metrics.SparseCategoricalAccuracy()))
    assert named.value == pytest.approx(score_model(model, data).value)
    with pytest.raises(DataError, match="the metric 'lacking' failed"):
        score_model(model, Data(validation=data.validation, metric=lacking))


def test_a_score_that_cannot_be_is_said(model, data, converter):
    """Labels that allow no score leave a remark where the score would stand."""
    odd = Data(validation=(data.validation[0], np.zeros((32, 7))), calibration=data.calibration)
    after = compress(model, data=odd, converter=converter).report["steps"][-1]["after"]
    assert after["tflite"] is None
    assert "allow no score" in after["remark"]


def lacking(labels, outputs):
    return labels["nothing"]


def test_a_model_that_stays_float_in_the_middle_is_said(data, converter):
    """What an int8 conversion refuses in the middle of a recipe is a remark in the report, not the end of the run."""
    x = keras.Input((6,))
    net = keras.Model(x, layers.Dense(3, name="scores")(layers.LayerNormalization(name="norm")(layers.Dense(8, name="hidden")(x))))
    recipe = Recipe(step=(PruneSettings(sparsity=0.5, epochs=0), QuantizeSettings(mode="float32")))
    result = compress(net, recipe, data, converter=converter)
    entry = result.report["steps"][0]
    assert "norm" in entry["after"]["remark"]
    assert entry["after"]["tflite_bytes"] is None
    assert entry["after"]["keras"]["metric"] == "accuracy"
    with pytest.raises(ModelError, match="norm"):
        compress(net, Recipe(step=(PruneSettings(sparsity=0.5, epochs=0),)), data, converter=converter)


SCRIPT = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
devices = int(sys.argv[1])
if devices > 1:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * devices
    )
import hashlib, keras
from keras import layers
from edgecompress.compress import Data, compress
from edgecompress.recipe import PruneSettings, QuantizeSettings, Recipe

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(0, 1, (64, 8, 8, 2)).astype(np.float32)
y = (x.mean(axis=(1, 2)).argmax(axis=1)).astype(np.int32)
net = keras.Sequential([
    keras.Input((8, 8, 2)), layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
    layers.GlobalAveragePooling2D(), layers.Dense(2),
])
recipe = Recipe(step=(
    PruneSettings(sparsity=0.5, epochs=2, batch_size=16, every=1, learning_rate=1e-2),
    QuantizeSettings(method="qat", epochs=2, batch_size=16),
), strategy="mirrored" if devices > 1 else "single")
result = compress(net, recipe, Data(train=(x, y), validation=(x, y), calibration=x))
zeros = result.report["steps"][-1]["after"]
print(hashlib.sha256(result.model_bytes).hexdigest(), zeros["zeros"], zeros["weights"], len(tf.config.list_logical_devices()))
weights = b"".join(w.tobytes() for w in result.keras_model.get_weights())
print(hashlib.sha256(weights).hexdigest())
"""


def run_script(devices: int) -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(devices)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_fresh_processes_agree_to_the_bit():
    """Two processes give the same weights and the same .tflite."""
    assert run_script(1) == run_script(1)


def test_training_on_two_devices():
    """Under a mirrored strategy over two logical devices, pruning and QAT keep their promises, and repeat to the bit."""
    sha256, zeros, weights, devices, *_ = run_script(2)
    assert len(sha256) == 64
    assert devices == "2"
    assert int(zeros) >= int(weights) / 2


def test_adaptive_rounding_under_a_strategy(model, data, converter):
    """Post-training quantization trains nothing of the model, so a strategy changes none of its bytes."""
    steps = (QuantizeSettings(rounding="adaptive", rounding_steps=2),)
    one, mirrored = (
        compress(model, Recipe(step=steps, strategy=name), data, converter=converter).model_bytes for name in ("single", "mirrored")
    )
    assert one == mirrored


DATA_FILE = """
import numpy as np

def load():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (4096, 6)).astype(np.float32)
    y = x[:, :3].argmax(axis=1).astype(np.int32)
    return {"train": (x, y), "validation": (x[:64], y[:64]), "calibration": x[:32]}
"""
RECIPE_FILE = """
[[step]]
pass = "prune"
sparsity = 0.5
epochs = 1

[[step]]
pass = "prune"
sparsity = 0.75
epochs = {epochs}

[[step]]
pass = "quantize"
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_the_command_goes_on_after_a_kill(end, model, tmp_path):
    """A killed or interrupted command leaves whole steps; the same command then starts behind them and leaves nothing else."""
    model.save(tmp_path / "model.keras")
    (tmp_path / "data.py").write_text(DATA_FILE)
    (tmp_path / "recipe.toml").write_text(RECIPE_FILE.format(epochs=12))
    command = [sys.executable, "-m", "edgecompress", "compress", "model.keras", "--data", "data.py:load"]
    command += ["--recipe", "recipe.toml", "-o", "out"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    wait_for(tmp_path / "out" / "steps.partial" / "0" / "step.json", running)
    running.send_signal(end)
    errors = running.communicate(timeout=TIMEOUT_S)[1]
    if end is signal.SIGINT:
        assert running.returncode == 130
        assert "goes on from there" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["steps.partial"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 steps were finished by an earlier run" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.tflite", "report.json"]


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not path.exists():
        assert running.poll() is None, "it ended before a step was finished"
        assert time.monotonic() < end, "no step was finished"
        time.sleep(0.05)


def test_layers_that_stay_float_are_named_before_training(data):
    """What quantization-aware training would refuse at the end is refused at the start, unless a step exchanges the layer."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "elu", name="hidden"), layers.Dense(3, name="scores")])
    steps = (PruneSettings(sparsity=0.5, epochs=1), QuantizeSettings(method="qat", epochs=1))
    told: list[str] = []
    with pytest.raises(UnsupportedOpError, match="hidden"):
        compress(model, Recipe(step=steps), data, progress=lambda stage, done, total: told.append(stage))
    assert told == []
    exchange = ReplaceSettings.model_validate({"pass": "replace", "activations": {"elu": "relu"}, "epochs": 0})
    assert compress(model, Recipe(step=(exchange, *steps)), data).model_bytes
