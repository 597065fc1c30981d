# bash completion for pogo-hex, pogo-station, pogo-yield and pogo-bench.
#
# Commands and options are what the program's own --help lists, so that a new one needs no line here;
# this file only knows what the values of options are.

# The commands: "  pogo-hex info …", "usage: pogo-bench serve …", "  learn STATION  teach …".
_pogoline_commands() { # PROGRAM NAME
	"$1" --help 2>/dev/null | awk -v program="$2" '
		{ sub(/^usage:/, "") }
		$1 == program && $2 ~ /^[a-z][a-z0-9|-]*$/ { gsub(/[|]/, "\n", $2); print $2; next }
		/^  [a-z][a-z0-9-]*( [][A-Z|.…]+)*  +[^ ]/ { print $1 }'
}

# The options of a command; text in backquotes is about other commands.
_pogoline_options() { # PROGRAM COMMAND
	{ "$1" ${2:+"$2"} --help 2>/dev/null && echo --help; } | sed 's/`[^`]*`//g' |
		grep -oE -- '(^|[[ |])(-[a-zA-Z],|--[a-z][a-z0-9-]*)' | tr -d '[ |,' | grep -vx -e --version | sort -u
}

# True when a value follows: "  --part P   …", "  -o, --output OUT   …", "[--db FILE]".
_pogoline_takes_value() { # PROGRAM COMMAND OPTION
	"$1" ${2:+"$2"} --help 2>/dev/null | awk -v option="$3" '
		{
			line = $0
			while ((at = index(line, option)) > 0) {
				before = at > 1 ? substr(line, at - 1, 1) : " "
				line = substr(line, at + length(option))
				if (before !~ /[ [|]/)
					continue
				if (line ~ /^(, --[a-z-]+)? [A-Za-z<{]/ && ($1 ~ /^-/ || before == "["))
					exit found = 1
			}
		}
		END { exit !found }'
}

# The folder with parts/: --configs, $POGOLINE_CONFIGS, in or above the program's folder, installed.
_pogoline_configs() { # PROGRAM [DIR]
	local dir=${2:-${POGOLINE_CONFIGS:-}} file
	if [ -n "$dir" ]; then
		printf '%s\n' "${dir/#~\//$HOME/}"
		return
	fi
	file=$(readlink -f -- "$(type -P -- "$1")" 2>/dev/null)
	dir=${file%/*}
	while [ -n "$dir" ]; do
		if [ -d "$dir/configs/parts" ]; then
			printf '%s\n' "$dir/configs"
			return
		fi
		dir=${dir%/*}
	done
	printf '%s\n' "${file%/*/*}/share/pogoline/configs"
}

_pogoline_names() { # FOLDER PROGRAM [DIR]: of the files in configs/FOLDER
	local file folder=$1
	shift
	for file in "$(_pogoline_configs "$@")/$folder"/*.cfg; do
		[ -e "$file" ] || continue
		file=${file##*/}
		printf '%s\n' "${file%.cfg}"
	done
}

_pogoline_words() { # WORD LIST…
	local word=$1
	shift
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$word")
}

# Files with one of these extensions, and folders. No extension: every file.
_pogoline_files() { # WORD EXTENSION…
	local word=$1 file extension
	shift
	COMPREPLY=()
	while IFS= read -r file; do
		if [ -d "$file" ] || [ $# -eq 0 ]; then
			COMPREPLY+=("$file")
			continue
		fi
		for extension in "$@"; do
			[[ ${file,,} == *."$extension" ]] && COMPREPLY+=("$file") && break
		done
	done < <(compgen -f -- "$word")
	compopt -o filenames 2>/dev/null
	return 0
}

_pogoline_dirs() { # WORD
	mapfile -t COMPREPLY < <(compgen -d -- "$1")
	compopt -o filenames 2>/dev/null
	return 0
}

_pogoline_images() { _pogoline_files "$1" hex ihx ihex eep elf bin s19 s28 s37 srec mot uf2 dfu; }

_pogoline_value() { # PROGRAM NAME COMMAND OPTION WORD DIR
	case $2:$4 in
	*:--part | *:--chip) _pogoline_words "$5" "$(_pogoline_names parts "$1" "$6")" ;;
	*:--overlap) _pogoline_words "$5" error same first last ;;
	pogo-hex:--start) _pogoline_words "$5" first last drop ;;
	pogo-hex:--format)
		case $3 in
		serial) _pogoline_words "$5" ascii utf16le-usb bcd u8 u16 u32 u64 ;;
		*) _pogoline_words "$5" ihex srec elf uf2 binary ;;
		esac
		;;
	pogo-hex:--in-format) _pogoline_words "$5" ihex srec elf uf2 binary ;;
	*:--to-format) _pogoline_words "$5" ihex srec uf2 binary ;;
	pogo-hex:--to) [ "$3" = convert ] && _pogoline_words "$5" ihex srec uf2 binary ;;
	*:--endian) _pogoline_words "$5" le be ;;
	*:--memory) _pogoline_words "$5" flash eeprom ;;
	*:--self) _pogoline_words "$5" skip ;;
	*:--with) _pogoline_words "$5" random ;;
	*:--algorithm) _pogoline_words "$5" "$("$1" crc --list 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
	pogo-hex:--bootloader)
		_pogoline_images "$5"
		case $3 in
		boot | check | fuses)
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < \
				<(compgen -W "$(_pogoline_names bootloaders "$1" "$6")" -- "$5")
			;;
		esac
		;;
	*:--ui) _pogoline_words "$5" tui plain json ;;
	*:--pod) _pogoline_words "$5" usbasp usbtiny avrispmk2 stk500v1 buspirate stlink ;;
	*:--timing) _pogoline_words "$5" real fast ;;
	*:--firmware) _pogoline_words "$5" 2011 2009 2007 lc nr flash uno micro promicro promicro-qmk teensy ;;
	pogo-bench:--operator) _pogoline_words "$5" auto manual ;;
	*:--run) _pogoline_words "$5" all last ;;
	*:--configs | *:--qmk | *:--tty-dir | *:--output-dir) _pogoline_dirs "$5" ;;
	*:--recipe | *:--station) _pogoline_files "$5" cfg ;;
	*:--manifest | *:--state) _pogoline_files "$5" json ;;
	*:--db) _pogoline_files "$5" db ;;
	*:--csv) _pogoline_files "$5" csv ;;
	*:--app | *:--eeprom | *:--output | *:-o) _pogoline_images "$5" ;;
	*:--watch | *:--events | *:--control) _pogoline_files "$5" ;;
	*) COMPREPLY=() ;;
	esac
}

_pogoline_word() { # NAME COMMAND WORD: what is no option
	case $1:$2 in
	pogo-hex:*) _pogoline_images "$3" ;;
	pogo-station:learn | pogo-station:check | pogo-station:run) _pogoline_files "$3" cfg ;;
	pogo-bench:ctl)
		_pogoline_words "$3" insert remove swap plug unplug fault faults-clear dump boards quit ;;
	*) COMPREPLY=() ;;
	esac
}

# The words up to the cursor, into WORDS: readline cuts "--part=atm" at each character of COMP_WORDBREAKS, and here '='
# belongs to its word again.
_pogoline_join() {
	local i last=-1
	words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		if ((i > 1)) && [[ ${COMP_WORDS[i]} == =* || ${COMP_WORDS[i - 1]} == *= ]]; then
			words[last]+=${COMP_WORDS[i]}
		else
			words[++last]=${COMP_WORDS[i]}
		fi
	done
}

# COMPREPLY holds values; readline puts them in the place of what stands behind its last cut.
_pogoline_reply() { # BEGINNING, as "--part="; VALUE, as typed
	local i cut=$2 slash=""
	[[ $COMP_WORDBREAKS == *=* ]] || cut=""
	cut=${cut%"${cut##*=}"}
	for i in "${!COMPREPLY[@]}"; do
		if [[ -z $1 || $COMP_WORDBREAKS == *=* ]]; then
			COMPREPLY[i]=${COMPREPLY[i]#"$cut"}
		else
			# readline does not see a folder's name in it
			[ -d "${COMPREPLY[i]}" ] && COMPREPLY[i]+=/ slash=1
			COMPREPLY[i]=$1${COMPREPLY[i]}
		fi
	done
	[ -z "$slash" ] || compopt -o nospace 2>/dev/null
	return 0
}

_pogoline() {
	local words program name command="" option="" value dir="" word previous i
	COMPREPLY=()
	_pogoline_join
	program=${words[0]/#~\//$HOME/} name=${words[0]##*/} word=${words[${#words[@]} - 1]}
	if [ ${#words[@]} -eq 2 ]; then
		_pogoline_words "$word" "$(_pogoline_commands "$program" "$name")" --help --version
		return
	fi
	command=${words[1]} previous=${words[${#words[@]} - 2]}
	for ((i = 2; i < ${#words[@]} - 1; i++)); do
		case ${words[i]} in
		--configs) dir=${words[i + 1]} ;;
		--configs=*) dir=${words[i]#*=} ;;
		esac
	done

	case $word in
	--*=*) option=${word%%=*} value=${word#*=} ;;
	*)
		case $previous in
		--*=*) ;;
		-?*) _pogoline_takes_value "$program" "$command" "$previous" && option=$previous value=$word ;;
		esac
		;;
	esac
	if [ -n "$option" ]; then
		_pogoline_value "$program" "$name" "$command" "$option" "$value" "$dir"
		_pogoline_reply "${word%"$value"}" "$value"
		return
	fi
	case $word in
	-?*) _pogoline_words "$word" "$(_pogoline_options "$program" "$command")" ;;
	*)
		_pogoline_word "$name" "$command" "$word"
		_pogoline_reply "" "$word"
		;;
	esac
}

complete -F _pogoline pogo-hex pogo-station pogo-yield pogo-bench
