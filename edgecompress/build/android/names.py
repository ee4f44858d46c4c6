"""Names that Java, Kotlin, Gradle and Android all accept, made from whatever a model is called.

digits      -> class DigitsModel, asset digits.tflite, Gradle module digits-model
größe       -> class GrosseModel, asset grosse.tflite, Gradle module grosse-model
3d-net v2   -> class Model3dNetV2, asset model_3d_net_v2.tflite, Gradle module model-3d-net-v2
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from edgecompress.errors import UserError

# The Java Language Specification, section 3.9 (keywords) and 3.10 (the three literals); `_` is a keyword since Java 9.
_JAVA_WORDS = """
    abstract assert boolean break byte case catch char class const continue default do double else enum extends final finally float for
    goto if implements import instanceof int interface long native new package private protected public return short static strictfp
    super switch synchronized this throw throws transient try void volatile while _ true false null
"""
# kotlinlang.org/docs/keyword-reference.html, hard keywords: an identifier only in backticks.
_KOTLIN_WORDS = """
    as break class continue do else false for fun if in interface is null object package return super this throw true try typealias
    typeof val var when while
"""
_JAVA = frozenset(_JAVA_WORDS.split())
_KOTLIN = frozenset(_KOTLIN_WORDS.split())
KEYWORDS = _JAVA | _KOTLIN

# Names that the platform, or the Kotlin compiler, keeps for itself.
_RESERVED_ROOTS = frozenset({"android", "androidx", "dalvik", "java", "javax", "kotlin", "kotlinx"})

# Android's installer refuses longer package names (MAX_FILE_NAME_SIZE of its package parser): a folder is named after them.
LONGEST_PACKAGE = 223
# Leaves room for `<name>Model.kt`, `<name>_labels.txt` and `com_acme_<name>` in the 255 bytes of a file's name.
LONGEST_NAME = 64

_SEGMENT = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_EXAMPLE = "for example --package com.acme.digits"


@dataclass(frozen=True)
class ModuleNames:
    """Every name that a generated module uses.

    Attributes:
        package: of the Kotlin files, and the namespace of the Gradle module.
        asset: a lower-case identifier; the assets are `<asset>.tflite`, `<asset>.json` and `<asset>_labels.txt`.
        model_class: the Kotlin class: says `Model` at its end or its beginning.
        gradle_module: what README.md calls the module in an app: lower case, with hyphens.
    """

    package: str
    asset: str
    model_class: str
    gradle_module: str

    @property
    def package_path(self) -> str:
        """The folder of the package: `com/acme/digits`."""
        return self.package.replace(".", "/")


def module_names(package: str, name: str) -> ModuleNames:
    """The names for a model called `name` (a file's stem, or what the user said) in `package`.

    Raises:
        UserError: Android, Java or Kotlin could not use the package.
    """
    words = _words(name)
    asset = "_".join(words)
    return ModuleNames(check_package(package), asset, _class_name(words), _gradle_module(words))


def check_package(package: str) -> str:
    """The package, checked.

    Raises:
        UserError: it is none that Android, Java and Kotlin accept.
    """
    segments = package.split(".")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            hint = f"separate words by dots; begin each with a letter, go on with letters, digits and _; {_EXAMPLE}"
            raise UserError(f"--package {package!r}: {segment!r} is no part of a package name", hint=hint)
        if segment in KEYWORDS:
            language = "Java" if segment in _JAVA else "Kotlin"
            raise UserError(f"--package {package!r}: {segment!r} is a keyword of {language}", hint=f"choose another word, {_EXAMPLE}")
    if len(segments) < 2:
        raise UserError(f"--package {package!r}: Android needs two words or more, separated by a dot", hint=_EXAMPLE)
    if segments[0] in _RESERVED_ROOTS:
        hint = f"begin with a domain of your own, {_EXAMPLE}"
        raise UserError(f"--package {package!r}: the platform keeps {segments[0]!r} for itself", hint=hint)
    if len(package) > LONGEST_PACKAGE:
        message = f"--package {package[:40]!r}...: {len(package)} characters; Android takes up to {LONGEST_PACKAGE}"
        raise UserError(message, hint=f"choose a shorter one, {_EXAMPLE}")
    return package


def _words(name: str) -> list[str]:
    """Lower-case ASCII words of a name; the first begins with a letter, and there is at least one."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    words = re.findall(r"[a-z0-9]+", plain.removesuffix(".tflite")) or ["model"]
    if words[0][0].isdigit():
        words.insert(0, "model")
    return "_".join(words)[:LONGEST_NAME].strip("_").split("_")


def _says_model(words: list[str]) -> bool:
    """Whether a name need not be made to say it: it begins or ends with the word."""
    return "model" in (words[0], words[-1])


def _class_name(words: list[str]) -> str:
    return "".join(word.capitalize() for word in words) + ("" if _says_model(words) else "Model")


def _gradle_module(words: list[str]) -> str:
    return "-".join(words if _says_model(words) else [*words, "model"])
