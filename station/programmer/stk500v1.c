#include "station/programmer/programmer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Arduinos with the sketch "ArduinoISP", and QMK's builds of it for Pro Micro and Teensy 2.0: STK500 messages (Atmel
 * application note AVR061) over a serial line. Which of them there are, their waits and what the sketch answers:
 * ArduinoISP 1.18. A command ends with EOP, its answer stands between INSYNC and OK, and nothing says how long either is:
 * a byte that is lost on the way makes the sketch wait for ever, and one too many shifts all that follows. Nothing may be
 * believed then. */

enum command {
	STK_SYNC = 0x30,
	STK_SIGN_ON = 0x31,
	STK_GET_PARAMETER = 0x41,
	STK_SET_DEVICE = 0x42,
	STK_ENTER = 0x50,
	STK_LEAVE = 0x51,
	STK_LOAD_ADDRESS = 0x55,
	STK_UNIVERSAL = 0x56,
	STK_PROG_PAGE = 0x64,
	STK_READ_PAGE = 0x74,
};

enum parameter {
	PARAM_MAJOR = 0x81,
	PARAM_MINOR = 0x82,
	PARAM_MODE = 0x93, /* 'S': a serial programmer; bootloaders say something else */
};

enum {
	STK_EOP = 0x20,
	STK_OK = 0x10,
	STK_INSYNC = 0x14,
	STK_NOSYNC = 0x15,
	BLOCK_MAX = 256, /* the sketch's buffer */
	FRAME_MAX = 6 + 4 + 5 + BLOCK_MAX, /* "load extended address", address, page */
	AHEAD_MAX = 60,  /* bytes that may wait in an Arduino's receive buffer, which holds 63, while the sketch works */
	BANK = 0x20000,  /* bytes that 16 bits of word address reach */
	DEVICE_BYTES = 20,
	OWN_US = 30,      /* the sketch's own instructions for a byte of memory */
	COMMIT_US = 30000, /* the sketch's wait for a page, whatever the chip needs */
	ENTER_US = 75000, /* 20 ms, RESET pulse, 50 ms */
	ANSWER_MS = 2500, /* a message gets so long beyond its work */
	HUNG_MS = 2500,   /* silent for so long beyond its work, not the board but the programmer is at fault */
	QUIET_MS = 40,    /* a USB adapter may hold bytes back for 16 ms */
	MARK_MS = 300,    /* for the answer to "sign on" when the rate is known */
	PROBE_MS = 80,    /* and while it is looked for */
	HUSH_MS = 700,    /* from a bootloader's end until the sketch has flashed its LEDs, 540 ms */
	BOOT_MS = 1700,   /* the same for a bootloader that ends by itself, after a second of silence */
	NATIVE_MS = 2500, /* it has no bootloader in the way, only the LEDs */
	RELEASE_MS = 500,
};

/* Tried in this order: what the sketch is made for, then what people make of it. */
static const uint32_t rates[] = {19200, 115200, 57600, 38400};
enum { RATES = sizeof rates / sizeof rates[0] };

struct stk {
	struct programmer base;
	struct link *link;
	bool native;  /* USB in the microcontroller itself: no rate, and it refuses bytes while it is busy */
	uint32_t baud;
	bool entered, lost;
	bool out_of_step; /* answers may come that nobody waits for, or the sketch waits for the rest of a command */
	bool distrust;    /* that was found where no fault could be told: tell it at the next entry */
	uint16_t page;    /* that the sketch was told */
	uint8_t signature[3]; /* of the board that stands there */
	uint32_t hz;
	int64_t asked_at;        /* when the answer began to be awaited */
	const struct part *part; /* of the last enter, borrowed */
};

struct talk { /* what a fault has to know about an exchange */
	uint32_t work_us; /* what the sketch has to do */
	size_t line_bytes; /* that go over the line for it, both ways */
	enum fail_code refused;
	const char *doing;
};

static struct stk *stk_of(struct programmer *programmer)
{
	return (struct stk *)programmer;
}

/* ---- bytes */

static int64_t talk_ms(const struct stk *s, const struct talk *t)
{
	int64_t line_us = s->native ? 0 : (int64_t)t->line_bytes * 10 * 1000000 / s->baud;

	return (t->work_us + line_us) * 2 / 1000;
}

/* An instruction of four bytes. */
static uint32_t byte_us(const struct stk *s)
{
	return 32000000 / s->hz + OWN_US;
}

static deadline_t earlier(deadline_t a, deadline_t b)
{
	return a < b ? a : b;
}

static deadline_t talk_deadline(const struct stk *s, const struct talk *t, deadline_t step)
{
	return earlier(deadline_in_ms(ANSWER_MS + talk_ms(s, t)), step);
}

/* 0 or a link result. */
static int put(struct stk *s, const uint8_t *bytes, size_t len, deadline_t deadline)
{
	int sent = s->link->ops->write(s->link, bytes, len, deadline);

	if (sent < 0)
		return sent;
	return (size_t)sent == len ? 0 : -LINK_IO;
}

/* Exactly `len` bytes, and never one more: what is too much must be seen by the next answer. */
static int get(struct stk *s, uint8_t *bytes, size_t len, deadline_t deadline)
{
	while (len > 0) {
		int got = s->link->ops->read(s->link, bytes, len, deadline);
		if (got < 0)
			return got;
		bytes += got;
		len -= (size_t)got;
	}
	return 0;
}

/* Takes away what comes until nothing comes any more. */
static int drain(struct stk *s, deadline_t step)
{
	uint8_t waste[64];
	deadline_t end = earlier(deadline_in_ms(ANSWER_MS), step); /* or it babbles */

	while (deadline_left_ms(end) > 0) {
		int got = s->link->ops->read(s->link, waste, sizeof waste, earlier(deadline_in_ms(QUIET_MS), end));
		if (got == -LINK_GONE)
			return got;
		if (got < 0)
			break;
	}
	return 0;
}

/* ---- in step */

enum voice { VOICE_NONE, VOICE_BOOTLOADER, VOICE_SKETCH };

/* The answer to "sign on" is the one that nothing else looks like: what came before it is old. A bootloader answers as if it
 * were in sync, and says no name. */
static int listen(struct stk *s, deadline_t deadline)
{
	static const uint8_t mark[] = {STK_INSYNC, 'A', 'V', 'R', ' ', 'I', 'S', 'P', STK_OK};
	enum voice heard = VOICE_NONE;
	size_t matched = 0;
	uint8_t last = 0;

	while (matched < sizeof mark) {
		uint8_t bytes[sizeof mark];
		int got = s->link->ops->read(s->link, bytes, sizeof mark - matched, deadline);
		if (got == -LINK_GONE)
			return got;
		if (got < 0 || deadline_left_ms(deadline) == 0)
			return heard;
		for (int i = 0; i < got; i++) {
			matched = bytes[i] == mark[matched] ? matched + 1 : bytes[i] == mark[0];
			if (last == STK_INSYNC && bytes[i] == STK_OK)
				heard = VOICE_BOOTLOADER;
			last = bytes[i];
		}
	}
	return VOICE_SKETCH;
}

/* Pairs of "sync" end whatever command the sketch is in the middle of, then it is asked for its name. Returns an enum
 * voice or -LINK_GONE. */
static int call(struct stk *s, unsigned pairs, int64_t patience_ms, deadline_t step)
{
	uint8_t bytes[2 * (BLOCK_MAX / 2 + 32)];
	const struct talk t = {.line_bytes = 2 * pairs + 32};
	deadline_t deadline = earlier(deadline_in_ms(patience_ms + talk_ms(s, &t)), step);

	for (unsigned i = 0; i < pairs; i++) {
		bytes[2 * i] = STK_SYNC;
		bytes[2 * i + 1] = STK_EOP;
	}
	bytes[2 * pairs] = STK_SIGN_ON;
	bytes[2 * pairs + 1] = STK_EOP;
	int sent = put(s, bytes, 2 * pairs + 2, deadline);
	if (sent == -LINK_GONE)
		return sent;
	return sent < 0 ? VOICE_NONE : listen(s, deadline);
}

/* A call that nobody answered may be answered late, together with the next one: then only one after a silence tells. A sketch
 * that waits for a page swallows 257 bytes first. Returns an enum voice or -LINK_GONE. */
static int find_step(struct stk *s, deadline_t step)
{
	static const uint8_t pairs[] = {1, 8, 140, 8, 1, 1};
	int voice = VOICE_NONE;
	bool unanswered = false;

	for (size_t i = 0; i < sizeof pairs && deadline_left_ms(step) > 0; i++) {
		if (drain(s, step) != 0)
			return -LINK_GONE;
		voice = call(s, pairs[i], MARK_MS, step);
		if (voice < 0 || (voice == VOICE_SKETCH && !unanswered))
			break;
		unanswered = voice != VOICE_SKETCH;
		voice = VOICE_NONE;
	}
	s->out_of_step = voice != VOICE_SKETCH;
	return voice;
}

static int lost_fault(struct stk *s, const char *doing, struct fault *fault)
{
	s->lost = true;
	return fault_set(fault, FAIL_PROGRAMMER_LOST,
	                 "the ArduinoISP does not answer while %s; unplug it and plug it in again", doing);
}

static int gone_fault(struct stk *s, const char *doing, struct fault *fault)
{
	s->lost = true;
	return fault_set(fault, FAIL_PROGRAMMER_LOST, "the ArduinoISP was unplugged while %s", doing);
}

static bool is_hung(const struct stk *s, const struct talk *t)
{
	return clock_now() - s->asked_at >= (HUNG_MS + talk_ms(s, t)) * 1000000;
}

static int resync(struct stk *s, const struct talk *t, deadline_t step, struct fault *fault)
{
	int voice = find_step(s, step);

	if (voice == VOICE_SKETCH)
		return 0;
	if (voice == -LINK_GONE)
		return gone_fault(s, t->doing, fault);
	if (deadline_left_ms(step) == 0 && !is_hung(s, t))
		return fault_set(fault, FAIL_TIMEOUT,
		                 "time ran out while %s; if this repeats, unplug the ArduinoISP and plug it in again", t->doing);
	return lost_fault(s, t->doing, fault);
}

/* What is out of step is no contact fault: those are tried again, and the error would be forgotten. What was read before
 * may have been the answer to something else, and what the sketch was fed with until it answered may be in the chip. */
static enum fail_code doubt(enum fail_code refused)
{
	return refused == FAIL_CONTACT ? FAIL_VERIFY : refused;
}

static int link_fault(struct stk *s, int result, const struct talk *t, deadline_t step, struct fault *fault)
{
	s->out_of_step = true;
	switch (-result) {
	case LINK_GONE:
		return gone_fault(s, t->doing, fault);
	case LINK_TIMEOUT:
		if (resync(s, t, step, fault) != 0)
			return -1;
		return fault_set(fault, doubt(t->refused),
		                 "a byte was lost between station and ArduinoISP while %s; check its cable and hub", t->doing);
	default:
		return fault_set(fault, doubt(t->refused),
		                 "transfer error while %s; check the cable and hub of the ArduinoISP", t->doing);
	}
}

/* ---- answers */

static int answer_fault(struct stk *s, uint8_t found, uint8_t wanted, const struct talk *t, struct fault *fault)
{
	s->out_of_step = true;
	return fault_set(fault, doubt(t->refused), "the ArduinoISP answers %02X instead of %02X while %s%s", found, wanted, t->doing,
	                 found == STK_NOSYNC ? ": it was not understood" : "");
}

/* Before the first command after trouble. */
static int be_in_step(struct stk *s, const struct talk *t, deadline_t step, struct fault *fault)
{
	s->asked_at = clock_now();
	return s->out_of_step ? resync(s, t, step, fault) : 0;
}

static int send(struct stk *s, const uint8_t *bytes, size_t len, const struct talk *t, deadline_t step, struct fault *fault)
{
	s->asked_at = clock_now();
	int sent = put(s, bytes, len, talk_deadline(s, t, step));

	return sent < 0 ? link_fault(s, sent, t, step, fault) : 0;
}

/* One answer: INSYNC, `len` bytes, OK. */
static int receive(struct stk *s, uint8_t *bytes, size_t len, const struct talk *t, deadline_t step, struct fault *fault)
{
	deadline_t deadline = talk_deadline(s, t, step);
	uint8_t frame = 0;

	s->asked_at = clock_now();
	int got = get(s, &frame, 1, deadline);
	if (got == 0 && frame != STK_INSYNC)
		return answer_fault(s, frame, STK_INSYNC, t, fault);
	if (got == 0)
		got = get(s, bytes, len, deadline);
	if (got == 0)
		got = get(s, &frame, 1, deadline);
	if (got != 0)
		return link_fault(s, got, t, step, fault);
	return frame == STK_OK ? 0 : answer_fault(s, frame, STK_OK, t, fault);
}

static int receive_ok(struct stk *s, const struct talk *t, deadline_t step, struct fault *fault)
{
	uint8_t none;

	return receive(s, &none, 0, t, step, fault);
}

/* ---- open */

static const struct board {
	uint16_t vendor, product;
	bool native;
	uint32_t hz; /* SCK: the sketch takes a 128th of the clock */
} boards[] = {
        {0x2341, 0x0043, false, 125000}, /* Uno */
        {0x2341, 0x0001, false, 125000},
        {0x2341, 0x0243, false, 125000},
        {0x2341, 0x006A, false, 125000},
        {0x2A03, 0x0043, false, 125000},
        {0x2341, 0x8037, true, 125000},  /* Micro */
        {0x2341, 0x8237, true, 125000},
        {0x2A03, 0x8037, true, 125000},
        {0x2341, 0x8036, true, 125000}, /* Leonardo */
        {0x2A03, 0x8036, true, 125000},
        {0x1B4F, 0x9206, true, 125000}, /* SparkFun Pro Micro, 5 V and 3.3 V */
        {0x1B4F, 0x9204, true, 62500},
        {0x16C0, 0x0483, true, 125000}, /* QMK's builds, with Teensyduino's USB */
};

/* One that a station file names, behind whatever adapter (a clone's CH340, an FT232R), is treated like an Uno. */
static const struct board unknown_board = {0, 0, false, 125000};

static const struct board *board_of(const struct usb_identity *id)
{
	for (size_t i = 0; i < sizeof boards / sizeof boards[0]; i++)
		if (id->vendor == boards[i].vendor && id->product == boards[i].product)
			return &boards[i];
	return &unknown_board;
}

static bool stk_match(const struct usb_identity *id)
{
	return board_of(id) != &unknown_board;
}

/* ATmegaBOOT calls itself "AVR ISP" as well. */
static bool is_programmer(struct stk *s, deadline_t deadline)
{
	static const uint8_t ask[] = {STK_GET_PARAMETER, PARAM_MODE, STK_EOP};
	const struct talk t = {.line_bytes = 6, .doing = ""};
	struct fault ignored;
	uint8_t mode = 0;

	return send(s, ask, sizeof ask, &t, earlier(deadline_in_ms(MARK_MS), deadline), &ignored) == 0 &&
	       receive(s, &mode, 1, &t, earlier(deadline_in_ms(MARK_MS), deadline), &ignored) == 0 && mode == 'S';
}

/* A bootloader is asked to start the sketch. Not all do; then silence makes them. */
static void end_bootloader(struct stk *s, bool again, deadline_t deadline)
{
	static const uint8_t leave[] = {STK_LEAVE, STK_EOP};
	int64_t left_us = (int64_t)deadline_left_ms(deadline) * 1000, us = (again ? BOOT_MS : HUSH_MS) * 1000;

	put(s, leave, sizeof leave, deadline);
	clock_sleep_us(us < left_us ? us : left_us);
}

struct search { /* for the sketch */
	bool bootloader;  /* one was heard */
	unsigned silences; /* calls in vain: what comes may be the answer to an earlier one */
};

/* One rate. Rate and signals in one call, the same signals every time: an Uno is reset by DTR's rising edge, a
 * native one says nothing while DTR is off, and no rate but these may ever be in force (1200, 134 and 150 have meanings of
 * their own). Returns 1 = found, 0, or a link result. */
static int try_rate(struct stk *s, uint32_t baud, struct search *search, deadline_t deadline)
{
	static const uint8_t pairs[] = {1, 8, 140}; /* a sketch may wait for a page, as in find_step */
	unsigned round = s->native ? search->silences : search->silences / RATES;

	s->baud = baud;
	int result = s->link->ops->line(s->link, baud, LINE_DTR | LINE_RTS, deadline);
	if (result == 0)
		result = s->link->ops->discard(s->link, deadline);
	if (result < 0)
		return result == -LINK_GONE ? result : 0;
	int voice = call(s, pairs[round % sizeof pairs], s->native ? MARK_MS : PROBE_MS, deadline);
	if (voice == VOICE_SKETCH && search->silences > 0)
		voice = find_step(s, deadline);
	if (voice < 0)
		return voice;
	if (voice == VOICE_SKETCH && is_programmer(s, deadline))
		return 1;
	if (s->lost)
		return -LINK_GONE;
	search->silences++;
	if (voice == VOICE_NONE)
		return 0;
	end_bootloader(s, search->bootloader, deadline);
	search->bootloader = true;
	return 0;
}

/* An Uno that was reset by the opening is silent for 1.6 s: a second of bootloader, then its LEDs. */
static int find_sketch(struct stk *s, deadline_t deadline, struct fault *fault)
{
	struct search search = {.bootloader = false};

	if (s->native)
		deadline = earlier(deadline_in_ms(NATIVE_MS), deadline);
	for (unsigned i = 0; deadline_left_ms(deadline) > 0; i++) {
		int result = try_rate(s, rates[s->native ? 0 : i % RATES], &search, deadline);
		if (result == 1)
			return 0;
		if (result < 0)
			return gone_fault(s, "it was opened", fault);
	}
	if (search.bootloader)
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the Arduino answers as a bootloader only: load the sketch ArduinoISP into it");
	return fault_set(fault, FAIL_PROGRAMMER_LOST,
	                 s->native ? "the board does not answer as an ArduinoISP: load the sketch, or QMK's ISP firmware, into it"
	                           : "nothing answers as an ArduinoISP at 19200 to 115200 baud: load the sketch into the Arduino");
}

/* Who used it last may have died in mid-work, with RESET held low: that is let go as well. */
static int greet(struct stk *s, uint8_t version[2], deadline_t deadline, struct fault *fault)
{
	static const uint8_t ask[] = {STK_GET_PARAMETER, PARAM_MAJOR, STK_EOP, STK_GET_PARAMETER,
	                              PARAM_MINOR,       STK_EOP,     STK_LEAVE, STK_EOP};
	const struct talk t = {.line_bytes = sizeof ask + 8, .refused = FAIL_PROGRAMMER_LOST, .doing = "being asked what it is"};

	if (send(s, ask, sizeof ask, &t, deadline, fault) != 0 || receive(s, &version[0], 1, &t, deadline, fault) != 0 ||
	    receive(s, &version[1], 1, &t, deadline, fault) != 0)
		return -1;
	return receive_ok(s, &t, deadline, fault);
}

static void describe(struct stk *s, const uint8_t version[2])
{
	struct programmer_info *info = &s->base.info;

	snprintf(info->kind, sizeof info->kind, "%s", programmer_stk500v1.kind);
	snprintf(info->firmware, sizeof info->firmware, "ArduinoISP %u.%u", version[0], version[1]);
	if (s->native)
		snprintf(info->abilities, sizeof info->abilities, "fixed-sck waits-itself native-usb");
	else
		snprintf(info->abilities, sizeof info->abilities, "fixed-sck waits-itself %u-baud", (unsigned)s->baud);
}

static const struct isp_ops stk_isp;

static int stk_open(struct link *link, const struct usb_identity *identity, struct programmer **out, deadline_t deadline,
                    struct fault *fault)
{
	struct stk *s = calloc(1, sizeof *s);
	uint8_t version[2] = {0};

	if (s == NULL)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "out of memory");
	if (link->ops->line == NULL) {
		free(s);
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "an ArduinoISP is a serial line, and was opened as something else");
	}
	s->base.driver = &programmer_stk500v1;
	s->base.isp = &stk_isp;
	s->link = link;
	s->native = board_of(identity)->native;
	s->hz = board_of(identity)->hz;
	s->baud = rates[0];
	if (find_sketch(s, deadline, fault) != 0 || greet(s, version, deadline, fault) != 0) {
		free(s);
		return -1;
	}
	describe(s, version);
	*out = &s->base;
	return 0;
}

/* Also when the step's time is over: a board must not be left in RESET. */
static void leave(struct stk *s, deadline_t step)
{
	static const uint8_t message[] = {STK_LEAVE, STK_EOP};
	const struct talk t = {.line_bytes = 4, .refused = FAIL_CONTACT, .doing = "the board was let go"};
	deadline_t least = deadline_in_ms(RELEASE_MS);
	bool in_step = !s->out_of_step;
	struct fault fault;

	s->entered = false;
	if (step < least)
		step = least;
	if (be_in_step(s, &t, step, &fault) != 0 || send(s, message, sizeof message, &t, step, &fault) != 0 ||
	    receive_ok(s, &t, step, &fault) != 0)
		s->distrust = s->distrust || in_step;
}

static void stk_leave(struct programmer *programmer, deadline_t deadline)
{
	struct stk *s = stk_of(programmer);

	if (!s->lost && s->entered)
		leave(s, deadline);
}

static void stk_close(struct programmer *programmer)
{
	struct stk *s = stk_of(programmer);

	stk_leave(programmer, 0);
	s->link->ops->close(s->link);
	free(s);
}

/* ---- programming mode */

static size_t add_universal(uint8_t *to, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t message[6] = {STK_UNIVERSAL, a, b, c, d, STK_EOP};

	memcpy(to, message, sizeof message);
	return sizeof message;
}

/* AVR061, "Set Device Programming Parameters". The sketch looks at the device code (E0 and above: RESET is active
 * high), at the page size and, for block writes that are not used here, at the EEPROM's. */
static size_t add_device(struct stk *s, uint8_t *to, uint16_t page)
{
	const struct part *part = s->part;
	uint32_t flash = part != NULL ? part->flash_bytes : 0, eeprom = part != NULL ? part->eeprom_bytes : 0;
	const uint8_t message[1 + DEVICE_BYTES + 1] = {
	        STK_SET_DEVICE, 0x00, 0, 0, 1, 1, 1, 1, part != NULL ? part->fuse_count : 3, 0xFF, 0xFF, 0xFF, 0xFF,
	        (uint8_t)(page >> 8), (uint8_t)page, (uint8_t)(eeprom >> 8), (uint8_t)eeprom,
	        (uint8_t)(flash >> 24), (uint8_t)(flash >> 16), (uint8_t)(flash >> 8), (uint8_t)flash, STK_EOP};

	memcpy(to, message, sizeof message);
	s->page = page;
	return sizeof message;
}

/* "Enter" says OK whoever is there, and does nothing when it thinks it is in already: "leave" goes before it, the
 * signature after it. All of it goes out at once, less than the receive buffer. */
static int pulse_and_ask(struct stk *s, deadline_t deadline, struct fault *fault)
{
	const struct talk t = {ENTER_US + 3 * byte_us(s), 60, FAIL_CONTACT, "entering programming mode"};
	uint8_t frame[2 + 2 + DEVICE_BYTES + 2 + 3 * 6] = {STK_LEAVE, STK_EOP};
	size_t len = 2;

	len += add_device(s, frame + len, s->part != NULL ? s->part->flash_page : 0);
	frame[len++] = STK_ENTER;
	frame[len++] = STK_EOP;
	for (uint8_t i = 0; i < 3; i++)
		len += add_universal(frame + len, 0x30, 0x00, i, 0x00);
	if (be_in_step(s, &t, deadline, fault) != 0)
		return -1;
	s->entered = true; /* if this fails, the sketch may have done it all the same */
	if (send(s, frame, len, &t, deadline, fault) != 0)
		return -1;
	for (unsigned i = 0; i < 3; i++)
		if (receive_ok(s, &t, deadline, fault) != 0)
			return -1;
	for (unsigned i = 0; i < 3; i++)
		if (receive(s, &s->signature[i], 1, &t, deadline, fault) != 0)
			return -1;
	return 0;
}

/* An open or shorted MISO reads the same three times; a chip that is not in step repeats the byte before, which is the
 * address here. */
static bool nobody(const uint8_t signature[3])
{
	static const uint8_t echo[3] = {0x00, 0x01, 0x02};

	return (signature[0] == signature[1] && signature[1] == signature[2]) || memcmp(signature, echo, sizeof echo) == 0;
}

static int stk_enter(struct programmer *programmer, const struct part *part, uint32_t sck_hz, uint32_t *used_hz,
                     deadline_t deadline, struct fault *fault)
{
	struct stk *s = stk_of(programmer);

	(void)sck_hz; /* it has one speed */
	if (s->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the ArduinoISP is gone");
	if (s->distrust) {
		s->distrust = false;
		return fault_set(fault, FAIL_VERIFY, "the ArduinoISP was out of step when the last board was let go: what it read there "
		                                     "may be wrong");
	}
	s->part = part;
	if (pulse_and_ask(s, deadline, fault) != 0) {
		if (!s->lost)
			leave(s, deadline);
		return -1;
	}
	if (nobody(s->signature)) {
		leave(s, deadline);
		return fault_set(fault, FAIL_CONTACT, "no chip answers at an SCK of %u Hz, and an ArduinoISP has no other",
		                 (unsigned)s->hz);
	}
	if (used_hz != NULL)
		*used_hz = s->hz;
	return 0;
}

static int must_be_entered(const struct stk *s, struct fault *fault)
{
	if (s->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the ArduinoISP is gone");
	if (!s->entered)
		return fault_set(fault, FAIL_CONTACT, "the chip is not in programming mode");
	return 0;
}

/* ---- instructions */

/* A busy chip hears "poll RDY/BSY" only; the signature is compared by who reads it, and what is loaded is
 * committed by an instruction of its own. */
static bool wants_proof(const uint8_t out[4])
{
	switch (out[0]) {
	case 0xF0:
	case 0x40:
	case 0x48:
	case 0xC1:
		return false;
	case 0x30:
		return out[2] > 2;
	case 0xAC:
		return out[1] != 0x53;
	default:
		return true;
	}
}

/* The sketch tells the last byte of MISO only, so the echo of the second one, by which others see whether the chip is
 * still there, is not to be had. A byte of the signature, asked for in the same breath before it, takes its place: in[1]
 * and in[2] are what a chip that is there has said, in[0] is not known. */
static int stk_command(struct programmer *programmer, const uint8_t out[4], uint8_t in[4], deadline_t deadline,
                       struct fault *fault)
{
	struct stk *s = stk_of(programmer);
	const struct talk t = {2 * byte_us(s), 18, FAIL_WRITE, "sending an instruction to the chip"};
	bool proof = wants_proof(out);
	uint8_t frame[12], found = s->signature[1];
	size_t len = 0;

	if (must_be_entered(s, fault) != 0)
		return -1;
	if (proof)
		len += add_universal(frame, 0x30, 0x00, 0x01, 0x00);
	len += add_universal(frame + len, out[0], out[1], out[2], out[3]);
	if (be_in_step(s, &t, deadline, fault) != 0 || send(s, frame, len, &t, deadline, fault) != 0)
		return -1;
	if (proof && receive(s, &found, 1, &t, deadline, fault) != 0)
		return -1;
	if (receive(s, &in[3], 1, &t, deadline, fault) != 0)
		return -1;
	if (found != s->signature[1])
		return fault_set(fault, FAIL_CONTACT, "the board does not answer any more (signature byte %02X, then %02X)",
		                 s->signature[1], found);
	in[0] = 0x00;
	in[1] = out[0];
	in[2] = out[1];
	return 0;
}

/* ---- memories */

struct block { /* one page command, with the address before it, as it goes out */
	uint8_t bytes[FRAME_MAX];
	size_t len;
	size_t count; /* data bytes */
	bool extended;
	struct talk talk;
};

static bool is_big(const struct stk *s)
{
	return s->part != NULL && s->part->flash_bytes > BANK;
}

/* The address goes with every block: it costs no round trip, and nothing has to be remembered through trouble. For EEPROM,
 * too, it is a word's. Above 128 KiB the chip has to be told the bank. */
static void begin_block(const struct stk *s, struct block *b, enum command code, enum isp_memory memory, uint32_t address,
                        size_t count)
{
	const uint8_t head[9] = {STK_LOAD_ADDRESS,      (uint8_t)(address >> 1),        (uint8_t)(address >> 9),
	                         STK_EOP,               (uint8_t)code,                  (uint8_t)(count >> 8),
	                         (uint8_t)count,        memory == ISP_FLASH ? 'F' : 'E', STK_EOP};

	b->len = 0;
	b->count = count;
	b->extended = memory == ISP_FLASH && is_big(s);
	if (b->extended)
		b->len += add_universal(b->bytes, 0x4D, 0x00, (uint8_t)(address / BANK), 0x00);
	memcpy(b->bytes + b->len, head, sizeof head);
	b->len += sizeof head;
}

/* The answers to one block. */
static int finish_block(struct stk *s, const struct block *b, uint8_t *data, size_t len, deadline_t deadline,
                        struct fault *fault)
{
	uint8_t ignored;

	if (b->extended && receive(s, &ignored, 1, &b->talk, deadline, fault) != 0)
		return -1;
	if (receive_ok(s, &b->talk, deadline, fault) != 0)
		return -1;
	return receive(s, data, len, &b->talk, deadline, fault);
}

static uint32_t to_border(uint32_t address)
{
	return BANK - address % BANK;
}

static void make_read(const struct stk *s, struct block *b, enum isp_memory memory, uint32_t address, size_t len)
{
	size_t n = len < BLOCK_MAX ? len : BLOCK_MAX;

	if (memory == ISP_FLASH)
		n += n & 1;
	if (n > to_border(address))
		n = to_border(address);
	begin_block(s, b, STK_READ_PAGE, memory, address, n);
	b->talk = (struct talk){(uint32_t)n * 2 * byte_us(s), 2 * (n + FRAME_MAX - BLOCK_MAX), FAIL_VERIFY,
	                        memory == ISP_FLASH ? "reading flash" : "reading EEPROM"};
}

/* The next request lies in the sketch's buffer before this one is answered, so that it never waits. Addresses are
 * words': what begins within one is read with its other half. */
static int stk_read(struct programmer *programmer, enum isp_memory memory, uint32_t address, uint8_t *bytes, size_t len,
                    deadline_t deadline, struct fault *fault)
{
	struct stk *s = stk_of(programmer);
	size_t skip = address & 1, end = skip + len, asked = 0, done = 0;
	struct block blocks[2];

	if (must_be_entered(s, fault) != 0)
		return -1;
	address -= (uint32_t)skip;
	for (unsigned sent = 0, got = 0; done < end; got++) {
		uint8_t data[BLOCK_MAX];
		for (; sent < got + 2 && asked < end; sent++) {
			struct block *b = &blocks[sent % 2];
			make_read(s, b, memory, address + (uint32_t)asked, end - asked);
			asked += b->count;
			if (be_in_step(s, &b->talk, deadline, fault) != 0 || send(s, b->bytes, b->len, &b->talk, deadline, fault) != 0)
				return -1;
		}
		const struct block *b = &blocks[got % 2];
		if (finish_block(s, b, data, b->count, deadline, fault) != 0)
			return -1;
		size_t from = done == 0 ? skip : 0, use = b->count < end - done ? b->count : end - done;
		memcpy(bytes + done + from - skip, data + from, use - from);
		done += b->count;
	}
	return 0;
}

static void make_write(const struct stk *s, struct block *b, uint32_t address, const uint8_t *bytes, size_t n, uint16_t page)
{
	begin_block(s, b, STK_PROG_PAGE, ISP_FLASH, address, n);
	b->len--; /* the data stands before EOP */
	memcpy(b->bytes + b->len, bytes, n);
	b->len += n;
	b->bytes[b->len++] = STK_EOP;
	b->talk = (struct talk){(uint32_t)n * byte_us(s) + (uint32_t)(n / page) * COMMIT_US, 2 * FRAME_MAX, FAIL_WRITE, "writing flash"};
}

/* How much of the next block may go out while the sketch works on this one. A native port refuses what it has no room for.
 * On a UART what does not fit is lost: 60 bytes go ahead, which at 19200 baud hides 31 of a page's 63 ms. That is per
 * block, so there a block is one page, and not the 256 bytes that the sketch could take. */
static size_t ahead(const struct stk *s, const struct block *b)
{
	return s->native || b->len < AHEAD_MAX ? b->len : AHEAD_MAX;
}

static int write_flash(struct stk *s, uint32_t address, const uint8_t *bytes, size_t len, uint16_t page, deadline_t deadline,
                       struct fault *fault)
{
	const size_t most = s->native ? BLOCK_MAX / page * page : page;
	struct block blocks[2] = {{.len = 0}};
	size_t made = 0;

	for (unsigned i = 0;; i++) {
		struct block *next = &blocks[i % 2];
		const struct block *before = i > 0 ? &blocks[(i + 1) % 2] : NULL;
		bool more = made < len;
		size_t early = 0;
		if (more) {
			size_t n = len - made < most ? len - made : most;
			if (n > to_border(address))
				n = to_border(address);
			make_write(s, next, address, bytes + made, n, page);
			address += (uint32_t)n;
			made += n;
		}
		if (more && before != NULL) {
			early = ahead(s, next);
			if (send(s, next->bytes, early, &before->talk, deadline, fault) != 0)
				return -1;
		}
		if (before != NULL && finish_block(s, before, NULL, 0, deadline, fault) != 0)
			return -1;
		if (!more)
			return 0;
		if (early < next->len &&
		    send(s, next->bytes + early, next->len - early, &next->talk, deadline, fault) != 0)
			return -1;
	}
}

static int tell_page(struct stk *s, uint16_t page, deadline_t deadline, struct fault *fault)
{
	const struct talk t = {.line_bytes = 24, .refused = FAIL_WRITE, .doing = "being told the page size"};
	uint8_t frame[1 + DEVICE_BYTES + 1];
	size_t len = add_device(s, frame, page);

	if (be_in_step(s, &t, deadline, fault) != 0 || send(s, frame, len, &t, deadline, fault) != 0 ||
	    receive_ok(s, &t, deadline, fault) != 0) {
		s->page = 0;
		return -1;
	}
	return 0;
}

/* Byte by byte with an instruction of our own and the chip's own wait: 10 to 15 ms. The sketch's block command waits
 * 45 ms for each byte, and cannot begin at an odd address. */
static int write_eeprom(struct stk *s, uint32_t address, const uint8_t *bytes, size_t len, deadline_t deadline,
                        struct fault *fault)
{
	const struct talk t = {byte_us(s), 9, FAIL_WRITE, "writing EEPROM"};
	const uint32_t wait_us = s->part != NULL ? s->part->twd_eeprom_us : 10000;

	for (size_t i = 0; i < len; i++, address++) {
		uint8_t frame[6], ignored;
		size_t n = add_universal(frame, 0xC0, (uint8_t)(address >> 8), (uint8_t)address, bytes[i]);
		if (be_in_step(s, &t, deadline, fault) != 0 || send(s, frame, n, &t, deadline, fault) != 0 ||
		    receive(s, &ignored, 1, &t, deadline, fault) != 0)
			return -1;
		clock_sleep_us(wait_us);
	}
	return 0;
}

static int stk_write(struct programmer *programmer, enum isp_memory memory, uint32_t address, const uint8_t *bytes, size_t len,
                     uint16_t page, deadline_t deadline, struct fault *fault)
{
	struct stk *s = stk_of(programmer);
	const struct talk t = {.refused = FAIL_WRITE, .doing = "writing flash"};

	if (must_be_entered(s, fault) != 0)
		return -1;
	if (memory == ISP_EEPROM)
		return write_eeprom(s, address, bytes, len, deadline, fault);
	if (page < 2 || page > BLOCK_MAX || address % page != 0 || len % page != 0)
		return fault_set(fault, FAIL_WRITE, "flash is written in whole pages, not %zu bytes at 0x%X with a page of %u", len,
		                 (unsigned)address, page);
	if (be_in_step(s, &t, deadline, fault) != 0 || (s->page != page && tell_page(s, page, deadline, fault) != 0))
		return -1;
	return write_flash(s, address, bytes, len, page, deadline, fault);
}

static const struct isp_ops stk_isp = {
        .enter = stk_enter,
        .leave = stk_leave,
        .command = stk_command,
        .read = stk_read,
        .write = stk_write,
};

const struct programmer_driver programmer_stk500v1 = {
        .kind = "stk500v1",
        .serial = true,
        .open_ms = 6000, /* an Uno in an old bootloader */
        .match = stk_match,
        .open = stk_open,
        .close = stk_close,
};
