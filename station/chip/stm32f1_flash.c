#include "station/chip/stm32f1_flash.h"

#include <string.h>

#include "hextools/digest.h"
#include "station/chip/cortex.h"
#include "station/chip/stm32f1_make.h"

#include "station/chip/stm32f1_loader.inc"

/* PM0075, 3 (registers) and 2.3 to 2.5 (what to write to them, in which order). */
#define FLASH_BASE    0x40022000u
#define FLASH_KEYR    (FLASH_BASE + 0x04)
#define FLASH_OPTKEYR (FLASH_BASE + 0x08)
#define FLASH_SR      (FLASH_BASE + 0x0C)
#define FLASH_CR      (FLASH_BASE + 0x10)
#define FLASH_AR      (FLASH_BASE + 0x14)
#define FLASH_OBR     (FLASH_BASE + 0x1C)
#define FLASH_WRPR    (FLASH_BASE + 0x20)
#define FLASH_KEY1    0x45670123u
#define FLASH_KEY2    0xCDEF89ABu
#define OPTIONS       0x1FFFF800u
#define IWDG_KR       0x40003000u /* RM0008, 19.4 */
#define CRC_BASE      0x40023000u /* RM0008, 4.4 */
#define RCC_AHBENR    0x40021014u /* RM0008, 7.3.6 */
#define DBGMCU_CR     0xE0042004u /* RM0008, 31.16.3 */

enum {
	SR_BSY = 1 << 0,
	SR_PGERR = 1 << 2,
	SR_WRPRTERR = 1 << 4,
	SR_EOP = 1 << 5,
	CR_PG = 1 << 0,
	CR_PER = 1 << 1,
	CR_MER = 1 << 2,
	CR_OPTPG = 1 << 4,
	CR_OPTER = 1 << 5,
	CR_STRT = 1 << 6,
	CR_LOCK = 1 << 7,
	CR_OPTWRE = 1 << 9,
	OBR_RDPRT = 1 << 1,
	AHBENR_CRCEN = 1 << 6,
	AHBENR_RESET = 0x14,
	DBG_STOP_WATCHDOGS = 3 << 8,
	BLANK = 0xFF,
	EDGE_BYTES = 16,
	TYPICAL_NS = 52500, /* DS5319: a half-word, typically */
};

/* ---- the controller */

static unsigned slowness(const struct chip *chip)
{
	return chip->facts.stm32f1.make != NULL ? chip->facts.stm32f1.make->slowness : 2;
}

int stm32f1_take_over(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	if (cortex_halt_at_reset(chip, deadline, fault) != 0)
		return -1;
	return cortex_set(chip, DBGMCU_CR, DBG_STOP_WATCHDOGS, deadline, fault);
}

static int must_be_halted(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	bool halted = false;

	if (cortex_halted(chip, &halted, deadline, fault) != 0)
		return -1;
	return halted ? 0 : stm32f1_take_over(chip, deadline, fault);
}

static int unlock(struct chip *chip, enum fail_code code, deadline_t deadline, struct fault *fault)
{
	uint32_t cr = 0;

	if (cortex_get(chip, FLASH_CR, &cr, deadline, fault) != 0)
		return -1;
	if (!(cr & CR_LOCK))
		return 0;
	if (cortex_set(chip, FLASH_KEYR, FLASH_KEY1, deadline, fault) != 0 ||
	    cortex_set(chip, FLASH_KEYR, FLASH_KEY2, deadline, fault) != 0 ||
	    cortex_get(chip, FLASH_CR, &cr, deadline, fault) != 0)
		return -1;
	if (cr & CR_LOCK)
		return fault_set(fault, code, "the flash controller stays locked: take the board off its power and try again");
	return 0;
}

/* Whatever happened before: nothing may be written any more. */
static void lock(struct chip *chip, deadline_t deadline)
{
	struct fault ignored;

	cortex_set(chip, FLASH_CR, CR_LOCK, deadline, &ignored);
}

static int flash_refused(uint32_t sr, enum fail_code code, uint32_t address, struct fault *fault)
{
	const char *why = sr & SR_WRPRTERR ? "this page is write protected" : "the flash was not blank there";

	if (address == 0)
		return fault_set(fault, code, "the chip refused it: %s", why);
	return fault_set(fault, code, "the chip refused a half-word at 0x%08X: %s", (unsigned)address, why);
}

/* Until the operation that was started is over. */
static int await_flash(struct chip *chip, uint32_t usual_us, enum fail_code code, deadline_t deadline,
                       struct fault *fault)
{
	int64_t limit = clock_now() + ((int64_t)usual_us * slowness(chip) * 3 + 20000) * 1000;
	uint32_t sr = SR_BSY;

	while (sr & SR_BSY) {
		if (cortex_get(chip, FLASH_SR, &sr, deadline, fault) != 0)
			return -1;
		if (!(sr & SR_BSY))
			break;
		if (clock_now() > limit)
			return fault_set(fault, code, "the flash stays busy: supply voltage, or the chip is worn out");
		clock_sleep_us(500);
	}
	return sr & (SR_PGERR | SR_WRPRTERR) ? flash_refused(sr, code, 0, fault) : 0;
}

static int clear_errors(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	return cortex_set(chip, FLASH_SR, SR_PGERR | SR_WRPRTERR | SR_EOP, deadline, fault);
}

/* ---- erase */

static uint32_t next_page(const struct hex_image *image, uint32_t address, uint16_t page)
{
	const struct hex_segment *segment = hex_image_from(image, address);

	if (segment == NULL)
		return UINT32_MAX;
	return segment->addr > address ? segment->addr / page * page : address;
}

static uint32_t count_pages(const struct chip *chip, const struct hex_image *image)
{
	uint16_t page = chip->part->flash_page;
	uint32_t pages = 0;

	for (uint32_t at = next_page(image, 0, page); at != UINT32_MAX; at = next_page(image, at + page, page))
		pages++;
	return pages;
}

/* Erasing all costs as much as one or two pages, and leaves nothing of an earlier life. Pages only where that saves time,
 * and where the serial number, which is no part of the recipe's image, stands in none of its own. Without an image (unlock)
 * all is what is meant. */
static bool by_page(const struct chip *chip)
{
	const struct part *part = chip->part;
	uint64_t pages = count_pages(chip, &chip->recipe->image);

	return pages > 0 && !chip->recipe->serial.wanted && part->twd_page_erase_us > 0 &&
	       pages * part->twd_page_erase_us < part->twd_erase_us;
}

static int erase_operation(struct chip *chip, uint32_t kind, uint32_t address, uint32_t usual_us, deadline_t deadline,
                           struct fault *fault)
{
	if (cortex_set(chip, FLASH_CR, kind, deadline, fault) != 0)
		return -1;
	if (kind == CR_PER && cortex_set(chip, FLASH_AR, address, deadline, fault) != 0)
		return -1;
	if (cortex_set(chip, FLASH_CR, kind | CR_STRT, deadline, fault) != 0)
		return -1;
	return await_flash(chip, usual_us, FAIL_ERASE, deadline, fault);
}

static int erase_pages(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	const struct hex_image *image = &chip->recipe->image;
	uint16_t page = chip->part->flash_page;

	for (uint32_t at = next_page(image, 0, page); at != UINT32_MAX; at = next_page(image, at + page, page))
		if (erase_operation(chip, CR_PER, at, chip->part->twd_page_erase_us, deadline, fault) != 0)
			return -1;
	return 0;
}

int stm32f1_flash_prove_blank(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	const struct hex_image *image = &chip->recipe->image;
	const struct hex_segment *last = image->count > 0 ? &image->segments[image->count - 1] : NULL;
	uint32_t end = last != NULL ? last->addr + (uint32_t)last->len : chip->part->flash_start + EDGE_BYTES;
	const uint32_t edges[2] = {chip->part->flash_start, end / EDGE_BYTES * EDGE_BYTES - EDGE_BYTES};
	uint8_t found[EDGE_BYTES];

	for (unsigned e = 0; e < 2; e++) {
		if (cortex_read(chip, edges[e], found, EDGE_BYTES, deadline, fault) != 0)
			return -1;
		for (uint32_t i = 0; i < EDGE_BYTES; i++)
			if (found[i] != BLANK)
				return fault_byte(fault, FAIL_ERASE, edges[e] + i, BLANK, found[i],
				                  "flash is not blank after the erase: the chip did not do it");
	}
	return 0;
}

int stm32f1_flash_erase(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	bool pages = by_page(chip);
	int failed;

	if (must_be_halted(chip, deadline, fault) != 0 || unlock(chip, FAIL_ERASE, deadline, fault) != 0 ||
	    clear_errors(chip, deadline, fault) != 0)
		return -1;
	failed = pages ? erase_pages(chip, deadline, fault)
	               : erase_operation(chip, CR_MER, 0, chip->part->twd_erase_us, deadline, fault);
	lock(chip, deadline);
	if (failed != 0)
		return -1;
	chip->facts.stm32f1.erased_by_page = pages;
	return stm32f1_flash_prove_blank(chip, deadline, fault);
}

/* ---- program */

/* SRAM while the loader runs: its code, then two places by turns. A place is data, right-aligned against its header of two
 * words, so that one transfer brings all of it and the count last. */
enum {
	CODE_ROOM = 0x100,
	HEADER = 8,
	BLOCK_MAX = 4096,   /* 107 ms of programming: time to bring the next one at any speed */
	BLOCK_FIRST = 1024, /* nothing is being programmed meanwhile, so it is short */
	POLL_US = 1000,
};

#define REFUSED 0x80000000u /* of a count: the loader has stopped, the rest is SR */

struct place {
	uint32_t header;     /* address */
	bool in_work;
	uint32_t address;    /* in the flash */
	uint32_t half_words, bytes; /* bytes of the image in it */
	int64_t due_ns;
};

struct writing { /* state of one program call */
	struct chip *chip;
	deadline_t deadline;
	struct fault *fault;
	enum fail_code code;
	uint32_t cr; /* what CR holds while half-words are written */
	struct place places[2];
	unsigned turn;
	uint32_t block; /* longest data of a place */
	uint32_t done, total;
	int64_t busy_until_ns; /* when the loader will have done all that it has */
};

static void put_word(uint8_t *b, uint32_t word)
{
	b[0] = (uint8_t)word;
	b[1] = (uint8_t)(word >> 8);
	b[2] = (uint8_t)(word >> 16);
	b[3] = (uint8_t)(word >> 24);
}

static void place_buffers(struct writing *w)
{
	const struct part *part = w->chip->part;
	uint32_t room = (part->sram_bytes - CODE_ROOM) / 2 - HEADER;

	w->block = room < BLOCK_MAX ? room / 4 * 4 : BLOCK_MAX;
	for (unsigned i = 0; i < 2; i++)
		w->places[i] = (struct place){.header = part->sram_start + CODE_ROOM + i * (w->block + HEADER) + w->block};
}

static int start_loader(struct writing *w)
{
	const uint8_t empty[HEADER] = {0};
	struct chip *chip = w->chip;
	uint32_t sram = chip->part->sram_start;
	struct cortex_start start = {
	        .pc = sram + LOADER_PROGRAM,
	        .sp = sram + chip->part->sram_bytes,
	        .registers = {0, 0, 0, FLASH_BASE, IWDG_KR, w->cr, w->places[0].header, w->places[1].header},
	        .count = 8,
	};

	if (cortex_write(chip, sram, loader, sizeof loader, w->deadline, w->fault) != 0)
		return -1;
	for (unsigned i = 0; i < 2; i++)
		if (cortex_write(chip, w->places[i].header, empty, HEADER, w->deadline, w->fault) != 0)
			return -1;
	return cortex_start(chip, &start, w->deadline, w->fault);
}

/* The loader has stopped at a half-word that the flash refused. */
static int on_refused(struct writing *w, uint32_t sr)
{
	struct fault ignored;
	uint32_t address = 0;

	cortex_await(w->chip, 10000, w->code, w->deadline, &ignored);
	if (cortex_register(w->chip, 1, &address, w->deadline, &ignored) != 0)
		address = 0;
	return flash_refused(sr, w->code, address, w->fault);
}

static void count_done(struct writing *w, struct place *place)
{
	const struct chip_progress *progress = &w->chip->progress;

	place->in_work = false;
	w->done += place->bytes;
	if (w->total > 0 && progress->report != NULL)
		progress->report(progress->context, w->done, w->total);
}

/* Until this place is free: the loader works on the places by turns, so the other one may still be full. */
static int await_place(struct writing *w, struct place *place)
{
	uint32_t worst_us = place->half_words * w->chip->part->twd_flash_us * slowness(w->chip) * 2 + 200000;
	int64_t limit = place->due_ns + (int64_t)worst_us * 1000;

	while (place->in_work) {
		int64_t left_us = (place->due_ns - clock_now()) / 1000;
		uint32_t count = 0;
		if (left_us > POLL_US)
			clock_sleep_us(left_us);
		if (cortex_get(w->chip, place->header + 4, &count, w->deadline, w->fault) != 0)
			return -1;
		if (count & REFUSED)
			return on_refused(w, count);
		if (count == 0)
			count_done(w, place);
		else if (clock_now() > limit)
			return cortex_await(w->chip, 0, w->code, w->deadline, w->fault) != 0
			               ? -1
			               : fault_set(w->fault, w->code, "the loader stopped in the middle");
		else
			clock_sleep_us(POLL_US);
	}
	return 0;
}

static uint32_t count_half_words(const uint8_t *bytes, uint32_t len)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < len; i += 2)
		count += bytes[i] != BLANK || bytes[i + 1] != BLANK;
	return count;
}

/* Hands `len` bytes (a multiple of 4) for `address` to the loader; `data` of them are of the image. bytes has room for a
 * header behind them. */
static int send_block(struct writing *w, uint32_t address, uint8_t *bytes, uint32_t len, uint32_t data)
{
	struct place *place = &w->places[w->turn];

	if (await_place(w, place) != 0)
		return -1;
	put_word(bytes + len, address);
	put_word(bytes + len + 4, len / 2);
	if (cortex_write(w->chip, place->header - len, bytes, len + HEADER, w->deadline, w->fault) != 0)
		return -1;
	int64_t now = clock_now(), begin = w->busy_until_ns > now ? w->busy_until_ns : now;
	place->in_work = true;
	place->address = address;
	place->half_words = count_half_words(bytes, len);
	place->bytes = data;
	place->due_ns = w->busy_until_ns = begin + (int64_t)place->half_words * TYPICAL_NS;
	w->turn ^= 1;
	return 0;
}

static int finish_loader(struct writing *w)
{
	/* The older one first. */
	if (await_place(w, &w->places[w->turn]) != 0 || await_place(w, &w->places[w->turn ^ 1]) != 0)
		return -1;
	return 0;
}

/* Cuts blank words off both ends; false: nothing else is there. */
static bool trim(const uint8_t *bytes, uint32_t *from, uint32_t *to)
{
	static const uint8_t blank[4] = {BLANK, BLANK, BLANK, BLANK};

	while (*from < *to && memcmp(bytes + *from, blank, 4) == 0)
		*from += 4;
	while (*to > *from && memcmp(bytes + *to - 4, blank, 4) == 0)
		*to -= 4;
	return *from < *to;
}

static int send_image(struct writing *w, const struct hex_image *image)
{
	uint8_t bytes[BLOCK_MAX + HEADER];
	uint32_t room = w->block < BLOCK_FIRST ? w->block : BLOCK_FIRST, at = 0;

	for (const struct hex_segment *segment; (segment = hex_image_from(image, at)) != NULL; at += room) {
		if (segment->addr > at)
			at = segment->addr & ~3u;
		uint32_t from = 0, to = room;
		uint32_t data = (uint32_t)hex_image_read(image, at, bytes, room, BLANK);
		if (cortex_may_go_on(w->chip, w->deadline, w->fault) != 0)
			return -1;
		if (!trim(bytes, &from, &to)) {
			w->done += data;
			continue;
		}
		memmove(bytes, bytes + from, to - from);
		if (send_block(w, at + from, bytes, to - from, data) != 0)
			return -1;
		w->chip->facts.bytes_written += to - from;
		at += room - w->block; /* the loop adds the new, longer one */
		room = w->block;
	}
	return finish_loader(w);
}

/* The loader is stopped and the flash locked, however it went. */
static int end_writing(struct writing *w, int failed)
{
	struct fault ignored;

	if (cortex_stop(w->chip, w->deadline, failed != 0 ? &ignored : w->fault) != 0)
		failed = -1;
	lock(w->chip, w->deadline);
	return failed;
}

static int check_inside(const struct chip *chip, const struct hex_image *image, struct fault *fault)
{
	const struct part *part = chip->part;

	for (size_t i = 0; i < image->count; i++) {
		uint64_t begin = image->segments[i].addr, end = begin + image->segments[i].len;
		if (begin < part->flash_start || end > (uint64_t)part->flash_start + part->flash_bytes)
			return fault_set(fault, FAIL_WRITE, "0x%08X is outside the flash of the %s", (unsigned)begin,
			                 part->title);
	}
	return 0;
}

int stm32f1_flash_program(struct chip *chip, const struct hex_image *image, deadline_t deadline, struct fault *fault)
{
	struct writing w = {.chip = chip, .deadline = deadline, .fault = fault, .code = FAIL_WRITE, .cr = CR_PG};

	chip->facts.bytes_written = 0;
	if (cortex_may_go_on(chip, deadline, fault) != 0 || check_inside(chip, image, fault) != 0 ||
	    must_be_halted(chip, deadline, fault) != 0 || unlock(chip, FAIL_WRITE, deadline, fault) != 0 ||
	    clear_errors(chip, deadline, fault) != 0)
		return -1;
	w.total = (uint32_t)hex_image_bytes(image);
	place_buffers(&w);
	if (chip->progress.report != NULL)
		chip->progress.report(chip->progress.context, 0, w.total);
	if (start_loader(&w) != 0)
		return end_writing(&w, -1);
	return end_writing(&w, send_image(&w, image));
}

/* ---- read and verify */

int stm32f1_flash_read(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len, deadline_t deadline,
                       struct fault *fault)
{
	const struct part *part = chip->part;

	if (address < part->flash_start || address - part->flash_start >= part->flash_bytes ||
	    len > part->flash_bytes - (address - part->flash_start))
		return fault_set(fault, FAIL_VERIFY, "0x%08X is outside the flash of the %s", (unsigned)address, part->title);
	if (chip->facts.stm32f1.protected_left)
		return fault_set(fault, FAIL_PROTECTED,
		                 "the flash cannot be read: the chip's read-out protection is on, and taking it away erases it");
	return cortex_read(chip, address, bytes, len, deadline, fault);
}

enum { CALL_BYTES = 6144 }; /* what an ST-Link moves at once; pages of 1 and of 2 KiB divide it */

struct reading { /* state of one verify call */
	struct chip *chip;
	deadline_t deadline;
	struct fault *fault;
	uint32_t total;
};

static int compare(const struct reading *r, uint32_t address, const uint8_t *wanted, const uint8_t *found, size_t len)
{
	uint32_t kib = r->chip->facts.stm32f1.flash_kib;
	bool claims = kib > 0 && kib < 0xFFFF; /* else the size word says nothing */
	size_t first = len, differing = 0;

	for (size_t i = 0; i < len; i++)
		if (wanted[i] != found[i] && differing++ == 0)
			first = i;
	if (differing == 0)
		return 0;
	address += (uint32_t)first;
	if (claims && address - r->chip->part->flash_start >= kib * 1024)
		return fault_byte(r->fault, FAIL_VERIFY, address, wanted[first], found[first],
		                  "behind the %u KiB of flash that this chip claims to have: it has no more",
		                  (unsigned)kib);
	return fault_byte(r->fault, FAIL_VERIFY, address, wanted[first], found[first],
	                  "flash reads back differently, %zu of %zu bytes of this block differ", differing, len);
}

static void report_verified(const struct reading *r, uint32_t len)
{
	const struct chip_progress *progress = &r->chip->progress;

	r->chip->facts.bytes_verified += len;
	if (progress->report != NULL)
		progress->report(progress->context, r->chip->facts.bytes_verified, r->total);
}

static int read_back(struct reading *r, const struct hex_image *image, uint32_t address, uint32_t len)
{
	uint8_t wanted[CALL_BYTES], found[CALL_BYTES] = {0};

	for (uint32_t done = 0; done < len;) {
		uint32_t n = len - done < CALL_BYTES ? len - done : CALL_BYTES, at = address + done;
		if (cortex_may_go_on(r->chip, r->deadline, r->fault) != 0 ||
		    stm32f1_flash_read(r->chip, at, found, n, r->deadline, r->fault) != 0)
			return -1;
		hex_image_read(image, at, wanted, n, BLANK);
		if (compare(r, at, wanted, found, n) != 0)
			return -1;
		r->chip->facts.readback_crc = crc32_update(r->chip->facts.readback_crc, found, n);
		report_verified(r, n);
		done += n;
	}
	return 0;
}

/* CRC of the chip's own unit: words, polynomial 04C11DB7, from the top bit, start value FFFFFFFF (RM0008, 4.2). */
static uint32_t crc_words(uint32_t crc, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 4) {
		crc ^= bytes[i] | (uint32_t)bytes[i + 1] << 8 | (uint32_t)bytes[i + 2] << 16 | (uint32_t)bytes[i + 3] << 24;
		for (unsigned bit = 0; bit < 32; bit++)
			crc = crc & 0x80000000u ? crc << 1 ^ 0x04C11DB7u : crc << 1;
	}
	return crc;
}

static uint32_t crc_wanted(const struct hex_image *image, uint32_t address, uint32_t len)
{
	uint8_t wanted[1024];
	uint32_t crc = 0xFFFFFFFFu;

	for (uint32_t done = 0; done < len; done += sizeof wanted) {
		hex_image_read(image, address + done, wanted, sizeof wanted, BLANK);
		crc = crc_words(crc, wanted, sizeof wanted);
	}
	return crc;
}

static int crc_of_chip(struct reading *r, uint32_t address, uint32_t len, uint32_t *crc)
{
	struct chip *chip = r->chip;
	uint32_t sram = chip->part->sram_start;
	struct cortex_start start = {
	        .pc = sram + LOADER_CRC,
	        .sp = sram + chip->part->sram_bytes,
	        .registers = {address, len / 4, CRC_BASE},
	        .count = 3,
	};

	if (must_be_halted(chip, r->deadline, r->fault) != 0 ||
	    cortex_set(chip, RCC_AHBENR, AHBENR_RESET | AHBENR_CRCEN, r->deadline, r->fault) != 0 ||
	    cortex_write(chip, sram, loader, sizeof loader, r->deadline, r->fault) != 0 ||
	    cortex_start(chip, &start, r->deadline, r->fault) != 0)
		return -1;
	/* About 10 cycles a word at the 8 MHz of after a reset. */
	if (cortex_await(chip, (int64_t)len * 2 + 100000, FAIL_VERIFY, r->deadline, r->fault) != 0)
		return -1;
	return cortex_register(chip, 0, crc, r->deadline, r->fault);
}

/* A CRC that is not the right one proves nothing, for a clone may lack the unit: then the bytes are read. */
static int verify_run(struct reading *r, const struct hex_image *image, uint32_t address, uint32_t len)
{
	uint32_t crc = 0;

	if (r->chip->recipe->full_readback)
		return read_back(r, image, address, len);
	if (crc_of_chip(r, address, len, &crc) != 0 && r->fault->code != FAIL_VERIFY)
		return -1;
	if (crc == crc_wanted(image, address, len)) {
		r->chip->facts.stm32f1.verified_by_crc = true;
		report_verified(r, len);
		return 0;
	}
	return read_back(r, image, address, len);
}

/* Whole pages: what fills a page up beside the image must be blank too. */
int stm32f1_flash_verify(struct chip *chip, const struct hex_image *image, deadline_t deadline, struct fault *fault)
{
	struct reading r = {.chip = chip, .deadline = deadline, .fault = fault};
	uint16_t page = chip->part->flash_page;

	chip->facts.bytes_verified = chip->facts.readback_crc = 0;
	chip->facts.stm32f1.verified_by_crc = false;
	if (check_inside(chip, image, fault) != 0)
		return -1;
	r.total = count_pages(chip, image) * page;
	report_verified(&r, 0);
	for (uint32_t at = next_page(image, 0, page); at != UINT32_MAX;) {
		uint32_t len = page;
		while (next_page(image, at + len, page) == at + len)
			len += page;
		if (verify_run(&r, image, at, len) != 0)
			return -1;
		at = next_page(image, at + len, page);
	}
	return 0;
}

/* ---- option bytes */

/* As they were at the last reset, from the controller's own registers. Of USER only three bits stand there. */
static void options_in_force(uint32_t obr, uint32_t wrpr, uint8_t options[OPTION_BYTES])
{
	options[OPTION_RDP] = obr & OBR_RDPRT ? BLANK : RDP_OPEN;
	options[OPTION_USER] = (uint8_t)(0xF8 | (obr >> 2 & 7));
	options[OPTION_DATA0] = (uint8_t)(obr >> 10);
	options[OPTION_DATA1] = (uint8_t)(obr >> 18);
	for (unsigned i = 0; i < 4; i++)
		options[OPTION_WRP0 + i] = (uint8_t)(wrpr >> 8 * i);
}

int stm32f1_options_read(struct chip *chip, uint8_t options[OPTION_BYTES], bool *protected, deadline_t deadline,
                         struct fault *fault)
{
	uint8_t raw[2 * OPTION_BYTES];
	uint32_t obr = 0, wrpr = 0;

	if (cortex_get(chip, FLASH_OBR, &obr, deadline, fault) != 0 ||
	    cortex_get(chip, FLASH_WRPR, &wrpr, deadline, fault) != 0)
		return -1;
	*protected = (obr & OBR_RDPRT) != 0;
	options_in_force(obr, wrpr, options);
	/* A protected chip may hide them. */
	if (cortex_read(chip, OPTIONS, raw, sizeof raw, deadline, fault) != 0)
		return *protected && fault->code == FAIL_VERIFY ? 0 : -1;
	/* Every second byte is a complement; a pair that does not fit counts as erased (PM0075, 2.5). */
	for (unsigned i = 0; i < OPTION_BYTES; i++)
		options[i] = (raw[2 * i] ^ raw[2 * i + 1]) == 0xFF ? raw[2 * i] : BLANK;
	return 0;
}

static int unlock_options(struct chip *chip, enum fail_code code, deadline_t deadline, struct fault *fault)
{
	uint32_t cr = 0;

	if (unlock(chip, code, deadline, fault) != 0 ||
	    cortex_set(chip, FLASH_OPTKEYR, FLASH_KEY1, deadline, fault) != 0 ||
	    cortex_set(chip, FLASH_OPTKEYR, FLASH_KEY2, deadline, fault) != 0 ||
	    cortex_get(chip, FLASH_CR, &cr, deadline, fault) != 0)
		return -1;
	return cr & CR_OPTWRE ? 0 : fault_set(fault, code, "the chip does not let its option bytes be written");
}

static int program_options(struct chip *chip, const uint8_t options[OPTION_BYTES], enum fail_code code,
                           deadline_t deadline, struct fault *fault)
{
	struct writing w = {
	        .chip = chip, .deadline = deadline, .fault = fault, .code = code, .cr = CR_OPTPG | CR_OPTWRE};
	uint8_t bytes[2 * OPTION_BYTES + HEADER];

	for (unsigned i = 0; i < OPTION_BYTES; i++) {
		bytes[2 * i] = options[i];
		bytes[2 * i + 1] = (uint8_t)~options[i];
	}
	place_buffers(&w);
	if (start_loader(&w) != 0 || send_block(&w, OPTIONS, bytes, 2 * OPTION_BYTES, 0) != 0)
		return end_writing(&w, -1);
	return end_writing(&w, finish_loader(&w));
}

int stm32f1_options_write(struct chip *chip, const uint8_t options[OPTION_BYTES], enum fail_code code,
                          deadline_t deadline, struct fault *fault)
{
	struct stm32f1_facts *facts = &chip->facts.stm32f1;

	if (must_be_halted(chip, deadline, fault) != 0 || unlock_options(chip, code, deadline, fault) != 0 ||
	    clear_errors(chip, deadline, fault) != 0 ||
	    cortex_set(chip, FLASH_CR, CR_OPTER | CR_OPTWRE, deadline, fault) != 0 ||
	    cortex_set(chip, FLASH_CR, CR_OPTER | CR_OPTWRE | CR_STRT, deadline, fault) != 0 ||
	    await_flash(chip, chip->part->twd_erase_us, code, deadline, fault) != 0)
		return -1;
	/* Erased option bytes mean protection after the next reset, so nothing may stop us here. */
	if (program_options(chip, options, code, deadline, fault) != 0 || stm32f1_take_over(chip, deadline, fault) != 0 ||
	    stm32f1_options_read(chip, facts->options_left, &facts->protected_left, deadline, fault) != 0)
		return -1;
	for (unsigned i = 0; i < OPTION_BYTES; i++)
		if (facts->options_left[i] != options[i]) {
			fault_set(fault, code, "option byte %u: wrote 0x%02X, reads 0x%02X", i, options[i],
			          facts->options_left[i]);
			fault->expected = options[i];
			fault->found = facts->options_left[i];
			return -1;
		}
	return 0;
}
