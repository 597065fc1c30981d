#!/usr/bin/env bash
# Bootloaders as others released them (Debian's arduino-core-avr), merged with an application that avr-gcc makes here,
# checked, and started on a simulated chip.
cd "$(dirname "$0")/../.." && . tests/lib/line.sh
hex=$BUILD/pogo-hex
loaders=/usr/share/arduino/hardware/arduino/avr/bootloaders

application() { # MCU: $work/MCU.hex, which blinks
  avr-gcc -mmcu="$1" -DF_CPU=16000000UL -Os -o "$work/$1.elf" -x c - <<'C' && avr-objcopy -O ihex "$work/$1.elf" "$work/$1.hex"
#include <avr/io.h>
#include <util/delay.h>
int main(void)
{
	DDRB = 0x20;
	for (;;) {
		PORTB ^= 0x20;
		_delay_ms(1);
	}
}
C
}
says() { # EXIT WORDS COMMAND…: exits so, and says so
  local want=$1 words=$2 status
  shift 2
  "$@" >"$work/said" 2>&1
  status=$?
  cat "$work/said"
  [ $status -eq "$want" ] && grep -qF -- "$words" "$work/said"
}
# real NAME PART MCU FUSES LOADER: merged, checked, started
real() {
  local name=$1 part=$2 fuses=$4 loader=$loaders/$5
  ok "$name: an application" application "$3"
  ok "$name: a release" "$hex" release --part "$part" --bootloader "$loader" --app "$work/$3.hex" --fuses "$fuses" -o "$work/$name.hex"
  ok "$name: no finding forbids it" "$hex" check --part "$part" --fuses "$fuses" "$work/$name.hex"
  ok "$name: the bootloader, then the application's loop" says 0 "starts: the bootloader after 0.000 ms, the application after" \
    "$hex" boot --part "$part" --fuses "$fuses" "$work/$name.hex"
}
real ATmegaBOOT_328 atmega328p atmega328p FF,DA,FD atmega/ATmegaBOOT_168_atmega328.hex
real ATmegaBOOT_328_8MHz atmega328p atmega328p FF,DA,FD atmega/ATmegaBOOT_168_atmega328_pro_8MHz.hex
real ATmegaBOOT_168 atmega168p atmega168p FF,DD,F8 atmega/ATmegaBOOT_168_diecimila.hex
real ATmegaBOOT_8 atmega8a atmega8 FF,DA atmega8/ATmegaBOOT.hex
real optiboot_8 atmega8a atmega8 FF,DC optiboot/optiboot_atmega8.hex

# Debian builds optiboot anew, with a compiler that makes it too long: it runs over its own version word at the end
# of the flash, and past it. Everybody who flashes that file gets a bootloader with a hole in it; we refuse it.
for part in 168p 328p; do
  ok "Debian's optiboot for ATmega${part%p} gives one byte two values" says 2 "which line 32 set to 90" \
    "$hex" release --part "atmega$part" --bootloader "$loaders/optiboot/optiboot_atmega${part%p}.hex" \
    --app "$work/atmega$part.hex" --fuses FF,DE,FD -o "$work/none.hex"
done
ok "and srec_cat says so too" says 1 "multiple 0x00007FFE values" srec_cat "$loaders/optiboot/optiboot_atmega328.hex" -intel -o /dev/null -intel

# An Atmel "production ELF": code, EEPROM, fuses, lock and signature in one file.
avr-gcc -mmcu=atmega328p -Os -o "$work/all.elf" -x c - <<'C'
#include <avr/io.h>
#include <avr/fuse.h>
#include <avr/lock.h>
#include <avr/signature.h>
#include <avr/eeprom.h>
FUSES = {.low = 0xFF, .high = 0xDA, .extended = 0xFD};
LOCKBITS = 0xEF;
uint8_t EEMEM number[4] = {1, 2, 3, 4};
int main(void)
{
	for (;;)
		PORTB ^= eeprom_read_byte(number);
}
C
loader=$loaders/atmega/ATmegaBOOT_168_atmega328.hex
elf() { "$hex" release --part atmega328p --bootloader "$loader" --app "$work/all.elf" -o "$work/all.hex" --recipe "$work/all.cfg" "$@"; }
ok "a production ELF: its fuses are taken" says 0 "fuses FF,DA,FD taken from" elf
ok "and its lock byte" grep -q "lock = 0xEF" "$work/all.cfg"
ok "and its EEPROM" says 0 "0x810000" "$hex" info "$work/all.hex"
ok "and it starts" says 0 "starts: the bootloader" "$hex" boot --part atmega328p --fuses FF,DA,FD "$work/all.hex"
ok "other fuses on the command line contradict it" says 1 "say different things" elf --fuses FF,DE,FD
ok "another lock byte too" says 1 "say different things" elf --lock CF
ok "another part's signature" says 1 "was built for signature 1E 95 0F" \
  "$hex" release --part atmega328 --bootloader "$loader" --app "$work/all.elf" -o "$work/none.hex"
cp "$loader" "$work/loader.hex"
ok "a release does not write over its own bootloader" says 2 "which would be lost" \
  "$hex" release --part atmega328p --bootloader "$work/loader.hex" --app "$work/atmega328p.hex" --fuses FF,DA,FD -o "$work/loader.hex"
ok "which is as it was" cmp "$loader" "$work/loader.hex"

# What does not start.
image=$work/ATmegaBOOT_328.hex
ok "BOOTRST unprogrammed: the application alone" says 0 "starts: the application after 0.000 ms" "$hex" boot --part atmega328p --fuses FF,DB,FD "$image"
ok "BOOTSZ for another section" says 1 "comes to a place without code" "$hex" boot --part atmega328p --fuses FF,DE,FD "$image"
ok "no application" says 1 "and that comes to a place without code" \
  "$hex" boot --part atmega328p --fuses FF,DA,FD "$loaders/atmega/ATmegaBOOT_168_atmega328.hex"
ok "too few cycles, with the last addresses" says 1 "last addresses 0x07" "$hex" boot --part atmega328p --fuses FF,DA,FD --cycles 1000 "$image"
"$hex" crop -o "$work/cut.hex" 0x0000-0x005F 0x7800-0x7FFF "$image"
ok "an application that was cut" says 1 "does not start" "$hex" boot --part atmega328p --fuses FF,DA,FD "$work/cut.hex"
"$hex" fill -o "$work/long.hex" --with 0C94 0x0100-0x7810 "$work/atmega328p.hex"
ok "an application over the bootloader is refused before" says 2 "0x07800" "$hex" release --part atmega328p \
  --bootloader "$loaders/atmega/ATmegaBOOT_168_atmega328.hex" --app "$work/long.hex" --fuses FF,DA,FD -o "$work/none.hex"
ok "a part that simavr lacks" says 3 "simavr does not simulate the AT90USB1286" "$hex" boot --part at90usb1286 "$image"
ok "an external clock of no speed" says 2 "no clock" "$hex" boot --part atmega328p --fuses E0,DA,FD --crystal 0 "$image"
ok "no part" says 2 "boot needs --part" "$hex" boot "$image"

# What restarts for ever, and what only looks like it.
c_program() { # NAME, main's body on standard input: $work/NAME.elf
  { printf '#include <avr/%s.h>\n' io interrupt wdt && echo '#include <util/delay.h>' && echo 'int main(void) {' && cat && echo '}'; } |
    avr-gcc -mmcu=atmega328p -DF_CPU=16000000UL -Os -o "$work/$1.elf" -x c -
}
s_program() { # NAME ADDRESS, on standard input: $work/NAME.elf
  avr-gcc -mmcu=atmega328p -nostdlib -Wl,-Ttext="$2" -o "$work/$1.elf" -x assembler -
}
alone() { says "$1" "$2" "$hex" boot --part atmega328p --fuses FF,DB,FD "$work/$3.elf" "${@:4}"; }
behind() { # EXIT WORDS LOADER APPLICATION
  "$hex" merge -o "$work/both.hex" --start drop "$3" "$work/$4.elf" && says "$1" "$2" "$hex" boot --part atmega328p --fuses FF,DA,FD "$work/both.hex"
}
c_program unhandled <<<'TCCR0B = 1; TIMSK0 = 1; sei(); for (;;) PORTB ^= 1;'
c_program null <<<'void (*volatile call)(void) = 0; for (;;) call();'
c_program unfed <<<'wdt_enable(WDTO_500MS); for (;;) PORTB ^= 1;'
c_program unfed_slow <<<'wdt_enable(WDTO_8S); for (;;) PORTB ^= 1;'
c_program fed <<<'wdt_enable(WDTO_500MS); for (;;) { PORTB ^= 1; wdt_reset(); }'
c_program reset_once <<<'
  if ((MCUSR & 1 << WDRF) == 0) {
    wdt_enable(WDTO_500MS);
    for (;;) PORTB ^= 1;
  }
  wdt_enable(WDTO_2S); /* from the 16 ms that a reset leaves */
  for (;;) {
    PORTB ^= 2;
    _delay_ms(100);
    wdt_reset();
  }'
at=$(avr-objdump -d "$work/unhandled.elf" | sed -n 's/^0*\([0-9a-f]*\) <__bad_interrupt>:.*/\1/p')
at=$(printf '0x%05X' "0x$at")
ok "an interrupt without a handler" alone 1 \
  "does not start: the application restarts again and again (from $at) after 250." unhandled
ok "with the way to it" alone 1 " 0x00040 $at 0x00000" unhandled
ok "behind a bootloader" behind 1 "the bootloader after 0.000 ms, the application restarts again and again (from $at)" \
  "$loaders/atmega/ATmegaBOOT_168_atmega328.hex" unhandled
check_eq "as JSON: a jump is no reset" "$("$hex" boot --json --part atmega328p --fuses FF,DB,FD "$work/unhandled.elf" 2>/dev/null |
  jq -c '[.reset.started, .reset.end, .reset.resets]')" '[false,"restarts",0]'
ok "a call of NULL" alone 1 "the application restarts again and again (from 0x000" null
ok "a watchdog that is not fed" alone 1 "the application is reset again and again (by the watchdog, at 0x000" unfed
check_eq "as JSON: three resets" "$("$hex" boot --json --part atmega328p --fuses FF,DB,FD "$work/unfed.elf" 2>/dev/null |
  jq -c '[.reset.started, .reset.end, .reset.resets]')" '[false,"restarts",3]'
ok "too slow to come three times" alone 1 "has not settled within the cycles, with 1 reset by the watchdog, after 12000" unfed_slow
ok "or at all within the cycles" alone 0 "settles in a loop" unfed_slow --cycles 80000000
ok "a watchdog that is fed" alone 0 "settles in a loop" fed
ok "one reset, then another period" alone 0 "settles in a loop" reset_once
s_program loop_at_0 0 <<<$'loop:\tsbi 5, 1\n\trjmp loop'
s_program stop_at_0 0 <<<$'stop:\trjmp stop'
ok "a loop at 0" alone 0 "settles in a loop" loop_at_0
ok "a stop at 0" alone 0 "settles in a loop (0x00000)" stop_at_0
s_program by_watchdog 0x7800 <<'S'
	in 24, 0x34
	sbrc 24, 3
	rjmp go
	rcall set	; the shortest period
stay:	rjmp stay
go:	out 0x34, 1	; WDRF forbids to clear WDE
	clr 25
	rcall put
	jmp 0
set:	ldi 25, 0x08
put:	ldi 24, 0x18
	sts 0x60, 24
	sts 0x60, 25
	ret
S
s_program reset_for_ever 0x7800 <<<$'\tldi 24, 0x08\n\tsts 0x60, 24\nstay:\trjmp stay'
s_program jumps_for_ever 0x7800 <<<$'\trjmp next\nnext:\tjmp 0x7800'
ok "a bootloader whose reset starts the application" behind 0 "starts: the bootloader after 0.000 ms, the application after 16" \
  "$work/by_watchdog.elf" atmega328p
ok "and an application that is reset into it" behind 1 "the application is reset again and again (by the watchdog, at 0x000" \
  "$work/by_watchdog.elf" unfed
ok "a bootloader that is reset for ever" behind 1 \
  "the bootloader after 0.000 ms, and that is reset again and again (by the watchdog, at 0x07806)" "$work/reset_for_ever.elf" atmega328p
ok "a bootloader that jumps to itself" behind 1 "and that restarts again and again (from 0x07802)" "$work/jumps_for_ever.elf" atmega328p

# A bootloader that stays while its button is held.
cat >"$work/button.S" <<'S'
	sbi 0x05, 2
	nop
	nop
	sbic 0x03, 2
	jmp 0
stay:	rjmp stay
S
avr-gcc -mmcu=atmega328p -nostdlib -Wl,-Ttext=0x7800 -o "$work/button.elf" "$work/button.S"
"$hex" release --part atmega328p --bootloader "$work/button.elf" --app "$work/atmega328p.hex" --fuses FF,DA,FD -o "$work/button.hex" >/dev/null
button() { says "$1" "$2" "$hex" boot --part atmega328p --fuses FF,DA,FD "$work/button.hex" "${@:3}"; }
ok "the button is not held" button 0 "the application after" --pin B2=1,B5=0
ok "the button is held" button 1 "the bootloader after 0.000 ms, and that has not settled" --pin B5=1,B2=0 --cycles 20000000
for pins in B8=0 Z1=0 B2 B2=2 B2=0D4=1 "" B2=0, ,B2=0; do
  ok "no pins: '$pins'" button 2 "pins are written like" --pin "$pins"
done
for pins in A0=1 C7=0 B2=0,E1=0 H2=0; do
  ok "no pin of the part: $pins" button 2 "\"$pins\": the ATmega328P has no pin ${pins: -4:2}; it has B0-B7, C0-C6, D0-D7" --pin $pins
done
ok "two levels at a pin" button 2 "B2 is there twice" --pin B2=0,B5=1,B2=1
ok "pins of a part with gaps" says 2 "the ATmega32U4 has no pin F2; it has B0-B7, C6-C7, D0-D7, E2, E6, F0-F1, F4-F7" \
  "$hex" boot --part atmega32u4 fixtures/images/demo_firmware.hex --pin F2=1
ok "pins of a small part" says 2 "the ATtiny85 has no pin D4; it has B0-B5" \
  "$hex" boot --part attiny85 fixtures/images/demo_firmware.hex --pin D4=1
ok "fuses by a released file" says 2 "is no released bootloader" "$hex" boot --part atmega328p --bootloader "$work/button.elf" "$work/button.hex"
ok "an unknown bootloader" says 2 "unknown bootloader" "$hex" boot --part atmega328p --bootloader nonesuch "$work/button.hex"

# The simulator is a process of its own: what it does when it knows no further is no end without a word.
echo 'void abort(void); int avr_run(void *avr) { (void)avr; abort(); }' >"$work/abort.c"
if ldd "$hex" | grep -q libsimavr && cc -shared -fPIC -o "$work/abort.so" "$work/abort.c"; then
  ok "simavr aborts" says 3 "simavr itself failed (Aborted)" env LD_PRELOAD="$work/abort.so" "$hex" boot --part atmega328p --fuses FF,DA,FD "$image"
fi

# A bootloader that its pin starts, where a reset starts the application.
"$hex" release --part atmega32u4 --bootloader fixtures/images/demo_bootloader.hex --app fixtures/images/demo_firmware.hex \
  --fuses 5E,D9,F3 -o "$work/dfu.hex" >/dev/null
ok "by its pin" says 0 "the bootloader, started by its pin, settles in a loop" "$hex" boot --part atmega32u4 --bootloader atmel-dfu "$work/dfu.hex"
avr-gcc -mmcu=atmega32u4 -nostdlib -Wl,-Ttext=0x7000 -o "$work/turns.elf" -x assembler - <<<$'\trjmp next\nnext:\tjmp 0x7000'
"$hex" merge -o "$work/turns.hex" --start drop "$work/turns.elf" fixtures/images/demo_firmware.hex
ok "which restarts for ever" says 1 "the bootloader, started by its pin, restarts again and again (from 0x07002) after 250" \
  "$hex" boot --part atmega32u4 --fuses 5E,D9,F3 "$work/turns.hex"
check_eq "as JSON" "$("$hex" boot --json --part atmega32u4 --fuses FF,D8,FB "$work/dfu.hex" | jq -c '[.reset.started, .reset.end, .reset.bootloader]')" '[true,"loops",true]'
finish
