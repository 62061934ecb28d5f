#!/usr/bin/env bash
# Runs the end-to-end tests (pytest) against the binary named by WEIR_BINARY (default build/release/weir).
# Usage: run-e2e.sh [PYTEST ARGUMENT…]
# The Python packages live in build/venv, made again only when tests/e2e/requirements.txt changes.
set -eu
cd "$(dirname "$0")/.."

requirements=tests/e2e/requirements.txt
venv=build/venv
stamp=$venv/requirements.sha256
wanted=$({ python3 --version; cat "$requirements"; } | sha256sum | cut -d' ' -f1)

if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    echo "e2e: making $venv from $requirements"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
    echo "$wanted" >"$stamp"
fi

binary=${WEIR_BINARY:-build/release/weir}
[ -x "$binary" ] || { echo "e2e: $binary is not there: run 'make' first" >&2; exit 1; }
export WEIR_BINARY="$(realpath "$binary")"
# Sanitizers must stop the process and say why; leaks count as failures too.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:exitcode=99}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1:exitcode=99}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:exitcode=99:suppressions=$PWD/tests/tsan.supp}"
export PYTHONDONTWRITEBYTECODE=1
# Most of a test is waiting: two files at a time, unless told otherwise (-n 0: one after the other, with a debugger).
exec "$venv/bin/python" -m pytest -c tests/e2e/pytest.ini --rootdir tests/e2e -n 2 --dist loadfile tests/e2e "$@"
