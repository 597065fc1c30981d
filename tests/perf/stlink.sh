#!/usr/bin/env bash
# STM32F103 boards on ST-Links at real timing: what the silicon alone would take, one slot against sixteen (alternating,
# medians), and the station against st-flash and OpenOCD through a real kernel in the emulated machine.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
hex=$BUILD/pogo-hex
rounds=${ROUNDS:-3}

recipe() { # BYTES
  head -c "$1" /dev/urandom >"$work/image.bin" && printf '\x00\x50\x00\x20\x09\x00\x00\x08\xfe\xe7' |
    dd of="$work/image.bin" conv=notrunc status=none && "$hex" convert -o "$work/line.hex" "$work/image.bin@0x08000000"
  cat >"$work/line.cfg" <<CFG
product = "perf"; part = "stm32f103x8"; image = "line.hex"; ${2:-}
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
CFG
}
# run_slots N: a board in each; $work/board is the median time of a board, $work/line that from the first board's beginning
# to the last one's end.
run_slots() {
  bench_start --slots "$1" --pod stlink --chip stm32f103x8 --timing real --operator auto --boards 1 --hand-ms 20 || return 1
  "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" --operator test --count "$1" \
    >"$work/run.out" 2>&1 || { cat "$work/run.out"; return 1; }
  bench_stop
  sql "SELECT duration_us / 1000 FROM attempts WHERE run = (SELECT max(id) FROM runs) ORDER BY 1" >"$work/boards"
  sed -n "$((($1 + 1) / 2))p" "$work/boards" >"$work/board"
  sql "SELECT max(closed_ms) - min(opened_ms) FROM attempts WHERE run = (SELECT max(id) FROM runs)" >"$work/line"
}
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
ratio() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
within() { awk "BEGIN { exit !($1 <= $3 * $2) }"; }

# DS5319, flash characteristics: 52.5 us for a half-word, typically; 20 to 40 ms for a mass erase, 30 in between. Half-words
# that stay FFFF are not programmed.
floor_of() {
  local words
  words=$(xxd -p -c 2 "$work/image.bin" | grep -cv ffff)
  awk -v w="$words" 'BEGIN { printf "%.0f", w * 0.0525 + 30 }' >"$work/floor"
  echo "$words half-words x 52.5 us + 30 ms of mass erase = $(cat "$work/floor") ms"
}
recipe 65536
arithmetic=$(floor_of) floor=$(cat "$work/floor")
one=() sixteen=() boards=()
for ((round = 1; round <= rounds; round++)); do
  ok "one slot, round $round" run_slots 1 && one+=("$(cat "$work/line")")
  ok "sixteen slots, round $round" run_slots 16 && sixteen+=("$(cat "$work/line")") && boards+=("$(cat "$work/board")")
done
[ "$failed" -eq 0 ] || finish
a=$(median "${one[@]}") b=$(median "${sixteen[@]}")
echo "FIGURE silicon, 64 KiB: $arithmetic"
echo "FIGURE 64 KiB, one slot $a ms: $(ratio "$a" "$floor") of the silicon (${one[*]})"
echo "FIGURE sixteen slots $b ms, $(ratio "$b" "$a") of one slot (${sixteen[*]}); a board there $(median "${boards[@]}") ms"
ok "one slot: at most 1.3 times the silicon" within "$a" "$floor" 1.3
ok "sixteen slots: at most 1.1 times one" within "$b" "$a" 1.1
recipe 65536 'full_readback = false;'
ok "one slot, compared by CRC" run_slots 1
echo "FIGURE 64 KiB compared by the chip's CRC: $(cat "$work/board") ms, $(ratio "$(cat "$work/board")" "$floor") of the silicon"

# The judge of the turns is inside; its lines and figures are shown.
ok "station, st-flash and OpenOCD in turn" eval \
  'MACHINE_SECONDS=600 tests/usb/machine.sh run tests/peers/guest_stlink.sh turns "$rounds" 2>&1 | tee "$work/turns" | tail -n 1 | grep -q " 0 failed"'
grep -E '^(FIGURE|ok|FAIL)' "$work/turns"
finish
