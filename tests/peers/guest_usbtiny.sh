#!/usr/bin/env bash
# What avrdude says it did on a USBtiny, the bench's chips must show, with no rule of the silicon broken.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh && . tests/peers/dude.sh
product=0c9f programmer=(-c usbtiny)

demo=fixtures/images
# Whole EEPROM pages without FF: see below.
printf 'EEPROM BY AVRDUDE ON A USBTINY: 48 BYTES, NO FF.' >"$work/eeprom.bin"
"$BUILD"/pogo-hex convert -o "$work/eeprom.hex" "$work/eeprom.bin@0"
# Small images: each byte that avrdude reads is a request or a part of one, and this machine is slow.
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
"$BUILD"/pogo-hex crop -o "$work/small.hex" 0-0x7FF 0x7000-0x73FF "$work/32u4.hex"
"$BUILD"/pogo-hex merge -o "$work/1286-whole.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex
"$BUILD"/pogo-hex crop -o "$work/1286.hex" 0-0x7FF 0x1E000-0x1E3FF "$work/1286-whole.hex"
peer usbtiny atmega32u4 m32u4 1 FF,D8,FB EF "$work/32u4.hex" "$work/eeprom.hex"
# A new ATmega328P or 32A runs at 1 MHz: SCK below 250 kHz.
peer usbtiny atmega328p m328p 5 F7,D0,FC EF "$work/small.hex" "$work/eeprom.hex"
peer usbtiny atmega32a m32 5 1F,C0 EF "$work/small.hex" "$work/eeprom.hex"
# avrdude 7.0 and older verified the upper half against the lower one; 7.1 reads it byte by byte, as we do:
# 65536 requests, too many for this machine.
verify_only=yes
peer usbtiny at90usb1286 usb1286 1 5E,D9,F3 EF "$work/1286.hex" "$work/eeprom.hex"

# --- FF in the EEPROM, and more behind it: up to 7.2 avrdude gives the firmware poll values of 00 where the part's entry
# has none. FF is what a chip at work reads, so it then ends the firmware's wait at once and the next byte comes too early.
# avrdudes/avrdude issue 1508, mended in 7.3 by poll values of FF: the fault is neither the programmer's nor the chip's.
printf 'A\377BC' >"$work/ff.bin"
"$BUILD"/pogo-hex convert -o "$work/ff.hex" "$work/ff.bin@0"
ok "a board for FF in the EEPROM" plug usbtiny atmega32u4 --timing fast
dude -p m32u4 -B 1 -e -U "eeprom:w:$work/ff.hex:i" >"$work/ff.out" 2>&1
status=$?
version=$(avrdude -v 2>&1 | sed -n 's/.*[Vv]ersion \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
ok "unplugged" unplug
found=$(jq -r '.boards[0].chip.eeprom[0:8]' "$state") early=$(jq '.boards[0].chip.violations.busy > 0' "$state")
if [ "$(printf '%s\n7.3\n' "$version" | sort -V | head -n 1)" = 7.3 ]; then
  check_eq "avrdude $version writes 41 FF 42 43" "$status $found $early" "0 41FF4243 false"
else
  check_eq "avrdude $version loses the byte behind FF and notices; the chip was spoken to too early" "$status $found $early" "1 41FFFF43 true"
fi
finish
