#!/usr/bin/env bash
# make deb: lintian accepts the packages, two builds give the same bytes, and the unpacked programs run
# with their own configs.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. tests/packaging/cases.sh
unset POGOLINE_CONFIGS

version=$(sed -n 's/.*POGO_VERSION "\(.*\)"/\1/p' hextools/version.h)
arch=$(dpkg --print-architecture)
deb=$BUILD/pogoline_${version}_$arch.deb dev=$BUILD/libpogohex-dev_${version}_$arch.deb
root=$work/root
make_deb() { make --no-print-directory -j"$(nproc)" BUILD="$BUILD" deb; }
silent() {
  local said
  said=$("$@" 2>/dev/null | grep -E '^[EWIP]:')
  [ -z "$said" ] || { echo "$said" && false; }
}

rm -f "$deb" "$dev"
ok "make deb" make_deb
ok "pogoline: lintian finds nothing" silent lintian "$deb"
ok "libpogohex-dev: lintian finds nothing" silent lintian "$dev"
first=$(sha256sum "$deb" "$dev")
ok "make deb again" make_deb
check_eq "the same bytes" "$first" "$(sha256sum "$deb" "$dev")"

check_eq "its version" "$version" "$(dpkg-deb -f "$deb" Version)"
for needed in libc6 libconfig libusb-1.0 libsqlite3 libncurses; do
  ok "it depends on $needed" grep -q "$needed" <(dpkg-deb -f "$deb" Depends)
done
check_eq "all belongs to root" "root/root" \
  "$({ dpkg-deb -c "$deb" && dpkg-deb -c "$dev"; } | awk '{ print $2 }' | sort -u)"
ok "unpack" dpkg-deb -x "$deb" "$root"
dpkg-deb -e "$deb" "$work/control"
ok "md5sums" bash -c "cd '$root' && md5sum --check --quiet '$work/control/md5sums'"
check_eq "md5sums name every file" "$(cd "$root" && find . -type f -printf '%P\n' | sort)" "$(cut -c35- "$work/control/md5sums" | sort)"
for program in "${programs[@]}"; do
  file=$root/usr/bin/$program
  ok "$program: position independent, bound at start" \
    bash -c "readelf -h '$file' | grep -q 'DYN' && readelf -d '$file' | grep -q NOW"
  no "$program: no symbols of debugging" bash -c "readelf -S '$file' | grep -E 'debug_info|symtab'"
  no "$program: no path of this machine" grep -qF "$PWD" "$file"
  ok "$program: man page" man -l "$root/usr/share/man/man1/$program.1.gz"
  check_eq "$program: man page without a time" "00000000" "$(od -An -tx1 -j4 -N4 "$root/usr/share/man/man1/$program.1.gz" | tr -d ' ')"
  ok "$program: completion" bash -c ". '$root/usr/share/bash-completion/completions/$program' && complete -p $program"
done

image=$root/kb.hex
cp fixtures/images/demo_firmware.hex "$image"
ok "pogo-hex info from the unpacked package" env POGOLINE_CONFIGS="$root/usr/share/pogoline/configs" "$root/usr/bin/pogo-hex" info "$image"
if can_chroot; then
  ok "with its configs found where they are installed: info" in_root "$root" /usr/bin/pogo-hex info /kb.hex
  ok "merge --part" in_root "$root" /usr/bin/pogo-hex merge --part atmega32u4 -o /out.hex /kb.hex
  "$BUILD/pogo-hex" merge --part atmega32u4 -o "$work/out.hex" "$image"
  ok "which writes the same image" cmp "$root/out.hex" "$work/out.hex"
  cp configs/recipes/example.cfg "$root/" # its image is no real one: an answer about that is one about a found part
  in_root "$root" /usr/bin/pogo-station check /example.cfg >"$work/refused" 2>&1
  ok "pogo-station check gets as far as the image" grep -q 'example.hex' "$work/refused"
else
  ok "the programs know /usr/share/pogoline" grep -q /usr/share/pogoline "$root/usr/bin/pogo-hex"
fi

ok "unpack libpogohex-dev" dpkg-deb -x "$dev" "$work/dev"
ok "its pkg-config file is of /usr" bash -c "grep -rhx 'prefix=/usr' '$work/dev/usr/lib'"
finish
