#include "hextools/part.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/conf.h"
#include "hextools/image.h"

enum { MAX_FLASH = 1 << 20, MAX_EEPROM = 1 << 16, MAX_WAIT_US = 1000000 };

const struct part_fuse_bit *part_bit(const struct part *part, const char *name)
{
	for (size_t i = 0; i < part->bit_count; i++)
		if (strcmp(part->bits[i].name, name) == 0)
			return &part->bits[i];
	return NULL;
}

bool part_is_avr(const struct part *part)
{
	return strcmp(part->family, "avr") == 0;
}

bool part_has_pin(const struct part *part, char port, unsigned bit)
{
	static const uint8_t not_said[PART_PORTS];
	if (memcmp(part->ports, not_said, sizeof not_said) == 0)
		return true;
	return port >= 'A' && port < 'A' + PART_PORTS && (part->ports[port - 'A'] >> bit & 1) != 0;
}

bool part_in_eeprom(const struct part *part, uint32_t address)
{
	return part->eeprom_bytes > 0 && address >= AVR_EEPROM_BASE;
}

unsigned part_field(const struct part_fuse_bit *bit, const uint8_t fuses[PART_FUSES])
{
	return (unsigned)fuses[bit->fuse] >> bit->lsb & ((1u << bit->width) - 1);
}

/* A string that has to fit a field of the part. */
static int load_name(const struct conf_node *group, const char *key, char *out, size_t size,
		     struct pogo_error *err)
{
	const char *text = NULL;
	if (conf_str(group, key, true, &text, err) != 0)
		return -1;
	if (*text == '\0' || strlen(text) >= size)
		return conf_fail(group, err, "\"%s\" must have 1 to %zu characters", key, size - 1);
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

static int load_u32(const struct conf_node *group, const char *key, int64_t low, int64_t high,
		    uint32_t *out, struct pogo_error *err)
{
	int64_t value = 0;
	if (conf_int(group, key, true, low, high, &value, err) != 0)
		return -1;
	*out = (uint32_t)value;
	return 0;
}

/* An array of exactly `count` bytes. */
static int load_bytes(const struct conf_node *group, const char *key, bool required, size_t count,
		      uint8_t *out, struct pogo_error *err)
{
	const struct conf_node *list;
	if (conf_list(group, key, required, &list, err) != 0)
		return -1;
	if (list == NULL)
		return 0;
	if (conf_len(list) != count)
		return conf_fail(list, err, "\"%s\" has %zu bytes, %zu are needed", key, conf_len(list),
				 count);
	for (size_t i = 0; i < count; i++) {
		int64_t value;
		if (conf_int_at(list, i, 0, 0xFF, &value, err) != 0)
			return -1;
		out[i] = (uint8_t)value;
	}
	return 0;
}

static int load_memories(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const flash_keys[] = {"bytes", "page", NULL};
	static const char *const eeprom_keys[] = {"bytes", "page", "page_isp", NULL};
	static const char *const sram_keys[] = {"start", "bytes", NULL};
	const struct conf_node *flash, *eeprom, *sram;
	uint32_t flash_page, eeprom_page;
	if (conf_group(root, "flash", true, &flash, err) != 0 ||
	    conf_only(flash, flash_keys, err) != 0 ||
	    load_u32(flash, "bytes", 1024, MAX_FLASH, &part->flash_bytes, err) != 0 ||
	    load_u32(flash, "page", 2, 1024, &flash_page, err) != 0 ||
	    conf_group(root, "eeprom", true, &eeprom, err) != 0 ||
	    conf_only(eeprom, eeprom_keys, err) != 0 ||
	    load_u32(eeprom, "bytes", 0, MAX_EEPROM, &part->eeprom_bytes, err) != 0 ||
	    load_u32(eeprom, "page", 1, 256, &eeprom_page, err) != 0 ||
	    conf_bool(eeprom, "page_isp", true, &part->eeprom_page_isp, err) != 0 ||
	    conf_group(root, "sram", true, &sram, err) != 0 || conf_only(sram, sram_keys, err) != 0 ||
	    load_u32(sram, "start", 0, 0x10000, &part->sram_start, err) != 0 ||
	    load_u32(sram, "bytes", 1, 0x10000, &part->sram_bytes, err) != 0)
		return -1;
	/* The page buffer is addressed by counting up: pages are powers of two in every part. */
	if ((flash_page & (flash_page - 1)) != 0 || part->flash_bytes % flash_page != 0)
		return conf_fail(flash, err, "pages of %u bytes do not divide a flash of %u bytes",
				 flash_page, part->flash_bytes);
	if ((eeprom_page & (eeprom_page - 1)) != 0 || part->eeprom_bytes % eeprom_page != 0)
		return conf_fail(eeprom, err, "pages of %u bytes do not divide an EEPROM of %u bytes",
				 eeprom_page, part->eeprom_bytes);
	part->flash_page = (uint16_t)flash_page;
	part->eeprom_page = (uint16_t)eeprom_page;
	return 0;
}

static int load_vectors(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"count", "bytes", NULL};
	const struct conf_node *vectors;
	uint32_t count = 0, bytes = 0;
	if (conf_group(root, "vectors", false, &vectors, err) != 0)
		return -1;
	if (vectors == NULL)
		return 0;
	if (conf_only(vectors, keys, err) != 0 || load_u32(vectors, "count", 1, 255, &count, err) != 0 ||
	    load_u32(vectors, "bytes", 2, 4, &bytes, err) != 0)
		return -1;
	if (bytes == 3)
		return conf_fail(vectors, err, "a vector has 2 or 4 bytes, not 3");
	part->vector_count = (uint8_t)count;
	part->vector_bytes = (uint8_t)bytes;
	return 0;
}

static int load_ports(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[PART_PORTS + 1] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"};
	const struct conf_node *ports;
	if (conf_group(root, "ports", false, &ports, err) != 0)
		return -1;
	if (ports == NULL)
		return 0;
	if (conf_only(ports, keys, err) != 0)
		return -1;
	for (size_t i = 0; i < PART_PORTS; i++) {
		int64_t bits = 0;
		if (conf_int(ports, keys[i], false, 1, 0xFF, &bits, err) != 0)
			return -1;
		part->ports[i] = (uint8_t)bits;
	}
	return 0;
}

static int load_startup(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"short_us", "long_us", "extra_ck", NULL};
	const struct conf_node *startup;
	uint32_t cycles = 0;
	if (conf_group(root, "startup", false, &startup, err) != 0)
		return -1;
	if (startup == NULL)
		return 0;
	if (conf_only(startup, keys, err) != 0 ||
	    load_u32(startup, "short_us", 1, MAX_WAIT_US, &part->startup_short_us, err) != 0 ||
	    load_u32(startup, "long_us", 1, MAX_WAIT_US, &part->startup_long_us, err) != 0 ||
	    load_u32(startup, "extra_ck", 0, 255, &cycles, err) != 0)
		return -1;
	part->startup_ck = (uint8_t)cycles;
	return 0;
}

/* One level for each code of the BODLEVEL field. */
static int load_bod(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	const struct conf_node *list;
	const struct part_fuse_bit *level = part_bit(part, "BODLEVEL");
	if (conf_list(root, "bod_mv", false, &list, err) != 0)
		return -1;
	if (list == NULL)
		return 0;
	size_t codes = level != NULL ? (size_t)1 << level->width : 0;
	if (conf_len(list) != codes || codes > PART_BODS)
		return conf_fail(list, err, "\"bod_mv\" has %zu levels, BODLEVEL has %zu codes",
				 conf_len(list), codes);
	for (size_t i = 0; i < codes; i++) {
		int64_t value;
		if (conf_int_at(list, i, -1, 10000, &value, err) != 0)
			return -1;
		part->bod_mv[i] = (int16_t)value;
	}
	part->bod_count = codes;
	return 0;
}

static int load_waits(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"flash_us", "eeprom_us", "erase_us", "fuse_us", NULL};
	const struct conf_node *waits;
	if (conf_group(root, "waits", true, &waits, err) != 0 || conf_only(waits, keys, err) != 0 ||
	    load_u32(waits, "flash_us", 1, MAX_WAIT_US, &part->twd_flash_us, err) != 0 ||
	    load_u32(waits, "eeprom_us", 1, MAX_WAIT_US, &part->twd_eeprom_us, err) != 0 ||
	    load_u32(waits, "erase_us", 1, MAX_WAIT_US, &part->twd_erase_us, err) != 0 ||
	    load_u32(waits, "fuse_us", 1, MAX_WAIT_US, &part->twd_fuse_us, err) != 0)
		return -1;
	return 0;
}

static int load_lock(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"mask", "factory", "factory_confirmed", NULL};
	const struct conf_node *lock;
	uint32_t mask, factory;
	part->lock_factory_confirmed = true;
	if (conf_group(root, "lock", true, &lock, err) != 0 || conf_only(lock, keys, err) != 0 ||
	    load_u32(lock, "mask", 1, 0xFF, &mask, err) != 0 ||
	    load_u32(lock, "factory", 0, 0xFF, &factory, err) != 0 ||
	    conf_bool(lock, "factory_confirmed", false, &part->lock_factory_confirmed, err) != 0)
		return -1;
	part->lock_mask = (uint8_t)mask;
	part->lock_factory = (uint8_t)factory;
	return 0;
}

static int check_fuse_masks(const struct conf_node *fuses, const struct part *part,
			    struct pogo_error *err)
{
	for (unsigned i = 0; i < part->fuse_count; i++) {
		uint8_t one = part->isp_must_be_1[i], zero = part->isp_must_be_0[i];
		if ((one & zero) != 0)
			return conf_fail(fuses, err, "byte %u: bits 0x%02X must be 1 and must be 0", i,
					 one & zero);
		if (((one | zero) & (uint8_t)~part->fuse_mask[i]) != 0)
			return conf_fail(fuses, err, "byte %u: ISP needs bits that are not in the mask", i);
		if ((one & (uint8_t)~part->fuse_factory[i]) != 0 || (zero & part->fuse_factory[i]) != 0)
			return conf_fail(fuses, err, "byte %u: the factory value would end ISP", i);
	}
	return 0;
}

static int load_fuses(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"count",	"mask", "factory", "must_be_1",
					   "must_be_0", NULL};
	const struct conf_node *fuses;
	int64_t count = 0;
	memset(part->fuse_factory, 0xFF, sizeof part->fuse_factory);
	if (conf_group(root, "fuses", true, &fuses, err) != 0 || conf_only(fuses, keys, err) != 0 ||
	    conf_int(fuses, "count", true, 2, PART_FUSES, &count, err) != 0)
		return -1;
	part->fuse_count = (uint8_t)count;
	size_t n = (size_t)count;
	if (load_bytes(fuses, "mask", true, n, part->fuse_mask, err) != 0 ||
	    load_bytes(fuses, "factory", true, n, part->fuse_factory, err) != 0 ||
	    load_bytes(fuses, "must_be_1", true, n, part->isp_must_be_1, err) != 0 ||
	    load_bytes(fuses, "must_be_0", true, n, part->isp_must_be_0, err) != 0)
		return -1;
	return check_fuse_masks(fuses, part, err);
}

static int load_boot(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"bytes", "start", NULL};
	const struct conf_node *list;
	if (conf_list(root, "boot", false, &list, err) != 0)
		return -1;
	if (list == NULL)
		return 0;
	if (conf_len(list) != 4)
		return conf_fail(list, err, "\"boot\" needs one entry for each BOOTSZ code 0 to 3");
	for (size_t i = 0; i < 4; i++) {
		const struct conf_node *entry = conf_at(list, i);
		if (conf_only(entry, keys, err) != 0 ||
		    load_u32(entry, "bytes", part->flash_page, part->flash_bytes, &part->boot_bytes[i],
			     err) != 0 ||
		    load_u32(entry, "start", 0, part->flash_bytes, &part->boot_start[i], err) != 0)
			return -1;
		if (part->boot_bytes[i] % part->flash_page != 0 ||
		    part->boot_start[i] + part->boot_bytes[i] != part->flash_bytes)
			return conf_fail(entry, err,
					 "a boot section of %u bytes at 0x%05X does not end with the flash "
					 "(0x%05X) in whole pages",
					 part->boot_bytes[i], part->boot_start[i], part->flash_bytes);
	}
	return 0;
}

static int load_fuse_byte(const struct conf_node *group, enum part_fuse *out, struct pogo_error *err)
{
	static const char *const names[PART_FUSES] = {"low", "high", "ext"};
	const char *text = NULL;
	if (conf_str(group, "fuse", true, &text, err) != 0)
		return -1;
	for (unsigned i = 0; i < PART_FUSES; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum part_fuse)i;
			return 0;
		}
	}
	return conf_fail(group, err, "\"fuse\" is \"%s\", allowed are low, high, ext", text);
}

static int load_bit(const struct conf_node *group, struct part *part, uint8_t taken[PART_FUSES],
		    struct pogo_error *err)
{
	static const char *const keys[] = {"name", "fuse", "lsb", "width", NULL};
	struct part_fuse_bit bit = {.width = 1};
	int64_t lsb = 0, width = 1;
	if (conf_only(group, keys, err) != 0 ||
	    load_name(group, "name", bit.name, sizeof bit.name, err) != 0 ||
	    load_fuse_byte(group, &bit.fuse, err) != 0 ||
	    conf_int(group, "lsb", true, 0, 7, &lsb, err) != 0 ||
	    conf_int(group, "width", false, 1, 8 - lsb, &width, err) != 0)
		return -1;
	bit.lsb = (uint8_t)lsb;
	bit.width = (uint8_t)width;
	uint8_t mask = (uint8_t)(((1u << width) - 1) << lsb);
	if ((unsigned)bit.fuse >= part->fuse_count)
		return conf_fail(group, err, "%s: the part has no such fuse byte", bit.name);
	if ((mask & (uint8_t)~part->fuse_mask[bit.fuse]) != 0)
		return conf_fail(group, err, "%s lies outside the fuse mask", bit.name);
	if ((mask & taken[bit.fuse]) != 0)
		return conf_fail(group, err, "%s overlaps another field", bit.name);
	if (part_bit(part, bit.name) != NULL)
		return conf_fail(group, err, "%s is there twice", bit.name);
	taken[bit.fuse] |= mask;
	part->bits[part->bit_count++] = bit;
	return 0;
}

static int load_bits(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	const struct conf_node *list;
	uint8_t taken[PART_FUSES] = {0};
	if (conf_list(root, "bits", true, &list, err) != 0)
		return -1;
	if (conf_len(list) > PART_FUSE_BITS)
		return conf_fail(list, err, "more than %d fuse fields", PART_FUSE_BITS);
	for (size_t i = 0; i < conf_len(list); i++)
		if (load_bit(conf_at(list, i), part, taken, err) != 0)
			return -1;
	for (unsigned i = 0; i < part->fuse_count; i++)
		if (taken[i] != part->fuse_mask[i])
			return conf_fail(list, err, "fuse byte %u: bits 0x%02X have no name", i,
					 part->fuse_mask[i] & (uint8_t)~taken[i]);
	bool has_sections = part->boot_bytes[0] != 0;
	const struct part_fuse_bit *bootsz = part_bit(part, "BOOTSZ");
	if (has_sections != (bootsz != NULL) || has_sections != (part_bit(part, "BOOTRST") != NULL) ||
	    (bootsz != NULL && bootsz->width != 2))
		return conf_fail(list, err, "\"boot\" goes with fields BOOTSZ (width 2) and BOOTRST");
	if (part_bit(part, "CKSEL") == NULL)
		return conf_fail(list, err, "field CKSEL is missing");
	return 0;
}

static int load_source(const struct conf_node *group, enum clock_source *out, struct pogo_error *err)
{
	static const char *const names[] = {"external", "rc", "crystal", "low_crystal", "pll"};
	const char *text = NULL;
	if (conf_str(group, "source", true, &text, err) != 0)
		return -1;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum clock_source)i;
			return 0;
		}
	}
	return conf_fail(group, err,
			 "\"source\" is \"%s\", allowed are external, rc, crystal, low_crystal, pll", text);
}

/* The crystals that a code is made for. */
static int load_range(const struct conf_node *group, struct part_clock *clock, struct pogo_error *err)
{
	const struct conf_node *list;
	int64_t low, high;
	if (conf_list(group, "range", false, &list, err) != 0)
		return -1;
	if (list == NULL)
		return 0;
	if (clock->source != CLOCK_CRYSTAL || conf_len(list) != 2)
		return conf_fail(list, err, "\"range\" is the lowest and highest Hz of a crystal");
	if (conf_int_at(list, 0, 1, 100000000, &low, err) != 0 ||
	    conf_int_at(list, 1, low, 100000000, &high, err) != 0)
		return -1;
	clock->min_hz = (uint32_t)low;
	clock->max_hz = (uint32_t)high;
	return 0;
}

static int load_clock_title(const struct conf_node *group, struct part_clock *clock,
			    struct pogo_error *err)
{
	const char *title = NULL;
	if (conf_str(group, "title", false, &title, err) != 0)
		return -1;
	return title == NULL ? 0
			     : load_name(group, "title", clock->title, sizeof clock->title, err);
}

static int load_clock(const struct conf_node *group, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"cksel", "source", "hz", "range", "title", NULL};
	const struct part_fuse_bit *cksel = part_bit(part, "CKSEL");
	struct part_clock clock = {.hz = 0};
	uint8_t range[2] = {0, 0};
	int64_t hz = 0;
	if (conf_only(group, keys, err) != 0 || load_bytes(group, "cksel", true, 2, range, err) != 0 ||
	    load_source(group, &clock.source, err) != 0 ||
	    conf_int(group, "hz", false, 1, 100000000, &hz, err) != 0 ||
	    load_range(group, &clock, err) != 0 || load_clock_title(group, &clock, err) != 0)
		return -1;
	clock.cksel_low = range[0];
	clock.cksel_high = range[1];
	clock.hz = (uint32_t)hz;
	if (range[0] > range[1] || range[1] >= 1u << cksel->width)
		return conf_fail(group, err, "CKSEL %u to %u is no range of a %u bit field", range[0],
				 range[1], cksel->width);
	if ((clock.source == CLOCK_RC || clock.source == CLOCK_PLL) && hz == 0)
		return conf_fail(group, err, "a clock on the chip needs its \"hz\"");
	for (size_t i = 0; i < part->clock_count; i++)
		if (range[0] <= part->clocks[i].cksel_high && range[1] >= part->clocks[i].cksel_low)
			return conf_fail(group, err, "CKSEL %u to %u overlaps another clock", range[0],
					 range[1]);
	part->clocks[part->clock_count++] = clock;
	return 0;
}

static int load_clocks(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	const struct conf_node *list;
	if (conf_list(root, "clocks", true, &list, err) != 0)
		return -1;
	if (conf_len(list) == 0 || conf_len(list) > PART_CLOCKS)
		return conf_fail(list, err, "\"clocks\" must have 1 to %d entries", PART_CLOCKS);
	for (size_t i = 0; i < conf_len(list); i++)
		if (load_clock(conf_at(list, i), part, err) != 0)
			return -1;
	return 0;
}

/* ---- family "stm32f1" */

static int load_stm32_memories(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const flash_keys[] = {"start", "bytes", "page", NULL};
	static const char *const sram_keys[] = {"start", "bytes", NULL};
	const struct conf_node *flash, *sram;
	uint32_t page;
	if (conf_group(root, "flash", true, &flash, err) != 0 || conf_only(flash, flash_keys, err) != 0 ||
	    load_u32(flash, "start", 0, UINT32_MAX, &part->flash_start, err) != 0 ||
	    load_u32(flash, "bytes", 1024, MAX_FLASH, &part->flash_bytes, err) != 0 ||
	    load_u32(flash, "page", 256, 4096, &page, err) != 0 ||
	    conf_group(root, "sram", true, &sram, err) != 0 || conf_only(sram, sram_keys, err) != 0 ||
	    load_u32(sram, "start", 0, UINT32_MAX, &part->sram_start, err) != 0 ||
	    load_u32(sram, "bytes", 1024, MAX_FLASH, &part->sram_bytes, err) != 0)
		return -1;
	if (part->flash_bytes % page != 0 || part->flash_start % page != 0)
		return conf_fail(flash, err, "pages of %u bytes do not divide a flash of %u bytes at 0x%08X",
				 page, part->flash_bytes, part->flash_start);
	part->flash_page = (uint16_t)page;
	return 0;
}

static int load_stm32_waits(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	static const char *const keys[] = {"half_word_us", "page_erase_us", "mass_erase_us", NULL};
	const struct conf_node *waits;
	if (conf_group(root, "waits", true, &waits, err) != 0 || conf_only(waits, keys, err) != 0 ||
	    load_u32(waits, "half_word_us", 1, MAX_WAIT_US, &part->twd_flash_us, err) != 0 ||
	    load_u32(waits, "page_erase_us", 1, MAX_WAIT_US, &part->twd_page_erase_us, err) != 0 ||
	    load_u32(waits, "mass_erase_us", 1, MAX_WAIT_US, &part->twd_erase_us, err) != 0)
		return -1;
	part->twd_fuse_us = part->twd_flash_us;
	return 0;
}

static int load_stm32(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	uint32_t device_id;
	if (load_u32(root, "device_id", 1, 0xFFF, &device_id, err) != 0 ||
	    load_stm32_memories(root, part, err) != 0 || load_stm32_waits(root, part, err) != 0 ||
	    load_vectors(root, part, err) != 0)
		return -1;
	part->device_id = (uint16_t)device_id;
	return 0;
}

/* ---- family "avr" */

static int load_avr(const struct conf_node *root, struct part *part, struct pogo_error *err)
{
	if (load_bytes(root, "signature", true, sizeof part->signature, part->signature, err) != 0 ||
	    conf_bool(root, "rdy_bsy_poll", true, &part->rdy_bsy_poll, err) != 0)
		return -1;
	if (load_memories(root, part, err) != 0 || load_waits(root, part, err) != 0 ||
	    load_lock(root, part, err) != 0 || load_fuses(root, part, err) != 0 ||
	    load_boot(root, part, err) != 0 || load_bits(root, part, err) != 0 ||
	    load_clocks(root, part, err) != 0 || load_vectors(root, part, err) != 0 ||
	    load_ports(root, part, err) != 0 || load_bod(root, part, err) != 0 || load_startup(root, part, err) != 0)
		return -1;
	return 0;
}

static int load_root(const struct conf_node *root, const char *name, struct part *part,
		     struct pogo_error *err)
{
	static const char *const avr_keys[] = {
		"name",	 "title", "family", "confirmed", "signature", "flash",	     "eeprom",
		"sram",	 "fuses", "lock",   "waits",	 "boot",      "bits",	     "clocks",
		"rdy_bsy_poll", "vectors", "ports", "bod_mv", "startup", NULL};
	static const char *const stm32_keys[] = {"name",  "title", "family", "confirmed", "device_id",
						 "flash", "sram",  "waits",  "vectors",	  NULL};
	const char *family = NULL;
	if (conf_str(root, "family", false, &family, err) != 0)
		return -1;
	bool stm32 = family != NULL && strcmp(family, "stm32f1") == 0;
	/* A misspelt key is a better hint than the one that is missing for it. */
	if (conf_only(root, stm32 ? stm32_keys : avr_keys, err) != 0 ||
	    load_name(root, "name", part->name, sizeof part->name, err) != 0 ||
	    load_name(root, "title", part->title, sizeof part->title, err) != 0 ||
	    load_name(root, "family", part->family, sizeof part->family, err) != 0 ||
	    conf_bool(root, "confirmed", true, &part->confirmed, err) != 0)
		return -1;
	if (strcmp(part->name, name) != 0)
		return conf_fail(root, err, "the file calls itself \"%s\"", part->name);
	if (!stm32 && !part_is_avr(part))
		return conf_fail(root, err, "family \"%s\" is neither \"avr\" nor \"stm32f1\"", part->family);
	return (stm32 ? load_stm32 : load_avr)(root, part, err);
}

static int is_cfg(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".cfg") == 0;
}

static int unknown_part(const char *folder, const char *name, struct pogo_error *err)
{
	struct dirent **entries = NULL;
	char list[600] = "";
	int count = scandir(folder, &entries, is_cfg, alphasort);
	for (int i = 0; i < count; i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%.*s", i > 0 ? ", " : "",
			 (int)strlen(entries[i]->d_name) - 4, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return pogo_fail(err, POGO_INPUT, "unknown part \"%.40s\"; known: %s", name,
			 count > 0 ? list : "none");
}

/* A part's name is a file's name: nothing that leads out of the folder. */
static bool plain_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return len > 0 && name[len] == '\0' && len < sizeof((struct part *)0)->name;
}

int part_load(const char *configs, const char *name, struct part **out, struct pogo_error *err)
{
	char folder[PATH_MAX], path[PATH_MAX + 40];
	snprintf(folder, sizeof folder, "%s/parts", configs);
	snprintf(path, sizeof path, "%s/%.30s.cfg", folder, name);
	FILE *probe = plain_name(name) ? fopen(path, "re") : NULL;
	if (probe == NULL)
		return unknown_part(folder, name, err);
	fclose(probe);
	struct conf *conf;
	if (conf_open(path, &conf, err) != 0)
		return -1;
	struct part *part = calloc(1, sizeof *part);
	int rc = part == NULL ? pogo_fail(err, POGO_SYSTEM, "out of memory")
			      : load_root(conf_root(conf), name, part, err);
	conf_close(conf);
	if (rc != 0) {
		free(part);
		return -1;
	}
	*out = part;
	return 0;
}

int part_load_avr(const char *configs, const char *name, const char *what, struct part **out, struct pogo_error *err)
{
	if (part_load(configs, name, out, err) != 0)
		return -1;
	if (part_is_avr(*out))
		return 0;
	pogo_fail(err, POGO_INPUT, "%s is for AVRs, and the %s is none", what, (*out)->title);
	free(*out);
	*out = NULL;
	return -1;
}

void part_free_all(struct part **parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(parts[i]);
	free(parts);
}

int part_load_all(const char *configs, struct part ***parts, size_t *count, struct pogo_error *err)
{
	char folder[PATH_MAX];
	struct dirent **entries = NULL;
	snprintf(folder, sizeof folder, "%s/parts", configs);
	int files = scandir(folder, &entries, is_cfg, alphasort), rc = 0;
	*count = 0;
	*parts = calloc(files > 0 ? (size_t)files : 1, sizeof(void *));
	if (files < 0)
		rc = pogo_fail(err, POGO_INPUT, "cannot read the folder \"%s\"", folder);
	else if (*parts == NULL)
		rc = pogo_fail(err, POGO_SYSTEM, "out of memory");
	for (int i = 0; i < files; i++) {
		char name[32];
		snprintf(name, sizeof name, "%.*s", (int)strlen(entries[i]->d_name) - 4, entries[i]->d_name);
		if (rc == 0)
			rc = part_load(configs, name, &(*parts)[*count], err);
		if (rc == 0)
			(*count)++;
		free(entries[i]);
	}
	free(entries);
	if (rc != 0) {
		part_free_all(*parts, *count);
		*parts = NULL;
		*count = 0;
	}
	return rc;
}
