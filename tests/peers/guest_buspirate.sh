#!/usr/bin/env bash
# guest_buspirate.sh ftdi|pty: what avrdude says it did through a Bus Pirate, on the ttyUSB of the kernel's ftdi_sio or on
# the bench's own terminal, the bench's chips must show, with no rule of the silicon broken; what it reads back must be
# the same. In real time: avrdude enables programming right after it pulled RESET low, and only the FTDI chip's latency
# of 16 ms for each answer makes that the 20 ms that a chip needs.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
wire=$1
[ "$wire" = pty ] || . tests/usb/guest.sh

tty_there() { [ -c /dev/ttyUSB0 ]; }
tty_gone() { [ ! -e /dev/ttyUSB0 ]; }
# plug PART [BENCH OPTIONS…]: a bench with one Bus Pirate, and a board in its jig; $tty
plug() {
  local part=$1
  shift
  bench_start --slots 1 --pod buspirate --chip "$part" --operator manual "$@" --tty-dir "$work/tty" || return 1
  tty=$work/tty/1-1
  bench_ctl insert 1
}
unplug() { bench_stop; }
if [ "$wire" = ftdi ]; then
  plug() {
    local part=$1
    shift
    bench_start --slots 1 --pod buspirate --chip "$part" --operator manual "$@" || return 1
    tty=/dev/ttyUSB0
    attach 1 && until_true tty_there && udevadm settle && bench_ctl insert 1 || return 1
    # As the kernel sets it up: this project's udev rule makes it 1.
    echo 16 >/sys/class/tty/ttyUSB0/device/latency_timer
  }
  unplug() { usbip detach -p 0 && until_true tty_gone && bench_stop; }
fi
# Its own time-out of 100 ms is short for a machine that is at other things too.
# Two answers, each within the latency, are mostly the 20 ms and not always: then it finds no target, and is called again.
dude() {
  local status
  for _ in 1 2 3 4 5 6; do
    timeout 250 avrdude -q -c buspirate -P "$tty" -x serial_recv_timeout=1000 "$@" >"$work/dude.out" 2>&1
    status=$?
    [ $status -ne 0 ] && grep -q 'ISP clock is too fast for the target' "$work/dude.out" || break
  done
  cat "$work/dude.out"
  return $status
}
# peer PART AVRDUDE-ID SPIFREQ FUSES FLASH.hex EEPROM.hex: write and verify, in one session
peer() {
  local part=$1 id=$2 speed=$3 fuses=$4 flash=$5 eeprom=$6 option=() names=(lfuse hfuse efuse) i=0 value
  plug "$part" --timing real || return 1
  for value in ${fuses//,/ }; do
    option+=(-U "${names[i]}:w:0x$value:m")
    i=$((i + 1))
  done
  dude -p "$id" -x "spifreq=$speed" -U "flash:w:$flash:i" -U "eeprom:w:$eeprom:i" "${option[@]}" -U lock:w:0xEF:m
}
judge_peer() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }
pod_figure() { jq -r ".slots[0].pod.$1" "$state"; }

# Small, and in two places: every page costs avrdude three answers, every byte of EEPROM four.
demo=fixtures/images
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
"$BUILD"/pogo-hex crop -o "$work/small.hex" 0-0x7FF 0x7000-0x73FF "$work/32u4.hex"
"$BUILD"/pogo-hex fill -o "$work/small.bin" 0x0+0x8000 --with FF "$work/small.hex"
"$BUILD"/pogo-hex crop -o "$work/eeprom.hex" 0-0x0F $demo/demo_eeprom.hex
"$BUILD"/pogo-hex merge -o "$work/want.hex" "$work/small.hex" "$work/eeprom.hex@0x810000"
"$BUILD"/pogo-hex merge -o "$work/large.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex
"$BUILD"/pogo-hex crop -o "$work/1286.hex" 0-0x7FF 0x1E000-0x1E3FF "$work/large.hex"
"$BUILD"/pogo-hex merge -o "$work/want1286.hex" "$work/1286.hex" "$work/eeprom.hex@0x810000"

# A new ATmega32U4 or AT90USB1286 runs at 2 MHz: 250 kHz of SCK; a 328P or 32A at 1 MHz: 125 kHz.
ok "avrdude does an ATmega32U4" peer atmega32u4 m32u4 2 FF,D8,FB "$work/small.hex" "$work/eeprom.hex"
ok "and reads it back in a session of its own" dude -p m32u4 -x spifreq=3 -U "flash:r:$work/back.hex:i" -U "eeprom:v:$work/eeprom.hex:i" -U lfuse:v:0xFF:m
ok "unplugged" unplug
ok "the chip holds what avrdude wrote" judge_peer "$work/want.hex" atmega32u4 FF,D8,FB EF
"$BUILD"/pogo-hex fill -o "$work/back.bin" 0x0+0x8000 --with FF "$work/back.hex" # it leaves out FF at the end
ok "avrdude read back the same" cmp "$work/back.bin" "$work/small.bin"
check_eq "SCK was that of the second session" "$(pod_figure sck_hz)" 1000000
check_eq "no byte was lost, nothing refused" "$(pod_figure overflows) $(pod_figure host_overflows) $(pod_figure refused)" "0 0 0"
ok "avrdude does an ATmega328P" peer atmega328p m328p 1 F7,D0,FC "$work/small.hex" "$work/eeprom.hex"
ok "and verifies it in a session of its own" dude -p m328p -x spifreq=1 -U "flash:v:$work/small.hex:i"
ok "unplugged" unplug
ok "the chip holds what avrdude wrote" judge_peer "$work/want.hex" atmega328p F7,D0,FC EF
ok "avrdude does an ATmega32A" peer atmega32a m32 1 1F,C0 "$work/small.hex" "$work/eeprom.hex"
ok "and verifies it in a session of its own" dude -p m32 -x spifreq=1 -U "flash:v:$work/small.hex:i"
ok "unplugged" unplug
ok "the chip holds what avrdude wrote" judge_peer "$work/want.hex" atmega32a 1F,C0 EF
ok "avrdude does an AT90USB1286" peer at90usb1286 usb1286 2 5E,D9,F3 "$work/1286.hex" "$work/eeprom.hex"
ok "and verifies it in a session of its own" dude -p usb1286 -x spifreq=2 -U "flash:v:$work/1286.hex:i"
ok "unplugged" unplug
ok "the chip holds what avrdude wrote, above 64 KiB too" judge_peer "$work/want1286.hex" at90usb1286 5E,D9,F3 EF
check_eq "nothing was refused" "$(pod_figure refused)" 0

# --- what avrdude cannot do
if [ "$wire" = pty ]; then
  # The last two pages of 128 KiB: the firmware adds words to bytes and refuses to read them; avrdude then goes by bytes.
  printf '%256s' '' | tr ' ' K >"$work/last.bin"
  "$BUILD"/pogo-hex merge -o "$work/last.hex" "$work/last.bin@0x1FF00"
  ok "an AT90USB1286" plug at90usb1286 --timing real
  dude -p usb1286 -x spifreq=2 -U "flash:w:$work/last.hex:i" >"$work/last.out" 2>&1
  check_eq "avrdude writes the last page of 128 KiB and verifies it" $? 0
  ok "unplugged" unplug
  check_eq "which the firmware refused to read by page" "$(pod_figure refused) $(grep -c 'Paged Read command returned zero' "$work/last.out")" "1 1"
  check_eq "so that each of its bytes was a command" "$([ "$(pod_figure commands)" -gt 256 ] && echo yes)" yes
  # In no time at all the chip is still asleep when avrdude asks it to listen.
  ok "a Bus Pirate without any latency" plug atmega32u4 --timing fast
  dude -p m32u4 -x spifreq=2 >"$work/fast.out" 2>&1
  check_eq "avrdude does not wait 20 ms after RESET" "$? $(grep -c 'initialization failed' "$work/fast.out")" "1 1"
  ok "unplugged" unplug
fi
# Its default SCK is too slow to be wrong, 2 MHz too fast for a new chip.
ok "an ATmega32U4" plug atmega32u4 --timing real
ok "avrdude finds it at 30 kHz" dude -p m32u4
dude -p m32u4 -x spifreq=4 >"$work/quick.out" 2>&1
check_eq "and not at 2 MHz" $? 1
ok "taken off" bench_ctl remove 1
dude -p m32u4 >"$work/none.out" 2>&1
check_eq "nor without a board" $? 1
ok "unplugged" unplug
finish
