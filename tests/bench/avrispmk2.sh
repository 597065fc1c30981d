#!/usr/bin/env bash
# The AVRISP mkII: one board of every part by Atmel's own and by LUFA's, its troubles, and beside others in one line.
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
  "$BUILD"/pogo-hex fill -o "$work/flash.hex" "0x0+$2" --with random --seed 3 fixtures/images/demo_eeprom.hex || return 1
  "$BUILD"/pogo-hex merge -o "$work/line.hex" "$work/flash.hex" fixtures/images/demo_eeprom.hex@0x810000 || return 1
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
  bench_start --slots 2 --pod avrispmk2:genuine,avrispmk2:lufa --chip "$part" --timing fast --operator auto --boards 1 --hand-ms 20
  ok "$part: both programmers pass a board" plain --count 2
  bench_stop
  ok "$part: chips and release agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" "$part" "$fuses" FF
done

recipe atmega32u4 4096
for maker in genuine lufa; do
  bench_start --slots 1 --pod "avrispmk2:$maker" --timing fast --operator auto --boards 1 --hand-ms 20
  "$BUILD"/pogo-station pods --bench "$url" --json >"$work/pods.json"
  check_eq "$maker: pods knows its kind" "$(jq -r '.[0].kind' "$work/pods.json")" avrispmk2
  check_eq "$maker: and its maker" "$(jq -r '.[0].firmware' "$work/pods.json" | grep -c LUFA)" "$([ $maker = lufa ] && echo 1 || echo 0)"
  bench_stop
done

# fault NAME WANTED: position 1 has it, the programmers beside it must not notice
fault() {
  bench_start --slots 3 --pod avrispmk2,usbtiny,usbasp --timing fast --operator auto --boards 1 --hand-ms 20 --faults "1.1:$1"
  timeout 60 "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" --operator test \
    --count 3 >"$work/run.out" 2>&1
  bench_stop
  check_eq "$1 ends in $2" "$(sql "SELECT coalesce(code, 'PASS') FROM attempts JOIN slots ON slots.id = slot WHERE name = '1' ORDER BY attempts.id DESC LIMIT 1")" "$2"
  check_eq "and the slots beside it pass" "$(sql "SELECT group_concat(status, ' ') FROM (SELECT status FROM attempts JOIN slots ON slots.id = slot WHERE name IN ('2', '3') ORDER BY attempts.id DESC LIMIT 2)")" "PASS PASS"
}
fault unplug=3000 PROGRAMMER_LOST
fault hang=3000 PROGRAMMER_LOST
fault stall=3000 WRITE
# In the middle of a page's bytes, also when the station asked once more or less for a board before: the
# head of the message has bytes that this chip does not need.
fault flip=3060 VERIFY
fault wrong-chip SIGNATURE
fault contact-lost=30000 CONTACT
fault no-erase ERASE
fault stuck=0x123.3.0 VERIFY
# The 85th command is in the middle of programming.
fault reply-lost=85 PROGRAMMER_LOST
fault reply-cut=85 WRITE
fault reply-wrong=85 WRITE
fault reply-long=85 WRITE
fault reply-stale=85 VERIFY
fault reply-late=85.300 PASS
finish
