#!/usr/bin/env bash
# The USBtiny: one board of every part, all firmware versions, its troubles, and beside a USBasp in one line.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

# Without a station file every programmer of the bench is a slot.
plain() {
  "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" --operator test "$@"
}
factory() { # PART: the recipe's fuses as set by its file
  sed -n 's/^ *factory = \[ *\(0x..\), *\(0x..\)\(, *\(0x..\)\)\{0,1\} *\].*/\1 \2 \4/p' "configs/parts/$1.cfg" | head -n 1
}
# recipe PART BYTES: $work/line.hex with so many bytes of flash, and its recipe
recipe() {
  local low high ext
  read -r low high ext <<<"$(factory "$1")"
  "$BUILD"/pogo-hex fill -o "$work/line.hex" "0x0+$2" --with random --seed 3 fixtures/images/demo_eeprom.hex || return 1
  cat >"$work/line.cfg" <<CFG
product = "part"; part = "$1"; image = "line.hex"; crystal_hz = 16000000;
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
fuses = { low = $low; high = $high; ${ext:+ext = $ext;} };
CFG
  fuses=$low,$high${ext:+,$ext}
  fuses=${fuses//0x/}
}
flash_of() { sed -n '/^flash/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "configs/parts/$1.cfg" | head -n 1; }

for cfg in $(grep -l '^family = "avr"' configs/parts/*.cfg); do
  part=$(basename "$cfg" .cfg)
  recipe "$part" $(($(flash_of "$part") * 3 / 4))
  bench_start --slots 1 --pod usbtiny --chip "$part" --timing fast --operator auto --boards 1 --hand-ms 20
  ok "$part: a board passes" plain --count 1
  bench_stop
  ok "$part: chip and release agree" "$BUILD"/tests/bench/judge "$state" "$work/line.hex" "$part" "$fuses" FF
done

recipe atmega32u4 4096
for version in 1.06 1.05 1.04; do
  bench_start --slots 1 --pod "usbtiny:$version" --timing fast --operator auto --boards 1 --hand-ms 20
  check_eq "$version: pods tells the version" "$("$BUILD"/pogo-station pods --bench "$url" --json | jq -r '.[0].firmware')" "USBtiny $version"
  ok "$version: a board passes" plain --count 1
  bench_stop
  ok "$version: chip and release agree" "$BUILD"/tests/bench/judge "$state" "$work/line.hex" atmega32u4 "$fuses" FF
done

# fault NAME WANTED: position 1 has it, a USBasp beside it must not notice
fault() {
  bench_start --slots 2 --pod usbtiny,usbasp --timing fast --operator auto --boards 1 --hand-ms 20 --faults "1.1:$1"
  plain --count 2 >"$work/run.out" 2>&1
  bench_stop
  check_eq "$1 ends in $2" "$(sql "SELECT coalesce(code, 'PASS') FROM attempts JOIN slots ON slots.id = slot WHERE name = '1' ORDER BY attempts.id DESC LIMIT 1")" "$2"
  check_eq "and the slot beside it passes" "$(sql "SELECT status FROM attempts JOIN slots ON slots.id = slot WHERE name = '2' ORDER BY attempts.id DESC LIMIT 1")" PASS
}
fault unplug=3000 PROGRAMMER_LOST
fault hang=3000 PROGRAMMER_LOST
fault stall=3000 WRITE
fault flip=3000 VERIFY
fault repeat=3000 VERIFY
fault wrong-chip SIGNATURE
fault contact-lost=30000 CONTACT
fault no-erase ERASE
fault stuck=0x123.3.0 VERIFY
finish
