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
dude() { timeout 200 avrdude -q -b 19200 -P /dev/ttyACM0 "$@"; }
# peer NAME PART AVRDUDE-ID FUSES LOCK FLASH.hex [EEPROM.hex]: write and verify, then read in a session of its own
peer() {
  local name=$1 part=$2 id=$3 fuses=$4 lock=$5 flash=$6 eeprom=$7 option=() names=(lfuse hfuse efuse) i=0 value
  for value in ${fuses//,/ }; do
    option+=(-U "${names[i]}:w:0x$value:m")
    i=$((i + 1))
  done
  [ -n "$eeprom" ] && option+=(-U "eeprom:w:$eeprom:i")
  dude -c "$name" -p "$id" -U "flash:w:$flash:i" "${option[@]}" -U "lock:w:0x$lock:m" &&
    dude -c "$name" -p "$id" -U "flash:r:$work/back.hex:i" -U "lfuse:v:0x${fuses%%,*}:m"
}
judge_peer() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }
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
"$BUILD"/pogo-hex fill -o "$work/1286.bin" 0x0+0x20000 --with FF "$work/1286.hex"
# avrdude gives stk500v1 and avrisp the EEPROM's byte address, which the sketch doubles: each of the 32U4's pages of
# 4 bytes lands at twice its place, and is read from there again.
"$BUILD"/pogo-hex fill -o "$work/eeprom.bin" 0x0+0x20 --with FF $demo/demo_eeprom.hex
xxd -p -c 4 "$work/eeprom.bin" | sed 's/$/ffffffff/' | xxd -r -p >"$work/doubled.bin"
"$BUILD"/pogo-hex merge -o "$work/doubled.hex" "$work/32u4.hex" "$work/doubled.bin@0x810000"

# all NAME BOARD PRODUCT: every part through this board
all() {
  local name=$1 board=$2 id=$3 want=$work/doubled.hex
  [ "$name" = arduino ] && want=$work/want.hex
  ok "$board: there is a ttyACM" plug "$board" "$id" atmega32u4
  ok "$board: avrdude -c $name does an ATmega32U4" peer "$name" atmega32u4 m32u4 FF,D8,FB EF "$work/32u4.hex" $demo/demo_eeprom.hex
  ok "$board: avrdude read back the same" read_back "$work/32u4.bin"
  ok "$board: done" unplug
  ok "$board: the chip holds what avrdude wrote" judge_peer "$want" atmega32u4 FF,D8,FB EF
  ok "$board: there is a ttyACM" plug "$board" "$id" atmega328p
  ok "$board: avrdude -c $name does an ATmega328P" peer "$name" atmega328p m328p F7,D0,FC EF "$work/32u4.hex"
  ok "$board: done" unplug
  ok "$board: the chip holds what avrdude wrote" judge_peer "$work/32u4.hex" atmega328p F7,D0,FC EF
  ok "$board: there is a ttyACM" plug "$board" "$id" atmega32a
  ok "$board: avrdude -c $name does an ATmega32A" peer "$name" atmega32a m32 1F,C0 EF "$work/32u4.hex"
  ok "$board: done" unplug
  ok "$board: the chip holds what avrdude wrote" judge_peer "$work/32u4.hex" atmega32a 1F,C0 EF
  ok "$board: there is a ttyACM" plug "$board" "$id" at90usb1286
  ok "$board: avrdude -c $name does an AT90USB1286" peer "$name" at90usb1286 usb1286 5E,D9,F3 EF "$work/1286.hex"
  ok "$board: avrdude read back the same" read_back "$work/1286.bin"
  ok "$board: done" unplug
  ok "$board: the chip holds what avrdude wrote, above 64 KiB too" judge_peer "$work/1286.hex" at90usb1286 5E,D9,F3 EF
  check_eq "$board: no byte was lost or mistaken" "$(pod_figure overflows) $(pod_figure garbled) $(pod_figure host_overflows)" "0 0 0"
}
all arduino uno 0043
check_eq "uno: opening the port reset it" "$([ "$(pod_figure resets)" -ge 2 ] && echo yes)" yes
all stk500v1 micro 8037
all avrisp promicro-qmk 0483

# --- what the boards say of themselves, and what they do when they are opened the wrong way
ok "a Teensy" plug teensy 0483 atmega32u4
check_eq "its serial number is everybody's" "$(attribute serial)" 12345
ok "unplugged" unplug
ok "an Uno" plug uno 0043 atmega32u4
check_eq "its serial number is its own" "$(attribute serial | grep -cE '^[0-9A-F]{20}$')" 1
ok "unplugged" unplug
ok "a Pro Micro" plug promicro 9206 atmega32u4
check_eq "it has no serial number" "$(attribute serial)" ""
ok "opened at 1200 baud and closed" stty -F /dev/ttyACM0 1200
ok "it starts its bootloader" until_true product 9205
ok "and after 8 s its sketch" until_true tty_there 9206
udevadm settle
ok "which is there for avrdude" dude -c stk500v1 -p m32u4 -U signature:r:-:h
ok "pulled out of its socket" bench_ctl unplug 1
ok "the tty is gone" until_true tty_gone
ok "done" bench_stop
finish
