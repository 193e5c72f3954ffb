# The agent starts with exactly the chart's capabilities, under each RLIMIT_MEMLOCK and with folders of another user, and
# names the right that it lacks.
. "$(dirname "$0")/agent.sh"
fewer() { tr , '\n' <<<"$CAPABILITIES" | grep -vx "+$1" | paste -sd,; }
limited() { # KIB CAPABILITIES COMMAND..
    local bytes=$1 capabilities=$2; shift 2
    [ "$bytes" = unlimited ] || bytes=$((bytes * 1024))
    rm -rf /sys/fs/bpf/terway
    exec prlimit --memlock="$bytes:$bytes" setpriv --no-new-privs --inh-caps="-all,$capabilities" \
        --bounding-set="-all,$capabilities" "$@"
}
for kib in 64 1024 8192 unlimited; do
    serves "RLIMIT_MEMLOCK $kib KiB" limited $kib "$CAPABILITIES" "${agent[@]}"
done
check="RLIMIT_MEMLOCK 64 KiB without SYS_RESOURCE"
few=$(fewer sys_resource)
# From 5.11 on, maps are charged to the memory cgroup.
case $(uname -r) in
5.[0-9].* | 5.10.*) refuses "$check is named" "RLIMIT_MEMLOCK is 64 KiB" limited 64 "$few" "${agent[@]}" ;;
*) serves "$check" limited 64 "$few" "${agent[@]}" ;;
esac
rm -rf /sys/fs/bpf/terway
refuses "a missing capability is named" "lacks the capability BPF" with +net_admin,+dac_override "${agent[@]}"

mkdir -p /opt/cni/bin
chown -R 1000 /opt/cni/bin /var/run/eni
install() { (with "$1" "$AGENT" install-cni --source=/bin/true --bin-dir=/opt/cni/bin); }
if said=$(install +dac_override 2>&1); then
    passed "install-cni into a folder of another user"
else
    missed "install-cni into a folder of another user" "$said"
fi
if said=$(install +net_admin 2>&1) || ! grep -q '/opt/cni/bin/.*lacks the capability DAC_OVERRIDE' <<<"$said"; then
    missed "install-cni names target and capability" "$said"
else
    passed "install-cni names target and capability"
fi
serves "socket and lock in a folder of another user" with "$CAPABILITIES" "${agent[@]}"
exit $failed
