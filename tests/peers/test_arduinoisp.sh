#!/usr/bin/env bash
# Other people's firmware: the ArduinoISP sketch of Debian's arduino package, built here for an ATmega328P, runs under
# simavr as the programmer of a virtual board: for avrdude, which shows that the rig is right, and for the station.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

cache=build/arduinoisp
core=/usr/share/arduino/hardware/arduino/avr
die() { echo "FAIL $*"; exit 3; }

# The package is only unpacked: installed it would bring Java. Kept under build/.
fetch_sketch() {
  [ -f "$cache/ArduinoISP.ino" ] && return
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  rm -rf "$cache/deb" && mkdir -p "$cache/deb/root"
  download() { (cd "$cache/deb" && apt-get -o APT::Sandbox::User=root download arduino) >"$cache/apt.log" 2>&1; }
  download || { "${root[@]}" apt-get update -qq >/dev/null 2>&1; download; } ||
    die "cannot download the package arduino, whose example is the sketch: $(tail -n 1 "$cache/apt.log"); try 'apt-get update'"
  dpkg-deb -x "$cache"/deb/arduino_*.deb "$cache/deb/root" || die "cannot unpack the package arduino"
  local sketch
  sketch=$(find "$cache/deb/root" -name ArduinoISP.ino | head -n 1)
  [ -n "$sketch" ] || die "the package arduino has no ArduinoISP.ino any more"
  cp "$sketch" "$cache/ArduinoISP.ino" && rm -rf "$cache/deb"
}

# As Arduino's own builder does it: prototypes in front, the core behind. The core prints floats with DECIMAL_DIG, which
# this libc does not define for C++.
build_sketch() {
  [ "$cache/sketch.hex" -nt "$0" ] && [ "$cache/sketch.hex" -nt "$cache/ArduinoISP.ino" ] && return
  local objects=$work/sketch source
  local options=(-mmcu=atmega328p -Os -w -ffunction-sections -fdata-sections -DF_CPU=16000000L -DARDUINO=10819 -DARDUINO_AVR_UNO
    -DARDUINO_ARCH_AVR -DDECIMAL_DIG=17 "-I$core/cores/arduino" "-I$core/variants/standard" "-I$core/libraries/SPI/src")
  mkdir -p "$objects"
  {
    echo '#include <Arduino.h>'
    echo 'void avrisp(); uint8_t write_flash_pages(int length); uint8_t write_eeprom_chunk(unsigned int start, unsigned int length);'
    cat "$cache/ArduinoISP.ino"
  } >"$objects/sketch.cpp"
  for source in "$core"/cores/arduino/*.{c,S}; do
    avr-gcc "${options[@]}" -c -o "$objects/${source##*/}.o" "$source" || return
  done
  for source in "$core"/cores/arduino/*.cpp "$core/libraries/SPI/src/SPI.cpp" "$objects/sketch.cpp"; do
    avr-g++ "${options[@]}" -std=gnu++11 -fno-exceptions -fno-threadsafe-statics -c -o "$objects/${source##*/}.o" "$source" || return
  done
  avr-gcc -mmcu=atmega328p -Os -Wl,--gc-sections -o "$objects/sketch.elf" "$objects"/*.o -lm &&
    avr-objcopy -O ihex "$objects/sketch.elf" "$cache/sketch.hex"
}

# plug PART: the sketch on a virtual Uno, with a new board on its pins; $tty
plug() {
  rm -f "$work/uno.out"
  "$BUILD"/tests/peers/arduinoisp "$cache/sketch.hex" "$1" "$state" >"$work/uno.out" 2>"$work/uno.err" &
  uno=$!
  while ! tty=$(sed -n 's/^listening on //p' "$work/uno.out" 2>/dev/null) || [ -z "$tty" ]; do
    kill -0 "$uno" 2>/dev/null || { echo "the sketch did not start: $(cat "$work/uno.err")"; return 1; }
    sleep 0.05
  done
}
unplug() { kill -TERM "$uno" && wait "$uno"; }
dude() { avrdude -q -b 19200 -P "$tty" "$@"; }
judge_uno() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }
figure() { jq ".$1" "$state"; }

fetch_sketch
ok "the sketch builds" build_sketch
demo=fixtures/images
# Small: at 19,200 baud a page of 128 bytes takes a fifth of a second, and this Uno's clock is a simulator's.
# The vectors, and the start-up code to which the first one leads.
"$BUILD"/pogo-hex crop -o "$work/app.hex" 0-0x7FF 0x3C80-0x3CFF $demo/demo_firmware.hex
"$BUILD"/pogo-hex crop -o "$work/boot.hex" 0x7000-0x73FF $demo/demo_bootloader.hex
"$BUILD"/pogo-hex merge -o "$work/small.hex" "$work/app.hex" "$work/boot.hex"
"$BUILD"/pogo-hex crop -o "$work/eeprom.hex" 0-0x1F $demo/demo_eeprom.hex

# --- avrdude. Of its names for this protocol only `arduino` counts EEPROM in words, as the sketch does.
"$BUILD"/pogo-hex merge -o "$work/want.hex" "$work/small.hex" "$work/eeprom.hex@0x810000"
ok "an ATmega32U4 on the Uno's pins" plug atmega32u4
ok "avrdude writes and verifies" dude -c stk500v1 -p m32u4 -U "flash:w:$work/small.hex:i" -U lfuse:w:0xFF:m -U hfuse:w:0xD8:m -U efuse:w:0xFB:m
ok "and the EEPROM" dude -c arduino -p m32u4 -U "eeprom:w:$work/eeprom.hex:i" -U lock:w:0xEF:m
ok "taken off" unplug
ok "the chip holds what avrdude wrote" judge_uno "$work/want.hex" atmega32u4 FF,D8,FB EF
check_eq "SCK is what the sketch set" "$(figure sck_hz)" 125000
# A virgin ATmega328P runs at 1 MHz: below a quarter of it.
ok "an ATmega328P" plug atmega328p
ok "avrdude writes and verifies" dude -c stk500v1 -p m328p -U "flash:w:$work/boot.hex:i" -U lfuse:w:0xF7:m -U hfuse:w:0xD0:m -U efuse:w:0xFC:m -U lock:w:0xEF:m
ok "taken off" unplug
ok "the chip holds what avrdude wrote" judge_uno "$work/boot.hex" atmega328p F7,D0,FC EF
# The rig is one that sees mistakes: what was not written is missed.
ok "and the judge would say otherwise" not judge_uno "$work/small.hex" atmega328p F7,D0,FC EF

# --- the station
app=$work/app.hex
ok "a release" release
ok "a new ATmega32U4" plug atmega32u4
printf 'station = "uno"; slots = ( { name = "1"; port = "%s"; programmer = "stk500v1"; } );\n' "$tty" >"$work/uno.cfg"
ok "the station flashes, fuses and verifies through the sketch" "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/uno.cfg" \
  --db "$db" --ui plain --events "$work/events" --operator test --count 1
ok "it says PASS" jq -es 'any(.[]; .event == "result" and .status == "PASS")' "$work/events"
ok "taken off" unplug
ok "the chip holds the release and its serial" judge_uno "$work/line.hex" atmega32u4 "$fuses" "$lock" KB 6 8103F0
check_eq "the log says so too" "$(sql "select count(*) from attempts where status='PASS'")" 1
finish
