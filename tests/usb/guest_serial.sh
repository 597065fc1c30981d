#!/usr/bin/env bash
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

pods="stk500v1:uno,stk500v1:promicro-qmk,buspirate:v3"
ttys() { [ "$(find /dev -maxdepth 1 -name 'ttyACM*' -o -maxdepth 1 -name 'ttyUSB*' | wc -l)" = "$1" ]; }
pods_json() { "${user[@]}" "$BUILD"/pogo-station pods "$@" --json >"$work/pods.json" 2>"$work/pods.err"; }
field() { jq -r ".[] | select(.$1 == \"$2\") | .$3" "$work/pods.json"; }

ok "release" release
chmod -R a+rX "$work"

# --- what the kernel and udev make of them
ok "bench of 3" bench_start --slots 3 --pod "$pods" --timing fast --operator auto --boards 2 --hand-ms 50
chmod 777 "$watch" "$control"
for n in 1 2 3; do ok "attach $n" attach $n; done
ok "three ttys arrive" until_true ttys 3
udevadm settle
check_eq "they belong to plugdev" "$(stat -c '%G %a' /dev/ttyACM0 /dev/ttyACM1 /dev/ttyUSB0 | sort -u)" "plugdev 660"
check_eq "the FTDI chip waits for 1 ms" "$(cat /sys/class/tty/ttyUSB0/device/latency_timer)" 1
for tty in ttyACM0 ttyACM1 ttyUSB0; do
  ok "ModemManager leaves $tty alone" grep -qx 'ID_MM_DEVICE_IGNORE=1' <(udevadm info -q property "/dev/$tty")
done
ok "and its device" grep -qx 'ID_MM_DEVICE_IGNORE=1' <(udevadm info -q property "$(dirname "$(dirname "$(realpath /sys/class/tty/ttyACM0/device/tty)")")")

# --- pods
pods_json
check_eq "an FT232R may be anything: pods leaves it alone" "$(field tty /dev/ttyUSB0 status)" unknown
jq -r '"station = \"serial\"; slots = (", ([.[] | "{ name = \"\(.port)\"; port = \"\(.port)\"; programmer = \"\(.kind // "buspirate")\"; }"] | join(", ")),
  ");"' "$work/pods.json" >"$work/three.cfg"
chmod a+r "$work/three.cfg"
three=(--station "$work/three.cfg")
pods_json "${three[@]}"
check_eq "pods lists all" "$(jq -r '.[].kind' "$work/pods.json" | sort | paste -sd ' ')" "buspirate stk500v1 stk500v1"
check_eq "each with its tty" "$(jq -r '.[].tty' "$work/pods.json" | sort | paste -sd ' ')" "/dev/ttyACM0 /dev/ttyACM1 /dev/ttyUSB0"
check_eq "all are ready" "$(jq -r '.[].status' "$work/pods.json" | sort -u)" ready
cat "$work/pods.json" "$work/pods.err"
"${stranger[@]}" "$BUILD"/pogo-station pods >"$work/stranger.out" 2>&1
ok "without the right: the sentence names the group" grep -q 'belongs to the group plugdev; join it' "$work/stranger.out"
"${user[@]}" bash -c 'exec 7<>/dev/ttyACM1; echo >"$0"; exec sleep 1000' "$work/opened" &
opener=$!
ok "a terminal has one of them" until_true test -e "$work/opened"
pods_json "${three[@]}"
check_eq "pods does not touch it" "$(field tty /dev/ttyACM1 status)" "in use"
kill $opener
wait $opener

# --- six boards
"${user[@]}" "$BUILD"/pogo-station run "$work/line.cfg" "${three[@]}" --db "$work/line.db" --ui plain --events "$watch" --count 6 >"$work/run.out" 2>&1 &
run_pid=$!
ok "the line runs" until_true grep -q 'board found' "$work/run.out"
pods_json "${three[@]}"
check_eq "pods beside it: all in use" "$(jq -r '.[].status' "$work/pods.json" | sort -u)" "in use"
wait $run_pid
status=$?
check_eq "six boards pass" "$status" 0
[ $status -eq 0 ] || cat "$work/run.out"
ok "bench ends" bench_stop
ok "every chip holds the release" judge

# --- by a fixed name, and unplugged in the middle of a board
ok "no tty is left" until_true ttys 0
# The first board of each pulls its plug in mid-work.
ok "bench of 2" bench_start --slots 2 --pod "stk500v1:promicro-qmk" --timing fast --operator manual --faults "*.1:unplug=12000"
chmod 777 "$watch" "$control"
ok "attach 1" attach 1
ok "attach 2" attach 2
ok "two ttys arrive" until_true ttys 2
udevadm settle
pods_json
by_port=$(field tty /dev/ttyACM0 port)
cat >"$work/two.cfg" <<CFG
station = "two";
slots = ( { name = "P"; port = "$by_port"; programmer = "stk500v1"; },
          { name = "F"; port = "/dev/ttyACM1"; programmer = "stk500v1"; } );
CFG
events=$work/events.json
"${user[@]}" "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/two.cfg" --db "$work/two.db" --ui plain --events "$events" >"$work/two.out" 2>&1 &
run_pid=$!
seen() { grep "\"event\":\"$1\"" "$events" | grep -q "$2"; }
ok "slot P waits" until_true seen state '"slot":"P".*"waiting"'
ok "slot F waits" until_true seen state '"slot":"F".*"waiting"'
for n in 1 2; do ok "board $n is set" bench_ctl insert $n; done
ok "slot P: PROGRAMMER_LOST" until_true seen result '"slot":"P".*PROGRAMMER_LOST'
ok "slot F: PROGRAMMER_LOST" until_true seen result '"slot":"F".*PROGRAMMER_LOST'
ok "the ttys are gone" until_true ttys 0
for n in 1 2; do ok "plug $n goes in again" eval "bench_ctl plug $n && attach $n"; done
LIMIT=120
ok "slot P does the board again and passes" until_true seen result '"slot":"P".*"PASS"'
ok "slot F does the board again and passes" until_true seen result '"slot":"F".*"PASS"'
check_eq "no note speaks of a missing right" "$(grep -c permission "$work/two.out")" 0
kill -INT $run_pid
wait $run_pid
cat "$work/two.out"
bench_stop
finish
