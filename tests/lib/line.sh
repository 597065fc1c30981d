# line.sh: a virtual line for test scripts. Source it; everything it starts dies with the script.
#
#   work                 a fresh folder, removed at the end
#   release [OPTIONS…]   $work/line.hex and $work/line.cfg from the demo images, with a serial in EEPROM
#   bench_start ARGS…    pogo-bench on a free port: $url $watch $control $state
#   bench_stop           ends it; its state is then in $state
#   station ARGS…        pogo-station run on that bench (extra options behind)
#   ok NAME COMMAND…     a case: passes when the command does
#   check_eq NAME A B    a case: passes when equal
#   finish               prints the closing line and ends

BUILD=${BUILD:-build}
export POGOLINE_CONFIGS=${POGOLINE_CONFIGS:-$PWD/configs}
work=$(mktemp -d "${TMPDIR:-/tmp}/pogoline.XXXXXX")
passed=0 failed=0
bench_pid=
control=$work/control watch=$work/watch state=$work/state.json db=$work/line.db

cleanup() {
  [ -n "$bench_pid" ] && kill "$bench_pid" 2>/dev/null
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null
  wait 2>/dev/null
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

ok() {
  local name=$1
  shift
  if "$@" >"$work/case.out" 2>&1; then
    passed=$((passed + 1))
    echo "ok   $name"
  else
    failed=$((failed + 1))
    echo "FAIL $name (status $?): $*"
    tail -n 15 "$work/case.out"
  fi
}

not() { ! "$@"; }

check_eq() {
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
    echo "ok   $1"
  else
    failed=$((failed + 1))
    echo "FAIL $1: '$2' != '$3'"
  fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

fuses=FF,D8,FB lock=EF
release() {
  "$BUILD"/pogo-hex release --part atmega32u4 --bootloader fixtures/images/demo_bootloader.hex \
    --app "${app:-fixtures/images/demo_firmware.hex}" --fuses "$fuses" --lock "$lock" --product "${product:-line}" \
    -o "$work/line.hex" --manifest "$work/line.json" --recipe "$work/line.cfg" "$@" || return
  cat >>"$work/line.cfg" <<'CFG'
serial = { prefix = "KB"; width = 6; first = 1; memory = "eeprom"; address = 0x3F0; };
CFG
}

bench_start() {
  rm -f "$work/bench.out"
  "$BUILD"/pogo-bench serve --pod usbasp --chip atmega32u4 --listen 127.0.0.1:0 --control "$control" --watch "$watch" \
    --state "$state" "$@" >"$work/bench.out" 2>"$work/bench.err" &
  bench_pid=$!
  local port
  # The line comes when the bench listens; a bench that cannot start ends instead.
  while ! port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/bench.out" 2>/dev/null) || [ -z "$port" ]; do
    kill -0 "$bench_pid" 2>/dev/null || { echo "bench did not start: $(cat "$work/bench.err")"; return 1; }
    sleep 0.05
  done
  url=usbip://127.0.0.1:$port
}

bench_stop() {
  kill -TERM "$bench_pid" && wait "$bench_pid"
  local status=$?
  bench_pid=
  return $status
}

bench_ctl() { "$BUILD"/pogo-bench ctl --control "$control" "$@"; }

# In the background use station_exec: then $! is the station itself, not a shell around it.
station_exec() {
  exec "$BUILD"/pogo-station run "$work/line.cfg" --station configs/stations/bench8.cfg --db "$db" --bench "$url" --ui plain \
    --events "$watch" --operator test "$@"
}
station() { (station_exec "$@"); }

sql() { sqlite3 -batch "$db" "$1"; }
judge() { "$BUILD"/tests/bench/judge "$state" "$work/line.hex" atmega32u4 "$fuses" "$lock" KB 6 8103F0; }
