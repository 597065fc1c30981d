#!/usr/bin/env bash
# STM32F103 boards on ST-Links: every firmware and every density, troubles and their codes, the boot of a release, and
# sixteen of them beside sixteen AVRs.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
hex=$BUILD/pogo-hex

plain() {
  timeout 120 "$BUILD"/pogo-station run "$work/line.cfg" --db "$db" --bench "$url" --ui plain --events "$watch" --operator test "$@"
}
# image NAME BYTES [STACK]: vectors, a branch to itself, and noise
image() {
  head -c "$2" /dev/urandom >"$work/$1.bin" && printf "${3:-\x00\x14\x00\x20}\x09\x00\x00\x08\xfe\xe7" |
    dd of="$work/$1.bin" conv=notrunc status=none && "$hex" convert -o "$work/$1.hex" "$work/$1.bin@0x08000000"
}
recipe() { # IMAGE PART [LINES…]
  cp "$work/$1.hex" "$work/line.hex"
  cat >"$work/line.cfg" <<CFG
product = "part"; part = "$2"; image = "line.hex";
image_sha256 = "$(sha256sum "$work/line.hex" | cut -d' ' -f1)";
${*:3}
CFG
}
line() { bench_start --pod stlink --chip stm32f103x8 --timing fast --operator auto --boards 1 --hand-ms 20 "$@"; }
chip() { jq -r ".boards[${2:-0}].chip.$1" "$state"; }
# holds IMAGE [BOARD]: its flash begins with the image, and no rule of the controller was broken
holds() {
  chip flash "${2:-0}" | xxd -r -p | cmp -n "$(stat -c %s "$work/$1.bin")" - "$work/$1.bin" &&
    [ "$(jq ".boards[${2:-0}].chip.violations | add" "$state")" = 0 ]
}

image small 8192
for firmware in j37 j37-raw j37-copy j37-garbled j26 j20 v2-1 v3; do
  recipe small stm32f103x8
  line --slots 1 --pod "stlink:$firmware"
  ok "$firmware passes a board" plain --count 1
  bench_stop
  ok "$firmware: the chip holds the image" holds small
  check_eq "$firmware: and runs it" "$(chip pc)" $((0x08000008))
done
line --slots 1 --pod stlink:j14
ok "j14 is too old, and pods says so" eval '"$BUILD"/pogo-station pods --bench "$url" | grep -q "needs V2J15 or newer"'
bench_stop

for cfg in configs/parts/stm32f103x*.cfg; do
  part=$(basename "$cfg" .cfg)
  bytes=$(sed -n '/^flash/,/}/s/.*bytes = \([0-9]*\);.*/\1/p' "$cfg")
  image "$part" "$((bytes < 131072 ? bytes : 131072))" '\x00\x08\x00\x20'
  recipe "$part" "$part"
  line --slots 1 --chip "$part"
  ok "$part passes a board" plain --count 1
  bench_stop
  ok "$part: the chip holds the image" holds "$part"
done

# --- what goes wrong, with a good board on each side
fault() { # FAULT CODE [RECIPE LINES]
  recipe small stm32f103x8 "${@:3}"
  line --slots 3 --faults "2.1:$1"
  plain --count 3 >"$work/run.out" 2>&1
  bench_stop
  check_eq "$1 ends in $2" "$(sql "SELECT coalesce(code, 'PASS') FROM attempts JOIN slots ON slots.id = slot WHERE name = '2' ORDER BY attempts.id DESC LIMIT 1")" "$2"
  check_eq "and the slots beside it pass" "$(sql "SELECT group_concat(status, ' ') FROM (SELECT status FROM attempts JOIN slots ON slots.id = slot WHERE name IN ('1', '3') ORDER BY attempts.id DESC LIMIT 2)")" "PASS PASS"
}
fault protected PROTECTED
ok "it says what others call it" grep -q 'unknown memory region' "$work/run.out"
fault protected PASS "allow_unlock = true;"
fault 'protected;2.1:fuse-stuck' PROTECTED "allow_unlock = true;"
fault 'protected;2.1:deaf' ERASE "allow_unlock = true;"
fault deaf VERIFY
fault stuck=0x123.3.0 WRITE
fault bad-byte=0x200.4 VERIFY
fault wrong-chip SIGNATURE
fault contact-lost=3000 CONTACT
silicon() { # FAULT TITLE: passes, and the log knows whose chip it is
  fault "$1" PASS
  check_eq "and it is a $2" "$(sql "SELECT text FROM measures JOIN attempts ON attempts.id = attempt JOIN slots ON slots.id = slot
    WHERE slots.name = '2' AND measures.name = 'silicon' ORDER BY attempts.id DESC LIMIT 1")" "$2"
}
silicon cs32 "CS32F103 (clone)"
silicon gd32 "GD32F103 (clone)"
silicon apm32 "APM32F103 (clone)"
silicon cks32 "CKS32F103 or another clone"
fault boot0 FUSE
ok "it says which jumper" grep -q 'set its BOOT0 jumper to 0' "$work/run.out"
fault no-nrst PASS
fault swd-off PASS
fault size=0 PASS
fault size=32 PASS
fault slow-page=150 PASS
fault unplug=3000 PROGRAMMER_LOST
fault hang=3000 PROGRAMMER_LOST
fault stall=3000 TIMEOUT
fault freeze=3000 TIMEOUT
ok "its port was reset" grep -q 'its USB port was reset, and it answers again' "$work/run.out"
fault flip=6000 VERIFY
fault reply-lost=60 TIMEOUT
fault reply-late=60.300 PASS

# --- a bootloader of 8 KiB and an application behind it, as the guide's Bluepill has them, on the bench's core
program() { # NAME ADDRESS: code that shows where it came to
  cat >"$work/$1.ld" <<LD
ENTRY(reset)
SECTIONS { .text $2 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } /DISCARD/ : { *(.ARM.*) *(.comment) } }
LD
  arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -Os -nostdlib -nostartfiles -T "$work/$1.ld" -o "$work/$1.elf" "$work/$1.c" &&
    arm-none-eabi-objcopy -O binary "$work/$1.elf" "$work/$1.bin"
}
cat >"$work/boot.c" <<'C'
void reset(void);
__attribute__((section(".vectors"), used)) static void (*const table[59])(void) = {(void (*)(void))0x20002800, reset,
	[2 ... 58] = reset};
void reset(void)
{
	const unsigned *app = (const unsigned *)0x08002000;
	for (volatile unsigned i = 0; i < 1000; i++) /* what looks for USB */
		;
	*(volatile unsigned *)0xE000ED08 = 0x08002000;
	__asm__ volatile("msr msp, %0\n bx %1" : : "r"(app[0]), "r"(app[1]));
	for (;;)
		;
}
C
cat >"$work/app.c" <<'C'
void reset(void);
void idle(void);
__attribute__((section(".vectors"), used)) static void (*const table[59])(void) = {(void (*)(void))0x20005000, reset,
	[2 ... 58] = reset};
__attribute__((noinline)) void idle(void)
{
	for (;;)
		;
}
void reset(void)
{
	*(volatile unsigned *)0x20000000 = 0x600D;
	idle();
}
C
ok "a bootloader and an application" eval "program boot 0x08000000 && program app 0x08002000"
ok "their release" "$hex" release --part stm32f103x8 --bootloader "$work/boot.bin" --app "$work/app.elf" --product kb \
  -o "$work/kb.hex" --recipe "$work/line.cfg"
line --slots 1
ok "is flashed" plain --count 1
bench_stop
idle=$(arm-none-eabi-nm "$work/app.elf" | awk '$3 == "idle" { print $1 }')
check_eq "and runs through the bootloader into the application's loop" "$(printf %08x "$(chip pc)")" "$idle"

# --- sixteen of each in one run: two recipes, each slot takes the one that its programmer can do
release >/dev/null
sed 's/"line.hex"/"avr.hex"/' "$work/line.cfg" >"$work/avr.cfg" && cp "$work/line.hex" "$work/avr.hex"
recipe small stm32f103x8
# Copies that all have one serial, or none that can be read: a slot is a port.
pods='stlink:j37-copy*6,stlink:j37-garbled*2,stlink:v2-1*4,stlink:v3*4,usbasp*8,usbtiny*8'
line --slots 32 --pod "$pods" --chip 'stm32f103x8*16,atmega32u4*16'
ok "sixteen ST-Links and sixteen AVR programmers in one run" plain "$work/avr.cfg" --count 32
bench_stop
check_eq "all pass" "$(jq -r '[.boards[].shown] | group_by(.) | map("\(length) \(.[0])") | join(",")' "$state")" "32 pass"
check_eq "sixteen STM32, sixteen ids" "$(jq -r '.boards[].chip | select(.device_id) | .silicon_id' "$state" | sort -u | wc -l)" 16
check_eq "no rule of any chip was broken" "$(jq '[.boards[].chip.violations[]] | add' "$state")" 0
check_eq "the log has a run for each recipe, with its boards" "$(sql "SELECT group_concat(part || ' ' || n, ', ') FROM
  (SELECT part, count(*) AS n FROM attempts JOIN runs ON runs.id = run WHERE status = 'PASS' GROUP BY run ORDER BY run DESC LIMIT 2)")" \
  "atmega32u4 16, stm32f103x8 16"
check_eq "both runs are ended" "$(sql 'SELECT count(*) FROM runs WHERE ended_ms IS NULL')" 0
ok "two recipes for one kind of programmer are refused" eval 'plain "$work/line.cfg" 2>&1 | grep -q "both for SWD"'
finish
