#!/usr/bin/env bash
# The man pages are well formed and say what --help says: the same commands, each with the same options;
# and the pages of file formats have every key that the example files use.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. tests/packaging/cases.sh

declare -A page=([pogo-hex]=hextools/pogo-hex.1 [pogo-station]=station/pogo-station.1
  [pogo-yield]=db/pogo-yield.1 [pogo-bench]=fixtures/bench/pogo-bench.1)
formats=(configs/pogoline-recipe.5 configs/pogoline-station.5)

# mandoc looks for the pages of SEE ALSO on this machine, where ours are not installed.
lint() { ! mandoc -Tlint "$1" 2>/dev/null | grep -v 'referenced manual not found' | grep .; }
groff_silent() {
  local said
  said=$(LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z "$1" 2>&1 >/dev/null) || return
  [ -z "$said" ] || { echo "$said" && false; }
}

# page_commands PROGRAM: its ".Ss PROGRAM COMMAND" headings.
page_commands() { awk -v p="$1" '$1 == ".Ss" && $2 == p { print $3 }' "${page[$1]}" | sort -u; }

# page_options PROGRAM [COMMAND]: the options in the ".It" lines of that heading, or of all.
page_options() {
  awk -v p="$1" -v c="${2:-}" '
    $1 == ".Sh" { inside = 0 }
    $1 == ".Ss" { inside = $2 == p && (c == "" || $3 == c) }
    inside && $1 == ".It" { for (i = 2; i < NF; i++) if ($i == "Fl") print "-" $(i + 1) }' "${page[$1]}" | sort -u
}

# common_options PROGRAM: those of the heading COMMON OPTIONS, which a command's own heading need not repeat.
common_options() {
  awk '$1 == ".Sh" { inside = $2 == "COMMON" }
    inside && $1 == ".It" { for (i = 2; i < NF; i++) if ($i == "Fl") print "-" $(i + 1) }' "${page[$1]}" | sort -u
}

# described PROGRAM COMMAND: the command's own options, and the common ones that its help has.
described() {
  { page_options "$1" "$2" && comm -12 <(common_options "$1") <(help_options "$1" "$2"); } | sort -u
}

for file in "${page[@]}" "${formats[@]}"; do
  ok "$file: mandoc finds nothing" lint "$file"
  ok "$file: groff finds nothing" groff_silent "$file"
done

for program in "${programs[@]}"; do
  file=${page[$program]}
  check_eq "$program: the page has the commands of --help" "$(commands_of "$program")" "$(page_commands "$program")"
  check_eq "$program: --help and --version are on the page" "2" "$(grep -cE '^\.It .*Fl -(help|version)' "$file")"
  if [ "$program" = pogo-bench ]; then # one help for both commands
    check_eq "$program: options" "$(help_options "$program")" "$(page_options "$program")"
    continue
  fi
  for command in $(commands_of "$program"); do
    check_eq "$program $command: the page has the options of --help" "$(help_options "$program" "$command")" \
      "$(described "$program" "$command")"
  done
  check_eq "$program: every common option is one of some command" "" \
    "$(comm -23 <(common_options "$program") <(for command in $(commands_of "$program"); do
      help_options "$program" "$command"
    done | sort -u))"
done

# A page for each fault of the bench, and no other.
check_eq "pogo-bench: the faults of --help" \
  "$("$BUILD/pogo-bench" --help | sed -n '/^ *no-contact/,/--seed/{/--seed/!p}' | sed 's/(.*)//' | tr -s ' ' '\n' | sed 's/=.*//;/^$/d' | sort)" \
  "$(awk '/^\.Sh/ { inside = $2 == "FAULTS" } inside && $1 == ".It" { gsub(/\.It|Cm|Ns|=|Ar|,|[A-Z.]+/, ""); print }' \
    "${page[pogo-bench]}" | tr -s ' ' '\n' | sed '/^$/d' | sort)"

# The keys of the example files and of the pages.
keys() { sed 's/#.*//' "$1" | grep -oE '[a-z_0-9]+ =' | cut -d' ' -f1; }
commented() { sed -n 's/^# *\([a-z_]* = \)/\1/p' "$1" | grep -oE '^[a-z_0-9]+ =' | cut -d' ' -f1; }
for kind in recipe station; do
  example=configs/${kind}s/example.cfg
  check_eq "pogoline-$kind(5): the keys of $example" "$({ keys "$example"; commented "$example"; } | sort -u)" \
    "$(awk '($1 == ".It" || /^\.Va (low|high|ext)/) && NF > 1 { print ($1 == ".It") ? $3 : $2 }' \
      "configs/pogoline-$kind.5" | sort -u)"
done
# The words of pogo-hex check: those of the sources, each once.
words_of_sources() {
  cat hextools/check*.c | tr '\n' ' ' | grep -oE 'check_(find|program)\([^";{]*"[a-z0-9-]+"' | grep -oE '"[^"]+"' | tr -d '"' | sort -u
}
words_of_page() {
  awk '$1 == ".Ss" { inside = $3 == "check" } inside && $1 == ".It" && $2 == "Cm" { print $3 }' "${page[pogo-hex]}" | sort
}
check_eq "pogo-hex check: the page has every word of a finding" "$(words_of_sources)" "$(words_of_page)"
finish
