#!/usr/bin/env bash
# An STM32F103's image from a bootloader and an application that arm-none-eabi-gcc makes here, in the files that
# STM32duino and QMK give out: raw binary at the start of the flash, Intel HEX or raw binary with a DFU suffix behind it.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
hex=$BUILD/pogo-hex
part=stm32f103x8

# program NAME ADDRESS [STACK]: $work/NAME.elf, .bin and .hex, linked for ADDRESS.
program() {
  cat >"$work/$1.ld" <<LD
ENTRY(reset)
SECTIONS {
  .text $2 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  /DISCARD/ : { *(.ARM.*) *(.comment) }
}
LD
  sed "s/STACK/${3:-0x20002800}/;s/NAME/$1/" >"$work/$1.c" <<'C'
void reset(void);
static void hang(void) { for (;;) ; }
__attribute__((section(".vectors"), used)) static void (*const table[59])(void) = {
	(void (*)(void))STACK, reset, hang, hang, hang, hang, hang, 0, 0, 0, 0, hang, hang, 0, hang, hang,
	[16 ... 58] = hang};
static const char name[] = "NAME, long enough to be told from the other";
void reset(void)
{
	volatile unsigned *port = (volatile unsigned *)0x4001100C;
	for (unsigned i = 0;; i++)
		*port = (unsigned)name[i % sizeof name];
}
C
  arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -Os -nostdlib -nostartfiles -T "$work/$1.ld" -o "$work/$1.elf" "$work/$1.c" &&
    arm-none-eabi-objcopy -O binary "$work/$1.elf" "$work/$1.bin" && arm-none-eabi-objcopy -O ihex "$work/$1.elf" "$work/$1.hex"
}
says() { # EXIT WORDS COMMAND…: exits so, and says so
  local want=$1 words=$2 status
  shift 2
  "$@" >"$work/said" 2>&1
  status=$?
  cat "$work/said"
  [ $status -eq "$want" ] && grep -qF -- "$words" "$work/said"
}
make_it() { "$hex" release --part $part -o "$work/kb.hex" --manifest "$work/kb.json" --recipe "$work/kb.cfg" --product kb "$@"; }
# The recipe is sound; whether the station drives this family yet is its own business.
station_takes() {
  "$BUILD/pogo-station" check "$work/kb.cfg" && return
  "$BUILD/pogo-station" check "$work/kb.cfg" 2>&1 | grep -q "which this station cannot program"
}
refuses() { says "$1" "$2" "$hex" release --part $part -o "$work/none.hex" "${@:3}"; }

ok "a bootloader for 0x08000000" program boot 0x08000000
ok "an application for 0x08002000" program app 0x08002000 0x20005000
program high 0x08005000
program odd 0x08002100
program alone 0x08000000
program large 0x08002000 0x20010000
"$hex" convert --dfu-suffix 1EAF:0003 -o "$work/app_dfu.bin" "$work/app.bin@0x08002000"
check_eq "the application as QMK gives it out: raw binary and 16 bytes" \
  "$(($(wc -c <"$work/app_dfu.bin") - $(wc -c <"$work/app.bin")))" 16

# The bootloader is made here; a set of configs knows it by its image.
mkdir "$work/configs" && cp -r configs/parts configs/bootloaders "$work/configs"
crc=$("$hex" info --json "$work/boot.bin@0x08000000" | jq -r '.images[0].crc32')
sed -i "s/6A1206B8/$crc/" "$work/configs/bootloaders/stm32duino.cfg"

ok "raw bootloader and QMK's Intel HEX" says 0 "bootloader at 0x08000000" make_it --bootloader "$work/boot.bin" --app "$work/app.hex"
ok "it says where it put the bootloader" grep -q "raw binary, taken for 0x08000000" "$work/said"
check_eq "the manifest's places" "$(jq -c '[.boot_section.start, .boot_section.application_start, .fuses, .lock]' "$work/kb.json")" \
  "[$((0x08000000)),$((0x08002000)),null,null]"
check_eq "an unknown bootloader has its own pages" "$(jq .boot_section.bytes "$work/kb.json")" 1024
digest=$(jq -r .image.sha256 "$work/kb.json")
POGOLINE_CONFIGS=$work/configs
ok "the same with the bootloader known" says 0 'bootloader "stm32duino"' make_it --bootloader "$work/boot.bin@0x08000000" --app "$work/app.hex"
check_eq "its pages are 8 KiB" "$(jq -c '[.boot_section.bytes, .boot_section.application_start]' "$work/kb.json")" "[8192,$((0x08002000))]"
check_eq "the image is the same" "$(jq -r .image.sha256 "$work/kb.json")" "$digest"
srec_cat "$work/boot.bin" -binary -offset 0x08000000 "$work/app.hex" -intel -o "$work/peer.srec"
"$hex" merge --start drop -o "$work/peer.hex" "$work/peer.srec"
ok "and it is what srec_cat makes of the two" cmp "$work/kb.hex" "$work/peer.hex"
ok "and it is what merge makes of the two" "$hex" merge --part $part --start drop -o "$work/merged.hex" "$work/boot.bin@0x08000000" "$work/app.hex"
ok "byte for byte" cmp "$work/kb.hex" "$work/merged.hex"
ok "QMK's raw binary: its suffix is left out" says 0 "(16 bytes, for 1EAF:0003) is left out" \
  make_it --bootloader "$work/boot.bin" --app "$work/app_dfu.bin"
check_eq "the same image again" "$(jq -r .image.sha256 "$work/kb.json")" "$digest"
ok "the recipe is one for the station" station_takes
sed -i 's/^# serial/serial/;s/^#   /  /;s/^# };/};/' "$work/kb.cfg"
ok "with the serial number that it proposes" grep -q '^  address = 0x8001FF0;' "$work/kb.cfg"
ok "too" station_takes

ok "check: nothing wrong" says 0 "0 errors, 0 warnings" "$hex" check --part $part --bootloader stm32duino "$work/kb.hex"
"$hex" convert --to binary -o "$work/dump.bin" "$work/kb.hex"
ok "check: what was read back is a raw binary" says 0 "0 errors, 0 warnings" "$hex" check --part $part --bootloader stm32duino "$work/dump.bin"
ok "info: knows it in the image" says 0 'bootloader "stm32duino" of stm32f103x8' "$hex" info --map --part $part "$work/kb.hex"
ok "info: draws its pages" grep -q "of 57344 bytes, boot [0-9]* of 8192$" "$work/said"
ok "vectors: of the chip" says 0 "RAM" "$hex" vectors --part $part "$work/kb.hex"
ok "vectors: of the application" says 0 "0x20005000" "$hex" vectors --part $part --base 0x08002000 "$work/kb.hex"
ok "boot: no simulator" says 3 "simavr simulates AVRs" "$hex" boot --part $part "$work/kb.hex"

boot=(--bootloader "$work/boot.bin")
ok "an application for a chip without bootloader" refuses 1 "in the pages of the bootloader (0x08000000-0x08001FFF)" "${boot[@]}" --app "$work/alone.hex"
ok "the same as a raw binary, which has no address" refuses 1 "linked for another address" "${boot[@]}" --app "$work/alone.bin"
ok "an application for the old place" refuses 1 "STM32duino starts it at 0x08002000" "${boot[@]}" --app "$work/high.hex"
ok "an application between two places" refuses 1 "begins at 0x08002100" "${boot[@]}" --app "$work/odd.hex"
ok "a stack beyond this part's SRAM" refuses 1 "outside the SRAM of the STM32F103x8 (0x20000000-0x20004FFF)" "${boot[@]}" --app "$work/large.hex"
ok "files exchanged" refuses 1 "are bootloader and application exchanged" --bootloader "$work/app.hex" --app "$work/boot.bin@0x08000000"
ok "fuses" refuses 2 "that is for AVRs" "${boot[@]}" --app "$work/app.hex" --fuses FF,D9,F3
ok "a crystal" refuses 2 "that is for AVRs" "${boot[@]}" --app "$work/app.hex" --crystal 8000000
head -c 100 "$work/app.bin" >"$work/cut.bin"
ok "an application that was cut" refuses 1 "was cut" "${boot[@]}" --app "$work/cut.bin"
cp "$work/app_dfu.bin" "$work/damaged.bin" && printf 'X' | dd of="$work/damaged.bin" bs=1 seek=300 conv=notrunc status=none
ok "a download that its suffix disproves" refuses 2 "damaged or cut" "${boot[@]}" --app "$work/damaged.bin"
check_eq "no refusal wrote anything" "$([ -e "$work/none.hex" ] || echo none)" none

# Files of the same name with an example program behind the bootloader.
"$hex" merge -o "$work/demo.hex" "$work/boot.bin@0x08000000" "$work/app.bin@0x08002000" && "$hex" convert --to binary -o "$work/demo.bin" "$work/demo.hex"
program other 0x08002000
ok "a bootloader with a program behind it" refuses 1 "--boot-only leaves them out" --bootloader "$work/demo.bin" --app "$work/other.hex"
ok "of which --boot-only takes the bootloader" says 0 "are left out" make_it --bootloader "$work/demo.bin" --boot-only --app "$work/other.hex"
ok "and nothing else" says 0 "0 errors, 0 warnings" "$hex" check --part $part --bootloader "$work/boot.bin" "$work/kb.hex"

# What others' ways of joining make, and check finds.
finds() { says "$1" "$2" "$hex" check --part "${on:-$part}" "${@:3}"; }
cat "$work/boot.bin" "$work/app.bin" >"$work/cat.bin"
ok "check: joined without the hole between" finds 1 "app-in-boot" --bootloader "$work/boot.bin" "$work/cat.bin"
srec_cat "$work/boot.bin" -binary -offset 0x08000000 "$work/app_dfu.bin" -binary -offset 0x08002000 -o "$work/suffix.hex" -intel
ok "check: a suffix in the flash" finds 0 "dfu-suffix" "$work/suffix.hex"
srec_cat "$work/boot.bin" -binary -offset 0x08000000 "$work/alone.bin" -binary -offset 0x08002000 -o "$work/moved.hex" -intel
ok "check: an application at a place it is not linked for" finds 1 "app-vectors" --bootloader stm32duino "$work/moved.hex"
ok "check: no bootloader" finds 1 "bootloader-missing" --bootloader stm32duino "$work/app.hex"
ok "check: nothing where the chip starts" finds 1 "nothing from 0x08000000" "$work/app.hex"
ok "check: the application of an AVR" finds 1 "outside-part" fixtures/images/demo_firmware.hex
on=stm32f103x6
ok "check: a smaller part" finds 1 "outside the SRAM of the STM32F103x6" --bootloader stm32duino "$work/merged.hex"
finish
