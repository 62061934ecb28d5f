#!/usr/bin/env bash
# Runs the replay tests: the scenarios of the given files, then the random exchanges. Usage: run-replay.sh FOLDER FILE…
set -u
folder=$1
shift
status=0
timeout 300 "$folder/test_scenarios" "$@" >"$folder/scenarios.log" 2>&1 || status=1
[ ! -x "$folder/test_random" ] || timeout 300 "$folder/test_random" >"$folder/random.log" 2>&1 || status=1
passed=$(cat "$folder"/*.log | grep -c '^\[       OK \]')
failed=$(cat "$folder"/*.log | grep "^\[  FAILED  \] " | grep -v "listed below" | sort -u | wc -l)
[ $status -eq 0 ] || cat "$folder"/*.log | grep -v '^\[ RUN\|^\[       OK' | tail -n 80
echo "replay: $passed passed, $failed failed"
[ $status -eq 0 ] && [ "$passed" -gt 0 ]
