#!/usr/bin/env bash
# What pogo-hex costs beside cat and srec_cat: alternating, medians, peak memory. Output goes to memory
# (/dev/shm) unless a line says "disk", where the fsync of a whole-or-not-at-all file is most of the time.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
hex=$(realpath "$BUILD/pogo-hex")
disk=$work
fast=$(mktemp -d /dev/shm/pogoline.XXXXXX) || exit 3
trap 'rm -rf "$fast"; cleanup' EXIT
rounds=${ROUNDS:-7}

ok "the runner compiles" "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$fast/cost" tests/perf/cost.c
ok "srec_cat is there" command -v srec_cat
[ "$failed" -eq 0 ] || finish

# images NAME KIB: NAME.fw (7/8 of it), NAME.boot (the rest) and NAME.hex (all), from random bytes
images() {
  head -c $(($2 * 896)) /dev/urandom >"$fast/fw.bin" && head -c $(($2 * 128)) /dev/urandom >"$fast/boot.bin" &&
    "$hex" convert --to ihex -o "$fast/$1.fw" "$fast/fw.bin@0" &&
    "$hex" convert --to ihex -o "$fast/$1.boot" "$fast/boot.bin@$(($2 * 896))" &&
    "$hex" merge -o "$fast/$1.hex" "$fast/$1.fw" "$fast/$1.boot" && rm "$fast/fw.bin" "$fast/boot.bin"
}

# measure ROUNDS NAME COMMAND [NAME COMMAND]…: in turn, ROUNDS times; then us[NAME] and kib[NAME] are medians. Each
# finds its output file gone, and one round before the first has touched the memory: a virtual machine is given
# pages by its host when they are touched first, which would be booked to whoever comes by.
declare -A us kib
measure() {
  local n=$1 i name
  shift
  local words=("$@")
  rm -f "$fast"/*.cost
  for ((i = -1; i < n; i++)); do
    set -- "${words[@]}"
    while [ $# -gt 0 ]; do
      rm -f "$fast"/*-out.hex "$disk"/*-out.hex
      "$fast/cost" sh -c "exec $2" >"$fast/one" || return 1
      [ "$i" -lt 0 ] || cat "$fast/one" >>"$fast/$1.cost"
      shift 2
    done
  done
  set -- "${words[@]}"
  while [ $# -gt 0 ]; do
    name=$1
    us[$name]=$(awk '{ print $1 }' "$fast/$name.cost" | sort -n | sed -n "$(((n + 1) / 2))p")
    kib[$name]=$(awk '{ print $2 }' "$fast/$name.cost" | sort -n | sed -n "$(((n + 1) / 2))p")
    shift 2
  done
}
ms() { awk -v v="$1" 'BEGIN { printf "%.1f", v / 1000 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
mib() { awk -v v="$1" 'BEGIN { printf "%.1f", v / 1024 }'; }
at_most() { [ "$(($1))" -le "$(($2))" ]; }

merge_of() { echo "$hex merge -o $1 $fast/$2.fw $fast/$2.boot"; }
cat_of() { echo "cat $fast/$2.fw $fast/$2.boot >$1"; }
srec_of() { echo "srec_cat $fast/$2.fw -intel $fast/$2.boot -intel -o $1 -intel"; }

# ---- merge: 32 KiB -------------------------------------------------------------------------------------
ok "32 KiB images" images small 32
ok "32 KiB measured" measure 41 cat "$(cat_of "$fast/cat-out.hex" small)" merge "$(merge_of "$fast/merge-out.hex" small)" \
  srec "$(srec_of "$fast/srec-out.hex" small)"
echo "FIGURE merge 32 KiB: cat $(ms "${us[cat]}") ms, pogo-hex $(ms "${us[merge]}") ms, srec_cat $(ms "${us[srec]}") ms"
ok "32 KiB within 2 ms of cat" at_most "${us[merge]}" "${us[cat]} + 2000"
ok "32 KiB measured on disk" measure 15 cat "$(cat_of "$disk/cat-out.hex" small)" merge "$(merge_of "$disk/merge-out.hex" small)"
echo "FIGURE merge 32 KiB to disk: cat $(ms "${us[cat]}") ms, pogo-hex $(ms "${us[merge]}") ms (with fsync)"

# ---- merge: 16 and 64 MiB ------------------------------------------------------------------------------
big() {
  local mib=$1 n=$2
  ok "$mib MiB images" images "big$mib" $((mib * 1024))
  ok "$mib MiB measured" measure "$n" cat "$(cat_of "$fast/cat-out.hex" "big$mib")" merge "$(merge_of "$fast/merge-out.hex" "big$mib")" \
    srec "$(srec_of "$fast/srec-out.hex" "big$mib")"
  echo "FIGURE merge $mib MiB: cat $(ms "${us[cat]}") ms, pogo-hex $(ms "${us[merge]}") ms ($(ratio "${us[merge]}" "${us[cat]}") x cat), srec_cat $(ms "${us[srec]}") ms ($(ratio "${us[srec]}" "${us[merge]}") x pogo-hex)"
  echo "FIGURE merge $mib MiB memory: pogo-hex $(mib "${kib[merge]}") MiB, srec_cat $(mib "${kib[srec]}") MiB"
  ok "$mib MiB: 25 times faster than srec_cat" at_most "25 * ${us[merge]}" "${us[srec]}"
  [ "$mib" -ne 16 ] || ok "$mib MiB: at most 3 times cat" at_most "${us[merge]}" "3 * ${us[cat]}"
  ok "$mib MiB: memory at most the data and 8 MiB" at_most "${kib[merge]}" "($mib + 8) * 1024"
  rm -f "$fast"/{cat,merge,srec}-out.hex
}
big 64 3
rm -f "$fast"/big64.*
big 16 "$rounds"
ok "16 MiB measured on disk" measure 3 cat "$(cat_of "$disk/cat-out.hex" big16)" merge "$(merge_of "$disk/merge-out.hex" big16)"
echo "FIGURE merge 16 MiB to disk: cat $(ms "${us[cat]}") ms, pogo-hex $(ms "${us[merge]}") ms (with fsync)"

# ---- the order of records ------------------------------------------------------------------------------
# As S-records, which carry whole addresses: so only the order differs.
reorder() {
  "$hex" convert --to srec --address-bytes 4 -o "$fast/up.srec" "$fast/order.hex" &&
    grep '^S3' "$fast/up.srec" >"$fast/data" && grep '^S7' "$fast/up.srec" >"$fast/end" &&
    cat "$fast/data" "$fast/end" >"$fast/up.srec" && { tac "$fast/data" && cat "$fast/end"; } >"$fast/down.srec" &&
    { shuf --random-source="$fast/order.hex" "$fast/data" && cat "$fast/end"; } >"$fast/mixed.srec"
}
ok "16 MiB in three orders" eval 'cp "$fast/big16.hex" "$fast/order.hex" && reorder'
ok "orders measured" measure "$rounds" up "$hex merge --to ihex -o $fast/1.out $fast/up.srec" \
  down "$hex merge --to ihex -o $fast/2.out $fast/down.srec" mixed "$hex merge --to ihex -o $fast/3.out $fast/mixed.srec"
ok "the same output for descending records" cmp "$fast/1.out" "$fast/2.out"
ok "the same output for shuffled records" cmp "$fast/1.out" "$fast/3.out"
echo "FIGURE 16 MiB of S-records: ascending $(ms "${us[up]}") ms, descending $(ms "${us[down]}") ms, shuffled $(ms "${us[mixed]}") ms; memory $(mib "${kib[up]}"), $(mib "${kib[down]}"), $(mib "${kib[mixed]}") MiB"
ok "descending within 3 times" at_most "${us[down]}" "3 * ${us[up]}"
ok "shuffled within 3 times" at_most "${us[mixed]}" "3 * ${us[up]}"

# ---- reader and writer alone -----------------------------------------------------------------------------
declare -A rate
speeds() {
  "$BUILD/tests/perf/speed" 16 "$rounds" >"$fast/speed" && while read -r name value; do rate[$name]=$value; done <"$fast/speed"
}
ok "reader and writer measured" speeds
echo "FIGURE text in GB/s: read $(ratio "${rate[read]}" 1e9), table-driven loop $(ratio "${rate[table]}" 1e9), write $(ratio "${rate[write]}" 1e9), memcpy $(ratio "${rate[memcpy]}" 1e9), digest $(ratio "${rate[digest]}" 1e9)"
ok "the reader is faster than a table-driven loop" at_most "${rate[table]}" "${rate[read]}"

# ---- what nobody should feed it -------------------------------------------------------------------------
exec 3>&1
# ends NAME EXIT FILE COMMAND…: it ends with this exit code within 1 s and 32 MiB, in at most 60 lines.
ends() {
  local name=$1 exit=$2 file=$3 got lines
  shift 3
  "$hex" "$@" "$file" >"$fast/said" 2>&1
  got=$?
  lines=$(wc -l <"$fast/said")
  measure 3 odd "$hex $* $file"
  echo "FIGURE $name, $1: $(ms "${us[odd]}") ms, $(mib "${kib[odd]}") MiB, $lines lines" >&3
  [ "$got" -eq "$exit" ] && [ "$lines" -le 60 ] && at_most "${us[odd]}" 1000000 && at_most "${kib[odd]}" "32 * 1024"
}
# all_end NAME FILE EXIT EXIT EXIT EXIT: of info, crc, check, diff
all_end() {
  ok "$1: info" ends "$1" "$3" "$2" info
  ok "$1: crc" ends "$1" "$4" "$2" crc
  ok "$1: check" ends "$1" "$5" "$2" check --part atmega32u4
  ok "$1: diff" ends "$1" "$6" "$2" diff "$2"
}
{ printf ':'; head -c $((1 << 30)) /dev/zero | tr '\0' 0; } >"$fast/line.hex"
all_end "a line of 1 GiB" "$fast/line.hex" 2 2 2 2
rm "$fast/line.hex"
printf ':0100000041BE\n:02000004FFFFFC\n:01FFFF0042BF\n:00000001FF\n' >"$fast/far.hex"
all_end "two bytes 4 GiB apart" "$fast/far.hex" 0 1 1 0
yes ':0100000041FF' | head -n 1000000 >"$fast/bad.hex"
all_end "a million bad records" "$fast/bad.hex" 2 2 2 2
{ awk 'BEGIN { for (i = 0; i < 1000000; i++) printf ":0100000041BE trailing %d\n", i }'; echo ':00000001FF'; } >"$fast/odd.hex"
lenient() { "$hex" info --lenient "$1" >"$fast/said" 2>&1; [ "$(wc -l <"$fast/said")" -le 60 ]; }
ok "a million odd records, lenient" lenient "$fast/odd.hex"

# ---- the commands that only read ------------------------------------------------------------------------
# Merge's reading time: a merge that refuses one byte in conflict has read all and written nothing.
all=$fast/big16.hex
conflict() {
  local first=$((0x$(cut -c10-11 "$1" | head -n 1) ^ 0xFF))
  printf ':01000000%02X%02X\n:00000001FF\n' "$first" $((-1 - first & 0xFF))
}
conflict "$all" >"$fast/one.hex"
refused() { ! "$hex" merge -o "$fast/none" "$all" "$fast/one.hex" 2>"$fast/said" && grep -q 'both have 0x00000-0x00000' "$fast/said"; }
ok "a merge that has read all and refuses" refused
# The digest is the SHA-256 of the canonical text, which a second processor hashes while the first reads the file. The
# hash alone, which no two processors can share, takes nearly twice as long as reading: that is the other limit.
sed 's/$/\r/' "$all" >"$fast/crlf.hex"
ok "commands measured" measure "$rounds" reading "$hex merge -o $fast/none $all $fast/one.hex" info "$hex info $all" \
  crlf "$hex info $fast/crlf.hex" start "$hex crc $fast/one.hex" one "taskset -c $(taskset -cp $$ | grep -o '[0-9]*$') $hex info $all" \
  diff "$hex diff --quiet $all $all" crc "$hex crc $all" check "$hex check --part atmega32u4 $all"
reading=${us[reading]}
echo "FIGURE 16 MiB: reading $(ms "$reading") ms; info $(ms "${us[info]}"), diff $(ms "${us[diff]}") (two files), crc $(ms "${us[crc]}"), check $(ms "${us[check]}") ms"
echo "FIGURE 16 MiB: info $(ratio "${us[info]}" "$reading") x reading; of a file with CR LF $(ms "${us[crlf]}") ms, with one processor $(ms "${us[one]}") ms"
alone=$(awk -v b="$(stat -c %s "$all")" -v r="${rate[digest]}" -v s="${us[start]}" 'BEGIN { printf "%d", b / r * 1e6 + s }')
echo "FIGURE 16 MiB: the digest alone and a process $(ms "$alone") ms, $(ratio "$alone" "$reading") x reading; info $(ratio "${us[info]}" "$alone") x that"
quick() { at_most "$1" "2 * $reading" || at_most "10 * $1" "11 * $alone"; }
ok "info at most 2 x reading, or 1.1 x its digest alone" quick "${us[info]}"
ok "info of a file with CR LF the same" quick "${us[crlf]}"
ok "diff at most 2 x reading of its two files" at_most "${us[diff]}" "4 * $reading"
ok "crc at most 2 x reading" at_most "${us[crc]}" "2 * $reading"
ok "check at most 2 x reading" at_most "${us[check]}" "2 * $reading"
finish
