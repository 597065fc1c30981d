#include "station/recipe.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hextools/conf.h"
#include "hextools/digest.h"
#include "hextools/fit.h"
#include "hextools/fuses.h"
#include "hextools/ihex.h"
#include "hextools/outfile.h"

enum { SHORT_DIGEST = 12, MAX_CRYSTAL_HZ = 32000000 };

/* ---- messages: FILE:LINE: key: sentence */

/* Line of the key among the file's lines, 0 = not found. The reader keeps lines of groups only. */
static unsigned key_line(const char *text, const char *key)
{
	size_t len = strlen(key);
	unsigned line = 1;

	for (const char *at = text; at; line++) {
		const char *word = at + strspn(at, " \t");

		if (strncmp(word, key, len) == 0) {
			word += len;
			word += strspn(word, " \t\r\n");
			if (*word == '=' || *word == ':')
				return line;
		}
		at = strchr(at, '\n');
		if (at)
			at++;
	}
	return 0;
}

/* The sentence may be built from err->text itself. */
static int refuse(const struct recipe *recipe, const char *key, enum pogo_error_class kind,
                  struct pogo_error *err, const char *format, ...)
        __attribute__((format(printf, 5, 6)));

static int refuse(const struct recipe *recipe, const char *key, enum pogo_error_class kind,
                  struct pogo_error *err, const char *format, ...)
{
	unsigned line = key_line(recipe->text, key);
	char sentence[sizeof(err->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (!line)
		return pogo_fail(err, kind, "%s: %s: %s", recipe->path, key, sentence);
	return pogo_fail(err, kind, "%s:%u: %s: %s", recipe->path, line, key, sentence);
}

/* Copies a string of the file; one that does not fit is the file's fault. */
static int copy_text(const struct recipe *recipe, const char *key, const char *value, char *out,
                     size_t size, struct pogo_error *err)
{
	if (!*value)
		return refuse(recipe, key, POGO_INPUT, err, "must not be empty");
	if (strlen(value) >= size)
		return refuse(recipe, key, POGO_INPUT, err, "longer than %zu characters", size - 1);
	memcpy(out, value, strlen(value) + 1);
	return 0;
}

static bool is_avr(const struct recipe *recipe)
{
	return strcmp(recipe->part->family, "avr") == 0;
}

/* ---- keys */

static int load_fuses(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	static const char *const three[] = {"low", "high", "ext", NULL}, *const two[] = {"low",
	                                                                                 "high",
	                                                                                 NULL};
	const struct part *part = recipe->part;
	const struct conf_node *group;
	int64_t ext = -1;

	memset(recipe->fuses, 0xFF, PART_FUSES);
	if (conf_group(root, "fuses", true, &group, err) || conf_only(group, three, err) ||
	    conf_int(group, "ext", false, 0, 0xFF, &ext, err))
		return -1;
	if (part->fuse_count < 3 && ext >= 0)
		return conf_fail(group, err,
		                 "fuses.ext: the %s has no extended fuse byte; leave the key out",
		                 part->title);
	for (unsigned i = 0; i < PART_FUSES && i < part->fuse_count; i++) {
		int64_t value;

		if (conf_int(group, i < 2 ? two[i] : three[i], true, 0, 0xFF, &value, err))
			return -1;
		recipe->fuses[i] = (uint8_t)value;
	}
	return 0;
}

static int load_serial_place(struct recipe *recipe, const struct conf_node *group,
                             struct pogo_error *err)
{
	struct serial_rule *rule = &recipe->serial;
	const struct part *part = recipe->part;
	const char *memory = NULL;
	int64_t address;
	uint32_t size, base;
	bool eeprom;

	if (conf_str(group, "memory", true, &memory, err))
		return -1;
	eeprom = strcmp(memory, "eeprom") == 0 && part->eeprom_bytes > 0;
	if (!eeprom && strcmp(memory, "flash") != 0)
		return conf_fail(group, err,
		                 "serial.memory: \"%s\" is %s", memory,
		                 part->eeprom_bytes > 0 ? "neither \"eeprom\" nor \"flash\""
		                                        : "not \"flash\", all that this part has");
	size = eeprom ? part->eeprom_bytes : part->flash_bytes;
	base = eeprom ? 0 : part->flash_start;
	if (conf_int(group, "address", true, base, (int64_t)base + size - 1, &address, err))
		return -1;
	if (rule->length > size - ((uint32_t)address - base))
		return conf_fail(group, err,
		                 "serial.address: %u characters at 0x%" PRIX32
		                 " run past the end of the %" PRIu32 " bytes of %s",
		                 rule->length, (uint32_t)address, size, memory);
	rule->address = (uint32_t)address + (eeprom ? AVR_EEPROM_BASE : 0);
	return 0;
}

static uint64_t highest_number(unsigned width)
{
	uint64_t limit = 1;

	while (width--)
		limit *= 10;
	return limit - 1;
}

static int load_serial(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	static const char *const keys[] = {"prefix", "width", "first", "memory", "address", NULL};
	struct serial_rule *rule = &recipe->serial;
	const struct conf_node *group;
	const char *prefix = "";
	int64_t width, first;

	if (conf_group(root, "serial", false, &group, err))
		return -1;
	if (!group)
		return 0;
	if (conf_only(group, keys, err) || conf_str(group, "prefix", false, &prefix, err) ||
	    conf_int(group, "width", true, 1, 18, &width, err) ||
	    conf_int(group, "first", true, 0, (int64_t)highest_number((unsigned)width), &first,
	             err))
		return -1;
	if (strlen(prefix) >= sizeof(rule->prefix))
		return conf_fail(group, err, "serial.prefix: longer than %zu characters",
		                 sizeof(rule->prefix) - 1);
	for (const char *c = prefix; *c; c++)
		if (*c < 0x20 || *c > 0x7E)
			return conf_fail(group, err,
			                 "serial.prefix: character %zu is not printable ASCII",
			                 (size_t)(c - prefix) + 1);
	memcpy(rule->prefix, prefix, strlen(prefix) + 1);
	rule->wanted = true;
	rule->width = (unsigned)width;
	rule->first = (uint64_t)first;
	rule->length = (unsigned)strlen(prefix) + rule->width;
	return load_serial_place(recipe, group, err);
}

static int load_lock(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	int64_t lock = -1;

	if (conf_int(root, "lock", false, 0, 0xFF, &lock, err))
		return -1;
	recipe->write_lock = lock >= 0;
	recipe->lock = recipe->write_lock ? (uint8_t)lock : 0xFF;
	/* LB modes are 11, 10 and 00 (ATmega16U4/32U4 data sheet 7766J, 28.1). */
	if ((recipe->lock & 3) == 1)
		return refuse(recipe, "lock", POGO_NO, err,
		              "0x%02X has LB = 01, a mode that does not exist; 11 is open, 10 ends "
		              "writing, 00 ends "
		              "reading too",
		              recipe->lock);
	if ((recipe->lock & 3) == 0)
		snprintf(recipe->note, sizeof(recipe->note),
		         "lock 0x%02X (LB = 00): nobody can read these boards back later; rework "
		         "needs a full erase",
		         recipe->lock);
	return 0;
}

/* The final fuses with CKDIV8 taken out, where the recipe wants that for the fast phase. */
static int load_fast_clock(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	const struct part_fuse_bit *ckdiv8 = part_bit(recipe->part, "CKDIV8");

	if (conf_bool(root, "fast_clock", false, &recipe->fast_clock, err))
		return -1;
	if (!recipe->fast_clock)
		return 0;
	memcpy(recipe->fast_fuses, recipe->fuses, PART_FUSES);
	if (!ckdiv8)
		return refuse(recipe, "fast_clock", POGO_INPUT, err,
		              "the %s has no CKDIV8, so there is nothing to gain; leave the key out",
		              recipe->part->title);
	recipe->fast_fuses[ckdiv8->fuse] |= (uint8_t)(1u << ckdiv8->lsb);
	return 0;
}

static int load_options(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	static const char *const keys[] = {"user", "data0", "data1", "wrp", NULL};
	struct option_bytes *options = &recipe->options;
	const struct conf_node *group, *wrp;
	int64_t user = 0xFF, data0 = 0xFF, data1 = 0xFF, value;

	*options = (struct option_bytes){.user = 0xFF, .data = {0xFF, 0xFF}, .wrp = {0xFF, 0xFF, 0xFF, 0xFF}};
	if (conf_group(root, "options", false, &group, err))
		return -1;
	if (!group)
		return 0;
	if (conf_only(group, keys, err) || conf_int(group, "user", false, 0, 0xFF, &user, err) ||
	    conf_int(group, "data0", false, 0, 0xFF, &data0, err) ||
	    conf_int(group, "data1", false, 0, 0xFF, &data1, err) || conf_list(group, "wrp", false, &wrp, err))
		return -1;
	if (wrp && conf_len(wrp) != sizeof(options->wrp))
		return conf_fail(wrp, err, "options.wrp: four bytes are needed, a 0 bit protects pages");
	for (size_t i = 0; wrp && i < sizeof(options->wrp); i++) {
		if (conf_int_at(wrp, i, 0, 0xFF, &value, err))
			return -1;
		options->wrp[i] = (uint8_t)value;
	}
	options->wanted = true;
	options->user = (uint8_t)user;
	options->data[0] = (uint8_t)data0;
	options->data[1] = (uint8_t)data1;
	return 0;
}

static int load_stm32_board(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	recipe->full_readback = true;
	if (conf_bool(root, "allow_unlock", false, &recipe->allow_unlock, err) ||
	    conf_bool(root, "full_readback", false, &recipe->full_readback, err) ||
	    conf_bool(root, "protect", false, &recipe->protect, err) || load_options(recipe, root, err))
		return -1;
	if (recipe->protect)
		snprintf(recipe->note, sizeof(recipe->note),
		         "protect: nobody can read these boards back later, and removing the protection erases them");
	return load_serial(recipe, root, err);
}

static int load_board(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	int64_t crystal;

	if (conf_int(root, "crystal_hz", true, 0, MAX_CRYSTAL_HZ, &crystal, err) ||
	    conf_bool(root, "external_clock", false, &recipe->external_clock, err))
		return -1;
	recipe->crystal_hz = (uint32_t)crystal;
	return load_fuses(recipe, root, err) || load_fast_clock(recipe, root, err) ||
	                       load_lock(recipe, root, err) || load_serial(recipe, root, err)
	               ? -1
	               : 0;
}

/* ---- the image */

/* Relative to the recipe's folder, wherever the station was started. */
static int image_place(struct recipe *recipe, const char *name, struct pogo_error *err)
{
	const char *slash = strrchr(recipe->path, '/');
	int folder = slash && name[0] != '/' ? (int)(slash - recipe->path) + 1 : 0;
	int len = snprintf(recipe->image_path, sizeof(recipe->image_path), "%.*s%s", folder,
	                   recipe->path, name);

	if (!*name)
		return refuse(recipe, "image", POGO_INPUT, err, "must not be empty");
	if (len < 0 || (size_t)len >= sizeof(recipe->image_path))
		return refuse(recipe, "image", POGO_INPUT, err, "path longer than %zu characters",
		              sizeof(recipe->image_path) - 1);
	return 0;
}

static int prove_digest(const struct recipe *recipe, const char *wanted, struct pogo_error *err)
{
	if (strlen(wanted) != 64 || strspn(wanted, "0123456789abcdefABCDEF") != 64)
		return refuse(recipe, "image_sha256", POGO_INPUT, err,
		              "must be 64 hex digits, as the release manifest has");
	if (strcasecmp(wanted, recipe->image_digest) != 0)
		return refuse(recipe, "image_sha256", POGO_NO, err,
		              "the recipe was made for image %.*s…, but %s is %.*s…; take the "
		              "released file, or make a "
		              "new release and recipe with `pogo-hex release`",
		              SHORT_DIGEST, wanted, recipe->image_path, SHORT_DIGEST,
		              recipe->image_digest);
	return 0;
}

static int load_image(struct recipe *recipe, const struct conf_node *root, struct pogo_error *err)
{
	const char *name = NULL, *digest = NULL;

	if (conf_str(root, "image", true, &name, err) ||
	    conf_str(root, "image_sha256", true, &digest, err) || image_place(recipe, name, err))
		return -1;
	if (ihex_read_file(recipe->image_path, &recipe->image, err)) {
		struct pogo_error cause = *err;

		return refuse(recipe, "image", cause.kind, err, "%s", cause.text);
	}
	if (ihex_digest(&recipe->image, recipe->image_digest, err) ||
	    prove_digest(recipe, digest, err))
		return -1;
	hex_image_crc32(&recipe->image, &recipe->image_crc32); /* as the release manifest has it */
	return 0;
}

/* ---- proofs */

static int prove_inside(const struct recipe *recipe, struct pogo_error *err)
{
	struct pogo_error cause;

	if (!recipe->image.count)
		return refuse(recipe, "image", POGO_NO, err, "%s holds no data",
		              recipe->image_path);
	if (fit_check(recipe->part, &recipe->image, recipe->image_path, &cause))
		return refuse(recipe, "image", POGO_NO, err,
		              "%s; look with `pogo-hex info`, cut with `pogo-hex crop`", cause.text);
	return 0;
}

static bool has_byte(const struct recipe *recipe, uint32_t address)
{
	uint8_t byte;

	return hex_image_read(&recipe->image, address, &byte, 1, 0xFF) == 1;
}

/* Where will the board start, and is there anything? */
static int prove_start(const struct recipe *recipe, struct pogo_error *err)
{
	uint32_t start = 0, bytes = 0;

	if (!fuses_boot_reset(recipe->part, recipe->fuses)) {
		if (has_byte(recipe, 0))
			return 0;
		return refuse(recipe, "fuses", POGO_NO, err,
		              "BOOTRST is unprogrammed, so the board starts at 0, where the image "
		              "has no data: program "
		              "BOOTRST to start a bootloader, or add the application");
	}
	if (!fuses_boot_section(recipe->part, recipe->fuses, &start, &bytes))
		return refuse(recipe, "fuses", POGO_NO, err,
		              "BOOTRST is programmed, but the %s has no boot section",
		              recipe->part->title);
	if (has_byte(recipe, start))
		return 0;
	return refuse(recipe, "fuses", POGO_NO, err,
	              "BOOTRST and BOOTSZ start the board at 0x%05" PRIX32 " (%" PRIu32
	              " bytes), where the image has no data: does BOOTSZ fit the bootloader?",
	              start, bytes);
}

/* A Cortex-M starts by the first two words: stack pointer and reset vector (ARMv7-M, B1.5.5). */
static int prove_stm32_start(const struct recipe *recipe, struct pogo_error *err)
{
	const struct part *part = recipe->part;
	uint8_t b[8];

	if (hex_image_read(&recipe->image, part->flash_start, b, 8, 0xFF) != 8)
		return refuse(recipe, "image", POGO_NO, err,
		              "no vector table at 0x%08" PRIX32 ", where the %s starts: merge the bootloader in, or "
		              "move the application there",
		              part->flash_start, part->title);
	uint32_t sp = (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
	uint32_t reset = (uint32_t)b[7] << 24 | (uint32_t)b[6] << 16 | (uint32_t)b[5] << 8 | b[4];
	if (sp % 4 != 0 || sp <= part->sram_start || sp - part->sram_start > part->sram_bytes)
		return refuse(recipe, "image", POGO_NO, err,
		              "the stack would start at 0x%08" PRIX32 ", outside the SRAM (0x%08" PRIX32 " to 0x%08" PRIX32
		              "): an image for another part?",
		              sp, part->sram_start, part->sram_start + part->sram_bytes);
	if (reset % 2 == 0 || !has_byte(recipe, reset & ~1u))
		return refuse(recipe, "image", POGO_NO, err,
		              "the reset vector is 0x%08" PRIX32 ", %s", reset,
		              reset % 2 == 0 ? "which is not Thumb code (bit 0 is clear)"
		                             : "where the image has no data");
	return 0;
}

static int prove_serial(const struct recipe *recipe, struct pogo_error *err)
{
	const struct serial_rule *rule = &recipe->serial;
	uint8_t there[64];

	if (!rule->wanted)
		return 0;
	hex_image_read(&recipe->image, rule->address, there, rule->length, 0xFF);
	for (uint32_t i = 0; i < rule->length; i++)
		if (there[i] != 0xFF)
			return refuse(
			        recipe, "serial", POGO_NO, err,
			        "the image has data (0x%02X at 0x%06" PRIX32
			        ") where the serial number would stand; choose another address",
			        there[i], rule->address + i);
	return 0;
}

static int prove(const struct recipe *recipe, struct pogo_error *err)
{
	struct pogo_error cause;

	if (!is_avr(recipe))
		return prove_inside(recipe, err) || prove_stm32_start(recipe, err) || prove_serial(recipe, err) ? -1
		                                                                                                : 0;
	if (fuses_check_safe(recipe->part, recipe->fuses, recipe->crystal_hz,
	                     recipe->external_clock, &cause))
		return refuse(recipe, "fuses", cause.kind, err, "%s", cause.text);
	return prove_inside(recipe, err) || prove_start(recipe, err) || prove_serial(recipe, err)
	               ? -1
	               : 0;
}

/* ---- the whole */

static int load_keys(struct recipe *recipe, const char *configs, const struct conf_node *root,
                     struct pogo_error *err)
{
	static const char *const avr_keys[] = {
	        "product",        "part",       "image", "image_sha256", "crystal_hz",
	        "external_clock", "fast_clock", "fuses", "lock",         "serial", NULL};
	static const char *const stm32_keys[] = {
	        "product", "part",  "image", "image_sha256", "allow_unlock", "full_readback", "protect",
	        "options", "serial", NULL};
	/* Misspelt ones are told before those that are missing for them. */
	static const char *const any_keys[] = {
	        "product", "part", "image", "image_sha256", "crystal_hz", "external_clock", "fast_clock",
	        "fuses",   "lock", "serial", "allow_unlock", "full_readback", "protect", "options", NULL};
	const char *product = NULL, *part = NULL;

	if (conf_only(root, any_keys, err) || conf_str(root, "product", true, &product, err) ||
	    copy_text(recipe, "product", product, recipe->product, sizeof(recipe->product), err) ||
	    conf_str(root, "part", true, &part, err))
		return -1;
	if (part_load(configs, part, &recipe->part, err)) {
		struct pogo_error cause = *err;

		return refuse(recipe, "part", cause.kind, err, "%s", cause.text);
	}
	if (conf_only(root, is_avr(recipe) ? avr_keys : stm32_keys, err))
		return -1;
	/* Small mistakes in this file before the image is looked at: they are found sooner. */
	return (is_avr(recipe) ? load_board : load_stm32_board)(recipe, root, err) || load_image(recipe, root, err) || prove(recipe, err)
	               ? -1
	               : 0;
}

static int load_file(struct recipe *recipe, const char *configs, struct pogo_error *err)
{
	struct conf *conf = NULL;
	size_t len;
	int rc;

	if (infile_read(recipe->path, &recipe->text, &len, err))
		return -1;
	sha256_hex(recipe->text, len, recipe->digest);
	if (conf_open(recipe->path, &conf, err))
		return -1;
	rc = load_keys(recipe, configs, conf_root(conf), err);
	conf_close(conf);
	return rc;
}

int recipe_load(const char *configs, const char *path, struct recipe **out, struct pogo_error *err)
{
	struct recipe *recipe;
	struct pogo_error own;
	char folder[PATH_MAX];

	/* Some sentences are built from the one below: there must be a place for it. */
	if (!err)
		err = &own;
	if (conf_dir(configs, folder, sizeof(folder), err))
		return -1;
	if (strlen(path) >= sizeof(recipe->path))
		return pogo_fail(err, POGO_INPUT,
		                 "%.80s…: the recipe's path is longer than %zu characters", path,
		                 sizeof(recipe->path) - 1);
	recipe = calloc(1, sizeof(*recipe));
	if (!recipe)
		return pogo_fail(err, POGO_SYSTEM, "%s: out of memory", path);
	hex_image_init(&recipe->image);
	memcpy(recipe->path, path, strlen(path) + 1);
	if (load_file(recipe, folder, err)) {
		recipe_free(recipe);
		return -1;
	}
	*out = recipe;
	return 0;
}

const uint8_t *recipe_fast_fuses(const struct recipe *recipe)
{
	return recipe->fast_clock ? recipe->fast_fuses : recipe->fuses;
}

void recipe_free(struct recipe *recipe)
{
	if (!recipe)
		return;
	hex_image_finish(&recipe->image);
	free(recipe->part);
	free(recipe->text);
	free(recipe);
}

int recipe_unit_image(const struct recipe *recipe, const char *serial, struct hex_image *image,
                      struct pogo_error *err)
{
	const struct serial_rule *rule = &recipe->serial;

	if (rule->wanted != (serial != NULL))
		return pogo_fail(err, POGO_INPUT, "%s: the recipe %s, but the board %s",
		                 recipe->path,
		                 rule->wanted ? "wants a serial number" : "has no serial number",
		                 serial ? "got one" : "got none");
	if (serial && strlen(serial) != rule->length)
		return pogo_fail(err, POGO_INPUT, "%s: serial \"%.48s\" must have %u characters",
		                 recipe->path, serial, rule->length);
	if (hex_image_copy(image, &recipe->image, err))
		return -1;
	return serial ? hex_image_add(image, rule->address, serial, rule->length, HEX_OVERLAP_LAST,
	                              NULL, err)
	              : 0;
}
