#include "station/chip/avr_memory.h"

#include <string.h>

#include "hextools/digest.h"
#include "station/chip/avr_isp.h"

/* One call to the programmer: long enough that its overhead vanishes, short enough that the
 * progress moves and a stop is heard within a second. Every page size (64, 128, 256) divides it. */
enum { CALL_BYTES = 1024, BLANK = 0xFF };

struct place { /* an image address as the chip knows it */
	enum isp_memory memory;
	uint32_t offset;
};

static int find_place(const struct part *part, uint32_t address, size_t len, enum fail_code code,
                      struct place *out, struct fault *fault)
{
	uint32_t size;

	out->memory = address >= AVR_EEPROM_BASE ? ISP_EEPROM : ISP_FLASH;
	out->offset = out->memory == ISP_EEPROM ? address - AVR_EEPROM_BASE : address;
	size = out->memory == ISP_EEPROM ? part->eeprom_bytes : part->flash_bytes;
	if (out->offset >= size || len > size - out->offset)
		return fault_set(fault, code, "0x%06X is outside the flash and EEPROM of the %s",
		                 address, part->title);
	return 0;
}

int avr_memory_read(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len,
                    deadline_t deadline, struct fault *fault)
{
	struct place place;

	if (find_place(chip->part, address, len, FAIL_VERIFY, &place, fault))
		return -1;
	/* LB mode 3 (both bits programmed) ends reading; the chip answers rubbish, not an error
	 * (ATmega16U4/32U4 data sheet 7766J, 28.1). */
	if ((chip->facts.lock_left & 3) == 0)
		return fault_set(fault, FAIL_PROTECTED,
		                 "the memories cannot be read: lock bits 0x%02X; only a chip erase "
		                 "opens them",
		                 chip->facts.lock_left);
	return avr_read_block(chip, place.memory, place.offset, bytes, len, deadline, fault);
}

static void report(const struct chip *chip, uint32_t done, uint32_t total)
{
	if (chip->progress.report)
		chip->progress.report(chip->progress.context, done, total);
}

/* ---- programming */

struct writing { /* state of one program call */
	struct chip *chip;
	deadline_t deadline;
	struct fault *fault;
	uint32_t done, total;
	uint32_t run_address, run_len; /* flash pages collected and not yet written */
	uint8_t run[CALL_BYTES];
};

static int flush_run(struct writing *w)
{
	if (!w->run_len)
		return 0;
	if (avr_may_go_on(w->chip, w->deadline, w->fault) ||
	    avr_write_block(w->chip, ISP_FLASH, w->run_address, w->run, w->run_len, w->deadline,
	                    w->fault))
		return -1;
	w->chip->facts.bytes_written += w->run_len;
	w->done += w->run_len;
	w->run_len = 0;
	report(w->chip, w->done, w->total);
	return 0;
}

static bool all_blank(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != BLANK)
			return false;
	return true;
}

static int add_page(struct writing *w, const struct hex_image *image, uint32_t address)
{
	uint16_t page = w->chip->part->flash_page;

	if (w->run_len &&
	    (w->run_address + w->run_len != address || w->run_len + page > CALL_BYTES) &&
	    flush_run(w))
		return -1;
	hex_image_read(image, address, w->run + w->run_len, page, BLANK);
	if (all_blank(w->run + w->run_len, page)) { /* the erase has done it already */
		w->chip->facts.pages_skipped++;
		w->done += page;
		return 0;
	}
	if (!w->run_len)
		w->run_address = address;
	w->run_len += page;
	return 0;
}

/* First page at or after `address` that holds image data, or UINT32_MAX. */
static uint32_t next_page(const struct hex_image *image, uint32_t address, uint16_t page)
{
	const struct hex_segment *segment = hex_image_from(image, address);

	if (!segment || segment->addr >= AVR_EEPROM_BASE || page == 0)
		return UINT32_MAX;
	return segment->addr > address ? segment->addr / page * page : address;
}

static int write_flash(struct writing *w, const struct hex_image *image)
{
	uint16_t page = w->chip->part->flash_page;

	for (uint32_t at = next_page(image, 0, page); at != UINT32_MAX;
	     at = next_page(image, at + page, page))
		if (add_page(w, image, at))
			return -1;
	return flush_run(w);
}

/* Loads and commits one EEPROM page. Only bytes loaded into the buffer are altered, their erase
 * included (ATmega16U4/32U4 data sheet 7766J, 28.8, EEPROM page access), so all others keep their
 * value. */
static int write_eeprom_page(struct writing *w, uint32_t from, uint32_t to, const uint8_t *bytes,
                             const uint8_t *old)
{
	const struct part *part = w->chip->part;
	uint32_t start = from / part->eeprom_page * part->eeprom_page;
	const uint8_t commit[4] = {0xC2, (uint8_t)(start >> 8), (uint8_t)start, 0};

	for (uint32_t i = 0; i < to - from; i++) {
		const uint8_t load[4] = {0xC1, 0, (uint8_t)(from + i - start), bytes[i]};
		uint8_t in[4];

		if (bytes[i] == old[i])
			continue;
		if (avr_command(w->chip, load, in, true, w->deadline, w->fault))
			return -1;
		w->chip->facts.bytes_written++;
	}
	return avr_commit(w->chip, commit, part->twd_eeprom_us, FAIL_WRITE, w->deadline, w->fault);
}

/* Which way is cheaper: by page instructions a byte costs one command (1 to 2 ms on a low-speed
 * programmer) and a page one wait; the programmer's own EEPROM write costs a whole wait per byte
 * (USBasp firmware 2011-05-28: a fixed 9.6 ms). So pages wherever the part has them, also for one
 * byte. */
static int write_eeprom_piece(struct writing *w, uint32_t from, uint32_t to, const uint8_t *bytes,
                              const uint8_t *old)
{
	const struct part *part = w->chip->part;

	if (memcmp(bytes, old, to - from) == 0)
		return 0; /* most of it after a chip erase; and EEPROM cells wear */
	if (part->eeprom_page_isp)
		return write_eeprom_page(w, from, to, bytes, old);
	for (uint32_t i = 0; i < to - from;) {
		uint32_t len = 0;

		while (from + i + len < to && bytes[i + len] != old[i + len])
			len++;
		if (len && avr_write_block(w->chip, ISP_EEPROM, from + i, bytes + i, len,
		                           w->deadline, w->fault))
			return -1;
		w->chip->facts.bytes_written += len;
		i += len + 1;
	}
	return 0;
}

/* [from, from + len) in steps that end at page borders, so that a stop is heard between pages. */
static int write_eeprom_run(struct writing *w, uint32_t from, const uint8_t *bytes, size_t len)
{
	uint16_t page = w->chip->part->eeprom_page;
	uint8_t old[CALL_BYTES];

	if (avr_may_go_on(w->chip, w->deadline, w->fault) ||
	    avr_read_block(w->chip, ISP_EEPROM, from, old, len, w->deadline, w->fault))
		return -1;
	for (uint32_t i = 0; i < len;) {
		uint32_t piece = page - (from + i) % page;

		if (piece > len - i)
			piece = (uint32_t)len - i;
		if (avr_may_go_on(w->chip, w->deadline, w->fault) ||
		    write_eeprom_piece(w, from + i, from + i + piece, bytes + i, old + i))
			return -1;
		i += piece;
		w->done += piece;
		report(w->chip, w->done, w->total);
	}
	return 0;
}

static int write_eeprom(struct writing *w, const struct hex_image *image)
{
	for (const struct hex_segment *segment = hex_image_from(image, AVR_EEPROM_BASE);
	     segment && segment < image->segments + image->count; segment++) {
		for (size_t i = 0; i < segment->len; i += CALL_BYTES) {
			size_t len = segment->len - i < CALL_BYTES ? segment->len - i : CALL_BYTES;

			if (write_eeprom_run(w, (uint32_t)(segment->addr + i - AVR_EEPROM_BASE),
			                     segment->bytes + i, len))
				return -1;
		}
	}
	return 0;
}

/* Bytes that a program call will report: whole flash pages, EEPROM bytes. Refuses a foreign image.
 */
static int measure(const struct chip *chip, const struct hex_image *image, uint32_t *total,
                   struct fault *fault)
{
	uint16_t page = chip->part->flash_page;
	uint64_t eeprom = 0;
	uint32_t pages = 0;

	for (size_t i = 0; i < image->count; i++) {
		struct place place;

		if (find_place(chip->part, image->segments[i].addr, image->segments[i].len,
		               FAIL_WRITE, &place, fault))
			return -1;
		if (place.memory == ISP_EEPROM)
			eeprom += image->segments[i].len;
	}
	for (uint32_t at = next_page(image, 0, page); at != UINT32_MAX;
	     at = next_page(image, at + page, page))
		pages++;
	*total = pages * page + (uint32_t)eeprom;
	return 0;
}

int avr_memory_program(struct chip *chip, const struct hex_image *image, deadline_t deadline,
                       struct fault *fault)
{
	struct writing w = {.chip = chip, .deadline = deadline, .fault = fault};

	chip->facts.bytes_written = chip->facts.pages_skipped = 0;
	if (avr_may_go_on(chip, deadline, fault) || measure(chip, image, &w.total, fault))
		return -1;
	report(chip, 0, w.total);
	if (write_flash(&w, image) || write_eeprom(&w, image))
		return -1;
	report(chip, w.total, w.total);
	return 0;
}

/* ---- verifying */

static int compare(uint32_t address, const uint8_t *wanted, const uint8_t *found, size_t len,
                   struct fault *fault)
{
	size_t first = len, differing = 0;

	for (size_t i = 0; i < len; i++) {
		if (wanted[i] == found[i])
			continue;
		if (!differing++)
			first = i;
	}
	if (!differing)
		return 0;
	return fault_byte(fault, FAIL_VERIFY, address + (uint32_t)first, wanted[first],
	                  found[first],
	                  "%s reads back differently, %zu of %zu bytes of this block differ",
	                  address >= AVR_EEPROM_BASE ? "EEPROM" : "flash", differing, len);
}

struct reading { /* state of one verify call */
	struct chip *chip;
	deadline_t deadline;
	struct fault *fault;
	uint32_t total;
};

/* Reads [address, address + len), at most CALL_BYTES, and compares it with what should be there. */
static int verify_piece(struct reading *r, uint32_t address, const uint8_t *wanted, size_t len)
{
	struct chip_facts *facts = &r->chip->facts;
	uint8_t found[CALL_BYTES] = {0};

	if (avr_may_go_on(r->chip, r->deadline, r->fault) ||
	    avr_memory_read(r->chip, address, found, len, r->deadline, r->fault) ||
	    compare(address, wanted, found, len, r->fault))
		return -1;
	if (address < AVR_EEPROM_BASE)
		facts->readback_crc = crc32_update(facts->readback_crc, found, len);
	facts->bytes_verified += (uint32_t)len;
	report(r->chip, facts->bytes_verified, r->total);
	return 0;
}

/* Whole pages, as they were written: what fills a page up beside the image must be blank too. */
static int verify_flash(struct reading *r, const struct hex_image *image)
{
	uint16_t page = r->chip->part->flash_page;
	uint8_t wanted[CALL_BYTES];

	for (uint32_t at = next_page(image, 0, page); at != UINT32_MAX;) {
		uint32_t len = page;

		while (len + page <= CALL_BYTES && next_page(image, at + len, page) == at + len)
			len += page;
		hex_image_read(image, at, wanted, len, BLANK);
		if (verify_piece(r, at, wanted, len))
			return -1;
		at = next_page(image, at + len, page);
	}
	return 0;
}

static int verify_eeprom(struct reading *r, const struct hex_image *image)
{
	for (const struct hex_segment *segment = hex_image_from(image, AVR_EEPROM_BASE);
	     segment && segment < image->segments + image->count; segment++) {
		for (size_t i = 0; i < segment->len; i += CALL_BYTES) {
			size_t len = segment->len - i < CALL_BYTES ? segment->len - i : CALL_BYTES;

			if (verify_piece(r, segment->addr + (uint32_t)i, segment->bytes + i, len))
				return -1;
		}
	}
	return 0;
}

/* A difference means little when the chip does not answer any more: then it is the contact. */
static int blame_contact_first(struct reading *r)
{
	struct fault contact;
	uint8_t signature[3];

	if (r->fault->code != FAIL_VERIFY ||
	    !avr_signature(r->chip, signature, r->deadline, &contact) || contact.code != FAIL_CONTACT)
		return -1;
	fault_byte(&contact, FAIL_CONTACT, r->fault->address, r->fault->expected, r->fault->found,
	           "the board stopped answering before or while it was read back");
	*r->fault = contact;
	return -1;
}

int avr_memory_verify(struct chip *chip, const struct hex_image *image, deadline_t deadline,
                      struct fault *fault)
{
	struct reading r = {.chip = chip, .deadline = deadline, .fault = fault};

	chip->facts.bytes_verified = chip->facts.readback_crc = 0;
	if (measure(chip, image, &r.total, fault))
		return -1;
	report(chip, 0, r.total);
	if (verify_flash(&r, image) || verify_eeprom(&r, image))
		return blame_contact_first(&r);
	return 0;
}
