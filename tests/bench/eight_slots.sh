#!/usr/bin/env bash
# Eight slots, five boards each: everything on every chip is the release, every serial its own. Then one board in each of
# sixty-four, of every kind and firmware.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

ok "release" release
ok "bench" bench_start --slots 8 --timing fast --operator auto --boards 5 --hand-ms 20 --seed 11
station --count 40 >"$work/run.out" 2>&1
check_eq "all forty pass" $? 0
ok "the bench ends" bench_stop
"$BUILD"/tests/bench/judge "$state" "$work/line.hex" atmega32u4 FF,D8,FB EF KB 6 8103F0 >"$work/judge.out"
check_eq "forty chips equal the release, no rule broken" "$(tail -n 1 "$work/judge.out")" "judged: 40 boards, 40 compared, 0 defects"
cat "$work/judge.out"
check_eq "no violation at all" "$(jq .violations_total "$state")" 0
check_eq "forty passes in the log" "$(sql "select count(*) from attempts where status='PASS'")" 40
check_eq "forty serials committed" "$(sql "select count(*) from serials where state='COMMITTED'")" 40
check_eq "they are KB000001 to KB000040" "$(sql "select min(text)||' '||max(text)||' '||count(distinct text) from serials")" "KB000001 KB000040 40"
check_eq "five boards a slot" "$(sql "select count(*) from (select slot_id from attempts group by slot_id having count(*)=5)" 2>/dev/null ||
  sql "select count(*) from (select slot from attempts group by slot having count(*)=5)")" 8
check_eq "every attempt has its steps" "$(sql "select count(*) from attempts a where (select count(*) from steps s where s.attempt_id=a.id)<8" 2>/dev/null ||
  sql "select count(*) from attempts a where (select count(*) from steps s where s.attempt=a.id)<8")" 0
"$BUILD"/pogo-yield summary --db "$db" --json >"$work/summary.json"
ok "summary --json is JSON" jq -e . "$work/summary.json"
ok "one unit's life" "$BUILD"/pogo-yield unit KB000007 --db "$db"

db=$work/mixed.db
ok "bench of sixty-four" bench_start --slots 64 --timing fast --operator auto --boards 1 --hand-ms 20 --pod \
  "usbasp*16,usbasp:2009*4,usbasp:2007*4,usbasp:lc*4,usbasp:nr*4,usbtiny*10,usbtiny:1.05*2,avrispmk2:genuine*10,avrispmk2:lufa*10"
"$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" --operator test --count 64 >"$work/run.out" 2>&1
check_eq "all of them pass" $? 0
ok "the bench ends" bench_stop
check_eq "sixty-four chips equal the release, no rule broken" "$(judge | tail -n 1)" "judged: 64 boards, 64 compared, 0 defects"
check_eq "sixty-four serials" "$(sql "select count(distinct text) from serials where state='COMMITTED'")" 64
finish
