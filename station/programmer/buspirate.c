#include "station/programmer/programmer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bus Pirate v3 and v4 (v5 and v6 in their legacy mode) in binary SPI mode. Modes, commands and their answers: Bus Pirate
 * firmware, SPI.c and binIO.c. Every command is acknowledged, and the UART of a v3 has room for four bytes while the
 * firmware is at work: the next command waits for the acknowledgement. The host keeps the chip's waits. */

enum command {
	PIRATE_BBIO = 0x00, /* any mode: back to bit-bang mode, which lets go of the pins */
	PIRATE_SPI = 0x01,  /* from bit-bang mode; in SPI mode: which one is it? */
	PIRATE_TERMINAL = 0x0F,
	PIRATE_PINS = 0x80,       /* bit-bang mode: levels */
	SPI_WRITE_READ = 0x05,    /* counts, data: kept until all of it is there, then clocked, then acknowledged */
	SPI_AVR = 0x06,           /* "extended commands", since 6.x */
	SPI_BULK = 0x10,          /* + bytes - 1 */
	SPI_PERIPHERALS = 0x40,
	SPI_SPEED = 0x60,
	SPI_CONFIGURE = 0x8A, /* pins drive 3.3 V, SCK idle low, SPI mode 0 */
};

enum {
	AVR_VERSION = 0x01,
	AVR_READ = 0x02,
	ACKNOWLEDGED = 0x01,
	REFUSED = 0x00,
	POWER = 0x08, /* of SPI_PERIPHERALS; CS is the chip's RESET */
	CS = 0x01,
	PINS_POWER = 0x40, /* of PIRATE_PINS */
	BAUD = 115200,
	FLASH_LIMIT = 0x20000, /* nothing sends "load extended address" */
	RUN_LIMIT = 0xFFFF,    /* of AVR_READ: word address + bytes */
	RUN_MOST = 4096,       /* 0.36 s: a stop must be heard */
	RUN_LEAST = 16,        /* below, instructions of our own cost less */
	PAGE_MAX = 256,
	BULK_MAX = 16,
	ROOM = 4,              /* bytes that a v3 has no trouble with, however slow its SCK */
	BYTE_SCK_HZ = 125000,  /* from here on SPI is faster than the line: 8 bits in 64 us, 10 bits of 115200 baud in 87 */
	ANSWER_MS = 1000,      /* a command gets so long beyond its work */
	HUNG_MS = 1000,        /* silent for so long beyond its work, not the board but the programmer is at fault */
	QUIET_MS = 40,         /* a USB adapter may hold bytes back for 16 ms */
	ZERO_MS = 5,           /* from one zero to the next */
	ZEROS = 25,            /* 20 open bit-bang mode; some get lost in the menus */
	FILLS = 270,           /* of 16 zeros: more than the longest SPI_WRITE_READ waits for */
	FILL = 16,
	RELEASE_MS = 500,
	POWER_UP_US = 50000,
	RESET_TO_ENABLE_US = 21000, /* data sheets: at least 20 ms */
	RESET_PULSE_US = 200,
	ENTER_TRIES = 3,
};

/* SCK of SPI_SPEED + 0, 1, … "2.6 MHz" is a sixth of 16 MHz: for a chip at 16 MHz just not slow enough. */
static const uint32_t speed_hz[] = {30000, 125000, 250000, 1000000, 2000000, 2666667, 4000000, 8000000};
enum { SPEEDS = sizeof speed_hz / sizeof speed_hz[0] };

struct pirate {
	struct programmer base;
	struct link *link;
	bool block_write, avr_read; /* what its firmware has */
	bool in_spi, entered, lost;
	bool out_of_step; /* answers may come that nobody waits for, or it waits for the rest of a command */
	bool distrust;    /* that was found where no fault could be told: tell it at the next entry */
	uint8_t speed;
	int64_t ready_at; /* the page that was written last is in the chip then */
	int64_t asked_at; /* when the command went out whose answer is awaited */
	const struct part *part; /* of the last enter, borrowed */
};

struct talk { /* what a fault has to know about an exchange */
	size_t line_bytes, spi_bytes;
	enum fail_code refused;
	const char *doing;
};

static struct pirate *pirate_of(struct programmer *programmer)
{
	return (struct pirate *)programmer;
}

/* ---- bytes */

static int64_t talk_ms(const struct pirate *p, const struct talk *t)
{
	return 2 * ((int64_t)t->line_bytes * 10000 / BAUD + (int64_t)t->spi_bytes * 8000 / speed_hz[p->speed]);
}

static deadline_t earlier(deadline_t a, deadline_t b)
{
	return a < b ? a : b;
}

/* 0 or a link result. */
static int put(struct pirate *p, const uint8_t *bytes, size_t len, deadline_t deadline)
{
	int sent = p->link->ops->write(p->link, bytes, len, deadline);

	if (sent < 0)
		return sent;
	return (size_t)sent == len ? 0 : -LINK_IO;
}

/* Exactly `len` bytes, and never one more: what is too much must be seen by the next answer. */
static int get(struct pirate *p, uint8_t *bytes, size_t len, deadline_t deadline)
{
	while (len > 0) {
		int got = p->link->ops->read(p->link, bytes, len, deadline);
		if (got < 0)
			return got;
		bytes += got;
		len -= (size_t)got;
	}
	return 0;
}

/* Takes away what comes until nothing comes any more. */
static int drain(struct pirate *p, deadline_t step)
{
	uint8_t waste[64];
	deadline_t end = earlier(deadline_in_ms(ANSWER_MS), step); /* or it babbles */

	while (deadline_left_ms(end) > 0) {
		int got = p->link->ops->read(p->link, waste, sizeof waste, earlier(deadline_in_ms(QUIET_MS), end));
		if (got == -LINK_GONE)
			return got;
		if (got < 0)
			break;
	}
	return 0;
}

/* ---- in step */

/* Sends zeros and looks for the name of the bit-bang mode. *matched outlives the call: the name may come in pieces. Returns
 * whether it is complete, or -LINK_GONE. */
static int send_zeros(struct pirate *p, size_t count, size_t *matched, deadline_t step)
{
	static const uint8_t zeros[FILL];
	static const uint8_t name[] = {'B', 'B', 'I', 'O', '1'};
	deadline_t deadline = earlier(deadline_in_ms(ZERO_MS), step);
	int got = put(p, zeros, count, earlier(deadline_in_ms(ANSWER_MS), step));

	while (got != -LINK_GONE && *matched < sizeof name) {
		uint8_t byte;
		got = p->link->ops->read(p->link, &byte, 1, deadline);
		if (got < 0 || deadline_left_ms(deadline) == 0)
			break;
		if (got > 0)
			*matched = byte == name[*matched] ? *matched + 1 : byte == name[0] && *matched != 1;
	}
	return got == -LINK_GONE ? got : *matched == sizeof name;
}

/* Twenty zeros lead from the terminal to the bit-bang mode, one leads there from any other; the rest of a command that
 * was cut is filled up with zeros first. Returns 1, 0, or -LINK_GONE. */
static int find_bit_bang(struct pirate *p, deadline_t step)
{
	size_t matched = 0;
	int found = drain(p, step);

	p->in_spi = p->entered = false;
	for (unsigned i = 0; i < ZEROS && found == 0 && deadline_left_ms(step) > 0; i++)
		found = send_zeros(p, 1, &matched, step);
	for (unsigned i = 0; i < FILLS && found == 0 && deadline_left_ms(step) > 0; i++)
		found = send_zeros(p, FILL, &matched, step);
	if (found == 1) /* each zero too many has said the name again */
		found = drain(p, step) == 0 ? 1 : -LINK_GONE;
	p->out_of_step = found != 1;
	return found;
}

static int gone_fault(struct pirate *p, const char *doing, struct fault *fault)
{
	p->lost = true;
	return fault_set(fault, FAIL_PROGRAMMER_LOST, "the Bus Pirate was unplugged while %s", doing);
}

static int resync(struct pirate *p, const struct talk *t, deadline_t step, struct fault *fault)
{
	int found = find_bit_bang(p, step);

	if (found == 1)
		return 0;
	if (found < 0)
		return gone_fault(p, t->doing, fault);
	if (deadline_left_ms(step) == 0 && clock_now() - p->asked_at < (HUNG_MS + talk_ms(p, t)) * 1000000)
		return fault_set(fault, FAIL_TIMEOUT,
		                 "time ran out while %s; if this repeats, unplug the Bus Pirate and plug it in again", t->doing);
	p->lost = true;
	return fault_set(fault, FAIL_PROGRAMMER_LOST,
	                 "the Bus Pirate does not answer while %s; unplug it and plug it in again", t->doing);
}

/* What is out of step is no contact fault: those are tried again, and the error would be forgotten. What was read before
 * may have been the answer to something else, and what it was fed with until it answered may be in the chip. */
static enum fail_code doubt(enum fail_code refused)
{
	return refused == FAIL_CONTACT ? FAIL_VERIFY : refused;
}

static int link_fault(struct pirate *p, int result, const struct talk *t, deadline_t step, struct fault *fault)
{
	p->out_of_step = true;
	switch (-result) {
	case LINK_GONE:
		return gone_fault(p, t->doing, fault);
	case LINK_TIMEOUT:
		if (resync(p, t, step, fault) != 0)
			return -1;
		return fault_set(fault, doubt(t->refused),
		                 "a byte was lost between station and Bus Pirate while %s; check its cable and hub", t->doing);
	default:
		return fault_set(fault, doubt(t->refused),
		                 "transfer error while %s; check the cable and hub of the Bus Pirate", t->doing);
	}
}

static int answer_fault(struct pirate *p, uint8_t found, const struct talk *t, struct fault *fault)
{
	p->out_of_step = true;
	return fault_set(fault, doubt(t->refused),
	                 found == REFUSED ? "the Bus Pirate refuses the command while %s"
	                                  : "the Bus Pirate gives an answer that fits no command while %s",
	                 t->doing);
}

/* ---- one command */

static deadline_t talk_deadline(const struct pirate *p, const struct talk *t, deadline_t step)
{
	return earlier(deadline_in_ms(ANSWER_MS + talk_ms(p, t)), step);
}

static int send(struct pirate *p, const uint8_t *out, size_t len, const struct talk *t, deadline_t step, struct fault *fault)
{
	p->asked_at = clock_now();
	int sent = put(p, out, len, talk_deadline(p, t, step));

	return sent < 0 ? link_fault(p, sent, t, step, fault) : 0;
}

/* An acknowledgement and `len` bytes. */
static int receive(struct pirate *p, uint8_t *in, size_t len, const struct talk *t, deadline_t step, struct fault *fault)
{
	deadline_t deadline = talk_deadline(p, t, step);
	uint8_t first = REFUSED;
	int got = get(p, &first, 1, deadline);

	if (got == 0 && first != ACKNOWLEDGED)
		return answer_fault(p, first, t, fault);
	if (got == 0)
		got = get(p, in, len, deadline);
	return got != 0 ? link_fault(p, got, t, step, fault) : 0;
}

/* Exactly these bytes must come. */
static int expect(struct pirate *p, const char *wanted, size_t len, const struct talk *t, deadline_t step, struct fault *fault)
{
	uint8_t found[8] = {0};
	int got = get(p, found, len, talk_deadline(p, t, step));

	if (got < 0)
		return link_fault(p, got, t, step, fault);
	return memcmp(found, wanted, len) == 0 ? 0 : answer_fault(p, found[0] == REFUSED ? REFUSED : 0xFF, t, fault);
}

/* A few commands of one byte, within the UART's room, each acknowledged. */
static int order(struct pirate *p, const uint8_t *commands, size_t count, const struct talk *t, deadline_t step,
                 struct fault *fault)
{
	if (send(p, commands, count, t, step, fault) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (receive(p, NULL, 0, t, step, fault) != 0)
			return -1;
	return 0;
}

static int to_spi(struct pirate *p, const struct talk *t, deadline_t step, struct fault *fault)
{
	static const uint8_t command[1] = {PIRATE_SPI};

	p->asked_at = clock_now();
	if (p->out_of_step && resync(p, t, step, fault) != 0)
		return -1;
	if (p->in_spi)
		return 0;
	if (send(p, command, sizeof command, t, step, fault) != 0 || expect(p, "SPI1", 4, t, step, fault) != 0)
		return -1;
	p->in_spi = true;
	return 0;
}

/* Up to BULK_MAX bytes and what MISO said meanwhile. */
static int bulk(struct pirate *p, const uint8_t *out, size_t len, uint8_t *in, enum fail_code refused, const char *doing,
                deadline_t step, struct fault *fault)
{
	const struct talk t = {2 * (len + 1), len, refused, doing};
	uint8_t frame[1 + BULK_MAX] = {(uint8_t)(SPI_BULK + len - 1)};

	memcpy(frame + 1, out, len);
	if (send(p, frame, 1 + len, &t, step, fault) != 0)
		return -1;
	return receive(p, in, len, &t, step, fault);
}

/* ---- open */

static bool pirate_match(const struct usb_identity *id)
{
	/* A v3 is an FT232R as its maker delivers it, and so is any cable: only a station file can say that it is one. Nobody
	 * else's line may be opened, let alone be sent zeros. */
	return (id->vendor == 0x04D8 && id->product == 0xFB00) || (id->vendor == 0x1209 && id->product == 0x7331);
}

/* The oldest firmware takes the four bytes of counts for four times "back to bit-bang mode". */
static int ask_block_write(struct pirate *p, const struct talk *t, deadline_t deadline, struct fault *fault)
{
	static const uint8_t nothing[5] = {SPI_WRITE_READ};
	uint8_t answer = REFUSED;

	if (send(p, nothing, sizeof nothing, t, deadline, fault) != 0)
		return -1;
	int got = get(p, &answer, 1, talk_deadline(p, t, deadline));
	if (got < 0)
		return link_fault(p, got, t, deadline, fault);
	p->block_write = answer == ACKNOWLEDGED;
	if (p->block_write)
		return 0;
	p->out_of_step = true;
	return to_spi(p, t, deadline, fault);
}

/* Firmware without them takes the second byte for the question which mode it is in. */
static int ask_avr_commands(struct pirate *p, const struct talk *t, deadline_t deadline, struct fault *fault)
{
	static const uint8_t version[2] = {SPI_AVR, AVR_VERSION};
	uint8_t answer = REFUSED;

	if (send(p, version, sizeof version, t, deadline, fault) != 0)
		return -1;
	int got = get(p, &answer, 1, talk_deadline(p, t, deadline));
	if (got < 0)
		return link_fault(p, got, t, deadline, fault);
	p->avr_read = answer == ACKNOWLEDGED;
	return p->avr_read ? expect(p, "\x01\x00\x01", 3, t, deadline, fault) : expect(p, "SPI1", 4, t, deadline, fault);
}

static void describe(struct pirate *p, const struct usb_identity *id)
{
	struct programmer_info *info = &p->base.info;
	const char *model = id->vendor == 0x04D8 ? "v4, " : id->vendor == 0x1209 ? "v5 or v6, " : "";

	snprintf(info->kind, sizeof info->kind, "%s", programmer_buspirate.kind);
	snprintf(info->firmware, sizeof info->firmware, "%s%s", model,
	         p->avr_read ? "6.0 or newer" : p->block_write ? "5.10 or newer" : "before 5.10");
	snprintf(info->abilities, sizeof info->abilities, "sck-control host-waits%s%s", p->block_write ? " block-write" : "",
	         p->avr_read ? " avr-read" : "");
	info->flash_limit = FLASH_LIMIT;
	info->sck_control = true;
	for (size_t i = 0; i < SPEEDS; i++)
		info->sck_steps[i] = speed_hz[SPEEDS - 1 - i];
}

/* In SPI mode the pins drive: RESET is let go, then all of them, and the board keeps its power. */
static int let_go(struct pirate *p, const struct talk *t, deadline_t deadline, struct fault *fault)
{
	static const uint8_t commands[3] = {SPI_PERIPHERALS | POWER | CS, PIRATE_BBIO, PIRATE_PINS | PINS_POWER | CS};
	uint8_t levels;

	if (send(p, commands, sizeof commands, t, deadline, fault) != 0 ||
	    expect(p, "\x01" "BBIO1", 6, t, deadline, fault) != 0)
		return -1;
	p->in_spi = false;
	int got = get(p, &levels, 1, talk_deadline(p, t, deadline));
	return got < 0 ? link_fault(p, got, t, deadline, fault) : 0;
}

static int probe(struct pirate *p, deadline_t deadline, struct fault *fault)
{
	static const uint8_t lines[2] = {'\n', '\n'}; /* out of a menu, should the terminal stand in one */
	static const uint8_t back[1] = {PIRATE_BBIO};
	const struct talk t = {16, 0, FAIL_PROGRAMMER_LOST, "being asked what it can do"};
	int got = p->link->ops->line(p->link, BAUD, LINE_DTR | LINE_RTS, deadline);

	if (got == 0)
		got = put(p, lines, sizeof lines, deadline);
	if (got == 0)
		got = find_bit_bang(p, deadline);
	if (got == -LINK_GONE)
		return gone_fault(p, "it was opened", fault);
	if (got != 1)
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "nothing answers as a Bus Pirate in binary mode: is it one, and nobody's terminal open on it?");
	if (to_spi(p, &t, deadline, fault) != 0 || ask_block_write(p, &t, deadline, fault) != 0 ||
	    ask_avr_commands(p, &t, deadline, fault) != 0 || send(p, back, sizeof back, &t, deadline, fault) != 0 ||
	    expect(p, "BBIO1", 5, &t, deadline, fault) != 0)
		return -1;
	p->in_spi = false;
	return 0;
}

static const struct isp_ops pirate_isp;

static int pirate_open(struct link *link, const struct usb_identity *identity, struct programmer **out, deadline_t deadline,
                       struct fault *fault)
{
	struct pirate *p = calloc(1, sizeof *p);

	if (p == NULL)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "out of memory");
	if (link->ops->line == NULL) {
		free(p);
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "a Bus Pirate is a serial line, and was opened as something else");
	}
	p->base.driver = &programmer_buspirate;
	p->base.isp = &pirate_isp;
	p->link = link;
	if (probe(p, deadline, fault) != 0) {
		free(p);
		return -1;
	}
	describe(p, identity);
	*out = &p->base;
	return 0;
}

/* Also when the step's time is over: a board must not be left in RESET. */
static void leave(struct pirate *p, deadline_t step)
{
	const struct talk t = {10, 0, FAIL_CONTACT, "the board was let go"};
	deadline_t least = deadline_in_ms(RELEASE_MS);
	bool in_step = !p->out_of_step;
	struct fault fault;
	int result;

	if (step < least)
		step = least;
	p->asked_at = clock_now();
	if (p->out_of_step) /* bit-bang mode lets go of the pins */
		result = resync(p, &t, step, &fault);
	else
		result = p->in_spi ? let_go(p, &t, step, &fault) : 0;
	p->entered = false;
	if (result != 0)
		p->distrust = p->distrust || in_step;
}

static void pirate_leave(struct programmer *programmer, deadline_t deadline)
{
	struct pirate *p = pirate_of(programmer);

	if (!p->lost && p->in_spi)
		leave(p, deadline);
}

static void pirate_close(struct programmer *programmer)
{
	static const uint8_t command[1] = {PIRATE_TERMINAL};
	struct pirate *p = pirate_of(programmer);
	deadline_t deadline = deadline_in_ms(RELEASE_MS);
	uint8_t answer;

	pirate_leave(programmer, 0);
	if (!p->lost && !p->out_of_step && put(p, command, sizeof command, deadline) == 0)
		get(p, &answer, 1, deadline);
	p->link->ops->close(p->link);
	free(p);
}

/* ---- programming mode */

/* Fastest step that is not above hz; the slowest when even that is. */
static void set_sck(struct pirate *p, uint32_t hz)
{
	p->speed = SPEEDS - 1;
	while (p->speed > 0 && speed_hz[p->speed] > hz)
		p->speed--;
}

static int check_part(const struct part *part, struct fault *fault)
{
	if (part != NULL && part->flash_bytes > FLASH_LIMIT)
		return fault_set(fault, FAIL_WRITE,
		                 "a Bus Pirate cannot reach all of the %u KiB of flash of the %s: use another programmer",
		                 (unsigned)(part->flash_bytes / 1024), part->title);
	return 0;
}

/* Power with RESET low and SCK at rest. */
static int power_up(struct pirate *p, const struct talk *t, deadline_t deadline, struct fault *fault)
{
	const uint8_t commands[3] = {(uint8_t)(SPI_SPEED + p->speed), SPI_CONFIGURE, SPI_PERIPHERALS | POWER};
	bool cold = !p->entered;

	if (to_spi(p, t, deadline, fault) != 0)
		return -1;
	p->entered = true; /* if this fails, the firmware may have done it all the same */
	if (order(p, commands, sizeof commands, t, deadline, fault) != 0)
		return -1;
	if (cold)
		clock_sleep_us(POWER_UP_US);
	return 0;
}

/* A positive RESET pulse with SCK low, 20 ms, and the instruction whose second byte must come back in the third
 * (ATmega16U4/32U4 data sheet 7766J, 28.8.1). */
static int try_enable(struct pirate *p, bool *answered, const struct talk *t, deadline_t deadline, struct fault *fault)
{
	static const uint8_t high[1] = {SPI_PERIPHERALS | POWER | CS}, low[1] = {SPI_PERIPHERALS | POWER};
	static const uint8_t enable[4] = {0xAC, 0x53, 0x00, 0x00};
	uint8_t in[4] = {0};

	if (order(p, high, sizeof high, t, deadline, fault) != 0)
		return -1;
	clock_sleep_us(RESET_PULSE_US);
	if (order(p, low, sizeof low, t, deadline, fault) != 0)
		return -1;
	clock_sleep_us(RESET_TO_ENABLE_US);
	if (bulk(p, enable, sizeof enable, in, t->refused, t->doing, deadline, fault) != 0)
		return -1;
	*answered = in[2] == 0x53;
	return 0;
}

static int pirate_enter(struct programmer *programmer, const struct part *part, uint32_t sck_hz, uint32_t *used_hz,
                        deadline_t deadline, struct fault *fault)
{
	struct pirate *p = pirate_of(programmer);
	const struct talk t = {8, 0, FAIL_CONTACT, "entering programming mode"};
	bool answered = false;

	if (p->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the Bus Pirate is gone");
	if (check_part(part, fault) != 0)
		return -1;
	if (p->distrust) {
		p->distrust = false;
		return fault_set(fault, FAIL_VERIFY, "the Bus Pirate was out of step when the last board was let go: what it read there "
		                                     "may be wrong");
	}
	p->part = part;
	set_sck(p, sck_hz);
	int result = power_up(p, &t, deadline, fault);
	for (unsigned tries = 0; tries < ENTER_TRIES && result == 0 && !answered; tries++)
		result = try_enable(p, &answered, &t, deadline, fault);
	if (result == 0 && answered) {
		if (used_hz != NULL)
			*used_hz = speed_hz[p->speed];
		return 0;
	}
	if (!p->lost)
		leave(p, deadline);
	if (result != 0)
		return -1;
	return fault_set(fault, FAIL_CONTACT, "no chip answers at an SCK of %u Hz", (unsigned)speed_hz[p->speed]);
}

static int must_be_entered(const struct pirate *p, struct fault *fault)
{
	if (p->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the Bus Pirate is gone");
	if (!p->entered || p->out_of_step)
		return fault_set(fault, FAIL_CONTACT, "the chip is not in programming mode");
	return 0;
}

static int pirate_command(struct programmer *programmer, const uint8_t out[4], uint8_t in[4], deadline_t deadline,
                          struct fault *fault)
{
	struct pirate *p = pirate_of(programmer);

	if (must_be_entered(p, fault) != 0)
		return -1;
	return bulk(p, out, 4, in, FAIL_WRITE, "sending an instruction to the chip", deadline, fault);
}

/* ---- reading */

/* While it sends a byte the next one comes in: at a slower SCK it would not keep up. */
static size_t burst(const struct pirate *p)
{
	return (speed_hz[p->speed] < BYTE_SCK_HZ ? ROOM : BULK_MAX) / 4;
}

/* Instructions of our own, as many as fit into one transfer: 4.25 bytes each way for a byte. Returns how many bytes, or -1. */
static int read_burst(struct pirate *p, enum isp_memory memory, uint32_t address, uint8_t *bytes, size_t len,
                      deadline_t deadline, struct fault *fault)
{
	uint8_t out[BULK_MAX] = {0}, in[BULK_MAX] = {0};
	size_t n = len < burst(p) ? len : burst(p);

	for (size_t i = 0; i < n; i++, address++) {
		uint8_t *o = out + 4 * i;
		o[0] = memory == ISP_EEPROM ? 0xA0 : address & 1 ? 0x28 : 0x20;
		o[1] = (uint8_t)(address >> (memory == ISP_EEPROM ? 8 : 9));
		o[2] = (uint8_t)(address >> (memory == ISP_EEPROM ? 0 : 1));
		o[3] = 0;
	}
	if (bulk(p, out, 4 * n, in, FAIL_VERIFY, memory == ISP_FLASH ? "reading flash" : "reading EEPROM", deadline, fault) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		bytes[i] = in[4 * i + 3];
	return (int)n;
}

/* How much of [address, address + len) one AVR_READ takes: it begins at a word, and its limit adds words to bytes. */
static size_t run_bytes(const struct pirate *p, uint32_t address, size_t len)
{
	uint32_t word = address / 2;
	size_t room = p->avr_read && (address & 1) == 0 && word < RUN_LIMIT ? RUN_LIMIT - word : 0;

	if (room > RUN_MOST)
		room = RUN_MOST;
	if (len <= room)
		return len;
	return room < RUN_LEAST ? 0 : room & ~(size_t)1;
}

static int read_run(struct pirate *p, uint32_t address, uint8_t *bytes, size_t n, deadline_t deadline, struct fault *fault)
{
	const struct talk t = {n + 12, 4 * n, FAIL_VERIFY, "reading flash"};
	const uint8_t frame[10] = {SPI_AVR, AVR_READ, 0, 0, (uint8_t)(address >> 9), (uint8_t)(address >> 1),
	                           0,       0,        (uint8_t)(n >> 8),             (uint8_t)n};

	if (send(p, frame, sizeof frame, &t, deadline, fault) != 0 || receive(p, NULL, 0, &t, deadline, fault) != 0)
		return -1;
	return receive(p, bytes, n, &t, deadline, fault);
}

static int pirate_read(struct programmer *programmer, enum isp_memory memory, uint32_t address, uint8_t *bytes, size_t len,
                       deadline_t deadline, struct fault *fault)
{
	struct pirate *p = pirate_of(programmer);

	if (must_be_entered(p, fault) != 0)
		return -1;
	while (len > 0) {
		size_t n = memory == ISP_FLASH ? run_bytes(p, address, len) : 0;
		if (n > 0) {
			if (read_run(p, address, bytes, n, deadline, fault) != 0)
				return -1;
		} else {
			/* An odd byte alone, so that runs can begin at the next word. */
			size_t most = p->avr_read && memory == ISP_FLASH && address & 1 ? 1 : len;
			int got = read_burst(p, memory, address, bytes, most, deadline, fault);
			if (got < 0)
				return -1;
			n = (size_t)got;
		}
		address += (uint32_t)n;
		bytes += n;
		len -= n;
	}
	return 0;
}

/* ---- writing */

static uint32_t page_wait_us(const struct pirate *p)
{
	return p->part != NULL ? p->part->twd_flash_us : 10000;
}

static void wait_ready(const struct pirate *p)
{
	clock_sleep_us((p->ready_at - clock_now() + 999) / 1000);
}

/* The instructions that write a page. Words that are FF both ways are not loaded: so the chip's page buffer is anyway
 * (ATmega16U4/32U4 data sheet 7766J, 27.7.1: it is erased after a page write and by a reset). Returns their bytes. */
static size_t page_instructions(uint8_t *to, uint32_t address, const uint8_t *bytes, uint16_t page)
{
	uint8_t *at = to;

	for (uint16_t i = 0; i < page; i += 2) {
		if (bytes[i] == 0xFF && bytes[i + 1] == 0xFF)
			continue;
		const uint8_t word = (uint8_t)(i / 2);
		const uint8_t load[8] = {0x40, 0x00, word, bytes[i], 0x48, 0x00, word, bytes[i + 1]};
		memcpy(at, load, sizeof load);
		at += sizeof load;
	}
	const uint8_t commit[4] = {0x4C, (uint8_t)(address >> 9), (uint8_t)(address >> 1), 0x00};
	memcpy(at, commit, sizeof commit);
	return (size_t)(at - to) + sizeof commit;
}

/* One command for a page, one round trip. The firmware clocks nothing before the last byte is there: that one is held back
 * until the page before is in the chip. On the line of a v3 a full page of 128 bytes takes (5 + 512 + 4) x 87 us = 45 ms,
 * ten times the chip's 4.5 ms: its last byte is handed over long before its turn, and the wait costs nothing. Only a page
 * of up to five words (49 bytes, 4.3 ms), or one on a line that has no rate, waits for what is left. */
static int send_page(struct pirate *p, const uint8_t *instructions, size_t len, deadline_t deadline, struct fault *fault)
{
	const struct talk t = {len + 6, len, FAIL_WRITE, "writing flash"};
	uint8_t frame[5 + 4 * PAGE_MAX + 4] = {SPI_WRITE_READ, (uint8_t)(len >> 8), (uint8_t)len, 0, 0};

	memcpy(frame + 5, instructions, len);
	if (send(p, frame, 5 + len - 1, &t, deadline, fault) != 0)
		return -1;
	wait_ready(p);
	if (send(p, frame + 5 + len - 1, 1, &t, deadline, fault) != 0)
		return -1;
	return receive(p, NULL, 0, &t, deadline, fault);
}

/* Firmware without blocks: four instructions at a time. */
static int send_page_in_bursts(struct pirate *p, const uint8_t *instructions, size_t len, deadline_t deadline,
                               struct fault *fault)
{
	uint8_t in[BULK_MAX];

	wait_ready(p);
	for (size_t done = 0; done < len;) {
		size_t n = len - done < 4 * burst(p) ? len - done : 4 * burst(p);
		if (bulk(p, instructions + done, n, in, FAIL_WRITE, "writing flash", deadline, fault) != 0)
			return -1;
		done += n;
	}
	return 0;
}

static int write_flash(struct pirate *p, uint32_t address, const uint8_t *bytes, size_t len, uint16_t page,
                       deadline_t deadline, struct fault *fault)
{
	uint8_t instructions[4 * PAGE_MAX + 4];

	for (size_t done = 0; done < len; done += page) {
		size_t n = page_instructions(instructions, address + (uint32_t)done, bytes + done, page);
		if ((p->block_write ? send_page : send_page_in_bursts)(p, instructions, n, deadline, fault) != 0)
			return -1;
		/* It is acknowledged when the last bit is out. */
		p->ready_at = clock_now() + (int64_t)page_wait_us(p) * 1000;
	}
	wait_ready(p);
	return 0;
}

static int write_eeprom(struct pirate *p, uint32_t address, const uint8_t *bytes, size_t len, deadline_t deadline,
                        struct fault *fault)
{
	const uint32_t wait_us = p->part != NULL ? p->part->twd_eeprom_us : 10000;

	for (size_t i = 0; i < len; i++, address++) {
		const uint8_t out[4] = {0xC0, (uint8_t)(address >> 8), (uint8_t)address, bytes[i]};
		uint8_t in[4];
		if (bulk(p, out, sizeof out, in, FAIL_WRITE, "writing EEPROM", deadline, fault) != 0)
			return -1;
		clock_sleep_us(wait_us);
	}
	return 0;
}

static int pirate_write(struct programmer *programmer, enum isp_memory memory, uint32_t address, const uint8_t *bytes,
                        size_t len, uint16_t page, deadline_t deadline, struct fault *fault)
{
	struct pirate *p = pirate_of(programmer);

	if (must_be_entered(p, fault) != 0)
		return -1;
	if (memory == ISP_EEPROM)
		return write_eeprom(p, address, bytes, len, deadline, fault);
	if (page < 2 || page > PAGE_MAX || page % 2 != 0 || address % page != 0 || len % page != 0)
		return fault_set(fault, FAIL_WRITE, "flash is written in whole pages, not %zu bytes at 0x%X with a page of %u", len,
		                 (unsigned)address, page);
	return write_flash(p, address, bytes, len, page, deadline, fault);
}

static const struct isp_ops pirate_isp = {
        .enter = pirate_enter,
        .leave = pirate_leave,
        .command = pirate_command,
        .read = pirate_read,
        .write = pirate_write,
};

const struct programmer_driver programmer_buspirate = {
        .kind = "buspirate",
        .serial = true,
        .match = pirate_match,
        .open = pirate_open,
        .close = pirate_close,
};
