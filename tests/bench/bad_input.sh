#!/usr/bin/env bash
# Bad words and files: one clear sentence, the documented exit code, nothing half written.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

# refused NAME STATUS WORDS COMMAND…: that exit status, one line on stderr that holds WORDS
refused() {
  local name=$1 status=$2 words=$3 got
  shift 3
  "$@" >"$work/out" 2>"$work/err" </dev/null
  got=$?
  if [ $got -eq "$status" ] && grep -qiE -- "$words" "$work/err" && [ "$(wc -l <"$work/err")" -le 2 ]; then
    passed=$((passed + 1))
    echo "ok   $name: $(head -n 1 "$work/err")"
  else
    failed=$((failed + 1))
    echo "FAIL $name: exit $got (wanted $status), stderr (wanted /$words/):"
    cat "$work/err"
  fi
}
S=$BUILD/pogo-station H=$BUILD/pogo-hex Y=$BUILD/pogo-yield B=$BUILD/pogo-bench
ok "release" release
edit() { sed "$1" "$work/line.cfg" >"$work/bad.cfg"; }

for program in $S $H $Y $B; do
  ok "$program --help" "$program" --help
  ok "$program --version" "$program" --version
  refused "$program: no such command" 2 'nonsense' "$program" nonsense
  "$program" >"$work/out" 2>&1 </dev/null
  check_eq "$program without a command: exit 2" $? 2
  ok "and it says how to get help" grep -q -- '--help' "$work/out"
done
refused "run without a recipe" 2 'recipe' "$S" run
refused "a recipe that is not there" 2 'nowhere.cfg' "$S" check "$work/nowhere.cfg"
edit 's/^part/prat/'
refused "an unknown key" 2 'bad.cfg:[0-9]+.*prat' "$S" check "$work/bad.cfg"
edit 's/atmega32u4/atmega32u5/'
refused "an unknown part" 2 'atmega32u5' "$S" check "$work/bad.cfg"
edit 's/^image_sha256.*/image_sha256 = "0000000000000000000000000000000000000000000000000000000000000000";/'
refused "an image that is not the recipe's" 1 'digest|sha' "$S" check "$work/bad.cfg"
refused "to run, that is unusable input" 2 'digest|sha' "$S" run "$work/bad.cfg" --db "$work/none.db" --ui plain
edit 's/high *= *0x[0-9A-Fa-f]*/high = 0xF8/'
refused "fuses that end ISP" 1 'SPIEN' "$S" check "$work/bad.cfg"
refused "to run, that is unusable input" 2 'SPIEN' "$S" run "$work/bad.cfg" --db "$work/none.db" --ui plain
ok "and no log was begun" not test -e "$work/none.db"
edit 's/0x3F0/0x3FE/'
refused "a serial beyond the memory" 2 'serial|address' "$S" check "$work/bad.cfg"
edit 's/width = 6/width = 60/'
refused "a serial too wide" 2 'width' "$S" check "$work/bad.cfg"
edit '$a \\};'
refused "a syntax error" 2 'bad.cfg:[0-9]+' "$S" check "$work/bad.cfg"
refused "no bench there" 3 '127.0.0.1:1' "$S" run "$work/line.cfg" --bench usbip://127.0.0.1:1 --db "$db" --ui plain
refused "a url that is none" 2 'usbip' "$S" run "$work/line.cfg" --bench ftp://x --db "$db" --ui plain
refused "a count that is none" 2 'count' "$S" run "$work/line.cfg" --count -3 --db "$db"
refused "a station file with two slots on one port" 2 'port' "$S" check "$work/line.cfg" --station <(sed 's/1-2/1-1/' configs/stations/bench8.cfg)
refused "learn into a folder that is not there" 3 'nowhere' "$S" learn "$work/nowhere/line.cfg"
refused "learn over a file that is no station file" 2 'line.cfg' "$S" learn "$work/line.cfg"
refused "summary of a log that is not there" 2 'nolog.db' "$Y" summary --db "$work/nolog.db"
ok "and it was not created" not test -e "$work/nolog.db"
refused "a part the bench does not have" 2 'attiny1' "$B" serve --slots 1 --pod usbasp --chip attiny1
refused "a fault nobody knows" 2 'explode' "$B" serve --slots 1 --pod usbasp --chip atmega32u4 --faults 1.1:explode
refused "slots beyond reason" 2 'slots' "$B" serve --slots 0 --pod usbasp --chip atmega32u4

# hex tools
d=fixtures/images
refused "bootloader and application on top of each other" 2 'demo_firmware.hex" and .*demo_bootloader.hex" both have 0x00000-0x00CD7.* first at 0x00002: 54 against 6D' "$H" merge -o "$work/o.hex" $d/demo_firmware.hex $d/demo_bootloader.hex@-0x7000
ok "nothing was written" not test -e "$work/o.hex"
refused "release with the two swapped" 1 'boot' "$H" release --part atmega32u4 --bootloader $d/demo_firmware.hex --app $d/demo_bootloader.hex --fuses FF,D8,FB -o "$work/o.hex"
refused "fuses that do not reach the bootloader" 1 'BOOTSZ|boot section' "$H" release --part atmega32u4 --bootloader $d/demo_bootloader.hex --app $d/demo_firmware.hex --fuses FF,DA,FB -o "$work/o.hex"
refused "a part that does not fit" 1 'atmega16u4' "$H" release --part atmega16u4 --bootloader $d/demo_bootloader.hex --app $d/demo_firmware.hex --fuses FF,D8,FB -o "$work/o.hex"
ok "nothing was written" not test -e "$work/o.hex"
refused "an output folder that is not there" 3 'nowhere' "$H" merge -o "$work/nowhere/o.hex" $d/demo_firmware.hex
for f in $d/bad/*.hex; do
  refused "$(basename "$f")" 2 "$(basename "$f"):?[0-9]*" "$H" info "$f"
done
finish
