#!/usr/bin/env bash
# One board of every AVR in configs/parts, with its factory fuses and three quarters of its flash full.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

for cfg in $(grep -l '^family = "avr"' configs/parts/*.cfg); do
  part=$(basename "$cfg" .cfg)
  # shellcheck disable=SC2046
  set -- $(sed -n 's/^ *factory = \[ *\(0x..\), *\(0x..\)\(, *\(0x..\)\)\{0,1\} *\].*/\1 \2 \4/p' "$cfg" | head -n 1)
  flash=$(sed -n '/^flash/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "$cfg" | head -n 1)
  "$BUILD"/pogo-hex fill -o "$work/line.hex" 0x0+$((flash * 3 / 4)) --with random --seed 3 fixtures/images/demo_eeprom.hex
  cat >"$work/line.cfg" <<CFG
product = "part"; part = "$part"; image = "line.hex"; crystal_hz = 16000000;
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
fuses = { low = $1; high = $2; ${3:+ext = $3;} };
CFG
  bench_start --slots 1 --chip "$part" --timing fast --operator auto --boards 1 --hand-ms 20
  ok "$part: a board passes" station --count 1
  bench_stop
  fuses=$1,$2${3:+,$3}
  ok "$part: chip and release agree" "$BUILD"/tests/bench/judge "$state" "$work/line.hex" "$part" "${fuses//0x/}" FF
done
finish
