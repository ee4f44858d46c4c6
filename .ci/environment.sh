#!/bin/sh
# Makes the Python environment and installs this package into it with the extra that is named: environment.sh demo|dev
# Does nothing when that was done for this pyproject.toml. VENV (default .venv) and PYTHON (default python3) say where and from what.
set -eu
cd "$(dirname "$0")/.."
extra=$1
venv=${VENV:-.venv}

say() { printf '%s\n' "environment: $*" >&2; }
give_up() { say "$*"; exit 1; }

# The interpreter: the one that is named, or the first of the usual names that is new enough.
find_python() {
    for name in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# How to become root without a question: an empty word for root itself, "sudo -n" where that works.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian keeps ensurepip, which venv needs, in a package of its own.
install_venv_package() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; } || return 1
    say "installing the Debian package python3-venv"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >&2 && return 0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >&2
}

# Only an environment may be replaced, whatever VENV says.
remove_venv() {
    if [ -d "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
        give_up "$venv is a folder with something else in it; name another with VENV=DIR"
    fi
    rm -rf "$venv"
}

make_venv() {
    remove_venv
    python=$(find_python) || give_up "Python 3.11 or later is needed; install it, or say PYTHON=/path/to/python3"
    say "making $venv with $("$python" --version 2>&1)"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null && "$python" -m venv "$venv" >&2; then return 0; fi
    rm -rf "$venv"
    # A pip outside the environment can put one into it.
    if "$python" -m venv --without-pip "$venv" 2>/dev/null \
        && "$python" -m pip --python "$venv/bin/python" install --quiet pip >&2 2>/dev/null; then return 0; fi
    rm -rf "$venv"
    if install_venv_package && "$python" -m venv "$venv" >&2; then return 0; fi
    rm -rf "$venv"
    give_up "venv is missing from $python: install it (Debian: apt install python3-venv), then run this again"
}

# The package of this very folder, in an interpreter that starts (environments break when they or the checkout are moved).
works() {
    [ -x "$venv/bin/python" ] && [ -x "$venv/bin/edgecompress" ] && "$venv/bin/python" -I -c '
import pathlib, sys
import edgecompress
sys.exit(pathlib.Path(edgecompress.__file__).resolve().parent.parent != pathlib.Path.cwd().resolve())' 2>/dev/null \
        && "$venv/bin/edgecompress" --version >/dev/null 2>&1
}

# dev holds all that demo does.
installed() {
    for name in "$extra" dev; do
        if cmp -s pyproject.toml "$venv/.edgecompress-$name"; then return 0; fi
    done
    return 1
}

if installed && works; then exit 0; fi
"$venv/bin/python" -c 'import pip' 2>/dev/null || make_venv
say "installing edgecompress[$extra] (TensorFlow is large: a few minutes the first time)"
"$venv/bin/python" -m pip install --no-input --disable-pip-version-check --quiet --editable ".[$extra]" \
    || give_up "pip could not install the package; its last lines above say why"
works || give_up "the package was installed into $venv but does not start: remove $venv and run this again"
cp pyproject.toml "$venv/.edgecompress-$extra"
