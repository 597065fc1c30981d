#!/usr/bin/env bash
# If the log cannot be written, no board is started and none is shown as PASS.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

ok "release" release
ok "bench" bench_start --slots 2 --timing fast --operator auto --boards 40 --hand-ms 20

station --db "$work/no/such/folder/x.db" --count 1 >"$work/out" 2>&1
check_eq "a folder that is not there: exit 3" $? 3
ok "says which file" grep -q 'no/such/folder' "$work/out"
check_eq "one line" "$(grep -c 'pogo-station:' "$work/out")" 1

echo "not a database, only text that is longer than a header" >"$work/text.db"
station --db "$work/text.db" --count 1 >"$work/out" 2>&1
check_eq "a file that is no log: exit 2 or 3" "$([ $? -ge 2 ]; echo $?)" 0
check_eq "it is left as it was" "$(cat "$work/text.db")" "not a database, only text that is longer than a header"

# A disk that fills up in mid-run: a limit on file size does it without privileges.
(ulimit -f 600; station --ui json >"$work/full.json" 2>"$work/full.err")
check_eq "a full disk ends the run with exit 3" $? 3
ok "the sentence says so" grep -qiE 'full|too large|space' "$work/full.err"
cat "$work/full.err"
check_eq "every PASS that was shown is in the log" \
  "$(jq -r 'select(.event=="result" and .status=="PASS")|.attempt' "$work/full.json" | wc -l)" \
  "$(sql "select count(*) from attempts where status='PASS'")"
station --count 2 >"$work/out" 2>&1
check_eq "with room again the line goes on" $? 0

sqlite3 "$work/newer.db" "pragma application_id=$(sql "pragma application_id"); pragma user_version=9999; create table x(y)" 2>/dev/null
cp "$db" "$work/newer.db"
sqlite3 "$work/newer.db" "pragma user_version=9999" >/dev/null
station --db "$work/newer.db" --count 1 >"$work/out" 2>&1
check_eq "a newer schema is refused" "$([ $? -ge 2 ]; echo $?)" 0
ok "and says so" grep -qi 'newer' "$work/out"
"$BUILD"/pogo-yield summary --db "$work/newer.db" >"$work/out" 2>&1
check_eq "by pogo-yield too" "$([ $? -ge 2 ]; echo $?)" 0
finish
