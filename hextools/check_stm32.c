#include "hextools/check_private.h"

#include <inttypes.h>
#include <string.h>

#include "hextools/cortex.h"
#include "hextools/dfu_suffix.h"

/* The STM32F1's side of a check: one program at the start of the flash, where the chip starts, or a
 * bootloader there and an application behind it. */

static uint32_t flash_last(const struct part *part)
{
	return part->flash_start + (part->flash_bytes - 1);
}

static void check_flash(struct check *check)
{
	const struct part *part = check->part;
	for (size_t i = 0; i < check->image.count; i++) {
		const struct hex_segment *segment = &check->image.segments[i];
		uint64_t first = segment->addr, last = first + segment->len - 1;
		if (first >= part->flash_start && last <= flash_last(part))
			continue;
		if (first >= part->flash_start && first <= flash_last(part))
			first = (uint64_t)flash_last(part) + 1;
		check_find(
		        check, "outside-part", CHECK_ERROR, (uint32_t)first,
		        "it is for a larger part, or a raw binary that was put at another address",
		        "0x%08" PRIX64 "-0x%08" PRIX64
		        " lies outside the flash of the %s (0x%08" PRIX32 "-0x%08" PRIX32 ")",
		        first, last, part->title, part->flash_start, flash_last(part));
	}
}

/* A DFU suffix is for the program that downloads the file; in the flash it is stray bytes. */
static void check_suffix(struct check *check)
{
	for (size_t i = 0; i < check->image.count; i++) {
		const struct hex_segment *segment = &check->image.segments[i];
		if (segment->len <= DFU_SUFFIX || !dfu_suffix_ends(segment->bytes, segment->len))
			continue;
		check_find(check, "dfu-suffix", CHECK_WARNING,
		           (uint32_t)(segment->addr + segment->len - DFU_SUFFIX),
		           "join the files with release or merge, which leave it out",
		           "the data ends with the DFU suffix of a raw binary, which is no part of "
		           "the program");
	}
}

static uint32_t page_up(const struct part *part, uint64_t addr)
{
	uint64_t offset = addr - part->flash_start;
	return (uint32_t)(part->flash_start +
	                  (offset + part->flash_page - 1) / part->flash_page * part->flash_page);
}

/* Without any word: a page with a hole, or 0xFF, before it that begins with a sound vector table of
 * its own. */
static bool guess(const struct check *check, uint32_t *start)
{
	const struct part *part = check->part;
	struct cortex_report report;
	for (uint32_t at = part->flash_start + part->flash_page; at <= flash_last(part);
	     at += part->flash_page) {
		const struct hex_range own = {at, flash_last(part)};
		uint8_t before;
		hex_image_read(&check->image, at - 1, &before, 1, 0xFF);
		if (before == 0xFF && check_has_code(check, at) &&
		    cortex_look(&check->image, part, at, &own, &report)) {
			*start = at;
			return true;
		}
	}
	return false;
}

/* Where the bootloader ends and the application must begin; false: no bootloader is known or seen.
 */
static bool bootloader_end(const struct check *check, uint32_t *end)
{
	const struct part *part = check->part;
	const struct bootloader_part *entry =
	        check->family != NULL ? bootloader_part(check->family, part->name) : NULL;
	if (entry != NULL) {
		*end = part->flash_start + entry->reserved_bytes;
		return true;
	}
	if (check->boot_file.count > 0) {
		const struct hex_segment *last =
		        &check->boot_file.segments[check->boot_file.count - 1];
		*end = page_up(part, (uint64_t)last->addr + last->len);
		return true;
	}
	return guess(check, end);
}

static void check_program(struct check *check, const char *id, const char *what, uint32_t table,
                          uint32_t last)
{
	const struct hex_range own = {table, last};
	struct cortex_report report;
	char words[240];
	if (cortex_look(&check->image, check->part, table, &own, &report))
		return;
	cortex_words(&report, check->part, words, sizeof words);
	check_find(check, id, CHECK_ERROR, table + 4 * report.vector,
	           report.fault == CORTEX_STACK
	                   ? "build it for the part, or name the part it is for"
	                   : "build it for this address, or put it where it is linked for",
	           "%s does not start: %s", what, words);
}

static void check_application(struct check *check)
{
	uint32_t first, begin = check->boot_end, last = flash_last(check->part);
	uint8_t around[2];
	if (!check_first_code(&check->image, begin, last + 1, &first)) {
		check_find(check, "no-application", CHECK_WARNING, begin,
		           "join it with pogo-hex release",
		           "the image has no application: nothing from 0x%08" PRIX32 " on", begin);
		return;
	}
	if (first != begin) {
		check_find(check, "app-start", CHECK_ERROR, begin, "build it for this bootloader",
		           "the application begins at 0x%08" PRIX32
		           ", the bootloader starts it at 0x%08" PRIX32,
		           first, begin);
		return;
	}
	if (check->file == NULL && check->boot_file.count == 0 &&
	    hex_image_read(&check->image, begin - 1, around, 2, 0xFF) == 2 && around[0] != 0xFF)
		check_find(check, "app-touches-boot", CHECK_WARNING, begin,
		           "give --bootloader FILE, which tells the two apart",
		           "data runs without a hole from the bootloader's pages into the "
		           "application at 0x%08" PRIX32,
		           begin);
	check_program(check, "app-vectors", "the application", begin, last);
}

static void check_bootloader(struct check *check)
{
	uint32_t first, start = check->boot_start;
	check->has_boot = check_first_code(&check->image, start, check->boot_end, &first);
	if (!check->has_boot) {
		check_find(check, "bootloader-missing", CHECK_ERROR, start,
		           "join it with pogo-hex release",
		           "no bootloader: the image has nothing from 0x%08" PRIX32
		           " to 0x%08" PRIX32,
		           start, check->boot_end - 1);
		return;
	}
	check_program(check, "start-vectors", "the bootloader", start, check->boot_end - 1);
	if (check->boot_file.count > 0)
		check_boot_file(check);
	else if (check->named && check->file == NULL)
		check_find(check, "bootloader-unknown", CHECK_NOTE, start,
		           "nothing, if you built it yourself",
		           "the bootloader is none of the released files of \"%s\"",
		           check->family->name);
}

void check_stm32(struct check *check)
{
	const struct part *part = check->part;
	check_flash(check);
	check_suffix(check);
	check_recognise(check);
	check->boot_start = part->flash_start;
	if (bootloader_end(check, &check->boot_end)) {
		check_bootloader(check);
		check_application(check);
		return;
	}
	check_find(check, "bootloader-missing", CHECK_NOTE, CHECK_NOWHERE,
	           "join it with pogo-hex release", "no bootloader is seen in the image");
	check_program(check, "start-vectors", "the program", part->flash_start, flash_last(part));
}
