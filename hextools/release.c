#include "hextools/release.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/digest.h"
#include "hextools/fit.h"
#include "hextools/fuses.h"
#include "hextools/ihex.h"
#include "hextools/options.h"
#include "hextools/outfile.h"

static void note(struct release *release, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void note(struct release *release, const char *format, ...)
{
	if (release->note_count == RELEASE_NOTES)
		return;
	va_list ap;
	va_start(ap, format);
	vsnprintf(release->notes[release->note_count++], sizeof release->notes[0], format, ap);
	va_end(ap);
}

static uint64_t last_of(const struct hex_segment *segment)
{
	return (uint64_t)segment->addr + segment->len - 1;
}

static int read_input(struct release *release, const char *role, const char *path,
		      struct pogo_error *err)
{
	struct release_input *input = &release->inputs[release->input_count];
	char *text;
	size_t len;
	if (infile_read(path, &text, &len, err) != 0)
		return -1;
	input->role = role;
	input->path = path;
	release->input_count++;
	sha256_hex(text, len, input->sha256);
	int rc = ihex_parse(text, len, strcmp(path, "-") == 0 ? "standard input" : path, &input->image, err);
	free(text);
	/* An AVR starts where its fuses say; the record would only make equal images differ. */
	input->image.start_kind = HEX_START_NONE;
	input->image.start = 0;
	return rc;
}

/* An EEPROM file counts from 0 (.eep) or from where avr-gcc puts the EEPROM. */
static int place_eeprom(struct release *release, struct release_input *input, struct pogo_error *err)
{
	const struct hex_image *image = &input->image;
	uint32_t size = release->part->eeprom_bytes;
	uint64_t first = image->segments[0].addr, last = last_of(&image->segments[image->count - 1]);
	if (first >= AVR_EEPROM_BASE && last < (uint64_t)AVR_EEPROM_BASE + size)
		return 0;
	if (last >= size)
		return pogo_fail(err, POGO_NO,
				 "\"%.150s\" does not fit the EEPROM of the %s: 0x%" PRIX64 "-0x%" PRIX64
				 ", %" PRIu32 " bytes are there",
				 input->path, release->part->title, first, last, size);
	return hex_image_shift(&input->image, AVR_EEPROM_BASE, err);
}

static int read_inputs(const struct release_order *order, struct release *release,
		       struct pogo_error *err)
{
	const char *paths[] = {order->bootloader, order->application,
			       order->eeprom != NULL ? order->eeprom : ""};
	int from_stdin = 0;
	for (size_t i = 0; i < RELEASE_INPUTS; i++)
		from_stdin += strcmp(paths[i], "-") == 0;
	if (from_stdin > 1)
		return pogo_fail(err, POGO_INPUT, "standard input can be read only once");
	if (read_input(release, "bootloader", order->bootloader, err) != 0 ||
	    read_input(release, "application", order->application, err) != 0)
		return -1;
	for (size_t i = 0; i < 2; i++)
		if (fit_check(release->part, &release->inputs[i].image, release->inputs[i].path, err) != 0)
			return -1;
	if (order->eeprom == NULL)
		return 0;
	if (read_input(release, "eeprom", order->eeprom, err) != 0)
		return -1;
	return place_eeprom(release, &release->inputs[2], err);
}

/* Which published bootloader this is, and that it is one for this part. */
static int recognise(struct release *release, struct pogo_error *err)
{
	const struct release_input *boot = &release->inputs[0];
	const struct part *part = release->part;
	const struct bootloader *family;
	const struct bootloader_file *file;
	if (!bootloader_recognise(&release->known, &boot->image, &family, &file))
		return 0;
	if (!bootloader_fits(file, part->name))
		return pogo_fail(err, POGO_NO, "\"%.150s\" is %s (%s) for %s, not for %s", boot->path,
				 file->title, family->name, file->part, part->name);
	if (file->sketch)
		return pogo_fail(err, POGO_NO,
				 "\"%.150s\" is %s (%s) as published, with an example program below the "
				 "bootloader that would overwrite the application; give the bootloader alone, "
				 "its records from 0x%05" PRIX32 " on",
				 boot->path, file->title, file->name,
				 bootloader_part(family, part->name)->section_start);
	release->family = family;
	release->file = file;
	note(release, "\"%.80s\" is %s (bootloader \"%s\")", boot->path, file->title, family->name);
	return 0;
}

static void write_missing_bits_as_1(struct release *release)
{
	for (unsigned i = 0; i < PART_FUSES; i++)
		release->fuses[i] |= (uint8_t)~release->part->fuse_mask[i];
}

static int choose_fuses(const struct release_order *order, struct release *release,
			struct pogo_error *err)
{
	const struct part *part = release->part;
	memset(release->fuses, 0xFF, sizeof release->fuses);
	if (order->fuses != NULL) {
		if (fuses_parse(part, order->fuses, release->fuses, err) != 0)
			return -1;
		release->has_fuses = true;
	} else if (release->family != NULL) {
		const uint8_t *published = bootloader_fuses(release->family, release->file, part->name);
		if (published == NULL)
			return 0;
		memcpy(release->fuses, published, sizeof release->fuses);
		release->has_fuses = true;
		note(release, "fuses %02X,%02X%s%.*X (low, high%s) taken from bootloader \"%s\"",
		     published[0], published[1], part->fuse_count == 3 ? "," : "",
		     part->fuse_count == 3 ? 2 : 0, part->fuse_count == 3 ? published[2] : 0,
		     part->fuse_count == 3 ? ", extended" : "", release->family->name);
	}
	write_missing_bits_as_1(release);
	return 0;
}

static int choose_lock(const struct release_order *order, struct release *release,
		       struct pogo_error *err)
{
	int64_t value = 0;
	char text[8];
	release->lock = 0xFF;
	if (order->lock == NULL) {
		if (release->family != NULL && release->family->has_lock)
			note(release, "lock bits stay open; for this bootloader --lock 0x%02X is recommended",
			     release->family->lock);
		return 0;
	}
	/* Like fuses: hexadecimal with or without 0x. */
	bool prefixed = order->lock[0] == '0' && (order->lock[1] == 'x' || order->lock[1] == 'X');
	snprintf(text, sizeof text, "%s%.5s", prefixed ? "" : "0x", order->lock);
	if (strlen(order->lock) > 4 || options_number(text, "lock", 0, 0xFF, &value, NULL) != 0)
		return pogo_fail(err, POGO_INPUT, "lock \"%.20s\" is no byte, written like 0xEF",
				 order->lock);
	uint8_t missing = (uint8_t)~release->part->lock_mask;
	release->has_lock = true;
	release->lock = (uint8_t)value | missing;
	if (release->lock != (uint8_t)value)
		note(release, "lock 0x%02X is written as 0x%02X: bits that the %s does not have stay 1",
		     (unsigned)value, release->lock, release->part->title);
	return 0;
}

/* The part's boot section that begins at addr, as an index of BOOTSZ; -1 if none does. */
static int section_at(const struct part *part, uint32_t addr)
{
	for (int i = 0; i < 4; i++)
		if (part->boot_bytes[i] != 0 && part->boot_start[i] == addr)
			return i;
	return -1;
}

static int wrong_bootsz(const struct release *release, uint32_t selected, uint32_t begin, int code,
			struct pogo_error *err)
{
	const struct part *part = release->part;
	const struct part_fuse_bit *bootsz = part_bit(part, "BOOTSZ");
	uint8_t right = release->fuses[bootsz->fuse];
	right &= (uint8_t)~(((1u << bootsz->width) - 1) << bootsz->lsb);
	right |= (uint8_t)((unsigned)code << bootsz->lsb);
	return pogo_fail(err, POGO_NO,
			 "fuses: BOOTSZ selects a boot section from 0x%05" PRIX32
			 ", but the bootloader begins at 0x%05" PRIX32 "; %s fuse 0x%02X would fit it",
			 selected, begin,
			 bootsz->fuse == FUSE_LOW    ? "low" :
			 bootsz->fuse == FUSE_HIGH   ? "high" :
						       "extended",
			 right);
}

/* Finds the boot section and proves that the bootloader is all of it and nothing else. */
static int place_bootloader(struct release *release, struct pogo_error *err)
{
	const struct part *part = release->part;
	const struct release_input *boot = &release->inputs[0];
	const struct hex_image *image = &boot->image;
	uint32_t begin = image->segments[0].addr, selected = 0, bytes = 0;
	uint64_t last = last_of(&image->segments[image->count - 1]);
	int code = section_at(part, begin);
	if (part->boot_bytes[0] == 0)
		return pogo_fail(err, POGO_NO, "the %s has no boot section", part->title);
	if (release->has_fuses) {
		fuses_boot_section(part, release->fuses, &selected, &bytes);
		if (begin != selected && code >= 0)
			return wrong_bootsz(release, selected, begin, code, err);
	} else if (code >= 0) {
		selected = part->boot_start[code];
		bytes = part->boot_bytes[code];
	} else {
		selected = part->boot_start[0];
		bytes = part->boot_bytes[0];
	}
	release->boot_start = selected;
	release->boot_bytes = bytes;
	if (begin < selected || last >= part->flash_bytes) {
		uint64_t outside = begin < selected ? begin : part->flash_bytes;
		uint64_t first_end = last_of(&image->segments[0]);
		uint64_t until = begin < selected ? (first_end < selected ? first_end : selected - 1) : last;
		return pogo_fail(err, POGO_NO,
				 "bootloader \"%.150s\" has bytes at 0x%05" PRIX64 "-0x%05" PRIX64
				 ", outside the boot section of the %s (0x%05" PRIX32 "-0x%05" PRIX32 ")",
				 boot->path, outside, until, part->title, selected, part->flash_bytes - 1);
	}
	if (begin != selected)
		return pogo_fail(err, POGO_NO,
				 "bootloader \"%.150s\" begins at 0x%05" PRIX32
				 ", but a reset enters the boot section at 0x%05" PRIX32,
				 boot->path, begin, selected);
	return 0;
}

static int check_application(const struct release *release, struct pogo_error *err)
{
	const struct release_input *app = &release->inputs[1];
	uint32_t start = release->boot_start;
	const struct hex_segment *inside = hex_image_from(&app->image, start);
	if (inside == NULL || inside->addr >= release->part->flash_bytes)
		return 0;
	uint32_t from = inside->addr > start ? inside->addr : start;
	return pogo_fail(err, POGO_NO,
			 "application \"%.150s\" has bytes at 0x%05" PRIX32 "-0x%05" PRIX64
			 ", inside the boot section (from 0x%05" PRIX32
			 "): it was built for another bootloader, or has one in it",
			 app->path, from, last_of(inside), start);
}

static int check_reset(const struct release *release, struct pogo_error *err)
{
	const struct part *part = release->part;
	const char *name = release->family != NULL ? release->family->title : "the bootloader";
	bool programmed = fuses_boot_reset(part, release->fuses);
	enum bootloader_reset reset =
		release->family != NULL ? release->family->reset : BOOTLOADER_RESET_UNKNOWN;
	if (reset == BOOTLOADER_RESET_BOOT && !programmed)
		return pogo_fail(err, POGO_NO,
				 "fuses: BOOTRST is unprogrammed, but %s must be entered by every reset; "
				 "clear bit 0 of the high fuse (0x%02X)",
				 name, release->fuses[FUSE_HIGH] & 0xFE);
	if (reset == BOOTLOADER_RESET_APPLICATION && programmed)
		return pogo_fail(err, POGO_NO,
				 "fuses: BOOTRST is programmed, but %s expects a reset to start the "
				 "application; set bit 0 of the high fuse (0x%02X)",
				 name, release->fuses[FUSE_HIGH] | 0x01);
	if (reset != BOOTLOADER_RESET_UNKNOWN || programmed)
		return 0;
	const struct part_fuse_bit *hwbe = part_bit(part, "HWBE");
	if (hwbe != NULL && part_field(hwbe, release->fuses) == 0)
		return 0;
	return pogo_fail(err, POGO_NO,
			 "fuses: nothing leads into the bootloader: BOOTRST is unprogrammed (high fuse "
			 "0x%02X) and %s, and this bootloader is not a known one; program BOOTRST%s",
			 release->fuses[FUSE_HIGH],
			 hwbe != NULL ? "HWBE is unprogrammed" : "the part has no HWB pin",
			 hwbe != NULL ? " or HWBE" : "");
}

static int check_fuses(const struct release *release, struct pogo_error *err)
{
	if (!release->has_fuses)
		return 0;
	if (fuses_check_safe(release->part, release->fuses, release->crystal_hz, release->external_clock,
			     err) != 0)
		return -1;
	return check_reset(release, err);
}

static int join_inputs(struct release *release, struct pogo_error *err)
{
	for (size_t i = 0; i < release->input_count; i++) {
		const struct release_input *input = &release->inputs[i];
		for (size_t s = 0; s < input->image.count; s++) {
			const struct hex_segment *segment = &input->image.segments[s];
			struct pogo_error why;
			if (hex_image_add(&release->image, segment->addr, segment->bytes, segment->len,
					  HEX_OVERLAP_ERROR, NULL, &why) != 0)
				return pogo_fail(err, why.kind, "%s \"%.150s\": %.300s", input->role,
						 input->path, why.text);
		}
	}
	hex_image_crc32(&release->image, &release->crc32);
	return ihex_digest(&release->image, release->digest, err);
}

static int make(const struct release_order *order, struct release *release, struct pogo_error *err)
{
	release->crystal_hz = order->crystal_hz;
	release->external_clock = order->external_clock;
	if (part_load(order->configs, order->part, &release->part, err) != 0 ||
	    bootloader_load_all(order->configs, &release->known, err) != 0 ||
	    read_inputs(order, release, err) != 0 || recognise(release, err) != 0 ||
	    choose_fuses(order, release, err) != 0 || choose_lock(order, release, err) != 0 ||
	    place_bootloader(release, err) != 0 || check_application(release, err) != 0 ||
	    check_fuses(release, err) != 0)
		return -1;
	return join_inputs(release, err);
}

int release_make(const struct release_order *order, struct release *release, struct pogo_error *err)
{
	*release = (struct release){.part = NULL};
	if (make(order, release, err) == 0)
		return 0;
	release_finish(release);
	return -1;
}

void release_finish(struct release *release)
{
	for (size_t i = 0; i < RELEASE_INPUTS; i++)
		hex_image_finish(&release->inputs[i].image);
	hex_image_finish(&release->image);
	bootloader_set_finish(&release->known);
	free(release->part);
	*release = (struct release){.part = NULL};
}
