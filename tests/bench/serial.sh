#!/usr/bin/env bash
# Serial programmers: one board of every part by the ArduinoISP sketch and by a Bus Pirate, every board that carries the
# sketch, their troubles, beside others in one line, and as fixed lines without USB.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/lib/parts.sh

every_part stk500v1:micro,buspirate

recipe atmega32u4 4096
boards=stk500v1:uno,stk500v1:micro,stk500v1:promicro,stk500v1:promicro-qmk,stk500v1:teensy,buspirate
bench_start --slots 6 --pod $boards --timing fast --operator auto --boards 1 --hand-ms 20
pods_are $boards
"$BUILD"/pogo-station pods --bench "$url" --json >"$work/pods.json"
check_eq "an FT232R may be anything: pods leaves it alone" "$(jq -r '[.[].port] | join(" ")' "$work/pods.json")" "1-1 1-2 1-3 1-4 1-5"
"$BUILD"/pogo-station pods --station "$work/pods.cfg" --bench "$url" --json >"$work/pods.json"
check_eq "pods knows every board" "$(jq -r '[.[].kind] | join(" ")' "$work/pods.json")" \
  "stk500v1 stk500v1 stk500v1 stk500v1 stk500v1 buspirate"
check_eq "and the sketch" "$(jq -r '.[0].firmware' "$work/pods.json")" "ArduinoISP 1.18"
ok "each passes a board" plain --count 6
bench_stop
ok "chips and release agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" atmega32u4 "$fuses" FF

# --- fixed lines: the bench's terminals, which have no USB behind them
bench_start --slots 2 --pod stk500v1:uno,buspirate --tty-dir "$work/tty" --timing fast --operator auto --boards 2 --hand-ms 20
cat >"$work/fixed.cfg" <<CFG
station = "fixed"; slots = (
  { name = "A"; port = "$work/tty/1-1"; programmer = "stk500v1"; },
  { name = "B"; port = "$work/tty/1-2"; programmer = "buspirate"; });
CFG
ok "two boards each on fixed lines" timeout 120 "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/fixed.cfg" --db "$db" \
  --ui plain --events "$watch" --operator test --count 4
bench_stop
ok "chips and release agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" atmega32u4 "$fuses" FF
check_eq "the log names the line" "$(sql "SELECT count(*) FROM attempts JOIN slots ON slots.id = slot WHERE port = '$work/tty/1-1' AND status = 'PASS'")" 2

# --- troubles
for pod in stk500v1:uno stk500v1:micro buspirate; do
  trouble() { fault "$pod",usbtiny,usbasp "$@"; }
  trouble unplug=3000 PROGRAMMER_LOST
  trouble hang=3000 PROGRAMMER_LOST
  trouble wrong-chip SIGNATURE
  trouble contact-lost=30000 CONTACT
  trouble no-erase ERASE
  trouble stuck=0x123.3.0 VERIFY
done
finish
