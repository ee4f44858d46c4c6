"""The six layouts: which skeleton becomes which file.

generated sources --flattened into one folder--> model/
golden vector     --ec_golden.c--------------->  model/
skeletons         --names of the project------>  what the ecosystem's tools read, and a main
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgecompress.artifact import Engine, GeneratedModel
from edgecompress.build.kernel_files import kernel_files
from edgecompress.build.layouts.golden import golden_tensors
from edgecompress.build.skeletons import Skeletons

if TYPE_CHECKING:
    from edgecompress.build.android import Golden

# Names of Arduino libraries end at 63 characters (library specification, "name").
_LONGEST_LIBRARY_NAME = 63
_LIBRARY_ENDING = "_model"

_SKELETONS = Skeletons("layouts")


class ProjectLayout(Enum):
    """The ecosystem whose conventions a generated project follows."""

    PLAIN = "plain"
    CMAKE = "cmake"
    ARDUINO = "arduino"
    PLATFORMIO = "platformio"
    ZEPHYR = "zephyr"
    ESP_IDF = "esp-idf"


# Arduino's tools promise to compile .c, .cpp and .S.
_CPP_ONLY = frozenset({ProjectLayout.ARDUINO, ProjectLayout.PLATFORMIO})


def layout_files(generated: GeneratedModel, golden: Golden, layout: ProjectLayout) -> dict[str, str]:
    """Relative path -> text of a project that runs the first golden sample and prints pass or fail.

    Args:
        generated: of the aot or the tflm engine.
        golden: inferences of the reference on the same model; only the first is used.

    Raises:
        ModelError: an input or output has a type that no application fills.
    """
    library = library_name(generated.info.name)
    values = _template_values(generated, golden, layout, library)
    model = {
        **_model_sources(generated, layout),
        **{f"ec_golden.{kind}": _SKELETONS.render(f"common/ec_golden.{kind}.in", values) for kind in "ch"},
    }
    values["sources"] = sorted(name for name in model if not name.endswith(".h"))
    folder, skeletons = _skeletons(layout, library, tflm=generated.info.engine is Engine.TFLM)
    files = {path: _SKELETONS.render(skeleton, values) for path, skeleton in skeletons.items()}
    files["README.md"] = _SKELETONS.render("common/README.md.in", values) + _SKELETONS.render(f"{layout.value}/README.md.in", values)
    files |= {f"{folder}model/{name}": text for name, text in model.items()}
    return dict(sorted(files.items()))


def library_name(name: str) -> str:
    """What the model's library, target or component is called: never a word that a tool keeps for itself, such as `test` or `log`."""
    return name[: _LONGEST_LIBRARY_NAME - len(_LIBRARY_ENDING)] + _LIBRARY_ENDING


def _skeletons(layout: ProjectLayout, library: str, *, tflm: bool) -> tuple[str, dict[str, str]]:
    """The folder (empty, or ending in /) that holds `model`, and path -> skeleton of the other files, README.md aside."""
    match layout:
        case ProjectLayout.PLAIN:
            return "", {"Makefile": "plain/Makefile.in", "main.c": "common/main.c.in"}
        case ProjectLayout.CMAKE:
            return "", {"CMakeLists.txt": "cmake/CMakeLists.txt.in", "main.c": "common/main.c.in"}
        case ProjectLayout.ARDUINO:
            return "src/", {
                "library.properties": "arduino/library.properties.in",
                f"src/{library}.h": "common/library.h.in",
                "examples/GoldenVector/GoldenVector.ino": "arduino/GoldenVector.ino.in",
            }
        case ProjectLayout.PLATFORMIO:
            return f"lib/{library}/src/", {
                "platformio.ini": "platformio/platformio.ini.in",
                "src/main.cpp": "platformio/main.cpp.in",
                f"lib/{library}/library.json": "platformio/library.json.in",
                f"lib/{library}/src/{library}.h": "common/library.h.in",
            }
        case ProjectLayout.ZEPHYR:
            return "", {
                "CMakeLists.txt": "zephyr/CMakeLists.txt.in",
                "prj.conf": "zephyr/prj.conf.in",
                "sample.yaml": "zephyr/sample.yaml.in",
                "src/main.c": "common/main.c.in",
            }
        case ProjectLayout.ESP_IDF:
            component = f"components/{library}/"
            manifest = {f"{component}idf_component.yml": "esp-idf/idf_component.yml.in"} if tflm else {}
            return component, manifest | {
                "CMakeLists.txt": "esp-idf/CMakeLists.txt.in",
                "sdkconfig.defaults": "esp-idf/sdkconfig.defaults.in",
                "main/CMakeLists.txt": "esp-idf/main_component.txt.in",
                "main/main.c": "common/main.c.in",
                f"{component}CMakeLists.txt": "esp-idf/component.txt.in",
            }


def _template_values(generated: GeneratedModel, golden: Golden, layout: ProjectLayout, library: str) -> dict[str, Any]:
    """What the skeletons may name; `sources` is added when they are known."""
    info, sample = generated.info, golden.samples[0]
    outputs = golden_tensors(info.outputs, sample.outputs)
    return {
        "name": info.name,
        "upper": info.name.upper(),
        "sha256": info.sha256[:8],
        "engine": info.engine.value,
        "tflm": info.engine is Engine.TFLM,
        "layout": layout.value,
        "library": library,
        "header": f"{library}.h",
        "reference": golden.reference,
        "inputs": golden_tensors(info.inputs, sample.inputs),
        "outputs": outputs,
        "whole": any(not tensor.is_float for tensor in outputs),
        "floats": any(tensor.is_float for tensor in outputs),
        "include": "../model" if layout is ProjectLayout.ZEPHYR else "model",
        "entry": "app_main" if layout is ProjectLayout.ESP_IDF else "main",
    }


def _model_sources(generated: GeneratedModel, layout: ProjectLayout) -> Mapping[str, str]:
    """The generated files and their kernels by bare names; the tflm engine's own golden header gives way to ec_golden.c."""
    files = {PurePosixPath(path).name: text for path, text in generated.files.items()}
    if generated.info.engine is Engine.AOT:
        return files | {PurePosixPath(path).name: text for path, text in kernel_files(generated.kernels).items()}
    files.pop(f"{generated.info.name}_golden.h", None)
    if layout in _CPP_ONLY:
        return {name.removesuffix(".cc") + ".cpp" if name.endswith(".cc") else name: text for name, text in files.items()}
    return files
