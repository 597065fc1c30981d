#!/usr/bin/env bash
# One board by the station and by one call of avrdude, on the same virtual programmer at the same SCK, through a real
# kernel, beside the floor: the least time that the programmer's firmware allows (floor.awk, with the arithmetic). An
# ATmega32U4 gets 28 KiB of application, 4 KiB of boot loader, three fuses, and is read back. Rows: programmers.tsv.
# ROWS="usbtiny avrispmk2" (spaces in names as _) runs only those, ROUNDS=1 only one round.
#
# The emulated machine counts instructions, a nanosecond each, and has no other clock while it computes: so what it
# measures is a small computer's time, however slowly this one emulates it. Only when it is woken late from a wait does that
# count: therefore it runs before all others where that is allowed. From avrdude's time the start of the program is taken
# off, which a slow disk would stretch; the station has started before the board comes.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

first=()
chrt -f 1 true 2>/dev/null && first=(chrt -f 1)
# shellcheck disable=SC2086
OUT=$work/machine MACHINE_SECONDS=${MACHINE_SECONDS:-3000} MACHINE_EXTRA="-smp 1 -icount shift=0" \
  "${first[@]}" tests/usb/machine.sh run tests/perf/guest/race.sh "${ROUNDS:-3}" ${ROWS:-} >"$work/race" 2>&1
ok "the races in the emulated machine" eval "grep '^ok\|^FAIL\|passed,' '$work/race'; grep -q ' passed, 0 failed' '$work/race'"
[ "$failed" -eq 0 ] || cat "$work/race"

part() { sed -n "s/.*[ {]$1 = \([0-9]*\);.*/\1/p" configs/parts/atmega32u4.cfg | head -n 1; }
floor() {
  awk -v bytes=32768 -v page="$(part page)" -v flash_us="$(part flash_us)" -v erase_us="$(part erase_us)" -v fuse_us="$(part fuse_us)" \
    -f tests/perf/floor.awk <<<"$1"
}
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
calc() { awk "BEGIN { printf \"$1\", ($2) }"; }

table=$work/table
printf '%-18s %9s %9s %7s %6s %9s %8s  %s\n' programmer station avrdude ratio goal floor "x floor" verdict >"$table"
while IFS='|' read -r name _ _ _ _ _ _ goal model <&3; do
  [[ -n $name && $name != \#* ]] || continue
  IFS='|' read -r _ ours theirs starts < <(sed -n "s/^RACE \($name|.*\)/\1/p" "$work/race") || continue
  # shellcheck disable=SC2086
  {
    a=$(median $ours) start=$(median $starts)
    b=$(($(median $theirs) - start))
  }
  floor "$model" >"$work/floor"
  f=$(sed -n 's/^FLOOR //p' "$work/floor")
  echo "FIGURE $name, floor of \"$model\":"
  sed -n 's/^  /FIGURE   /p' "$work/floor"
  echo "FIGURE   rounds, ms: station $ours; avrdude $theirs; of which its start $starts"
  # The goal, or where not even the floor would reach it, a tenth above the floor.
  if [ "$(calc %d "$a <= $goal * $b")" = 1 ]; then
    verdict="goal"
  elif [ "$(calc %d "$f > $goal * $b")" = 1 ]; then
    verdict="the floor alone is $(calc %.2f "$f / $b") of avrdude: at most 1.10 x floor"
  else
    verdict="missed"
  fi
  printf '%-18s %6d ms %6d ms %7s %6s %6d ms %8s  %s\n' "$name" "$a" "$b" "$(calc %.2f "$a / $b")" "$goal" "$f" \
    "$(calc %.3f "$a / $f")" "$verdict" >>"$table"
  ok "$name: ratio at most $goal, or where the floor is above that, at most 1.10 x floor" \
    test "$(calc %d "$a <= $goal * $b || ($f > $goal * $b && $a <= 1.10 * $f)")" = 1
done 3<tests/perf/programmers.tsv
sed 's/^/FIGURE /' "$table"
finish
