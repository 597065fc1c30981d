#!/usr/bin/env bash
# Replies that do not come, come late, cut, wrong, too long or twice, early and late in a board: each ends in a code that
# tells it or does no harm, within the step's time; no board passes that should not; the programmers beside do not notice.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/lib/parts.sh

ok "release" release
sed -i '/^serial\|^lock/d' "$work/line.cfg"
code() { jq -r --arg s "$1" 'select(.event=="result" and .slot==$s) | .code // .status' "$work/events.json" | tail -n 1; }

two_kinds() { # KIND KIND: a line of their programmers, each with one fault
  local faults=() pods=() spec= kind n fault slot found name wanted bad
  for kind in "$@"; do
    for n in 12 30 100 300; do
      for fault in lost=$n cut=$n late=$n.300 late=$n.20000 wrong=$n long=$n stale=$n; do
        faults+=("$fault")
        pods+=("$kind")
        spec+="${#faults[@]}.1:reply-$fault;"
      done
    done
    faults+=(none) # one of each kind that must not notice
    pods+=("$kind")
  done
  local slots=${#faults[@]}
  pods_are "$(IFS=,; echo "${pods[*]}")"

  ok "bench" bench_start --slots "$slots" --pod "$1*$((slots / 2)),$2" --timing fast --operator auto --boards 1 \
    --hand-ms 20 --faults "$spec"
  local begin=$SECONDS
  "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/pods.cfg" --db "$db" --bench "$url" --ui json --events "$watch" --operator test \
    --count "$slots" >"$work/events.json" 2>"$work/run.err"
  local took=$((SECONDS - begin))
  ok "the bench ends" bench_stop
  # The longest time of a step is that of a request, and a run has one fault per slot.
  ok "all is over in 60 s ($took s)" test $took -le 60

  local spoiled="CONTACT WRITE VERIFY SIGNATURE ERASE FUSE"
  local -A may=([lost]="TIMEOUT PROGRAMMER_LOST" [late]="TIMEOUT PROGRAMMER_LOST" [none]="")
  for ((slot = 1; slot <= slots; slot++)); do
    fault=${faults[slot - 1]}
    found=$(code $slot)
    name=${fault%%=*}
    wanted="PASS ${may[$name]-$spoiled}"
    # On a serial line a reply that is lost or late is a gap in a stream: when asking again brings the two back in step, the
    # step has failed.
    case ${pods[slot - 1]} in stk500v1* | buspirate) [ "$name" = none ] || wanted+=" $spoiled" ;; esac
    ok "${pods[slot - 1]}, reply-$fault: $found" grep -qw "${found:-nothing}" <<<"$wanted"
  done
  # A chip that was said to be ready and was not is written too early: no fault of the station, and verifying finds it.
  bad=$("$BUILD"/tests/bench/judge "$state" "$work/line.hex" atmega32u4 "$fuses" FF | sed -n 's/^FAIL position \([0-9]*\).*/\1/p')
  for slot in $bad; do
    check_eq "no defect on a board that passed (position $slot)" "$(code "$slot" | grep -x PASS)" ""
  done
  check_eq "boards were compared" "$("$BUILD"/tests/bench/judge "$state" "$work/line.hex" atmega32u4 "$fuses" FF | grep -c '^judged: 58 boards')" 1
  check_eq "no attempt is left open" "$(sql "select count(*) from attempts where status is null")" 0
}
two_kinds usbasp usbtiny
two_kinds stk500v1:uno avrispmk2
two_kinds stk500v1:micro buspirate
finish
