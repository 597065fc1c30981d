#!/usr/bin/env bash
# Every hard input has a right outcome; what pogo-hex and its peers make of each stands in hextools/peers.md.
# WRITE=1 writes that table anew.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
doc=hextools/peers.md
/usr/bin/python3 tests/peers/anchors.py check "$BUILD/pogo-hex" "$work" >"$work/cases"
grep -v ' passed, ' "$work/cases"
passed=$((passed + $(grep -c '^ok' "$work/cases"))) failed=$((failed + $(grep -c '^FAIL' "$work/cases")))
check_eq "as many cases as there are" "$((passed + failed))" 81
/usr/bin/python3 tests/peers/anchors.py matrix "$BUILD/pogo-hex" "$work" >"$work/table"
if [ -n "${WRITE:-}" ]; then
  sed -i '/^| plain-lf/,$d' "$doc" && cat "$work/table" >>"$doc"
fi
grep -E '^\| [a-z]' "$doc" | grep -v '^| case ' >"$work/written"
ours() { cut -d'|' -f2-4 "$1"; }
check_eq "the table tells the truth about pogo-hex" "$(ours "$work/written")" "$(ours "$work/table")"
# Other versions of the peers may do other things, which is no fault of ours, but worth a word.
echo "FIGURE peers: $(diff "$work/written" "$work/table" | grep -c '^>') of 81 rows differ from the table, which was made with Debian 12"
finish
