#!/usr/bin/env bash
# What a decision about limits costs, alone and shared. `make bench-limits` builds the two programs and runs this.
# Usage: limits.sh DIRECTORY-OF-THE-PROGRAMS
set -eu
"$1/bench-limiter"
port=$((20000 + RANDOM % 9000))
redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no >/dev/null &
server=$!
trap 'kill "$server"' EXIT
for _ in $(seq 100); do redis-cli -p "$port" ping >/dev/null 2>&1 && break; sleep 0.05; done
"$1/bench-limiter_shared" "$port" "$server"
