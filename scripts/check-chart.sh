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
shows() { # TEMPLATE TEXT VALUES...: the rendered template contains the text
  local template=$1 want=$2; shift 2
  grep -qF -- "$want" <<<"$(render --show-only "templates/$template" "${values[@]}" "$@")" ||
    { echo "chart: templates/$template with '$*' does not contain '$want'" >&2; exit 1; }
}
lacks() { # TEMPLATE TEXT VALUES...
  if (shows "$@") 2>/dev/null; then echo "chart: templates/$1 with '${*:3}' contains '$2'" >&2; exit 1; fi
}
"$helm" lint --quiet charts/terway "${values[@]}"
render "${values[@]}" >/dev/null
refused "clusterID is required" --set terwayControlplane.vpcID=vpc-1
refused "additional properties 'securityGroups' not allowed" "${values[@]}" --set terway.securityGroups=sg-1
refused "maxItems" "${values[@]}" --set 'terway.securityGroupIDs={sg-1,sg-2,sg-3,sg-4,sg-5,sg-6,sg-7,sg-8,sg-9,sg-10,sg-11}'

# What the agent needs on every host (docs/node.md). scripts/kernels.sh runs the agent with exactly these.
agent=agent/daemonset.yaml
shows $agent 'appArmorProfile: {type: Unconfined}'
shows $agent 'type: spc_t'
lacks $agent seLinuxOptions --set terway.seLinuxOptions=null
shows $agent 'add: [NET_ADMIN, SYS_ADMIN, BPF, PERFMON, SYS_RESOURCE, DAC_OVERRIDE]'
refused "/terway/capabilities/0" "${values[@]}" --set 'terway.capabilities={CAP_BPF}'
shows $agent 'capabilities: {drop: [ALL], add: [DAC_OVERRIDE]}'
shows $agent 'mountPropagation: Bidirectional'
lacks $agent 'privileged: true' --set terway.mountBpffs=false

# Rights and addresses that only some users need.
patches() { render --show-only templates/controlplane/rbac.yaml "${values[@]}" "$@" | grep -A1 'resources: \[pods\]$' | grep -c 'verbs: \[patch\]' || true; }
[ "$(patches)" = 0 ] || { echo "chart: the control plane may patch pods without terway.enablePatchPodIPs" >&2; exit 1; }
[ "$(patches --set terway.enablePatchPodIPs=true)" = 1 ] ||
  { echo "chart: terway.enablePatchPodIPs does not let the control plane patch pods" >&2; exit 1; }
shows controlplane/config.yaml 'healthzBindAddress: "127.0.0.1:8080"'
shows controlplane/statefulset.yaml '{path: /readyz, port: healthz, host: 127.0.0.1}'
shows controlplane/statefulset.yaml '{path: /readyz, port: healthz, host: 10.0.0.9}' \
  --set terwayControlplane.healthzBindAddress=10.0.0.9:8080
# A toleration of every taint would bring an evicted replica back to the node that is drained. toYaml sorts keys, so a
# toleration with a key does not begin with its operator.
lacks controlplane/statefulset.yaml '- operator: Exists'
# Without health pages there are no probes.
for none in 0 ''; do
  render "${values[@]}" --set-string terwayControlplane.healthzBindAddress=$none >/dev/null
  lacks controlplane/statefulset.yaml 'healthz' --set-string terwayControlplane.healthzBindAddress=$none
done
refused "healthzBindAddress" "${values[@]}" --set terwayControlplane.healthzBindAddress=localhost
cargo run --locked -q -p terway-crds --bin crdgen -- --check charts/terway/crds
echo "chart: ok"
