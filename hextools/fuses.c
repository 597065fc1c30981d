#include "hextools/fuses.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const fuse_name[PART_FUSES] = {"low", "high", "extended"};

/* One byte in hex, with or without 0x; spaces around it are fine. NULL if it is none. */
static const char *parse_byte(const char *text, uint8_t *out)
{
	unsigned value = 0, digits = 0;
	text += strspn(text, " ");
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; isxdigit((unsigned char)*text) && digits < 3; text++, digits++) {
		int c = tolower((unsigned char)*text);
		value = value * 16 + (unsigned)(isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	if (digits < 1 || digits > 2)
		return NULL;
	*out = (uint8_t)value;
	return text + strspn(text, " ");
}

int fuses_parse(const struct part *part, const char *text, uint8_t fuses[PART_FUSES],
		struct pogo_error *err)
{
	const char *form = part->fuse_count == 3 ? "0xFF,0xD8,0xCB (low, high, extended)"
						 : "0x1F,0xC0 (low, high)";
	uint8_t value[PART_FUSES] = {0xFF, 0xFF, 0xFF};
	const char *at = text;
	unsigned count = 0;
	if (part->fuse_count == 0)
		return pogo_fail(err, POGO_INPUT, "fuses \"%.40s\": the %s has no fuses", text, part->title);
	while (count < part->fuse_count) {
		at = parse_byte(at, &value[count]);
		if (at == NULL)
			break;
		count++;
		if (*at != ',' || count == part->fuse_count)
			break;
		at++;
	}
	if (at == NULL || *at != '\0' || count != part->fuse_count)
		return pogo_fail(err, POGO_INPUT,
				 "fuses \"%.40s\": the %s has %d fuse bytes, written like %s", text,
				 part->title, part->fuse_count, form);
	memcpy(fuses, value, sizeof value);
	return 0;
}

static const struct part_clock *clock_of(const struct part *part, const uint8_t fuses[PART_FUSES])
{
	const struct part_fuse_bit *cksel = part_bit(part, "CKSEL");
	if (cksel == NULL)
		return NULL;
	unsigned code = part_field(cksel, fuses);
	for (size_t i = 0; i < part->clock_count; i++)
		if (code >= part->clocks[i].cksel_low && code <= part->clocks[i].cksel_high)
			return &part->clocks[i];
	return NULL;
}

static bool programmed(const struct part *part, const char *name, const uint8_t fuses[PART_FUSES])
{
	const struct part_fuse_bit *bit = part_bit(part, name);
	return bit != NULL && part_field(bit, fuses) == 0;
}

/* A watch crystal is 32768 Hz; whatever lies above this is none. */
enum { LOW_CRYSTAL_MAX_HZ = 100000 };

static uint32_t source_hz(const struct part_clock *clock, uint32_t crystal_hz)
{
	switch (clock->source) {
	case CLOCK_RC:
	case CLOCK_PLL:
		return clock->hz;
	case CLOCK_LOW_CRYSTAL:
		return crystal_hz <= LOW_CRYSTAL_MAX_HZ ? crystal_hz : 0;
	case CLOCK_EXTERNAL:
	case CLOCK_CRYSTAL:
		break;
	}
	return clock->hz != 0 && crystal_hz != 0 ? clock->hz : crystal_hz;
}

uint32_t fuses_cpu_hz(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t crystal_hz)
{
	const struct part_clock *clock = clock_of(part, fuses);
	if (clock == NULL)
		return 0;
	uint32_t hz = source_hz(clock, crystal_hz);
	return programmed(part, "CKDIV8", fuses) ? hz / 8 : hz;
}

uint32_t fuses_sck_limit(uint32_t cpu_hz)
{
	if (cpu_hz == 0)
		return 0;
	/* "Above" 2 (from 12 MHz: 3) CPU clocks for each phase: strictly below f/4 (f/6). */
	return cpu_hz < 12000000 ? (cpu_hz - 1) / 4 : (cpu_hz - 1) / 6;
}

bool fuses_boot_section(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t *start,
			uint32_t *bytes)
{
	const struct part_fuse_bit *bootsz = part_bit(part, "BOOTSZ");
	if (bootsz == NULL)
		return false;
	unsigned code = part_field(bootsz, fuses);
	if (code >= 4 || part->boot_bytes[code] == 0)
		return false;
	*start = part->boot_start[code];
	*bytes = part->boot_bytes[code];
	return true;
}

bool fuses_boot_reset(const struct part *part, const uint8_t fuses[PART_FUSES])
{
	return programmed(part, "BOOTRST", fuses);
}

/* Names of the fields that cover `bits` of one fuse, for a message. */
static void name_bits(const struct part *part, unsigned fuse, uint8_t bits, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < part->bit_count; i++) {
		const struct part_fuse_bit *bit = &part->bits[i];
		unsigned mask = ((1u << bit->width) - 1) << bit->lsb;
		if ((unsigned)bit->fuse != fuse || (mask & bits) == 0)
			continue;
		size_t used = strlen(out);
		snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", bit->name);
	}
}

static int check_isp_bits(const struct part *part, const uint8_t fuses[PART_FUSES],
			  struct pogo_error *err)
{
	for (unsigned i = 0; i < part->fuse_count && i < PART_FUSES; i++) {
		uint8_t lost = part->isp_must_be_1[i] & (uint8_t)~fuses[i];
		uint8_t off = part->isp_must_be_0[i] & fuses[i];
		char names[64];
		if (lost != 0) {
			name_bits(part, i, lost, names, sizeof names);
			return pogo_fail(err, POGO_NO,
					 "%s fuse 0x%02X programs %s of the %s: the RESET pin is lost and no "
					 "ISP programmer can reach the chip again; set bits 0x%02X to 1",
					 fuse_name[i], fuses[i], names, part->title, lost);
		}
		if (off != 0) {
			name_bits(part, i, off, names, sizeof names);
			return pogo_fail(err, POGO_NO,
					 "%s fuse 0x%02X leaves %s of the %s unprogrammed: that switches "
					 "in-system programming off for ever; set bits 0x%02X to 0",
					 fuse_name[i], fuses[i], names, part->title, off);
		}
	}
	return 0;
}

int fuses_check_safe(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t crystal_hz,
		     bool external_clock, struct pogo_error *err)
{
	if (check_isp_bits(part, fuses, err) != 0)
		return -1;
	const struct part_fuse_bit *cksel = part_bit(part, "CKSEL");
	if (cksel == NULL)
		return 0;
	unsigned code = part_field(cksel, fuses);
	const struct part_clock *clock = clock_of(part, fuses);
	if (clock == NULL)
		return pogo_fail(err, POGO_NO,
				 "low fuse 0x%02X selects CKSEL %u, which is reserved or needs parts that "
				 "keyboards do not have on the %s: the chip would have no clock",
				 fuses[FUSE_LOW], code, part->title);
	if (clock->source == CLOCK_EXTERNAL && !external_clock)
		return pogo_fail(err, POGO_NO,
				 "low fuse 0x%02X selects an external clock (CKSEL %u) on the %s: a board with "
				 "a crystal would stop for ever; say so explicitly if the clock signal exists",
				 fuses[FUSE_LOW], code, part->title);
	/* Where a CKOPT fuse widens the ranges (ATmega8A, 32A) boards run outside them; `fuses` warns there. */
	if (clock->source == CLOCK_CRYSTAL && crystal_hz != 0 && clock->max_hz != 0 &&
	    part_bit(part, "CKOPT") == NULL && (crystal_hz < clock->min_hz || crystal_hz > clock->max_hz))
		return pogo_fail(err, POGO_NO,
				 "low fuse 0x%02X sets the oscillator of the %s to %" PRIu32 " to %" PRIu32
				 " Hz (CKSEL %u), but the board's crystal has %" PRIu32 " Hz: it may never start",
				 fuses[FUSE_LOW], part->title, clock->min_hz, clock->max_hz, code, crystal_hz);
	if (source_hz(clock, crystal_hz) != 0)
		return 0;
	char board[40] = "none";
	if (crystal_hz != 0)
		snprintf(board, sizeof board, "one of %" PRIu32 " Hz", crystal_hz);
	return pogo_fail(err, POGO_NO,
			 "low fuse 0x%02X selects a %s (CKSEL %u) on the %s, but the board has %s: the "
			 "chip would have no clock",
			 fuses[FUSE_LOW],
			 clock->source == CLOCK_LOW_CRYSTAL ? "32 kHz crystal" :
			 clock->source == CLOCK_EXTERNAL    ? "clock signal" :
							      "crystal",
			 code, part->title, board);
}
