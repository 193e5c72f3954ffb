#!/bin/bash
# boot.sh [-t SECONDS] [-m MIB] [-a KERNEL-ARGUMENTS] SERIES -- COMMAND [ARGUMENT..]
#
# Runs a command as root on another Linux kernel. The kernel boots in a virtual machine whose root file system is this
# machine's, read-only, under a layer in memory. The command's output is streamed, and its exit code is the script's.
# 124: the deadline has passed; 125: the machine ended without a result, and the kernel's log is shown.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seconds=600 memory=768 arguments=
while getopts t:m:a: option; do
    case $option in
    t) seconds=$OPTARG ;;
    m) memory=$OPTARG ;;
    a) arguments=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
series=${1:?usage: boot.sh [-t SECONDS] [-m MIB] [-a ARGUMENTS] SERIES -- COMMAND [ARGUMENT..]}
shift
[ "${1:-}" != -- ] || shift
[ $# -gt 0 ] || { echo "boot.sh: no command" >&2; exit 2; }
kernel=$("$here/fetch.sh" "$series")

run=$(mktemp -d "${TMPDIR:-/tmp}/terway-kernel.XXXXXX")
processes=()
finish() {
    for pid in "${processes[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The job is a second part of the initramfs.
mkdir -p "$run/job/job"
echo "JOB_MODULES=$kernel/modules" >"$run/job/job/settings"
{
    echo '#!/bin/sh'
    printf 'cd %q\nexec' "$PWD"
    printf ' %q' "$@"
    echo
} >"$run/job/job/command"
for name in ${BOOT_ENV:-}; do
    [ -z "${!name+x}" ] || printf 'export %s=%q\n' "$name" "${!name}"
done >"$run/job/job/environment"
cp "$here/guest/start" "$run/job/job/start"
(cd "$run/job" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) | cat "$kernel/initramfs.gz" - >"$run/initramfs.gz"

# no_timer_check: an emulated timer may miss the moment in which the kernel tests it, and the kernel then panics.
# /dev/kvm may be there and yet run no ordinary kernel (a guest in a guest under PVM); vmx or svm tell. Emulation gets
# one processor: QEMU 7.2 with several died in one of forty boots while the kernel patched its own code.
accelerator=tcg,tb-size=256 cpu=Nehalem,+rdrand cpus=1
if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then accelerator=kvm cpu=host cpus=2; fi

# This machine's root, read-only for the guest whatever it tries.
virtiofsd=
for candidate in /usr/libexec/virtiofsd /usr/lib/qemu/virtiofsd; do [ ! -x "$candidate" ] || virtiofsd=$candidate; done
[ -n "$virtiofsd" ] || { echo "boot.sh: no virtiofsd (Debian 12: qemu-system-common; later: virtiofsd)" >&2; exit 1; }
mkdir "$run/view"
cat >"$run/share" <<SHARE
set -e
mount --make-rprivate /
mount --bind -o ro / "$run/view"
for path in "$kernel" "$PWD"; do
    mount --bind "\$path" "$run/view\$path"
    mount -o remount,bind,ro "$run/view\$path"
done
case $virtiofsd in
*/qemu/*) exec "$virtiofsd" --socket-path="$run/share.sock" -o source="$run/view" -o cache=always -o sandbox=chroot ;;
*) exec "$virtiofsd" --socket-path="$run/share.sock" --shared-dir="$run/view" --cache=always --sandbox=chroot ;;
esac
SHARE
unshare --mount bash "$run/share" >"$run/share.log" 2>&1 &
processes+=($!)
for _ in {1..200}; do [ ! -S "$run/share.sock" ] || break; sleep 0.05; done
[ -S "$run/share.sock" ] || { cat "$run/share.log" >&2; exit 1; }

: >"$run/out"; : >"$run/result"; : >"$run/console"
timeout "$seconds" nice qemu-system-x86_64 -accel "$accelerator" -cpu "$cpu" -smp "$cpus" -m "$memory" \
    -object memory-backend-memfd,id=memory,size="${memory}M",share=on -numa node,memdev=memory \
    -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$kernel/vmlinuz" -initrd "$run/initramfs.gz" \
    -append "console=ttyS0 panic=-1 quiet random.trust_cpu=on no_timer_check $arguments" \
    -serial file:"$run/console" \
    -chardev socket,id=share,path="$run/share.sock" -device vhost-user-fs-pci,chardev=share,tag=host \
    -device virtio-rng-pci -device virtio-serial-pci \
    -chardev file,id=out,path="$run/out" -device virtserialport,chardev=out,name=out \
    -chardev file,id=result,path="$run/result" -device virtserialport,chardev=result,name=result \
    </dev/null >"$run/qemu.log" 2>&1 &
qemu=$!
processes+=("$qemu")
tail -n +1 -s 0.1 -f --pid="$qemu" "$run/out" 2>/dev/null &
tail=$!
ended=0
wait "$qemu" || ended=$?
wait "$tail" || true
code=$(sed -n 's/^code=//p' "$run/result")
[ -z "$code" ] || exit "$code"
if [ "$ended" = 124 ]; then
    echo "boot.sh: Linux $series: not ended after $seconds s" >&2
    tail -20 "$run/console" >&2
    exit 124
fi
echo "boot.sh: Linux $series: the machine ended without a result" >&2
cat "$run/qemu.log" "$run/share.log" >&2
tail -40 "$run/console" >&2
exit 125
