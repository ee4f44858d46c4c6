"""The module's assets in an APK, put together by Android's own tools: stored, aligned, signed, and byte for byte the model.

Debian's aapt2, zipalign and apksigner do here what the Android Gradle Plugin does in an app's build; Gradle itself is not run.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from android_modules import AWKWARD_LABELS, build_sample, digits

FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
TOOLS = {"aapt2": "aapt", "zipalign": "zipalign", "apksigner": "apksigner", "keytool": "default-jdk-headless"}
ANDROID = "http://schemas.android.com/apk/res/android"
LOCAL_HEADER = struct.Struct("<26xHH")
TIMEOUT_S = 120


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def tools():
    """Skips when one of the tools is not there."""
    for program, package in TOOLS.items():
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: apt install {package}")
    if not FRAMEWORK.exists():
        pytest.skip(f"{FRAMEWORK} is missing: apt install android-framework-res")


@pytest.fixture(scope="module")
def module(tmp_path_factory) -> Path:
    return digits().write(tmp_path_factory.mktemp("module")) / "model"


def write_manifest(module: Path, path: Path) -> Path:
    """The module's own manifest as an app's: what the plugin's merger adds is the package, the SDK and an application."""
    ElementTree.register_namespace("android", ANDROID)
    root = ElementTree.fromstring((module / "src/main/AndroidManifest.xml").read_text(encoding="utf-8"))
    root.set("package", "com.acme.app")
    ElementTree.SubElement(root, "uses-sdk", {f"{{{ANDROID}}}minSdkVersion": "21", f"{{{ANDROID}}}targetSdkVersion": "29"})
    ElementTree.SubElement(root, "application", {f"{{{ANDROID}}}hasCode": "false"})
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    return path


def link(module: Path, work: Path, ending: str) -> Path:
    """An APK with the module's assets; `ending` is what aapt2 shall store."""
    manifest, linked = write_manifest(module, work / "AndroidManifest.xml"), work / "linked.apk"
    run("aapt2", "link", "-I", FRAMEWORK, "--manifest", manifest, "-A", module / "src/main/assets", "-0", ending, "-o", linked)
    return linked


def data_offset(apk: Path, entry: zipfile.ZipInfo) -> int:
    """Where an entry's bytes begin in the file."""
    with apk.open("rb") as file:
        file.seek(entry.header_offset)
        name_bytes, extra_bytes = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return entry.header_offset + LOCAL_HEADER.size + name_bytes + extra_bytes


def test_the_model_is_stored_aligned_and_whole(module, tmp_path):
    """What the app maps into memory is the .tflite itself, at a multiple of four bytes, in an APK that Android would install."""
    linked, apk = link(module, tmp_path, ".tflite"), tmp_path / "app.apk"
    run("zipalign", "-p", "4", linked, apk)
    keys = ("--ks", tmp_path / "keys.p12", "--ks-pass", "pass:of-this-test", "--min-sdk-version", "21")
    run("keytool", "-genkeypair", "-keystore", keys[1], "-storepass", "of-this-test", "-alias", "a", "-keyalg", "RSA", "-dname", "CN=Test")
    run("apksigner", "sign", *keys, apk)
    run("zipalign", "-c", "4", apk)
    assert "Verifies" in run("apksigner", "verify", "--verbose", "--min-sdk-version", "21", apk)
    with zipfile.ZipFile(apk) as archive:
        entry = archive.getinfo("assets/digits.tflite")
        assert entry.compress_type == zipfile.ZIP_STORED
        assert data_offset(apk, entry) % 4 == 0
        assert archive.read(entry) == digits().files["model/src/main/assets/digits.tflite"]
        assert archive.read("assets/digits.json") == digits().files["model/src/main/assets/digits.json"]


def test_without_the_dot_the_model_would_be_compressed(module, tmp_path):
    """aapt2 takes endings literally and says nothing: this is how the test above fails. (Gradle's noCompress wants no dot and adds it.)"""
    # Bytes that shrink: aapt2 stores what would not.
    asset = tmp_path / "module/src/main/assets/digits.tflite"
    shutil.copytree(module, tmp_path / "module")
    asset.write_bytes(bytes(4096))
    with zipfile.ZipFile(link(tmp_path / "module", tmp_path, "tflite")) as archive:
        assert archive.getinfo("assets/digits.tflite").compress_type == zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(link(tmp_path / "module", tmp_path, ".tflite")) as archive:
        assert archive.getinfo("assets/digits.tflite").compress_type == zipfile.ZIP_STORED


def test_the_package_of_a_module_is_one_that_android_takes(module, tmp_path):
    """aapt2 itself accepts a package with underscores, digits and capitals that this toolkit accepts."""
    sample = digits()
    data = sample.files["model/src/main/assets/digits.tflite"]
    odd = build_sample("Com.a_b9.X", "digits", "DigitsModel", data, sample.graph, AWKWARD_LABELS)
    manifest = write_manifest(odd.write(tmp_path) / "model", tmp_path / "AndroidManifest.xml")
    manifest.write_text(manifest.read_text().replace("com.acme.app", odd.package))
    run("aapt2", "link", "-I", FRAMEWORK, "--manifest", manifest, "-o", tmp_path / "odd.apk")
    assert f"package: name='{odd.package}'" in run("aapt2", "dump", "badging", tmp_path / "odd.apk")
