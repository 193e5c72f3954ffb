#!/bin/bash
# Builds cargo-machete once into the cache: `make lint` asks it for dependencies that no code uses.
# The result lands in ${XDG_CACHE_HOME:-~/.cache}/terway/cargo-machete-VERSION/bin.
set -euo pipefail

version=0.9.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/terway
final=$cache/cargo-machete-$version

if [ -x "$final/bin/cargo-machete" ]; then
    echo "cargo-machete $version: present"
    exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/cargo-machete.lock"
flock -n 9 || { echo "cargo-machete: another build is running, waiting for it"; flock 9; }
if [ -x "$final/bin/cargo-machete" ]; then exit 0; fi

start=$SECONDS
work=$(mktemp -d "$cache/cargo-machete.building.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "cargo-machete $version: building (about a minute on 2 cores)"
CARGO_TARGET_DIR=$work/target cargo install cargo-machete --version "$version" --locked --quiet --root "$work/out" 9>&-
"$work/out/bin/cargo-machete" --version >/dev/null || {
    echo "build-cargo-machete: the new program does not start; see the message above" >&2
    exit 1
}

# One rename publishes the result, so that an interrupted build never looks finished.
rm -rf "$final"
mv -T "$work/out" "$final"
echo "cargo-machete $version: built in $((SECONDS - start)) s, in $final/bin"
