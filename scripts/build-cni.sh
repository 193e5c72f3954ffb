#!/usr/bin/env bash
# Builds the CNI binary. It is linked statically, because it runs on the host, outside our image, with any C library.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked -p terway-cni --bin terway --target "$host" --target-dir "$target/static"
install -D "$target/static/$host/debug/terway" "$target/static/terway"
