#!/usr/bin/env bash
# race.sh ROUNDS [NAME…]: inside the emulated machine, the rows of programmers.tsv (all, or those named): one board by the
# station, one by one call of avrdude, on the same virtual programmer at the same SCK, in turn. Prints per row
# "RACE name|station ms …|avrdude ms …|avrdude's start ms …".
cd "$(dirname "$0")/../../.." && . tests/lib/line.sh && . tests/usb/guest.sh

rounds=$1
shift
now() { date +%s%N; }
since() { echo $((($(now) - $1) / 1000000)); }
there() { grep -qlx "$product" /sys/bus/usb/devices/*/idProduct; }
gone() { ! there; }
# A mkII is reset by avrdude at the end of a session and enumerated anew.
settled() { until_true there && udevadm settle; }

image() { # 28 KiB of application and 4 KiB of boot loader, nothing blank in them
  "$BUILD"/pogo-hex fill -o "$work/app.hex" 0x0+0x7000 --with random --seed 1 fixtures/images/demo_eeprom.hex &&
    "$BUILD"/pogo-hex fill -o "$work/all.hex" 0x7000+0x1000 --with random --seed 2 "$work/app.hex" &&
    "$BUILD"/pogo-hex crop -o "$work/line.hex" 0-0x7FFF "$work/all.hex"
}

recipe() {
  local low high ext
  IFS=, read -r low high ext <<<"$fuses"
  cat >"$work/line.cfg" <<CFG
product = "race"; part = "atmega32u4"; image = "line.hex"; crystal_hz = 16000000;
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
fuses = { low = 0x$low; high = 0x$high; ext = 0x$ext; };
$([ "$fast" = yes ] && echo 'fast_clock = true;')
CFG
  dude=(-q -q -p m32u4 "${options[@]}" -U "flash:w:$work/line.hex:i"
    -U "lfuse:w:0x$low:m" -U "hfuse:w:0x$high:m" -U "efuse:w:0x$ext:m")
}

# From the board's touching the needles to PASS on disk. The events are read as they come, without a look in between:
# starting programs is what slows this machine down.
until_event() {
  local line
  while read -r line <&4; do [[ $line != *"$1"* ]] || return 0; done
  return 1
}
station_board() {
  local begin run_pid
  rm -f "$work/events" && mkfifo "$work/events" || return 1
  "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/usb.cfg" --db "$work/race.db" --ui json --count 1 \
    --operator race >"$work/events" 2>"$work/race.err" &
  run_pid=$!
  exec 4<"$work/events"
  until_event '"state":"waiting"' || return 1
  begin=$(now)
  bench_ctl insert 1 && until_event '"event":"result"' || return 1
  ours+=("$(since "$begin")")
  until_event '"event":"run_end"'
  exec 4<&-
  wait $run_pid
}

# An FTDI chip fresh from its plug and as the kernel alone sets it up: avrdude sends its first instruction right behind RESET,
# and has the target's 20 ms from this delay alone; the station's wish for none stays with the tty.
kernels_latency() {
  [ -e /dev/ttyUSB0 ] || return 0
  usbip detach -p 0 && until_true gone && attach 1 && until_true test -e /dev/ttyUSB0 && settled &&
    echo 16 >/sys/class/tty/ttyUSB0/device/latency_timer
}

avrdude_board() { # the call, from start to end
  bench_ctl swap 1 && settled && kernels_latency || return 1
  local begin
  begin=$(now)
  avrdude "${dude[@]}" || return 1
  theirs+=("$(since "$begin")")
  bench_ctl remove 1
}

# What a call costs before it looks at a programmer: programs start slowly in an emulated machine.
avrdude_start() {
  local begin
  begin=$(now)
  avrdude -c "${options[1]}" -p '?' >/dev/null 2>&1
  starts+=("$(since "$begin")")
}

race() {
  ours=() theirs=() starts=()
  ok "$name: bench in real time" bench_start --slots 1 --pod "$pod" --timing real --operator manual
  attach 1 && settled
  local port
  port=$("$BUILD"/pogo-station pods --json | jq -r '.[0].port')
  printf 'station = "usb";\nslots = ( { name = "1"; port = "%s"; programmer = "%s"; } );\n' "$port" "$kind" >"$work/usb.cfg"
  recipe
  avrdude_start # once for the disk
  starts=()
  for ((round = 1; round <= rounds; round++)); do
    ok "$name: the station's board $round passes" station_board "$round"
    ok "$name: avrdude's board $round" avrdude_board
    avrdude_start
  done
  echo "   steps of the last board, ms: $(sqlite3 "$work/race.db" "select group_concat(name || ' ' || (duration_us / 1000), ', ') from steps where attempt = (select max(attempt) from steps)")"
  usbip detach -p 0 && until_true gone
  ok "$name: the bench ends" bench_stop
  # Boards 1, 3, 5 the station's, the others avrdude's.
  ok "$name: chips and image agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" atmega32u4 "$fuses" FF
  echo "RACE $name|${ours[*]}|${theirs[*]}|${starts[*]}"
}

ok "an image" image
while IFS='|' read -r name pod product kind options fuses fast _ <&3; do
  [[ -n $name && $name != \#* ]] || continue
  [ $# -eq 0 ] || printf '%s\n' "$@" | grep -qFx "${name// /_}" || continue
  read -ra options <<<"$options"
  race
done 3<tests/perf/programmers.tsv
finish
