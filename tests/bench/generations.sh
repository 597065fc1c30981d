#!/usr/bin/env bash
# Every firmware generation of the USBasp, clones without SCK control too: two boards each, a virgin
# one and one that comes back, which keeps its serial.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

ok "release" release
for firmware in 2007 2009 2011 lc nr flash; do
  db=$work/$firmware.db
  ok "$firmware: bench" bench_start --slots 1 --timing fast --operator auto --boards 2 --hand-ms 20 --firmware $firmware
  ok "$firmware: two boards pass" station --count 2
  ok "$firmware: bench ends" bench_stop
  ok "$firmware: the chips hold the release" judge
  echo "   $firmware: SCK first and fast $(sql "select group_concat(number, ' ') from measures where name in ('sck_first_hz','sck_fast_hz')") Hz"

  # The same board twice in the jig: pass, off, on again.
  db=$work/$firmware-again.db
  bench_start --slots 1 --timing fast --operator manual --firmware $firmware
  events=$work/$firmware.json
  station_exec --ui json --count 2 --events /dev/null >"$events" 2>&1 &
  pid=$!
  until grep -q '"state":"waiting"' "$events"; do kill -0 $pid || break; sleep 0.05; done
  bench_ctl insert 1
  until grep -q '"state":"pass"' "$events"; do kill -0 $pid || break; sleep 0.05; done
  bench_ctl unplug 1
  until grep -q '"state":"absent"' "$events"; do kill -0 $pid || break; sleep 0.05; done
  bench_ctl plug 1
  wait $pid
  check_eq "$firmware: the board that came back keeps its serial" "$(sql "select count(*)||' attempts, '||count(distinct unit_id)||' unit' from attempts" 2>/dev/null ||
    sql "select count(*)||' attempts, '||count(distinct unit)||' unit' from attempts")" "2 attempts, 1 unit"
  bench_stop
done
finish
