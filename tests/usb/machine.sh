#!/usr/bin/env bash
# An emulated machine with a real Linux USB stack, for tests on machines that have none.
#
#   machine.sh prepare          fetches the distribution's kernel package and builds the initramfs (cached)
#   machine.sh run SCRIPT [ARG] boots, runs SCRIPT as root inside, prints its output, returns its exit status
#
# The guest's root is this machine's own root, read-only over 9p, so every program here runs there. The
# guest may write to /tmp and /run (memory) and to $OUT (a folder of ours); the project is $REPO, its build $BUILD.
# No KVM, no privilege needed.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
vm=${POGO_VM:-$here/build/vm}
mkdir -p "$vm"

say() { echo "machine: $*" >&2; }
die() { say "$*"; exit 3; }

# The packages that hold the kernel and its modules: the distribution's own names.
kernel_packages() {
  if apt-cache show linux-image-amd64 >/dev/null 2>&1; then
    apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
  else # Ubuntu splits image, modules and extra modules (vhci is among the extra ones)
    local image
    image=$(apt-cache depends linux-image-generic | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    echo "$image"
    echo "${image/linux-image/linux-modules}"
    echo "${image/linux-image/linux-modules-extra}"
  fi
}

modules="virtio_pci 9p 9pnet_virtio vhci-hcd cdc-acm ftdi_sio ext4 virtio_blk"

fetch_kernel() {
  [ -f "$vm/kernel.ok" ] && return
  local packages
  packages=$(kernel_packages)
  if [ -z "$packages" ]; then # package lists that were never fetched, or thrown away
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi >&2 || true
    packages=$(kernel_packages)
  fi
  [ -n "$packages" ] || die "no kernel package is known to apt here; run 'apt-get update' or 'make deps' first"
  rm -rf "$vm/root" "$vm/deb" && mkdir -p "$vm/root" "$vm/deb"
  # shellcheck disable=SC2086
  (cd "$vm/deb" && apt-get -o APT::Sandbox::User=root download $packages >apt.log 2>&1) ||
    die "cannot download $packages: $(tail -n 1 "$vm/deb/apt.log")"
  for deb in "$vm"/deb/*.deb; do dpkg-deb -x "$deb" "$vm/root"; done
  [ -d "$vm/root/lib/modules" ] || mv "$vm/root/usr/lib/modules" "$vm/root/lib/"
  local version
  version=$(basename "$vm"/root/lib/modules/*)
  cp "$vm/root/boot/vmlinuz-$version" "$vm/vmlinuz"
  echo "$version" >"$vm/version"
  /sbin/depmod -b "$vm/root" "$version"
  rm -rf "$vm/deb"
  touch "$vm/kernel.ok"
}

# Modules in load order, uncompressed, and a busybox that mounts the host's root and switches to it.
build_initramfs() {
  [ "$vm/initramfs" -nt "$here/tests/usb/machine.sh" ] && [ "$vm/initramfs" -nt "$vm/kernel.ok" ] && return
  local version fs=$vm/initramfs.d file
  version=$(cat "$vm/version")
  rm -rf "$fs" && mkdir -p "$fs"/{bin,mod,proc,sys,dev,host}
  cp "$(command -v busybox)" "$fs/bin/busybox"
  local n=100
  for module in $modules; do
    /sbin/modprobe -d "$vm/root" -S "$version" --show-depends "$module" 2>/dev/null
  done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
    n=$((n + 1))
    case $file in
    *.xz) xz -dc "$file" >"$fs/mod/$n.ko" ;;
    *.zst) zstd -qdc "$file" >"$fs/mod/$n.ko" ;;
    *) cp "$file" "$fs/mod/$n.ko" ;;
    esac
  done
  cat >"$fs/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in /mod/*.ko; do insmod $m 2>/dev/null; done
o=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o $o,ro,cache=loose host /host || { echo "no host root"; poweroff -f; }
mount -t tmpfs -o mode=1777 tmp /host/tmp
mount -t tmpfs run /host/run
mount -t 9p -o $o out /host/mnt || { echo "no out folder"; poweroff -f; }
mount -t 9p -o $o,ro,cache=loose repo /host/srv || { echo "no project folder"; poweroff -f; }
mount --move /proc /host/proc; mount --move /sys /host/sys; mount --move /dev /host/dev
exec switch_root /host /bin/bash /mnt/guest-init
INIT
  chmod +x "$fs/init"
  (cd "$fs" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$vm/initramfs.tmp") && mv "$vm/initramfs.tmp" "$vm/initramfs"
}

prepare() {
  for program in qemu-system-x86_64 busybox usbip dpkg-deb; do
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || die "$program is missing: run 'make deps'"
  done
  fetch_kernel
  build_initramfs
}

run() {
  local script out status
  script=$(realpath --relative-to="$here" "$1")
  shift
  prepare
  out=${OUT:-$(mktemp -d "$vm/out.XXXXXX")}
  mkdir -p "$out"
  rm -f "$out/status"
  # What the guest does as process 1: devices, udev with the project's rules, then the test.
  cat >"$out/guest-init" <<INIT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 OUT=/mnt REPO=/srv BUILD=/srv/${BUILD_DIR:-build}
mkdir -p /dev/pts /dev/shm /run/udev/rules.d; ln -sfn /proc/self/fd /dev/fd; mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm
ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1 up
install -m 644 /srv/configs/udev/*.rules /run/udev/rules.d/ 2>/dev/null
/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1; udevadm trigger >/dev/null 2>&1; udevadm settle >/dev/null 2>&1
cd /srv
bash '$script' $* >/mnt/log 2>&1 </dev/null
echo \$? >/mnt/status
sync; echo o >/proc/sysrq-trigger; sleep 5
INIT
  timeout "${MACHINE_SECONDS:-300}" qemu-system-x86_64 -M q35 -cpu max -smp 2 -m 1024 -nographic -no-reboot \
    -kernel "$vm/vmlinuz" -initrd "$vm/initramfs" \
    -append "console=ttyS0 quiet panic=-1 loglevel=3 mitigations=off" \
    -virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$here,mount_tag=repo,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$out,mount_tag=out,security_model=none,multidevs=remap" \
    ${MACHINE_EXTRA:-} >"$out/console" 2>&1 </dev/null || true
  cat "$out/log" 2>/dev/null || true
  status=$(cat "$out/status" 2>/dev/null || echo 99)
  [ "$status" = 99 ] && { say "the machine ended without a result; its console:"; tail -n 20 "$out/console" >&2; }
  [ -n "${OUT:-}" ] || rm -rf "$out"
  return "$status"
}

case ${1:-} in
prepare) prepare ;;
run) shift; run "$@" ;;
*) echo "usage: machine.sh prepare | run SCRIPT [ARG…]" >&2; exit 2 ;;
esac
