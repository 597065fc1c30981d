# parts.sh: what the scripts of one programmer each share. Source it behind line.sh.
#
#   avr_parts              the names of all AVRs in configs/parts
#   recipe PART BYTES      $work/line.hex with so many bytes of flash and a few of EEPROM, $work/line.cfg, $fuses as delivered
#   plain ARGS…            pogo-station run with a slot for every programmer of the bench
#   every_part PODS        cases: each of these programmers passes a board of every AVR, and the chips hold the release
#   fault PODS SPEC WANTED cases: position 1 has that trouble and ends so; those beside it do not notice

avr_parts() { grep -l '^family = "avr"' configs/parts/*.cfg | sed 's|.*/||; s|\.cfg$||'; }

part_factory() { # the fuses that a new chip has: LOW HIGH [EXTENDED]
  sed -n 's/^ *factory = \[ *\(0x..\), *\(0x..\)\(, *\(0x..\)\)\{0,1\} *\].*/\1 \2 \4/p' "configs/parts/$1.cfg" | head -n 1
}
part_flash() { sed -n '/^flash/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "configs/parts/$1.cfg" | head -n 1; }

recipe() {
  local low high ext
  read -r low high ext <<<"$(part_factory "$1")"
  "$BUILD"/pogo-hex fill -o "$work/flash.hex" "0x0+$2" --with random --seed 3 fixtures/images/demo_eeprom.hex || return 1
  "$BUILD"/pogo-hex merge -o "$work/line.hex" "$work/flash.hex" fixtures/images/demo_eeprom.hex@0x810000 || return 1
  cat >"$work/line.cfg" <<CFG
product = "part"; part = "$1"; image = "line.hex"; crystal_hz = 16000000;
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
fuses = { low = $low; high = $high; ${ext:+ext = $ext;} };
CFG
  fuses=$low,$high${ext:+,$ext}
  fuses=${fuses//0x/}
}

# Without a station file every programmer that its USB ids tell is a slot; a Bus Pirate must be named.
pods_are() { # PODS
  local pod n=0
  {
    echo 'station = "bench"; slots = ('
    for pod in ${1//,/ }; do
      n=$((n + 1))
      echo "$([ $n = 1 ] || echo ,){ name = \"$n\"; port = \"1-$n\"; programmer = \"${pod%%:*}\"; }"
    done
    echo ');'
  } >"$work/pods.cfg"
}
plain() {
  timeout 120 "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/pods.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" --operator test "$@"
}

count_of() { awk -F, '{print NF}' <<<"$1"; }

every_part() {
  local part
  for part in $(avr_parts); do
    recipe "$part" $(($(part_flash "$part") * 3 / 4))
    bench_start --slots "$(count_of "$1")" --pod "$1" --chip "$part" --timing fast --operator auto --boards 1 --hand-ms 20
    pods_are "$1"
    ok "$part: $1 pass a board" plain --count "$(count_of "$1")"
    bench_stop
    ok "$part: chips and release agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" "$part" "$fuses" FF
  done
}

last_of() { # COLUMN SLOT: of the last attempt there
  sql "SELECT $1 FROM attempts JOIN slots ON slots.id = slot WHERE name = '$2' ORDER BY attempts.id DESC LIMIT 1"
}

fault() {
  local others n
  others=$(($(count_of "$1") - 1))
  bench_start --slots $((others + 1)) --pod "$1" --timing fast --operator auto --boards 1 --hand-ms 20 --faults "1.1:$2"
  pods_are "$1"
  plain --count $((others + 1)) >"$work/run.out" 2>&1
  bench_stop
  check_eq "${1%%,*} with $2 ends in $3" "$(last_of "coalesce(code, 'PASS')" 1)" "$3"
  for n in $(seq 2 $((others + 1))); do
    check_eq "and slot $n beside it passes" "$(last_of status "$n")" PASS
  done
}
