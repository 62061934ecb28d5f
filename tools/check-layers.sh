#!/usr/bin/env bash
# Checks that every #include keeps to the layering in tools/layers: the graph has no cycle, what a folder may include is
# transitively closed, and each third-party header stays in the files that wrap it. Prints file:line: message.
# Usage: check-layers.sh [ROOT]; exit 1 when anything is wrong.
set -eu
cd "${1:-$(dirname "$0")/..}"

# One awk program reads the table, the pins and then every include line that grep found, so the whole check is one pass.
pins='
event2/         src/net/ include/net/
openssl/        src/crypto/ src/net/
llhttp.h        src/http/
yaml.h          src/conf/
jansson.h       src/json/ include/json/ src/llm/price src/llm/error_body src/conf/prices
zlib.h          src/admin/ src/mock/ src/http/ src/otlp/
hiredis/        src/redis/
sqlite3.h       src/store/
protobuf-c/     src/otlp/
cmocka.h        (tests only)
sys/epoll.h     (nowhere)
'

{
    sed 's/^/L /' tools/layers
    echo "$pins" | sed '/^$/d; s/^/P /'
    grep -rnE '^[[:space:]]*#[[:space:]]*include' src include --include='*.c' --include='*.h' | sed 's/^/I /' || true
} | awk '
function complain(where, what) { print where ": " what; bad++ }
function parse_include(text,    inner) {
    inner = text
    sub(/^[[:space:]]*#[[:space:]]*include[[:space:]]*/, "", inner)
    quoted = substr(inner, 1, 1) == "\""
    sub(/^["<]/, "", inner); sub(/[">].*$/, "", inner)
    return inner
}
$1 == "L" && $2 ~ /^[a-z_]+:$/ {
    folder = substr($2, 1, length($2) - 1)
    if (folder in known) complain("tools/layers", folder " stands there twice")
    known[folder] = ++count
    order[count] = folder
    for (i = 3; i <= NF; i++) { may[folder, $i] = 1; list[folder] = list[folder] " " $i }
    next
}
$1 == "P" { pin[$2] = ""; for (i = 3; i <= NF; i++) pin[$2] = pin[$2] " " $i; next }
$1 == "I" && !graph_checked { check_graph(); graph_checked = 1 }
$1 == "I" {
    line = substr($0, 3)
    split(line, part, ":")
    file = part[1]; where = part[1] ":" part[2]
    target = parse_include(substr(line, length(where) + 2))
    split(file, piece, "/")
    folder = piece[2]
    public_header = piece[1] == "include"
    if (!(folder in known)) { complain(where, "folder " folder " is not in tools/layers"); next }
    check_pins(file, where, target)
    if (!quoted) next
    split(target, step, "/")
    if (index(target, "/") == 0) {
        if (public_header) complain(where, "a public header includes the private \"" target "\"")
        next
    }
    if (!(step[1] in known)) { complain(where, "\"" target "\" is in no folder of tools/layers"); next }
    if (step[1] != folder && !((folder, step[1]) in may))
        complain(where, folder " may not include " step[1] " (\"" target "\"); tools/layers allows:" \
                 (list[folder] == "" ? " nothing" : list[folder]))
}
function check_pins(file, where, target,    p, allowed, n, i, words) {
    for (p in pin) {
        if (index(target, p) != 1) continue
        n = split(pin[p], words, " ")
        allowed = 0
        for (i = 1; i <= n; i++) if (index(file, words[i]) == 1) allowed = 1
        if (!allowed) complain(where, "<" target "> may be included only by:" pin[p])
    }
}
# A folder may include only those written above it (so there is no cycle), and all that those may include.
function check_graph(    i, f, n, words, j, m, deeper, k) {
    for (i = 1; i <= count; i++) {
        f = order[i]
        n = split(list[f], words, " ")
        for (j = 1; j <= n; j++) {
            if (!(words[j] in known)) { complain("tools/layers", f ": " words[j] " is no folder"); continue }
            if (known[words[j]] >= i) complain("tools/layers", f ": " words[j] " stands below it (cycle)")
            m = split(list[words[j]], deeper, " ")
            for (k = 1; k <= m; k++)
                if (!((f, deeper[k]) in may))
                    complain("tools/layers", f " may include " words[j] " but not " deeper[k] ", which that one needs")
        }
    }
}
END {
    if (!graph_checked) check_graph()
    if (count == 0) complain("tools/layers", "no folder is named")
    if (bad) { print "layers: " bad " wrong"; exit 1 }
    print "layers: ok"
}'
