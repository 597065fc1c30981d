#!/usr/bin/env bash
# run.sh MINUTES [FORMAT…]: fuzzes each reader so many minutes of processor time (libFuzzer, address and undefined
# behaviour sanitizers), starting from the corpus beside this file; exit 1 on a finding, which stays in the work folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:?how many minutes for each format}
shift
formats=("$@")
[ ${#formats[@]} -gt 0 ] || formats=(ihex srec elf uf2 binary)
work=${BUILD:-build}/fuzz
mkdir -p "$work"
sources=(hextools/{format,format_ihex,ihex_read,ihex_write,srec,elf,uf2,binary,dfu_suffix,lines,notes,instream,sink,builder,flat,image,outfile,digest,err}.c)
flags=(-std=c11 -D_GNU_SOURCE -g -O1 -I. -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined)

# Sets `used`: processor seconds of the children that have ended. (A subshell would see its own.)
look_used() {
  times >"$work/times"
  used=$(awk 'NR == 2 { gsub(/[ms]/, " "); printf "%d", $1 * 60 + $2 + $3 * 60 + $4 }' "$work/times")
}

for format in "${formats[@]}"; do
  clang "${flags[@]}" "-DFORMAT=\"$format\"" -o "$work/fuzz_$format" tests/fuzz/fuzz_format.c "${sources[@]}" -lelf
  mkdir -p "$work/corpus/$format"
  echo "fuzz $format: $minutes minutes"
  look_used
  runs=0 began=$used until=$(awk -v m="$minutes" -v b="$used" 'BEGIN { printf "%d", b + m * 60 }')
  # libFuzzer counts the clock on the wall; on a busy machine one turn is not enough.
  while [ "$used" -lt "$until" ]; do
    # A finding is written to the work folder and ends the run.
    if ! nice -n 10 "$work/fuzz_$format" -max_total_time="$((until - used))" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
      -print_final_stats=1 -verbosity=0 -artifact_prefix="$work/$format-" "$work/corpus/$format" \
      "tests/fuzz/corpus/$format" >"$work/$format.log" 2>&1; then
      tail -40 "$work/$format.log" >&2
      echo "fuzz $format: a finding, see $work" >&2
      exit 1
    fi
    runs=$((runs + $(awk '/number_of_executed_units/ { print $2 }' "$work/$format.log")))
    look_used
  done
  echo "fuzz $format: no finding in $runs runs, $((used - began)) s of processor time"
done
