#!/usr/bin/env bash
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

ok "release" release
chmod -R a+rX "$work"

usb_run=("${user[@]}" "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/usb.cfg" --db "$work/line.db" --ui plain --operator test)

# --- what is plugged, and who may open it
ok "bench of 3" bench_start --slots 3 --timing fast --operator auto --boards 3 --hand-ms 50
chmod 777 "$watch" "$control"
"${stranger[@]}" "$BUILD"/pogo-station run "$work/line.cfg" --db "$work/none.db" --ui plain >"$work/out" 2>&1
check_eq "no programmer plugged: exit 3" $? 3
for n in 1 2 3; do ok "attach $n" attach $n; done
ok "three devices arrive" until_true usb_count 3
udevadm settle
"${user[@]}" "$BUILD"/pogo-station pods >"$work/pods.out" 2>&1
check_eq "pods lists three USBasps" "$(grep -c usbasp "$work/pods.out")" 3
cat "$work/pods.out"
"${user[@]}" "$BUILD"/pogo-station pods --json >"$work/pods.json" 2>&1
check_eq "pods --json is JSON with three paths" "$(jq -r '.. | .port? // empty' "$work/pods.json" | sort -u | wc -l)" 3
mapfile -t ports < <(jq -r '.. | .port? // empty' "$work/pods.json" | sort -u)
{
  echo 'station = "usb";'
  echo 'slots = ('
  for n in 1 2 3; do
    printf '  { name = "%d"; port = "%s"; programmer = "usbasp"; }%s\n' $n "${ports[n - 1]}" "$([ $n = 3 ] || echo ,)"
  done
  echo ');'
} >"$work/usb.cfg"
"${stranger[@]}" "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/usb.cfg" --db "$work/stranger.db" --ui plain --count 1 \
  >"$work/stranger.out" 2>&1 &
stranger_pid=$!
ok "without the right: the sentence names the udev rule" until_true grep -q '60-pogoline.rules' "$work/stranger.out"
kill -INT $stranger_pid; wait $stranger_pid

# --- nine boards, three programmers, a plain user
"${usb_run[@]}" --events "$watch" --count 9 >"$work/run.out" 2>&1
status=$?
check_eq "nine boards pass" "$status" 0
[ $status -eq 0 ] || cat "$work/run.out"
ok "bench ends" bench_stop
ok "every chip holds the release" judge
check_eq "nine in the log" "$(sql "select count(*) from attempts where status='PASS'")" 9
sleep 1

# --- the plug is pulled in the middle of a board, and comes back
ok "bench of 2" bench_start --slots 2 --timing real --operator manual
chmod 777 "$watch" "$control"
ok "attach 1" attach 1
ok "attach 2" attach 2
ok "two devices arrive" until_true usb_count 2
udevadm settle
events=$work/events.json
"${usb_run[@]}" --events "$events" >"$work/unplug.out" 2>&1 &
run_pid=$!
seen() { grep "\"event\":\"$1\"" "$events" | grep -q "$2"; }
ok "slot 1 waits" until_true seen state '"slot":"1".*"waiting"'
ok "slot 2 waits" until_true seen state '"slot":"2".*"waiting"'
ok "boards are set" bench_ctl insert 1
ok "boards are set" bench_ctl insert 2
ok "slot 1 programs" until_true seen step '"slot":"1".*"program"'
ok "the plug of slot 1 comes out" usbip detach -p "$(usbip port 2>/dev/null | awk '/^Port/{p=$2+0} /1-1$/{print p; exit}')"
ok "slot 1: PROGRAMMER_LOST" until_true seen result '"slot":"1".*PROGRAMMER_LOST'
ok "slot 2 did not notice" until_true seen result '"slot":"2".*"PASS"'
ok "the plug goes in again" attach 1
ok "slot 1 does the board again and passes" until_true seen result '"slot":"1".*"PASS"'
kill -INT $run_pid
wait $run_pid
check_eq "a lost programmer is the station's error: exit 3 or 1" "$([ $? -ne 0 ] && echo yes)" yes
check_eq "the serial of the lost board is in doubt" "$(sql "select count(*) from serials where state='IN DOUBT'")" 1
bench_stop
finish
