#!/bin/sh
# Make a virtual environment and install medtui into it.
#
#   tools/bootstrap.sh VENV [EXTRA]      EXTRA: dev or nothing
#
# Needs nothing but a Python 3.11 or newer; what else is missing it installs by apt where it may (as
# root, or with a sudo that asks for no password), and otherwise says what to type.
# MEDTUI_PYTHON names the Python to use.
set -eu

venv=${1:?usage: tools/bootstrap.sh VENV [EXTRA]}
extra=${2:-}
cd "$(dirname "$0")/.."

say() {
    printf 'medtui: %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 2
}

# The words that make a command run as root, or nothing where that cannot be.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        echo env
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        echo "sudo -n"
    fi
}

# Install Debian packages; fails where that is not possible.
apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    root=$(as_root)
    [ -n "$root" ] || return 1
    say "installing with apt: $*"
    # $root is two words for sudo.
    # shellcheck disable=SC2086
    $root apt-get update -qq >/dev/null 2>&1 || true
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Whether $1 runs and is new enough: a name on the path may be an empty shell of a version manager.
good_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# 3.14 after the others: not every library has wheels for the newest Python.
find_python() {
    for name in ${MEDTUI_PYTHON:-python3.13 python3.12 python3.11 python3.14 python3}; do
        if good_python "$name"; then
            echo "$name"
            return
        fi
    done
}

# A Python whose venv module is whole. Debian ships it apart from Python.
python_with_venv() {
    for name in ${MEDTUI_PYTHON:-python3.13 python3.12 python3.11 python3.14 python3}; do
        if good_python "$name" && "$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
}

choose_python() {
    python=$(python_with_venv)
    [ -z "$python" ] || return 0
    python=$(find_python)
    if [ -z "$python" ]; then
        [ -z "${MEDTUI_PYTHON:-}" ] || fail "MEDTUI_PYTHON=$MEDTUI_PYTHON is no Python 3.11 or newer"
        apt_install python3 python3-venv || true
    else
        package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        apt_install "$package" || apt_install python3-venv || true
    fi
    python=$(python_with_venv)
    [ -n "$python" ] || fail "a Python 3.11 or newer with its venv module is needed. Type:
  sudo apt-get install ${package:-python3 python3-venv}
and on a system older than Debian 12 or Ubuntu 24.04 name a newer Python: make MEDTUI_PYTHON=/path/to/python3.12 ..."
}

# Surfaces are drawn by VTK, which loads a GL library when it runs. Without one they are left out, no more.
rendering() {
    "$venv/bin/python" - <<'EOF' && return 0
import ctypes, sys
for name in ("libEGL.so.1", "libOSMesa.so.8", "libOSMesa.so"):
    try:
        ctypes.CDLL(name)
        sys.exit(0)
    except OSError:
        pass
sys.exit(1)
EOF
    apt_install libegl1 libgl1-mesa-dri || say "surfaces are not drawn without a GL library. To have them, type:
  sudo apt-get install libegl1 libgl1-mesa-dri"
}

if ! good_python "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
        fail "$venv is there and is no virtual environment: name another with make VENV=..."
    fi
    choose_python
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || fail "cannot make $venv with $python"
fi
say "installing into $venv; the first time this takes minutes and some gigabytes"
"$venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --editable ".${extra:+[$extra]}" \
    || fail "the installation failed: see above. Is there a network, and room on the disk?"
# pip would compile them one after the other, and their tests too, which took minutes. $venv may lie below a "test" too.
"$venv/bin/python" -m compileall -qq -j 0 -x '/site-packages/(.*/)?tests?/' "$venv/lib" || true
rendering
