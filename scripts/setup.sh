#!/bin/bash
# Everything that building and running this project needs beside Rust and Go, on Debian 12, as root:
# Debian packages, bpf-linker, and the Kubernetes parts and CoreDNS of the lab. Each step is skipped when its
# result is there, so this can run before every build.
set -euo pipefail
cd "$(dirname "$0")"

command -v cargo >/dev/null || {
    echo "setup: no Rust toolchain; install Rust 1.95 or newer (https://rustup.rs) and put cargo on PATH" >&2
    exit 1
}
./install-packages.sh
./build-bpf-linker.sh
./build-kubernetes.sh
./build-coredns.sh
