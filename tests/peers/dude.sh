# dude.sh: avrdude as a peer on a virtual programmer, in the emulated machine. Source it after line.sh and guest.sh; set
# $product (USB product id) and $programmer (avrdude's options for it). Every session begins with a look whether the
# programmer is there, for some are reset, and enumerated anew, at the end of one.

there() { grep -qlx "$product" /sys/bus/usb/devices/*/idProduct; }
gone() { ! there; }
dude() { until_true there && udevadm settle && avrdude "${programmer[@]}" "$@"; }
unplug() { usbip detach -p 0 && until_true gone && bench_stop; }
# plug POD PART [BENCH OPTIONS…]: a bench with one such programmer, attached, a fresh board in its jig
plug() {
  [ -z "$bench_pid" ] || unplug || return 1
  bench_start --slots 1 --pod "$1" --chip "$2" --operator manual "${@:3}" && attach 1 && until_true there && udevadm settle &&
    bench_ctl insert 1
}

# same WANTED.hex READ.hex BYTES: avrdude leaves out FF at the end, we leave out what nobody gave.
same() {
  "$BUILD"/pogo-hex fill -o "$work/wanted.bin" "0x0+$3" --with FF "$1" && "$BUILD"/pogo-hex fill -o "$work/read.bin" "0x0+$3" --with FF "$2" &&
    cmp "$work/wanted.bin" "$work/read.bin"
}

# peer POD PART AVRDUDE-ID PERIOD FUSES LOCK FLASH.hex EEPROM.hex: written and verified by avrdude in one session, read
# in another; then what it read, what the chip has and the files are compared, and the chip saw no rule broken. With
# verify_only=yes the second session compares the flash with the file instead of reading all of it; with odd=TEXT the chip
# may have met instructions that begin so, which it does not know, and no others.
peer() {
  local pod=$1 part=$2 id=$3 period=$4 fuses=$5 lock=$6 flash=$7 eeprom=$8
  local names=(lfuse hfuse efuse) set=() get=() i=0 value flash_bytes eeprom_bytes
  for value in ${fuses//,/ }; do
    set+=(-U "${names[i]}:w:0x$value:m")
    get+=(-U "${names[i]}:r:$work/fuse.$i:d")
    i=$((i + 1))
  done
  flash_bytes=$(sed -n '/^flash/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "configs/parts/$part.cfg" | head -n 1)
  eeprom_bytes=$(sed -n '/^eeprom/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "configs/parts/$part.cfg" | head -n 1)
  rm -f "$work"/{back,ee}.hex "$work"/fuse.*
  local again=(-U "flash:r:$work/back.hex:i")
  [ "${verify_only:-no}" = no ] || again=(-U "flash:v:$flash:i")
  ok "$pod: a board with an $part" plug "$pod" "$part" --timing fast
  ok "$pod: avrdude writes and verifies flash, EEPROM, fuses and lock bits" dude -p "$id" -B "$period" -U "flash:w:$flash:i" \
    -U "eeprom:w:$eeprom:i" "${set[@]}" -U "lock:w:0x$lock:m"
  ok "$pod: and reads them" dude -p "$id" -B "$period" "${again[@]}" -U "eeprom:r:$work/ee.hex:i" "${get[@]}" \
    -U "lock:r:$work/fuse.lock:d"
  ok "$pod: unplugged" unplug
  if [ -n "${odd:-}" ]; then
    check_eq "$pod: the chip met nothing unknown but $odd" \
      "$(jq -r '.boards[-1].chip.violation_texts[]' "$state" | sed 's/.* ms: no instruction \(..\) .*/\1/' | sort -u)" "$odd"
    jq '.boards[-1].chip.violations.unknown = 0' "$state" >"$work/odd.json" && mv "$work/odd.json" "$state"
  fi
  "$BUILD"/pogo-hex merge -o "$work/want.hex" "$flash" "$eeprom@0x810000"
  ok "$pod: the chip holds what avrdude wrote" "$BUILD"/tests/bench/judge --all "$state" "$work/want.hex" "$part" "$fuses" "$lock"
  [ "${verify_only:-no}" = yes ] || ok "$pod: the flash that it read is the file's" same "$flash" "$work/back.hex" "$flash_bytes"
  ok "$pod: the EEPROM too" same "$eeprom" "$work/ee.hex" "$eeprom_bytes"
  check_eq "$pod: fuses and lock bits are the chip's" "$(cat "$work"/fuse.[0-2] "$work/fuse.lock" 2>/dev/null | tr -s '\n' ' ')" \
    "$(jq -r '.boards[-1].chip | (.fuses + [.lock]) | join(" ")' "$state") "
}
