#!/usr/bin/env bash
# Debian's avrdude on the bench's pseudo-terminals, without any kernel's USB: every board, every part of the guide that
# the sketch can reach, faults, and a line of 64.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

boards=(uno micro promicro promicro-qmk teensy)
demo=fixtures/images
"$BUILD"/pogo-hex merge -o "$work/32u4.hex" $demo/demo_firmware.hex $demo/demo_bootloader.hex
"$BUILD"/pogo-hex merge -o "$work/want.hex" "$work/32u4.hex" $demo/demo_eeprom.hex@0x810000
"$BUILD"/pogo-hex merge -o "$work/1286.hex" $demo/demo1286_firmware.hex $demo/demo1286_bootloader.hex

# avrdude gives stk500v1 and avrisp the EEPROM's byte address, which the sketch doubles: each of the 32U4's pages of
# 4 bytes lands at twice its place, and is read from there again.
"$BUILD"/pogo-hex fill -o "$work/eeprom.bin" 0x0+0x20 --with FF $demo/demo_eeprom.hex
xxd -p -c 4 "$work/eeprom.bin" | sed 's/$/ffffffff/' | xxd -r -p >"$work/doubled.bin"
"$BUILD"/pogo-hex merge -o "$work/doubled.hex" "$work/32u4.hex" "$work/doubled.bin@0x810000"

# until_true COMMAND…: the limit only ends a test that would never end
until_true() {
  local limit=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $limit ] || { echo "never true: $*"; return 1; }
    sleep 0.05
  done
}
serve() {
  local part=$1
  shift
  bench_start --chip "$part" --tty-dir "$work/tty" --operator manual --timing fast "$@"
}
five() { serve "$1" --slots 5 --pod "stk500v1:${boards[0]},stk500v1:${boards[1]},stk500v1:${boards[2]},stk500v1:${boards[3]},stk500v1:${boards[4]}"; }
dude() {
  local position=$1
  shift
  timeout 300 avrdude -q -b 19200 -P "$work/tty/1-$position" "$@"
}
# avrdude takes a line that was quiet for 250 ms for drained. On a machine so busy that an answer comes later it takes that
# for the next one, and says so; what such a session did is done again, on a fresh bench.
late() { grep -qE 'protocol expects|not responding|not in sync|unknown response' "$work/try.out"; }
again() {
  for _ in 1 2 3 4 5 6; do
    "$@" >"$work/try.out" 2>&1 && bench_stop && return
    bench_stop
    cat "$work/try.out"
    late || return 1
  done
  return 1
}
judge_all() { "$BUILD"/tests/bench/judge --all "$state" "$@"; }
figures() { jq -r "[.slots[].pod.$1] | add" "$state"; }

# do_part PART AVRDUDE-ID FUSES LOCK FLASH.hex [OPTION…]: on the five boards, one after another
do_part() {
  local part=$1 id=$2 fuses=$3 lock=$4 flash=$5 position names=(lfuse hfuse efuse) i=0 value option=()
  shift 5
  for value in ${fuses//,/ }; do
    option+=(-U "${names[i]}:w:0x$value:m")
    i=$((i + 1))
  done
  five "$part" || return 1
  for position in 1 2 3 4 5; do
    bench_ctl insert $position &&
      dude $position -c arduino -p "$id" -U "flash:w:$flash:i" "${option[@]}" "$@" -U "lock:w:0x$lock:m" || return 1
  done
}
# one_part WANTED.hex PART AVRDUDE-ID FUSES LOCK …
one_part() {
  local wanted=$1
  shift
  ok "$1: avrdude writes and verifies it through ${boards[*]}" again do_part "$@"
  ok "$1: all five hold what avrdude wrote" judge_all "$wanted" "$1" "$3" "$4"
  check_eq "$1: no byte was lost or mistaken" "$(figures overflows) $(figures garbled) $(figures host_overflows)" "0 0 0"
}
one_part "$work/want.hex" atmega32u4 m32u4 FF,D8,FB EF "$work/32u4.hex" -U "eeprom:w:$demo/demo_eeprom.hex:i"
one_part "$work/32u4.hex" atmega328p m328p F7,D0,FC EF "$work/32u4.hex"
one_part "$work/32u4.hex" atmega32a m32 1F,C0 EF "$work/32u4.hex"
one_part "$work/1286.hex" at90usb1286 usb1286 5E,D9,F3 EF "$work/1286.hex"

# --- names of avrdude that take the sketch for a real STK500
do_name() {
  serve atmega32u4 --slots 1 --pod stk500v1:teensy && bench_ctl insert 1 &&
    dude 1 -c "$1" -p m32u4 -U "flash:w:$work/32u4.hex:i" -U "eeprom:w:$demo/demo_eeprom.hex:i" -U lfuse:w:0xFF:m
}
for name in stk500v1 avrisp; do
  ok "avrdude -c $name says that it wrote and verified EEPROM" again do_name $name
  ok "which lies at twice its addresses" judge_all "$work/doubled.hex" atmega32u4 FF,99,F3 FF
done

# --- troubles, as avrdude sees them
ok "a board" serve atmega32u4 --slots 1 --pod stk500v1:micro
ok "a chip" bench_ctl insert 1
ok "it will be pulled out in the middle" bench_ctl fault 1 unplug=9000
# avrdude 7.1 reads a terminal that was hung up for ever: it is ended when the terminal is gone.
avrdude -q -b 19200 -P "$work/tty/1-1" -c stk500v1 -p m32u4 -U "flash:w:$work/32u4.hex:i" >"$work/pulled.out" 2>&1 &
ok "the terminal is gone" until_true test ! -e "$work/tty/1-1"
kill $! 2>/dev/null
wait $!
check_eq "avrdude did not get through" "$(grep -c 'bytes of flash verified' "$work/pulled.out")" 0
ok "plugged in" bench_ctl plug 1
ok "it is back" until_true test -e "$work/tty/1-1"
ok "without a board" bench_ctl remove 1
ok "avrdude finds none" not dude 1 -c stk500v1 -p m32u4
ok "done" bench_stop

# --- a long line of many kinds
do_long() {
  serve atmega32u4 --slots 64 --pod "stk500v1:uno*20,usbasp*4,stk500v1:teensy*20,avrispmk2*4,stk500v1:promicro" &&
    [ "$(find "$work/tty" -type l | wc -l)" = 56 ] && bench_ctl insert 64 &&
    dude 64 -c avrisp -p m32u4 -U lfuse:v:0x5E:m
}
ok "of 64 positions 56 have terminals, and the last one works" again do_long
check_eq "no terminal is left" "$(find "$work/tty" -type l | wc -l)" 0
ok "a folder that cannot be made is refused" not "$BUILD"/pogo-bench serve --slots 1 --pod stk500v1 --chip atmega32u4 --listen 127.0.0.1:0 --tty-dir /proc/nowhere
finish
