#!/bin/bash
# fuzz.sh [SECONDS [TARGET..]]: runs the fuzz targets under libFuzzer, SECONDS each (300). Inputs that reach new code are
# kept in the cache for the next run; inputs that break a parser go into fuzz/artifacts, and the script fails.
#
# libFuzzer's coverage instruments are LLVM options that a stable compiler takes. Only its sanitizers need a nightly one,
# and safe Rust has little for them to find. These are the flags of `cargo fuzz run --sanitizer none`, which works too.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-300}
[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' Cargo.toml)

export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1
  -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
  -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
RUSTFLAGS=$(echo $RUSTFLAGS)
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target, build scripts and macros are compiled without the flags.
TERWAY_EBPF_SKIP=1 cargo build --locked --target "$host" --bins

kept=${XDG_CACHE_HOME:-$HOME/.cache}/terway/fuzz
failed=
for target; do
    mkdir -p "$kept/$target" "artifacts/$target"
    echo "== $target, $seconds s"
    "target/$host/debug/$target" "$kept/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" \
        -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 2>"artifacts/$target.log" || failed="$failed $target"
    grep -E '^(stat::number_of_executed_units|==|SUMMARY|thread .* panicked|#[0-9]+.DONE)' "artifacts/$target.log" || true
done
[ -z "$failed" ] || { echo "fuzz: these targets failed:$failed; the inputs are in fuzz/artifacts" >&2; exit 1; }
