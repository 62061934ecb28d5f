#!/usr/bin/env bash
# The sources a fuzz target is built with: the words of its `fuzz-sources:` comments, which may run over several lines.
awk '/fuzz-sources:/ { inside = 1; sub(/.*fuzz-sources:/, "") }
     inside { line = $0; end = index(line, "*/"); if (end) { line = substr(line, 1, end - 1); inside = 0 }
              sub(/^ \*/, "", line); print line }' "$1" | xargs
