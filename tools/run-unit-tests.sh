#!/usr/bin/env bash
# Runs cmocka test programs one after the other and sums what they report. Usage: run-unit-tests.sh PROGRAM…
set -u
passed=0 failed=0
for program in "$@"; do
    log="$program.log"
    if timeout 300 "$program" >"$log" 2>&1; then status=0; else status=$?; fi
    ok=$(grep -c '^\[       OK \]' "$log")
    bad=$(grep '^\[  FAILED  \] [a-z_0-9]*$' "$log" | sort -u | wc -l)
    passed=$((passed + ok))
    if [ "$status" -ne 0 ]; then
        [ "$bad" -gt 0 ] || bad=1
        failed=$((failed + bad))
        echo "FAILED $program (exit $status)"
        grep -v '^\[ RUN\|^\[       OK' "$log" | tail -n 60
    fi
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
