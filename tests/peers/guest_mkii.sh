#!/usr/bin/env bash
# What avrdude says it did on an AVRISP mkII, Atmel's own or a LUFA clone, the bench's chips must show, with no rule of
# the silicon broken; what it reads back must be the same.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

mkii_there() { grep -qlx 2104 /sys/bus/usb/devices/*/idProduct; }
mkii_gone() { ! mkii_there; }
# plug FIRMWARE PART [BENCH OPTIONS…]: a bench with one mkII, attached, a board in its jig
plug() {
  local firmware=$1 part=$2
  shift 2
  [ -z "$bench_pid" ] || unplug || return 1
  bench_start --slots 1 --pod "avrispmk2:$firmware" --chip "$part" --operator manual "$@" || return 1
  attach 1 && until_true mkii_there && udevadm settle && bench_ctl insert 1
}
unplug() { usbip detach -p 0 && until_true mkii_gone && bench_stop; }
# dude OPTION…: avrdude ends each session with a reset of the device, which then is enumerated anew.
dude() {
  until_true mkii_there && udevadm settle && avrdude "$@"
}
# peer FIRMWARE NAME PART AVRDUDE-ID SCK-PERIOD FUSES LOCK FLASH.hex [EEPROM.hex]: write and verify, then read in a
# session of its own
peer() {
  local firmware=$1 name=$2 part=$3 id=$4 period=$5 fuses=$6 lock=$7 flash=$8 eeprom=$9 option=()
  plug "$firmware" "$part" --timing fast || return 1
  local names=(lfuse hfuse efuse) i=0 value
  for value in ${fuses//,/ }; do
    option+=(-U "${names[i]}:w:0x$value:m")
    i=$((i + 1))
  done
  [ -n "$eeprom" ] && option+=(-U "eeprom:w:$eeprom:i")
  dude -c "$name" -P usb -p "$id" -B "$period" -U "flash:w:$flash:i" "${option[@]}" -U "lock:w:0x$lock:m" || return 1
  dude -c "$name" -P usb -p "$id" -U "flash:v:$flash:i" -U "flash:r:$work/back.hex:i" -U "lfuse:r:$work/lfuse:h" || return 1
  unplug
}
judge_peer() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }
pod_figure() { jq ".slots[0].pod.$1" "$state"; }

demo=fixtures/images
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
"$BUILD"/pogo-hex fill -o "$work/32u4.bin" 0x0+0x8000 --with FF "$work/32u4.hex"
"$BUILD"/pogo-hex merge -o "$work/want.hex" "$work/32u4.hex" $demo/demo_eeprom.hex@0x810000
"$BUILD"/pogo-hex merge -o "$work/1286.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex
for firmware in genuine lufa; do
  # A new ATmega32U4 runs at 2 MHz, a 328P or 32A at 1 MHz: SCK of 250 or 125 kHz.
  ok "$firmware: avrdude does an ATmega32U4" peer $firmware avrispmkII atmega32u4 m32u4 4 FF,D8,FB EF "$work/32u4.hex" $demo/demo_eeprom.hex
  ok "$firmware: the chip holds what avrdude wrote" judge_peer "$work/want.hex" atmega32u4 FF,D8,FB EF
  "$BUILD"/pogo-hex fill -o "$work/back.bin" 0x0+0x8000 --with FF "$work/back.hex" # it leaves out FF at the end
  ok "$firmware: avrdude read back the same" cmp "$work/back.bin" "$work/32u4.bin"
  check_eq "$firmware: the SCK was kept for the second session" "$(pod_figure sck_hz)" 250000
  ok "$firmware: avrdude does an ATmega328P" peer $firmware avrisp2 atmega328p m328p 8 F7,D0,FC EF "$work/32u4.hex"
  ok "$firmware: the chip holds what avrdude wrote" judge_peer "$work/32u4.hex" atmega328p F7,D0,FC EF
  ok "$firmware: avrdude does an ATmega32A" peer $firmware avrisp2 atmega32a m32 8 1F,C0 EF "$work/32u4.hex"
  ok "$firmware: the chip holds what avrdude wrote" judge_peer "$work/32u4.hex" atmega32a 1F,C0 EF
  ok "$firmware: avrdude does an AT90USB1286" peer $firmware avrispmkII at90usb1286 usb1286 4 5E,D9,F3 EF "$work/1286.hex"
  ok "$firmware: the chip holds what avrdude wrote, above 64 KiB too" judge_peer "$work/1286.hex" at90usb1286 5E,D9,F3 EF
done

# --- what the programmer says of itself, and of a jig without a board
ok "genuine without a board" plug genuine atmega32u4 --timing fast
ok "taken off" bench_ctl remove 1
dude -v -c avrisp2 -P usb -p m32u4 >"$work/none.out" 2>&1
check_eq "avrdude finds no target" $? 1
ok "it names the programmer" grep -q 'Programmer Model: *AVRISP mkII' "$work/none.out"
ok "and its firmware, 1.18 hex" grep -q 'Firmware Version Controller *: 1.24' "$work/none.out"
ok "which saw that there is no target" grep -q 'Target not detected' "$work/none.out"
ok "unplugged" unplug
finish
