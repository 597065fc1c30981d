#include "hextools/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/check_private.h"
#include "hextools/fit.h"
#include "hextools/fuses.h"
#include "hextools/options.h"
#include "hextools/outfile.h"

const char *check_severity_name(enum check_severity severity)
{
	return severity == CHECK_ERROR ? "error" : severity == CHECK_WARNING ? "warning" : "note";
}

void check_find(struct check *check, const char *id, enum check_severity severity, uint32_t address,
		const char *way_out, const char *format, ...)
{
	check->errors += severity == CHECK_ERROR;
	check->warnings += severity == CHECK_WARNING;
	check->notes += severity == CHECK_NOTE;
	if (check->finding_count == CHECK_FINDINGS)
		return;
	struct check_finding *finding = &check->findings[check->finding_count++];
	finding->id = id;
	finding->severity = severity;
	finding->has_address = address != CHECK_NOWHERE;
	finding->address = finding->has_address ? address : 0;
	snprintf(finding->way_out, sizeof finding->way_out, "%s", way_out);
	va_list ap;
	va_start(ap, format);
	vsnprintf(finding->text, sizeof finding->text, format, ap);
	va_end(ap);
}

uint16_t check_word(const struct check *check, uint32_t address)
{
	uint8_t bytes[2];
	hex_image_read(&check->image, address, bytes, 2, 0xFF);
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

bool check_first(const struct hex_image *image, uint32_t from, uint32_t until, uint32_t *address)
{
	const struct hex_segment *segment = image->count > 0 ? hex_image_from(image, from) : NULL;
	if (segment == NULL)
		return false;
	*address = segment->addr > from ? segment->addr : from;
	return *address < until;
}

bool check_first_code(const struct hex_image *image, uint32_t from, uint32_t until, uint32_t *address)
{
	uint32_t at = from;
	while (at < until && check_first(image, at, until, &at)) {
		uint8_t word[2];
		at &= ~1u;
		hex_image_read(image, at, word, sizeof word, 0xFF);
		if (word[0] != 0xFF || word[1] != 0xFF) {
			*address = at;
			return true;
		}
		at += 2;
	}
	return false;
}

bool check_has_code(const struct check *check, uint32_t address)
{
	return check_word(check, address) != 0xFFFF;
}

static int parse_lock(struct check *check, const char *text, struct pogo_error *err)
{
	char word[8];
	int64_t value = 0;
	bool prefixed = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	snprintf(word, sizeof word, "%s%.5s", prefixed ? "" : "0x", text);
	if (strlen(text) > 4 || options_number(word, "lock", 0, 0xFF, &value, NULL) != 0)
		return pogo_fail(err, POGO_INPUT, "lock \"%.20s\" is no byte, written like 0xEF", text);
	check->has_lock = true;
	check->lock = (uint8_t)value;
	return 0;
}

/* A family's name, or else a file. */
static int take_bootloader(const struct check_order *order, struct check *check,
			   struct pogo_error *err)
{
	if (order->bootloader == NULL)
		return 0;
	check->named = true;
	check->family = bootloader_find(&check->known, order->bootloader);
	if (check->family != NULL && bootloader_part(check->family, check->part->name) == NULL)
		return pogo_fail(err, POGO_INPUT, "bootloader \"%s\" is not known for the %s",
				 check->family->name, check->part->title);
	if (check->family != NULL)
		return 0;
	const struct bootloader_file *file;
	const struct format_reading reading = {.has_place = !part_is_avr(check->part), .place = check->part->flash_start};
	if (format_read_file(order->bootloader, &reading, &check->boot_file, NULL, err) != 0)
		return -1;
	if (!part_is_avr(check->part) && fit_check(check->part, &check->boot_file, order->bootloader, err) != 0)
		return -1;
	if (!bootloader_recognise(&check->known, &check->boot_file, &check->family, &file))
		check->family = NULL;
	return 0;
}

static int take_words(const struct check_order *order, struct check *check, struct pogo_error *err)
{
	if (part_load(order->configs, order->part, &check->part, err) != 0 ||
	    bootloader_load_all(order->configs, &check->known, err) != 0)
		return -1;
	if (!part_is_avr(check->part) && (order->fuses != NULL || order->lock != NULL || order->clock_given))
		return pogo_fail(err, POGO_INPUT, "--fuses, --lock and the clock's options are for AVRs; the %s has none of them",
				 check->part->title);
	if (order->fuses != NULL) {
		if (fuses_parse(check->part, order->fuses, check->fuses, err) != 0)
			return -1;
		check->has_fuses = true;
	}
	if (order->lock != NULL && parse_lock(check, order->lock, err) != 0)
		return -1;
	return take_bootloader(order, check, err);
}

/* What was read back from an STM32 is a raw binary of its flash. */
static struct format_reading reading_of(const struct check_order *order, const struct check *check)
{
	struct format_reading reading = order->reading;
	reading.has_place = !part_is_avr(check->part);
	reading.place = check->part->flash_start;
	return reading;
}

/* An image whose text need not be looked at: it reads without any complaint, and its records ascend, so that nothing
 * in it begins anew below what stands before. That is nearly every file, and most of the time. */
static bool read_plainly(const struct check_order *order, struct check *check, struct pogo_error *why)
{
	const struct format_reading reading = reading_of(order, check);
	if (order->reading.lenient || strncmp(order->image, "-", 1) == 0 ||
	    format_read_file(order->image, &reading, &check->image, NULL, why) != 0)
		return false;
	if (check->image.ascending)
		return true;
	hex_image_finish(&check->image);
	hex_image_init(&check->image);
	return false;
}

/* Sound records that contradict each other are the image's fault and findings; all else is unreadable. */
static int read_image(const struct check_order *order, struct check *check, struct pogo_error *err)
{
	size_t path_len, len;
	char *data, path[4096];
	bool ihex = false, has_data = false;
	const struct format_reading reading = reading_of(order, check);
	struct pogo_error why = {.text = ""};
	check->readable = read_plainly(order, check, &why);
	if (check->readable)
		return 0;
	if (format_split_word(order->image, &path_len, NULL, NULL, err) != 0)
		return -1;
	snprintf(path, sizeof path, "%.*s", (int)path_len, order->image);
	if (infile_read(path, &data, &len, err) != 0) /* too large, perhaps; the reader has seen what is wrong with it */
		return why.text[0] != '\0' ? pogo_fail(err, why.kind, "%s", why.text) : -1;
	bool sound = check_text(check, data, len, &ihex, &has_data) && ihex && has_data;
	int rc = format_read_memory(data, len, order->image, &reading, &check->image, NULL, &why);
	free(data);
	check->readable = rc == 0;
	if (rc == 0)
		return 0;
	if (!sound || why.kind == POGO_SYSTEM)
		return pogo_fail(err, why.kind, "%s", why.text);
	if (check->errors > 0)
		return 0; /* the text told why already */
	check_find(check, "records-conflict", CHECK_ERROR, CHECK_NOWHERE,
		   "get the files anew and join them with pogo-hex merge or release, not with an editor", "%s",
		   why.text);
	return 0;
}

static int look(const struct check_order *order, struct check *check, struct pogo_error *err)
{
	if (take_words(order, check, err) != 0 || read_image(order, check, err) != 0)
		return -1;
	if (!check->readable)
		return 0;
	if (!part_is_avr(check->part)) {
		check_stm32(check);
		return 0;
	}
	check_places(check);
	check_fuses(check, order->crystal_hz, order->external_clock);
	check_boot(check);
	check_lock(check);
	check_eeprom(check);
	return check_code(check, order->configs, err);
}

int check_image(const struct check_order *order, struct check *check, struct pogo_error *err)
{
	memset(check, 0, sizeof *check);
	memset(check->fuses, 0xFF, sizeof check->fuses);
	hex_image_init(&check->image);
	hex_image_init(&check->boot_file);
	if (look(order, check, err) == 0)
		return 0;
	check_finish(check);
	return -1;
}

int check_joined(struct part *part, const char *configs, const struct hex_image *image, uint32_t boot_start,
		 const struct bootloader_file *file, struct check *check, struct pogo_error *err)
{
	memset(check, 0, sizeof *check);
	check->part = part;
	check->image = *image;
	check->readable = check->has_boot = true;
	check->boot_start = boot_start;
	check->boot_end = part->flash_bytes;
	check->file = file;
	return check_code(check, configs, err);
}

void check_finish(struct check *check)
{
	hex_image_finish(&check->image);
	hex_image_finish(&check->boot_file);
	bootloader_set_finish(&check->known);
	free(check->part);
	check->part = NULL;
	check->family = NULL;
	check->file = NULL;
}
