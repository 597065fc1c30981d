#include "station/programmer/programmer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "station/link/descriptor.h"

/* AVRISP mkII and the devices that imitate it (LUFA's AVRISP-MKII project): STK500v2 messages over two bulk endpoints.
 * Messages, parameters, status bytes and the table of SCK: Atmel application notes AVR068 and AVR069; what imitations
 * do otherwise: LUFA, Projects/AVRISP-MKII. One answer for each command, so answers are told apart by their
 * order only: one too many shifts all that follow, and nothing may be believed until that is mended. */

enum message {
	MKII_SIGN_ON = 0x01,
	MKII_SET_PARAMETER = 0x02,
	MKII_GET_PARAMETER = 0x03,
	MKII_LOAD_ADDRESS = 0x06,
	MKII_ENTER = 0x10,
	MKII_LEAVE = 0x11,
	MKII_PROGRAM_FLASH = 0x13,
	MKII_READ_FLASH = 0x14,
	MKII_PROGRAM_EEPROM = 0x15,
	MKII_READ_EEPROM = 0x16,
	MKII_SPI_MULTI = 0x1D,
};

enum parameter {
	PARAM_SW_MAJOR = 0x91,
	PARAM_SW_MINOR = 0x92,
	PARAM_VTARGET = 0x94, /* tenths of a volt; imitations without a converter say 33 */
	PARAM_SCK_DURATION = 0x98,
	PARAM_RESET_POLARITY = 0x9E, /* 1 = AVR; kept in the programmer's EEPROM like the SCK */
	PARAM_CONNECTION = 0xA1,     /* faults of the ISP lines; imitations say 0 */
};

enum status {
	STATUS_OK = 0x00,
	STATUS_TIMEOUT = 0x80,
	STATUS_STILL_BUSY = 0x81,
	STATUS_MISSING = 0x82,
	STATUS_FAILED = 0xC0,
	STATUS_UNKNOWN = 0xC9,
	STATUS_ILLEGAL = 0xCA,
	STATUS_CLOCK = 0xCC,
};

enum {
	DATA_MAX = 256, /* of one message: its body may have 275 bytes (AVR068, 3.1) */
	PROGRAM_HEAD = 10,
	READ_FRAME = 3, /* code and status before the data, status after it */
	PACKET_MAX = 64,
	ANSWER_MAX = DATA_MAX + READ_FRAME,
	MODE_PAGE = 0x01, /* "mode" of the program messages: how to wait, and whether a page ends here */
	MODE_BYTE_TIMED = 0x02,
	MODE_BYTE_POLLED = 0x08,
	MODE_PAGE_TIMED = 0x10,
	MODE_PAGE_POLLED = 0x40,
	MODE_COMMIT = 0x80,
	TRANSFER_US = 400000, /* aim for one message: LUFA gives itself one second, and aborts must be prompt */
	ANSWER_MS = 10000,    /* a message gets so long, if the step has it */
	HUNG_MS = 3000,       /* silent for so long beyond its work, not the board but the programmer is at fault */
	SIGN_ON_MS = 600,     /* LUFA throws half a message away after 100 ms, a wait of its own after 1 s */
	SIGN_ON_TRIES = 4,
	QUIET_MS = 20, /* a stale answer lies ready in the programmer: it comes with the next frame */
	STALE_MAX = 16,
	RELEASE_MS = 500,
	STAB_MS = 25, /* data sheets: at least 20 ms from RESET to "programming enable" */
	ENTER_LOOPS = 3,
	LOWEST_TENTHS = 18, /* of a volt: below, no AVR of configs/parts works */
	TARGET_MISSING = 0x10,
};

/* AVR069, table of PARAM_SCK_DURATION: Hz of index 0, 1, … Slower ones, down to 51 Hz, follow; no chip of a
 * keyboard needs them. */
static const uint32_t sck_hz[] = {
        8000000, 4000000, 2000000, 1000000, 500000, 250000, 125000, 96386, 89888, 84211, 79208, 74767, 70797,
        67227,   64000,   61069,   58395,   55945,  51613,  49690,  47905, 46243, 43244, 41885, 39409, 38278,
        36200,   34335,   32654,   31129,   29740,  28470,  27304,  25724, 24768, 23461, 22285, 21221, 20254,
        19371,   18562,   17583,   16914,   16097,  15356,  14520,  13914, 13224, 12599, 12031, 11511, 10944,
        10431,   9963,    9468,    9081,    8612,   8239,   7851,   7498,  7137,  6809,  6478,  6178,  5879,
        5607,    5359,    5093,    4870,    4633,   4418,   4209,   4019,  3823,  3645,  3474,  3310,  3161,
        3011,    2869,    2734,    2611,    2484,   2369,   2257,   2152,  2052,  1956,  1866,  1779,  1695,
        1615,    1539,    1468,    1398,    1333,   1271,   1212,   1155,  1101,  1049,  1000,
};
enum { SCK_STEPS = sizeof sck_hz / sizeof sck_hz[0], SCK_UNKNOWN = 0xFF };

/* Those that are offered: all of the fast ones, the others about a third apart. */
static const uint8_t offered[] = {0, 1, 2, 3, 4, 5, 6, 7, 14, 20, 28, 38, 46, 52, 57, 64, 70, 76, 83, 90, 96, 101};

struct mkii {
	struct programmer base;
	struct link *link;
	uint8_t in, out; /* endpoints */
	uint16_t packet;
	bool entered, lost;
	bool out_of_step; /* answers may lie in the pipe that nobody waits for */
	bool imitation;   /* LUFA's: measures nothing on the plug */
	bool distrust;    /* that was found where no fault could be told: tell it at the next entry */
	bool address_known;
	enum isp_memory memory; /* what `address` counts in */
	uint32_t address;       /* byte that the programmer's running address stands at */
	uint8_t sck_index;
	uint32_t hz;
	int64_t asked_at;        /* when the message went out whose answer is awaited */
	const struct part *part; /* of the last enter, borrowed */
};

struct exchange { /* one message and its answer */
	const uint8_t *message;
	size_t message_len;
	uint8_t *answer; /* room for ANSWER_MAX and what fills up its last packet */
	size_t answer_len;
	uint32_t work_us; /* what the programmer has to do */
	enum fail_code refused;
	const char *doing;
};

static struct mkii *mkii_of(struct programmer *programmer)
{
	return (struct mkii *)programmer;
}

/* ---- one message */

static int link_fault(struct mkii *m, int result, const struct exchange *x, deadline_t step, struct fault *fault)
{
	m->out_of_step = true; /* its answer may still come */
	m->address_known = false;
	switch (-result) {
	case LINK_GONE:
		m->lost = true;
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the AVRISP mkII was unplugged while %s", x->doing);
	case LINK_TIMEOUT:
		if (deadline_left_ms(step) == 0 &&
		    clock_now() - m->asked_at < (HUNG_MS + 4 * (int64_t)x->work_us / 1000) * 1000000)
			return fault_set(fault, FAIL_TIMEOUT,
			                 "time ran out while %s; if this repeats, unplug the AVRISP mkII and plug it in again",
			                 x->doing);
		m->lost = true;
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the AVRISP mkII does not answer while %s; unplug it and plug it in again", x->doing);
	case LINK_STALL:
		return fault_set(fault, x->refused, "the AVRISP mkII refused a transfer while %s", x->doing);
	default:
		return fault_set(fault, x->refused,
		                 "USB transfer error while %s; check the cable and hub of the AVRISP mkII", x->doing);
	}
}

static int status_fault(const struct exchange *x, uint8_t status, struct fault *fault)
{
	static const struct {
		uint8_t status;
		const char *text;
	} words[] = {
	        {STATUS_TIMEOUT, "its time ran out"},
	        {STATUS_STILL_BUSY, "the chip stays busy"},
	        {STATUS_MISSING, "a parameter was not set"},
	        {STATUS_FAILED, "it failed"},
	        {STATUS_UNKNOWN, "its firmware does not know that command; update it"},
	        {STATUS_ILLEGAL, "its firmware does not take that parameter; update it"},
	        {STATUS_CLOCK, "it cannot make that SCK"},
	};
	const char *text = "for no known reason";

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].status == status)
			text = words[i].text;
	return fault_set(fault, x->refused, "the AVRISP mkII says no while %s: %s (status %02X)", x->doing, text, status);
}

/* An answer that does not fit its command: an earlier one was late, or doubled, and what was read before may have been
 * the answer to something else. No contact fault: those are tried again, and the error would be forgotten. */
static int order_fault(struct mkii *m, const struct exchange *x, const uint8_t *answer, int len, struct fault *fault)
{
	enum fail_code code = x->refused == FAIL_CONTACT ? FAIL_VERIFY : x->refused;

	m->out_of_step = true;
	m->address_known = false;
	if (len > 0 && answer[0] != x->message[0])
		return fault_set(fault, code, "the AVRISP mkII answers command %02X with an answer to %02X while %s",
		                 x->message[0], answer[0], x->doing);
	return fault_set(fault, code, "the AVRISP mkII sent %d of %zu bytes while %s", len, x->answer_len, x->doing);
}

static size_t whole_packets(const struct mkii *m, size_t len)
{
	return (len + m->packet - 1) / m->packet * m->packet;
}

static deadline_t message_deadline(const struct exchange *x, deadline_t step)
{
	deadline_t own = deadline_in_ms(ANSWER_MS + 4 * (int64_t)x->work_us / 1000);

	return own < step ? own : step;
}

/* A message ends with a packet that is not full: if need be, with an empty one (AVR069, 2.1). */
static int send_message(struct mkii *m, const uint8_t *message, size_t len, deadline_t deadline)
{
	uint8_t bytes[PROGRAM_HEAD + DATA_MAX];

	memcpy(bytes, message, len); /* the link takes no const bytes */
	int sent = m->link->ops->bulk(m->link, m->out, bytes, len, deadline);
	if (sent >= 0 && (size_t)sent != len)
		return -LINK_IO;
	if (sent >= 0 && len % m->packet == 0)
		sent = m->link->ops->bulk(m->link, m->out, bytes, 0, deadline);
	return sent < 0 ? sent : 0;
}

/* Room for one byte more than is expected, so that the transfer ends with the short packet that ends the answer, and
 * with nothing else. */
static int receive_answer(struct mkii *m, uint8_t *answer, size_t len, deadline_t deadline)
{
	return m->link->ops->bulk(m->link, m->in, answer, whole_packets(m, len + 1), deadline);
}

static int resync(struct mkii *m, deadline_t step, struct fault *fault);

/* The answer is there, with its right length and a good status in front and, after data, behind. */
static int exchange(struct mkii *m, const struct exchange *x, deadline_t step, struct fault *fault)
{
	if (m->out_of_step && resync(m, step, fault) != 0)
		return -1;
	deadline_t deadline = message_deadline(x, step);
	m->asked_at = clock_now();
	int got = send_message(m, x->message, x->message_len, deadline);
	if (got == 0)
		got = receive_answer(m, x->answer, x->answer_len, deadline);
	if (got < 0)
		return link_fault(m, got, x, step, fault);
	if (got < 2 || x->answer[0] != x->message[0])
		return order_fault(m, x, x->answer, got, fault);
	if (x->answer[1] != STATUS_OK && got == 2) {
		m->address_known = false;
		return status_fault(x, x->answer[1], fault);
	}
	if ((size_t)got != x->answer_len || x->answer[1] != STATUS_OK)
		return order_fault(m, x, x->answer, got, fault);
	return 0;
}

/* ---- in step */

/* Takes away what an earlier, interrupted use left in the pipe. */
static int drain(struct mkii *m, deadline_t step)
{
	uint8_t waste[ANSWER_MAX + PACKET_MAX];

	for (unsigned i = 0; i < STALE_MAX; i++) {
		deadline_t quiet = deadline_in_ms(QUIET_MS);
		int got = receive_answer(m, waste, ANSWER_MAX - 1, quiet < step ? quiet : step);
		if (got == -LINK_TIMEOUT)
			return 0;
		if (got == -LINK_GONE)
			return got;
	}
	return 0; /* it babbles: sign-on will tell */
}

/* One try: 0, or what the link says; -LINK_IO also when the answer is no sign-on's. */
static int sign_on(struct mkii *m, char name[16], deadline_t step)
{
	static const uint8_t message[1] = {MKII_SIGN_ON};
	uint8_t answer[ANSWER_MAX + PACKET_MAX] = {0};
	deadline_t deadline = deadline_in_ms(SIGN_ON_MS);

	if (deadline > step)
		deadline = step;
	int got = drain(m, step);
	if (got == 0)
		got = send_message(m, message, sizeof message, deadline);
	if (got == 0)
		got = receive_answer(m, answer, ANSWER_MAX - 1, deadline);
	if (got < 0)
		return got;
	if (got < 3 || answer[0] != MKII_SIGN_ON || answer[1] != STATUS_OK || got != 3 + answer[2] || answer[2] > 15)
		return -LINK_IO;
	memcpy(name, answer + 3, answer[2]);
	name[answer[2]] = '\0';
	return 0;
}

/* A message that was cut in the middle swallows the first sign-on; so several. */
static int resync(struct mkii *m, deadline_t step, struct fault *fault)
{
	const struct exchange x = {.refused = FAIL_PROGRAMMER_LOST, .doing = "being asked who it is"};
	char name[16] = "";
	int got = -LINK_IO;

	m->address_known = false;
	m->asked_at = clock_now();
	for (unsigned tries = 0; tries < SIGN_ON_TRIES && got != 0 && got != -LINK_GONE; tries++)
		got = sign_on(m, name, step);
	if (got != 0 && (got == -LINK_GONE || deadline_left_ms(step) == 0))
		return link_fault(m, got == -LINK_GONE ? got : -LINK_TIMEOUT, &x, step, fault);
	if (got != 0) {
		m->lost = true;
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the AVRISP mkII does not say who it is; unplug it and plug it in again");
	}
	if (strcmp(name, "AVRISP_MK2") != 0) {
		m->lost = true;
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the device has the id of an AVRISP mkII and calls itself "
		                                              "another thing: is it in its bootloader?");
	}
	m->out_of_step = false;
	return 0;
}

/* ---- parameters */

static int get_parameter(struct mkii *m, enum parameter id, uint8_t *value, enum fail_code refused, const char *doing,
                         deadline_t step, struct fault *fault)
{
	const uint8_t message[2] = {MKII_GET_PARAMETER, (uint8_t)id};
	uint8_t answer[PACKET_MAX];
	const struct exchange x = {message, sizeof message, answer, 3, 0, refused, doing};

	if (exchange(m, &x, step, fault) != 0)
		return -1;
	*value = answer[2];
	return 0;
}

static int set_parameter(struct mkii *m, enum parameter id, uint8_t value, enum fail_code refused, const char *doing,
                         deadline_t step, struct fault *fault)
{
	const uint8_t message[3] = {MKII_SET_PARAMETER, (uint8_t)id, value};
	uint8_t answer[PACKET_MAX];
	const struct exchange x = {message, sizeof message, answer, 2, 0, refused, doing};

	return exchange(m, &x, step, fault);
}

/* Fastest index that is not above hz; the slowest when even that is. Kept in the programmer for its next user, who
 * may have been somebody slow: always set, and read back, for firmware may take another one. */
static int set_sck(struct mkii *m, uint32_t hz, deadline_t step, struct fault *fault)
{
	const char *doing = "its SCK was set";
	uint8_t index = 0, now = 0;

	while (index + 1 < SCK_STEPS && sck_hz[index] > hz)
		index++;
	if (index != m->sck_index) {
		m->sck_index = SCK_UNKNOWN;
		if (set_parameter(m, PARAM_SCK_DURATION, index, FAIL_CONTACT, doing, step, fault) != 0 ||
		    get_parameter(m, PARAM_SCK_DURATION, &now, FAIL_CONTACT, doing, step, fault) != 0)
			return -1;
		if (now < index) /* the chip would not hear it */
			return fault_set(fault, FAIL_VERIFY,
			                 "the AVRISP mkII was given SCK index %u and took %u; update its firmware", index, now);
		m->sck_index = index;
		m->hz = now < SCK_STEPS ? sck_hz[now] : sck_hz[SCK_STEPS - 1];
	}
	return 0;
}

/* ---- open */

static bool mkii_match(const struct usb_identity *id)
{
	return id->vendor == 0x03EB && id->product == 0x2104;
}

/* The two bulk endpoints of the first interface: their numbers and sizes differ between builds of LUFA. */
static bool find_endpoints(struct mkii *m, const uint8_t *raw, size_t len)
{
	enum { INTERFACE = 4, ENDPOINT = 5, BULK = 2 };
	bool ours = false;
	uint16_t in_packet = 0, out_packet = 0;

	for (size_t i = 0; i + 2 <= len && raw[i] >= 2 && i + raw[i] <= len; i += raw[i]) {
		const uint8_t *d = raw + i;
		if (d[1] == INTERFACE && d[0] >= 9)
			ours = d[2] == 0 && d[3] == 0;
		if (!ours || d[1] != ENDPOINT || d[0] < 7 || (d[3] & 3) != BULK)
			continue;
		uint16_t packet = (uint16_t)((d[4] | d[5] << 8) & 0x7FF);
		if ((d[2] & 0x80) && in_packet == 0) {
			m->in = d[2];
			in_packet = packet;
		} else if (!(d[2] & 0x80) && out_packet == 0) {
			m->out = d[2];
			out_packet = packet;
		}
	}
	m->packet = in_packet;
	/* Full speed knows 8, 16, 32 and 64 (USB 2.0, 5.8.3). */
	return in_packet == out_packet && in_packet >= 8 && in_packet <= PACKET_MAX && PACKET_MAX % in_packet == 0;
}

static int read_endpoints(struct mkii *m, deadline_t deadline, struct fault *fault)
{
	const struct exchange x = {.refused = FAIL_PROGRAMMER_LOST, .doing = "being asked for its endpoints"};
	uint8_t raw[255] = {0};
	int got = m->link->ops->control(m->link, USB_DEVICE_TO_HOST, USB_GET_DESCRIPTOR, USB_CONFIGURATION_DESCRIPTOR << 8, 0,
	                                raw, sizeof raw, deadline);

	if (got < 0)
		return link_fault(m, got, &x, deadline, fault);
	if (!find_endpoints(m, raw, (size_t)got))
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the device has the id of an AVRISP mkII and not its two bulk endpoints");
	return 0;
}

/* Also when the step's time is over: a board must not be left in RESET. */
static void leave(struct mkii *m, deadline_t step)
{
	static const uint8_t message[3] = {MKII_LEAVE, 1, 1}; /* ms before and after */
	uint8_t answer[PACKET_MAX];
	const struct exchange x = {message, sizeof message, answer, 2, 2000, FAIL_CONTACT, "the board was let go"};
	deadline_t least = deadline_in_ms(RELEASE_MS);
	struct fault fault = {.code = FAIL_NONE};
	bool in_step = !m->out_of_step;

	m->entered = false;
	if (exchange(m, &x, step > least ? step : least, &fault) != 0 && !m->lost && in_step && m->out_of_step)
		m->distrust = fault.code == FAIL_VERIFY;
}

static void describe(struct mkii *m, const struct usb_identity *id, uint8_t major, uint8_t minor)
{
	struct programmer_info *info = &m->base.info;

	/* All of LUFA's have the same serial number, in two versions. */
	m->imitation = strncmp(id->serial, "000200012345", 12) == 0 || strncmp(id->serial, "000200312345", 12) == 0;
	snprintf(info->kind, sizeof info->kind, "%s", programmer_avrispmk2.kind);
	snprintf(info->firmware, sizeof info->firmware, "%x.%02x%s", major, minor, m->imitation ? " (LUFA)" : "");
	snprintf(info->abilities, sizeof info->abilities, "sck-control waits-itself%s",
	         m->imitation ? "" : " target-voltage");
	info->sck_control = true;
	for (size_t i = 0; i < sizeof offered; i++)
		info->sck_steps[i] = sck_hz[offered[i]];
}

static const struct isp_ops mkii_isp;

/* In step, the board running whatever the last user did, RESET as AVRs have it. */
static int probe(struct mkii *m, const struct usb_identity *id, deadline_t deadline, struct fault *fault)
{
	const char *doing = "being asked what it is";
	uint8_t major = 0, minor = 0;
	struct fault ignored;

	if (read_endpoints(m, deadline, fault) != 0 || resync(m, deadline, fault) != 0)
		return -1;
	leave(m, deadline);
	if (m->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the AVRISP mkII was unplugged while it was opened");
	/* Firmware that has only the one polarity refuses this. */
	set_parameter(m, PARAM_RESET_POLARITY, 1, FAIL_PROGRAMMER_LOST, doing, deadline, &ignored);
	if (get_parameter(m, PARAM_SW_MAJOR, &major, FAIL_PROGRAMMER_LOST, doing, deadline, fault) != 0 ||
	    get_parameter(m, PARAM_SW_MINOR, &minor, FAIL_PROGRAMMER_LOST, doing, deadline, fault) != 0)
		return -1;
	m->distrust = false;
	describe(m, id, major, minor);
	return 0;
}

static int mkii_open(struct link *link, const struct usb_identity *identity, struct programmer **out,
                     deadline_t deadline, struct fault *fault)
{
	struct mkii *m = calloc(1, sizeof *m);

	if (m == NULL)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "out of memory");
	m->base.driver = &programmer_avrispmk2;
	m->base.isp = &mkii_isp;
	m->link = link;
	m->sck_index = SCK_UNKNOWN;
	m->hz = sck_hz[SCK_STEPS - 1];
	if (probe(m, identity, deadline, fault) != 0) {
		free(m);
		return -1;
	}
	*out = &m->base;
	return 0;
}

static void mkii_leave(struct programmer *programmer, deadline_t deadline)
{
	struct mkii *m = mkii_of(programmer);

	if (!m->lost && m->entered)
		leave(m, deadline);
}

/* No USB reset: the device would come back under another address, and others would see it leave. */
static void mkii_close(struct programmer *programmer)
{
	struct mkii *m = mkii_of(programmer);

	mkii_leave(programmer, 0);
	m->link->ops->close(m->link);
	free(m);
}

/* ---- programming mode */

/* What a genuine one knows about the plug when nobody answers. Without any voltage there is no board. */
static int no_contact(struct mkii *m, deadline_t deadline, struct fault *fault)
{
	static const struct {
		uint8_t bit;
		const char *text;
	} lines[] = {{0x01, ", MOSI"}, {0x02, ", RESET"}, {0x04, ", SCK"}, {0x20, ", plug turned round"}};
	const char *doing = "being asked about the plug";
	uint8_t connection = 0, tenths = 0;
	char words[80] = "";
	size_t used = 0;

	if (m->imitation)
		return fault_set(fault, FAIL_CONTACT, "no chip answers at an SCK of %u Hz", (unsigned)m->hz);
	if (get_parameter(m, PARAM_CONNECTION, &connection, FAIL_CONTACT, doing, deadline, fault) != 0 ||
	    get_parameter(m, PARAM_VTARGET, &tenths, FAIL_CONTACT, doing, deadline, fault) != 0) {
		if (m->lost || fault->code != FAIL_CONTACT)
			return -1;
		connection = 0, tenths = LOWEST_TENTHS; /* a clone that does not know the question */
	}
	if (!(connection & TARGET_MISSING) && tenths > 0 && tenths < LOWEST_TENTHS)
		return fault_set(fault, FAIL_POWER, "the board has only %u.%u V: no chip works below %u.%u V", tenths / 10u,
		                 tenths % 10u, LOWEST_TENTHS / 10u, LOWEST_TENTHS % 10u);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (connection & lines[i].bit)
			used += (size_t)snprintf(words + used, sizeof words - used, "%s", lines[i].text);
	return fault_set(fault, FAIL_CONTACT, "no chip answers at an SCK of %u Hz; the programmer sees %u.%u V%s%s",
	                 (unsigned)m->hz, tenths / 10u, tenths % 10u, used > 0 ? " and trouble on the lines" : "", words);
}

static int enable(struct mkii *m, deadline_t deadline, struct fault *fault)
{
	/* Time-out, stabDelay, cmdexeDelay (ms), synchLoops, byteDelay (ms), then: 53 must come as the third byte. */
	static const uint8_t message[12] = {
	        MKII_ENTER, 200, STAB_MS, 1, ENTER_LOOPS, 0, 0x53, 3, 0xAC, 0x53, 0x00, 0x00};
	uint8_t answer[PACKET_MAX];
	const struct exchange x = {.message = message,
	                           .message_len = sizeof message,
	                           .answer = answer,
	                           .answer_len = 2,
	                           .work_us = 2 * ENTER_LOOPS * (STAB_MS * 1000 + 32000000 / m->hz),
	                           .refused = FAIL_CONTACT,
	                           .doing = "entering programming mode"};

	m->entered = true; /* if this fails, the firmware may have done it all the same */
	if (exchange(m, &x, deadline, fault) == 0)
		return 0;
	bool nobody = !m->lost && !m->out_of_step && fault->code == FAIL_CONTACT;
	if (!m->lost)
		leave(m, deadline);
	return nobody && !m->lost ? no_contact(m, deadline, fault) : -1;
}

static int mkii_enter(struct programmer *programmer, const struct part *part, uint32_t hz, uint32_t *used_hz,
                      deadline_t deadline, struct fault *fault)
{
	struct mkii *m = mkii_of(programmer);

	if (!m->lost && m->entered)
		leave(m, deadline);
	if (m->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the AVRISP mkII is gone");
	if (m->distrust) {
		m->distrust = false;
		return fault_set(fault, FAIL_VERIFY,
		                 "answers of the AVRISP mkII came in the wrong order: what was read from the chip counts for nothing");
	}
	m->part = part;
	m->address_known = false;
	if (set_sck(m, hz, deadline, fault) != 0 || enable(m, deadline, fault) != 0)
		return -1;
	if (used_hz != NULL)
		*used_hz = m->hz;
	return 0;
}

static int must_be_entered(const struct mkii *m, struct fault *fault)
{
	if (m->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the AVRISP mkII is gone");
	if (!m->entered)
		return fault_set(fault, FAIL_CONTACT, "the chip is not in programming mode");
	return 0;
}

static int mkii_command(struct programmer *programmer, const uint8_t out[4], uint8_t in[4], deadline_t deadline,
                        struct fault *fault)
{
	struct mkii *m = mkii_of(programmer);
	/* Four bytes out, four in, from the first one on. */
	const uint8_t message[8] = {MKII_SPI_MULTI, 4, 4, 0, out[0], out[1], out[2], out[3]};
	uint8_t answer[PACKET_MAX];
	const struct exchange x = {message,   sizeof message,     answer, 4 + READ_FRAME, 32000000 / m->hz,
	                           FAIL_WRITE, "sending an instruction to the chip"};

	if (must_be_entered(m, fault) != 0 || exchange(m, &x, deadline, fault) != 0)
		return -1;
	if (answer[6] != STATUS_OK)
		return status_fault(&x, answer[6], fault);
	memcpy(in, answer + 2, 4);
	return 0;
}

/* ---- memories */

static uint32_t byte_us(const struct mkii *m)
{
	return 32000000 / m->hz + 1;
}

/* A power of two, so that pages are cut into equal pieces; such a message never ends with a full packet. */
static size_t block_bytes(uint32_t one_us)
{
	size_t bytes = DATA_MAX;

	while (bytes > 2 && bytes * one_us > TRANSFER_US)
		bytes /= 2;
	return bytes;
}

/* The firmware counts its address up with every word or byte: one request serves a whole run, also across calls. */
static int go_to(struct mkii *m, enum isp_memory memory, uint32_t address, enum fail_code refused, deadline_t deadline,
                 struct fault *fault)
{
	uint32_t unit = memory == ISP_FLASH ? address / 2 : address;
	uint8_t answer[PACKET_MAX];

	if (m->address_known && m->memory == memory && m->address == address)
		return 0;
	/* Bit 31: "load extended address" goes before the next access, and at every border after it. */
	if (memory == ISP_FLASH && m->part != NULL && m->part->flash_bytes > 0x20000)
		unit |= UINT32_C(1) << 31;
	const uint8_t message[5] = {MKII_LOAD_ADDRESS, (uint8_t)(unit >> 24), (uint8_t)(unit >> 16), (uint8_t)(unit >> 8),
	                            (uint8_t)unit};
	const struct exchange x = {message, sizeof message, answer, 2, 0, refused, "setting an address"};
	if (exchange(m, &x, deadline, fault) != 0)
		return -1;
	m->memory = memory;
	m->address = address;
	m->address_known = true;
	return 0;
}

static int read_block(struct mkii *m, enum isp_memory memory, uint32_t address, uint8_t *answer, size_t n,
                      deadline_t deadline, struct fault *fault)
{
	bool flash = memory == ISP_FLASH;
	const uint8_t message[4] = {flash ? MKII_READ_FLASH : MKII_READ_EEPROM, (uint8_t)(n >> 8), (uint8_t)n,
	                            flash ? 0x20 : 0xA0};
	const struct exchange x = {.message = message,
	                           .message_len = sizeof message,
	                           .answer = answer,
	                           .answer_len = n + READ_FRAME,
	                           .work_us = (uint32_t)n * byte_us(m),
	                           .refused = FAIL_VERIFY,
	                           .doing = flash ? "reading flash" : "reading EEPROM"};

	if (go_to(m, memory, address, FAIL_VERIFY, deadline, fault) != 0 || exchange(m, &x, deadline, fault) != 0)
		return -1;
	m->address += (uint32_t)n;
	if (answer[n + READ_FRAME - 1] != STATUS_OK)
		return status_fault(&x, answer[n + READ_FRAME - 1], fault);
	return 0;
}

/* Flash is addressed in words: what begins or ends within one is read with its other half. EEPROM answers that would
 * end with a full packet are made shorter, for an imitation may forget the empty one after it. */
static int mkii_read(struct programmer *programmer, enum isp_memory memory, uint32_t address, uint8_t *bytes, size_t len,
                     deadline_t deadline, struct fault *fault)
{
	struct mkii *m = mkii_of(programmer);
	uint8_t answer[ANSWER_MAX + PACKET_MAX];

	if (must_be_entered(m, fault) != 0)
		return -1;
	const size_t block = block_bytes(byte_us(m));
	while (len > 0) {
		size_t skip = memory == ISP_FLASH ? address & 1 : 0;
		size_t n = len + skip < block ? len + skip : block;
		if (memory == ISP_FLASH)
			n += n & 1;
		else if ((n + READ_FRAME) % m->packet == 0)
			n--;
		if (read_block(m, memory, address - (uint32_t)skip, answer, n, deadline, fault) != 0)
			return -1;
		size_t use = n - skip < len ? n - skip : len;
		memcpy(bytes, answer + 2 + skip, use);
		address += (uint32_t)use;
		bytes += use;
		len -= use;
	}
	return 0;
}

struct programming { /* what the head of a program message says */
	enum message code;
	uint8_t mode;
	uint32_t wait_us; /* of the whole message */
	uint8_t delay_ms; /* of each wait */
	uint8_t load, commit, read;
	const char *doing;
};

static int write_block(struct mkii *m, const struct programming *p, uint32_t address, const uint8_t *bytes, size_t n,
                       deadline_t deadline, struct fault *fault)
{
	enum isp_memory memory = p->code == MKII_PROGRAM_FLASH ? ISP_FLASH : ISP_EEPROM;
	/* FF twice: values that cannot be polled for; nothing here waits by value. */
	uint8_t message[PROGRAM_HEAD + DATA_MAX] = {(uint8_t)p->code, (uint8_t)(n >> 8), (uint8_t)n, p->mode, p->delay_ms,
	                                            p->load,          p->commit,         p->read,    0xFF,    0xFF};
	uint8_t answer[PACKET_MAX];
	const struct exchange x = {.message = message,
	                           .message_len = PROGRAM_HEAD + n,
	                           .answer = answer,
	                           .answer_len = 2,
	                           .work_us = (uint32_t)n * byte_us(m) + p->wait_us,
	                           .refused = FAIL_WRITE,
	                           .doing = p->doing};

	memcpy(message + PROGRAM_HEAD, bytes, n);
	if (go_to(m, memory, address, FAIL_WRITE, deadline, fault) != 0 || exchange(m, &x, deadline, fault) != 0)
		return -1;
	m->address += (uint32_t)n;
	return 0;
}

static bool can_poll(const struct mkii *m)
{
	return m->part != NULL && m->part->rdy_bsy_poll;
}

static uint8_t delay_ms(uint32_t wait_us)
{
	uint32_t ms = (wait_us + 999) / 1000;

	return (uint8_t)(ms < 255 ? ms : 255);
}

/* A page in pieces at a slow SCK: only the last one commits, and the low bits of its address do not matter. */
static int write_page(struct mkii *m, uint32_t address, const uint8_t *bytes, uint16_t page, deadline_t deadline,
                      struct fault *fault)
{
	const size_t block = block_bytes(byte_us(m));
	const uint32_t wait_us = m->part != NULL ? m->part->twd_flash_us : 10000;
	struct programming p = {.code = MKII_PROGRAM_FLASH,
	                        .delay_ms = delay_ms(wait_us),
	                        .load = 0x40,
	                        .commit = 0x4C,
	                        .read = 0x20,
	                        .doing = "writing flash"};

	for (size_t done = 0; done < page;) {
		size_t n = page - done < block ? page - done : block;
		bool last = done + n == page;
		p.mode = MODE_PAGE | (can_poll(m) ? MODE_PAGE_POLLED : MODE_PAGE_TIMED) | (last ? MODE_COMMIT : 0);
		p.wait_us = last ? wait_us : 0;
		if (write_block(m, &p, address + (uint32_t)done, bytes + done, n, deadline, fault) != 0)
			return -1;
		done += n;
	}
	return 0;
}

static struct programming eeprom_mode(const struct mkii *m, bool paged)
{
	const uint32_t wait_us = m->part != NULL ? m->part->twd_eeprom_us : 10000;

	return (struct programming){
	        .code = MKII_PROGRAM_EEPROM,
	        .mode = paged ? MODE_PAGE | MODE_COMMIT | (can_poll(m) ? MODE_PAGE_POLLED : MODE_PAGE_TIMED)
	                      : (can_poll(m) ? MODE_BYTE_POLLED : MODE_BYTE_TIMED),
	        .wait_us = wait_us,
	        .delay_ms = delay_ms(wait_us),
	        .load = paged ? 0xC1 : 0xC0,
	        .commit = paged ? 0xC2 : 0x00,
	        .read = 0xA0,
	        .doing = "writing EEPROM",
	};
}

/* Pages where the part has them, from their beginnings: "write EEPROM page" wants the low bits 0. Bytes loaded are
 * erased and written, others of the page keep their value (ATmega16U4/32U4 data sheet 7766J, 28.8). */
static int write_eeprom(struct mkii *m, uint32_t address, const uint8_t *bytes, size_t len, deadline_t deadline,
                        struct fault *fault)
{
	const size_t page = m->part != NULL && m->part->eeprom_page_isp ? m->part->eeprom_page : 0;

	while (len > 0) {
		bool paged = page != 0 && address % page == 0;
		struct programming p = eeprom_mode(m, paged);
		size_t n = paged ? page : block_bytes(byte_us(m) + p.wait_us);
		if (!paged && page != 0 && n > page - address % page)
			n = page - address % page;
		if (n > len)
			n = len;
		if (!paged)
			p.wait_us *= (uint32_t)n;
		if (write_block(m, &p, address, bytes, n, deadline, fault) != 0)
			return -1;
		address += (uint32_t)n;
		bytes += n;
		len -= n;
	}
	return 0;
}

static int mkii_write(struct programmer *programmer, enum isp_memory memory, uint32_t address, const uint8_t *bytes,
                      size_t len, uint16_t page, deadline_t deadline, struct fault *fault)
{
	struct mkii *m = mkii_of(programmer);

	if (must_be_entered(m, fault) != 0)
		return -1;
	if (memory == ISP_EEPROM)
		return write_eeprom(m, address, bytes, len, deadline, fault);
	if (page < 2 || page > DATA_MAX || address % page != 0 || len % page != 0)
		return fault_set(fault, FAIL_WRITE, "flash is written in whole pages, not %zu bytes at 0x%X with a page of %u",
		                 len, (unsigned)address, page);
	for (size_t done = 0; done < len; done += page)
		if (write_page(m, address + (uint32_t)done, bytes + done, page, deadline, fault) != 0)
			return -1;
	return 0;
}

static const struct isp_ops mkii_isp = {
        .enter = mkii_enter,
        .leave = mkii_leave,
        .command = mkii_command,
        .read = mkii_read,
        .write = mkii_write,
};

const struct programmer_driver programmer_avrispmk2 = {
        .kind = "avrispmk2",
        .match = mkii_match,
        .open = mkii_open,
        .close = mkii_close,
};
