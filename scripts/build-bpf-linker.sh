#!/bin/bash
# Builds bpf-linker once into the cache, against the LLVM that Debian's rustc uses.
#
# Debian's rustc compiles the eBPF programs. Its sources and its compiler match, so -Z build-std works. The linker reads
# the bitcode of that compiler, so it needs the same LLVM. The result is in
# ${XDG_CACHE_HOME:-~/.cache}/terway/bpf-linker-VERSION/bin.
set -euo pipefail

version=0.13.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/terway
final=$cache/bpf-linker-$version
rustc=/usr/bin/rustc

fail() { echo "build-bpf-linker: $*" >&2; exit 1; }

[ -x $rustc ] || fail "$rustc is missing; run scripts/setup.sh, which installs the package rustc-web"
llvm=$($rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
[ -n "$llvm" ] || fail "'$rustc -vV' does not tell its LLVM version"

# The stamp names the LLVM. An upgrade of rustc-web to a newer LLVM causes a new build.
if [ "$(cat "$final/llvm" 2>/dev/null)" = "$llvm" ] && [ -x "$final/bin/bpf-linker" ]; then
    echo "bpf-linker $version (LLVM $llvm): present"
    exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/bpf-linker.lock"
flock -n 9 || { echo "bpf-linker: another build is running, waiting for it"; flock 9; }
if [ "$(cat "$final/llvm" 2>/dev/null)" = "$llvm" ] && [ -x "$final/bin/bpf-linker" ]; then exit 0; fi

start=$SECONDS
work=$(mktemp -d "$cache/bpf-linker.building.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Only the shared library is needed. The package llvm-NN-dev (410 MB) would add nothing but this symlink.
mkdir "$work/prefix" "$work/prefix/lib"
lib=$(find /usr/lib -name "libLLVM.so.$llvm*" -print -quit)
[ -n "$lib" ] || fail "no libLLVM.so.$llvm under /usr/lib; reinstall the package libllvm$llvm"
ln -s "$lib" "$work/prefix/lib/libLLVM.so"

echo "bpf-linker $version: building against $lib (about a minute on 2 cores)"
LLVM_PREFIX=$work/prefix CARGO_TARGET_DIR=$work/target \
    cargo install bpf-linker --version "$version" --locked --quiet \
    --no-default-features --features "llvm-$llvm" --root "$work/out" 9>&-
"$work/out/bin/bpf-linker" --version >/dev/null || fail "the new linker does not start; see the message above"

# One rename publishes the result, so that an interrupted build never looks finished.
echo "$llvm" >"$work/out/llvm"
rm -rf "$final"
mv -T "$work/out" "$final"
echo "bpf-linker $version: built in $((SECONDS - start)) s, in $final/bin"
