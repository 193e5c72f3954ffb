#!/bin/bash
# Installs what this project needs in addition to Rust and Go, on Debian 12, as root: Debian packages, bpf-linker, and
# the Kubernetes parts and CoreDNS of the lab. A step whose result exists is skipped, so the script may run before every
# build.
set -euo pipefail
cd "$(dirname "$0")"

command -v cargo >/dev/null || {
    echo "setup: no Rust toolchain; install Rust 1.95 or newer (https://rustup.rs) and put cargo on PATH" >&2
    exit 1
}
./install-packages.sh
./build-bpf-linker.sh
./build-cargo-machete.sh
./build-kubernetes.sh
./build-coredns.sh
