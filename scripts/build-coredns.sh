#!/bin/bash
# Builds the lab's CoreDNS from e2e/lab/coredns, once per version, into
# ${XDG_CACHE_HOME:-~/.cache}/terway/coredns-VERSION (about 2 minutes on 2 cores).
#
# An interrupted build continues where it stopped. A published result is always complete.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)

source=$scripts/../e2e/lab/coredns
version=$(sed -n 's/^require github.com\/coredns\/coredns v//p' "$source/go.mod") # must equal lab::binaries::COREDNS_VERSION
cache=${XDG_CACHE_HOME:-$HOME/.cache}/terway
final=$cache/coredns-$version

fail() { echo "build-coredns: $*" >&2; exit 1; }
[ -n "$version" ] || fail "$source/go.mod does not tell the version of CoreDNS"

# The stamp is a digest of the sources, because another choice of plugins makes another program of the same version.
stamp=$(cat "$source/main.go" "$source/go.mod" "$source/go.sum" | sha256sum | cut -d' ' -f1)
complete() { [ "$(cat "$final/stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$final/coredns" ]; }

if complete; then
    echo "CoreDNS $version: present"
    exit 0
fi

. "$scripts/go-toolchain.sh"

mkdir -p "$cache"
exec 9>"$cache/coredns-$version.lock"
flock -n 9 || { echo "CoreDNS $version: another build is running, waiting for it"; flock 9; }
if complete; then exit 0; fi
space_needed=2 # GiB while building: modules, Go's build cache
free=$(($(stat -f -c '%a*%S' "$cache") / 1024 / 1024 / 1024))
[ "$free" -ge $space_needed ] || fail "$cache has $free GiB free, the build needs $space_needed; set XDG_CACHE_HOME to a larger disk"

# This build has its own build cache. The cache survives an interruption and is removed at the end.
work=$cache/coredns-$version.building
mkdir -p "$work/out"
export CGO_ENABLED=0 GOCACHE=$work/gocache GOTMPDIR=$work
started=$SECONDS
elapsed() { printf '%d:%02d' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)); }

cd "$source"
echo "CoreDNS $version: building once, into $final"
go mod download 9>&- || fail "cannot fetch the modules of CoreDNS $version; see the message above, and check GOPROXY"
total=$(go list -deps . 9>&- | wc -l)

# With -v, go prints one line without blanks for each compiled package. Every other line is a message.
progress() {
    local line count=0
    while IFS= read -r line; do
        if [[ $line == *[[:blank:]]* ]]; then echo "$line" >&2; continue; fi
        count=$((count + 1))
        [ $((count % 100)) != 0 ] || echo "[$(elapsed)] $count of $total packages"
    done
}
go build -v -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/out/coredns" . 2>&1 9>&- | progress 9>&-
"$work/out/coredns" -version >/dev/null || fail "the new CoreDNS does not start; see the message above"

# One rename publishes the result, so that an interrupted build never looks finished.
echo "$stamp" >"$work/out/stamp"
rm -rf "$final"
mv -T "$work/out" "$final"
chmod -R u+w "$work" && rm -rf "$work"
echo "[$(elapsed)] CoreDNS $version: built"
