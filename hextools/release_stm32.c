#include "hextools/release_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/cortex.h"
#include "hextools/edit.h"
#include "hextools/fit.h"

/* A bootloader at the start of the flash, where the chip starts, and behind its pages the
 * application that it starts. */

static uint32_t flash_last(const struct part *part)
{
	return part->flash_start + (part->flash_bytes - 1);
}

static uint64_t last_of(const struct hex_image *image)
{
	const struct hex_segment *segment = &image->segments[image->count - 1];
	return (uint64_t)segment->addr + segment->len - 1;
}

static int refuse_words(const struct release_order *order, const struct release *release,
                        struct pogo_error *err)
{
	const struct {
		bool given;
		const char *option;
	} words[] = {{order->fuses != NULL, "--fuses"},
	             {order->lock != NULL, "--lock"},
	             {order->eeprom != NULL, "--eeprom"},
	             {order->clock_given, "--crystal and --external-clock"}};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].given)
			return pogo_fail(err, POGO_INPUT,
			                 "%s: that is for AVRs, the %s has no such thing",
			                 words[i].option, release->part->title);
	if (strcmp(order->bootloader, "-") == 0 && strcmp(order->application, "-") == 0)
		return pogo_fail(err, POGO_INPUT, "standard input can be read only once");
	return 0;
}

/* ---- the bootloader */

static int read_bootloader(const struct release_order *order, struct release *release,
                           struct pogo_error *err)
{
	struct format_reading reading = order->reading;
	const struct part *part = release->part;
	reading.has_place = true;
	reading.place = part->flash_start;
	if (release_read_input(release, "bootloader", order->bootloader, &reading, err) != 0)
		return -1;
	const struct release_input *boot = &release->inputs[0];
	if (fit_check(part, &boot->image, boot->path, err) != 0)
		return -1;
	if (boot->image.segments[0].addr == part->flash_start)
		return 0;
	return pogo_fail(err, POGO_NO,
	                 "bootloader \"%.150s\" begins at 0x%08" PRIX32
	                 ", but the %s starts at 0x%08" PRIX32
	                 "; are bootloader and application exchanged?",
	                 boot->path, boot->image.segments[0].addr, part->title, part->flash_start);
}

/* The files of STM32duino's folder binaries/ have an example program behind the bootloader. */
static int cut_bootloader(const struct release_order *order, struct release *release, uint32_t end,
                          struct pogo_error *err)
{
	struct release_input *boot = &release->inputs[0];
	const struct hex_range behind = {end, UINT32_MAX};
	uint64_t before = hex_image_bytes(&boot->image),
	         more = range_count(&boot->image, &behind, NULL);
	if (more == 0)
		return 0;
	if (!order->boot_only)
		return pogo_fail(err, POGO_NO,
		                 "bootloader \"%.150s\" has %" PRIu64 " bytes from 0x%08" PRIX32
		                 " on, where the application belongs: an example program? "
		                 "--boot-only leaves them out",
		                 boot->path, more, end);
	/* A raw binary has filler up to there. */
	if (edit_exclude(&boot->image, &behind, 1, err) != 0 ||
	    edit_trim_end(&boot->image, err) != 0)
		return -1;
	release_note(release,
	             "of \"%.80s\" only what lies below 0x%08" PRIX32 " is taken; %" PRIu64
	             " bytes are left out",
	             boot->path, end, before - hex_image_bytes(&boot->image));
	return 0;
}

static int recognise(const struct release_order *order, struct release *release,
                     struct pogo_error *err)
{
	const struct release_input *boot = &release->inputs[0];
	const struct bootloader *family;
	const struct bootloader_file *file;
	if (bootloader_recognise(&release->known, &boot->image, &family, &file) ||
	    bootloader_inside(&release->known, &boot->image, &family, &file)) {
		if (release_refuse_file(release, family, file, err) != 0)
			return -1;
		release->family = family;
		release->file = file;
		release_note(release, "\"%.80s\" is %s (bootloader \"%s\")", boot->path,
		             file->title, family->name);
	} else if (release->family != NULL) {
		release_note(release, "\"%.80s\" is none of the released files of \"%s\"",
		             boot->path, release->family->name);
	} else if (order->boot_only) {
		return pogo_fail(err, POGO_INPUT,
		                 "--boot-only: \"%.150s\" is no known file, so nobody knows where "
		                 "the bootloader ends",
		                 boot->path);
	}
	return 0;
}

/* Finds the pages that belong to the bootloader and where the application begins. */
static int place_bootloader(const struct release_order *order, struct release *release,
                            struct pogo_error *err)
{
	const struct part *part = release->part;
	const struct release_input *boot = &release->inputs[0];
	const struct bootloader_part *entry =
	        release->family != NULL ? bootloader_part(release->family, part->name) : NULL;
	uint64_t used = last_of(&boot->image) - part->flash_start + 1;
	release->boot_start = part->flash_start;
	release->boot_bytes = entry != NULL ? entry->reserved_bytes
	                                    : (uint32_t)((used + part->flash_page - 1) /
	                                                 part->flash_page * part->flash_page);
	return cut_bootloader(order, release, release->boot_start + release->boot_bytes, err);
}

/* ---- the application */

static int read_application(const struct release_order *order, struct release *release,
                            struct pogo_error *err)
{
	struct format_reading reading = order->reading;
	reading.has_place = true;
	reading.place = release->boot_start + release->boot_bytes;
	return release_read_input(release, "application", order->application, &reading, err) != 0 ||
	                       fit_check(release->part, &release->inputs[1].image,
	                                 release->inputs[1].path, err) != 0
	               ? -1
	               : 0;
}

static int place_application(struct release *release, struct pogo_error *err)
{
	const struct release_input *app = &release->inputs[1];
	uint32_t begin = app->image.segments[0].addr, start = release->boot_start,
	         end = start + release->boot_bytes;
	const char *name = release->family != NULL ? release->family->title : "the bootloader";
	if (begin < end) {
		uint64_t last = (uint64_t)begin + app->image.segments[0].len - 1;
		return pogo_fail(err, POGO_NO,
		                 "application \"%.150s\" has bytes at 0x%08" PRIX32 "-0x%08" PRIX64
		                 ", in the pages of the bootloader (0x%08" PRIX32 "-0x%08" PRIX32
		                 "): it was built for another bootloader, or for none",
		                 app->path, begin, last < end ? last : (uint64_t)end - 1, start,
		                 end - 1);
	}
	if (release->family != NULL && begin != end)
		return pogo_fail(err, POGO_NO,
		                 "application \"%.150s\" begins at 0x%08" PRIX32
		                 ", but %s starts it at 0x%08" PRIX32
		                 ": it was built for another bootloader",
		                 app->path, begin, name, end);
	if (begin % release->part->flash_page != 0)
		return pogo_fail(err, POGO_NO,
		                 "application \"%.150s\" begins at 0x%08" PRIX32
		                 ", inside a page of %u bytes: an update would erase "
		                 "what else is in it",
		                 app->path, begin, release->part->flash_page);
	release->app_start = begin;
	return 0;
}

static int check_program(const struct release *release, const struct release_input *input,
                         uint32_t table, struct pogo_error *err)
{
	const struct hex_range own = {table, flash_last(release->part)};
	struct cortex_report report;
	char words[240];
	if (cortex_look(&input->image, release->part, table, &own, &report))
		return 0;
	cortex_words(&report, release->part, words, sizeof words);
	return pogo_fail(err, POGO_NO, "%s \"%.150s\" does not start: %s", input->role, input->path,
	                 words);
}

int release_make_stm32(const struct release_order *order, struct release *release,
                       struct pogo_error *err)
{
	memset(release->fuses, 0xFF, sizeof release->fuses);
	release->lock = 0xFF;
	if (refuse_words(order, release, err) != 0 ||
	    release_find_family(order, release, err) != 0 ||
	    read_bootloader(order, release, err) != 0 || recognise(order, release, err) != 0 ||
	    place_bootloader(order, release, err) != 0 ||
	    read_application(order, release, err) != 0 || place_application(release, err) != 0 ||
	    check_program(release, &release->inputs[0], release->boot_start, err) != 0 ||
	    check_program(release, &release->inputs[1], release->app_start, err) != 0)
		return -1;
	return release_join(release, err);
}
