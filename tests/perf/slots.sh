#!/usr/bin/env bash
# Many slots against one, two boards per slot, real timing, alternating: eight at most 1.1 times as long, thirty-two
# of a station that has one core at most 1.05 times. The bench has the other core. CPU seconds per board are printed.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

release >/dev/null
# run_slots N: ms from first board running to run end, for two boards in each of N slots, and the station's CPU ms.
run_slots() {
  local n=$1 i
  {
    echo 'station = "perf"; slots = ('
    for i in $(seq "$n"); do echo "{ name = \"$i\"; port = \"1-$i\"; programmer = \"usbasp\"; }$([ "$i" = "$n" ] || echo ,)"; done
    echo ');'
  } >"$work/n.cfg"
  bench_start --slots "$n" --timing real --operator auto --boards 2 --hand-ms 100 || return 1
  taskset -pac 0 "$bench_pid" >/dev/null
  local begin TIMEFORMAT='%U %S'
  begin=$(date +%s%N)
  { time taskset -c $(($(nproc) - 1)) "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/n.cfg" --db "$db" \
    --bench "$url" --ui plain --events "$watch" --operator test --count $((2 * n)) >"$work/run.out" 2>&1; } 2>"$work/cpu" ||
    { cat "$work/run.out"; return 1; }
  echo $((($(date +%s%N) - begin) / 1000000)) >"$work/ms"
  awk -v n="$n" '{ printf "%.0f\n", 1000 * ($1 + $2) / (2 * n) }' "$work/cpu" >"$work/cpu_ms"
  bench_stop
}
one=() eight=() many=() cpu=()
for round in 1 2 3; do
  ok "one slot, round $round" run_slots 1 && one+=("$(cat "$work/ms")")
  ok "eight slots, round $round" run_slots 8 && eight+=("$(cat "$work/ms")")
  ok "thirty-two slots, round $round" run_slots 32 && many+=("$(cat "$work/ms")") && cpu+=("$(cat "$work/cpu_ms")")
done
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
a=$(median "${eight[@]}") b=$(median "${one[@]}") c=$(median "${many[@]}")
ratio() { awk "BEGIN{printf \"%.3f\", $1/$2}"; }
echo "FIGURE two boards per slot: 8 slots $a ms, 1 slot $b ms, ratio $(ratio "$a" "$b") (8: ${eight[*]}; 1: ${one[*]})"
echo "FIGURE 32 slots on one core $c ms, ratio to 1 slot $(ratio "$c" "$b") (${many[*]}); $(median "${cpu[@]}") ms of CPU per board"
ok "eight slots: at most 1.1 times" awk "BEGIN{exit !($a <= 1.1*$b)}"
ok "thirty-two slots on one core: at most 1.05 times" awk "BEGIN{exit !($c <= 1.05*$b)}"
finish
