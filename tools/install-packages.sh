#!/usr/bin/env bash
# Installs the Debian packages that building or testing needs. Usage: install-packages.sh build|test
# Asks the package database first: with nothing missing it changes nothing, prints nothing and needs no rights.
# Otherwise it needs root or sudo, and sees to it that no package starts a service (redis-server, nginx, haproxy,
# prometheus).
set -eu

build_packages=(gcc make pkg-config python3 openssl libevent-dev libssl-dev libjansson-dev libyaml-dev zlib1g-dev libhiredis-dev)
test_packages=(libcmocka-dev redis-server nginx-light haproxy prometheus clang clang-tidy clang-format cppcheck
    universal-ctags python3-venv gcovr git)

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

# The HTTP parser: the system's library where pkg-config finds one, else Debian 12's C sources.
need_llhttp() {
    ! pkg-config --exists libllhttp 2>/dev/null && ! is_installed node-llhttp
}

# clang's sanitizer and fuzzer runtimes carry the compiler's version in their name.
clang_runtime() {
    apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' | head -n 1
}

list_missing() {
    local package
    for package in "$@"; do
        is_installed "$package" || echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# policy-rc.d (exit 101) keeps package scripts from starting services; an existing one is left alone.
policy=/usr/sbin/policy-rc.d
forbid_services() {
    [ -e "$policy" ] && return 0
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 0755 "$policy"
    trap 'as_root rm -f "$policy"' EXIT
}

case "${1:-}" in
build) wanted=("${build_packages[@]}") ;;
test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
*)
    echo "usage: $0 build|test" >&2
    exit 2
    ;;
esac

command -v dpkg-query >/dev/null || {
    echo "$0: this is not Debian: install these yourself: ${wanted[*]} and llhttp" >&2
    exit 1
}
mapfile -t missing < <(list_missing "${wanted[@]}")
need_llhttp && missing+=(node-llhttp)
if [ "$1" = test ] && ! clang --print-runtime-dir >/dev/null 2>&1; then
    clang_is_new=yes
elif [ "$1" = test ] && ! compgen -G "$(clang --print-runtime-dir)/libclang_rt.fuzzer*" >/dev/null; then
    clang_is_new=yes
fi
[ "${#missing[@]}" -gt 0 ] || [ -n "${clang_is_new:-}" ] || exit 0

if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    echo "$0: missing packages: ${missing[*]:-} (run as root, or install sudo)" >&2
    exit 1
fi
forbid_services
echo "installing with apt-get: ${missing[*]:-} ${clang_is_new:+(and the fuzzer runtime of clang)}"
as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
if [ -n "${clang_is_new:-}" ]; then
    runtime=$(clang_runtime)
    [ -z "$runtime" ] || missing+=("$runtime")
fi
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null
