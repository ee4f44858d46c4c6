#!/bin/sh
# All tests and checks. Every step runs even when one before it failed; pytest comes last, so that its closing lines are at the end.
set -u
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
jobs=${JOBS:-2}
failed=

step() {
    name=$1
    shift
    printf '== %s\n' "$name"
    "$@" </dev/null || failed="${failed:+$failed, }$name"
}

.ci/environment.sh dev || exit 1
missing=$(.ci/debian_packages.sh) || missing=${missing:-"the Debian packages of .ci/packages.txt could not be checked"}
step "ruff format" "$venv/bin/ruff" format --check .
step "ruff check" "$venv/bin/ruff" check .
step "mypy" "$venv/bin/mypy"
step "pytest" "$venv/bin/python" -m pytest -rs --durations=25 -n "$jobs" --dist loadfile "$@"

[ -z "$failed" ] || printf '%s\n' "make test: failed: $failed" >&2
[ -z "$missing" ] || printf '%s\n' "make test: $missing" >&2
[ -z "$failed$missing" ]
