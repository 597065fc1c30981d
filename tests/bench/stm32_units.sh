#!/usr/bin/env bash
# What an STM32F103 is by its id: a board that returns keeps its serial number, a copy is an alarm. And what is written only
# where it must be: option bytes, pages.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
hex=$BUILD/pogo-hex

run_on() { # SLOT [OPTIONS…]: one board, on that slot alone
  printf 'station = "t"; slots = ( { name = "%s"; port = "1-%s"; } );\n' "$1" "$1" >"$work/slot.cfg"
  timeout 60 "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/slot.cfg" --db "$db" --bench "$url" --ui plain --operator test --count 1 \
    "${@:2}" >"$work/run.out" 2>&1
}
recipe() { # IMAGE.hex [LINES…]
  cp "$1" "$work/line.hex"
  cat >"$work/line.cfg" <<CFG
product = "part"; part = "stm32f103x8"; image = "line.hex";
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
${*:2}
CFG
}
last() { sql "SELECT $1 FROM attempts LEFT JOIN units ON units.id = unit ORDER BY attempts.id DESC LIMIT 1"; }
measured() { sql "SELECT coalesce(text, number) FROM measures WHERE name = '$1' AND attempt = (SELECT max(id) FROM attempts)"; }
board() { bench_ctl dump | jq -r ".slots[$(($1 - 1))].board.$2"; }
serial_rule='serial = { prefix = "KB"; width = 6; first = 1; memory = "flash"; address = 0x8001FF0; };'

head -c $((0x1F00)) /dev/urandom >"$work/fw.bin" && printf '\x00\x14\x00\x20\x09\x00\x00\x08\xfe\xe7' | dd of="$work/fw.bin" conv=notrunc status=none
"$hex" convert -o "$work/fw.hex" "$work/fw.bin@0x08000000"
bench_start --slots 2 --pod stlink --chip stm32f103x8 --operator manual --timing fast
bench_ctl insert 1 && bench_ctl insert 2

# --- the unit's identity
recipe "$work/fw.hex" "$serial_rule"
ok "a board gets a number" run_on 1
check_eq "the first" "$(last serial)" KB000001
check_eq "the log has its id, which is the chip's" "$(sql 'SELECT text FROM silicon_ids')" "$(board 1 silicon_id)"
ok "it comes back" run_on 1
check_eq "with its number" "$(last serial)" KB000001
ok "somebody erases it" "$BUILD"/pogo-station unlock 1 --yes --bench "$url"
ok "it comes back again" run_on 1
check_eq "and is the same unit, by its id" "$(last serial)" KB000001
ok "another board" run_on 2
check_eq "has the next number" "$(last serial)" KB000002

# A copy: the first board's memory, with the number in it, in a third board.
ok "the first board is read" "$BUILD"/pogo-station read 1 -o "$work/copy.hex" --trim --bench "$url"
bench_ctl remove 2 && bench_ctl insert 2
recipe "$work/copy.hex"
ok "and written to another" run_on 2
recipe "$work/fw.hex" "$serial_rule"
ok "which the station does not take" not run_on 2
check_eq "its number is an alarm" "$(last code)" SERIAL
ok "in words" grep -q 'KB000001, which was given to another chip: one of the two is a copy; set both aside' "$work/run.out"

# --- option bytes: written when they differ, and not again
recipe "$work/fw.hex" 'options = { user = 0xFE; data0 = 0x12; wrp = [0xFF, 0xFF, 0xFF, 0x7F]; };'
ok "option bytes of the recipe" run_on 1
check_eq "stand in the chip with their complements" "$(board 1 option_bytes)" A55AFE0112EDFF00FF00FF00FF007F80
check_eq "and in the log" "$(measured options_left)" A5FE12FFFFFFFF7F
ok "write protection keeps the next run away" not run_on 1
check_eq "as protected" "$(last code)" PROTECTED
recipe "$work/fw.hex" 'options = { user = 0xFE; data0 = 0x12; };' 'allow_unlock = true;'
ok "allow_unlock takes it away" run_on 1
check_eq "the rest of them stays" "$(board 1 option_bytes)" A55AFE0112EDFF00FF00FF00FF00FF00
recipe "$work/fw.hex" 'options = { user = 0xFE; data0 = 0x12; };'
before=$(board 1 option_erases)
ok "the same board again" run_on 1
check_eq "its option bytes are right and were not touched" "$(board 1 option_erases)" "$before"
ok "a chip that does not take them" eval 'bench_ctl remove 1; bench_ctl insert 1; bench_ctl fault 1 fuse-stuck; not run_on 1'
check_eq "is found" "$(last code)" FUSE
bench_ctl remove 1 && bench_ctl insert 1

# --- page erase or mass erase, by the times of the part
recipe "$work/fw.hex"
ok "as the data sheet has it, an erase of all is the quickest" run_on 1
check_eq "all" "$(measured erased)" all
mkdir "$work/configs" && cp -r configs/parts configs/bootloaders "$work/configs"
sed -i 's/page_erase_us = 40000/page_erase_us = 1000/' "$work/configs/parts/stm32f103x8.cfg"
bench_ctl remove 1 && bench_ctl insert 1
ok "a part that erases a page in 1 ms" run_on 1 --configs "$work/configs"
check_eq "has eight pages erased" "$(measured erased) $(board 1 flash_record.erased)" "pages 8192"
ok "nobody broke a rule" eval '[ "$(bench_ctl dump | jq "[.slots[].board.violations[]] | add")" = 0 ]'

# --- compared by reading, or by the chip's CRC only where the recipe says so
check_eq "every byte was read back" "$(measured verified_by) $(measured bytes_verified)" "read-back 8192"
recipe "$work/fw.hex" 'full_readback = false;'
ok "full_readback = false" run_on 1
check_eq "is the CRC" "$(measured verified_by)" crc
bench_ctl remove 1 && bench_ctl insert 1 && bench_ctl fault 1 bad-byte=0x200.4
ok "which finds a wrong byte too" not run_on 1
check_eq "and the byte is told" "$(last 'code || printf(" %x", address)')" "VERIFY 8000200"
bench_stop

# --- supply: nobody works on such a board, and the reason is told
for case in '1500:its supply is only 1.50 V: is the board powered' '2300:supply of the board is 2.30 V, it must be at least 2.7 V' \
  '4200:supply of the board is 4.20 V, it must be at most 3.6 V'; do
  recipe "$work/fw.hex"
  bench_start --slots 1 --pod stlink --chip stm32f103x8 --operator manual --timing fast --faults "1.1:supply=${case%%:*}"
  bench_ctl insert 1
  "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --operator test >"$work/run.out" 2>&1 &
  station=$!
  for ((i = 0; i < 600; i++)); do grep -q "${case#*:}" "$work/run.out" && break; sleep 0.05; done
  ok "${case%%:*} mV: ${case#*:}" grep -q "${case#*:}" "$work/run.out"
  kill -INT $station && wait $station
  check_eq "${case%%:*} mV: nothing was written" "$(board 1 flash_record.erased)" 0
  bench_stop
done

# --- a dongle that hung and was reset goes on with the next board
recipe "$work/fw.hex"
bench_start --slots 1 --pod stlink --chip stm32f103x8 --operator auto --boards 3 --hand-ms 20 --timing fast --faults '1.2:freeze=3000'
timeout 60 "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" --operator test --count 3 >"$work/run.out" 2>&1
check_eq "three boards: the dongle hangs at the second" \
  "$(sql "SELECT group_concat(coalesce(code, 'PASS'), ' ') FROM (SELECT code FROM attempts ORDER BY id DESC LIMIT 3)")" "PASS TIMEOUT PASS"
bench_stop
finish
