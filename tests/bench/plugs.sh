#!/usr/bin/env bash
# Plugs that come out, programmers that hang or stall, at seeded bytes anywhere in a board; a plug that goes in elsewhere;
# and `pods` while a line runs.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

kinds=(usbasp usbtiny avrispmk2 stk500v1:micro buspirate)
ok "release" release
sed -i '/^serial\|^lock/d' "$work/line.cfg"
line_of() { # PODS…: slots "1", "2" … at the ports of the bench, with their kinds
  local i=0 pod
  echo 'station = "plugs"; slots = ('
  for pod in "$@"; do
    i=$((i + 1))
    echo "$([ $i = 1 ] || echo ,){ name = \"$i\"; port = \"1-$i\"; programmer = \"${pod%%:*}\"; }"
  done
  echo ');'
}

# ---- three seeded bytes each; of every kind one slot that must not notice
faults=() pods=() spec=
for kind in "${kinds[@]}"; do
  for fault in unplug hang stall; do
    for byte in $(awk -v s="$kind$fault" 'BEGIN { for (i = 1; i <= length(s); i++) n = n * 31 + index("abcdefghijklmnopqrstuvwxyz2", substr(s, i, 1))
      srand(n % 65536); print int(40 + rand() * 400), int(500 + rand() * 19000), int(20000 + rand() * 19000) }'); do
      faults+=("$fault=$byte")
      pods+=("$kind")
      spec+="${#faults[@]}.1:$fault=$byte;"
    done
  done
  faults+=(none)
  pods+=("$kind")
done
slots=${#faults[@]}
line_of "${pods[@]}" >"$work/many.cfg"
ok "bench" bench_start --slots "$slots" --pod "$(IFS=,; echo "${pods[*]}")" --timing fast --operator auto --boards 1 \
  --hand-ms 20 --faults "$spec"
begin=$SECONDS
timeout 120 "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/many.cfg" --db "$db" --bench "$url" --ui json \
  --events "$watch" --operator test --count "$slots" >"$work/events.json" 2>"$work/run.err"
took=$((SECONDS - begin))
ok "the bench ends" bench_stop
ok "all is over in 60 s ($took s)" test $took -le 60
code() { jq -r --arg s "$1" 'select(.event=="result" and .slot==$s) | .code // .status' "$work/events.json" | head -n 1; }
declare -A may=([none]=PASS [unplug]=PROGRAMMER_LOST [hang]="PROGRAMMER_LOST TIMEOUT" [stall]="WRITE VERIFY CONTACT ERASE SIGNATURE FUSE")
for ((slot = 1; slot <= slots; slot++)); do
  found=$(code $slot)
  ok "${pods[slot - 1]}, ${faults[slot - 1]}: $found" grep -qw "${found:-nothing}" <<<"${may[${faults[slot - 1]%%=*}]}"
done
check_eq "no attempt is left open" "$(sql "select count(*) from attempts where status is null")" 0

# ---- the plug goes in elsewhere: a slot is a place
until_event() { # from the station's event stream
  local line
  while read -r line <&4; do [[ $line != *"$1"*"$2"* ]] || return 0; done
  echo "never came: $*"
  return 1
}
elsewhere() { # KIND: out of port 1 in mid-work, into port 2; then another one into port 1
  local pid
  line_of "$1" "$1" >"$work/two.cfg"
  rm -f "$work/events" && mkfifo "$work/events"
  bench_start --slots 2 --pod "$1" --timing fast --operator manual --faults "1.1:unplug=3000" && bench_ctl unplug 2 || return 1
  timeout -s INT 60 "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/two.cfg" --db "$work/$1.db" --bench "$url" --ui json \
    --operator test >"$work/events" 2>"$work/run.err" &
  pid=$!
  exec 4<"$work/events"
  until_event '"slot":"1"' '"state":"waiting"' && bench_ctl insert 1 && until_event '"slot":"1"' PROGRAMMER_LOST &&
    bench_ctl plug 2 && bench_ctl insert 2 && until_event '"slot":"2"' '"status":"PASS"' &&
    bench_ctl plug 1 && until_event '"slot":"1"' '"status":"PASS"'
  local status=$?
  kill -INT $pid
  cat <&4 >/dev/null
  exec 4<&-
  wait $pid
  bench_stop && return $status
}
for kind in "${kinds[@]}"; do ok "$kind: lost at 1, works at 2, and a new one at 1 does the board" elsewhere "$kind"; done

# ---- pods beside a running line
ok "bench in real time" bench_start --slots 3 --pod usbasp,usbtiny,avrispmk2 --timing real --operator auto --boards 1 --hand-ms 20
line_of usbasp usbtiny >"$work/two.cfg"
rm -f "$work/events" && mkfifo "$work/events"
"$BUILD"/pogo-station run "$work/line.cfg" --station "$work/two.cfg" --db "$work/pods.db" --bench "$url" --ui json --events "$watch" \
  --operator test --count 2 >"$work/events" 2>"$work/run.err" &
pid=$!
exec 4<"$work/events"
ok "a board is being programmed" until_event '"slot":"1"' '"step":"program"'
for ((i = 0; i < 20; i++)); do "$BUILD"/pogo-station pods --bench "$url" --station "$work/two.cfg" --json >"$work/pods.json" || break; done
check_eq "twenty lists in its midst" $i 20
check_eq "the two of the line are in use, the third is free" \
  "$(jq -c '[.[] | [.port, .kind, .slot, .status]]' "$work/pods.json")" \
  '[["1-1","usbasp","1","in use"],["1-2","usbtiny","2","in use"],["1-3","avrispmk2",null,"ready"]]'
check_eq "of the free one firmware, abilities and SCK are told" \
  "$(jq -r '.[2] | (.firmware != "" and .abilities != "" and (.sck_hz | length) > 10)' "$work/pods.json")" true
cat <&4 >/dev/null
exec 4<&-
wait $pid
check_eq "the line did not notice" "$?" 0
ok "the bench ends" bench_stop
finish
