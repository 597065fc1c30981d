#include "station/programmer/programmer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* USBtinyISP (Adafruit) and SparkFun's PocketAVR: the firmware of D. Streefland's USBtiny, versions 1.4 to 1.7. Requests,
 * their bytes and limits: usbtinyisp main.c of those versions. The host keeps all waits; nothing is reported but
 * what MISO says. */

enum request {
	TINY_ECHO = 0,
	TINY_POWERUP = 5, /* SCK period in microseconds, level of RESET */
	TINY_POWERDOWN = 6,
	TINY_SPI = 7,
	TINY_POLL_BYTES = 8,
	TINY_FLASH_READ = 9,
	TINY_FLASH_WRITE = 10,
	TINY_EEPROM_READ = 11,
	TINY_EEPROM_WRITE = 12,
};

enum {
	VENDOR_OUT = 0x40, /* USB 2.0, table 9-2: vendor request, recipient device */
	VENDOR_IN = 0xC0,
	RESET_LOW = 0,
	RESET_HIGH = 1,
	READ_LIMIT = 248,       /* IN lengths are counted in 8 bits: whole packets below 256 */
	WRITE_LIMIT = 256,      /* one page; longer ones would keep an abort waiting */
	ADDRESS_LIMIT = 0x10000, /* of block requests: 16 bits of byte address */
	FLASH_LIMIT = 0x20000,   /* of the raw instructions without "load extended address" */
	TRANSFER_US = 400000,    /* aim: one transfer ends within this, so that aborts are prompt */
	ANSWER_MS = 1000,        /* shortest time a request gets before the programmer counts as hung */
	RELEASE_MS = 500,
	RESET_TO_ENABLE_US = 21000, /* data sheets: at least 20 ms */
	RESET_PULSE_US = 200,       /* two CPU clocks of the slowest chip that it can serve */
	ENTER_TRIES = 3,
};

/* SCK periods that are offered. A bit takes the period and the firmware's own instructions: 1.33 us up to version 1.05,
 * 1.83 us in 1.06 (run cycle by cycle); its high phase is half of the period at least, so the data sheets' rule for
 * each phase holds when it holds for the whole. */
static const uint8_t periods[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200, 250};
enum { PERIODS = sizeof periods };

struct usbtiny {
	struct programmer base;
	struct link *link;
	bool entered, lost;
	uint8_t period; /* us, in force */
	uint32_t hz;
	uint32_t bit_ns[PERIODS];
	const struct part *part; /* of the last enter, borrowed */
};

static struct usbtiny *usbtiny_of(struct programmer *programmer)
{
	return (struct usbtiny *)programmer;
}

/* ---- one request */

static deadline_t request_deadline(const struct usbtiny *t, size_t bytes, deadline_t step)
{
	int64_t us = (int64_t)bytes * 32 * (t->period + 2);
	deadline_t own = deadline_in_ms(ANSWER_MS + 4 * us / 1000);

	return own < step ? own : step;
}

static int link_fault(struct usbtiny *t, int result, enum fail_code refused, const char *doing, deadline_t step,
                      struct fault *fault)
{
	switch (-result) {
	case LINK_GONE:
		t->lost = true;
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the USBtiny was unplugged while %s", doing);
	case LINK_TIMEOUT:
		if (deadline_left_ms(step) == 0)
			return fault_set(fault, FAIL_TIMEOUT,
			                 "time ran out while %s; if this repeats, unplug the USBtiny and plug it in again",
			                 doing);
		t->lost = true;
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the USBtiny does not answer while %s; unplug it and plug it in again", doing);
	case LINK_STALL:
		return fault_set(fault, refused, "the USBtiny refused the request while %s", doing);
	default:
		return fault_set(fault, refused,
		                 "USB transfer error while %s; check the cable and hub of the USBtiny", doing);
	}
}

/* An IN request that must bring exactly `len` bytes. */
static int ask(struct usbtiny *t, enum request code, uint16_t value, uint16_t index, uint8_t *answer, uint16_t len,
               enum fail_code refused, const char *doing, deadline_t step, struct fault *fault)
{
	int got = t->link->ops->control(t->link, VENDOR_IN, (uint8_t)code, value, index, answer, len,
	                                request_deadline(t, len, step));

	if (got < 0)
		return link_fault(t, got, refused, doing, step, fault);
	if (got != len)
		return fault_set(fault, refused, "the USBtiny sent %d of %u bytes while %s", got, len, doing);
	return 0;
}

/* ---- open */

static bool usbtiny_match(const struct usb_identity *id)
{
	/* Arduino's own "ArduinoISP" boards, eHaJo's and iseavrprog have ids of their own. A board in Adafruit's or
	 * Arduino's Gemma bootloader has the first id or 2341:0C9F: echo tells. */
	static const struct {
		uint16_t vendor, product;
	} ids[] = {{0x1781, 0x0C9F}, {0x2341, 0x0049}, {0x2A03, 0x0049}, {0x16D0, 0x0BA5}, {0x1209, 0x6570}};

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		if (id->vendor == ids[i].vendor && id->product == ids[i].product)
			return true;
	return false;
}

/* The firmware echoes the eight bytes of the request itself. */
static int prove_echo(struct usbtiny *t, deadline_t deadline, struct fault *fault)
{
	static const uint8_t wanted[8] = {VENDOR_IN, TINY_ECHO, 0x34, 0x12, 0x78, 0x56, 8, 0};
	uint8_t answer[8] = {0};

	if (ask(t, TINY_ECHO, 0x1234, 0x5678, answer, sizeof answer, FAIL_PROGRAMMER_LOST, "being asked for an echo",
	        deadline, fault) != 0)
		return -1;
	if (memcmp(answer, wanted, sizeof wanted) != 0)
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the device has the id of a USBtiny and does not echo as one: is it a board in its "
		                 "bootloader?");
	return 0;
}

/* Also when the step's time is over: a board must not be left in RESET. */
static void power_down(struct usbtiny *t, deadline_t step)
{
	uint8_t none[1];
	deadline_t least = deadline_in_ms(RELEASE_MS);

	t->entered = false;
	if (t->link->ops->control(t->link, VENDOR_IN, TINY_POWERDOWN, 0, 0, none, 0, step > least ? step : least) ==
	    -LINK_GONE)
		t->lost = true;
}

static void describe(struct usbtiny *t, const struct usb_identity *id)
{
	struct programmer_info *info = &t->base.info;
	uint32_t extra_ns = id->release >= 0x0106 ? 1830 : 1330;

	snprintf(info->kind, sizeof info->kind, "%s", programmer_usbtiny.kind);
	snprintf(info->firmware, sizeof info->firmware, "USBtiny %x.%02x", id->release >> 8, id->release & 0xFFu);
	snprintf(info->abilities, sizeof info->abilities, "sck-control host-waits");
	info->flash_limit = FLASH_LIMIT;
	info->sck_control = true;
	for (size_t i = 0; i < PERIODS; i++) {
		t->bit_ns[i] = periods[i] * 1000u + extra_ns;
		info->sck_steps[i] = 1000000000u / t->bit_ns[i];
	}
}

static const struct isp_ops usbtiny_isp;

static int usbtiny_open(struct link *link, const struct usb_identity *identity, struct programmer **out,
                        deadline_t deadline, struct fault *fault)
{
	struct usbtiny *t = calloc(1, sizeof *t);

	if (t == NULL)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "out of memory");
	t->base.driver = &programmer_usbtiny;
	t->base.isp = &usbtiny_isp;
	t->link = link;
	t->period = 10;
	if (prove_echo(t, deadline, fault) != 0) {
		free(t);
		return -1;
	}
	/* Who used it last may have died in mid-work, with RESET held low. */
	power_down(t, deadline);
	if (t->lost) {
		free(t);
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the USBtiny was unplugged while it was opened");
	}
	describe(t, identity);
	*out = &t->base;
	return 0;
}

static void usbtiny_leave(struct programmer *programmer, deadline_t deadline)
{
	struct usbtiny *t = usbtiny_of(programmer);

	if (!t->lost && t->entered)
		power_down(t, deadline);
}

static void usbtiny_close(struct programmer *programmer)
{
	struct usbtiny *t = usbtiny_of(programmer);

	usbtiny_leave(programmer, 0);
	t->link->ops->close(t->link);
	free(t);
}

/* ---- instructions */

static int spi(struct usbtiny *t, const uint8_t out[4], uint8_t in[4], enum fail_code refused, const char *doing,
               deadline_t deadline, struct fault *fault)
{
	return ask(t, TINY_SPI, (uint16_t)(out[0] | out[1] << 8), (uint16_t)(out[2] | out[3] << 8), in, 4, refused, doing,
	           deadline, fault);
}

static int must_be_entered(const struct usbtiny *t, struct fault *fault)
{
	if (t->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the USBtiny is gone");
	if (!t->entered)
		return fault_set(fault, FAIL_CONTACT, "the chip is not in programming mode");
	return 0;
}

static int usbtiny_command(struct programmer *programmer, const uint8_t out[4], uint8_t in[4], deadline_t deadline,
                           struct fault *fault)
{
	struct usbtiny *t = usbtiny_of(programmer);

	if (must_be_entered(t, fault) != 0)
		return -1;
	return spi(t, out, in, FAIL_WRITE, "sending an instruction to the chip", deadline, fault);
}

/* ---- programming mode */

static int power_up(struct usbtiny *t, unsigned reset, const char *doing, deadline_t deadline, struct fault *fault)
{
	uint8_t none[1];

	t->entered = true; /* if this fails, the firmware may have done it all the same */
	return ask(t, TINY_POWERUP, t->period, (uint16_t)reset, none, 0, FAIL_CONTACT, doing, deadline, fault);
}

/* Fastest period whose bit is not shorter than hz allows; the slowest when even that is too fast. */
static void set_sck(struct usbtiny *t, uint32_t hz)
{
	size_t i = 0;

	while (i + 1 < PERIODS && t->base.info.sck_steps[i] > hz)
		i++;
	t->period = periods[i];
	t->hz = t->base.info.sck_steps[i];
}

/* A positive RESET pulse with SCK low, 20 ms, and the instruction whose second byte must come back in the third
 * (ATmega16U4/32U4 data sheet 7766J, 28.8.1). */
static int try_enable(struct usbtiny *t, bool *answered, deadline_t deadline, struct fault *fault)
{
	static const uint8_t enable[4] = {0xAC, 0x53, 0x00, 0x00};
	const char *doing = "entering programming mode";
	uint8_t in[4] = {0};

	if (power_up(t, RESET_HIGH, doing, deadline, fault) != 0)
		return -1;
	clock_sleep_us(RESET_PULSE_US);
	if (power_up(t, RESET_LOW, doing, deadline, fault) != 0)
		return -1;
	clock_sleep_us(RESET_TO_ENABLE_US);
	if (spi(t, enable, in, FAIL_CONTACT, doing, deadline, fault) != 0)
		return -1;
	*answered = in[2] == 0x53;
	return 0;
}

static int check_part(const struct part *part, struct fault *fault)
{
	if (part != NULL && part->flash_bytes > FLASH_LIMIT)
		return fault_set(fault, FAIL_WRITE,
		                 "a USBtiny cannot reach all of the %u KiB of flash of the %s: use another programmer",
		                 (unsigned)(part->flash_bytes / 1024), part->title);
	return 0;
}

static int usbtiny_enter(struct programmer *programmer, const struct part *part, uint32_t sck_hz, uint32_t *used_hz,
                         deadline_t deadline, struct fault *fault)
{
	struct usbtiny *t = usbtiny_of(programmer);
	bool answered = false;

	if (t->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the USBtiny is gone");
	if (check_part(part, fault) != 0)
		return -1;
	t->part = part;
	set_sck(t, sck_hz);
	for (unsigned tries = 0; tries < ENTER_TRIES && !answered; tries++)
		if (try_enable(t, &answered, deadline, fault) != 0) {
			if (!t->lost)
				power_down(t, deadline);
			return -1;
		}
	if (!answered) {
		power_down(t, deadline);
		return fault_set(fault, FAIL_CONTACT, "no chip answers at an SCK of %u Hz", (unsigned)t->hz);
	}
	if (used_hz != NULL)
		*used_hz = t->hz;
	return 0;
}

/* ---- memories */

/* Whole packets of 8 in one transfer that ends within TRANSFER_US. */
static size_t transfer_bytes(const struct usbtiny *t, uint32_t byte_wait_us, size_t limit)
{
	uint32_t byte_us = 32 * (t->period + 2u) + byte_wait_us;
	size_t bytes = TRANSFER_US / byte_us / 8 * 8;

	if (bytes < 8)
		bytes = 8;
	return bytes < limit ? bytes : limit;
}

/* The block requests build their instructions from 16 bits of byte address, so the word address loses its highest bit:
 * from 64 KiB on bytes are read by instructions of our own. */
static int read_high(struct usbtiny *t, uint32_t address, uint8_t *bytes, size_t len, deadline_t deadline,
                     struct fault *fault)
{
	for (size_t i = 0; i < len; i++, address++) {
		const uint8_t out[4] = {address & 1 ? 0x28 : 0x20, (uint8_t)(address >> 9), (uint8_t)(address >> 1), 0};
		uint8_t in[4];
		if (spi(t, out, in, FAIL_VERIFY, "reading flash", deadline, fault) != 0)
			return -1;
		bytes[i] = in[3];
	}
	return 0;
}

static int usbtiny_read(struct programmer *programmer, enum isp_memory memory, uint32_t address, uint8_t *bytes,
                        size_t len, deadline_t deadline, struct fault *fault)
{
	struct usbtiny *t = usbtiny_of(programmer);
	enum request code = memory == ISP_FLASH ? TINY_FLASH_READ : TINY_EEPROM_READ;
	const char *doing = memory == ISP_FLASH ? "reading flash" : "reading EEPROM";
	const size_t block = transfer_bytes(t, 0, READ_LIMIT);

	if (must_be_entered(t, fault) != 0)
		return -1;
	while (len > 0) {
		if (address >= ADDRESS_LIMIT)
			return read_high(t, address, bytes, len, deadline, fault);
		size_t n = len < block ? len : block;
		if (address + n > ADDRESS_LIMIT)
			n = ADDRESS_LIMIT - address;
		if (ask(t, code, 0, (uint16_t)address, bytes, (uint16_t)n, FAIL_VERIFY, doing, deadline, fault) != 0)
			return -1;
		address += (uint32_t)n;
		bytes += n;
		len -= n;
	}
	return 0;
}

static int send_block(struct usbtiny *t, enum request code, uint16_t poll_us, uint32_t address, const uint8_t *bytes,
                      size_t n, const char *doing, deadline_t deadline, struct fault *fault)
{
	uint8_t data[WRITE_LIMIT];
	deadline_t own = request_deadline(t, n, deadline) + (int64_t)n * poll_us * 2000;

	memcpy(data, bytes, n); /* the link takes no const bytes */
	int sent = t->link->ops->control(t->link, VENDOR_OUT, (uint8_t)code, poll_us, (uint16_t)address, data, (uint16_t)n,
	                                 own < deadline ? own : deadline);
	if (sent < 0)
		return link_fault(t, sent, FAIL_WRITE, doing, deadline, fault);
	if ((size_t)sent != n)
		return fault_set(fault, FAIL_WRITE, "the USBtiny took %d of %zu bytes while %s", sent, n, doing);
	return 0;
}

static int write_page(struct usbtiny *t, uint32_t address, const uint8_t *bytes, uint16_t page, deadline_t deadline,
                      struct fault *fault)
{
	const size_t block = transfer_bytes(t, 0, WRITE_LIMIT);
	const uint8_t commit[4] = {0x4C, (uint8_t)(address >> 9), (uint8_t)(address >> 1), 0};
	uint8_t in[4];

	/* Loading needs only the low bits of the address: what it loses of the high ones does not matter. */
	for (size_t done = 0; done < page;) {
		size_t n = page - done < block ? page - done : block;
		if (send_block(t, TINY_FLASH_WRITE, 0, address + (uint32_t)done, bytes + done, n, "writing flash", deadline,
		               fault) != 0)
			return -1;
		done += n;
	}
	if (spi(t, commit, in, FAIL_WRITE, "writing flash", deadline, fault) != 0)
		return -1;
	/* The longest time of the data sheet. Asking for RDY/BSY would end later, not sooner: each look is a whole
	 * transfer, one to two milliseconds on a low-speed bus. */
	clock_sleep_us(t->part != NULL ? t->part->twd_flash_us : 10000);
	return 0;
}

/* The firmware writes a byte, then reads it back until it is there or the time is over. A byte equal to one of the poll
 * values waits the whole time, which is right for every byte: FF is what an erased cell reads already. */
static int write_eeprom(struct usbtiny *t, uint32_t address, const uint8_t *bytes, size_t len, deadline_t deadline,
                        struct fault *fault)
{
	uint16_t wait_us = (uint16_t)(t->part != NULL ? t->part->twd_eeprom_us + 500 : 10000);
	size_t block = transfer_bytes(t, wait_us, 64);
	uint8_t none[1];

	if (ask(t, TINY_POLL_BYTES, 0xFFFF, 0, none, 0, FAIL_WRITE, "writing EEPROM", deadline, fault) != 0)
		return -1;
	while (len > 0) {
		size_t n = len < block ? len : block;
		if (send_block(t, TINY_EEPROM_WRITE, wait_us, address, bytes, n, "writing EEPROM", deadline, fault) != 0)
			return -1;
		address += (uint32_t)n;
		bytes += n;
		len -= n;
	}
	return 0;
}

static int usbtiny_write(struct programmer *programmer, enum isp_memory memory, uint32_t address, const uint8_t *bytes,
                         size_t len, uint16_t page, deadline_t deadline, struct fault *fault)
{
	struct usbtiny *t = usbtiny_of(programmer);

	if (must_be_entered(t, fault) != 0)
		return -1;
	if (memory == ISP_EEPROM)
		return write_eeprom(t, address, bytes, len, deadline, fault);
	if (page < 2 || page > WRITE_LIMIT || address % page != 0 || len % page != 0)
		return fault_set(fault, FAIL_WRITE, "flash is written in whole pages, not %zu bytes at 0x%X with a page of %u",
		                 len, (unsigned)address, page);
	for (size_t done = 0; done < len; done += page)
		if (write_page(t, address + (uint32_t)done, bytes + done, page, deadline, fault) != 0)
			return -1;
	return 0;
}

static const struct isp_ops usbtiny_isp = {
        .enter = usbtiny_enter,
        .leave = usbtiny_leave,
        .command = usbtiny_command,
        .read = usbtiny_read,
        .write = usbtiny_write,
};

const struct programmer_driver programmer_usbtiny = {
        .kind = "usbtiny",
        .match = usbtiny_match,
        .open = usbtiny_open,
        .close = usbtiny_close,
};
