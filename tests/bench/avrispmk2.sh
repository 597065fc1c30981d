#!/usr/bin/env bash
# The AVRISP mkII: one board of every part by Atmel's own and by LUFA's, its troubles, and beside others in one line.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh && . tests/lib/parts.sh

every_part avrispmk2:genuine,avrispmk2:lufa

recipe atmega32u4 4096
for maker in genuine lufa; do
  bench_start --slots 1 --pod "avrispmk2:$maker" --timing fast --operator auto --boards 1 --hand-ms 20
  "$BUILD"/pogo-station pods --bench "$url" --json >"$work/pods.json"
  check_eq "$maker: pods knows its kind" "$(jq -r '.[0].kind' "$work/pods.json")" avrispmk2
  check_eq "$maker: and its maker" "$(jq -r '.[0].firmware' "$work/pods.json" | grep -c LUFA)" "$([ $maker = lufa ] && echo 1 || echo 0)"
  bench_stop
done

trouble() { fault avrispmk2,usbtiny,usbasp "$@"; }
trouble unplug=3000 PROGRAMMER_LOST
trouble hang=3000 PROGRAMMER_LOST
trouble stall=3000 WRITE
# In the middle of a page's bytes, also when the station asked once more or less for a board before: the
# head of the message has bytes that this chip does not need.
trouble flip=3060 VERIFY
trouble wrong-chip SIGNATURE
trouble contact-lost=30000 CONTACT
trouble no-erase ERASE
trouble stuck=0x123.3.0 VERIFY
# The 85th command is in the middle of programming.
trouble reply-lost=85 PROGRAMMER_LOST
trouble reply-cut=85 WRITE
trouble reply-wrong=85 WRITE
trouble reply-long=85 WRITE
trouble reply-stale=85 VERIFY
trouble reply-late=85.300 PASS
finish
