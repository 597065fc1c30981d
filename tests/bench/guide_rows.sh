#!/usr/bin/env bash
# Every row of configs/bootloaders (family, part, fuses; and each known file that has fuses of its own): a release
# from an image in that bootloader's address range and an application below it, one board, everything compared.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh

# The rows as "FAMILY PART SECTION RESERVED FUSES LOCK". Where no fuses are published (-) the row is flashed with the
# part's factory ones.
rows() {
  local cfg
  for cfg in configs/bootloaders/*.cfg; do
    tr '\n' ' ' <"$cfg" | sed 's/}[;,]*/}\n/g' | awk -v family="$(basename "$cfg" .cfg)" '
      function field(key,    m) { return match($0, key " = [^;\\[]*;") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 4) : "" }
      function list(key,    text) {
        if (!match($0, "[ {]" key " = \\[[^]]*\\]")) return "-"
        text = substr($0, RSTART, RLENGTH); gsub(/.*\[ *| *\]|0x/, "", text); gsub(/ *, */, ",", text); return text
      }
      /lock = 0x/ { match($0, /lock = 0x../); lock = substr($0, RSTART + 9, 2) }
      /section = / { part = field("part"); gsub(/"/, "", part); size[part] = field("section"); kept[part] = field("reserved")
        print family, part, size[part], kept[part] == "" ? size[part] : kept[part], list("fuses"), lock == "" ? "-" : lock; next }
      /crc32 = / && list("fuses") != "-" { part = field("part"); gsub(/"/, "", part)
        print family, part, size[part], size[part], list("fuses"), lock == "" ? "-" : lock }' | sort -u
  done
}

# PART SECTION: its fuses as delivered, with the BOOTSZ code of that section.
delivered() {
  local cfg=configs/parts/$1.cfg code
  code=$(sed -n '/^boot = /,/^)/s/.*bytes = \([0-9]*\);.*/\1/p' "$cfg" | grep -nx "$2" | cut -d: -f1)
  "$BUILD"/pogo-hex fuses --part "$1" --set BOOTSZ=$((code - 1)) --json | jq -r '[.fuses | .low, .high, (.ext // empty) | ascii_upcase | ltrimstr("0X")] | join(",")'
}

seq 1 99999 >"$work/text"
rows >"$work/rows"
echo "bootloadhid atmega32a 4096 4096 0F,C0 EF" >>"$work/rows"
while read -r family part section reserved fuses lock <&3; do
  row="$family on $part"
  grep -q '^family = "avr"' "configs/parts/$part.cfg" || continue
  if [ "$fuses" = - ]; then fuses=$(delivered "$part" "$section") row="$row, fuses as delivered: $fuses"; else row="$row, $fuses"; fi
  flash=$(sed -n '/^flash/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "configs/parts/$part.cfg" | head -n 1)
  head -c $((section - 16)) "$work/text" >"$work/boot.bin"
  head -c $(((flash - reserved) / 4)) "$work/text" >"$work/app.bin"
  # The guide's 0F,D0 leaves CKOPT unprogrammed, which the data sheet allows up to 8 MHz (8155I, table 8-4); the
  # bench's crystals obey it. With the 12 MHz of these boards 0F,C0 is right.
  crystal=16000000
  [ "$family,$fuses" = bootloadhid,0F,D0 ] && crystal=8000000
  [ "$family,$fuses" = bootloadhid,0F,C0 ] && crystal=12000000
  words=(--fuses "$fuses")
  [ "$lock" = - ] || words+=(--lock "$lock")
  ok "$row: a release" "$BUILD"/pogo-hex release --part "$part" --bootloader "$work/boot.bin@$((flash - section))" \
    --app "$work/app.bin@0" --crystal $crystal --product rows -o "$work/line.hex" --recipe "$work/line.cfg" "${words[@]}"
  bench_start --slots 1 --chip "$part" --timing fast --operator auto --boards 1 --hand-ms 20 --crystal $crystal
  ok "$row: a board passes" station --count 1
  bench_stop
  [ "$lock" = - ] && lock=FF
  ok "$row: chip and release agree" "$BUILD"/tests/bench/judge "$state" "$work/line.hex" "$part" "$fuses" "$lock"
done 3<"$work/rows"
check_eq "as many rows as the guide and its gaps have" "$([ "$(wc -l <"$work/rows")" -ge 55 ] && echo yes)" yes
finish
