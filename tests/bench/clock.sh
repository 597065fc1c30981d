#!/usr/bin/env bash
# The clock of a board: slow first and fast as soon as the fuses allow it; a temporary low fuse only where the recipe
# says so, on record before it is written and put right when an interrupted board comes back; a board that hears
# less than it should is asked slower, and the SCK that worked stands in the log.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

kinds=(usbasp usbtiny avrispmk2)
until_event() { # from the station's event stream
  local line
  while read -r line <&4; do [[ $line != *"$1"* ]] || return 0; done
  echo "never came: $*"
  return 1
}
start() { # the station on whatever is plugged; its events on 4, its process in $pid
  rm -f "$work/events" && mkfifo "$work/events"
  "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui json --operator test "$@" >"$work/events" 2>"$work/run.err" &
  pid=$!
  exec 4<"$work/events"
}
stop() {
  cat <&4 >/dev/null
  exec 4<&-
  wait $pid
}
low_fuse() { bench_ctl dump | jq -r '.slots[0].board.fuses[0]'; }
measure() { sql "select coalesce(text, number) from measures where name='$1' order by attempt desc limit 1"; }

ok "release" release
cp "$work/line.cfg" "$work/plain.cfg"

# ---- fuses that let the clock run: slow, then fast. Fuses that keep CKDIV8: slow all the way.
for kind in "${kinds[@]}"; do
  db=$work/$kind.speed.db
  bench_start --slots 1 --pod "$kind" --timing fast --operator auto --boards 1 --hand-ms 20
  ok "$kind: a fresh board passes" "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" \
    --operator test --count 1
  bench_stop
  first=$(measure sck_first_hz) fast=$(measure sck_fast_hz)
  echo "   $kind: $first Hz, then $fast Hz"
  ok "$kind: met below a quarter of 2 MHz" test "$first" -lt 500000
  [ "$kind" = usbtiny ] && check_eq "$kind: has nothing faster" "$fast" "$first" || ok "$kind: went on four times as fast" test "$fast" -ge $((4 * first))
  ok "$kind: at most a sixth of 16 MHz" test "$fast" -lt 2666667
  ok "$kind: the unit's life tells the SCK" eval "'$BUILD/pogo-yield' unit KB000001 --db '$db' | grep -qi 'sck'"
done

# ---- a 20 MHz board and the firmware that has 3 MHz, below a sixth of it
db=$work/flash.speed.db
cat >"$work/line.cfg" <<CFG
product = "part"; part = "atmega328p"; image = "line.hex"; crystal_hz = 20000000;
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
fuses = { low = 0xF7; high = 0xD0; ext = 0xFC; };
CFG
bench_start --slots 1 --pod usbasp:flash --chip atmega328p --crystal 20000000 --timing fast --operator auto --boards 1 --hand-ms 20
ok "3 MHz firmware: a board passes" "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" \
  --operator test --count 1
bench_stop
check_eq "3 MHz firmware: slow below 250 kHz, then 3 MHz" "$(measure sck_first_hz) $(measure sck_fast_hz)" "187500 3000000"
ok "3 MHz firmware: chip and release agree" "$BUILD"/tests/bench/judge "$state" "$work/line.hex" atmega328p F7,D0,FC FF

# ---- a temporary low fuse
fuses=5E,D8,FB
ok "release that keeps CKDIV8" release
cp "$work/line.cfg" "$work/plain.cfg"
echo 'fast_clock = true;' >>"$work/line.cfg"
for kind in usbasp avrispmk2; do
  db=$work/$kind.fast.db
  ok "$kind: bench" bench_start --slots 1 --pod "$kind" --timing fast --operator manual --faults "1.1:unplug=20000;1.2:hang=20000"
  start
  ok "$kind: waits" until_event '"state":"waiting"'
  ok "$kind: a board is set" bench_ctl insert 1
  ok "$kind: its plug comes out while it is programmed" until_event PROGRAMMER_LOST
  check_eq "$kind: the board now has the other low fuse" "$(low_fuse)" $((0xDE))
  check_eq "$kind: which is on record" "$(measure fuses_for_fast_phase)" DED8FB
  ok "$kind: the plug goes in again" bench_ctl plug 1
  ok "$kind: the board is done again" until_event '"status":"PASS"'
  kill -INT $pid
  stop
  check_eq "$kind: its own low fuse is back" "$(low_fuse)" $((0x5E))
  # The same with the station killed while its programmer hangs, and another one that finds the board.
  ok "$kind: a fresh board" bench_ctl swap 1
  start
  ok "$kind: is being programmed" until_event '"step":"program"'
  kill -KILL $pid
  stop 2>/dev/null
  check_eq "$kind: killed with the other low fuse on the board" "$(low_fuse)" $((0xDE))
  ok "$kind: the programmer is plugged anew" eval "bench_ctl unplug 1 && bench_ctl faults-clear 1 && bench_ctl plug 1"
  cp "$work/plain.cfg" "$work/line.cfg" # and by a recipe that does not allow it any more
  start --count 1
  ok "$kind: the next station passes it" until_event '"status":"PASS"'
  stop
  echo 'fast_clock = true;' >>"$work/line.cfg"
  ok "$kind: bench ends" bench_stop
  ok "$kind: chips and release agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" atmega32u4 "$fuses" "$lock" KB 6 8103F0
done
cp "$work/plain.cfg" "$work/line.cfg"

# ---- a crystal of 8 MHz where the recipe says 16: the chip hears half
for kind in "${kinds[@]}"; do
  db=$work/$kind.slow.db
  bench_start --slots 1 --pod "$kind" --timing fast --operator auto --boards 1 --hand-ms 20 --crystal 8000000
  ok "$kind: the slow board passes" "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" \
    --operator test --count 1
  bench_stop
  echo "   $kind: answered at $(measure sck_first_hz) Hz, the $(measure retries). step below the first"
  ok "$kind: answered below a quarter of 1 MHz" test "$(measure sck_first_hz)" -lt 250000
  ok "$kind: after slower tries" test "$(measure retries)" -ge 1
done
finish
