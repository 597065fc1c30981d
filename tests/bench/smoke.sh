#!/usr/bin/env bash
# The shortest whole way: two jigs, two boards each, one of them bad.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

ok "release" release
ok "the bench starts" bench_start --slots 2 --timing fast --operator auto --boards 2 --hand-ms 20 --faults "2.2:stuck=0x1234.4.1"
cat >"$work/two.cfg" <<'CFG'
station = "two";
slots = ( { name = "1"; port = "1-1"; programmer = "usbasp"; }, { name = "2"; port = "1-2"; programmer = "usbasp"; } );
CFG
station --station "$work/two.cfg" --count 4 >"$work/run.out" 2>&1
check_eq "a failed board gives exit 1" $? 1
ok "the bench ends and leaves its state" bench_stop
ok "every board that passed carries the release" judge
check_eq "three passed" "$(sql "select count(*) from attempts where status='PASS'")" 3
check_eq "the bad one failed in verify" "$(sql "select code from attempts where status='FAIL'")" VERIFY
ok "the sentence says where" grep -q '0x1234' "$work/run.out"
ok "pogo-yield counts" "$BUILD"/pogo-yield summary --db "$db"
finish
