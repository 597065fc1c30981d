#!/usr/bin/env bash
# What avrdude says it did on a USBtiny, the bench's chips must show, with no rule of the silicon broken; and the
# station beside it on the same device at the same SCK.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

usbtiny_there() { grep -qlx 0c9f /sys/bus/usb/devices/*/idProduct; }
# plug PART [BENCH OPTIONS…]: a bench with one USBtiny, attached, a board in its jig
plug() {
  local part=$1
  shift
  [ -z "$bench_pid" ] || { usbip detach -p 0; bench_stop; }
  bench_start --slots 1 --pod usbtiny --chip "$part" --operator manual "$@" || return 1
  attach 1 && until_true usbtiny_there && udevadm settle && bench_ctl insert 1
}
# peer PART AVRDUDE-ID SCK-PERIOD FUSES LOCK FLASH.hex. Without EEPROM: avrdude's bytewise writing there lost a byte in
# one run of four, which it noticed itself; whose fault that is, is not known yet.
peer() {
  local part=$1 id=$2 period=$3 fuses=$4 lock=$5 flash=$6 option=()
  plug "$part" --timing fast || return 1
  local names=(lfuse hfuse efuse) i=0 value
  for value in ${fuses//,/ }; do
    option+=(-U "${names[i]}:w:0x$value:m")
    i=$((i + 1))
  done
  avrdude -c usbtiny -p "$id" -B "$period" -U "flash:w:$flash:i" "${option[@]}" -U "lock:w:0x$lock:m" || return 1
  usbip detach -p 0
  bench_stop
}
judge_peer() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }

demo=fixtures/images
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
ok "avrdude does an ATmega32U4" peer atmega32u4 m32u4 1 FF,D8,FB EF "$work/32u4.hex"
ok "the chip holds what avrdude wrote" judge_peer "$work/32u4.hex" atmega32u4 FF,D8,FB EF
# A new ATmega328P or 32A runs at 1 MHz: SCK below 250 kHz. Small images: each byte that avrdude reads is a request or a part of one, and this machine is slow.
"$BUILD"/pogo-hex crop -o "$work/small.hex" 0-0x7FF 0x7000-0x73FF "$work/32u4.hex"
ok "avrdude does an ATmega328P" peer atmega328p m328p 5 F7,D0,FC EF "$work/small.hex"
ok "the chip holds what avrdude wrote" judge_peer "$work/small.hex" atmega328p F7,D0,FC EF
ok "avrdude does an ATmega32A" peer atmega32a m32 5 1F,C0 EF "$work/small.hex"
ok "the chip holds what avrdude wrote" judge_peer "$work/small.hex" atmega32a 1F,C0 EF
# avrdude 7.0 and older verified the upper half against the lower one; 7.1 reads it byte by byte, as we do.
"$BUILD"/pogo-hex merge -o "$work/1286.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex
"$BUILD"/pogo-hex crop -o "$work/1286.hex" 0-0x7FF 0x1E000-0x1E3FF "$work/1286.hex"
ok "avrdude does an AT90USB1286" peer at90usb1286 usb1286 1 5E,D9,F3 EF "$work/1286.hex"
ok "the chip holds what avrdude wrote, above 64 KiB too" judge_peer "$work/1286.hex" at90usb1286 5E,D9,F3 EF

# --- one board each, real time, same device, same SCK: who is faster from board to result?
fuses=5E,D9,F3
release >/dev/null
sed -i '/^serial\|^lock/d' "$work/line.cfg"
ok "bench in real time" plug atmega32u4 --timing real
ok "taken off" bench_ctl remove 1
port=$("$BUILD"/pogo-station pods --json | jq -r '.[0].port')
check_eq "pods knows it" "$("$BUILD"/pogo-station pods --json | jq -r '.[0].kind')" usbtiny
printf 'station = "usb";\nslots = ( { name = "1"; port = "%s"; programmer = "usbtiny"; } );\n' "$port" >"$work/usb.cfg"
now() { date +%s%N; }
ours=() theirs=()
for round in 1 2; do
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
  # The period that the station chose: 1 us, 353 kHz, below a quarter of 2 MHz.
  avrdude -q -q -c usbtiny -p m32u4 -B 1 -U "flash:w:$work/line.hex:i" -U lfuse:w:0x5E:m -U hfuse:w:0xD9:m -U efuse:w:0xF3:m \
    >"$work/avrdude.out" 2>&1
  check_eq "avrdude's board $round passed" $? 0
  theirs+=($((($(now) - begin) / 1000000)))
  ok "taken off" bench_ctl remove 1
done
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
a=$(median "${ours[@]}") b=$(median "${theirs[@]}")
echo "FIGURE one board on a USBtiny, erase + $(grep -c . "$work/line.hex") records + verify + fuses at 353 kHz: station $a ms, avrdude $b ms, ratio $(awk "BEGIN{printf \"%.2f\", $a/$b}") (medians of ${#ours[@]}; station ${ours[*]}; avrdude ${theirs[*]})"
# Two rounds in an emulated machine are no measurement; a station that lost its pace would still show.
ok "the station keeps pace with avrdude" test "$a" -le $((b * 6 / 5))
usbip detach -p 0
bench_stop
finish
