#!/usr/bin/env bash
# Every programmer for AVRs with every part, one board each, through the kernel's usbfs, cdc-acm and ftdi_sio: both ends of
# the flash (above 64 KiB where there is that), EEPROM, the fuses as delivered.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/usb/guest.sh

kinds=(usbasp usbtiny avrispmk2:genuine avrispmk2:lufa stk500v1:micro buspirate)
attached() { [ "$(grep -lx -e 05dc -e 0c9f -e 2104 -e 8037 -e 6001 /sys/bus/usb/devices/*/idProduct 2>/dev/null | wc -l)" = "$1" ]; }
# One after the other: usbip gives up when it meets a device that is only half there.
attach_all() {
  for ((n = 1; n <= ${#kinds[@]}; n++)); do attach $n && until_true attached $n || return 1; done
  until_true ttys_there && udevadm settle
}
ttys_there() { [ -w /dev/ttyACM0 ] && [ -w /dev/ttyUSB0 ]; }
insert_all() { for ((n = 1; n <= ${#kinds[@]}; n++)); do bench_ctl insert $n || return 1; done; }
detach_all() { for ((n = 0; n < ${#kinds[@]}; n++)); do usbip detach -p $n || return 1; done && until_true attached 0; }

# recipe CFG: 2 KiB at the beginning of the flash, 512 bytes at its end, and the EEPROM's text
recipe() {
  local low high ext bytes
  read -r low high ext < <(sed -n 's/^ *factory = \[ *\(0x..\), *\(0x..\)\(, *\(0x..\)\)\{0,1\} *\].*/\1 \2 \4/p' "$1" | head -n 1)
  bytes=$(sed -n '/^flash/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "$1" | head -n 1)
  "$BUILD"/pogo-hex merge -o "$work/line.hex" "$work/body.bin@0" "$work/tail.bin@$((bytes - 512))" \
    fixtures/images/demo_eeprom.hex@0x810000 || return 1
  cat >"$work/line.cfg" <<CFG
product = "part"; part = "$(basename "$1" .cfg)"; image = "line.hex"; crystal_hz = 16000000;
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
fuses = { low = $low; high = $high; ${ext:+ext = $ext;} };
CFG
  fuses=$low,$high${ext:+,$ext}
  fuses=${fuses//0x/}
}

seq 1 9999 | head -c 2048 >"$work/body.bin"
seq 9999 -1 1 | head -c 512 >"$work/tail.bin"
for cfg in $(grep -l '^family = "avr"' configs/parts/*.cfg); do
  part=$(basename "$cfg" .cfg)
  ok "$part: a recipe" recipe "$cfg"
  bench_start --slots ${#kinds[@]} --pod "$(IFS=,; echo "${kinds[*]}")" --chip "$part" --timing fast --operator manual
  ok "$part: the programmers arrive" attach_all
  ok "$part: boards are set" insert_all
  # A Bus Pirate must be named: an FT232R may be anything.
  "$BUILD"/pogo-station pods --json | jq -r '"station = \"parts\"; slots = (", ([.[] | "{ name = \"\(.port)\"; port = \"\(.port)\"; programmer = \"\(.kind // "buspirate")\"; }"] | join(", ")), ");"' >"$work/parts.cfg"
  ok "$part: each programmer passes one" timeout 200 "${user[@]}" "$BUILD"/pogo-station run "$work/line.cfg" --station "$work/parts.cfg" --db "$work/line.db" --ui plain \
    --operator test --count ${#kinds[@]}
  ok "$part: the programmers leave" detach_all
  ok "$part: the bench ends" bench_stop
  ok "$part: chips and release agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" "$part" "$fuses" FF
done
check_eq "a pass for each programmer and part" "$(sql "select count(*) from attempts where status='PASS'")" \
  $((${#kinds[@]} * $(grep -l '^family = "avr"' configs/parts/*.cfg | wc -l)))
finish
