#!/usr/bin/env bash
# What avrdude says it did, the bench's chips must show, with no rule of the silicon broken.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

# peer PART AVRDUDE-ID FUSES LOCK FLASH.hex [EEPROM.hex]
peer() {
  local part=$1 id=$2 fuses=$3 lock=$4 flash=$5 eeprom=$6 option=()
  [ -z "$bench_pid" ] || { kill $bench_pid; wait $bench_pid; usbip detach -p 0; }
  bench_start --slots 1 --chip "$part" --timing fast --operator manual || return 1
  attach 1 && until_true usb_count 1 && udevadm settle && bench_ctl insert 1 || return 1
  local names=(lfuse hfuse efuse) i=0 value
  for value in ${fuses//,/ }; do
    option+=(-U "${names[i]}:w:0x$value:m")
    i=$((i + 1))
  done
  [ -n "$eeprom" ] && option+=(-U "eeprom:w:$eeprom:i")
  avrdude -c usbasp -p "$id" -B 8 -U "flash:w:$flash:i" "${option[@]}" -U "lock:w:0x$lock:m" || return 1
  avrdude -c usbasp -p "$id" -B 8 -U "flash:v:$flash:i" -U "flash:r:$work/back.hex:i" -U "lfuse:r:$work/lfuse:h" || return 1
  usbip detach -p 0
  bench_stop
}
judge_peer() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }

demo=fixtures/images
cat $demo/demo_firmware.hex | grep -v '^:00000001FF' >"$work/32u4.hex"
cat $demo/demo_bootloader.hex >>"$work/32u4.hex"
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
ok "avrdude does an ATmega32U4" peer atmega32u4 m32u4 FF,D8,FB EF "$work/32u4.hex" $demo/demo_eeprom.hex
"$BUILD"/pogo-hex merge -o "$work/want.hex" "$work/32u4.hex" $demo/demo_eeprom.hex@0x810000
ok "the chip holds what avrdude wrote" judge_peer "$work/want.hex" atmega32u4 FF,D8,FB EF
ok "avrdude read back the same" "$BUILD"/pogo-hex info "$work/back.hex"
ok "avrdude does an ATmega328P" peer atmega328p m328p F7,D0,FC EF "$work/32u4.hex"
ok "the chip holds what avrdude wrote" judge_peer "$work/32u4.hex" atmega328p F7,D0,FC EF
ok "avrdude does an ATmega32A" peer atmega32a m32 1F,C0 EF "$work/32u4.hex"
ok "the chip holds what avrdude wrote" judge_peer "$work/32u4.hex" atmega32a 1F,C0 EF
"$BUILD"/pogo-hex merge -o "$work/1286.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex
ok "avrdude does an AT90USB1286" peer at90usb1286 usb1286 5E,D9,F3 EF "$work/1286.hex"
ok "the chip holds what avrdude wrote, above 64 KiB too" judge_peer "$work/1286.hex" at90usb1286 5E,D9,F3 EF

# --- one board each, real time, same device, same SCK (375 kHz): who is faster from board to result?
cat >"$work/usb.cfg" <<CFG
station = "usb";
slots = ( { name = "1"; port = "@"; programmer = "usbasp"; } );
CFG
fuses=5E,D9,F3
release >/dev/null
sed -i '/^serial\|^lock/d' "$work/line.cfg"
[ -z "$bench_pid" ] || bench_stop
ok "bench in real time" bench_start --slots 1 --timing real --operator manual
attach 1 && until_true usb_count 1 && udevadm settle
port=$("$BUILD"/pogo-station pods --json | jq -r '.. | .port? // empty' | head -n 1)
sed -i "s/@/$port/" "$work/usb.cfg"
now() { date +%s%N; }
ours=() theirs=()
for round in 1 2 3; do
  events=$work/events.$round
  "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/usb.cfg" --db "$work/race.db" --ui plain --events "$events" --count 1 \
    >"$work/race.out" 2>&1 &
  run_pid=$!
  until_true grep -q '"waiting"' "$events"
  begin=$(now)
  ok "board $round" bench_ctl insert 1
  until_true grep -q '"event":"result"' "$events"
  ours+=($((($(now) - begin) / 1000000)))
  ok "the station's board $round passed" grep -q '"status":"PASS"' "$events"
  wait $run_pid
  ok "swap $round" bench_ctl swap 1
  begin=$(now)
  avrdude -q -q -c usbasp -p m32u4 -B 2.6 -U "flash:w:$work/line.hex:i" -U lfuse:w:0x5E:m -U hfuse:w:0xD9:m -U efuse:w:0xF3:m \
    >"$work/avrdude.out" 2>&1
  check_eq "avrdude's board $round passed" $? 0
  theirs+=($((($(now) - begin) / 1000000)))
  ok "taken off" bench_ctl remove 1
done
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
a=$(median "${ours[@]}") b=$(median "${theirs[@]}")
echo "FIGURE one board, erase + $(grep -c . "$work/line.hex") records + verify + fuses at 375 kHz: station $a ms, avrdude $b ms, ratio $(awk "BEGIN{printf \"%.2f\", $a/$b}") (medians of ${#ours[@]}; station ${ours[*]}; avrdude ${theirs[*]})"
ok "the station is not slower than avrdude" test "$a" -le "$b"
usbip detach -p 0
bench_stop
finish
