#!/bin/sh
# Installs the Debian packages of .ci/packages.txt that are missing, when that needs no password.
# Prints one line to stdout and fails when some stay missing: what to install.
set -eu
cd "$(dirname "$0")/.."

# A package counts as there when dpkg says so or, on other systems, when a program of its name is found.
is_there() {
    command -v "$1" >/dev/null 2>&1 || [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

list_missing() {
    missing=
    for package in $(sed -e 's/#.*//' -e '/^[[:space:]]*\[/d' .ci/packages.txt); do
        is_there "$package" || missing="$missing $package"
    done
    missing=${missing# }
}

may_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }
}

apt() {
    if [ "$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi
    # shellcheck disable=SC2086 # two words or none
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" </dev/null >&2
}

list_missing
[ -n "$missing" ] || exit 0
if may_install; then
    # shellcheck disable=SC2086 # one word a package
    apt install -y --no-install-recommends $missing || { apt update && apt install -y --no-install-recommends $missing; } || true
    list_missing
    [ -n "$missing" ] || exit 0
fi
echo "Debian packages are missing, and the tests that use them were left out: apt install $missing"
exit 1
