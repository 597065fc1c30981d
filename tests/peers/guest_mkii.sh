#!/usr/bin/env bash
# What avrdude says it did on an AVRISP mkII, Atmel's own or a LUFA clone, the bench's chips must show, with no rule of
# the silicon broken; what it reads back must be the same.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh && . tests/peers/dude.sh
product=2104

demo=fixtures/images
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
"$BUILD"/pogo-hex merge -o "$work/1286.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex
for firmware in genuine lufa; do
  # A new ATmega32U4 runs at 2 MHz, a 328P or 32A at 1 MHz: SCK of 250 or 125 kHz.
  programmer=(-c avrispmkII -P usb)
  peer "avrispmk2:$firmware" atmega32u4 m32u4 4 FF,D8,FB EF "$work/32u4.hex" $demo/demo_eeprom.hex
  check_eq "$firmware: the SCK that avrdude asked for" "$(jq .slots[0].pod.sck_hz "$state")" 250000
  peer "avrispmk2:$firmware" at90usb1286 usb1286 4 5E,D9,F3 EF "$work/1286.hex" $demo/demo_eeprom.hex
  programmer=(-c avrisp2 -P usb)
  peer "avrispmk2:$firmware" atmega328p m328p 8 F7,D0,FC EF "$work/32u4.hex" $demo/demo_eeprom.hex
  # Without EEPROM pages avrdude still sets "commit the page" in the message's mode, with 00 for the instruction, and the
  # programmers send it behind each block; the chip knows no such instruction and takes no harm.
  odd=00
  peer "avrispmk2:$firmware" atmega32a m32 8 1F,C0 EF "$work/32u4.hex" $demo/demo_eeprom.hex
  odd=
done

# --- what the programmer says of itself, and of a jig without a board
ok "genuine without a board" plug avrispmk2:genuine atmega32u4 --timing fast
ok "taken off" bench_ctl remove 1
dude -v -p m32u4 >"$work/none.out" 2>&1
check_eq "avrdude finds no target" $? 1
ok "it names the programmer" grep -q 'Programmer Model: *AVRISP mkII' "$work/none.out"
ok "and its firmware, 1.18 hex" grep -q 'Firmware Version Controller *: 1.24' "$work/none.out"
ok "which saw that there is no target" grep -q 'Target not detected' "$work/none.out"
ok "unplugged" unplug
finish
