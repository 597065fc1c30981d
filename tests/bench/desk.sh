#!/usr/bin/env bash
# probe, read and unlock: what somebody at a desk asks of one board, on every kind of programmer.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
hex=$BUILD/pogo-hex

desk() { timeout 60 "$BUILD"/pogo-station "$1" --bench "$url" "${@:2}"; }
says() { # EXIT WORDS COMMAND…
  local want=$1 words=$2 status
  shift 2
  "$@" >"$work/said" 2>&1 </dev/null
  status=$?
  cat "$work/said"
  [ $status -eq "$want" ] && grep -qF -- "$words" "$work/said"
}
field() { desk probe 1 --json | jq -r "$1"; }
flash_board() { # the line's recipe onto the board that stands there
  timeout 60 "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --operator test --count 1
}

# --- an AVR on each kind of programmer: as delivered, flashed and locked, opened again
release >/dev/null
"$hex" merge -o "$work/want.hex" fixtures/images/demo_firmware.hex fixtures/images/demo_bootloader.hex
"$hex" fill -o "$work/want.bin" 0x0+0x8000 --with FF "$work/want.hex"
for pod in usbasp usbtiny avrispmk2; do
  bench_start --slots 1 --pod $pod --operator manual --timing fast
  ok "$pod: no board is a sentence, not a chip" says 1 "CONTACT" desk probe 1
  bench_ctl insert 1
  ok "$pod: probe knows the chip" says 0 "ATmega32U4" desk probe 1
  ok "$pod: its signature" grep -q 'signature *1E 95 87' "$work/said"
  ok "$pod: its fuses, in words" grep -q 'CKDIV8' "$work/said"
  check_eq "$pod: for programs" "$(field '"\(.part) \(.lock) \(.blank) \(.flash_bytes)"')" "atmega32u4 236 null 32768"
  ok "$pod: flashed" flash_board
  check_eq "$pod: probe sees the fuses" "$(field '.fuses | map(tostring) | join(",")')" "255,216,251"
  check_eq "$pod: and the lock bits" "$(field .lock)" 239
  ok "$pod: read" says 0 "32768 bytes of the ATmega32U4" desk read 1 -o "$work/back.hex"
  "$hex" fill -o "$work/back.bin" 0x0+0x8000 --with FF "$work/back.hex"
  ok "$pod: it is what was flashed" cmp "$work/back.bin" "$work/want.bin"
  ok "$pod: the EEPROM too, trimmed" says 0 "bytes of the" desk read 1 -o "$work/eeprom.bin" --memory eeprom --trim --to-format binary
  ok "$pod: it has the serial" eval 'strings "$work/eeprom.bin" | grep -q KB0000'
  ok "$pod: unlock asks, and nobody is there" says 2 "--yes says so" desk unlock 1
  check_eq "$pod: nothing happened" "$(field .lock)" 239
  ok "$pod: unlock" says 0 "is open and erased" desk unlock 1 --yes
  check_eq "$pod: open and blank" "$(field '"\(.lock) \(.blank)"')" "255 true"
  ok "$pod: ends" bench_stop
  check_eq "$pod: no rule of the chip was broken" "$(jq '[.slots[0].board.violations[]] | add' "$state")" 0
done

# --- a part of another size, and a locked one
lock=EC
bench_start --slots 2 --pod usbasp --chip at90usb1286,atmega328p --operator manual --timing fast
bench_ctl insert 1
bench_ctl insert 2
ok "an AT90USB1286 is found without being named" says 0 "AT90USB1286" desk probe 1
ok "an ATmega328P too" says 0 "ATmega328P" desk probe 2
ok "by its port as well" says 0 "ATmega328P" desk probe 1-2
ok "128 KiB are read" says 0 "131072 bytes" desk read 1 -o "$work/1286.hex"
bench_stop

# --- an STM32F103
head -c 4096 /dev/urandom >"$work/st.bin"
printf '\x00\x14\x00\x20\x09\x00\x00\x08\xfe\xe7' | dd of="$work/st.bin" conv=notrunc status=none
"$hex" convert -o "$work/line.hex" "$work/st.bin@0x08000000"
cat >"$work/line.cfg" <<CFG
product = "part"; part = "stm32f103x8"; image = "line.hex"; protect = true;
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
CFG
bench_start --slots 1 --pod stlink --chip stm32f103x8 --operator manual --timing fast
ok "no board: swapped wires are asked for" says 1 "SWDIO" desk probe 1
bench_ctl insert 1
ok "probe knows the chip" says 0 "chip id       0x0410" desk probe 1
ok "64 KiB in pages of 1 KiB, and 20 KiB of SRAM" grep -q '64 KiB by the chip.s size word, pages of 1024 bytes; SRAM 20480 bytes' "$work/said"
check_eq "blank, open, with an id of 12 bytes" "$(field '"\(.blank) \(.protected) \(.silicon_id | length)"')" "true false 24"
ok "flashed and protected" flash_board
check_eq "probe sees that" "$(field '"\(.blank) \(.protected)"')" "null true"
ok "and says what others call it" says 0 "unknown memory region" desk probe 1
ok "it is not read" says 1 "PROTECTED" desk read 1 -o "$work/none.hex"
ok "no file appeared" test ! -e "$work/none.hex"
ok "unlock" says 0 "is open and erased" desk unlock 1 --yes
check_eq "open and blank" "$(field '"\(.blank) \(.protected)"')" "true false"
# On a terminal it asks; script(1) is one.
asked() { # ANSWER EXIT WORDS
  script -qec "$BUILD/pogo-station unlock 1 --bench $url" /dev/null <<<"$1" >"$work/said"
  local status=$?
  cat "$work/said"
  [ $status -eq "$2" ] && grep -q "$3" "$work/said"
}
ok "flashed and protected again" flash_board
ok "on a terminal it asks" asked no 1 "Go on? Type yes: nothing was changed"
ok "y is not yes" asked y 1 "nothing was changed"
check_eq "so it is protected still" "$(field .protected)" true
ok "yes opens it" asked yes 0 "is open and erased"
check_eq "open and blank again" "$(field '"\(.blank) \(.protected)"')" "true false"
ok "ends" bench_stop
check_eq "no rule of the chip was broken" "$(jq '[.slots[0].board.violations[]] | add' "$state")" 0
for fault in "cs32:2BA01477: CS32" "gd32:debug port 1BA01477: GD32" "apm32:APM32F103 (clone); loses half-words" "cks32:CKS32F103 or another clone; some do not enter" \
  "boot0:set the BOOT0 jumper to 0" "size=128:128 KiB" "size=32:32 KiB by the chip's size word, taken for 64" "size=0:taken for 64" "supply=2300:POWER" "supply=0:POWER" "no-contact:SWAP"; do
  words=${fault#*:}
  bench_start --slots 1 --pod stlink --chip stm32f103x8 --operator manual --timing fast --faults "1.1:${fault%%:*}"
  bench_ctl insert 1
  desk probe 1 >"$work/said" 2>&1
  ok "${fault%%:*}: probe says so" grep -qiF "${words/SWAP/swapped}" "$work/said"
  bench_stop
done

# --- probe and read change nothing: not a cell is erased or written
board() { bench_ctl dump | jq '.slots[0].board | del(.flash_record.read_back, .eeprom_record.read_back, .halted, .lockup, .pc, .executed_kib)'; }
for pod in stlink:stm32f103x8 usbasp:atmega32u4 usbtiny:atmega328p avrispmk2:at90usb1286; do
  bench_start --slots 1 --pod "${pod%:*}" --chip "${pod#*:}" --operator manual --timing fast
  bench_ctl insert 1
  board >"$work/before"
  ok "${pod%:*}: probe" desk probe 1
  desk read 1 -o "$work/x.hex" --memory all >/dev/null 2>&1
  board >"$work/after"
  ok "${pod%:*}: the chip is as it was" eval 'grep -q flash_record "$work/before" && cmp "$work/before" "$work/after"'
  bench_stop
done

# --- wrong words
bench_start --slots 1 --operator manual --timing fast
ok "no slot" says 2 "which slot" desk probe
ok "another slot" says 2 'no slot "7"' desk probe 7
ok "a word too many" says 2 "one word too many" desk read 1 2 -o "$work/x.hex"
ok "no file" says 2 "where to write" desk read 1
ok "no such memory" says 2 "none of flash, eeprom and all" desk read 1 -o "$work/x.hex" --memory ram
ok "a folder that is not there" says 3 "none/x.hex" eval 'bench_ctl insert 1 && desk unlock 1 --yes && desk read 1 -o "$work/none/x.hex"'
finish
