# cases.sh: what the packaging tests share. Source it.
#
#   work                    a fresh folder, removed at the end
#   ok NAME COMMAND…        a case: passes when the command does
#   no NAME COMMAND…        a case: passes when the command fails
#   check_eq NAME A B       a case: passes when equal
#   commands_of PROGRAM     the commands in its --help, one a line
#   help_options PROGRAM [COMMAND]   the options in its help, one a line, without --help and --version
#   in_root ROOT COMMAND…   runs it with ROOT as / (the libraries that it needs are copied there first)
#   finish                  prints the closing line and ends

BUILD=${BUILD:-build}
work=$(mktemp -d "${TMPDIR:-/tmp}/pogoline.XXXXXX")
trap '[ -n "${KEEP:-}" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0
programs=(pogo-hex pogo-station pogo-yield pogo-bench)

pass() { passed=$((passed + 1)) && echo "ok   $1"; }
fail() {
  failed=$((failed + 1))
  echo "FAIL $1"
  shift
  [ $# -eq 0 ] || printf '%s\n' "$*" | head -n 15
}
ok() {
  local name=$1
  shift
  if "$@" >"$work/case.out" 2>&1; then pass "$name"; else fail "$name (status $?): $*" "$(cat "$work/case.out")"; fi
}
no() {
  local name=$1
  shift
  if "$@" >"$work/case.out" 2>&1; then fail "$name: $*" "$(cat "$work/case.out")"; else pass "$name"; fi
}
check_eq() {
  if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "$(diff <(echo "$2") <(echo "$3"))"; fi
}

# "  pogo-hex info …", "usage: pogo-bench serve …", "  learn STATION  teach …" or "  pods   what …"
commands_of() {
  "$BUILD/$1" --help | awk -v program="$1" '
    { sub(/^usage:/, "") }
    $1 == program && $2 ~ /^[a-z][a-z0-9|-]*$/ { gsub(/[|]/, "\n", $2); print $2; next }
    /^  [a-z][a-z0-9-]*( [][A-Z|.…]+)*  +[^ ]/ { print $1 }' | sort -u
}

# What stands in backquotes belongs to another command.
help_options() {
  "$BUILD/$1" ${2:+"$2"} --help | sed 's/`[^`]*`//g' | grep -oE -- '(^|[[ |])(-[a-zA-Z],|--[a-z][a-z0-9-]*)' |
    tr -d '[ |,' | grep -vxE -- '--help|--version|-h' | sort -u
}

# As root, or as root of a user namespace where the system lets people have one.
can_chroot() { [ "$(id -u)" = 0 ] || unshare -r true 2>/dev/null; }
in_root() {
  local root=$1 file
  shift
  while read -r file; do
    mkdir -p "$root${file%/*}" && cp -n "$file" "$root$file"
  done < <(ldd "$root$1" | grep -oE '/[^ ]+' | sort -u)
  if [ "$(id -u)" = 0 ]; then chroot "$root" "$@"; else unshare -r chroot "$root" "$@"; fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}
