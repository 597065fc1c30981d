#!/usr/bin/env bash
# The USBtiny: one board of every part, all firmware versions, its troubles, and beside a USBasp in one line.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/lib/parts.sh

every_part usbtiny

recipe atmega32u4 4096
pods_are usbtiny
for version in 1.06 1.05 1.04; do
  bench_start --slots 1 --pod "usbtiny:$version" --timing fast --operator auto --boards 1 --hand-ms 20
  check_eq "$version: pods tells the version" "$("$BUILD"/pogo-station pods --bench "$url" --json | jq -r '.[0].firmware')" "USBtiny $version"
  ok "$version: a board passes" plain --count 1
  bench_stop
  ok "$version: chip and release agree" "$BUILD"/tests/bench/judge --all "$state" "$work/line.hex" atmega32u4 "$fuses" FF
done

trouble() { fault usbtiny,usbasp "$@"; }
trouble unplug=3000 PROGRAMMER_LOST
trouble hang=3000 PROGRAMMER_LOST
trouble stall=3000 WRITE
trouble flip=3000 VERIFY
trouble repeat=3000 VERIFY
trouble wrong-chip SIGNATURE
trouble contact-lost=30000 CONTACT
trouble no-erase ERASE
trouble stuck=0x123.3.0 VERIFY
finish
