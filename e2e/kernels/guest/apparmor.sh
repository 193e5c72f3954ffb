# The agent in a container of containerd with AppArmor: as the chart runs it, under containerd's default profile, and on
# a host where nobody has mounted the BPF file system.
. "$(dirname "$0")/agent.sh"
if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ]; then
    missed AppArmor "the kernel has none"
    exit 1
fi
mkdir -p /var/lib/containerd /etc/containerd /host/proc/sys/net /mnt/rootfs
printf 'version = 2\n' >/etc/containerd/config.toml
# As systemd of Debian 11 starts it.
ulimit -l 64
containerd >/tmp/containerd.log 2>&1 &
containerd=$!
for _ in {1..300}; do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
mount --bind / /mnt/rootfs
mount --make-private /mnt/rootfs

number=0
container() { # OPTIONS OF CTR.. -- COMMAND..
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    number=$((number + 1))
    ctr run --rm --net-host "${options[@]}" \
        --mount type=bind,src=/proc/sys/net,dst=/host/proc/sys/net,options=rbind:rw \
        --mount type=bind,src=/var/run/eni,dst=/var/run/eni,options=rbind:rw \
        --env KUBECONFIG=$KUBECONFIG --env NODE_NAME=node1 --env NODE_IP=10.0.0.11 --env NO_COLOR=1 \
        --rootfs /mnt/rootfs check$number "$@"
}
# The default capabilities of a container go, those of the chart come.
capabilities=()
for name in CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE; do
    capabilities+=(--cap-drop "CAP_$name")
done
for name in ${CAPABILITIES//,/ }; do
    name=${name#+}
    capabilities+=(--cap-add "CAP_${name^^}")
done
agent=("$AGENT" --config=/etc/eni --cni-conf-dir=/host-etc-net.d --sysctl-dir=/host/proc/sys/net --health=127.0.0.1:9099 --metrics=0)
bpffs=(--mount type=bind,src=/sys/fs/bpf,dst=/sys/fs/bpf,options=rbind:rw)
run() { container "${capabilities[@]}" "${bpffs[@]}" "$@"; }
comes_to_serve() { # the container's task, not the client, is the agent
    rm -f $log
    run "$@" >$log 2>&1 &
    local client=$! tries=0
    while kill -0 $client 2>/dev/null && ! grep -q serving $log && [ $tries -lt 900 ]; do tries=$((tries + 1)); sleep 0.1; done
    for task in $(ctr task ls -q 2>/dev/null); do ctr task kill -s KILL "$task" >/dev/null 2>&1; done
    wait $client 2>/dev/null
    grep -q serving $log
}
rm -rf /sys/fs/bpf/terway
serves "unconfined, as the chart says" --apparmor-profile unconfined -- "${agent[@]}"
rm -rf /sys/fs/bpf/terway
refuses "containerd's default profile is named" "cri-containerd.apparmor.d" \
    --apparmor-default-profile cri-containerd.apparmor.d -- "${agent[@]}"

umount /sys/fs/bpf
# Bidirectional, as Kubernetes calls it: a mount namespace whose mounts reach the host. ctr cannot ask for it.
if said=$(unshare --mount --propagation shared "$AGENT" mount-bpffs 2>&1) && [ "$(stat -f -c %T /sys/fs/bpf)" = bpf_fs ]; then
    passed "mount-bpffs mounts on the host"
else
    missed "mount-bpffs mounts on the host" "$said; $(stat -f -c %T /sys/fs/bpf)"
fi
serves "with the file system of mount-bpffs" --apparmor-profile unconfined -- "${agent[@]}"
if ls /sys/fs/bpf/terway/v* >/dev/null 2>&1; then
    passed "pins are on the host"
else
    missed "pins are on the host" "there is no /sys/fs/bpf/terway"
fi
kill $containerd
exit $failed
