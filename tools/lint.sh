#!/usr/bin/env bash
# Static checks over the whole tree: layers, sizes, words that must not stay, line lengths, cppcheck, clang-tidy.
# Usage: lint.sh [--fast]   (--fast: without cppcheck and clang-tidy). Prints file:line: message, exit 1 when any.
# clang-tidy remembers what was clean (build/lint/*.ok, by content), so a second run looks only at what changed.
set -u
cd "$(dirname "$0")/.."

function_lines_max=70
file_lines_max=600
jobs=$(($(nproc) < 2 ? 1 : 2))
failed=0
mkdir -p build/lint

section() { # NAME COMMAND…: runs it and keeps whether it failed
    local name=$1
    shift
    if "$@"; then echo "lint: $name: ok"; else
        echo "lint: $name: FAILED"
        failed=1
    fi
}

sources() { find src include tests bench -name '*.[ch]' -not -path '*/corpus/*' | sort; }

check_sizes() {
    local wrong
    wrong=$({
        sources | xargs -r wc -l | awk -v max=$file_lines_max \
            '$2 != "total" && $1 > max { print $2 ":1: " $1 " lines, more than " max }'
        sources | ctags -L - --languages=C --langmap=C:.c.h --kinds-C=f --fields=+ne -f - 2>/dev/null | awk -F'\t' \
            -v max=$function_lines_max '{
                for (i = 4; i <= NF; i++) { split($i, kv, ":"); at[kv[1]] = kv[2] }
                lines = at["end"] - at["line"] + 1
                if (at["end"] && lines > max) print $2 ":" at["line"] ": " $1 " has " lines " lines, more than " max
                delete at
            }'
    })
    [ -z "$wrong" ] || { echo "$wrong"; return 1; }
}

# Left-over notes, functions that read the locale, and what overruns a buffer.
check_words() {
    local wrong
    wrong=$({
        grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' src include tests tools bench conf Makefile 2>/dev/null |
            grep -v '^tools/lint.sh:'
        grep -rnE '\b(tolower|toupper|isalpha|isdigit|isspace|isalnum|isxdigit|isupper|islower|strtod|strtof|atof|setlocale|strcasecmp|strncasecmp)\(' \
            src include --include='*.[ch]'
        grep -rnE '\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|alloca)\(' src include --include='*.[ch]'
        for file in $(find src -name '*.c'); do
            head -n 1 "$file" | grep -q '^/\*' || echo "$file:1: no opening comment"
        done
    })
    [ -z "$wrong" ] || { echo "$wrong"; return 1; }
}

check_style() {
    local wrong
    wrong=$({
        LC_ALL=C.UTF-8 grep -rnE '^.{121,}$' src include --include='*.[ch]' | sed -E 's/^([^:]*:[0-9]*):.*/\1: longer than 120 columns/'
        grep -rnP '\t| +$' src include tests --include='*.[ch]' | sed -E 's/^([^:]*:[0-9]*):.*/\1: tab or trailing space/'
    })
    [ -z "$wrong" ] || { echo "$wrong"; return 1; }
}

# Every script can be read by its interpreter.
check_scripts() {
    local script bad=0
    for script in tools/*.sh .ci/run; do
        bash -n "$script" || bad=1
    done
    python3 - <<'PYTHON' || bad=1
import ast, pathlib, sys
for path in [*pathlib.Path("tests/e2e").rglob("*.py"), *pathlib.Path("bench").rglob("*.py")]:
    try:
        ast.parse(path.read_text(), str(path))
    except SyntaxError as error:
        sys.exit(f"{path}:{error.lineno}: {error.msg}")
PYTHON
    return $bad
}

compile_flags() {
    local llhttp=-I/usr/share/include/llhttp
    pkg-config --exists libllhttp 2>/dev/null && llhttp=$(pkg-config --cflags libllhttp)
    echo "-std=gnu17 -Iinclude -D_GNU_SOURCE -DWEIR_VERSION=\"lint\" $llhttp"
}

check_cppcheck() {
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr -j "$jobs" \
        --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=preprocessorErrorDirective \
        --suppress=normalCheckLevelMaxBranches --template='{file}:{line}: {severity} {id}: {message}' \
        --cppcheck-build-dir=build/lint -Iinclude -D_GNU_SOURCE -DWEIR_VERSION='"lint"' -D__linux__ -D__x86_64__ src
}

tidy_one() { # FILE: silent when clean, or when these very bytes were clean before
    local file=$1 folder key stamp out
    folder=$(dirname "$file")
    key=$({ cat .clang-tidy "$file"; find include "$folder" -name '*.h' -exec cat {} +; } | sha256sum | cut -d' ' -f1)
    stamp=build/lint/$(echo "$file" | tr / _).ok
    [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return 0
    # shellcheck disable=SC2046
    out=$(timeout 240 clang-tidy --quiet "$file" -- $(compile_flags) "-I$folder" 2>/dev/null)
    if [ $? -ne 0 ]; then
        echo "$out" | grep -E '^[^ ].*(error|warning): ' | sed "s|$PWD/||g"
        rm -f "$stamp"
        return 1
    fi
    echo "$key" >"$stamp"
}
export -f tidy_one compile_flags

check_tidy() { find src -name '*.c' | sort | xargs -r -P "$jobs" -I{} bash -c 'tidy_one {}'; }

section layers tools/check-layers.sh
section sizes check_sizes
section words check_words
section scripts check_scripts
section style check_style
if [ "${1:-}" != --fast ]; then
    section cppcheck check_cppcheck
    section clang-tidy check_tidy
fi
exit $failed
