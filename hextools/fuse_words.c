#include "hextools/fuse_words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/fuses.h"

static const char *const byte_name[PART_FUSES] = {"low", "high", "extended"};

const char *fuse_weight_name(enum fuse_weight weight)
{
	return weight == FUSE_DANGER ? "danger" : weight == FUSE_WARNING ? "warning" : "note";
}

static void remark(struct fuse_report *report, enum fuse_weight weight, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void remark(struct fuse_report *report, enum fuse_weight weight, const char *format, ...)
{
	if (weight == FUSE_DANGER)
		report->dangerous = true;
	if (report->remark_count == FUSE_REMARKS)
		return;
	struct fuse_remark *slot = &report->remarks[report->remark_count++];
	slot->weight = weight;
	va_list ap;
	va_start(ap, format);
	vsnprintf(slot->text, sizeof slot->text, format, ap);
	va_end(ap);
}

/* -1 if the part has no such field. */
static int value_of(const struct fuse_report *report, const char *name)
{
	const struct part_fuse_bit *bit = part_bit(report->part, name);
	return bit != NULL ? (int)part_field(bit, report->fuses) : -1;
}

static bool programmed(const struct fuse_report *report, const char *name)
{
	return value_of(report, name) == 0;
}

static const struct part_clock *clock_of(const struct fuse_report *report)
{
	int code = value_of(report, "CKSEL");
	for (size_t i = 0; i < report->part->clock_count; i++) {
		const struct part_clock *clock = &report->part->clocks[i];
		if (code >= clock->cksel_low && code <= clock->cksel_high)
			return clock;
	}
	return NULL;
}

static const char *hz_text(uint32_t hz, char out[24])
{
	if (hz >= 1000000)
		snprintf(out, 24, "%g MHz", hz / 1e6);
	else if (hz >= 1000)
		snprintf(out, 24, "%g kHz", hz / 1e3);
	else
		snprintf(out, 24, "%" PRIu32 " Hz", hz);
	return out;
}

/* ---- start-up ------------------------------------------------------------------------------------- */

enum wait { WAIT_NONE, WAIT_SHORT, WAIT_LONG };

struct startup {
	const char *cycles; /* NULL: reserved */
	enum wait wait;
};

/* ATmega16U4/32U4 data sheet 7766J, tables 6-4 to 6-10, and the same tables of the other sheets. */
static const struct startup crystal_even[4] = {
	{"258 CK", WAIT_SHORT}, {"258 CK", WAIT_LONG}, {"1K CK", WAIT_NONE}, {"1K CK", WAIT_SHORT}};
static const struct startup crystal_odd[4] = {
	{"1K CK", WAIT_LONG}, {"16K CK", WAIT_NONE}, {"16K CK", WAIT_SHORT}, {"16K CK", WAIT_LONG}};
static const struct startup plain[4] = {
	{"6 CK", WAIT_NONE}, {"6 CK", WAIT_SHORT}, {"6 CK", WAIT_LONG}, {NULL, WAIT_NONE}};
static const struct startup low_even[4] = {
	{"1K CK", WAIT_NONE}, {"1K CK", WAIT_SHORT}, {"1K CK", WAIT_LONG}, {NULL, WAIT_NONE}};
static const struct startup low_odd[4] = {
	{"32K CK", WAIT_NONE}, {"32K CK", WAIT_SHORT}, {"32K CK", WAIT_LONG}, {NULL, WAIT_NONE}};
/* Parts with one code for the watch crystal choose the cycles by SUT (ATmega32A, ATtiny85). */
static const struct startup low_single[4] = {
	{"1K CK", WAIT_SHORT}, {"1K CK", WAIT_LONG}, {"32K CK", WAIT_LONG}, {NULL, WAIT_NONE}};
/* ATtiny25/45/85 data sheet 2586Q, table 6-5. */
static const struct startup pll[4] = {
	{"1K CK", WAIT_SHORT}, {"16K CK", WAIT_SHORT}, {"1K CK", WAIT_LONG}, {"16K CK", WAIT_LONG}};

static const struct startup *startup_of(const struct part_clock *clock, unsigned code, unsigned sut)
{
	switch (clock->source) {
	case CLOCK_CRYSTAL:
		return code % 2 == 0 ? &crystal_even[sut] : &crystal_odd[sut];
	case CLOCK_LOW_CRYSTAL:
		if (clock->cksel_low == clock->cksel_high)
			return &low_single[sut];
		return code % 2 == 0 ? &low_even[sut] : &low_odd[sut];
	case CLOCK_PLL:
		return &pll[sut];
	case CLOCK_EXTERNAL:
	case CLOCK_RC:
		break;
	}
	return &plain[sut];
}

static void describe_startup(struct fuse_report *report, const struct part_clock *clock)
{
	const struct part *part = report->part;
	int sut = value_of(report, "SUT"), code = value_of(report, "CKSEL");
	char extra[16] = "";
	if (clock == NULL || sut < 0 || sut > 3 || part->startup_long_us == 0)
		return;
	const struct startup *startup = startup_of(clock, (unsigned)code, (unsigned)sut);
	if (startup->cycles == NULL) {
		snprintf(report->startup, sizeof report->startup, "reserved");
		remark(report, FUSE_WARNING, "SUT %d is reserved with this clock", sut);
		return;
	}
	if (part->startup_ck > 0)
		snprintf(extra, sizeof extra, " + %d CK", part->startup_ck);
	uint32_t us = startup->wait == WAIT_LONG    ? part->startup_long_us
		      : startup->wait == WAIT_SHORT ? part->startup_short_us
						    : 0;
	if (us == 0)
		snprintf(report->startup, sizeof report->startup, "%s%s", startup->cycles, extra);
	else
		snprintf(report->startup, sizeof report->startup, "%s%s + %g ms", startup->cycles, extra,
			 us / 1e3);
	if (clock->source == CLOCK_CRYSTAL && strcmp(startup->cycles, "16K CK") != 0)
		remark(report, FUSE_NOTE,
		       "start-up after %s is meant for ceramic resonators; a crystal has 16K CK",
		       startup->cycles);
}

/* ---- clock ---------------------------------------------------------------------------------------- */

/* With CKOPT programmed the full swing oscillator reaches to 16 MHz in every range (ATmega32A data
 * sheet 8155I, 12.4). */
static uint32_t top_hz(const struct fuse_report *report, const struct part_clock *clock)
{
	return programmed(report, "CKOPT") && clock->max_hz != 0 ? 16000000 : clock->max_hz;
}

static void describe_clock(struct fuse_report *report, uint32_t crystal_hz)
{
	const struct part_clock *clock = clock_of(report);
	char low[24], high[24], board[24];
	if (clock == NULL) {
		snprintf(report->clock, sizeof report->clock, "reserved");
		return;
	}
	uint32_t top = top_hz(report, clock);
	if (top == 0)
		snprintf(report->clock, sizeof report->clock, "%s", clock->title);
	else
		snprintf(report->clock, sizeof report->clock, "%s, %s to %s", clock->title,
			 hz_text(clock->min_hz, low), hz_text(top, high));
	describe_startup(report, clock);
	if (top == 0 || crystal_hz == 0 || (crystal_hz >= clock->min_hz && crystal_hz <= top))
		return;
	if (part_bit(report->part, "CKOPT") == NULL)
		return; /* a danger: fuses_check_safe says it */
	if (!programmed(report, "CKOPT") && crystal_hz > top)
		remark(report, FUSE_WARNING,
		       "CKOPT is unprogrammed: this oscillator is specified up to %s, the board has %s; program "
		       "CKOPT",
		       hz_text(top, high), hz_text(crystal_hz, board));
	else
		remark(report, FUSE_WARNING, "CKSEL %d is made for %s to %s, the board has %s",
		       value_of(report, "CKSEL"), hz_text(clock->min_hz, low), hz_text(top, high),
		       hz_text(crystal_hz, board));
}

/* ---- fields --------------------------------------------------------------------------------------- */

struct meaning {
	const char *name, *programmed, *unprogrammed;
};

static const struct meaning meanings[] = {
	{"CKDIV8", "the clock is divided by 8 at start", "the clock is not divided"},
	{"CKOUT", "the clock is put out on a pin", "no clock on a pin"},
	{"BODEN", "the brown-out detector is on", "the brown-out detector is off"},
	{"BOOTRST", "a reset enters the boot section", "a reset starts the application at 0"},
	{"EESAVE", "a chip erase keeps the EEPROM", "a chip erase clears the EEPROM too"},
	{"WDTON", "the watchdog is always on", "the watchdog is on when the program wants it"},
	{"SPIEN", "ISP is possible", "ISP is switched off"},
	{"JTAGEN", "JTAG takes its four pins", "JTAG is off, its pins are port pins"},
	{"OCDEN", "on-chip debugging is on", "on-chip debugging is off"},
	{"DWEN", "the RESET pin is debugWIRE: no ISP", "debugWIRE is off"},
	{"RSTDISBL", "the RESET pin is a port pin: no ISP", "the RESET pin resets"},
	{"HWBE", "the HWB pin low at a reset enters the boot section", "the HWB pin means nothing"},
	{"CKOPT", "the oscillator swings rail to rail", "the oscillator swings little"},
	{"SELFPRGEN", "the program may write the flash", "the program cannot write the flash"},
};

static void describe_bod(const struct fuse_report *report, unsigned code, char *out, size_t size)
{
	int level = code < report->part->bod_count ? report->part->bod_mv[code] : -1;
	if (level > 0)
		snprintf(out, size, "brown-out at %.1f V%s", level / 1e3,
			 part_bit(report->part, "BODEN") != NULL ? ", if BODEN is programmed" : "");
	else
		snprintf(out, size, "%s", level == 0 ? "the brown-out detector is off" : "reserved");
}

static void describe_field(const struct fuse_report *report, struct fuse_word *word)
{
	const char *name = word->bit->name;
	word->text[0] = '\0';
	if (strcmp(name, "CKSEL") == 0)
		snprintf(word->text, sizeof word->text, "%s", report->clock);
	else if (strcmp(name, "SUT") == 0)
		snprintf(word->text, sizeof word->text, "start-up %s",
			 report->startup[0] != '\0' ? report->startup : "unknown");
	else if (strcmp(name, "BOOTSZ") == 0)
		snprintf(word->text, sizeof word->text,
			 "a boot section of %" PRIu32 " bytes from 0x%05" PRIX32, report->boot_bytes,
			 report->boot_start);
	else if (strcmp(name, "BODLEVEL") == 0)
		describe_bod(report, word->value, word->text, sizeof word->text);
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (strcmp(name, meanings[i].name) == 0)
			snprintf(word->text, sizeof word->text, "%s",
				 word->value == 0 ? meanings[i].programmed : meanings[i].unprogrammed);
}

static void describe_fields(struct fuse_report *report)
{
	for (size_t i = 0; i < report->part->bit_count; i++) {
		struct fuse_word *word = &report->words[report->word_count++];
		word->bit = &report->part->bits[i];
		word->value = part_field(word->bit, report->fuses);
		describe_field(report, word);
	}
}

/* ---- remarks -------------------------------------------------------------------------------------- */

static void say_dangers(struct fuse_report *report, uint32_t crystal_hz, bool external_clock)
{
	const struct part *part = report->part;
	uint8_t mended[PART_FUSES];
	bool isp_lost = false;
	struct pogo_error why;
	for (unsigned i = 0; i < PART_FUSES; i++) {
		mended[i] = (uint8_t)((report->fuses[i] | part->isp_must_be_1[i]) &
				      (uint8_t)~part->isp_must_be_0[i]);
		isp_lost |= mended[i] != report->fuses[i];
	}
	if (isp_lost && fuses_check_safe(part, report->fuses, crystal_hz, external_clock, &why) != 0)
		remark(report, FUSE_DANGER, "%s", why.text);
	if (fuses_check_safe(part, mended, crystal_hz, external_clock, &why) != 0)
		remark(report, FUSE_DANGER, "%s", why.text);
	const struct part_fuse_bit *dwen = part_bit(part, "DWEN"), *reset = part_bit(part, "RSTDISBL");
	if (isp_lost && dwen != NULL && reset != NULL &&
	    (programmed(report, "DWEN") || programmed(report, "RSTDISBL")))
		remark(report, FUSE_NOTE,
		       "the %s has RSTDISBL in bit %d and DWEN in bit %d of the high fuse: on %s they are the "
		       "other way round, and a high fuse of 0x99, harmless on an ATmega32U4, programs one of them",
		       part->title, reset->lsb, dwen->lsb,
		       dwen->lsb == 7 ? "the ATmega328P" : "the ATmega32U2");
}

static void say_warnings(struct fuse_report *report)
{
	int level = value_of(report, "BODLEVEL");
	if (level >= 0 && (size_t)level < report->part->bod_count && report->part->bod_mv[level] < 0)
		remark(report, FUSE_WARNING, "BODLEVEL %d is reserved on the %s", level, report->part->title);
	if (programmed(report, "JTAGEN"))
		remark(report, FUSE_WARNING,
		       "JTAGEN is programmed: four port pins (%s) belong to JTAG, a key matrix on them is dead",
		       part_bit(report->part, "HWBE") != NULL ? "PF4 to PF7" : "PC2 to PC5");
	if (programmed(report, "OCDEN"))
		remark(report, FUSE_WARNING, "OCDEN is programmed: only for debugging, it costs current");
	if (programmed(report, "CKOUT"))
		remark(report, FUSE_WARNING, "CKOUT is programmed: a port pin carries the clock");
	if (programmed(report, "WDTON"))
		remark(report, FUSE_WARNING,
		       "WDTON is programmed: a bootloader that does not serve the watchdog never gets far");
}

static void say_notes(struct fuse_report *report)
{
	const struct part *part = report->part;
	char sck[24];
	if (programmed(report, "CKDIV8") && report->sck_hz != 0)
		remark(report, FUSE_NOTE, "CKDIV8 is programmed: ISP must stay below %s",
		       hz_text(report->sck_hz, sck));
	if (report->eeprom_kept)
		remark(report, FUSE_NOTE,
		       "EESAVE is programmed: old EEPROM data survives the chip erase; write it whole on boards "
		       "that come back");
	if (report->has_boot && !report->boot_reset && !programmed(report, "HWBE"))
		remark(report, FUSE_NOTE,
		       "neither BOOTRST nor HWBE is programmed: only the application or a blank flash leads into "
		       "the boot section");
	if (part_bit(part, "SELFPRGEN") != NULL && !programmed(report, "SELFPRGEN"))
		remark(report, FUSE_NOTE, "SELFPRGEN is unprogrammed: a USB bootloader cannot write the flash");
	for (unsigned i = 0; i < part->fuse_count && i < PART_FUSES; i++) {
		uint8_t absent = (uint8_t)~part->fuse_mask[i];
		if ((report->fuses[i] & absent) != absent)
			remark(report, FUSE_NOTE,
			       "%s fuse: bits 0x%02X do not exist and are written as 1: 0x%02X is 0x%02X",
			       byte_name[i], absent, report->fuses[i], report->fuses[i] | absent);
	}
}

void fuse_report_make(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t crystal_hz,
		      bool external_clock, struct fuse_report *report)
{
	*report = (struct fuse_report){.part = part};
	memcpy(report->fuses, fuses, PART_FUSES);
	report->cpu_hz = fuses_cpu_hz(part, fuses, crystal_hz);
	report->sck_hz = fuses_sck_limit(report->cpu_hz);
	report->has_boot = fuses_boot_section(part, fuses, &report->boot_start, &report->boot_bytes);
	report->boot_reset = fuses_boot_reset(part, fuses);
	report->eeprom_kept = programmed(report, "EESAVE");
	say_dangers(report, crystal_hz, external_clock);
	describe_clock(report, crystal_hz);
	describe_fields(report);
	say_warnings(report);
	say_notes(report);
}

/* ---- bootloader ----------------------------------------------------------------------------------- */

static void say_guide(struct fuse_report *report, const struct bootloader_part *entry)
{
	struct pogo_error why;
	const struct part *part = report->part;
	if (entry->has_guide) {
		remark(report, FUSE_NOTE, "the guide prints %02X,%02X%s%.*X for this part", entry->guide[0],
		       entry->guide[1], part->fuse_count == PART_FUSES ? "," : "",
		       part->fuse_count == PART_FUSES ? 2 : 0,
		       part->fuse_count == PART_FUSES ? entry->guide[2] : 0u);
		if (fuses_check_safe(part, entry->guide, 16000000, false, &why) != 0)
			remark(report, FUSE_WARNING, "do not take the guide's: %s", why.text);
	}
	if (entry->remark[0] != '\0')
		remark(report, FUSE_NOTE, "%s", entry->remark);
}

void fuse_report_bootloader(struct fuse_report *report, const struct bootloader *family,
			    const struct bootloader_part *entry)
{
	if (report->has_boot && report->boot_bytes != entry->section_bytes)
		remark(report, FUSE_WARNING,
		       "%s needs a boot section of %" PRIu32 " bytes, BOOTSZ selects %" PRIu32, family->title,
		       entry->section_bytes, report->boot_bytes);
	if (family->reset == BOOTLOADER_RESET_BOOT && !report->boot_reset)
		remark(report, FUSE_WARNING, "%s must be entered by every reset: program BOOTRST",
		       family->title);
	if (family->reset == BOOTLOADER_RESET_APPLICATION && report->boot_reset)
		remark(report, FUSE_WARNING,
		       "%s expects a reset to start the application: leave BOOTRST unprogrammed",
		       family->title);
	say_guide(report, entry);
	if (family->has_lock)
		remark(report, FUSE_NOTE, "recommended lock byte: 0x%02X", family->lock);
}

/* ---- the other way -------------------------------------------------------------------------------- */

static int unknown_field(const struct part *part, const char *name, struct pogo_error *err)
{
	char names[PART_FUSE_BITS * 12] = "";
	for (size_t i = 0; i < part->bit_count; i++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", part->bits[i].name);
	}
	return pogo_fail(err, POGO_INPUT, "the %s has no fuse \"%.20s\"; it has %s", part->title, name,
			 names);
}

/* 0b…, 0x… or decimal; false if it is none of these. */
static bool parse_value(const char *text, unsigned long *value)
{
	char *end;
	int base = 10;
	if (text[0] == '0' && (text[1] == 'b' || text[1] == 'B'))
		base = 2;
	else if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		base = 16;
	const char *digits = base == 10 ? text : text + 2;
	if (*digits == '\0' || strspn(digits, "0123456789abcdefABCDEF") != strlen(digits))
		return false;
	*value = strtoul(digits, &end, base);
	return *end == '\0';
}

int fuse_set(const struct part *part, const char *assignment, uint8_t fuses[PART_FUSES],
	     struct pogo_error *err)
{
	char name[sizeof part->bits[0].name];
	const char *equals = strchr(assignment, '=');
	size_t len = equals != NULL ? (size_t)(equals - assignment) : 0;
	if (equals == NULL || len == 0)
		return pogo_fail(err, POGO_INPUT, "--set \"%.40s\" is not like BOOTRST=0", assignment);
	snprintf(name, sizeof name, "%.*s", (int)len, assignment);
	const struct part_fuse_bit *bit = len < sizeof name ? part_bit(part, name) : NULL;
	if (bit == NULL)
		return unknown_field(part, name, err);
	unsigned long value = 0, top = (1ul << bit->width) - 1;
	bool single = bit->width == 1;
	if (single && strcmp(equals + 1, "unprogrammed") == 0)
		value = 1;
	else if (!(single && strcmp(equals + 1, "programmed") == 0) && !parse_value(equals + 1, &value))
		return pogo_fail(err, POGO_INPUT, "--set %s: \"%.30s\" is no value, written like 2, 0b10%s",
				 name, equals + 1, single ? " or programmed" : " or 0x2");
	if (value > top)
		return pogo_fail(err, POGO_INPUT, "--set %s: %lu does not fit, it has %d bit%s (0 to %lu)", name,
				 value, bit->width, single ? "" : "s", top);
	fuses[bit->fuse] &= (uint8_t)~(top << bit->lsb);
	fuses[bit->fuse] |= (uint8_t)(value << bit->lsb);
	return 0;
}
