#!/usr/bin/env bash
# What avrdude says it did on a USBasp, the bench's chips must show, with no rule of the silicon broken.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh && . tests/peers/dude.sh
product=05dc programmer=(-c usbasp)

demo=fixtures/images
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
"$BUILD"/pogo-hex merge -o "$work/1286.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex
peer usbasp atmega32u4 m32u4 8 FF,D8,FB EF "$work/32u4.hex" $demo/demo_eeprom.hex
peer usbasp atmega328p m328p 8 F7,D0,FC EF "$work/32u4.hex" $demo/demo_eeprom.hex
peer usbasp atmega32a m32 8 1F,C0 EF "$work/32u4.hex" $demo/demo_eeprom.hex
peer usbasp at90usb1286 usb1286 8 5E,D9,F3 EF "$work/1286.hex" $demo/demo_eeprom.hex
finish
