"""The layout that runs the model as generated C: a CMake module for the NDK, one JNI function, and no dependency at run time.

The arena is a direct ByteBuffer that the Kotlin side owns. So the native side has neither heap nor handles: nothing to leak, to close twice
or to use after it was freed, and what Java passes can be checked whole, each time.

    NativeEngine.kt  --byte arrays-->  native_engine.c  --<name>_input, _invoke, _output-->  the generated C and its kernels
"""

from __future__ import annotations

from edgecompress.artifact import Engine, GeneratedModel
from edgecompress.build.android.common import MAIN, common_files, template_values
from edgecompress.build.android.module import Layout, Module
from edgecompress.build.android.render import render
from edgecompress.build.kernel_files import kernel_files
from edgecompress.errors import ModelError

# What the NDK's releases 26 to 28 build for at least.
MIN_SDK = 21
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
CPP = f"{MAIN}/cpp"
_ARENA_ALIGNMENT = 16
# In a folder of its own, so that no model's name can be its name.
_JNI = "jni/native_engine.c"


def aot_files(module: Module, generated: GeneratedModel) -> dict[str, bytes]:
    """Relative path -> content of the whole output tree.

    Args:
        generated: of the aot engine, from the graph that `module` describes.

    Raises:
        ModelError: `generated` is another engine's, or another model's.
    """
    info = generated.info
    if info.engine is not Engine.AOT or info.sha256 != module.sha256:
        raise ModelError(
            f"{info.name}: C of the engine {info.engine.value} for the model {info.sha256[:8]}; expected aot for {module.sha256[:8]}",
            hint="generate it from this very model with the aot engine",
        )
    sources = {**generated.files, **kernel_files(generated.kernels)}
    values = template_values(module, Layout.AOT, MIN_SDK) | {
        "generated": info,
        "prefix": info.name,
        "upper": info.name.upper(),
        "library": library_name(module),
        "sources": sorted([_JNI, *(path for path in sources if path.endswith(".c"))]),
        "abis": ABIS,
        "arena_alignment": _ARENA_ALIGNMENT,
    }
    skeletons = {
        "README.md": "README.md.in",
        "model/build.gradle.kts": "module.gradle.kts.in",
        "model/consumer-rules.pro": "consumer-rules.pro.in",
        f"{CPP}/CMakeLists.txt": "CMakeLists.txt.in",
        f"{CPP}/{_JNI}": "native_engine.c.in",
        f"{MAIN}/kotlin/{module.names.package_path}/NativeEngine.kt": "NativeEngine.kt.in",
    }
    files = common_files(module, values) | {path: render(f"aot/{skeleton}", values) for path, skeleton in skeletons.items()}
    files |= {f"{CPP}/{path}": text.encode("utf-8") for path, text in sources.items()}
    return dict(sorted(files.items()))


def library_name(module: Module) -> str:
    """The native library, without `lib` and `.so`: named after the package, which no two modules of an app share."""
    return module.names.package.replace(".", "_")
