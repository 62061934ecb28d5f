#!/usr/bin/env bash
# Runs fuzz targets, each for FUZZ_SECONDS (20) on a copy of its corpus, so that the tree stays as it was.
# Usage: run-fuzzers.sh PROGRAM…   An input that fails is kept under build/fuzz/failures and its name printed:
# add it to tests/fuzz/corpus/NAME/ with the fix, so that it is run every time from then on.
set -u
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-20}
passed=0 failed=0
for program in "$@"; do
    name=${program##*/fuzz_}
    corpus=tests/fuzz/corpus/$name
    work=build/fuzz/work/$name
    failures=build/fuzz/failures/$name
    log=build/fuzz/$name.log
    rm -rf "$work"
    mkdir -p "$work" "$failures"
    [ -d "$corpus" ] && cp -r "$corpus/." "$work/"
    dictionary=()
    [ -f "tests/fuzz/$name.dict" ] && dictionary=("-dict=tests/fuzz/$name.dict")
    # First what is known, once each: a regression shows at once and by name. Then new inputs.
    if timeout 120 "$program" -runs=0 -rss_limit_mb=2048 -artifact_prefix="$failures/" "$work" >"$log" 2>&1 &&
        timeout $((seconds + 60)) "$program" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
            -print_final_stats=1 -artifact_prefix="$failures/" "${dictionary[@]}" "$work" >>"$log" 2>&1; then
        passed=$((passed + 1))
        echo "fuzz $name: ok, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1) runs in $seconds s"
    else
        failed=$((failed + 1))
        echo "fuzz $name: FAILED (inputs in $failures)"
        tail -n 40 "$log"
    fi
    rm -rf "$work"
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
