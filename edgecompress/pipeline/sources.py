"""Where a verb's input comes from: a .tflite file, a firmware file, or what a device already runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecompress.artifact import Engine, GeneratedModel, Streaming
from edgecompress.convert import read_tflite
from edgecompress.convert.metadata_write import remove_metadata
from edgecompress.convert.model_file import read_model_bytes
from edgecompress.errors import ModelError, UserError
from edgecompress.graph import Graph
from edgecompress.pipeline.offline_plan import with_offline_plan
from edgecompress.target import KernelSet, Optimize

_ELF_MAGIC = b"\x7fELF"
# The option of the command line that leaves a plan to TensorFlow Lite Micro.
NO_OFFLINE_PLAN = " --no-offline-plan"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A .tflite file: its bytes and the graph that was read from them."""

    data: bytes
    graph: Graph


def load_model(path: Path, *, name: str | None = None) -> LoadedModel:
    """Read and check a .tflite.

    Raises:
        ModelError: it is missing, damaged or not a .tflite.
    """
    data = read_model_bytes(path)
    return LoadedModel(data, read_tflite(data, name=name or path.name))


def is_firmware(path: Path) -> bool:
    """Whether `path` holds a linked firmware rather than a model.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_ELF_MAGIC)) == _ELF_MAGIC
    except OSError as e:
        raise ModelError(f"{path}: cannot be read: {e.strerror}", hint="give the path of a .tflite model or of a firmware.elf") from e


def generate_sources(
    model: LoadedModel,
    engine: Engine,
    *,
    name: str | None,
    keep_input: bool,
    kernels: KernelSet = KernelSet.PORTABLE,
    offline_plan: bool = True,
    optimize: Optimize = Optimize.SPEED,
    stream: Streaming = Streaming.NONE,
) -> GeneratedModel:
    """The model as C for `engine`.

    Args:
        offline_plan: with the tflm engine, our memory plan goes into the model where that lowers its arena.
        optimize: with the aot engine, speed, or flash and arena.
        stream: with the aot engine, whether first layers go by rows.

    Raises:
        ModelError: the engine is none that runs on a core, or lacks an op of the model.
        UserError: the engine cannot keep its inputs.
    """
    if engine is Engine.AOT:
        from edgecompress.codegen import generate_aot

        return generate_aot(model.graph, name=name, keep_input=keep_input, kernels=kernels, optimize=optimize, stream=stream)
    if engine is Engine.TFLM:
        refuse_keep_input(keep_input=keep_input)
        refuse_stream(stream)
        from edgecompress.codegen import generate_tflm

        data = for_tflm(model, offline_plan=offline_plan)
        return generate_tflm(model.graph, data, name=name, options="" if offline_plan else NO_OFFLINE_PLAN)
    raise ModelError(f"engine {engine.value} is not C: it runs on the host and on phones", hint="choose --engine aot or --engine tflm")


def refuse_keep_input(*, keep_input: bool) -> None:
    """TensorFlow Lite Micro plans its memory itself, and reuses that of inputs.

    Raises:
        UserError: the inputs were to be kept.
    """
    if keep_input:
        raise UserError("the engine tflm plans its memory itself, and cannot keep inputs", hint="write the inputs before each inference")


def refuse_stream(stream: Streaming) -> None:
    """TensorFlow Lite Micro runs one op after the other.

    Raises:
        UserError: layers were to go by rows.
    """
    if stream is not Streaming.NONE:
        raise UserError("the engine tflm runs layer after layer and cannot stream rows", hint="use --engine aot, or leave --stream out")


def for_tflm(model: LoadedModel, *, offline_plan: bool) -> bytes:
    """The .tflite as it goes into firmware."""
    data = without_metadata(model.data)
    return with_offline_plan(model.graph, data) if offline_plan else data


def without_metadata(data: bytes) -> bytes:
    """The model without metadata and label files, which are for people and apps: on a core they would only take flash."""
    try:
        return remove_metadata(data)
    except ModelError:
        # Only what is beside the model is damaged; the model itself was read.
        return data
