#!/bin/bash
# Builds the Kubernetes parts of the lab from their Go modules, once per version, into
# ${XDG_CACHE_HOME:-~/.cache}/terway/k8s-VERSION/bin (about 600 MB; 6 to 10 minutes on 2 cores).
#
# Debian has no packages of these programs, and its etcd is too old for this kube-apiserver.
# An interrupted build continues where it stopped. A published result is always complete.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)

version=1.34.2            # must equal lab::binaries::KUBERNETES_VERSION
etcd_version=v3.6.4
helm_version=v3.22.0
space_needed=6            # GiB while building: modules, Go's build cache, the results

cache=${XDG_CACHE_HOME:-$HOME/.cache}/terway
final=$cache/k8s-$version/bin
commands="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
all="$commands agnhost etcd helm"

fail() { echo "build-kubernetes: $*" >&2; exit 1; }
complete() { for name in $all; do [ -x "$final/$name" ] || return 1; done; }

if complete; then
    echo "Kubernetes $version, etcd $etcd_version, Helm $helm_version: present"
    exit 0
fi

. "$scripts/go-toolchain.sh"

mkdir -p "$cache"
exec 9>"$cache/k8s-$version.lock"
flock -n 9 || { echo "Kubernetes $version: another build is running, waiting for it"; flock 9; }
if complete; then exit 0; fi
free=$(($(stat -f -c '%a*%S' "$cache") / 1024 / 1024 / 1024))
[ "$free" -ge $space_needed ] || fail "$cache has $free GiB free, the build needs $space_needed; set XDG_CACHE_HOME to a larger disk"

# Go's default build cache would keep some gigabytes for ever. This build has its own cache, which is removed at the end.
# The cache and the finished programs survive an interruption.
work=$cache/k8s-$version.building
mkdir -p "$work/bin"
export CGO_ENABLED=0 GOCACHE=$work/gocache GOTMPDIR=$work
started=$SECONDS
elapsed() { printf '%d:%02d' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)); }
count=0 total=$(wc -w <<<"$all")

build() { # NAME PACKAGE [LDFLAGS]   in the module of the current folder
    count=$((count + 1))
    [ -x "$work/bin/$1" ] && { echo "[$(elapsed)] $count/$total $1: done before"; return; }
    echo "[$(elapsed)] $count/$total $1 ..."
    go build -trimpath -ldflags "-s -w ${3:-}" -o "$work/bin/$1.part" "$2" 9>&-
    mv "$work/bin/$1.part" "$work/bin/$1"
}

# Kubernetes' go.mod points at its staging folder, which is not part of a module download. Each staging module is
# replaced by its published version.
kubernetes() {
    local module staging=v0.${version#1.}
    rm -rf "$work/kubernetes"; mkdir "$work/kubernetes"; cd "$work/kubernetes"
    echo "[$(elapsed)] fetching the modules of Kubernetes $version ..."
    module=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    [ -n "$module" ] || fail "cannot fetch k8s.io/kubernetes v$version; see the message above, and check GOPROXY"
    {
        echo "module lab.example/kubernetes"
        grep -E '^go ' "$module"
        echo "require k8s.io/kubernetes v$version"
        sed -n 's/^[[:space:]]*\(k8s.io\/[a-z0-9-]*\) => .\/staging.*/\1/p' "$module" |
            while read -r name; do echo "replace $name => $name $staging"; done
    } >go.mod
    {
        printf '//go:build tools\n\npackage tools\n\n'
        for name in $commands; do echo "import _ \"k8s.io/kubernetes/cmd/$name\""; done
        echo 'import _ "k8s.io/kubernetes/test/images/agnhost"'
    } >tools.go
    go mod tidy 2>&1 | grep -vE '^go: (downloading|finding|found) ' >&2 || [ "${PIPESTATUS[0]}" = 0 ]
    # Without these flags every program would report the version v0.0.0.
    local info=k8s.io/component-base/version
    local flags="-X $info.gitVersion=v$version -X $info.gitMajor=1 -X $info.gitMinor=${staging:3:2}"
    for name in $commands; do build "$name" "k8s.io/kubernetes/cmd/$name" "$flags"; done
    build agnhost k8s.io/kubernetes/test/images/agnhost
}

program() { # NAME MODULE PACKAGE VERSION
    rm -rf "${work:?}/$1"; mkdir "$work/$1"; cd "$work/$1"
    go mod init "lab.example/$1" 2>/dev/null
    printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$3" >tools.go
    { go get "$2@$4" && go mod tidy; } 2>&1 | grep -vE '^go: (downloading|finding|found|added|upgraded) ' >&2 ||
        [ "${PIPESTATUS[0]}" = 0 ]
    build "$1" "$3"
}

echo "Kubernetes $version: building $total programs once, into $final"
(kubernetes)
count=7
(program etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 $etcd_version)
count=8
(program helm helm.sh/helm/v3 helm.sh/helm/v3/cmd/helm $helm_version)

mkdir -p "$(dirname "$final")"
rm -rf "$final"
mv -T "$work/bin" "$final"
chmod -R u+w "$work" && rm -rf "$work"
echo "[$(elapsed)] Kubernetes $version: built"
