#!/usr/bin/env bash
# Random images through pogo-hex, srec_cat, objcopy and Python's intelhex: the same bytes, or a named reason.
# COUNT says how many (400; the full proof is COUNT=20000), SEED which. Files that differ are kept with KEEP=1.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
count=${COUNT:-400} seed=${SEED:-1}

# Many small files: in memory, if there is a place.
if [ -z "${KEEP:-}" ] && [ -w /dev/shm ]; then
  rm -rf "$work"
  work=$(mktemp -d /dev/shm/pogoline.XXXXXX)
fi
# The one that has Debian's packages; another python3 may stand before it on the path.
python=$(for p in python3 /usr/bin/python3; do "$p" -c 'import intelhex' 2>/dev/null && echo "$p" && break; done)
ok "the peers are installed" test -n "$python" -a -x "$(command -v srec_cat)" -a -x "$(command -v objcopy)"
ok "the generator compiles" "${CC:-cc}" -std=c11 -O2 -Wall -Wextra -Werror -o "$work/hex_random" tests/peers/hex_random.c
[ "$failed" -eq 0 ] || finish

# In portions, so that the files of 20,000 images are never there together.
portion() {
  rm -rf "$work/images" && mkdir "$work/images" && "$work/hex_random" "$seed" "$1" "$2" "$work/images" &&
    "$python" tests/peers/hex_differential.py "$BUILD/pogo-hex" "$work/images" "$1" "$2" >"$work/portion.out"
  local status=$?
  cat "$work/portion.out" >>"$work/all.out"
  grep -v '^REASON' "$work/portion.out"
  return $status
}
for ((first = 0; first < count; first += 1000)); do
  size=$((count - first < 1000 ? count - first : 1000))
  ok "images $first to $((first + size - 1))" portion "$first" "$size"
  [ "$failed" -eq 0 ] || break
done
check_eq "every image was compared" "$(awk '$1 == "COUNT" { n += $2 } END { print n + 0 }' "$work/all.out")" "$count"
awk '$1 == "COUNT" { n += $2; c += $3 }
  END { print "FIGURE " n " random images, " c " comparisons with srec_cat, objcopy and intelhex" }' "$work/all.out"
awk '/^REASON/ { n = $NF; sub(/^REASON /, ""); sub(/: [0-9]+$/, ""); sum[$0] += n }
  END { for (r in sum) print "FIGURE reason: " r " (" sum[r] ")" }' "$work/all.out" | sort
finish
