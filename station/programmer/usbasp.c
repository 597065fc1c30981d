#include "station/programmer/programmer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* USBasp by Thomas Fischl and its descendants. Requests, flags and limits: USBasp firmware
 * 2011-05-28, main.c, isp.c and clock.h; V-USB usbdrv.c for the length limits. */

enum request {
	USBASP_CONNECT = 1,
	USBASP_DISCONNECT = 2,
	USBASP_TRANSMIT = 3,
	USBASP_READFLASH = 4,
	USBASP_ENABLEPROG = 5,
	USBASP_WRITEFLASH = 6,
	USBASP_READEEPROM = 7,
	USBASP_WRITEEEPROM = 8,
	USBASP_SETLONGADDRESS = 9,
	USBASP_SETISPSCK = 10,
	USBASP_GETCAPABILITIES = 127,
};

enum {
	VENDOR_OUT = 0x40, /* USB 2.0, table 9-2: vendor request, recipient device */
	VENDOR_IN = 0xC0,
	BLOCK_FIRST = 1,    /* load the page counter from the page size */
	BLOCK_LAST = 2,     /* commit a page that is not full at the end */
	READ_LIMIT = 248,   /* IN lengths are one byte and 255 is reserved: 31 whole packets */
	WRITE_LIMIT = 1024, /* and at most WRITE_PAGES: keeps one transfer far from its time-out */
	WRITE_PAGES = 8,
	CAPABLE_TPI = 1 << 0,
	CAPABLE_3MHZ = 1 << 24,
	FIXED_SCK_HZ = 375000, /* firmware that cannot be asked; some clones are slower */
	JUMPER_SCK_HZ = 8000,  /* the slow-clock jumper wins silently over SETISPSCK */
	BYTE_WAIT_US = 9600,   /* EEPROM and unpaged writes: 30 x 320 us per byte */
	PAGE_WAIT_US = 10000,  /* a page that never completes is given up after 9.9 ms */
	TRANSFER_US = 1000000, /* aim: one transfer ends within this, so that aborts are prompt */
	ANSWER_MS = 5000, /* shortest time a request gets before the programmer counts as hung */
	RELEASE_MS = 500,
	RESET_TO_ENABLE_US =
	        21000, /* data sheets: at least 20 ms; old firmware does not wait by itself */
};

/* SCK of codes 12, 11, … 1 at a 12 MHz crystal; the software codes (7 and below) as their shortest
 * bit, since a target counts every phase. Code 13 = 3 MHz exists on some forks. */
static const uint32_t sck_hz_of_code[14] = {
        0,     500,   1000,   2000,   4000,   8065,    16530,
        35200, 93750, 187500, 375000, 750000, 1500000, 3000000,
};

enum target_state { RELEASED, CONNECTED, PROGRAMMING };

struct usbasp {
	struct programmer base;
	struct link *link;
	enum target_state target;
	bool lost;           /* unplugged or hung: send nothing any more */
	bool long_addresses; /* SETLONGADDRESS exists (since 2007-07) */
	bool address_known;  /* the firmware's running byte address equals `address` */
	uint32_t address;
	uint32_t hz; /* SCK in force */
};

static struct usbasp *usbasp_of(struct programmer *programmer)
{
	return (struct usbasp *)programmer;
}

/* ---- one request ------------------------------------------------------------------------ */

/* A hung programmer must be told from a slow one: at least ANSWER_MS, and twice what the bytes take
 * should the slow-clock jumper be set. */
static deadline_t request_deadline(const struct usbasp *u, size_t bytes, uint32_t wait_us,
                                   deadline_t step)
{
	uint32_t hz = u->hz != 0 && u->hz < JUMPER_SCK_HZ ? u->hz : JUMPER_SCK_HZ;
	int64_t ms = 2 * ((int64_t)bytes * 32 * 1000 / hz + wait_us / 1000);
	deadline_t own = deadline_in_ms(ms > ANSWER_MS ? ms : ANSWER_MS);

	return own < step ? own : step;
}

/* Every request with four parameter bytes and an answer of at most `room` bytes. Returns link
 * results. */
static int ask(struct usbasp *u, enum request code, const uint8_t p[4], uint8_t *answer,
               uint16_t room, deadline_t deadline)
{
	return u->link->ops->control(u->link, VENDOR_IN, (uint8_t)code,
	                             (uint16_t)(p[0] | p[1] << 8), (uint16_t)(p[2] | p[3] << 8),
	                             answer, room, deadline);
}

static const uint8_t no_parameters[4];

static int ask_plain(struct usbasp *u, enum request code, uint8_t answer[4], deadline_t step)
{
	return ask(u, code, no_parameters, answer, 4, request_deadline(u, 0, 0, step));
}

/* A negative link result becomes a fault. `refused` is the code for trouble after which the
 * programmer itself is still there. */
static int link_fault(struct usbasp *u, int result, enum fail_code refused, const char *doing,
                      deadline_t step, struct fault *fault)
{
	u->address_known = false;
	switch (-result) {
	case LINK_GONE:
		u->lost = true;
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the USBasp was unplugged while %s",
		                 doing);
	case LINK_TIMEOUT:
		if (deadline_left_ms(step) == 0)
			return fault_set(fault, FAIL_TIMEOUT,
			                 "time ran out while %s; if this repeats, unplug the USBasp "
			                 "and plug it in again",
			                 doing);
		u->lost = true;
		return fault_set(
		        fault, FAIL_PROGRAMMER_LOST,
		        "the USBasp does not answer while %s; unplug it and plug it in again",
		        doing);
	case LINK_STALL:
		return fault_set(fault, refused, "the USBasp refused the request while %s", doing);
	default:
		return fault_set(
		        fault, refused,
		        "USB transfer error while %s; check the cable and hub of the USBasp",
		        doing);
	}
}

static int short_fault(struct usbasp *u, int got, unsigned wanted, enum fail_code code,
                       const char *doing, struct fault *fault)
{
	u->address_known = false;
	return fault_set(fault, code, "the USBasp sent %d of %u bytes while %s", got, wanted,
	                 doing);
}

/* ---- open ------------------------------------------------------------------------------- */

static bool usbasp_match(const struct usb_identity *id)
{
	/* The firmware before the shared id, and NIBObee, have ids of their own. */
	if ((id->vendor == 0x03EB && id->product == 0xC7B4) ||
	    (id->vendor == 0x16C0 && id->product == 0x092F))
		return true;
	if (id->vendor != 0x16C0 || id->product != 0x05DC)
		return false;
	/* Many hobby devices share this id: the strings decide, where they were read. */
	bool maker = id->manufacturer[0] == '\0' ||
	             strcmp(id->manufacturer, "www.fischl.de") == 0 ||
	             strcmp(id->manufacturer, "fischl.de") == 0;
	return maker && (id->name[0] == '\0' || strcmp(id->name, "USBasp") == 0);
}

/* Also when the step's time is over: a board must not be left in RESET. */
static void disconnect(struct usbasp *u, deadline_t step)
{
	uint8_t answer[4];
	deadline_t least = deadline_in_ms(RELEASE_MS);

	u->target = RELEASED;
	u->address_known = false;
	if (ask_plain(u, USBASP_DISCONNECT, answer, step > least ? step : least) == -LINK_GONE)
		u->lost = true;
}

/* A keyboard with USBaspLoader as its bootloader shows the ids and strings of a programmer. It has
 * bcdDevice 1.02 and answers SETISPSCK, which no programmer of that age does; then, and only then,
 * the SPI echo is tried, after CONNECT and ENABLEPROG because TRANSMIT alone hangs real ones for
 * ever. The loader claims to be in programming mode and echoes nothing. Returns 1 = loader, 0, or a
 * link result. */
static int is_bootloader(struct usbasp *u, deadline_t step)
{
	static const uint8_t enable[4] = {0xAC, 0x53, 0x00, 0x00};
	uint8_t answer[4] = {0};
	int result = ask_plain(u, USBASP_CONNECT, answer, step);

	if (result < 0)
		return result;
	clock_sleep_us(RESET_TO_ENABLE_US);
	result = ask_plain(u, USBASP_ENABLEPROG, answer, step);
	if (result == 1 && answer[0] == 0) {
		result =
		        ask(u, USBASP_TRANSMIT, enable, answer, 4, request_deadline(u, 4, 0, step));
		if (result >= 0)
			result = result == 4 && answer[2] != 0x53;
	} else if (result >= 0) {
		result = 0;
	}
	disconnect(u, step);
	return result;
}

static void describe(struct usbasp *u, const struct usb_identity *id, bool capable,
                     uint32_t capabilities)
{
	struct programmer_info *info = &u->base.info;
	const char *generation = "2007 or a clone of it";

	if (id->release == 0x0111)
		generation = "dioannidis";
	else if (id->release > 0x0106)
		generation = "nerdralph";
	else if (capable)
		generation = "2011 or newer";
	else if (info->sck_control)
		generation = "2009";
	snprintf(info->kind, sizeof info->kind, "%s", programmer_usbasp.kind);
	snprintf(info->firmware, sizeof info->firmware, "%s (%x.%02x)", generation,
	         id->release >> 8, id->release & 0xFF);
	snprintf(info->abilities, sizeof info->abilities, "%s%s%s%s",
	         info->sck_control ? "sck-control" : "fixed-sck",
	         capable && (capabilities & CAPABLE_TPI) ? " tpi" : "",
	         u->long_addresses ? "" : " 16-bit-addresses",
	         id->release > 0x0106 ? " slows-down-by-itself" : "");
	/* Firmware that sends "load extended address" (4D) by itself came with 2011. */
	if (!u->long_addresses)
		info->flash_limit = 0x10000;
	else if (!capable && id->release < 0x0106)
		info->flash_limit = 0x20000;
	if (!info->sck_control)
		return;
	unsigned code = capable && (capabilities & CAPABLE_3MHZ) ? 13 : 12;
	for (unsigned i = 0; code > 0; i++, code--)
		info->sck_steps[i] = sck_hz_of_code[code];
}

static int probe(struct usbasp *u, const struct usb_identity *id, deadline_t deadline,
                 struct fault *fault)
{
	const char *doing = "being asked what it can do";
	uint8_t answer[4] = {0};
	int got = ask_plain(u, USBASP_GETCAPABILITIES, answer, deadline);

	if (got < 0)
		return link_fault(u, got, FAIL_PROGRAMMER_LOST, doing, deadline, fault);
	bool capable = got == 4;
	uint32_t capabilities = (uint32_t)answer[0] | (uint32_t)answer[1] << 8 |
	                        (uint32_t)answer[2] << 16 | (uint32_t)answer[3] << 24;

	got = ask_plain(u, USBASP_SETISPSCK, answer,
	                deadline); /* code 0: let the firmware choose */
	if (got < 0)
		return link_fault(u, got, FAIL_PROGRAMMER_LOST, doing, deadline, fault);
	u->base.info.sck_control = got == 1;

	/* Who used it last may have died in mid-work, with RESET held low. */
	got = ask_plain(u, USBASP_DISCONNECT, answer, deadline);
	if (got < 0)
		return link_fault(u, got, FAIL_PROGRAMMER_LOST, doing, deadline, fault);

	if (id->release == 0x0102 && !capable && u->base.info.sck_control) {
		got = is_bootloader(u, deadline);
		if (got < 0)
			return link_fault(u, got, FAIL_PROGRAMMER_LOST, doing, deadline, fault);
		if (got == 1)
			return fault_set(fault, FAIL_PROGRAMMER_LOST,
			                 "this is a board in its USBaspLoader bootloader, not a "
			                 "programmer; unplug it");
	}
	describe(u, id, capable, capabilities);
	return 0;
}

static const struct isp_ops usbasp_isp;

static int usbasp_open(struct link *link, const struct usb_identity *identity,
                       struct programmer **out, deadline_t deadline, struct fault *fault)
{
	if (!usbasp_match(identity))
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the device calls itself \"%s\" by \"%s\", which is no USBasp",
		                 identity->name, identity->manufacturer);
	struct usbasp *u = calloc(1, sizeof *u);
	if (u == NULL)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "out of memory");
	u->base.driver = &programmer_usbasp;
	u->base.isp = &usbasp_isp;
	u->link = link;
	u->long_addresses = identity->vendor != 0x03EB;
	if (probe(u, identity, deadline, fault) != 0) {
		free(u);
		return -1;
	}
	*out = &u->base;
	return 0;
}

static void usbasp_close(struct programmer *programmer)
{
	struct usbasp *u = usbasp_of(programmer);

	if (!u->lost && u->target != RELEASED)
		disconnect(u, 0);
	u->link->ops->close(u->link);
	free(u);
}

/* ---- programming mode ------------------------------------------------------------------- */

/* Chooses the fastest step that is not above `hz`; the slowest when even that is above. */
static int set_sck(struct usbasp *u, uint32_t hz, deadline_t deadline, struct fault *fault)
{
	uint32_t *steps = u->base.info.sck_steps;

	u->hz = FIXED_SCK_HZ;
	if (!u->base.info.sck_control)
		return 0;
	unsigned count = 0, i = 0;
	while (steps[count] != 0)
		count++;
	while (i + 1 < count && steps[i] > hz)
		i++;
	const uint8_t p[4] = {(uint8_t)(count - i), 0, 0, 0};
	uint8_t answer[4] = {0};
	int got = ask(u, USBASP_SETISPSCK, p, answer, 4, request_deadline(u, 0, 0, deadline));
	if (got < 0)
		return link_fault(u, got, FAIL_PROGRAMMER_LOST, "its SCK was set", deadline, fault);
	/* A zero-length answer is how firmware says that it does not know a request: the speed is
	 * its default. */
	if (got == 1 && answer[0] == 0)
		u->hz = steps[i];
	return 0;
}

static int no_contact(const struct usbasp *u, struct fault *fault)
{
	if (u->base.info.sck_control)
		return fault_set(fault, FAIL_CONTACT, "no chip answers at an SCK of %u Hz",
		                 (unsigned)u->hz);
	return fault_set(fault, FAIL_CONTACT,
	                 "no chip answers at %u Hz, and this USBasp cannot change its SCK: for a "
	                 "chip clocked below "
	                 "1.5 MHz set its slow-clock jumper or update its firmware",
	                 (unsigned)u->hz);
}

static int usbasp_enter(struct programmer *programmer, const struct part *part, uint32_t sck_hz,
                        uint32_t *used_hz, deadline_t deadline, struct fault *fault)
{
	struct usbasp *u = usbasp_of(programmer);
	const char *doing = "entering programming mode";
	uint8_t answer[4] = {0};

	(void)part; /* the firmware is told the page size with every block, and polls by itself */
	if (u->target != RELEASED)
		disconnect(u, deadline);
	if (set_sck(u, sck_hz, deadline, fault) != 0)
		return -1;
	u->target = CONNECTED; /* if this fails, the firmware may have done it all the same */
	int got = ask_plain(u, USBASP_CONNECT, answer, deadline);
	if (got < 0)
		return link_fault(u, got, FAIL_PROGRAMMER_LOST, doing, deadline, fault);
	u->address_known = false; /* CONNECT makes the firmware forget its 32-bit address mode */
	if (got == 2 && answer[1] > 0 && answer[1] < 14) /* 1.06 tells which SCK it settled on */
		u->hz = sck_hz_of_code[answer[1]];
	clock_sleep_us(RESET_TO_ENABLE_US);

	got = ask_plain(u, USBASP_ENABLEPROG, answer, deadline);
	if (got < 0) {
		link_fault(u, got, FAIL_PROGRAMMER_LOST, doing, deadline, fault);
		if (!u->lost)
			disconnect(u, deadline);
		return -1;
	}
	if (got != 1 || answer[0] != 0) {
		disconnect(u, deadline);
		return no_contact(u, fault);
	}
	u->target = PROGRAMMING;
	if (used_hz != NULL)
		*used_hz = u->hz;
	return 0;
}

static void usbasp_leave(struct programmer *programmer, deadline_t deadline)
{
	struct usbasp *u = usbasp_of(programmer);

	if (!u->lost && u->target != RELEASED)
		disconnect(u, deadline);
}

/* Firmware waits for ever for a byte of its switched-off SPI unit when asked out of order; then
 * only unplugging helps. So the order is kept here, whatever the caller does. */
static int must_be_programming(const struct usbasp *u, struct fault *fault)
{
	if (u->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the USBasp is gone");
	if (u->target != PROGRAMMING)
		return fault_set(fault, FAIL_CONTACT, "the chip is not in programming mode");
	return 0;
}

static int usbasp_command(struct programmer *programmer, const uint8_t out[4], uint8_t in[4],
                          deadline_t deadline, struct fault *fault)
{
	struct usbasp *u = usbasp_of(programmer);
	const char *doing = "sending an instruction to the chip";

	if (must_be_programming(u, fault) != 0)
		return -1;
	int got = ask(u, USBASP_TRANSMIT, out, in, 4, request_deadline(u, 4, 0, deadline));
	if (got < 0)
		return link_fault(u, got, FAIL_WRITE, doing, deadline, fault);
	return got == 4 ? 0 : short_fault(u, got, 4, FAIL_WRITE, doing, fault);
}

/* ---- memories --------------------------------------------------------------------------- */

/* How many bytes go into one transfer so that it ends within TRANSFER_US; whole packets of 8. */
static size_t transfer_bytes(const struct usbasp *u, uint32_t byte_wait_us, size_t limit)
{
	uint32_t byte_us = 32 * (1000000 / u->hz) + 32 + byte_wait_us;
	size_t bytes = TRANSFER_US / byte_us / 8 * 8;

	if (bytes < 8)
		bytes = 8;
	return bytes < limit ? bytes : limit;
}

static int check_range(const struct usbasp *u, enum isp_memory memory, uint32_t address, size_t len,
                       enum fail_code code, struct fault *fault)
{
	uint64_t limit = u->base.info.flash_limit;

	if (memory == ISP_FLASH && limit != 0 && (uint64_t)address + len > limit)
		return fault_set(fault, code,
		                 "this USBasp reaches only the first %u KiB of flash; update its "
		                 "firmware to 2011-05-28",
		                 (unsigned)(limit / 1024));
	return 0;
}

/* The firmware counts its address up with every byte, so one request serves a whole run, also
 * across calls. */
static int go_to(struct usbasp *u, uint32_t address, enum fail_code code, deadline_t deadline,
                 struct fault *fault)
{
	if (!u->long_addresses || (u->address_known && u->address == address))
		return 0;
	const uint8_t p[4] = {(uint8_t)address, (uint8_t)(address >> 8), (uint8_t)(address >> 16),
	                      (uint8_t)(address >> 24)};
	uint8_t answer[4];
	int got = ask(u, USBASP_SETLONGADDRESS, p, answer, 4, request_deadline(u, 0, 0, deadline));
	if (got < 0)
		return link_fault(u, got, code, "setting an address", deadline, fault);
	u->address = address;
	u->address_known = true;
	return 0;
}

static int usbasp_read(struct programmer *programmer, enum isp_memory memory, uint32_t address,
                       uint8_t *bytes, size_t len, deadline_t deadline, struct fault *fault)
{
	struct usbasp *u = usbasp_of(programmer);
	enum request code = memory == ISP_FLASH ? USBASP_READFLASH : USBASP_READEEPROM;
	const char *doing = memory == ISP_FLASH ? "reading flash" : "reading EEPROM";

	if (must_be_programming(u, fault) != 0 ||
	    check_range(u, memory, address, len, FAIL_VERIFY, fault) != 0)
		return -1;
	const size_t block = transfer_bytes(u, 0, READ_LIMIT);
	while (len > 0) {
		uint16_t n = (uint16_t)(len < block ? len : block);
		/* Firmware without long addresses takes these 16 bits, all others ignore them. */
		const uint8_t p[4] = {(uint8_t)address, (uint8_t)(address >> 8), 0, 0};
		if (go_to(u, address, FAIL_VERIFY, deadline, fault) != 0)
			return -1;
		int got = ask(u, code, p, bytes, n, request_deadline(u, n, 0, deadline));
		if (got < 0)
			return link_fault(u, got, FAIL_VERIFY, doing, deadline, fault);
		if (got != n)
			return short_fault(u, got, n, FAIL_VERIFY, doing, fault);
		u->address += n;
		address += n;
		bytes += n;
		len -= n;
	}
	return 0;
}

/* One OUT transfer; p2 and p3 carry the page size and flags of WRITEFLASH. */
static int write_block(struct usbasp *u, enum request code, uint32_t address, const uint8_t *bytes,
                       uint16_t n, uint16_t index, uint32_t wait_us, deadline_t deadline,
                       struct fault *fault)
{
	const char *doing = code == USBASP_WRITEFLASH ? "writing flash" : "writing EEPROM";
	uint8_t data[WRITE_LIMIT];

	if (go_to(u, address, FAIL_WRITE, deadline, fault) != 0)
		return -1;
	memcpy(data, bytes, n); /* the link takes no const bytes */
	int sent = u->link->ops->control(u->link, VENDOR_OUT, (uint8_t)code, (uint16_t)address,
	                                 index, data, n, request_deadline(u, n, wait_us, deadline));
	if (sent < 0)
		return link_fault(u, sent, FAIL_WRITE, doing, deadline, fault);
	if (sent != n) {
		u->address_known = false;
		return fault_set(fault, FAIL_WRITE, "the USBasp took %d of %u bytes while %s", sent,
		                 n, doing);
	}
	u->address += n;
	return 0;
}

/* Bytes per transfer: whole pages, or at a slow SCK an even part of one (pages are powers of two).
 */
static size_t flash_block(const struct usbasp *u, uint16_t page)
{
	size_t fits = transfer_bytes(u, PAGE_WAIT_US / page, WRITE_LIMIT);
	size_t block = page;

	if (fits >= page) {
		size_t pages = fits / page;
		return (pages < WRITE_PAGES ? pages : WRITE_PAGES) * page;
	}
	while (block > fits && block % 2 == 0)
		block /= 2;
	return block;
}

static int write_flash(struct usbasp *u, uint32_t address, const uint8_t *bytes, size_t len,
                       uint16_t page, deadline_t deadline, struct fault *fault)
{
	/* The firmware counts pages from the start of a run and cannot see where they really begin.
	 */
	if (page < 2 || page > 256 || address % page != 0 || len % page != 0)
		return fault_set(
		        fault, FAIL_WRITE,
		        "flash is written in whole pages, not %zu bytes at 0x%X with a page of %u",
		        len, (unsigned)address, page);
	const size_t block = flash_block(u, page);
	unsigned flags = BLOCK_FIRST;
	while (len > 0) {
		uint16_t n = (uint16_t)(len < block ? len : block);
		if (n == len)
			flags |= BLOCK_LAST;
		uint16_t index =
		        (uint16_t)((page & 0xFF) | (((page >> 8) & 0x0F) << 4 | flags) << 8);
		uint32_t wait_us = (uint32_t)(n / page + 1) * PAGE_WAIT_US;
		if (write_block(u, USBASP_WRITEFLASH, address, bytes, n, index, wait_us, deadline,
		                fault) != 0)
			return -1;
		flags = 0;
		address += n;
		bytes += n;
		len -= n;
	}
	return 0;
}

static int write_eeprom(struct usbasp *u, uint32_t address, const uint8_t *bytes, size_t len,
                        deadline_t deadline, struct fault *fault)
{
	const size_t block = transfer_bytes(u, BYTE_WAIT_US, 64);

	while (len > 0) {
		uint16_t n = (uint16_t)(len < block ? len : block);
		if (write_block(u, USBASP_WRITEEEPROM, address, bytes, n, 0,
		                n * (uint32_t)BYTE_WAIT_US, deadline, fault) != 0)
			return -1;
		address += n;
		bytes += n;
		len -= n;
	}
	return 0;
}

static int usbasp_write(struct programmer *programmer, enum isp_memory memory, uint32_t address,
                        const uint8_t *bytes, size_t len, uint16_t page, deadline_t deadline,
                        struct fault *fault)
{
	struct usbasp *u = usbasp_of(programmer);

	if (must_be_programming(u, fault) != 0 ||
	    check_range(u, memory, address, len, FAIL_WRITE, fault) != 0)
		return -1;
	if (memory == ISP_EEPROM)
		return write_eeprom(u, address, bytes, len, deadline, fault);
	return write_flash(u, address, bytes, len, page, deadline, fault);
}

static const struct isp_ops usbasp_isp = {
        .enter = usbasp_enter,
        .leave = usbasp_leave,
        .command = usbasp_command,
        .read = usbasp_read,
        .write = usbasp_write,
};

const struct programmer_driver programmer_usbasp = {
        .kind = "usbasp",
        .match = usbasp_match,
        .open = usbasp_open,
        .close = usbasp_close,
};
