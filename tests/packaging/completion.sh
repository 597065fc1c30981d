#!/usr/bin/env bash
# Completion in bash (sourced, then asked like readline asks) and in zsh (its completion builtins replaced
# by ones that print): commands, options, parts, words of an option, files by their extension.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. tests/packaging/cases.sh
unset POGOLINE_CONFIGS

bin=$(realpath "$BUILD") BUILD=$(realpath "$BUILD")
PATH=$bin:$PATH
. configs/completion/pogoline.bash
root=$PWD
mkdir "$work/files" "$work/files/folder" && cd "$work/files" || exit 2
touch a.hex b.HEX notes.txt kb.cfg kb.json kb.db "with space.hex"

# at WORD…: what bash offers with the cursor in the last word.
at() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
  _pogoline
  printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | sort | paste -sd' '
}
has() { case " $1 " in *" $2 "*) ;; *) echo "no $2 in: $1" && false ;; esac; }

for program in "${programs[@]}"; do
  ok "$program is completed" eval "complete -p $program | grep -q _pogoline"
  offered=$(at "$program" "")
  commands=$(commands_of "$program")
  check_eq "$program: its commands" "$(printf '%s\n' $commands --help --version | sort | paste -sd' ')" "$offered"
  for command in $commands; do
    check_eq "$program $command --: its options" \
      "$({ help_options "$program" "$command" | grep -e --; echo --help; } | sort -u | paste -sd' ')" \
      "$(at "$program" "$command" --)"
  done
done
check_eq "a command's beginning" "merge" "$(at pogo-hex me)"
check_eq "an option's beginning" "--bootloader" "$(at pogo-hex release --bootl)"
parts=$(cd "$root/configs/parts" && printf '%s\n' *.cfg | sed 's/\.cfg$//' | sort | paste -sd' ')
check_eq "the parts" "$parts" "$(at pogo-hex merge --part "")"
some=$(tr ' ' '\n' <<<"$parts" | grep ^atmega32u | paste -sd' ')
check_eq "a part's beginning" "$some" "$(at pogo-hex merge --part atmega32u)"
check_eq "a part behind =" "$some" "$(at pogo-hex merge --part = atmega32u)"
check_eq "all parts behind =" "$parts" "$(at pogo-hex merge --part =)"
# readline cuts at '=', unless something in ~/.bashrc has taken it out of COMP_WORDBREAKS (npm's completion does).
whole() { COMP_WORDBREAKS=${COMP_WORDBREAKS//=/} at "$@"; }
behind() { # PROGRAM COMMAND OPTION BEGINNING WORDS: each way that one may type it
  check_eq "$1: $3 $4" "$5" "$(at "$1" "$2" "$3" "$4")"
  check_eq "$1: $3 = $4" "$5" "$(if [ -n "$4" ]; then at "$1" "$2" "$3" = "$4"; else at "$1" "$2" "$3" =; fi)"
  check_eq "$1: $3=$4 in one word" "$(printf -- "$3=%s\n" $5 | paste -sd' ')" "$(whole "$1" "$2" "$3=$4")"
}
behind pogo-hex check --part atmega32u "$some"
behind pogo-hex check --part "" "$parts"
behind pogo-bench serve --chip atmega32u "$some"
behind pogo-station run --ui p "plain"
behind pogo-yield summary --run "" "all last"
check_eq "a folder in one word" "--configs=folder/" "$(whole pogo-hex merge --configs=fol)"
touch "a=b.hex"
check_eq "a file with = in its name" "b.hex" "$(at pogo-hex info a = b)"
check_eq "the same in one word" "a=b.hex" "$(whole pogo-hex info a=b)"
check_eq "the same behind an option" "b.hex" "$(at pogo-hex release --app = a = b)"
check_eq "the same in one word behind an option" "--app=a=b.hex" "$(whole pogo-hex release --app=a=b)"
rm "a=b.hex"
check_eq "what a fuse is set to is not offered" "" "$(at pogo-hex fuses --set BOOTRST =)$(at pogo-hex fuses --set = BOOTRST = 0)"
check_eq "a program called by its path" "$some" "$(at "$bin/pogo-bench" serve --chip atmega32u)"
mkdir -p "$work/own/parts" && touch "$work/own/parts/mine.cfg"
check_eq "the parts of --configs" "mine" "$(at pogo-hex merge --configs "$work/own" --part "")"
check_eq "the parts of --configs=" "mine" "$(at pogo-hex merge --configs = "$work/own" --part = m)"
check_eq "the parts of --configs= in one word" "--part=mine" "$(whole pogo-hex merge "--configs=$work/own" --part=m)"
check_eq "the parts of POGOLINE_CONFIGS" "mine" "$(POGOLINE_CONFIGS=$work/own at pogo-hex merge --part "")"
check_eq "the words of an option" "error first last same" "$(at pogo-hex merge --overlap "")"
check_eq "the ways of the station" "json" "$(at pogo-station run kb.cfg --ui j)"
check_eq "the bench's operator" "auto manual" "$(at pogo-bench serve --operator "")"
names=$(cd "$root/configs/bootloaders" && printf '%s\n' *.cfg | sed 's/\.cfg$//')
check_eq "a bootloader by its name or file" "$(printf '%s\n' a.hex $(grep ^a <<<"$names") | sort | paste -sd' ')" \
  "$(at pogo-hex check --part atmega32u4 --bootloader a)"
check_eq "a bootloader's file only" "a.hex" "$(at pogo-hex release --bootloader a)"
check_eq "a number is not offered" "" "$(at pogo-station run kb.cfg --count "")"
check_eq "images" "a.hex b.HEX folder with space.hex" "$(at pogo-hex info "")"
check_eq "an image for -o" "a.hex" "$(at pogo-hex merge -o a)"
check_eq "an image behind a flag" "a.hex" "$(at pogo-hex info --json a)"
check_eq "a recipe" "folder kb.cfg" "$(at pogo-station run "")"
check_eq "a log" "folder kb.db" "$(at pogo-yield summary --db "")"
check_eq "folders" "folder" "$(at pogo-hex merge --configs "")"
check_eq "the bench's orders" "unplug" "$(at pogo-bench ctl unp)"
check_eq "no serial number is guessed" "" "$(at pogo-yield unit "")"

# A bash that someone types into: does it cut words as this file thinks?
typed() { # BASH'S SETTING LINE: the line after a Tab
  {
    printf '%s\n' "PS1= TERM=dumb; bind 'set enable-bracketed-paste off'; . '$root/configs/completion/pogoline.bash'; $1" "echo be''gin"
    printf '%s\t\n' "$2"
    echo exit
  } | script -qec 'bash --norc --noprofile -i' /dev/null 2>/dev/null | tr -d '\r\a' | sed '1,/^begin$/d' | grep -m 1 -F "${2%%=*}"
}
if command -v script >/dev/null 2>&1; then
  for line in "pogo-hex check --part=atmega168:p" "pogo-bench serve --chip=attiny8:5" "pogo-station run kb.cfg --ui=pl:ain" \
    "pogo-yield summary --db=k:b.db"; do
    want=${line/:/}
    for setting in : 'COMP_WORDBREAKS=${COMP_WORDBREAKS/=/}'; do
      check_eq "typed: ${line%%:*} ($setting)" "$want " "$(typed "$setting" "${line%%:*}")"
    done
  done
else
  echo "skip typed lines: script is not installed"
fi

if command -v zsh >/dev/null 2>&1; then
  ok "zsh: no error of syntax" zsh -n "$root/configs/completion/_pogoline"
  # at_zsh WORD…: the same, without the shell's own matching of beginnings.
  at_zsh() {
    zsh -fc '
      compadd() { [[ $1 == -- ]] && shift; print -l -- "$@" }
      _describe() { local -a list=("${(@P)@[-1]}"); print -l -- "${(@)list%%:*}" }
      _files() { print -- "files $*" }
      _message() { : }
      compset() { : }
      . "$1"; shift
      words=("$@") CURRENT=$#
      _pogoline' zsh "$root/configs/completion/_pogoline" "$@" | sort | paste -sd' '
  }
  check_eq "zsh: commands" "$(at pogo-hex "")" "$(at_zsh pogo-hex "")"
  check_eq "zsh: the bench's commands" "$(at pogo-bench "")" "$(at_zsh pogo-bench "")"
  for program in "${programs[@]}"; do
    for command in $(commands_of "$program"); do
      check_eq "zsh: $program $command --" "$(help_options "$program" "$command" | { cat; echo --help; } | sort -u | paste -sd' ')" \
        "$(at_zsh "$program" "$command" --)"
    done
  done
  check_eq "zsh: parts" "$parts" "$(at_zsh pogo-hex merge --part "")"
  check_eq "zsh: parts behind =" "$parts" "$(at_zsh pogo-hex merge --part=)"
  check_eq "zsh: the parts of --configs" "mine" "$(at_zsh pogo-hex merge --configs "$work/own" --part "")"
  check_eq "zsh: the parts of --configs=" "mine" "$(at_zsh pogo-hex merge "--configs=$work/own" --part=)"
  check_eq "zsh: the words of an option" "manual auto" "$(at_zsh pogo-bench serve --operator "" | tr ' ' '\n' | sort -r | paste -sd' ')"
  check_eq "zsh: a recipe" "files -g *.cfg(-.)" "$(at_zsh pogo-station run "")"
  check_eq "zsh: folders" "files -/" "$(at_zsh pogo-hex merge --configs "")"
  ok "zsh: images" has "$(at_zsh pogo-hex info "")" "files"
else
  echo "skip zsh: not installed"
fi
cd "$root" || exit 2
finish
