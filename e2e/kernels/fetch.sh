#!/bin/bash
# fetch.sh SERIES: puts the kernel that the file `versions` names, with its modules and a small initramfs, into the
# cache, and prints the folder. The machine's own apt is not touched: lists and packages are in the cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
series=${1:?usage: fetch.sh 5.10|6.1|6.12}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/terway/kernels
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
read -r _ suites package version sum < <(grep "^$series " "$here/versions") || true
[ -n "${sum:-}" ] || { echo "fetch.sh: no kernel $series in e2e/kernels/versions" >&2; exit 2; }

place=$cache/${package}_$version
mkdir -p "$cache"
exec 9>"$cache/$series.lock"
flock 9
if [ -e "$place/ready" ]; then
    echo "$place"
    exit
fi
new=$place.new
rm -rf "$new"
mkdir -p "$new/apt"/{lists/partial,archives/partial}
trap 'rm -rf "$new"' EXIT
echo "Linux $series: fetching $package $version" >&2

for suite in ${suites//,/ }; do
    area=debian
    [[ $suite != *-security ]] || area=debian-security
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror/$area $suite main"
done >"$new/apt/sources.list"
cat >"$new/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$new/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$new/apt/lists";
Dir::Cache "$new/apt";
Acquire::Languages "none";
APT::Sandbox::User "root";
CONF
(
    export APT_CONFIG=$new/apt/apt.conf
    apt-get -qq update >&2
    cd "$new/apt"
    apt-get -qq download "$package=$version" >&2
) || {
    echo "fetch.sh: Debian's mirror has no $package $version any more; put a newer one into e2e/kernels/versions" >&2
    exit 1
}
echo "$sum  $(ls "$new"/apt/*.deb)" | sha256sum --check --quiet >&2

dpkg-deb -x "$new"/apt/*.deb "$new/unpacked"
rm -rf "$new/apt"
release=$(ls "$new/unpacked/lib/modules")
mv "$new/unpacked/boot/vmlinuz-$release" "$new/vmlinuz"
mv "$new/unpacked/lib/modules" "$new/modules"
rm -rf "$new/unpacked"
# Drivers and file systems of real machines are of no use here.
rm -rf "$new/modules/$release/kernel/drivers/"{gpu,infiniband,scsi,ata,usb,hid,input,iommu,media,mmc,nvme,target,ntb,platform,power,thermal,hwmon}
rm -rf "$new/modules/$release/kernel/fs/"{btrfs,xfs,f2fs,ocfs2,gfs2,ceph,nfs,nfsd,cifs,smb,jfs,reiserfs,ubifs,dlm,ntfs3}
mkdir -p "$new/tree/lib"
ln -s ../../modules "$new/tree/lib/modules"
depmod -b "$new/tree" "$release"

# The initramfs: busybox, the modules that reach the shared root, and init.
root=$new/initramfs
mkdir -p "$root"/{bin,dev,proc,sys,host,writable,root,modules}
cp "$(command -v busybox)" "$root/bin/busybox"
chroot "$root" /bin/busybox true || { echo "fetch.sh: busybox is not static; install busybox-static" >&2; exit 1; }
for module in virtio_pci virtio_console virtio_rng virtiofs overlay; do
    modprobe -d "$new/tree" -S "$release" --show-depends "$module" | while read -r how path _; do
        [ "$how" = insmod ] || continue
        base=$(basename "${path%.xz}")
        [ -z "$(find "$root/modules" -name "*-$base")" ] || continue
        number=$(printf %02d "$(find "$root/modules" -type f | wc -l)")
        case $path in
        *.xz) xz -dc "$path" >"$root/modules/$number-$base" ;;
        *) cp "$path" "$root/modules/$number-$base" ;;
        esac
    done
done
cp "$here/guest/init" "$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$new/initramfs.gz"
rm -rf "$root" "$new/tree"
touch "$new/ready"
# One rename publishes the folder, so that an interrupted download never looks finished.
rm -rf "$place"
mv -T "$new" "$place"
echo "$place"
