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
run() { "$venv/bin/python" -m pytest -c tests/e2e/pytest.ini --rootdir tests/e2e "$@"; }

# Most of a test is waiting: two files at a time, unless told otherwise (-n 0: one after the other, with a debugger).
if [ -z "${E2E_AGAIN:-}" ]; then
    run -n 2 --dist loadfile tests/e2e "$@"
    exit
fi

# With E2E_AGAIN=N, as continuous integration sets it: up to N tests that failed beside the others are run once more by
# themselves, and named. What a whole machine's load does to one test is not a fault of the change under test; a fault
# fails twice. A sanitizer's report, a wrong record or a bad exit is an error, not a failure, and never forgiven.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
set -o pipefail
run -n 2 --dist loadfile tests/e2e "$@" 2>&1 | tee "$log" && exit
status=${PIPESTATUS[0]}
mapfile -t failed < <(sed -nE 's/^FAILED (tests\/e2e\/)?([^ ]+::[^ ]+)( - .*)?$/tests\/e2e\/\2/p' "$log" | sort -u)
count=$(grep -c '^FAILED ' "$log" || true)
if [ "$status" -ne 1 ] || [ "$count" -eq 0 ] || [ "$count" -gt "$E2E_AGAIN" ] || [ "$count" -ne "${#failed[@]}" ] ||
    grep -q '^ERROR ' "$log"; then
    exit "$status"
fi
echo "e2e: once more, by themselves: ${failed[*]}"
run -n 0 "${failed[@]}" || exit
echo "e2e: unsteady, passed by themselves: ${failed[*]}"
