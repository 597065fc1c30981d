#!/usr/bin/env bash
# What st-info, st-flash and OpenOCD say of an STM32F103 behind an ST-Link, the bench's chip must show, with no rule of
# the flash controller broken; what they call trouble must be trouble. Then station and tools in turn, on one board each.
#
#   guest_stlink.sh          all of it, one turn
#   guest_stlink.sh turns N  only N turns, with the limits of the medians
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

# The core of the board takes a gigabyte of addresses, of which it uses little.
echo 1 >/proc/sys/vm/overcommit_memory

link_there() { grep -qlxE '3748|3752|3754' /sys/bus/usb/devices/*/idProduct; }
link_gone() { ! link_there; }
# plug FIRMWARE [BENCH OPTIONS…]: a bench with one ST-Link, attached, a Bluepill in its jig
plug() {
  local firmware=$1
  shift
  [ -z "$bench_pid" ] || unplug || return 1
  bench_start --slots 1 --pod "stlink:$firmware" --chip stm32f103x8 --operator manual "$@" || return 1
  attach 1 && until_true link_there && udevadm settle && bench_ctl insert 1
}
unplug() { usbip detach -p 0 && until_true link_gone && bench_stop; }
# says EXIT WORDS COMMAND…: exits so, and says so
says() {
  local want=$1 words=$2 status
  shift 2
  "$@" >"$work/said" 2>&1
  status=$?
  cat "$work/said"
  [ $status -eq "$want" ] && grep -qE -- "$words" "$work/said"
}
ocd() { timeout 120 openocd -f interface/stlink.cfg "${tap[@]}" -f target/stm32f1x.cfg "$@"; }
# chip FIELD: of the one board, when the bench has ended
chip() { jq -r ".boards[0].chip.$1" "$state"; }
# same FILE BYTES: the board's flash is that file, and blank behind it; nothing was done against the rules
same() {
  chip flash | xxd -r -p >"$work/flash.bin"
  cmp -n "$2" "$work/flash.bin" "$1" && [ "$(tail -c "+$(($2 + 1))" "$work/flash.bin" | tr -d '\377' | wc -c)" = 0 ] &&
    [ "$(jq '.boards[0].chip.violations | add' "$state")" = 0 ]
}

# A program: vectors, and a branch to itself.
image() { head -c "$2" /dev/urandom >"$1" && printf '\x00\x50\x00\x20\x09\x00\x00\x08\xfe\xe7' | dd of="$1" conv=notrunc status=none; }
image "$work/8k.bin" 8192
image "$work/64k.bin" 65536
tap=()

recipe() { # FILE
  "$BUILD"/pogo-hex convert -o "$work/line.hex" "$1@0x08000000" && cat >"$work/line.cfg" <<CFG
product = "part"; part = "stm32f103x8"; image = "line.hex";
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
CFG
}

# --- in turn with the others
# in_turn FILE ROUNDS: milliseconds of each, one fresh board each time, real timing
declare -A took
once() { # NAME COMMAND…
  local name=$1 begin
  shift
  bench_ctl remove 1 >/dev/null 2>&1
  bench_ctl insert 1 || return 1
  begin=$(date +%s%N)
  "$@" >"$work/$name.out" 2>&1 || { cat "$work/$name.out"; return 1; }
  took[$name]+=" $((($(date +%s%N) - begin) / 1000000))"
}
# The tools are started for each board, a station once for many: of it the time of the board counts. What the whole command
# takes for a single board is told beside it.
turn_station() {
  timeout 120 "$BUILD"/pogo-station run "$work/line.cfg" --db "$work/turn.db" --ui plain --events "$watch" --operator test --count 1 &&
    took[board]+=" $(sqlite3 "$work/turn.db" "SELECT duration_us / 1000 FROM attempts ORDER BY id DESC LIMIT 1")"
}
median() { tr ' ' '\n' <<<"$1" | sed '/^$/d' | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
in_turn() {
  local i
  took=()
  for ((i = 0; i < $2; i++)); do
    once station turn_station && once st-flash st-flash --reset --format binary write "$1" 0x08000000 &&
      once openocd ocd -c "program $1 verify reset exit 0x08000000" || return 1
  done
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
at_most() { awk -v a="$1" -v b="$2" -v limit="$3" 'BEGIN { exit !(a > 0 && b > 0 && a <= b * limit) }'; }
# turns SIZE ROUNDS: and what a board took, in steps.
turns() {
  local size=$1
  s='' f='' o=''
  recipe "$work/$size.bin"
  plug j37 --timing real
  if in_turn "$work/$size.bin" "$2"; then
    s=$(median "${took[board]}") f=$(median "${took[st-flash]}") o=$(median "${took[openocd]}")
    echo "FIGURE $size: station $s ms, st-flash $f ms ($(ratio "$s" "$f")), OpenOCD $o ms ($(ratio "$s" "$o")); station${took[board]} (whole command${took[station]}), st-flash${took[st-flash]}, OpenOCD${took[openocd]}"
    echo "FIGURE $size, steps in ms: $(sqlite3 "$work/turn.db" "SELECT group_concat(name || ' ' || duration_us / 1000, ', ') FROM steps
      WHERE attempt = (SELECT max(id) FROM attempts)")"
    ok "$size: the station is faster than both" test "$s" -lt "$f" -a "$s" -lt "$o"
  else
    ok "$size in turn" false
  fi
  unplug
}
if [ "${1:-}" = turns ]; then
  turns 64k "$2"
  ok "64 KiB: at most 0.40 of st-flash" at_most "$s" "$f" 0.40
  ok "64 KiB: at most 0.75 of OpenOCD" at_most "$s" "$o" 0.75
  turns 8k "$2"
  ok "8 KiB: at most 0.70 of st-flash" at_most "$s" "$f" 0.70
  finish
fi

# --- st-info, st-flash
ok "an ST-Link" plug j37 --timing fast
ok "st-info finds a chip 0x0410" says 0 'chipid: +0x0?410' st-info --probe
ok "with 64 KiB of flash in pages of 1 KiB" grep -qE 'flash: +65536 \(pagesize: 1024\)' "$work/said"
ok "and 20 KiB of SRAM" grep -qE 'sram: +20480' "$work/said"
ok "st-flash writes 8 KiB and verifies" says 0 'Flash written and verified! jolly good!' \
  st-flash --reset --format binary write "$work/8k.bin" 0x08000000
ok "st-flash reads it back" says 0 . st-flash read "$work/back.bin" 0x08000000 8192
ok "the same" cmp "$work/back.bin" "$work/8k.bin"
ok "put aside" bench_ctl remove 1
ok "done" unplug
ok "the chip holds the file, no rule broken" same "$work/8k.bin" 8192
check_eq "and runs it" "$(chip pc)" $((0x08000008))

for firmware in j37-copy j37-raw j26 v2-1; do
  ok "$firmware: st-flash writes 8 KiB and verifies" eval "plug $firmware --timing fast && says 0 'jolly good' \
    st-flash --reset --format binary write '$work/8k.bin' 0x08000000 && bench_ctl remove 1 && unplug"
  ok "$firmware: the chip holds the file" same "$work/8k.bin" 8192
done
ok "garbled: st-info skips a dongle whose serial has eight characters" eval \
  "plug j37-garbled --timing fast && says 0 'Found 0 stlink programmers' st-info --probe"

# --- OpenOCD
ok "OpenOCD probes, programs 64 KiB and verifies" eval "plug j37 --timing fast && says 0 'Verified OK' \
  ocd -c 'program $work/64k.bin verify reset exit 0x08000000' && bench_ctl remove 1 && unplug"
ok "the chip holds the file" same "$work/64k.bin" 65536
ok "a clone's debug port id is refused by OpenOCD" eval "plug j37 --timing fast --faults '1.*:cs32' &&
  says 1 'UNEXPECTED idcode' ocd -c init -c exit"
tap=(-c 'set CPUTAPID 0x2ba01477')
ok "and taken when told so" says 0 'Verified OK' ocd -c "program $work/8k.bin verify reset exit 0x08000000"
tap=()
ok "st-flash takes the clone" says 0 'jolly good' st-flash --reset --format binary write "$work/8k.bin" 0x08000000

# --- protected, as delivered: what everybody meets first
ok "OpenOCD unlocks a protected chip" eval "plug j37 --timing fast --faults '1.*:protected' &&
  says 0 'stm32x unlocked' ocd -c init -c 'reset halt' -c 'stm32f1x unlock 0' -c 'reset halt' -c exit"
ok "and programs it then" says 0 'Verified OK' ocd -c "program $work/8k.bin verify reset exit 0x08000000"
ok "done" eval "bench_ctl remove 1 && unplug"
check_eq "the chip is open" "$(chip protected)" false
ok "and holds the file" eval "chip flash | xxd -r -p | cmp -n 8192 - '$work/8k.bin'"
ok "a size word of 0 is an unknown memory region to st-flash" eval "plug j37 --timing fast --faults '1.*:size=0' &&
  says 255 'Unknown memory region' st-flash --reset --format binary write '$work/8k.bin' 0x08000000"
ok "no NRST wire: st-flash resets by the core" eval "plug j37 --timing fast --faults '1.*:no-nrst' &&
  says 0 'jolly good' st-flash --reset --format binary write '$work/8k.bin' 0x08000000"
ok "no chip: st-info has none to show" eval "plug j37 --timing fast --faults '1.*:no-contact' && says 0 'chipid: +0x0?000' st-info --probe"
ok "unplugged" unplug

# --- the station through the same kernel, then in turn with the others
usb_station() {
  timeout 120 "$BUILD"/pogo-station run "$work/line.cfg" --db "$work/$RANDOM.db" --ui plain --events "$watch" --operator test --count 1
}
recipe "$work/64k.bin"
ok "the station passes a board on the real kernel" eval "plug j37 --timing fast && usb_station && bench_ctl remove 1 && unplug"
ok "the chip holds the file, no rule broken" same "$work/64k.bin" 65536

turns 64k 1
turns 8k 1
finish
