#include "hextools/release.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/check.h"
#include "hextools/conflict.h"
#include "hextools/digest.h"
#include "hextools/fit.h"
#include "hextools/fuses.h"
#include "hextools/release_private.h"
#include "hextools/release_settings.h"
#include "hextools/format.h"
#include "hextools/ihex.h"
#include "hextools/options.h"
#include "hextools/outfile.h"

void release_note(struct release *release, const char *format, ...)
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

/* The bytes of the file that "FILE@OFFSET" names. */
static int read_bytes(const char *word, char **text, size_t *len, struct pogo_error *err)
{
	size_t path_len;
	if (format_split_word(word, &path_len, NULL, NULL, err) != 0)
		return -1;
	char *path = strndup(word, path_len);
	if (path == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	int rc = infile_read(path, text, len, err);
	free(path);
	return rc;
}

int release_read_input(struct release *release, const char *role, const char *path,
		       const struct format_reading *reading, struct pogo_error *err)
{
	struct release_input *input = &release->inputs[release->input_count];
	struct format_origin origin;
	char *text;
	size_t len;
	if (read_bytes(path, &text, &len, err) != 0)
		return -1;
	input->role = role;
	input->path = path;
	release->input_count++;
	sha256_hex(text, len, input->sha256);
	int rc = format_read_memory(text, len, path, reading, &input->image, &origin, err);
	free(text);
	for (size_t i = 0; rc == 0 && i < origin.notes.count && i < NOTES_KEPT; i++)
		release_note(release, "%s", origin.notes.text[i]);
	if (rc == 0 && origin.has_dfu)
		release_note(release, "the DFU suffix of \"%.80s\" (16 bytes, for %04X:%04X) is left out", path,
			     origin.dfu.vendor, origin.dfu.product);
	/* A chip starts where its fuses or its flash begin; the record would only make equal images differ. */
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
	if (release_read_input(release, "bootloader", order->bootloader, &order->reading, err) != 0 ||
	    release_read_input(release, "application", order->application, &order->reading, err) != 0)
		return -1;
	for (size_t i = 0; i < 2; i++)
		if (release_take_settings(release, &release->inputs[i], err) != 0 ||
		    fit_check(release->part, &release->inputs[i].image, release->inputs[i].path, err) != 0)
			return -1;
	if (order->eeprom == NULL)
		return 0;
	if (release_read_input(release, "eeprom", order->eeprom, &order->reading, err) != 0)
		return -1;
	return place_eeprom(release, &release->inputs[2], err);
}

int release_find_family(const struct release_order *order, struct release *release, struct pogo_error *err)
{
	if (order->family == NULL)
		return 0;
	release->family = bootloader_find(&release->known, order->family);
	if (release->family == NULL)
		return pogo_fail(err, POGO_INPUT, "bootloader \"%.60s\" is not among configs/bootloaders",
				 order->family);
	if (bootloader_part(release->family, release->part->name) == NULL)
		return pogo_fail(err, POGO_INPUT, "bootloader \"%s\" is not known for the %s",
				 release->family->name, release->part->title);
	return 0;
}

/* ---- --boot-only ---------------------------------------------------------------------------------- */

/* Where the boot section begins: by a known file, by the fuses, by the family. */
static int boot_only_start(const struct release_order *order, const struct release *release,
			   uint32_t *start, struct pogo_error *err)
{
	const struct part *part = release->part;
	const struct bootloader *family = release->family;
	const struct bootloader_file *file;
	uint8_t fuses[PART_FUSES];
	uint32_t bytes;
	if (bootloader_recognise(&release->known, &release->inputs[0].image, &family, &file) &&
	    bootloader_fits(file, part->name)) {
		*start = bootloader_part(family, part->name)->section_start;
		return 0;
	}
	if (order->fuses != NULL) {
		if (fuses_parse(part, order->fuses, fuses, err) != 0)
			return -1;
		if (fuses_boot_section(part, fuses, start, &bytes))
			return 0;
	} else if (release->family != NULL) {
		*start = part->flash_bytes - bootloader_part(release->family, part->name)->reserved_bytes;
		return 0;
	}
	return pogo_fail(err, POGO_INPUT,
			 "--boot-only: \"%.150s\" is no known file, so the boot section's start must come from "
			 "--fuses", release->inputs[0].path);
}

/* Drops the data below: an example program, and the filler behind it. */
static int keep_boot_section(const struct release_order *order, struct release *release,
			     struct pogo_error *err)
{
	struct release_input *boot = &release->inputs[0];
	struct hex_image kept;
	uint32_t start;
	uint8_t around[2];
	uint64_t before = hex_image_bytes(&boot->image);
	if (!order->boot_only)
		return 0;
	if (boot_only_start(order, release, &start, err) != 0)
		return -1;
	/* Fuses that select too small a section would cut a bootloader's head off. */
	if (start > 0 && hex_image_read(&boot->image, start - 1, around, sizeof around, 0xFF) == sizeof around &&
	    around[0] != 0xFF)
		return pogo_fail(err, POGO_NO,
				 "--boot-only: the data of \"%.150s\" runs without a hole across 0x%05" PRIX32
				 ", where the boot section is to begin; give the fuses that this bootloader is built for",
				 boot->path, start);
	hex_image_init(&kept);
	for (size_t i = 0; i < boot->image.count; i++) {
		const struct hex_segment *segment = &boot->image.segments[i];
		size_t skip = segment->addr < start ? start - segment->addr : 0;
		if (skip < segment->len &&
		    hex_image_add(&kept, segment->addr + (uint32_t)skip, segment->bytes + skip,
				  segment->len - skip, HEX_OVERLAP_ERROR, NULL, err) != 0) {
			hex_image_finish(&kept);
			return -1;
		}
	}
	hex_image_finish(&boot->image);
	boot->image = kept;
	if (kept.count == 0)
		return pogo_fail(err, POGO_NO, "--boot-only: \"%.150s\" has nothing from 0x%05" PRIX32 " on",
				 boot->path, start);
	release_note(release, "of \"%.80s\" only the boot section from 0x%05" PRIX32
		     " is taken; %" PRIu64 " bytes below it are left out",
		     boot->path, start, before - hex_image_bytes(&kept));
	return 0;
}

/* ---- the bootloader's file ------------------------------------------------------------------------ */

/* Names of the released files of a family for this part, as many as fit a sentence. */
static void released_files(const struct bootloader *family, const struct part *part, char *out,
			   size_t size)
{
	size_t used = 0, more = 0;
	out[0] = '\0';
	for (size_t i = 0; i < family->file_count; i++) {
		const struct bootloader_file *file = &family->files[i];
		if (!bootloader_fits(file, part->name) || file->sketch)
			continue;
		if (more > 0 || used + strlen(file->name) + sizeof ",  and 99 more" > size)
			more++;
		else
			used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", file->name);
	}
	if (more > 0)
		snprintf(out + used, size - used, " and %zu more", more);
}

int release_refuse_file(const struct release *release, const struct bootloader *found,
			const struct bootloader_file *file, struct pogo_error *err)
{
	const struct release_input *boot = &release->inputs[0];
	const struct part *part = release->part;
	char files[256];
	if (!bootloader_fits(file, part->name))
		return pogo_fail(err, POGO_NO, "\"%.150s\" is %s (%s) for %s, not for %s", boot->path,
				 file->title, found->name, file->part, part->name);
	if (file->sketch)
		return pogo_fail(err, POGO_NO,
				 "\"%.150s\" is %s (%s) as published, with an example program below the "
				 "bootloader that would overwrite the application; give --boot-only, which takes its "
				 "records from 0x%05" PRIX32 " on",
				 boot->path, file->title, file->name,
				 bootloader_part(found, part->name)->section_start);
	if (release->family == NULL || found == release->family)
		return 0;
	released_files(release->family, part, files, sizeof files);
	return pogo_fail(err, POGO_NO,
			 "\"%.150s\" is %s (bootloader \"%s\"), but the board has \"%s\"%s%s", boot->path,
			 file->title, found->name, release->family->name, files[0] != '\0' ? ": " : "", files);
}

/* Which published bootloader this is, and that it is the one for this part and board. */
static int recognise(struct release *release, struct pogo_error *err)
{
	const struct release_input *boot = &release->inputs[0];
	const struct bootloader *family;
	const struct bootloader_file *file;
	char files[176]; /* what a note has room for */
	if (bootloader_recognise(&release->known, &boot->image, &family, &file)) {
		if (release_refuse_file(release, family, file, err) != 0)
			return -1;
		release->family = family;
		release->file = file;
		release_note(release, "\"%.80s\" is %s (bootloader \"%s\")", boot->path, file->title,
			     family->name);
		return 0;
	}
	if (release->family == NULL)
		return 0;
	released_files(release->family, release->part, files, sizeof files);
	if (files[0] != '\0')
		release_note(release, "\"%.80s\" is none of the released files of \"%s\" (%s)", boot->path,
			     release->family->name, files);
	return 0;
}

static void write_missing_bits_as_1(struct release *release)
{
	for (unsigned i = 0; i < PART_FUSES; i++)
		release->fuses[i] |= (uint8_t)~release->part->fuse_mask[i];
}

/* Published fuses are for the family's size; the board's may be another. */
static void fit_bootsz(const struct release_order *order, struct release *release)
{
	const struct part_fuse_bit *bootsz = part_bit(release->part, "BOOTSZ");
	for (unsigned code = 0; bootsz != NULL && code < 4; code++) {
		uint8_t *byte = &release->fuses[bootsz->fuse];
		if (order->boot_bytes == 0 || release->part->boot_bytes[code] != order->boot_bytes)
			continue;
		*byte = (uint8_t)((*byte & ~(3u << bootsz->lsb)) | code << bootsz->lsb);
	}
}

/* The command line and an input both say the fuses: they must be the same. */
static int compare_fuses(const struct release *release, struct pogo_error *err)
{
	const struct release_settings *asked = &release->asked;
	for (unsigned i = 0; i < release->part->fuse_count && asked->has_fuses; i++)
		if (((release->fuses[i] ^ asked->fuses[i]) & release->part->fuse_mask[i]) != 0)
			return pogo_fail(err, POGO_NO,
					 "--fuses and \"%.150s\" say different things: fuse byte %u is 0x%02X there; give what "
					 "is meant, or build the file for it",
					 asked->path, i, asked->fuses[i]);
	return 0;
}

static void take_asked_fuses(struct release *release)
{
	const uint8_t *fuses = release->asked.fuses;
	memcpy(release->fuses, fuses, sizeof release->fuses);
	release->has_fuses = true;
	release_note(release, "fuses %02X,%02X,%02X taken from \"%.150s\"", fuses[0], fuses[1], fuses[2],
		     release->asked.path);
}

static int choose_fuses(const struct release_order *order, struct release *release,
			struct pogo_error *err)
{
	const struct part *part = release->part;
	memset(release->fuses, 0xFF, sizeof release->fuses);
	if (order->fuses != NULL) {
		if (fuses_parse(part, order->fuses, release->fuses, err) != 0 || compare_fuses(release, err) != 0)
			return -1;
		release->has_fuses = true;
	} else if (release->asked.has_fuses) {
		take_asked_fuses(release);
	} else if (release->family != NULL) {
		const uint8_t *published = bootloader_fuses(release->family, release->file, part->name);
		if (published == NULL)
			return 0;
		memcpy(release->fuses, published, sizeof release->fuses);
		release->has_fuses = true;
		fit_bootsz(order, release);
		published = release->fuses;
		release_note(release, "fuses %02X,%02X%s%.*X (low, high%s) taken from bootloader \"%s\"",
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
	if (order->lock == NULL && release->asked.has_lock) {
		release->has_lock = true;
		release->lock = release->asked.lock | (uint8_t)~release->part->lock_mask;
		release_note(release, "lock 0x%02X taken from \"%.150s\"", release->lock, release->asked.path);
		return 0;
	}
	if (order->lock == NULL) {
		if (release->family != NULL && release->family->has_lock)
			release_note(release, "lock bits stay open; for this bootloader --lock 0x%02X is recommended",
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
	if (release->asked.has_lock && (((uint8_t)value ^ release->asked.lock) & release->part->lock_mask) != 0)
		return pogo_fail(err, POGO_NO, "--lock and \"%.150s\" say different things: 0x%02X stands there",
				 release->asked.path, release->asked.lock);
	release->has_lock = true;
	release->lock = (uint8_t)value | missing;
	if (release->lock != (uint8_t)value)
		release_note(release, "lock 0x%02X is written as 0x%02X: bits that the %s does not have stay 1",
		     (unsigned)value, release->lock, release->part->title);
	return 0;
}

/* BLB0 (bits 3, 2; the same on every AVR with a boot section) rules what the boot section's code may do
 * with the application section: ATmega16U4/32U4 data sheet 7766J, "Boot Loader Lock Bits". */
static int check_lock(const struct release *release, struct pogo_error *err)
{
	unsigned blb0 = release->lock >> 2 & 3;
	if (!release->has_lock || blb0 == 3)
		return 0;
	return pogo_fail(err, POGO_NO,
			 "lock 0x%02X stops the bootloader: BLB0 forbids it to %s the application section; "
			 "--lock 0x%02X does not",
			 release->lock, blb0 == 1 ? "read" : blb0 == 2 ? "write" : "read and write",
			 release->lock | 0x0C);
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

/* How much of the flash's end the bootloader takes, where the family is known; else 0. */
static uint32_t reserved_bytes(const struct release_order *order, const struct release *release)
{
	const struct bootloader_part *entry =
		release->family != NULL ? bootloader_part(release->family, release->part->name) : NULL;
	if (entry == NULL)
		return 0;
	return order->boot_bytes != 0 ? order->boot_bytes : entry->reserved_bytes;
}

/* A bootloader larger than every boot section begins below it, in the application section. */
static bool is_oversized(const struct release_order *order, const struct release *release)
{
	return reserved_bytes(order, release) > release->part->boot_bytes[0];
}

/* Finds the boot section and proves that the bootloader is all of it and nothing else. */
static int place_bootloader(const struct release_order *order, struct release *release,
			    struct pogo_error *err)
{
	const struct part *part = release->part;
	const struct release_input *boot = &release->inputs[0];
	const struct hex_image *image = &boot->image;
	uint32_t begin = image->segments[0].addr, selected = 0, bytes = 0;
	uint64_t last = last_of(&image->segments[image->count - 1]);
	int code = section_at(part, begin);
	if (part->boot_bytes[0] == 0)
		return pogo_fail(err, POGO_NO, "the %s has no boot section", part->title);
	if (is_oversized(order, release) || (!release->has_fuses && reserved_bytes(order, release) != 0)) {
		bytes = reserved_bytes(order, release);
		selected = part->flash_bytes - bytes;
	} else if (release->has_fuses) {
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

/* Which of the inputs before has that address. */
static const char *owner_of(const struct release *release, size_t before, uint32_t addr)
{
	uint8_t byte;
	for (size_t i = 0; i < before; i++)
		if (hex_image_read(&release->inputs[i].image, addr, &byte, 1, 0xFF) == 1)
			return release->inputs[i].path;
	return "an earlier input";
}

int release_join(struct release *release, struct pogo_error *err)
{
	for (size_t i = 0; i < release->input_count; i++) {
		const struct release_input *input = &release->inputs[i];
		const char *way_out = i == 1 ? "the application was built for another bootloader, or has one in it"
					     : "leave one of them out";
		for (size_t s = 0; s < input->image.count; s++) {
			const struct hex_segment *segment = &input->image.segments[s];
			struct hex_conflict run = {.len = 0};
			if (hex_image_add(&release->image, segment->addr, segment->bytes, segment->len,
					  HEX_OVERLAP_ERROR, &run, err) == 0)
				continue;
			return run.len == 0 ? -1
					    : conflict_refuse(owner_of(release, i, run.addr), input->path, &run, way_out, err);
		}
	}
	hex_image_crc32(&release->image, &release->crc32);
	return ihex_digest(&release->image, release->digest, err);
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

/* Erased flash reads 0xFFFF: where nothing stands no code begins. */
static int check_begin(const struct release_input *input, uint32_t at, struct pogo_error *err)
{
	uint8_t word[2];
	size_t found = hex_image_read(&input->image, at, word, sizeof word, 0xFF);
	if (found == sizeof word && (word[0] != 0xFF || word[1] != 0xFF))
		return 0;
	return pogo_fail(err, POGO_NO,
			 "%s \"%.150s\" has no code at 0x%05" PRIX32
			 ", where it is entered; is this the right file, and at its place?",
			 input->role, input->path, at);
}

/* The byte with BOOTRST in it, and the two values that decide it, for a message. */
static const char *bootrst_byte(const struct part *part, const uint8_t fuses[PART_FUSES], uint8_t *now,
				uint8_t *programmed, uint8_t *unprogrammed)
{
	static const char *const names[PART_FUSES] = {"low", "high", "extended"};
	const struct part_fuse_bit *bit = part_bit(part, "BOOTRST");
	unsigned fuse = bit != NULL ? (unsigned)bit->fuse : FUSE_HIGH;
	uint8_t mask = bit != NULL ? (uint8_t)(1u << bit->lsb) : 0;
	*now = fuses[fuse];
	*programmed = *now & (uint8_t)~mask;
	*unprogrammed = *now | mask;
	return names[fuse];
}

static int check_reset(const struct release *release, struct pogo_error *err)
{
	const struct part *part = release->part;
	const char *name = release->family != NULL ? release->family->title : "the bootloader";
	bool programmed = fuses_boot_reset(part, release->fuses);
	uint8_t now, entering, passing;
	const char *byte = bootrst_byte(part, release->fuses, &now, &entering, &passing);
	enum bootloader_reset reset =
		release->family != NULL ? release->family->reset : BOOTLOADER_RESET_UNKNOWN;
	if (reset == BOOTLOADER_RESET_BOOT && !programmed)
		return pogo_fail(err, POGO_NO,
				 "fuses: BOOTRST is unprogrammed, but %s must be entered by every reset; "
				 "%s fuse 0x%02X programs it",
				 name, byte, entering);
	if (reset == BOOTLOADER_RESET_APPLICATION && programmed)
		return pogo_fail(err, POGO_NO,
				 "fuses: BOOTRST is programmed, but %s expects a reset to start the "
				 "application; %s fuse 0x%02X leaves it",
				 name, byte, passing);
	if (reset != BOOTLOADER_RESET_UNKNOWN || programmed)
		return 0;
	const struct part_fuse_bit *hwbe = part_bit(part, "HWBE");
	if (hwbe != NULL && part_field(hwbe, release->fuses) == 0)
		return 0;
	return pogo_fail(err, POGO_NO,
			 "fuses: nothing leads into the bootloader: BOOTRST is unprogrammed (%s fuse "
			 "0x%02X) and %s, and this bootloader is not a known one; program BOOTRST%s",
			 byte, now,
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

/* What the code of both tells: built for another part, or leading nowhere. */
static int check_programs(const struct release_order *order, struct release *release, struct pogo_error *err)
{
	struct check *check = malloc(sizeof *check);
	if (check == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	int rc = check_joined(release->part, order->configs, &release->image, release->boot_start, release->file, check,
			      err);
	for (size_t i = 0; rc == 0 && i < check->finding_count; i++) {
		const struct check_finding *found = &check->findings[i];
		if (found->severity == CHECK_ERROR)
			rc = pogo_fail(err, POGO_NO, "%s; %s (pogo-hex check: %s)", found->text, found->way_out, found->id);
		else
			release_note(release, "%s; %s (pogo-hex check: %s)", found->text, found->way_out, found->id);
	}
	free(check);
	return rc;
}

static int make(const struct release_order *order, struct release *release, struct pogo_error *err)
{
	release->crystal_hz = order->crystal_hz;
	release->external_clock = order->external_clock;
	if (part_load(order->configs, order->part, &release->part, err) != 0 ||
	    bootloader_load_all(order->configs, &release->known, err) != 0)
		return -1;
	if (!part_is_avr(release->part))
		return release_make_stm32(order, release, err);
	if (release_find_family(order, release, err) != 0 || read_inputs(order, release, err) != 0 ||
	    keep_boot_section(order, release, err) != 0 || recognise(release, err) != 0 ||
	    choose_fuses(order, release, err) != 0 || choose_lock(order, release, err) != 0 ||
	    place_bootloader(order, release, err) != 0 || release_join(release, err) != 0 ||
	    check_application(release, err) != 0 ||
	    check_begin(&release->inputs[0], release->boot_start, err) != 0 ||
	    check_begin(&release->inputs[1], 0, err) != 0 || check_fuses(release, err) != 0 ||
	    check_lock(release, err) != 0 || check_programs(order, release, err) != 0)
		return -1;
	return 0;
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
