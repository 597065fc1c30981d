#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hextools/conf.h"
#include "hextools/digest.h"
#include "station/chip/chip.h"

/* A small AVR behind a small programmer, from the data sheets' words: it must be entered, hears
 * only a legal SCK, programs by AND, is busy for a while, latches fuses and lock on entry. What no
 * station may ever do is counted in `violations`. */

enum { FLASH = 131072, EEPROM = 4096, EE_PAGE = 8, ROUNDS = 40 };

struct fake {
	struct programmer base; /* first */
	const struct part *part;
	uint8_t flash[FLASH], eeprom[EEPROM], signature[3], row[24];
	uint8_t ee_buffer[EE_PAGE];
	bool ee_loaded[EE_PAGE];
	uint8_t fuses[PART_FUSES], latched[PART_FUSES], lock, latched_lock;
	uint32_t crystal_hz, sck;
	int64_t busy_until;
	bool entered;
	int64_t entered_at;
	/* knobs */
	bool absent, unsteady, deaf_to_erase, keeps_flash, busy_for_ever, lost, dead_crystal;
	uint8_t stuck_fuse[PART_FUSES], stuck_lock; /* bits that refuse to change */
	unsigned deaf_enters;                       /* so many entries are not answered */
	bool swap_when_deaf;                        /* and meanwhile another board is set */
	int64_t deaf_us;                            /* each such entry takes so long */
	bool bounces;                               /* unsteady for 10 ms after an entry */
	uint32_t deaf_above;                        /* Hz, 0 = only physics */
	uint32_t bad_address;                       /* bit 0 of this flash byte stays 0 */
	bool has_bad_address;
	/* what happened */
	unsigned violations, enters, leaves, commands, ee_block_bytes, ee_loads, ee_commits,
	        flash_calls, calls_after_loss;
	uint32_t asked[ROUNDS]; /* SCK of each enter */
	char order[8];          /* fuse bytes written: 'l', 'h', 'e' */
	size_t order_len;
};

static const char *configs(void)
{
	static char path[512];
	struct pogo_error err;

	if (conf_dir(NULL, path, sizeof(path), &err))
		snprintf(path, sizeof(path), "configs");
	return path;
}

static uint32_t cpu_hz(const struct fake *f)
{
	uint8_t low = f->latched[FUSE_LOW], cksel = low & 0x0F;
	uint32_t crystal = f->dead_crystal ? 0 : f->crystal_hz;

	if (f->part->fuse_count ==
	    2) { /* ATmega32A: RC 1, 2, 4, 8 MHz; above 8 MHz CKOPT must be on */
		if (cksel >= 1 && cksel <= 4)
			return 1000000u << (cksel - 1);
		return crystal > 8000000 && (f->latched[FUSE_HIGH] & 0x10) ? 0 : crystal;
	}
	if (cksel == 3)
		crystal = 128000;
	else if (cksel == 2)
		crystal = 8000000;
	else if (cksel < (f->part->signature[2] == 0x0F
	                          ? 6
	                          : 8)) /* 328P: 6 and 7 are full swing crystals */
		crystal = 0;
	return low & 0x80 ? crystal : crystal / 8;
}

static bool hears(const struct fake *f)
{
	uint32_t hz = cpu_hz(f);

	return !f->absent && hz && f->sck * (hz < 12000000 ? 4u : 6u) < hz &&
	       (!f->deaf_above || f->sck <= f->deaf_above);
}

static int gone(struct fake *f, struct fault *fault)
{
	f->calls_after_loss++;
	return fault_set(fault, FAIL_PROGRAMMER_LOST, "unplugged");
}

static int fake_enter(struct programmer *p, const struct part *part, uint32_t sck_hz,
                      uint32_t *used_hz, deadline_t deadline, struct fault *fault)
{
	struct fake *f = (struct fake *)p;

	(void)part;
	(void)deadline;
	if (f->lost)
		return gone(f, fault);
	if (f->enters < ROUNDS)
		f->asked[f->enters] = sck_hz;
	f->enters++;
	f->sck = p->info.sck_control ? 0 : 375000;
	for (size_t i = 0; p->info.sck_steps[i]; i++)
		if (p->info.sck_steps[i] <= sck_hz && p->info.sck_steps[i] > f->sck)
			f->sck = p->info.sck_steps[i];
	memcpy(f->latched, f->fuses, PART_FUSES);
	f->latched_lock = f->lock;
	f->entered = hears(f) && !f->deaf_enters;
	if (f->deaf_enters && f->swap_when_deaf)
		f->row[0x0E] ^= 0x55;
	if (f->deaf_enters)
		clock_sleep_us(f->deaf_us);
	f->deaf_enters -= f->deaf_enters > 0;
	f->entered_at = clock_now();
	*used_hz = f->sck;
	return f->entered ? 0 : fault_set(fault, FAIL_CONTACT, "nobody answers");
}

static void fake_leave(struct programmer *p, deadline_t deadline)
{
	struct fake *f = (struct fake *)p;

	(void)deadline;
	if (f->lost)
		f->calls_after_loss++;
	f->leaves++;
	f->entered = false;
}

static void busy(struct fake *f, uint32_t us)
{
	f->busy_until = f->busy_for_ever ? INT64_MAX : clock_now() + (int64_t)us * 1000;
}

static void chip_erase(struct fake *f)
{
	busy(f, f->part->twd_erase_us);
	if (f->deaf_to_erase)
		return;
	if (!f->keeps_flash)
		memset(f->flash, 0xFF, FLASH);
	if (f->fuses[FUSE_HIGH] & 0x08) /* EESAVE unprogrammed */
		memset(f->eeprom, 0xFF, EEPROM);
	f->lock = 0xFF;
}

static void set_fuse(struct fake *f, enum part_fuse fuse, uint8_t value)
{
	if (fuse == FUSE_EXT && f->part->fuse_count < 3)
		f->violations++;
	if (f->order_len < sizeof(f->order) - 1)
		f->order[f->order_len++] = "lhe"[fuse];
	busy(f, f->part->twd_fuse_us);
	if ((f->latched_lock & 3) != 3)
		return;
	f->fuses[fuse] =
	        (f->fuses[fuse] & f->stuck_fuse[fuse]) | (value & (uint8_t)~f->stuck_fuse[fuse]);
}

static void write_instruction(struct fake *f, const uint8_t out[4])
{
	switch (out[1]) {
	case 0x80:
		chip_erase(f);
		break;
	case 0xA0:
		set_fuse(f, FUSE_LOW, out[3]);
		break;
	case 0xA8:
		set_fuse(f, FUSE_HIGH, out[3]);
		break;
	case 0xA4:
		set_fuse(f, FUSE_EXT, out[3]);
		break;
	case 0xE0:
		busy(f, f->part->twd_fuse_us);
		f->lock &= out[3] | f->stuck_lock;
		break;
	default:
		f->violations++;
	}
}

static void commit_eeprom(struct fake *f, uint32_t address)
{
	f->ee_commits++;
	busy(f, f->part->twd_eeprom_us);
	for (unsigned i = 0; i < EE_PAGE; i++)
		if (f->ee_loaded[i] && (f->latched_lock & 3) == 3)
			f->eeprom[address + i] = f->ee_buffer[i];
	memset(f->ee_loaded, 0, sizeof(f->ee_loaded));
}

/* Bits that do not exist read as they like: as 0 in the extended fuse, as 1 in the lock byte. */
static uint8_t read_setting(struct fake *f, const uint8_t out[4])
{
	if (out[0] == 0x58)
		return out[1] == 0x08 ? f->fuses[FUSE_HIGH]
		                      : f->lock | (uint8_t)~f->part->lock_mask;
	if (out[1] == 0x00)
		return f->fuses[FUSE_LOW];
	f->violations += f->part->fuse_count < 3;
	return f->fuses[FUSE_EXT] & f->part->fuse_mask[FUSE_EXT];
}

static uint8_t execute(struct fake *f, const uint8_t out[4])
{
	bool is_busy = clock_now() < f->busy_until;

	if (out[0] == 0xF0) {
		f->violations += !f->part->rdy_bsy_poll;
		return is_busy;
	}
	f->violations += is_busy;
	if (f->bounces && clock_now() < f->entered_at + 10000000)
		return (uint8_t)f->commands;
	switch (out[0]) {
	case 0x30:
		if (out[2] < 3)
			return f->unsteady ? (uint8_t)(f->signature[out[2]] ^ (f->commands & 1))
			                   : f->signature[out[2]];
		return f->row[out[2] * 2u];
	case 0x38:
		return f->row[out[2] * 2u + 1];
	case 0x50:
	case 0x58:
		return read_setting(f, out);
	case 0xAC:
		write_instruction(f, out);
		return 0;
	case 0xC1:
		f->ee_loads++;
		f->violations += !f->part->eeprom_page_isp || out[2] >= f->part->eeprom_page;
		f->ee_buffer[out[2] % EE_PAGE] = out[3];
		f->ee_loaded[out[2] % EE_PAGE] = true;
		return 0;
	case 0xC2:
		f->violations += !f->part->eeprom_page_isp || out[2] % f->part->eeprom_page;
		commit_eeprom(f, (uint32_t)(out[1] << 8 | out[2]));
		return 0;
	default:
		f->violations++;
		return 0;
	}
}

static int fake_command(struct programmer *p, const uint8_t out[4], uint8_t in[4],
                        deadline_t deadline, struct fault *fault)
{
	struct fake *f = (struct fake *)p;

	(void)deadline;
	if (f->lost)
		return gone(f, fault);
	f->violations += !f->entered; /* a real USBasp hangs for ever here */
	f->commands++;
	memset(in, 0xFF, 4);
	if (f->absent)
		return 0;
	in[1] = out[0];
	in[2] = out[1];
	in[3] = execute(f, out);
	return 0;
}

static int fake_read(struct programmer *p, enum isp_memory memory, uint32_t address, uint8_t *bytes,
                     size_t len, deadline_t deadline, struct fault *fault)
{
	struct fake *f = (struct fake *)p;

	(void)deadline;
	if (f->lost)
		return gone(f, fault);
	f->violations += !f->entered || clock_now() < f->busy_until;
	memcpy(bytes, (memory == ISP_FLASH ? f->flash : f->eeprom) + address, len);
	return 0;
}

static int fake_write(struct programmer *p, enum isp_memory memory, uint32_t address,
                      const uint8_t *bytes, size_t len, uint16_t page, deadline_t deadline,
                      struct fault *fault)
{
	struct fake *f = (struct fake *)p;

	(void)deadline;
	if (f->lost)
		return gone(f, fault);
	f->violations += !f->entered || clock_now() < f->busy_until || (f->latched_lock & 3) != 3;
	if (memory == ISP_EEPROM) {
		f->ee_block_bytes += (unsigned)len;
		memcpy(f->eeprom + address, bytes, len);
		return 0;
	}
	f->flash_calls++;
	f->violations += page != f->part->flash_page || address % page || len % page;
	for (size_t i = 0; i < len; i++)
		f->flash[address + i] &= bytes[i];
	if (f->has_bad_address)
		f->flash[f->bad_address] &= 0xFE;
	return 0;
}

static const struct isp_ops fake_isp = {fake_enter, fake_leave, fake_command, fake_read,
                                        fake_write};

/* ---- one board on a bench */

struct bench {
	struct fake fake;
	struct recipe recipe;
	struct chip chip;
	struct fault fault;
	struct hex_image image;
	atomic_bool stop;
	unsigned reports, stop_after;
	uint32_t last_done, last_total;
};

static void on_progress(void *context, uint32_t done, uint32_t total)
{
	struct bench *b = context;

	assert_true(done <= total);
	b->last_done = done;
	b->last_total = total;
	if (++b->reports == b->stop_after)
		atomic_store(&b->stop, true);
}

static struct bench *bench_new(const char *part_name, uint8_t low, uint8_t high, uint8_t ext)
{
	static const uint32_t steps[] = {1500000, 750000, 375000, 187500, 93750, 32000,
	                                 16000,   8000,   4000,   2000,   1000,  500};
	struct bench *b = calloc(1, sizeof(*b));
	struct pogo_error err = {0};
	struct part *part;

	assert_non_null(b);
	if (part_load(configs(), part_name, &part, &err))
		fail_msg("%s", err.text);
	b->recipe = (struct recipe){.part = part,
	                            .fuses = {low, high, ext},
	                            .write_lock = true,
	                            .lock = 0xEF,
	                            .crystal_hz = 16000000};
	b->fake.base.isp = &fake_isp;
	memcpy(b->fake.base.info.sck_steps, steps, sizeof(steps));
	b->fake.base.info.sck_control = true;
	b->fake.part = part;
	b->fake.crystal_hz = 16000000;
	memcpy(b->fake.signature, part->signature, 3);
	memcpy(b->fake.fuses, part->fuse_factory, PART_FUSES);
	b->fake.lock = part->lock_factory;
	memset(b->fake.flash, 0x5A, FLASH); /* a factory bootloader, or the last firmware */
	memset(b->fake.eeprom, 0x33, EEPROM);
	for (size_t i = 0; i < 10; i++)
		b->fake.row[0x0E + i] = (uint8_t) "2143658wyx"[i];
	chip_init(&b->chip, chip_find("avr"), &b->recipe);
	b->chip.programmer = &b->fake.base;
	b->chip.progress.report = on_progress;
	b->chip.progress.context = b;
	b->chip.progress.stop = &b->stop;
	hex_image_init(&b->image);
	return b;
}

static void bench_free(struct bench *b)
{
	assert_int_equal(b->fake.violations, 0);
	hex_image_finish(&b->image);
	free(b->recipe.part);
	free(b);
}

static void put(struct bench *b, uint32_t address, size_t len, unsigned seed)
{
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((i * 7 + seed) | 1);
	assert_int_equal(
	        hex_image_add(&b->image, address, bytes, len, HEX_OVERLAP_LAST, NULL, NULL), 0);
	free(bytes);
}

static deadline_t soon(void)
{
	return deadline_in_ms(20000);
}

static void good(struct bench *b, int rc)
{
	if (rc)
		fail_msg("%s: %s", fail_name(b->fault.code), b->fault.text);
}

static void bad(struct bench *b, int rc, enum fail_code code)
{
	assert_int_equal(rc, -1);
	if (b->fault.code != code)
		fail_msg("expected %s, got %s: %s", fail_name(code), fail_name(b->fault.code),
		         b->fault.text);
}

#define ATTACH(b)    chip_avr.attach(&(b)->chip, soon(), &(b)->fault)
#define IDENTIFY(b)  chip_avr.identify(&(b)->chip, soon(), &(b)->fault)
#define ERASE(b)     chip_avr.erase(&(b)->chip, soon(), &(b)->fault)
#define CLOCK(b)     chip_avr.clock(&(b)->chip, soon(), &(b)->fault)
#define PROGRAM(b)   chip_avr.program(&(b)->chip, &(b)->image, soon(), &(b)->fault)
#define VERIFY(b)    chip_avr.verify(&(b)->chip, &(b)->image, soon(), &(b)->fault)
#define CONFIGURE(b) chip_avr.configure(&(b)->chip, soon(), &(b)->fault)
#define LOCK(b)      chip_avr.lock(&(b)->chip, soon(), &(b)->fault)

static void up_to_erase(struct bench *b)
{
	good(b, ATTACH(b));
	good(b, IDENTIFY(b));
	good(b, ERASE(b));
}

static void assert_image_in_chip(struct bench *b)
{
	for (size_t s = 0; s < b->image.count; s++) {
		const struct hex_segment *segment = &b->image.segments[s];
		bool eeprom = segment->addr >= AVR_EEPROM_BASE;

		assert_memory_equal(segment->bytes,
		                    eeprom ? b->fake.eeprom + (segment->addr - AVR_EEPROM_BASE)
		                           : b->fake.flash + segment->addr,
		                    segment->len);
	}
}

static void whole_way(struct bench *b)
{
	up_to_erase(b);
	good(b, CLOCK(b));
	good(b, PROGRAM(b));
	assert_int_equal(b->last_done, b->last_total);
	good(b, VERIFY(b));
	assert_int_equal(b->last_done, b->last_total);
	good(b, CONFIGURE(b));
	good(b, LOCK(b));
	assert_image_in_chip(b);
	good(b, ATTACH(b)); /* still there: the removal can be polled */
	for (unsigned i = 0; i < b->recipe.part->fuse_count; i++)
		assert_int_equal(
		        (b->fake.fuses[i] ^ b->recipe.fuses[i]) & b->recipe.part->fuse_mask[i], 0);
}

/* ---- tests */

/* A DFU set keeps CKDIV8: 2 MHz for the customer, 16 MHz while it is programmed. */
static void a_divided_clock_is_undivided_for_the_fast_phase_only(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0x5E, 0xD8, 0x0B);

	(void)state;
	b->recipe.fast_clock = true;
	memcpy(b->recipe.fast_fuses, b->recipe.fuses, PART_FUSES);
	b->recipe.fast_fuses[FUSE_LOW] = 0xDE;
	put(b, 0, 2900, 1);
	put(b, 0x7000, 0x1000, 2);
	up_to_erase(b);
	good(b, CLOCK(b));
	assert_int_equal(b->fake.fuses[FUSE_LOW], 0xDE);
	assert_int_equal(b->chip.facts.sck_fast_hz, 1500000);
	good(b, PROGRAM(b));
	good(b, VERIFY(b));
	good(b, CONFIGURE(b));
	assert_int_equal(b->fake.fuses[FUSE_LOW], 0x5E);
	good(b, LOCK(b));
	assert_image_in_chip(b);
	bench_free(b);
}

/* The plug was pulled in the fast phase: the board comes back undivided and leaves as the recipe says. */
static void an_interrupted_fast_phase_is_put_right(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0x5E, 0xD8, 0x0B);

	(void)state;
	b->recipe.fast_clock = true;
	memcpy(b->recipe.fast_fuses, b->recipe.fuses, PART_FUSES);
	b->recipe.fast_fuses[FUSE_LOW] = 0xDE;
	b->fake.fuses[FUSE_LOW] = 0xDE;
	put(b, 0, 2900, 1);
	put(b, 0x7000, 0x1000, 2);
	whole_way(b);
	bench_free(b);
}

static void a_virgin_board_goes_the_whole_way(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0x0B);
	const struct chip_facts *facts = &b->chip.facts;
	uint8_t blank[300];

	(void)state;
	memset(blank, 0xFF, sizeof(blank));
	put(b, 0, 2900, 1);
	put(b, 0x7000, 0x1000, 2);
	assert_int_equal(
	        hex_image_add(&b->image, 0x2000, blank, 256, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	put(b, AVR_EEPROM_BASE + 0x3F1, 8, 3);
	whole_way(b);
	assert_int_equal(facts->sck_first_hz, 375000); /* 2 MHz: below 500 kHz */
	assert_int_equal(facts->sck_fast_hz, 1500000); /* 16 MHz: below 2.67 MHz */
	assert_int_equal(facts->retries, 0);
	assert_int_equal(facts->lock_found & 0x3F, 0x2C);
	assert_int_equal(facts->fuses_found[FUSE_LOW], 0x5E);
	assert_int_equal(facts->lock_left, 0xEF);
	assert_int_equal(facts->fuses_left[FUSE_EXT], 0x0B); /* unmasked, as read */
	assert_int_equal(facts->pages_skipped, 2);
	assert_int_equal(facts->bytes_written, 23 * 128 + 0x1000 + 8);
	assert_int_equal(facts->bytes_verified, 2944 + 0x1000 + 256 + 8); /* whole pages */
	assert_true(facts->silicon_id_bytes == 10);
	assert_memory_equal(facts->silicon_id, "2143658wyx", 10);
	assert_int_equal(b->fake.fuses[FUSE_EXT],
	                 0xFB); /* bits that do not exist are written as 1 */
	assert_int_equal(b->fake.lock, 0xEF);

	uint32_t crc = crc32_update(0, b->image.segments[0].bytes, 2900);

	crc = crc32_update(crc, blank, 44); /* the rest of its last page */
	crc = crc32_update(crc, blank, 256);
	assert_int_equal(facts->readback_crc,
	                 crc32_update(crc, b->image.segments[2].bytes, 0x1000));
	assert_int_equal(b->fake.flash_calls, 3 + 4); /* 2944 and 4096 bytes, up to 1 KiB a call */
	chip_avr.detach(&b->chip);
	assert_false(b->fake.entered);
	assert_false(b->chip.attached);
	bench_free(b);
}

static void fuses_that_keep_the_divider_keep_the_sck(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0x5E, 0x99, 0xF3);

	(void)state;
	put(b, 0, 100, 1);
	b->recipe.write_lock = false;
	whole_way(b);
	assert_int_equal(b->chip.facts.sck_fast_hz, 375000);
	assert_string_equal(b->fake.order, ""); /* all as delivered: no fuse is worn */
	assert_int_equal(b->fake.lock, 0xFF);
	assert_int_equal(b->fake.enters, 3); /* contact, after the erase, final proof */
	bench_free(b);
}

static void an_rc_board_is_found_at_a_slower_sck(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	b->fake.fuses[FUSE_LOW] = 0x52; /* ATmega32U4RC: 1 MHz */
	for (int i = 0; i < 3; i++)
		bad(b, ATTACH(b), FAIL_CONTACT);
	good(b, ATTACH(b));
	assert_int_equal(b->chip.facts.sck_first_hz, 187500);
	assert_int_equal(b->chip.facts.retries, 1);
	assert_int_equal(b->chip.polls, 0);
	chip_avr.detach(
	        &b->chip); /* asked again, it is not missed at the speed that it cannot hear */
	good(b, ATTACH(b));
	assert_int_equal(b->chip.facts.sck_first_hz, 187500);
	assert_int_equal(b->chip.facts.retries, 1);
	bench_free(b);
}

static void the_search_ends_at_1_khz_and_starts_again(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);
	static const uint32_t slow[] = {187500, 93750, 32000, 16000, 8000,
	                                4000,   2000,  1000,  187500};

	(void)state;
	b->fake.absent = true;
	for (unsigned i = 0; i < 36; i++) {
		bad(b, ATTACH(b), FAIL_CONTACT);
		assert_int_equal(b->fake.asked[i], i % 4 == 3 ? slow[i / 4] : 375000);
	}
	assert_int_equal(b->fake.commands, 0);
	bench_free(b);
}

static void a_128_khz_board_is_found(void **state)
{
	struct bench *b = bench_new("atmega328p", 0xD7, 0xD8, 0xFD);
	int polls = 0;

	(void)state;
	b->fake.fuses[FUSE_LOW] = 0x63; /* RC 128 kHz, divided by 8 */
	while (ATTACH(b) && polls < 36)
		polls++;
	assert_true(b->chip.attached);
	assert_int_equal(b->chip.facts.sck_first_hz, 2000);
	bench_free(b);
}

static void a_programmer_without_sck_control_has_one_speed(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	memset(b->fake.base.info.sck_steps, 0, sizeof(b->fake.base.info.sck_steps));
	b->fake.base.info.sck_control = false;
	put(b, 0, 100, 1);
	whole_way(b);
	assert_int_equal(b->chip.facts.sck_fast_hz, 375000);
	bench_free(b);
}

static void a_bouncing_contact_is_no_board(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	b->fake.unsteady = true;
	bad(b, ATTACH(b), FAIL_CONTACT);
	assert_non_null(strstr(b->fault.text, "not settled"));
	assert_false(b->chip.attached);
	assert_int_equal(b->fake.leaves, 1);
	b->fake.unsteady = false;
	b->fake.bounces = true; /* and comes to rest */
	good(b, ATTACH(b));
	good(b, IDENTIFY(b));
	bench_free(b);
}

static void rubbish_signatures_are_contact_faults(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	good(b, ATTACH(b));
	b->fake.unsteady = true;
	bad(b, IDENTIFY(b), FAIL_CONTACT);
	assert_non_null(strstr(b->fault.text, "MISO"));
	assert_false(b->chip.attached);
	bad(b, IDENTIFY(b), FAIL_CONTACT); /* not entered: no command is sent */
	b->fake.unsteady = false;
	for (int level = 0; level < 2; level++) {
		memset(b->fake.signature, level ? 0xFF : 0x00, 3);
		good(b, ATTACH(b));
		bad(b, IDENTIFY(b), FAIL_CONTACT);
		assert_non_null(strstr(b->fault.text, "crystal"));
	}
	bench_free(b);
}

static void another_chip_is_named(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	memcpy(b->fake.signature, "\x1E\x95\x0F", 3);
	good(b, ATTACH(b));
	bad(b, IDENTIFY(b), FAIL_SIGNATURE);
	assert_string_equal(b->fault.text,
	                    "expected 1E 95 87 (ATmega32U4), found 1E 95 0F (ATmega328P)");
	good(b, ATTACH(b)); /* it is there until somebody takes it off */
	bench_free(b);
}

static void a_board_taken_off_is_noticed(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	good(b, ATTACH(b));
	good(b, IDENTIFY(b));
	b->fake.absent = true;
	bad(b, ATTACH(b), FAIL_CONTACT);
	assert_false(b->chip.attached);
	b->fake.absent = false;
	good(b, ATTACH(b));
	good(b, IDENTIFY(b));
	memcpy(b->fake.signature, "\x1E\x95\x0F", 3); /* swapped */
	bad(b, ATTACH(b), FAIL_CONTACT);
	assert_false(b->chip.attached);
	bench_free(b);
}

static void a_lost_programmer_is_left_alone(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	put(b, 0, 100, 1);
	up_to_erase(b);
	b->fake.lost = true;
	bad(b, PROGRAM(b), FAIL_PROGRAMMER_LOST);
	assert_false(b->chip.attached);
	chip_avr.detach(&b->chip);
	assert_int_equal(b->fake.calls_after_loss, 1); /* the one that told it */
	bench_free(b);
}

static void a_locked_chip_is_not_read(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);
	uint8_t bytes[4];

	(void)state;
	good(b, ATTACH(b));
	good(b, IDENTIFY(b)); /* EC: LB mode 3 */
	bad(b, chip_avr.read(&b->chip, 0, bytes, 4, soon(), &b->fault), FAIL_PROTECTED);
	good(b, ERASE(b));
	good(b, chip_avr.read(&b->chip, 0x7FFC, bytes, 4, soon(), &b->fault));
	assert_int_equal(bytes[0], 0xFF);
	b->fake.eeprom[5] = 0x42;
	good(b, chip_avr.read(&b->chip, AVR_EEPROM_BASE + 5, bytes, 1, soon(), &b->fault));
	assert_int_equal(bytes[0], 0x42);
	assert_int_equal(chip_avr.read(&b->chip, 0x7FFE, bytes, 4, soon(), &b->fault), -1);
	bench_free(b);
}

static void an_erase_that_did_not_happen_is_found(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	good(b, ATTACH(b));
	good(b, IDENTIFY(b));
	b->fake.deaf_to_erase = true;
	bad(b, ERASE(b), FAIL_ERASE);
	assert_non_null(strstr(b->fault.text, "lock bits still read"));
	b->fake.deaf_to_erase = false;
	b->fake.keeps_flash = true;
	bad(b, ERASE(b), FAIL_ERASE);
	assert_int_equal(b->fault.address, 0);
	assert_int_equal(b->fault.found, 0x5A);
	memset(b->fake.flash, 0xFF, 0x7FFF);
	bad(b, ERASE(b), FAIL_ERASE);
	assert_int_equal(b->fault.address, 0x7FFF);
	b->fake.busy_for_ever = true;
	bad(b, ERASE(b), FAIL_ERASE);
	assert_non_null(strstr(b->fault.text, "busy"));
	bench_free(b);
}

static void stuck_fuses_are_found(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	up_to_erase(b);
	b->fake.stuck_fuse[FUSE_LOW] = 0x80;
	bad(b, CLOCK(b), FAIL_FUSE);
	assert_non_null(strstr(b->fault.text, "low fuse"));
	assert_int_equal(b->fault.expected, 0xFF);
	assert_int_equal(b->fault.found, 0x7F);
	b->fake.stuck_fuse[FUSE_LOW] = 0;
	good(b, CLOCK(b));
	b->fake.stuck_fuse[FUSE_HIGH] = 0x01;
	bad(b, CONFIGURE(b), FAIL_FUSE);
	assert_non_null(strstr(b->fault.text, "high fuse"));
	b->fake.stuck_fuse[FUSE_HIGH] = 0;
	b->fake.stuck_fuse[FUSE_EXT] = 0x08;
	bad(b, CONFIGURE(b), FAIL_FUSE);
	assert_non_null(strstr(b->fault.text, "extended fuse"));
	bench_free(b);
}

static void fatal_fuses_are_never_written(void **state)
{
	struct bench *b = bench_new("atmega328p", 0xD7, 0x58, 0xFD); /* RSTDISBL */

	(void)state;
	up_to_erase(b);
	good(b, CLOCK(b));
	bad(b, CONFIGURE(b), FAIL_FUSE);
	assert_non_null(strstr(b->fault.text, "not written"));
	assert_string_equal(b->fake.order, "l");
	bench_free(b);
}

static void a_crystal_that_does_not_run_is_a_fuse_fault(void **state)
{
	struct bench *b = bench_new("atmega328p", 0xD7, 0xD8, 0xFD);

	(void)state;
	b->fake.dead_crystal = true;
	up_to_erase(b); /* on the RC oscillator */
	bad(b, CLOCK(b), FAIL_FUSE);
	assert_non_null(strstr(b->fault.text, "crystal"));
	assert_false(b->chip.attached);
	bench_free(b);
}

static void a_slow_board_gets_a_slower_sck(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	b->fake.deaf_above = 375000; /* long wires */
	put(b, 0, 1000, 1);
	whole_way(b);
	assert_int_equal(b->chip.facts.sck_fast_hz, 375000);
	bench_free(b);
}

static void a_crystal_that_starts_late_costs_no_speed(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	up_to_erase(b);
	b->fake.deaf_enters = 1;
	good(b, CLOCK(b));
	assert_int_equal(b->chip.facts.sck_fast_hz, 1500000);
	bench_free(b);
}

static void a_wrong_byte_is_told_with_its_address(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	put(b, 0, 3000, 1);
	up_to_erase(b);
	b->fake.has_bad_address = true;
	b->fake.bad_address = 0x4D3;
	good(b, PROGRAM(b));
	bad(b, VERIFY(b), FAIL_VERIFY);
	assert_true(b->fault.has_address);
	assert_int_equal(b->fault.address, 0x4D3);
	assert_int_equal(b->fault.expected ^ b->fault.found, 1);
	assert_non_null(strstr(b->fault.text, "1 of 1024"));
	b->fake.flash[0x4D3] |= 1;
	good(b, VERIFY(b));
	b->fake.flash[2999] = 0;
	bad(b, VERIFY(b), FAIL_VERIFY);
	assert_int_equal(b->fault.address, 2999);
	bench_free(b);
}

static void blank_bytes_of_the_image_are_verified_too(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);
	uint8_t blank[256];

	(void)state;
	memset(blank, 0xFF, sizeof(blank));
	assert_int_equal(hex_image_add(&b->image, 0x1000, blank, sizeof(blank), HEX_OVERLAP_ERROR,
	                               NULL, NULL),
	                 0);
	up_to_erase(b);
	b->fake.flash[0x1033] = 0x7F; /* not erased */
	good(b, PROGRAM(b));
	assert_int_equal(b->fake.flash_calls, 0);
	bad(b, VERIFY(b), FAIL_VERIFY);
	assert_int_equal(b->fault.address, 0x1033);
	bench_free(b);
}

static void eeprom_wears_only_where_it_differs(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD0, 0xFB);

	(void)state;
	b->fake.fuses[FUSE_HIGH] = 0xD0; /* EESAVE: the last firmware's EEPROM is kept */
	put(b, AVR_EEPROM_BASE + 2, 12, 1);
	up_to_erase(b);
	assert_int_equal(b->fake.eeprom[0], 0x33);
	hex_image_read(&b->image, AVR_EEPROM_BASE + 2, b->fake.eeprom + 2, 12, 0);
	good(b, PROGRAM(b));
	assert_int_equal(b->fake.ee_commits, 0);
	b->fake.eeprom[3] ^= 0xFF;
	b->fake.eeprom[8] ^= 0xFF;
	good(b, PROGRAM(b));
	assert_int_equal(b->fake.ee_commits, 2);
	assert_int_equal(b->fake.ee_loads, 2);
	assert_int_equal(b->fake.ee_block_bytes, 0);
	assert_int_equal(b->fake.eeprom[1], 0x33);
	assert_int_equal(b->fake.eeprom[14], 0x33);
	good(b, VERIFY(b));
	b->fake.eeprom[13] ^= 4;
	bad(b, VERIFY(b), FAIL_VERIFY);
	assert_int_equal(b->fault.address, AVR_EEPROM_BASE + 13);
	bench_free(b);
}

static void the_operator_may_stop_between_calls(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	put(b, 0, 8192, 1);
	up_to_erase(b);
	b->stop_after = b->reports + 3; /* the start and two calls */
	bad(b, PROGRAM(b), FAIL_ABORTED);
	assert_int_equal(b->fake.flash_calls, 2);
	assert_true(b->chip.attached);
	bad(b, VERIFY(b), FAIL_ABORTED);
	bad(b, ERASE(b), FAIL_ABORTED);
	bench_free(b);
}

static void a_past_deadline_starts_nothing(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);
	unsigned commands;

	(void)state;
	put(b, 0, 100, 1);
	bad(b, chip_avr.attach(&b->chip, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	assert_int_equal(b->fake.enters, 0);
	up_to_erase(b);
	commands = b->fake.commands;
	bad(b, chip_avr.program(&b->chip, &b->image, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	bad(b, chip_avr.verify(&b->chip, &b->image, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	bad(b, chip_avr.clock(&b->chip, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	bad(b, chip_avr.configure(&b->chip, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	bad(b, chip_avr.lock(&b->chip, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	bad(b, chip_avr.erase(&b->chip, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	assert_int_equal(b->fake.commands, commands);
	bench_free(b);
}

static void stuck_lock_bits_are_found(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	up_to_erase(b);
	good(b, CLOCK(b));
	good(b, CONFIGURE(b));
	b->fake.stuck_lock = 0x10;
	bad(b, LOCK(b), FAIL_LOCK);
	assert_int_equal(b->fault.found & 0x3F, 0x3F);
	b->fake.stuck_lock = 0;
	good(b, LOCK(b));
	bench_free(b);
}

static void the_final_proof_sees_what_is_in_force(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	up_to_erase(b);
	good(b, CLOCK(b));
	bad(b, LOCK(b), FAIL_FUSE); /* configure was left out: high fuse is not the recipe's */
	assert_non_null(strstr(b->fault.text, "high fuse"));
	bench_free(b);

	b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);
	up_to_erase(b);
	good(b, CLOCK(b));
	good(b, CONFIGURE(b));
	b->fake.dead_crystal = true;
	bad(b, LOCK(b), FAIL_FUSE);
	assert_non_null(strstr(b->fault.text, "final fuses"));
	assert_false(b->chip.attached);
	bench_free(b);
}

static void a_90usb1286_is_reached_above_64_kib(void **state)
{
	struct bench *b = bench_new("at90usb1286", 0xDE, 0x98, 0xFB);

	(void)state;
	put(b, 0, 5000, 1);
	put(b, 0xFF80, 0x300, 2); /* across 64 KiB */
	put(b, 0x1F000, 0x1000, 3);
	put(b, AVR_EEPROM_BASE + 4090, 6, 4);
	whole_way(b);
	assert_int_equal(b->fake.flash[0x1FFFF], b->image.segments[2].bytes[0xFFF]);
	b->fake.base.info.flash_limit = 65536;
	bad(b, PROGRAM(b), FAIL_WRITE);
	assert_non_null(strstr(b->fault.text, "another programmer"));
	bench_free(b);
}

static void an_image_for_a_bigger_chip_is_refused(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	put(b, 0x7FF0, 0x20, 1);
	up_to_erase(b);
	bad(b, PROGRAM(b), FAIL_WRITE);
	assert_int_equal(b->fake.flash_calls, 0);
	bench_free(b);
}

/* The fake counts F0 and extended fuse instructions to this part as violations. */
static void a_mega32a_has_no_poll_and_two_fuses(void **state)
{
	struct bench *b = bench_new("atmega32a", 0x1F, 0xC8, 0xFF);

	(void)state;
	b->fake.base.info.sck_steps[2] =
	        240000; /* too fast for an RC oscillator that runs 10 % slow */
	put(b, 0, 1000, 1);
	put(b, AVR_EEPROM_BASE + 10, 7, 2);
	whole_way(b);
	assert_int_equal(b->chip.facts.sck_first_hz,
	                 187500); /* 1 MHz RC less 10 %: below 225 kHz */
	assert_int_equal(b->chip.facts.sck_fast_hz, 1500000);
	assert_string_equal(b->fake.order, "hlh"); /* CKOPT, then CKSEL, then the rest */
	assert_int_equal(b->fake.ee_block_bytes, 7);
	assert_int_equal(b->chip.facts.fuses_left[FUSE_EXT], 0xFF);
	bench_free(b);
}

static void ckopt_goes_last_when_switched_off(void **state)
{
	struct bench *b = bench_new("atmega32a", 0xE4, 0xD9, 0xFF); /* RC 8 MHz, CKOPT off */

	(void)state;
	b->fake.fuses[FUSE_LOW] = 0x1F;
	b->fake.fuses[FUSE_HIGH] = 0xC9;
	put(b, 0, 100, 1);
	whole_way(b);
	assert_string_equal(b->fake.order, "lh");
	bench_free(b);
}

static void a_board_swapped_in_a_silence_gets_no_verdict(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	put(b, 0, 100, 1);
	up_to_erase(b);
	good(b, CLOCK(b));
	good(b, PROGRAM(b));
	good(b, VERIFY(b));
	good(b, CONFIGURE(b));
	b->fake.deaf_enters = 1;
	b->fake.swap_when_deaf = true;
	bad(b, LOCK(b), FAIL_CONTACT);
	assert_non_null(strstr(b->fault.text, "another one answered"));
	assert_false(b->chip.attached);
	bench_free(b);

	for (int64_t us = 0; us <= 1600000; us += 1600000) { /* a chip without a number: time decides */
		b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);
		memset(b->fake.row + 0x0E, 0xFF, 10);
		put(b, 0, 100, 1);
		up_to_erase(b);
		good(b, CLOCK(b));
		good(b, CONFIGURE(b));
		b->fake.deaf_enters = 1;
		b->fake.deaf_us = us;
		if (us == 0)
			good(b, LOCK(b));
		else
			bad(b, LOCK(b), FAIL_CONTACT);
		bench_free(b);
	}
}

static void old_eeprom_goes_when_the_recipe_keeps_none(void **state)
{
	static const uint8_t locks[] = {0xEF, 0xEC};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

		put(b, 0, 100, 1);
		b->fake.fuses[FUSE_LOW] = 0xFF;
		b->fake.fuses[FUSE_HIGH] = 0xD0; /* EESAVE programmed: somebody else's line */
		b->fake.lock = locks[i];
		whole_way(b);
		for (size_t at = 0; at < 1024; at++)
			assert_int_equal(b->fake.eeprom[at], 0xFF);
		assert_int_equal(b->fake.fuses[FUSE_HIGH], 0xD8);
		bench_free(b);
	}
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD0, 0xFB); /* and kept when it asks for that */
	put(b, 0, 100, 1);
	b->fake.fuses[FUSE_HIGH] = 0xD1;
	whole_way(b);
	assert_int_equal(b->fake.eeprom[7], 0x33);
	bench_free(b);
}

static void a_poll_that_times_out_is_not_repeated_for_ever(void **state)
{
	struct bench *b = bench_new("atmega32u4", 0xFF, 0xD8, 0xFB);

	(void)state;
	b->fake.absent = true;
	for (unsigned i = 0; i < 3; i++)
		bad(b, ATTACH(b), FAIL_CONTACT);
	assert_int_equal(b->chip.polls, 3); /* the next one looks for a slower chip */
	bad(b, chip_avr.attach(&b->chip, clock_now() - 1, &b->fault), FAIL_TIMEOUT);
	b->fake.absent = false;
	good(b, ATTACH(b));
	assert_int_equal(b->chip.facts.retries, 0);
	bench_free(b);
}

static void unknown_families_are_not_found(void **state)
{
	(void)state;
	assert_null(chip_find("pic"));
	assert_ptr_equal(chip_find("avr"), &chip_avr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_virgin_board_goes_the_whole_way),
	        cmocka_unit_test(a_divided_clock_is_undivided_for_the_fast_phase_only),
	        cmocka_unit_test(an_interrupted_fast_phase_is_put_right),
	        cmocka_unit_test(fuses_that_keep_the_divider_keep_the_sck),
	        cmocka_unit_test(an_rc_board_is_found_at_a_slower_sck),
	        cmocka_unit_test(the_search_ends_at_1_khz_and_starts_again),
	        cmocka_unit_test(a_128_khz_board_is_found),
	        cmocka_unit_test(a_programmer_without_sck_control_has_one_speed),
	        cmocka_unit_test(a_bouncing_contact_is_no_board),
	        cmocka_unit_test(rubbish_signatures_are_contact_faults),
	        cmocka_unit_test(another_chip_is_named),
	        cmocka_unit_test(a_board_taken_off_is_noticed),
	        cmocka_unit_test(a_lost_programmer_is_left_alone),
	        cmocka_unit_test(a_locked_chip_is_not_read),
	        cmocka_unit_test(an_erase_that_did_not_happen_is_found),
	        cmocka_unit_test(stuck_fuses_are_found),
	        cmocka_unit_test(fatal_fuses_are_never_written),
	        cmocka_unit_test(a_crystal_that_does_not_run_is_a_fuse_fault),
	        cmocka_unit_test(a_slow_board_gets_a_slower_sck),
	        cmocka_unit_test(a_crystal_that_starts_late_costs_no_speed),
	        cmocka_unit_test(a_wrong_byte_is_told_with_its_address),
	        cmocka_unit_test(blank_bytes_of_the_image_are_verified_too),
	        cmocka_unit_test(eeprom_wears_only_where_it_differs),
	        cmocka_unit_test(the_operator_may_stop_between_calls),
	        cmocka_unit_test(a_past_deadline_starts_nothing),
	        cmocka_unit_test(stuck_lock_bits_are_found),
	        cmocka_unit_test(the_final_proof_sees_what_is_in_force),
	        cmocka_unit_test(a_90usb1286_is_reached_above_64_kib),
	        cmocka_unit_test(an_image_for_a_bigger_chip_is_refused),
	        cmocka_unit_test(a_mega32a_has_no_poll_and_two_fuses),
	        cmocka_unit_test(ckopt_goes_last_when_switched_off),
	        cmocka_unit_test(a_board_swapped_in_a_silence_gets_no_verdict),
	        cmocka_unit_test(old_eeprom_goes_when_the_recipe_keeps_none),
	        cmocka_unit_test(a_poll_that_times_out_is_not_repeated_for_ever),
	        cmocka_unit_test(unknown_families_are_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
