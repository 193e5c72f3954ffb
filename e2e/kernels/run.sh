#!/bin/bash
# run.sh [SERIES..]: the node agent on other Linux kernels, each in a virtual machine. For each kernel:
#   root        the tests of the datapath (node-agent/tests/netns)
#   chart       the same with exactly the capabilities that the chart gives the agent
#   rights      the agent starts under each RLIMIT_MEMLOCK and with folders of another user, and names what it lacks
#   apparmor    the agent in a container of containerd, under AppArmor's profiles
#   nf_tables, ipv6   the agent on a kernel without this part
# PARTS="rights apparmor" chooses some. Prints a table; ends with 1 if something failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/e2e/kernels
[ $# -gt 0 ] || set -- 5.10 6.1 6.12
parts=${PARTS:-root chart rights apparmor nf_tables ipv6}
if ! [ -w /dev/kvm ] || ! grep -qwE 'vmx|svm' /proc/cpuinfo; then
    echo "kernels: this machine has no usable /dev/kvm (none, or a processor without vmx or svm), so the machines are emulated and take ten times as long"
fi
[ "$(id -u)" = 0 ] || { echo "kernels: needs root, for mounts" >&2; exit 1; }

# With the features of the whole workspace, so that `make test` and this share what they build.
built() { sed -n "s/.*\"executable\":\"\([^\"]*\/$1\)\".*/\1/p" | tail -1; }
cargo build --locked -q --workspace --bin terway-agent
tests=$(cargo test --locked -q --workspace --test netns --no-run --message-format=json | built 'netns-[0-9a-f]*')
export AGENT=$PWD/target/debug/terway-agent
capabilities=$("${XDG_CACHE_HOME:-$HOME/.cache}/terway/k8s-1.34.2/bin/helm" template terway charts/terway --kube-version 1.34.2 \
    --set terwayControlplane.clusterID=c --set terwayControlplane.vpcID=v --show-only templates/agent/daemonset.yaml |
    sed -n '/image:.*terway/,$ s/.*add: \[\(NET_ADMIN.*\)\]/\1/p')
[ -n "$capabilities" ] || { echo "kernels: the chart gives the agent no capabilities" >&2; exit 1; }
capabilities=${capabilities,,}
export CAPABILITIES=+${capabilities//, /,+}

# part SERIES PART: the command in a virtual machine, with a deadline for a machine that is busy with other work.
part() {
    local seconds=900 arguments= command
    case $2 in
    root) seconds=2400 command=("$tests" --test-threads 2) ;;
    chart) seconds=2400 command=(setpriv --inh-caps="-all,$CAPABILITIES" --bounding-set="-all,$CAPABILITIES" "$tests" --test-threads 2) ;;
    rights) command=(bash "$here/guest/rights.sh") ;;
    apparmor) arguments="apparmor=1 security=apparmor" command=(bash "$here/guest/apparmor.sh") ;;
    nf_tables) command=(bash "$here/guest/without.sh" nf_tables) ;;
    ipv6) arguments="ipv6.disable=1" command=(bash "$here/guest/without.sh" ipv6) ;;
    *) echo "kernels: unknown part $2" >&2; return 2 ;;
    esac
    BOOT_ENV="AGENT CAPABILITIES" "$here/boot.sh" -t "$seconds" -a "$arguments" "$1" -- "${command[@]}"
}

cd node-agent # where cargo would run the tests
table=() failed=0
for series; do
    for name in $parts; do
        echo "== Linux $series, $name"
        began=$SECONDS code=0
        part "$series" "$name" || code=$?
        verdict=ok
        [ $code = 0 ] || verdict="FAILED ($code)" failed=1
        table+=("$(printf '%-8s %-10s %-13s %4s s' "$series" "$name" "$verdict" $((SECONDS - began)))")
    done
done
echo
printf '%-8s %-10s %-13s %6s\n' Linux part result time
printf '%s\n' "${table[@]}"
exit $failed
