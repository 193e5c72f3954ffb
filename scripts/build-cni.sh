#!/usr/bin/env bash
# The CNI binary runs on hosts of any age, outside our image: it is linked statically.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked -p terway-cni --bin terway --target "$host" --target-dir "$target/static"
install -D "$target/static/$host/debug/terway" "$target/static/terway"
