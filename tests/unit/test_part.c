#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hextools/bootloader.h"
#include "hextools/outfile.h"
#include "hextools/part.h"
#include "tests/unit/scratch.h"

static struct part *load(const char *name)
{
	struct part *part;
	struct pogo_error err;
	if (part_load("configs", name, &part, &err) != 0)
		fail_msg("%s", err.text);
	return part;
}

/* What the data sheets say of each part, typed in once more: a slip in a .cfg shows here. */
static const struct facts {
	const char *title;
	uint8_t signature[3];
	uint32_t flash, page, eeprom, eeprom_page, sram_start, sram, fuses;
	uint8_t mask[3], factory[3], high_must_be_1, lock_mask, lock_factory;
	bool lock_confirmed, rdy_bsy, eeprom_page_isp;
	uint32_t waits[4], boot[4];
} facts[] = {
	{"ATmega8U2", {0x1E, 0x93, 0x89}, 8192, 128, 512, 4, 0x0100, 512, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0xD9, 0xF4}, 0xC0, 0x3F, 0xEC, true, true, true,
	 {4500, 9000, 9000, 9000}, {4096, 2048, 1024, 512}},
	{"ATmega16U2", {0x1E, 0x94, 0x89}, 16384, 128, 512, 4, 0x0100, 512, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0xD9, 0xF4}, 0xC0, 0x3F, 0xEC, true, true, true,
	 {4500, 9000, 9000, 9000}, {4096, 2048, 1024, 512}},
	{"ATmega32U2", {0x1E, 0x95, 0x8A}, 32768, 128, 1024, 4, 0x0100, 1024, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0xD9, 0xF4}, 0xC0, 0x3F, 0xEC, true, true, true,
	 {4500, 9000, 9000, 9000}, {4096, 2048, 1024, 512}},
	{"AT90USB82", {0x1E, 0x93, 0x82}, 8192, 128, 512, 4, 0x0100, 512, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0xD9, 0xF4}, 0xC0, 0x3F, 0xEC, false, true, true,
	 {4500, 9000, 9000, 9000}, {4096, 2048, 1024, 512}},
	{"AT90USB162", {0x1E, 0x94, 0x82}, 16384, 128, 512, 4, 0x0100, 512, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0xD9, 0xF4}, 0xC0, 0x3F, 0xEC, false, true, true,
	 {4500, 9000, 9000, 9000}, {4096, 2048, 1024, 512}},
	{"ATmega16U4", {0x1E, 0x94, 0x88}, 16384, 128, 512, 4, 0x0100, 1280, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0x99, 0xF3}, 0x00, 0x3F, 0xEC, true, true, true,
	 {4500, 9000, 9000, 9000}, {4096, 2048, 1024, 512}},
	{"ATmega32U4", {0x1E, 0x95, 0x87}, 32768, 128, 1024, 4, 0x0100, 2560, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0x99, 0xF3}, 0x00, 0x3F, 0xEC, true, true, true,
	 {4500, 9000, 9000, 9000}, {4096, 2048, 1024, 512}},
	{"AT90USB646", {0x1E, 0x96, 0x82}, 65536, 256, 2048, 8, 0x0100, 4096, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0x9B, 0xF3}, 0x00, 0x3F, 0xFF, false, true, true,
	 {4500, 9000, 9000, 9000}, {8192, 4096, 2048, 1024}},
	{"AT90USB647", {0x1E, 0x96, 0x82}, 65536, 256, 2048, 8, 0x0100, 4096, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0x9B, 0xF3}, 0x00, 0x3F, 0xFF, false, true, true,
	 {4500, 9000, 9000, 9000}, {8192, 4096, 2048, 1024}},
	{"AT90USB1286", {0x1E, 0x97, 0x82}, 131072, 256, 4096, 8, 0x0100, 8192, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0x99, 0xF3}, 0x00, 0x3F, 0xFF, false, true, true,
	 {4500, 9000, 9000, 9000}, {8192, 4096, 2048, 1024}},
	{"AT90USB1287", {0x1E, 0x97, 0x82}, 131072, 256, 4096, 8, 0x0100, 8192, 3,
	 {0xFF, 0xFF, 0x0F}, {0x5E, 0x99, 0xF3}, 0x00, 0x3F, 0xFF, false, true, true,
	 {4500, 9000, 9000, 9000}, {8192, 4096, 2048, 1024}},
	{"ATmega32A", {0x1E, 0x95, 0x02}, 32768, 128, 1024, 4, 0x0060, 2048, 2,
	 {0xFF, 0xFF, 0x00}, {0xE1, 0x99, 0xFF}, 0x00, 0x3F, 0xFF, true, false, false,
	 {4500, 9000, 9000, 4500}, {4096, 2048, 1024, 512}},
	{"ATmega328P", {0x1E, 0x95, 0x0F}, 32768, 128, 1024, 4, 0x0100, 2048, 3,
	 {0xFF, 0xFF, 0x07}, {0x62, 0xD9, 0xFF}, 0xC0, 0x3F, 0xFF, true, true, true,
	 {4500, 3600, 9000, 4500}, {4096, 2048, 1024, 512}},
	{"ATmega328", {0x1E, 0x95, 0x14}, 32768, 128, 1024, 4, 0x0100, 2048, 3,
	 {0xFF, 0xFF, 0x07}, {0x62, 0xD9, 0xFF}, 0xC0, 0x3F, 0xFF, true, true, true,
	 {4500, 3600, 9000, 4500}, {4096, 2048, 1024, 512}},
	{"ATmega168P", {0x1E, 0x94, 0x0B}, 16384, 128, 512, 4, 0x0100, 1024, 3,
	 {0xFF, 0xFF, 0x07}, {0x62, 0xDF, 0xF9}, 0xC0, 0x3F, 0xFF, true, true, true,
	 {4500, 3600, 9000, 4500}, {2048, 1024, 512, 256}},
	{"ATmega8A", {0x1E, 0x93, 0x07}, 8192, 64, 512, 4, 0x0060, 1024, 2,
	 {0xFF, 0xFF, 0x00}, {0xE1, 0xD9, 0xFF}, 0x80, 0x3F, 0xFF, true, false, false,
	 {4500, 9000, 9000, 4500}, {2048, 1024, 512, 256}},
	{"ATtiny85", {0x1E, 0x93, 0x0B}, 8192, 64, 512, 4, 0x0060, 512, 3,
	 {0xFF, 0xFF, 0x01}, {0x62, 0xDF, 0xFF}, 0xC0, 0x03, 0xFF, true, true, true,
	 {4500, 4000, 9000, 9000}, {0, 0, 0, 0}},
};

enum { FACTS = sizeof facts / sizeof facts[0] };

static void assert_facts(const struct part *part, const struct facts *want)
{
	assert_memory_equal(part->signature, want->signature, 3);
	assert_int_equal(part->flash_bytes, want->flash);
	assert_int_equal(part->flash_page, want->page);
	assert_int_equal(part->eeprom_bytes, want->eeprom);
	assert_int_equal(part->eeprom_page, want->eeprom_page);
	assert_int_equal(part->sram_start, want->sram_start);
	assert_int_equal(part->sram_bytes, want->sram);
	assert_int_equal(part->fuse_count, want->fuses);
	assert_memory_equal(part->fuse_mask, want->mask, 3);
	assert_memory_equal(part->fuse_factory, want->factory, 3);
	assert_int_equal(part->isp_must_be_1[FUSE_HIGH], want->high_must_be_1);
	assert_int_equal(part->isp_must_be_0[FUSE_HIGH], 0x20);
	assert_int_equal(part->lock_mask, want->lock_mask);
	assert_int_equal(part->lock_factory, want->lock_factory);
	assert_int_equal(part->lock_factory_confirmed, want->lock_confirmed);
	assert_int_equal(part->rdy_bsy_poll, want->rdy_bsy);
	assert_int_equal(part->eeprom_page_isp, want->eeprom_page_isp);
	assert_int_equal(part->twd_flash_us, want->waits[0]);
	assert_int_equal(part->twd_eeprom_us, want->waits[1]);
	assert_int_equal(part->twd_erase_us, want->waits[2]);
	assert_int_equal(part->twd_fuse_us, want->waits[3]);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(part->boot_bytes[i], want->boot[i]);
		if (want->boot[i] != 0)
			assert_int_equal(part->boot_start[i], want->flash - want->boot[i]);
	}
	assert_false(part->confirmed);
}

static void every_part_by_its_facts(void **state)
{
	(void)state;
	for (size_t i = 0; i < FACTS; i++) {
		char name[32];
		size_t len = strlen(facts[i].title);
		for (size_t k = 0; k <= len; k++)
			name[k] = (char)tolower((unsigned char)facts[i].title[k]);
		struct part *part = load(name);
		assert_string_equal(part->title, facts[i].title);
		assert_facts(part, &facts[i]);
		free(part);
	}
}

/* "h6": bit 6 of the high fuse. */
static void assert_bit(const struct part *part, const char *name, const char *place)
{
	const struct part_fuse_bit *bit = part_bit(part, name);
	if (place == NULL) {
		if (bit != NULL)
			fail_msg("%s has a %s", part->name, name);
		return;
	}
	assert_non_null(bit);
	assert_int_equal(bit->fuse, place[0] == 'l' ? FUSE_LOW : place[0] == 'h' ? FUSE_HIGH : FUSE_EXT);
	if (bit->lsb != place[1] - '0')
		fail_msg("%s: %s is at bit %d, not %s", part->name, name, bit->lsb, place);
}

/* Where the families put what differs between them. */
static void bits_swap_places(void **state)
{
	(void)state;
	static const struct {
		const char *part, *rstdisbl, *dwen, *jtagen, *bootrst, *bootsz, *bodlevel, *hwbe, *wdton;
		unsigned vectors, vector_bytes;
	} wanted[] = {
		{"atmega8u2", "h6", "h7", NULL, "h0", "h1", "e0", "e3", "h4", 29, 4},
		{"atmega16u2", "h6", "h7", NULL, "h0", "h1", "e0", "e3", "h4", 29, 4},
		{"atmega32u2", "h6", "h7", NULL, "h0", "h1", "e0", "e3", "h4", 29, 4},
		{"at90usb82", "h6", "h7", NULL, "h0", "h1", "e0", "e3", "h4", 29, 4},
		{"at90usb162", "h6", "h7", NULL, "h0", "h1", "e0", "e3", "h4", 29, 4},
		{"atmega16u4", NULL, NULL, "h6", "h0", "h1", "e0", "e3", "h4", 43, 4},
		{"atmega32u4", NULL, NULL, "h6", "h0", "h1", "e0", "e3", "h4", 43, 4},
		{"at90usb646", NULL, NULL, "h6", "h0", "h1", "e0", "e3", "h4", 38, 4},
		{"at90usb647", NULL, NULL, "h6", "h0", "h1", "e0", "e3", "h4", 38, 4},
		{"at90usb1286", NULL, NULL, "h6", "h0", "h1", "e0", "e3", "h4", 38, 4},
		{"at90usb1287", NULL, NULL, "h6", "h0", "h1", "e0", "e3", "h4", 38, 4},
		{"atmega32a", NULL, NULL, "h6", "h0", "h1", "l7", NULL, NULL, 21, 4},
		{"atmega328p", "h7", "h6", NULL, "h0", "h1", "e0", NULL, "h4", 26, 4},
		{"atmega328", "h7", "h6", NULL, "h0", "h1", "e0", NULL, "h4", 26, 4},
		{"atmega168p", "h7", "h6", NULL, "e0", "e1", "h0", NULL, "h4", 26, 4},
		{"atmega8a", "h7", NULL, NULL, "h0", "h1", "l7", NULL, "h6", 19, 2},
		{"attiny85", "h7", "h6", NULL, NULL, NULL, "h0", NULL, "h4", 15, 2},
	};
	assert_int_equal(sizeof wanted / sizeof wanted[0], FACTS);
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		struct part *part = load(wanted[i].part);
		assert_bit(part, "RSTDISBL", wanted[i].rstdisbl);
		assert_bit(part, "DWEN", wanted[i].dwen);
		assert_bit(part, "JTAGEN", wanted[i].jtagen);
		assert_bit(part, "BOOTRST", wanted[i].bootrst);
		assert_bit(part, "BOOTSZ", wanted[i].bootsz);
		assert_bit(part, "BODLEVEL", wanted[i].bodlevel);
		assert_bit(part, "HWBE", wanted[i].hwbe);
		assert_bit(part, "WDTON", wanted[i].wdton);
		assert_bit(part, "EESAVE", "h3");
		assert_bit(part, "SPIEN", "h5");
		assert_int_equal(part->vector_count, wanted[i].vectors);
		assert_int_equal(part->vector_bytes, wanted[i].vector_bytes);
		assert_int_equal(part->bod_count, part_bit(part, "BODLEVEL")->width == 3 ? 8 : 2);
		free(part);
	}
}

/* Which bits of a port have a pin: avr-libc's PORTxn, and what the data sheets' pinouts show. */
static void pins_of_the_ports(void **state)
{
	(void)state;
	static const struct {
		const char *parts[8], *ports;
		uint8_t bits[6];
	} wanted[] = {
		{{"at90usb646", "at90usb647", "at90usb1286", "at90usb1287"}, "ABCDEF",
		 {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
		{{"atmega8u2", "atmega16u2", "atmega32u2", "at90usb82", "at90usb162"}, "BCD", {0xFF, 0xF7, 0xFF}},
		{{"atmega16u4", "atmega32u4"}, "BCDEF", {0xFF, 0xC0, 0xFF, 0x44, 0xF3}},
		{{"atmega32a"}, "ABCD", {0xFF, 0xFF, 0xFF, 0xFF}},
		{{"atmega328p", "atmega328", "atmega168p", "atmega8a"}, "BCD", {0xFF, 0x7F, 0xFF}},
		{{"attiny85"}, "B", {0x3F}},
	};
	size_t count = 0;
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
		for (const char *const *name = wanted[i].parts; *name != NULL; name++, count++) {
			struct part *part = load(*name);
			for (char port = 'A'; port <= 'M'; port++) {
				const char *at = strchr(wanted[i].ports, port);
				for (unsigned bit = 0; bit < 8; bit++)
					if (part_has_pin(part, port, bit) !=
					    (at != NULL && (wanted[i].bits[at - wanted[i].ports] >> bit & 1) != 0))
						fail_msg("%s: pin %c%u", *name, port, bit);
			}
			memset(part->ports, 0, sizeof part->ports); /* a file of one's own that does not say it */
			assert_true(part_has_pin(part, 'L', 7));
			free(part);
		}
	assert_int_equal(count, FACTS);
}

static void every_file_loads(void **state)
{
	(void)state;
	DIR *folder = opendir("configs/parts");
	unsigned count = 0;
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char name[64];
		if (strstr(entry->d_name, ".cfg") == NULL)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)strcspn(entry->d_name, "."), entry->d_name);
		struct part *part = load(name);
		if (strcmp(part->family, "avr") == 0) {
			assert_non_null(part_bit(part, "SPIEN"));
			count++;
		}
		free(part);
	}
	closedir(folder);
	assert_int_equal(count, FACTS);
}

static void stm32_is_a_family_of_its_own(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint16_t id, page;
		uint32_t flash, sram;
	} densities[] = {{"stm32f103x6", 0x412, 1024, 32768, 10240},
		     {"stm32f103x8", 0x410, 1024, 65536, 20480},
		     {"stm32f103xb", 0x410, 1024, 131072, 20480},
		     {"stm32f103xc", 0x414, 2048, 262144, 49152},
		     {"stm32f103xe", 0x414, 2048, 524288, 65536}};
	for (size_t i = 0; i < sizeof densities / sizeof densities[0]; i++) {
		struct part *part = load(densities[i].name);
		assert_string_equal(part->family, "stm32f1");
		assert_int_equal(part->device_id, densities[i].id);
		assert_int_equal(part->flash_start, 0x08000000);
		assert_int_equal(part->flash_bytes, densities[i].flash);
		assert_int_equal(part->flash_page, densities[i].page);
		assert_int_equal(part->sram_start, 0x20000000);
		assert_int_equal(part->sram_bytes, densities[i].sram);
		assert_int_equal(part->fuse_count, 0);
		/* Its flash lies above the place where an AVR's EEPROM stands in an image. */
		assert_false(part_in_eeprom(part, 0x08000000));
		free(part);
		struct pogo_error err;
		assert_int_equal(part_load_avr("configs", densities[i].name, "fuses", &part, &err), -1);
		assert_int_equal(err.kind, POGO_INPUT);
		assert_non_null(strstr(err.text, "fuses is for AVRs"));
	}
}

static void every_bootloader_loads(void **state)
{
	(void)state;
	struct bootloader_set set;
	struct pogo_error err;
	if (bootloader_load_all("configs", &set, &err) != 0)
		fail_msg("%s", err.text);
	static const char *const names[] = {"atmel-dfu", "caterina", "bootloadhid", "usbasploader", "halfkay",
					    "qmk-dfu",	 "qmk-hid",  "lufa-dfu",    "lufa-ms"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_non_null(bootloader_find(&set, names[i]));
	const struct bootloader *caterina = bootloader_find(&set, "caterina");
	const struct bootloader_file *micro = bootloader_file(caterina, 0x29F8FB18);
	assert_non_null(micro);
	assert_string_equal(micro->usb, "1B4F:9205");
	assert_int_equal(bootloader_fuses(caterina, micro, "atmega32u4")[FUSE_HIGH], 0xD8);
	static const char *const parts[] = {"atmega8u2",  "atmega16u2", "atmega32u2", "at90usb82",
					    "at90usb162", "atmega16u4", "atmega32u4", "at90usb646",
					    "at90usb647", "at90usb1286", "at90usb1287"};
	const struct bootloader *dfu = bootloader_find(&set, "atmel-dfu");
	assert_int_equal(bootloader_part(dfu, "at90usb1286")->section_start, 0x1E000);
	assert_null(bootloader_fuses(bootloader_find(&set, "halfkay"), NULL, "atmega32u4"));
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		assert_non_null(bootloader_part(dfu, parts[i]));
	/* QMK HID is built for 4 KiB on every part; the guide's fuses for this part say 8. */
	const struct bootloader *hid = bootloader_find(&set, "qmk-hid");
	assert_memory_equal(bootloader_fuses(hid, NULL, "at90usb1286"), "\x5E\xDB\xF3", 3);
	assert_memory_equal(bootloader_part(hid, "at90usb1286")->guide, "\x5E\x99\xF3", 3);
	assert_int_equal(bootloader_part(hid, "at90usb1286")->section_start, 0x1F000);
	assert_int_equal(bootloader_part(bootloader_find(&set, "lufa-ms"), "atmega32u4")->reserved_bytes, 8192);
	assert_memory_equal(bootloader_fuses(dfu, NULL, "atmega32u2"), "\x5E\xD9\xF4", 3);
	assert_true(bootloader_fits(bootloader_file(dfu, 0x7E42C54A), "at90usb1287"));
	assert_false(bootloader_fits(bootloader_file(dfu, 0x7E42C54A), "at90usb646"));
	/* One image names one file: no CRC in two families. */
	for (size_t i = 0; i < set.count; i++)
		for (size_t f = 0; f < set.family[i].file_count; f++)
			for (size_t k = i + 1; k < set.count; k++)
				assert_null(bootloader_file(&set.family[k], set.family[i].files[f].crc32));
	bootloader_set_finish(&set);
}

static void unknown_names(void **state)
{
	(void)state;
	struct part *part;
	struct pogo_error err;
	assert_int_equal(part_load("configs", "atmega9999", &part, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, "at90usb1286, at90usb1287, at90usb162"));
	assert_int_equal(part_load("configs", "../parts/atmega32u4", &part, &err), -1);
	assert_int_equal(part_load("configs", "", &part, &err), -1);
}

/* Each change to a good file must be refused, with its line and a phrase. */
static void contradictions(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to, *phrase;
	} change[] = {
		{"name = \"atmega32u4\"", "name = \"atmega16u4\"", "calls itself"},
		{"family =", "familly =", "unknown key \"familly\""},
		{"page = 128;", "page = 100;", "do not divide"},
		{"bytes = 32768;", "bytes = 32000;", "does not end"},
		{"start = 0x7800;", "start = 0x7900;", "does not end with the flash"},
		{"mask = [ 0xFF, 0xFF, 0x0F ]", "mask = [ 0xFF, 0xFF ]", "3 are needed"},
		{"mask = [ 0xFF, 0xFF, 0x0F ]", "mask = [ 0xFF, 0xFF, 0x1F ]", "have no name"},
		{"mask = [ 0xFF, 0xFF, 0x0F ]", "mask = [ 0xFF, 0xFF, 0x07 ]", "outside the fuse mask"},
		{"must_be_0 = [ 0x00, 0x20, 0x00 ]", "must_be_0 = [ 0x00, 0x80, 0x00 ]", "end ISP"},
		{"fuse = \"low\";  lsb = 6;", "fuse = \"low\";  lsb = 5;", "overlaps another field"},
		{"name = \"SUT\"", "name = \"CKSEL\"", "twice"},
		{"fuse = \"ext\";  lsb = 3;", "fuse = \"fourth\"; lsb = 3;", "low, high, ext"},
		{"source = \"crystal\"", "source = \"quartz\"", "quartz"},
		{"cksel = [ 4, 7 ]", "cksel = [ 4, 8 ]", "overlaps another clock"},
		{"cksel = [ 14, 15 ]", "cksel = [ 14, 16 ]", "4 bit field"},
		{"E = 0x44;", "M = 0x44;", "unknown key \"M\""},
		{"E = 0x44;", "E = 0x144;", "\"E\" is 324, allowed are 1 to 255"},
		{"hz = 8000000;", "", "needs its \"hz\""},
		{"signature = [ 0x1E, 0x95, 0x87 ]", "signature = [ 0x1E, 0x95, 300 ]", "300"},
		{"flash_us = 4500;", "", "\"flash_us\" is missing"},
		{"name = \"BOOTSZ\"", "name = \"BOTSZ\"", "BOOTSZ"},
	};
	char *good, folder[256], parts[280], file[320];
	size_t len;
	assert_int_equal(infile_read("configs/parts/atmega32u4.cfg", &good, &len, NULL), 0);
	scratch_make(folder);
	snprintf(parts, sizeof parts, "%s/parts", folder);
	snprintf(file, sizeof file, "%s/atmega32u4.cfg", parts);
	assert_int_equal(mkdir(parts, 0700), 0);
	for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
		char *text = malloc(len + 100), *at = strstr(good, change[i].from);
		struct part *part;
		struct pogo_error err;
		assert_non_null(at);
		sprintf(text, "%.*s%s%s", (int)(at - good), good, change[i].to,
			at + strlen(change[i].from));
		scratch_write(file, text);
		free(text);
		assert_int_equal(part_load(folder, "atmega32u4", &part, &err), -1);
		assert_int_equal(err.kind, POGO_INPUT);
		if (strstr(err.text, change[i].phrase) == NULL || strstr(err.text, file) == NULL)
			fail_msg("wanted \"%s\", got: %s", change[i].phrase, err.text);
	}
	free(good);
	scratch_remove(parts);
	scratch_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_by_its_facts),
		cmocka_unit_test(bits_swap_places),
		cmocka_unit_test(pins_of_the_ports),
		cmocka_unit_test(every_file_loads),
		cmocka_unit_test(stm32_is_a_family_of_its_own),
		cmocka_unit_test(every_bootloader_loads),
		cmocka_unit_test(unknown_names),
		cmocka_unit_test(contradictions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
