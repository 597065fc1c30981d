#include "hextools/check_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/avr_code.h"
#include "hextools/digest.h"
#include "hextools/fuses.h"

/* ---- known files ---------------------------------------------------------------------------------- */

/* Example programs in the combined files that the QMK ISP flashing guide marks with a star: CRC-32 of
 * 0 to `last`. They lie where the firmware belongs. */
static const struct {
	uint32_t last, crc32;
	const char *title;
} sketches[] = {
	{0x12CB, 0x828F85CA, "Caterina-Leonardo.hex"},
	{0x12CF, 0xBB1CD4F3, "Caterina-Micro.hex"},
	{0x1419, 0xAF12EA3B, "Caterina-A-Star.hex"},
	{0x101F, 0xC82F3A36, "Caterina_itsybitsy3V.hex"},
};

/* Released files that are taken for something else (CRC-32 of the whole image). */
static const struct {
	uint32_t crc32;
	const char *title;
} strangers[] = {
	{0x999C21C8, "pro_micro_ISP_B6_10.hex, which makes a Pro Micro an ISP programmer"},
	{0x9EA8FE32, "teensy_2.0_ISP_B0.hex, which makes a Teensy 2.0 an ISP programmer"},
	{0x652D544C, "reset.eep, an EEPROM image that is not for the flash"},
	{0xA0D43371, "eeprom-lefthand.eep, an EEPROM image that is not for the flash"},
	{0xD7D303E7, "eeprom-righthand.eep, an EEPROM image that is not for the flash"},
};

static void check_strangers(struct check *check)
{
	uint32_t crc;
	if (!hex_image_crc32(&check->image, &crc))
		return;
	for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
		if (strangers[i].crc32 == crc)
			check_find(check, "known-stranger", CHECK_WARNING, check->image.segments[0].addr,
				   "take the file that is meant", "the image is QMK's %s", strangers[i].title);
}

static void check_sketch(struct check *check)
{
	uint8_t bytes[0x1500];
	for (size_t i = 0; i < sizeof sketches / sizeof sketches[0]; i++) {
		size_t len = sketches[i].last + 1;
		hex_image_read(&check->image, 0, bytes, len, 0xFF);
		if (crc32_update(0, bytes, len) != sketches[i].crc32)
			continue;
		check_find(check, "sketch", CHECK_ERROR, 0,
			   "give release --boot-only, or merge the bootloader's records alone",
			   "the example program of %s lies at 0 where the firmware belongs: the board would run it",
			   sketches[i].title);
		return;
	}
}

/* ---- where the bootloader is ---------------------------------------------------------------------- */

void check_recognise(struct check *check)
{
	const struct bootloader *family;
	const struct bootloader_file *file;
	if (!bootloader_recognise(&check->known, &check->image, &family, &file) &&
	    !bootloader_inside(&check->known, &check->image, &family, &file))
		return;
	check->file = file;
	if (!bootloader_fits(file, check->part->name))
		check_find(check, "bootloader-other-part", CHECK_ERROR,
			   bootloader_part(family, file->part)->section_start, "take the file for this part",
			   "the image has %s (%s), which is for %s, not for the %s", file->title, file->name,
			   file->part, check->part->title);
	else if (check->family != NULL && family != check->family)
		check_find(check, "bootloader-other", CHECK_ERROR,
			   bootloader_part(family, file->part)->section_start, "take the bootloader that is meant",
			   "the image has %s (bootloader \"%s\"), not \"%s\"", file->title, family->name,
			   check->family->name);
	else
		check->family = family;
}

/* Code with a hole, or 0xFF, before it. */
static bool begins_at(const struct check *check, uint32_t at)
{
	uint8_t before = 0xFF;
	hex_image_read(&check->image, at - 1, &before, 1, 0xFF);
	return before == 0xFF && check_has_code(check, at);
}

/* Without any word: where the fuses lead, if code begins there; else at a boot section's start, if there is a jump
 * (a bootloader's vectors) rather than where none is (its code, or the application's behind a hole). */
static bool guess(const struct check *check, uint32_t *start)
{
	const struct part *part = check->part;
	uint32_t bytes;
	bool found = false;
	if (check->has_fuses && fuses_boot_section(part, check->fuses, start, &bytes) && begins_at(check, *start))
		return true;
	for (size_t i = 0; i < 4; i++) {
		uint32_t at = part->boot_start[i];
		if (at == 0 || part->boot_bytes[i] == 0 || !begins_at(check, at))
			continue;
		bool jump = avr_is_jump(check_word(check, at));
		if (!found || jump)
			*start = at;
		found = true;
		if (jump)
			break;
	}
	return found;
}

/* Where the bootloader's own bytes begin; the fuses are judged by it. */
static bool bootloader_begin(const struct check *check, uint32_t *start)
{
	const struct part *part = check->part;
	const struct bootloader_part *entry =
		check->family != NULL ? bootloader_part(check->family, part->name) : NULL;
	if (check->boot_file.count > 0) {
		*start = check->boot_file.segments[0].addr;
		return true;
	}
	if (entry != NULL) {
		*start = part->flash_bytes - entry->reserved_bytes;
		return true;
	}
	uint32_t bytes;
	if (guess(check, start))
		return true;
	return check->has_fuses && fuses_boot_section(part, check->fuses, start, &bytes);
}

/* ---- the section against the image ---------------------------------------------------------------- */

void check_boot_file(struct check *check)
{
	const struct hex_image *file = &check->boot_file;
	for (size_t i = 0; i < file->count; i++) {
		const struct hex_segment *segment = &file->segments[i];
		for (size_t k = 0; k < segment->len; k++) {
			uint32_t at = segment->addr + (uint32_t)k;
			uint8_t byte = 0xFF;
			bool there = hex_image_read(&check->image, at, &byte, 1, 0xFF) == 1;
			if ((there && byte == segment->bytes[k]) || (!there && segment->bytes[k] == 0xFF))
				continue;
			check_find(check, "bootloader-damaged", CHECK_ERROR, at,
				   "build the application for this bootloader and join both with release",
				   "the bootloader has 0x%02X at 0x%0*" PRIX32 ", the image %s%02X",
				   segment->bytes[k], hex_digits(at), at, there ? "0x" : "nothing: 0x", byte);
			return;
		}
	}
	/* What else is there belongs to the application. */
	uint32_t end = check->boot_end;
	for (uint32_t at = check->boot_start; at < end; at++) {
		uint32_t own;
		uint8_t byte;
		if (!check_first(&check->image, at, end, &at) || check_first(file, at, at + 1, &own))
			continue;
		hex_image_read(&check->image, at, &byte, 1, 0xFF);
		if (byte == 0xFF) /* filler, as erased memory has it */
			continue;
		check_find(check, "app-in-boot", CHECK_ERROR, at,
			   "build the application for this bootloader (BOOTLOADER or BOOTLOADER_SIZE in QMK)",
			   "the image has data at 0x%0*" PRIX32 ", in the boot section, that is not the bootloader's",
			   hex_digits(at), at);
		return;
	}
}

/* Bytes that run without a hole across the start of the boot section. */
static void check_crossing(struct check *check)
{
	uint8_t around[2];
	uint32_t start = check->boot_start;
	if (hex_image_read(&check->image, start - 1, around, 2, 0xFF) != 2 || around[0] == 0xFF)
		return;
	check_find(check, "app-touches-boot", CHECK_WARNING, start,
		   "give --bootloader FILE, which tells the two apart",
		   "data runs without a hole into the boot section at 0x%05" PRIX32
		   ": perhaps an application that was built for a smaller bootloader", start);
}

/* A bootloader without interrupts needs no vectors: Optiboot begins with EOR r1, r1; others with CLI, a look at MCUSR
 * (IN) or a constant (LDI). AVR instruction set manual DS40002198. */
static bool begins_a_program(uint16_t word)
{
	return avr_is_jump(word) || word == 0x2411 || word == 0x94F8 || (word & 0xF800) == 0xB000 || (word & 0xF000) == 0xE000;
}

static void check_section(struct check *check)
{
	uint32_t first, start = check->boot_start, end = check->part->flash_bytes;
	if (!check_first_code(&check->image, start, end, &first)) {
		check_find(check, "bootloader-missing", check->named ? CHECK_ERROR : CHECK_NOTE, start,
			   "join it with pogo-hex release",
			   "no bootloader: the image has nothing from 0x%05" PRIX32 " on", start);
		return;
	}
	if (first != start)
		check_find(check, "boot-blank", CHECK_ERROR, start,
			   "a reset or a jump enters there; look for a lost first record",
			   "the boot section begins blank: its first data is at 0x%05" PRIX32, first);
	else if (!begins_a_program(check_word(check, start)) && check->file == NULL)
		check_find(check, "boot-no-jump", CHECK_WARNING, start,
			   "is this really a bootloader, and for this address?",
			   "the boot section begins with 0x%04X, with which no program begins", check_word(check, start));
	if (check->boot_file.count > 0)
		check_boot_file(check);
	else if (check->file == NULL)
		check_crossing(check);
	if (check->named && check->file == NULL && check->boot_file.count == 0)
		check_find(check, "bootloader-unknown", CHECK_NOTE, start, "nothing, if you built it yourself",
			   "the bootloader is none of the released files of \"%s\"", check->family->name);
}

/* ---- fuses that lead there ------------------------------------------------------------------------ */

static void check_bootsz(struct check *check)
{
	const struct part *part = check->part;
	const struct part_fuse_bit *bootsz = part_bit(part, "BOOTSZ");
	static const char *const names[PART_FUSES] = {"low", "high", "extended"};
	uint32_t selected, bytes;
	if (!fuses_boot_section(part, check->fuses, &selected, &bytes) || selected == check->boot_start)
		return;
	for (unsigned code = 0; code < 4; code++) {
		if (part->boot_start[code] != check->boot_start)
			continue;
		uint8_t right = check->fuses[bootsz->fuse];
		right = (uint8_t)((right & ~(3u << bootsz->lsb)) | code << bootsz->lsb);
		char way_out[80];
		snprintf(way_out, sizeof way_out, "%s fuse 0x%02X selects it", names[bootsz->fuse], right);
		check_find(check, "bootsz", CHECK_ERROR, check->boot_start, way_out,
			   "BOOTSZ selects a boot section from 0x%05" PRIX32 ", the bootloader begins at 0x%05" PRIX32,
			   selected, check->boot_start);
		return;
	}
	if (check->boot_start < selected && check->family != NULL)
		return; /* a bootloader that is larger than any boot section: lufa-ms */
	check_find(check, "bootsz", CHECK_ERROR, check->boot_start, "is the bootloader for this part?",
		   "BOOTSZ selects a boot section from 0x%05" PRIX32 ", the bootloader begins at 0x%05" PRIX32
		   " where none can begin", selected, check->boot_start);
}

static void check_reset(struct check *check)
{
	const struct part_fuse_bit *hwbe = part_bit(check->part, "HWBE");
	bool enters = fuses_boot_reset(check->part, check->fuses);
	enum bootloader_reset want =
		check->family != NULL ? check->family->reset : BOOTLOADER_RESET_UNKNOWN;
	if (want == BOOTLOADER_RESET_BOOT && !enters)
		check_find(check, "bootrst", CHECK_ERROR, CHECK_NOWHERE, "program BOOTRST",
			   "BOOTRST is unprogrammed, but %s must be entered by every reset", check->family->title);
	else if (want == BOOTLOADER_RESET_APPLICATION && enters)
		check_find(check, "bootrst", CHECK_ERROR, CHECK_NOWHERE, "leave BOOTRST unprogrammed",
			   "BOOTRST is programmed, but %s expects a reset to start the application",
			   check->family->title);
	else if (!enters && (hwbe == NULL || part_field(hwbe, check->fuses) != 0))
		check_find(check, "boot-unreachable", CHECK_WARNING, CHECK_NOWHERE,
			   hwbe != NULL ? "program BOOTRST or HWBE" : "program BOOTRST",
			   "neither a reset nor a pin leads into the bootloader, only the firmware itself");
}

static void check_blank_reset(struct check *check)
{
	uint32_t start, bytes;
	if (!check->has_fuses || !fuses_boot_reset(check->part, check->fuses) ||
	    !fuses_boot_section(check->part, check->fuses, &start, &bytes))
		return;
	if (!check_has_code(check, start))
		check_find(check, "bootrst-blank", CHECK_ERROR, start,
			   "add the bootloader, or leave BOOTRST unprogrammed",
			   "BOOTRST leads every reset to 0x%05" PRIX32 ", where the image is blank", start);
}

/* Nobody said where a bootloader begins, and nothing in the image shows it. */
static void say_none_seen(struct check *check)
{
	const struct part *part = check->part;
	uint32_t first, largest = part->flash_bytes - part->boot_bytes[0];
	if (check_first_code(&check->image, largest, part->flash_bytes, &first))
		check_find(check, "bootloader-unclear", CHECK_NOTE, first, "say it with --fuses or --bootloader",
			   "the image has code at 0x%05" PRIX32 ", where boot sections lie, but nothing shows where a bootloader "
			   "begins: it touches the application, or its first record is lost", first);
	else
		check_find(check, "bootloader-missing", CHECK_NOTE, CHECK_NOWHERE, "join it with pogo-hex release",
			   "no bootloader is seen in the image");
}

void check_boot(struct check *check)
{
	uint32_t first;
	check->boot_end = check->part->flash_bytes;
	check_strangers(check);
	check_sketch(check);
	check_recognise(check);
	check_blank_reset(check);
	if (check->part->boot_bytes[0] == 0)
		return;
	if (!bootloader_begin(check, &check->boot_start)) {
		say_none_seen(check);
		return;
	}
	check->has_boot = check_first_code(&check->image, check->boot_start, check->part->flash_bytes, &first);
	check_section(check);
	if (!check->has_boot || !check->has_fuses)
		return;
	check_bootsz(check);
	check_reset(check);
}
