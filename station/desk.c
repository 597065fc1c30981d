#include "station/desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/conf.h"
#include "station/place.h"
#include "station/station.h"

enum {
	ATTACH_MS = 3000,
	IDENTIFY_MS = 5000,
	BLOCK_MS = 10000,
	MEET_POLLS = 16, /* each fourth at a slower SCK: down to the slowest chip */
	BLOCK = 1024,
};

/* ---- the programmer */

static const struct slot_place *place_named(const struct station_file *file, const char *slot)
{
	for (size_t i = 0; i < file->slot_count; i++)
		if (strcmp(file->slots[i].name, slot) == 0 || strcmp(file->slots[i].port, slot) == 0)
			return &file->slots[i];
	return NULL;
}

/* The host too: a station file may do without USB. */
static int load_places(const struct desk_options *options, struct desk *desk, struct station_file *file,
                       struct pogo_error *err)
{
	if (options->station_path != NULL && station_file_load(options->station_path, file, err) != 0)
		return -1;
	if (station_host_create(options->host_url, file, &desk->host, err) != 0)
		return -1;
	return options->station_path != NULL ? 0 : station_file_from_plugs(desk->host, place_programmer_for, file, err);
}

static int find_place(const struct desk_options *options, struct desk *desk, struct pogo_error *err)
{
	struct station_file *file = calloc(1, sizeof *file);
	char names[160] = "";

	if (file == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the slots");
	int result = load_places(options, desk, file, err);
	const struct slot_place *place = result == 0 ? place_named(file, options->slot) : NULL;
	for (size_t i = 0, used = 0; i < file->slot_count && used < sizeof names - 24; i++)
		used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", file->slots[i].name);
	if (place != NULL)
		desk->place = *place;
	else if (result == 0)
		result = pogo_fail(err, POGO_INPUT, "there is no slot \"%.40s\" and no programmer at such a port; there are %s",
		                   options->slot, names);
	free(file);
	return result;
}

static int open_programmer(struct desk *desk, struct pogo_error *err)
{
	struct pogo_error why = {.kind = POGO_SYSTEM, .text = ""};
	int got = place_open(&desk->place, desk->host, place_programmer_for, &desk->programmer, &desk->identity, &why);

	if (got > 0)
		return pogo_fail(err, POGO_INPUT, "slot %s: nothing is plugged at %s", desk->place.name, desk->place.port);
	return got == 0 ? 0 : pogo_fail(err, why.kind, "slot %s: %.560s", desk->place.name, why.text);
}

int desk_open(const struct desk_options *options, struct desk *desk, struct pogo_error *err)
{
	char configs[512];

	if (conf_dir(options->configs, configs, sizeof configs, err) != 0 ||
	    part_load_all(configs, &desk->parts, &desk->part_count, err) != 0 ||
	    find_place(options, desk, err) != 0)
		return -1;
	return open_programmer(desk, err);
}

/* ---- the chip */

int desk_fail(const struct desk *desk, const struct fault *fault, struct pogo_error *err)
{
	return pogo_fail(err, fail_is_error(fault->code) ? POGO_SYSTEM : POGO_NO, "slot %s: %s: %s", desk->place.name,
	                 fail_name(fault->code), fault->text);
}

static void suppose(struct desk *desk, struct part *part)
{
	desk->recipe = (struct recipe){.part = part};
	memcpy(desk->recipe.fuses, part->fuse_factory, sizeof desk->recipe.fuses);
	chip_init(&desk->chip, chip_find(part->family), &desk->recipe);
	desk->chip.programmer = desk->programmer;
}

static int attach(struct desk *desk, struct fault *fault)
{
	for (unsigned i = 0; i < MEET_POLLS; i++) {
		*fault = (struct fault){.code = FAIL_NONE};
		if (desk->chip.driver->attach(&desk->chip, deadline_in_ms(ATTACH_MS), fault) == 0)
			return 0;
		if (fault->code != FAIL_CONTACT && fault->code != FAIL_TIMEOUT)
			return -1;
	}
	return -1;
}

static bool is_what_answered(const struct part *part, const struct chip_facts *facts)
{
	if (part_is_avr(part))
		return memcmp(part->signature, facts->signature, 3) == 0;
	return part->device_id == (facts->stm32f1.device_id & 0xFFF);
}

/* Of those with its id the one with its size of flash, else the first: a size word may be wrong. */
static struct part *part_that_answered(const struct desk *desk)
{
	struct part *best = NULL;

	for (size_t i = 0; i < desk->part_count; i++) {
		struct part *part = desk->parts[i];
		if (strcmp(part->family, desk->chip.driver->family) != 0 || !is_what_answered(part, &desk->chip.facts))
			continue;
		if (part->flash_bytes == desk->chip.facts.stm32f1.flash_kib * 1024u)
			return part;
		if (best == NULL)
			best = part;
	}
	return best;
}

/* The first of the family that the programmer has the pins for: only its times and page sizes matter before the chip has
 * said what it is, and they are alike. */
static struct part *first_guess(const struct desk *desk)
{
	const char *family = desk->programmer->swd != NULL ? "stm32f1" : "avr";

	for (size_t i = 0; i < desk->part_count; i++)
		if (strcmp(desk->parts[i]->family, family) == 0)
			return desk->parts[i];
	return NULL;
}

static int identify(struct desk *desk, struct fault *fault)
{
	return desk->chip.driver->identify(&desk->chip, deadline_in_ms(IDENTIFY_MS), fault);
}

int desk_meet(struct desk *desk, struct pogo_error *err)
{
	struct fault fault = {.code = FAIL_NONE};
	struct part *part = first_guess(desk);

	if (part == NULL)
		return pogo_fail(err, POGO_INPUT, "configs: there is no part for a %s", desk->programmer->info.kind);
	suppose(desk, part);
	if (attach(desk, &fault) != 0)
		return desk_fail(desk, &fault, err);
	if (identify(desk, &fault) != 0 && fault.code != FAIL_SIGNATURE)
		return desk_fail(desk, &fault, err);
	struct part *found = part_that_answered(desk);
	if (found == NULL)
		return desk_fail(desk, &fault, err);
	if (found == part)
		return 0;
	desk->chip.driver->detach(&desk->chip);
	suppose(desk, found);
	if (attach(desk, &fault) != 0 || identify(desk, &fault) != 0)
		return desk_fail(desk, &fault, err);
	return 0;
}

int desk_blank(struct desk *desk, bool *blank, uint32_t *used, struct fault *fault)
{
	const struct part *part = desk->chip.part;
	uint8_t bytes[BLOCK];

	for (uint32_t at = 0; at < part->flash_bytes; at += BLOCK) {
		if (desk->chip.driver->read(&desk->chip, part->flash_start + at, bytes, sizeof bytes,
		                            deadline_in_ms(BLOCK_MS), fault) != 0)
			return -1;
		for (unsigned i = 0; i < BLOCK; i++)
			if (bytes[i] != 0xFF) {
				*blank = false;
				*used = part->flash_start + at + i;
				return 0;
			}
	}
	*blank = true;
	return 0;
}

void desk_close(struct desk *desk)
{
	if (desk->programmer != NULL) {
		if (desk->chip.driver != NULL)
			desk->chip.driver->detach(&desk->chip);
		desk->programmer->driver->close(desk->programmer);
	}
	if (desk->host != NULL)
		desk->host->ops->destroy(desk->host);
	if (desk->parts != NULL)
		part_free_all(desk->parts, desk->part_count);
	*desk = (struct desk){.host = NULL};
}
