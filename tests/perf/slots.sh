#!/usr/bin/env bash
# Eight slots against one, two boards per slot, real timing: at most 1.1 times as long. Alternating.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

release >/dev/null
# run_slots N: seconds from first board running to run end, for two boards in each of N slots
run_slots() {
  local n=$1 i
  {
    echo 'station = "perf"; slots = ('
    for i in $(seq "$n"); do echo "{ name = \"$i\"; port = \"1-$i\"; programmer = \"usbasp\"; }$([ "$i" = "$n" ] || echo ,)"; done
    echo ');'
  } >"$work/n.cfg"
  bench_start --slots "$n" --timing real --operator auto --boards 2 --hand-ms 100 || return 1
  local begin
  begin=$(date +%s%N)
  station --station "$work/n.cfg" --count $((2 * n)) >"$work/run.out" 2>&1 || { cat "$work/run.out"; return 1; }
  echo $((($(date +%s%N) - begin) / 1000000)) >"$work/ms"
  bench_stop
}
one=() eight=()
for round in 1 2 3; do
  ok "one slot, round $round" run_slots 1 && one+=("$(cat "$work/ms")")
  ok "eight slots, round $round" run_slots 8 && eight+=("$(cat "$work/ms")")
done
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
a=$(median "${eight[@]}") b=$(median "${one[@]}")
echo "FIGURE two boards per slot: 8 slots $a ms, 1 slot $b ms, ratio $(awk "BEGIN{printf \"%.3f\", $a/$b}") (8: ${eight[*]}; 1: ${one[*]})"
ok "at most 1.1 times" awk "BEGIN{exit !($a <= 1.1*$b)}"
finish
