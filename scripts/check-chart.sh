#!/usr/bin/env bash
# Checks that the chart renders, that it refuses bad values with a sentence, and that its definitions (CRDs) are those
# of this tree.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/terway
helm=$cache/k8s-1.34.2/bin/helm
values=(--set terwayControlplane.clusterID=c1 --set terwayControlplane.vpcID=vpc-1)
render() { "$helm" template terway charts/terway --namespace kube-system --kube-version 1.34.2 "$@"; }
refused() { # SENTENCE VALUES...
  local want=$1 out; shift
  if out=$(render "$@" 2>&1 >/dev/null); then echo "chart: accepted $*, but should not" >&2; exit 1; fi
  grep -qF "$want" <<<"$out" || { echo "chart: $* was refused without saying '$want': $out" >&2; exit 1; }
}
"$helm" lint --quiet charts/terway "${values[@]}"
render "${values[@]}" >/dev/null
refused "clusterID is required" --set terwayControlplane.vpcID=vpc-1
refused "additional properties 'securityGroups' not allowed" "${values[@]}" --set terway.securityGroups=sg-1
refused "maxItems" "${values[@]}" --set 'terway.securityGroupIDs={sg-1,sg-2,sg-3,sg-4,sg-5,sg-6,sg-7,sg-8,sg-9,sg-10,sg-11}'
cargo run --locked -q -p terway-crds --bin crdgen -- --check charts/terway/crds
echo "chart: ok"
