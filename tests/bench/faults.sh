#!/usr/bin/env bash
# Every fault ends in its code; the other slots do not notice; the next board in the same jig passes.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

ok "release" release
ok "bench" bench_start --slots 8 --timing fast --operator auto --boards 3 --hand-ms 20 --seed 5 --faults \
  "1.1:stuck=0x1234.4.1;1.2:lock-stuck;1.3:flip=3000;2.1:wrong-chip;2.2:no-erase;3.1:bad-byte=0x100.0x01;3.2:slow-pod=300;4.1:contact-lost=9000;4.2:no-contact;5.1:unplug=3000;6.1:stall=900;6.2:repeat=3000;7.1:hang=1200;8.1:fuse-stuck"
station --ui json --count 23 >"$work/events.json" 2>"$work/run.err"
status=$?
check_eq "the run ends with the answer no, or station trouble" "$([ $status = 1 ] || [ $status = 3 ]; echo $?)" 0
ok "the bench ends" bench_stop
ok "every board that passed carries the release" judge

# nth_code SLOT N: what the Nth result of the slot was
nth_code() {
  jq -r --arg s "$1" 'select(.event=="result" and .slot==$s) | .code // .status' "$work/events.json" | sed -n "$2p"
}
check_eq "stuck bit: VERIFY" "$(nth_code 1 1)" VERIFY
check_eq "lock bits that do not take: LOCK" "$(nth_code 1 2)" LOCK
check_eq "wrong chip: SIGNATURE" "$(nth_code 2 1)" SIGNATURE
check_eq "chip that does not erase: ERASE" "$(nth_code 2 2)" ERASE
check_eq "bad byte: VERIFY" "$(nth_code 3 1)" VERIFY
check_eq "slow programmer: PASS" "$(nth_code 3 2)" PASS
check_eq "contact lost under way: CONTACT" "$(nth_code 4 1)" CONTACT
check_eq "programmer unplugged: PROGRAMMER_LOST" "$(nth_code 5 1)" PROGRAMMER_LOST
check_eq "after the replug the next board passes" "$(nth_code 5 2)" PASS
check_eq "stall: WRITE" "$(nth_code 6 1)" WRITE
check_eq "a packet taken twice: WRITE" "$(nth_code 6 2)" WRITE
check_eq "a packet with a wrong bit: VERIFY" "$(nth_code 1 3)" VERIFY
check_eq "programmer hangs: PROGRAMMER_LOST" "$(nth_code 7 1)" PROGRAMMER_LOST
check_eq "fuses that do not take: FUSE" "$(nth_code 8 1)" FUSE
ok "slot 8 goes on" test "$(nth_code 8 2)" = PASS

sentence() { jq -r --arg s "$1" 'select(.event=="result" and .slot==$s) | .sentence // empty' "$work/events.json" | sed -n "$2p"; }
for s in 1 2 3 4 5 6 7 8; do echo "   $(sentence $s 1)"; done
ok "a sentence names slot, step, address, expected and found" \
  grep -qE '^slot 1, verify: .*0x1234.*expected 0x.*found 0x' <(sentence 1 1)
check_eq "each failed attempt has a code and a sentence in the log" \
  "$(sql "select count(*) from attempts where status<>'PASS' and (code is null or sentence is null or length(sentence)<20)")" 0
check_eq "no attempt is left open" "$(sql "select count(*) from attempts where status is null")" 0
check_eq "no serial was committed twice" "$(sql "select count(*)-count(distinct text) from serials where state='COMMITTED'")" 0
finish
