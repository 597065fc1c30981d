#!/usr/bin/env bash
# What avrdude says it did through boards with the ArduinoISP sketch, on the ttys of the kernel's cdc_acm, the bench's
# chips must show, with no rule of the silicon broken; what it reads back must be the same.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

product() { grep -qlx "$1" /sys/bus/usb/devices/*/idProduct; }
tty_there() { product "$1" && [ -c /dev/ttyACM0 ]; }
tty_gone() { [ ! -e /dev/ttyACM0 ] && [ ! -e "/sys/bus/usb/devices/1-1" ]; }
# plug BOARD PRODUCT PART [BENCH OPTIONS…]: a bench with one board as programmer, attached, another one in its jig
plug() {
  local board=$1 id=$2 part=$3
  shift 3
  [ -z "$bench_pid" ] || unplug || return 1
  bench_start --slots 1 --pod "stk500v1:$board" --chip "$part" --operator manual --timing fast "$@" || return 1
  attach 1 && until_true tty_there "$id" && udevadm settle && bench_ctl insert 1
}
unplug() { usbip detach -p 0 && until_true tty_gone && bench_stop; }
dude() { timeout 300 avrdude -q -b 19200 -P /dev/ttyACM0 "$@"; }
# peer BOARD PRODUCT NAME PART AVRDUDE-ID FUSES LOCK FLASH.hex [EEPROM.hex]: a fresh bench; write, verify, read back.
# avrdude takes a line that was quiet for 250 ms for drained. Where the machine is so slow that an answer comes later, it
# takes that for the next one and says so; such a session is done again.
peer() {
  local board=$1 product=$2 name=$3 part=$4 id=$5 fuses=$6 lock=$7 flash=$8 eeprom=$9
  local option=() names=(lfuse hfuse efuse) i=0 value
  for value in ${fuses//,/ }; do
    option+=(-U "${names[i]}:w:0x$value:m")
    i=$((i + 1))
  done
  [ -n "$eeprom" ] && option+=(-U "eeprom:w:$eeprom:i")
  [ "$id" = m32u4 ] && option+=(-U "flash:r:$work/back.hex:i")
  for _ in 1 2 3 4 5; do
    plug "$board" "$product" "$part" || return 1
    dude -c "$name" -p "$id" -U "flash:w:$flash:i" "${option[@]}" -U "lock:w:0x$lock:m" >"$work/dude.out" 2>&1 && unplug && return
    cat "$work/dude.out"
    grep -qE 'protocol expects|not responding|not in sync|unknown response' "$work/dude.out" || return 1
  done
  return 1
}
judge_peer() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }
pod_figure_now() { bench_ctl dump | sed 's/^ok //' | jq -r ".slots[0].pod.$1"; }
pod_figure() { jq -r ".slots[0].pod.$1" "$state"; }
# read_back FLASH.bin: what avrdude read; it leaves out FF at the end
read_back() {
  "$BUILD"/pogo-hex fill -o "$work/back.bin" "0x0+$(stat -c %s "$1")" --with FF "$work/back.hex" &&
    cmp "$work/back.bin" "$1"
}
attribute() { cat /sys/bus/usb/devices/*-1/"$1" 2>/dev/null; }

demo=fixtures/images
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
"$BUILD"/pogo-hex fill -o "$work/32u4.bin" 0x0+0x8000 --with FF "$work/32u4.hex"
"$BUILD"/pogo-hex merge -o "$work/want.hex" "$work/32u4.hex" $demo/demo_eeprom.hex@0x810000
"$BUILD"/pogo-hex merge -o "$work/1286.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex

# peer_and_judge BOARD PRODUCT NAME PART AVRDUDE-ID FUSES LOCK FLASH.hex [EEPROM.hex WANTED.hex]
peer_and_judge() {
  ok "$1: avrdude -c $3 does an $4" peer "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8" "$9"
  ok "$1: the chip holds what avrdude wrote" judge_peer "${10:-$8}" "$4" "$6" "$7"
  check_eq "$1: no byte was lost or mistaken" "$(pod_figure overflows) $(pod_figure garbled) $(pod_figure host_overflows)" "0 0 0"
}
peer_and_judge uno 0043 arduino atmega32u4 m32u4 FF,D8,FB EF "$work/32u4.hex" $demo/demo_eeprom.hex "$work/want.hex"
ok "uno: avrdude read back the same" read_back "$work/32u4.bin"
check_eq "uno: opening its port reset it" "$([ "$(pod_figure resets)" -ge 1 ] && echo yes)" yes
peer_and_judge micro 8037 stk500v1 atmega328p m328p F7,D0,FC EF "$work/32u4.hex"
peer_and_judge promicro-qmk 0483 avrisp atmega32a m32 1F,C0 EF "$work/32u4.hex"
peer_and_judge teensy 0483 stk500v1 at90usb1286 usb1286 5E,D9,F3 EF "$work/1286.hex"

# --- what the boards say of themselves, and what they do when they are opened the wrong way
ok "an Uno" plug uno 0043 atmega32u4
check_eq "its serial number is its own" "$(attribute serial | grep -cE '^[0-9A-F]{20}$')" 1
ok "unplugged" unplug
ok "a Pro Micro with QMK's file" plug promicro-qmk 0483 atmega32u4
check_eq "its serial number is everybody's" "$(attribute serial)" 12345
ok "unplugged" unplug
ok "a Pro Micro" plug promicro 9206 atmega32u4
check_eq "it has no serial number" "$(attribute serial)" ""
ok "opened at 1200 baud and closed" stty -F /dev/ttyACM0 1200
ok "it leaves the bus" until_true tty_gone
ok "and comes back" attach 1
ok "as its bootloader" until_true eval "dmesg | grep -q idProduct=9205"
ok "which goes after 8 s" until_true tty_gone
ok "and comes back" attach 1
ok "as the sketch" until_true tty_there 9206
udevadm settle
check_eq "which the bench confirms" "$(pod_figure_now running)" sketch
ok "pulled out of its socket" bench_ctl unplug 1
ok "the tty is gone" until_true tty_gone
ok "done" bench_stop
finish
