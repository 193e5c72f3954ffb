#!/usr/bin/env bash
# Crates that decide and do nothing else stay free of whatever could act: cargo tree prints all that is compiled
# into them, and no line of it may be a client, a runtime, TLS, the kernel's interfaces or a source of randomness.
set -euo pipefail
cd "$(dirname "$0")/.."
acts='kube-client|kube-runtime|tokio(-.*)?|async-std|smol|mio|socket2|hyper(-.*)?|h2|tower(-.*)?|axum(-.*)?|reqwest|ureq'
acts+='|rustls(-.*)?|ring|aws-lc-.*|openssl(-.*)?|native-tls|aya(-.*)?|netlink-.*|rtnetlink|nix|rand|rand_core|getrandom'
bad=0
for crate in terway-address terway-crds terway-core terway-node-core terway-ebpf-abi; do
  closure=$(cargo tree --locked -p "$crate" -e normal --prefix none --format '{p}' | awk '{print $1}' | sort -u)
  if found=$(grep -xE "$acts" <<<"$closure"); then
    echo "$crate is to decide and not to act, but its dependencies bring:" $found >&2
    echo "  (cargo tree -p $crate -e normal -i NAME tells which one brings it)" >&2
    bad=1
  fi
done
[ $bad = 0 ] && echo "closures of the deciding crates: ok"
exit $bad
