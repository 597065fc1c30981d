#!/usr/bin/env bash
# 500 boards in one run: memory and threads stay flat.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

ok "release" release
ok "bench" bench_start --slots 8 --timing fast --operator auto --hand-ms 2
station_exec --count 500 >"$work/run.out" 2>&1 &
pid=$!
samples=$work/samples
# A sample per hundred boards finished: resident KiB and threads.
for mark in 100 200 300 400 490; do
  until [ "$(grep -c ' PASS' "$work/run.out")" -ge $mark ]; do
    kill -0 $pid 2>/dev/null || break
    sleep 0.05
  done
  awk -v m=$mark '/VmRSS/{r=$2} /Threads/{t=$2} END{print m, r, t}' /proc/$pid/status >>"$samples" 2>/dev/null
done
wait $pid
check_eq "all 500 pass" $? 0
cat "$samples"
read -r _ rss1 threads1 <"$samples"
read -r _ rss2 threads2 < <(tail -n 1 "$samples")
check_eq "the number of threads stays" "$threads1" "$threads2"
ok "resident memory stays within 1 MiB of what it was at 100 boards" test "$rss2" -le $((rss1 + ${SLACK_KIB:-1024}))
echo "FIGURE 500 boards: resident $rss1 KiB at 100 boards, $rss2 KiB at 490; threads $threads1 and $threads2"
check_eq "500 in the log" "$(sql "select count(*) from attempts where status='PASS'")" 500
finish
