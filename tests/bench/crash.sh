#!/usr/bin/env bash
# kill -9 at twenty seeded instants. No serial twice, no shown result lost, every open attempt closed.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
seed=${SEED:-20}
RANDOM=$seed

ok "release" release
ok "bench" bench_start --slots 8 --timing fast --operator auto --hand-ms 30 --seed "$seed"
for n in $(seq 20); do
  station_exec --ui json >"$work/events.$n" 2>"$work/err.$n" &
  pid=$!
  # Wait until it works, then cut at a random instant of the work.
  until grep -q '"step":"erase"' "$work/events.$n"; do
    kill -0 $pid 2>/dev/null || break
    sleep 0.02
  done
  sleep "$(awk "BEGIN{print $RANDOM/32768*1.5}")"
  kill -9 $pid
  wait $pid 2>/dev/null
done
open=$(sql "select count(*) from attempts where status is null")
echo "   $open attempts open after the last cut (seed $seed)"
ok "the cuts hit boards in the middle" test "$(sql "select count(*) from attempts where code='ABORTED'")" -gt 0
station --ui json --count 8 >"$work/events.21" 2>"$work/err.21"
check_eq "afterwards eight boards run through" "$(grep -c '"event":"result"' "$work/events.21")" 8
if [ "$open" -gt 0 ]; then
  ok "start-up says what was interrupted" grep -q interrupted "$work/events.21"
fi
ok "the bench ends" bench_stop
cat "$work"/events.* >"$work/events"

check_eq "no attempt is left open" "$(sql "select count(*) from attempts where status is null")" 0
check_eq "no serial is left RESERVED or WRITTEN" "$(sql "select count(*) from serials where state in ('RESERVED','WRITTEN')")" 0
lost=0
while read -r attempt status; do
  [ "$(sql "select status from attempts where id=$attempt")" = "$status" ] || lost=$((lost + 1))
done < <(jq -rR 'fromjson? | select(.event=="result") | "\(.attempt) \(.status)"' "$work/events")
check_eq "every result that was shown is in the log ($(grep -c '"event":"result"' "$work/events") shown)" "$lost" 0
check_eq "no number was given to two units" "$(sql "select count(*)-count(distinct text) from serials")" 0
ok "boards that passed: release complete, no serial on two boards" judge
check_eq "the log is sound" "$(sql "pragma integrity_check; pragma foreign_key_check")" ok
finish
