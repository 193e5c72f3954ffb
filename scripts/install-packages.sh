#!/bin/bash
# install-packages.sh [kernels]: installs the Debian packages that the lab, the agent and the eBPF programs need, if one
# is missing; with `kernels` also those of `make kernels`. The script looks for the programs, not for the packages,
# because a machine may have a program from elsewhere. For example, Docker's containerd.io excludes Debian's containerd.
set -euo pipefail

# program or file : package that contains it
needs="
containerd:containerd
ctr:containerd
runc:runc
/usr/lib/cni/ptp:containernetworking-plugins
ip:iproute2
ping:iputils-ping
tc:iproute2
iptables:iptables
nft:nftables
conntrack:conntrack
ethtool:ethtool
tcpdump:tcpdump
cc:build-essential
make:build-essential
flock:util-linux
/usr/bin/rustc:rustc-web
/usr/lib/rustlib/src/rust/library/Cargo.lock:rust-web-src
/etc/ssl/certs/ca-certificates.crt:ca-certificates
"
if [ "${1:-}" = kernels ]; then
    needs="$needs
qemu-system-x86_64:qemu-system-x86
cpio:cpio
modprobe:kmod
setpriv:util-linux
apparmor_parser:apparmor
"
fi
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
for need in $needs; do
    what=${need%%:*}
    case $what in
    /*) [ -e "$what" ] || missing="$missing ${need#*:}" ;;
    *) command -v "$what" >/dev/null || missing="$missing ${need#*:}" ;;
    esac
done
# The lab's image needs httpd and nslookup. Debian's package busybox has neither.
busybox httpd --help >/dev/null 2>&1 || missing="$missing busybox-static"
# qemu shares folders by virtiofsd, which is in one of its own packages in Debian 12, and a package in later ones.
if [ "${1:-}" = kernels ] && ! [ -e /usr/lib/qemu/virtiofsd ] && ! [ -e /usr/libexec/virtiofsd ]; then
    . /etc/os-release
    if [ "${VERSION_ID:-12}" -le 12 ]; then missing="$missing qemu-system-common"; else missing="$missing virtiofsd"; fi
fi

missing=$(tr ' ' '\n' <<<"$missing" | sort -u | xargs)
if [ -z "$missing" ]; then
    echo "Debian packages: present"
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "install-packages: these Debian packages are missing: $missing; run this as root" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "install-packages: this is no Debian; install the programs of these Debian packages: $missing" >&2
    exit 1
fi
echo "Debian packages: installing $missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of package names
apt-get install -y -q --no-install-recommends $missing
