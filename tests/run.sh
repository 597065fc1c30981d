#!/usr/bin/env bash
# run.sh SUITE…: runs the suites (unit, smoke, bench, packaging, usb, peers, perf), says what failed, and closes
# with "N passed, N failed". A suite is a folder of programs or scripts; each prints its own cases.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
export BUILD=${BUILD:-build} POGOLINE_CONFIGS=$PWD/configs
log=$BUILD/test-logs
mkdir -p "$log"
passed=0 failed=0

# run_one NAME COMMAND…: its output and exit status into files of the log folder.
run_one() {
  local out=$log/${1//\//_} begin=$SECONDS
  shift
  "$@" >"$out.log" 2>&1 </dev/null
  echo $? $((SECONDS - begin)) >"$out.status"
}

# judge_one NAME: counts its cases: cmocka's summary, or closing lines "N passed, N failed".
judge_one() {
  local out=$log/${1//\//_} p f status seconds
  read -r status seconds <"$out.status"
  read -r p f < <(awk '
    /^\[  PASSED  \] [0-9]+ test/ { p += $4 }
    /^\[  FAILED  \] [0-9]+ test/ { f += $4 }
    /^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3 }
    END { print p + 0, f + 0 }' "$out.log")
  # A program that fails, or ends without having run a case, is a failure whatever it printed.
  if { [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; } || [ $((p + f)) -eq 0 ]; then f=$((f + 1)); fi
  passed=$((passed + p)) failed=$((failed + f))
  printf '%-34s %4d passed %3d failed %5ds\n' "$1" "$p" "$f" "$seconds"
  if [ "$f" -ne 0 ]; then
    echo "---- $out.log (status $status) ----"
    grep -E 'FAIL|ERROR|runtime error|Assertion|!=|not ok|SUMMARY' "$out.log" | head -n 30
    tail -n 25 "$out.log"
    echo "----"
  else
    sed -n 's/^FIGURE/  /p' "$out.log"
  fi
}

one() { run_one "$@" && judge_one "$1"; }

# Unit tests wait more than they compute: four at a time, judged in order.
unit() {
  local t running=0
  for t in "$BUILD"/tests/unit/test_*; do
    [ -x "$t" ] || continue
    run_one "unit/${t##*/}" "$t" &
    running=$((running + 1))
    [ $running -ge 4 ] && wait -n && running=$((running - 1))
  done
  wait
  for t in "$BUILD"/tests/unit/test_*; do [ -x "$t" ] && judge_one "unit/${t##*/}"; done
}

for suite in "$@"; do
  case $suite in
  unit) unit ;;
  smoke) one bench/smoke bash tests/bench/smoke.sh ;;
  bench) for t in tests/bench/*.sh; do one "bench/$(basename "$t" .sh)" bash "$t"; done ;;
  usb | peers) for t in tests/"$suite"/test_*.sh; do one "$suite/$(basename "$t" .sh)" bash "$t"; done ;;
  packaging) for t in tests/packaging/{manpages,completion,install,deb}.sh; do one "packaging/$(basename "$t" .sh)" bash "$t"; done ;;
  perf) for t in tests/perf/*.sh; do one "perf/$(basename "$t" .sh)" bash "$t"; done ;;
  *) echo "run.sh: no suite '$suite'" >&2; exit 2 ;;
  esac
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
