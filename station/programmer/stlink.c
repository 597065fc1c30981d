#include "station/programmer/swd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "station/programmer/stlink_wire.h"

/* ST-Link V2 and its clones, V2-1 on Nucleo boards, V3. Commands, firmware levels and limits as stlink's usb.c, OpenOCD's
 * stlink_usb.c and pyOCD's probe/stlink agree on them; ST has published none. */

enum group { /* first byte of a command */
	CMD_VERSION = 0xF1,
	CMD_DEBUG = 0xF2,
	CMD_DFU = 0xF3,
	CMD_SWIM = 0xF4,
	CMD_MODE = 0xF5,
	CMD_VOLTAGE = 0xF7,
	CMD_VERSION_V3 = 0xFB,
};

enum debug { /* second byte behind CMD_DEBUG */
	DEBUG_READ_32 = 0x07,
	DEBUG_WRITE_32 = 0x08,
	DEBUG_EXIT = 0x21,
	DEBUG_ENTER = 0x30, /* third byte: */
	ENTER_SWD = 0xA3,   /* without a reset */
	DEBUG_ID_CODES = 0x31,
	DEBUG_GET_CORE = 0x33,
	DEBUG_SET_CORE = 0x34,
	DEBUG_SET = 0x35,
	DEBUG_GET = 0x36,
	DEBUG_NRST = 0x3C, /* 0 low, 1 high */
	DEBUG_STATUS = 0x3E,
	DEBUG_FREQUENCY = 0x43,
	DEBUG_DP_WRITE = 0x46,
	DEBUG_FREQUENCY_V3 = 0x61,
	DEBUG_FREQUENCIES_V3 = 0x62,
};

enum mode { MODE_DFU, MODE_IDLE, MODE_DEBUG, MODE_SWIM };

enum {
	BLOCK = 6144,     /* longest block that every firmware takes */
	MIN_J = 15,       /* status of memory commands, with the address */
	VOLTAGE_J = 13,
	SPEED_J = 22,
	DAP_J = 24,
	WANTED_J = 26,    /* what the other open tools want */
	MODE_TRIES = 3,
	ENTER_TRIES = 2,
	RELEASE_MS = 500,
	LOW_MV = 2700,    /* flash of many parts is not programmed reliably below */
	HIGH_MV = 3700,
	NO_POWER_MV = 300, /* nothing is set, or a clone that does not measure */
	DFLT_HZ = 1800000, /* after power-up, and all that firmware before J22 can */
};

struct step { /* of SWCLK */
	uint32_t hz;
	uint16_t code; /* V2: divisor; V3: kHz */
};

/* SWCLK by divisor. The names are those of ST's tools; divisor 0 was measured as 3.6 to 4.6 MHz. */
static const struct step v2_steps[] = {
        {4000000, 0}, {1800000, 1}, {1200000, 2}, {950000, 3},  {650000, 5},
        {480000, 7},  {400000, 9},  {240000, 15}, {125000, 31}, {100000, 40},
};
enum { V2_STEPS = sizeof v2_steps / sizeof v2_steps[0], STEPS = 16 };

struct stlink {
	struct programmer base;
	struct stlink_wire wire;
	unsigned major, j;       /* V2 J37: 2, 37 */
	struct step steps[STEPS]; /* descending */
	size_t step_count;
	bool entered, nrst_low;
};

static struct stlink *stlink_of(struct programmer *programmer)
{
	return (struct stlink *)programmer;
}

/* ---- which device */

#define IN_LOADER "this ST-Link V3 waits for new firmware: finish the update with ST's STSW-LINK007, or unplug it and plug it in again"

static const struct model {
	uint16_t product;
	uint8_t out;
	const char *title;
	const char *useless; /* why it cannot be used; NULL: it can */
} models[] = {
        {0x3748, 0x02, "V2", NULL},   {0x374B, 0x01, "V2-1", NULL}, {0x374A, 0x01, "V2-1", NULL},
        {0x3752, 0x01, "V2-1", NULL}, {0x3742, 0x01, "V2-1", NULL}, {0x374E, 0x01, "V3", NULL},
        {0x374F, 0x01, "V3", NULL},   {0x3753, 0x01, "V3", NULL},   {0x3754, 0x01, "V3", NULL},
        {0x3757, 0x01, "V3", NULL},
        {0x3744, 0x02, "V1", "this is an ST-Link V1, which speaks another protocol: use a V2, V2-1 or V3"},
        {0x374D, 0x01, "V3", IN_LOADER}, {0x3755, 0x01, "V3", IN_LOADER},
};

static const struct model *model_of(const struct usb_identity *id)
{
	for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
		if (id->vendor == 0x0483 && id->product == models[i].product)
			return &models[i];
	return NULL;
}

static bool stlink_match(const struct usb_identity *id)
{
	return model_of(id) != NULL;
}

/* ---- small commands */

static int debug_ask(struct stlink *s, struct stlink_call call, size_t answer_len, uint8_t *answer, const char *doing,
                     deadline_t deadline, struct fault *fault)
{
	call.bytes[0] = CMD_DEBUG;
	call.answer = answer;
	call.answer_len = answer_len;
	call.doing = doing;
	if (call.refused == FAIL_NONE)
		call.refused = FAIL_CONTACT;
	return stlink_ask(&s->wire, &call, deadline, fault);
}

static int get_mode(struct stlink *s, uint8_t *mode, deadline_t deadline, struct fault *fault)
{
	uint8_t answer[2] = {0};
	struct stlink_call call = {
	        .bytes = {CMD_MODE}, .answer = answer, .answer_len = 2, .doing = "being asked for its mode"};

	if (stlink_exchange(&s->wire, &call, NULL, deadline, fault) != 0)
		return -1;
	*mode = answer[0];
	return 0;
}

static int send_only(struct stlink *s, uint8_t first, uint8_t second, const char *doing, deadline_t deadline,
                     struct fault *fault)
{
	struct stlink_call call = {.bytes = {first, second}, .doing = doing};

	return stlink_exchange(&s->wire, &call, NULL, deadline, fault);
}

/* Whatever mode it was left in, out of it. */
static int go_idle(struct stlink *s, deadline_t deadline, struct fault *fault)
{
	uint8_t mode = MODE_IDLE;

	s->entered = false;
	for (unsigned tries = 0; tries < MODE_TRIES; tries++) {
		int left = 0;
		if (get_mode(s, &mode, deadline, fault) != 0)
			return -1;
		if (mode == MODE_IDLE)
			return 0;
		if (mode == MODE_DFU)
			left = send_only(s, CMD_DFU, 0x07, "leaving its boot mode", deadline, fault);
		else if (mode == MODE_DEBUG)
			left = send_only(s, CMD_DEBUG, DEBUG_EXIT, "leaving debug mode", deadline, fault);
		else if (mode == MODE_SWIM)
			left = send_only(s, CMD_SWIM, 0x01, "leaving SWIM mode", deadline, fault);
		if (left != 0)
			return -1;
	}
	if (get_mode(s, &mode, deadline, fault) != 0)
		return -1;
	if (mode == MODE_IDLE)
		return 0;
	return fault_set(fault, FAIL_PROGRAMMER_LOST,
	                 "the ST-Link stays in mode %u: unplug it and plug it in again", mode);
}

/* 0 = it cannot tell, or says nonsense. Clones often do not measure. */
static int get_voltage(struct stlink *s, uint32_t *millivolts, deadline_t deadline, struct fault *fault)
{
	uint8_t a[8] = {0};
	struct stlink_call call = {
	        .bytes = {CMD_VOLTAGE}, .answer = a, .answer_len = sizeof a, .doing = "measuring the target voltage"};

	*millivolts = 0;
	if (s->major < 3 && s->j < VOLTAGE_J)
		return 0;
	if (stlink_exchange(&s->wire, &call, NULL, deadline, fault) != 0)
		return -1;
	uint32_t reference = a[0] | (uint32_t)a[1] << 8 | (uint32_t)a[2] << 16 | (uint32_t)a[3] << 24;
	uint32_t measured = a[4] | (uint32_t)a[5] << 8 | (uint32_t)a[6] << 16 | (uint32_t)a[7] << 24;
	/* Two ADC readings; the reference is 1.2 V, the target is halved. */
	if (reference > 0 && reference <= 0xFFFF && measured <= 0xFFFF)
		*millivolts = 2400 * measured / reference;
	return 0;
}

/* ---- open */

static int read_version(struct stlink *s, const struct usb_identity *id, deadline_t deadline, struct fault *fault)
{
	uint8_t v3[12] = {0};
	struct stlink_call call = {
	        .bytes = {CMD_VERSION_V3}, .answer = v3, .answer_len = sizeof v3, .doing = "being asked for its version"};
	const uint8_t *v = s->wire.version;

	if (stlink_sync(&s->wire, true, deadline, fault) != 0)
		return -1;
	unsigned word = (unsigned)v[0] << 8 | v[1];
	if (word == 0 || (v[2] | v[3] << 8) != id->vendor || (v[4] | v[5] << 8) != id->product)
		return fault_set(fault, FAIL_PROGRAMMER_LOST,
		                 "the ST-Link answers out of step or is none: unplug it and plug it in again");
	s->major = word >> 12;
	s->j = word >> 6 & 0x3F;
	unsigned last = word & 0x3F;
	if (s->major == 3) {
		if (stlink_exchange(&s->wire, &call, NULL, deadline, fault) != 0)
			return -1;
		s->j = v3[2];
		last = v3[3];
	}
	snprintf(s->base.info.firmware, sizeof s->base.info.firmware, "V%uJ%u%c%u", s->major, s->j,
	         id->product == 0x3748 ? 'S' : 'M', last);
	return 0;
}

static int check_firmware(const struct stlink *s, struct fault *fault)
{
	if (s->major >= 3 || (s->major == 2 && s->j >= MIN_J))
		return 0;
	return fault_set(fault, FAIL_PROGRAMMER_LOST,
	                 "firmware %s of this ST-Link is too old, it needs V2J%d or newer: update the dongle with ST's "
	                 "STSW-LINK007",
	                 s->base.info.firmware, MIN_J);
}

static int add_steps_v3(struct stlink *s, deadline_t deadline, struct fault *fault)
{
	uint8_t a[52] = {0};
	struct stlink_call call = {.bytes = {0, DEBUG_FREQUENCIES_V3}};

	if (debug_ask(s, call, sizeof a, a, "being asked for its speeds", deadline, fault) != 0)
		return -1;
	for (size_t i = 0; i < a[8] && i < 10; i++) {
		const uint8_t *k = a + 12 + 4 * i;
		uint32_t khz = k[0] | (uint32_t)k[1] << 8 | (uint32_t)k[2] << 16;
		if (khz > 0 && khz < 0x10000)
			s->steps[s->step_count++] = (struct step){khz * 1000, (uint16_t)khz};
	}
	return 0;
}

static int add_steps(struct stlink *s, deadline_t deadline, struct fault *fault)
{
	if (s->major >= 3) {
		if (add_steps_v3(s, deadline, fault) != 0)
			return -1;
	} else if (s->j >= SPEED_J) {
		memcpy(s->steps, v2_steps, sizeof v2_steps);
		s->step_count = V2_STEPS;
	}
	s->base.info.sck_control = s->step_count > 0;
	for (size_t i = 0; i < s->step_count; i++)
		s->base.info.sck_steps[i] = s->steps[i].hz;
	return 0;
}

/* The serial of a clone may be 12 raw bytes, zeros among them, or the same text on every dongle: a label, never a name.
 * Only the raw descriptor tells (USB 2.0, 9.6.7). */
static void read_label(struct stlink *s, deadline_t deadline)
{
	uint8_t d[64] = {0};
	char *label = s->base.info.label;
	size_t room = sizeof s->base.info.label;
	int got = s->wire.link->ops->control(s->wire.link, 0x80, 6, 0x0303, 0x0409, d, sizeof d, deadline);

	if (got < 4 || d[0] > got || d[1] != 3)
		return;
	size_t units = (d[0] - 2u) / 2;
	bool raw = units == 12; /* each unit is one byte of the chip's id */
	for (size_t i = 0, at = 0; i < units && at + 3 < room; i++) {
		uint8_t low = d[2 + 2 * i];
		if (raw)
			at += (size_t)snprintf(label + at, room - at, "%02X", low);
		else
			label[at++] = d[3 + 2 * i] == 0 && low > ' ' && low < 0x7F ? (char)low : '?';
	}
}

static void describe(struct stlink *s, const struct model *model)
{
	struct programmer_info *info = &s->base.info;

	snprintf(info->kind, sizeof info->kind, "%s", programmer_stlink.kind);
	snprintf(info->abilities, sizeof info->abilities, "swd ST-Link-%s%s%s", model->title,
	         info->sck_control ? " speed-control" : " fixed-speed",
	         s->major < 3 && s->j < WANTED_J ? " firmware-update-advised" : "");
}

static const struct swd_ops stlink_swd;

static int start(struct stlink *s, const struct usb_identity *identity, deadline_t deadline, struct fault *fault)
{
	if (read_version(s, identity, deadline, fault) != 0 || check_firmware(s, fault) != 0 ||
	    go_idle(s, deadline, fault) != 0 || add_steps(s, deadline, fault) != 0)
		return -1;
	read_label(s, deadline);
	describe(s, model_of(identity));
	return 0;
}

static int stlink_open(struct link *link, const struct usb_identity *identity, struct programmer **out,
                       deadline_t deadline, struct fault *fault)
{
	const struct model *model = model_of(identity);
	struct stlink *s = calloc(1, sizeof *s);

	if (s == NULL || model == NULL) {
		free(s);
		return fault_set(fault, FAIL_PROGRAMMER_LOST, model == NULL ? "this is no ST-Link" : "out of memory");
	}
	if (model->useless != NULL) {
		free(s);
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "%s", model->useless);
	}
	s->base.driver = &programmer_stlink;
	s->base.swd = &stlink_swd;
	s->wire = (struct stlink_wire){
	        .link = link,
	        .out = model->out,
	        .in = 0x81,
	        .packet = identity->speed >= 3 ? 512 : 64,
	        .swclk_hz = DFLT_HZ,
	};
	if (start(s, identity, deadline, fault) != 0) {
		free(s);
		return -1;
	}
	*out = &s->base;
	return 0;
}

static void stlink_leave(struct programmer *programmer, deadline_t deadline);

static void stlink_close(struct programmer *programmer)
{
	struct stlink *s = stlink_of(programmer);

	stlink_leave(programmer, 0);
	s->wire.link->ops->close(s->wire.link);
	free(s);
}

/* ---- entering */

/* Sets the fastest step <= hz, or the slowest. Firmware that has no choice keeps its one speed. */
static int set_speed(struct stlink *s, uint32_t hz, deadline_t deadline, struct fault *fault)
{
	uint8_t answer[8] = {0};
	size_t i = 0;

	if (s->step_count == 0) {
		s->wire.swclk_hz = DFLT_HZ;
		return 0;
	}
	while (i + 1 < s->step_count && s->steps[i].hz > hz)
		i++;
	uint8_t low = (uint8_t)s->steps[i].code, high = (uint8_t)(s->steps[i].code >> 8);
	struct stlink_call v2 = {.bytes = {0, DEBUG_FREQUENCY, low, high}};
	struct stlink_call v3 = {.bytes = {0, DEBUG_FREQUENCY_V3, 0, 0, low, high}};
	bool is_v3 = s->major >= 3;
	if (debug_ask(s, is_v3 ? v3 : v2, is_v3 ? 8 : 2, answer, "setting the SWD speed", deadline, fault) != 0)
		return -1;
	s->wire.swclk_hz = s->steps[i].hz;
	return 0;
}

static int set_nrst(struct stlink *s, bool low, deadline_t deadline, struct fault *fault)
{
	uint8_t answer[2] = {0};
	struct stlink_call call = {.bytes = {0, DEBUG_NRST, low ? 0 : 1}};

	s->nrst_low = low;
	return debug_ask(s, call, sizeof answer, answer, low ? "pulling NRST low" : "letting NRST go", deadline, fault);
}

static uint32_t word_at(const uint8_t *b)
{
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static int read_port_id(struct stlink *s, uint32_t *id, deadline_t deadline, struct fault *fault)
{
	uint8_t answer[12] = {0};
	struct stlink_call call = {.bytes = {0, DEBUG_ID_CODES}};

	if (debug_ask(s, call, sizeof answer, answer, "reading the id of the debug port", deadline, fault) != 0)
		return -1;
	*id = word_at(answer + 4);
	return 0;
}

/* Two of the failures are cured by leaving debug mode first: it was open in another way, or the port had no power yet. */
static int enter_swd(struct stlink *s, deadline_t deadline, struct fault *fault)
{
	struct stlink_call call = {.bytes = {0, DEBUG_ENTER, ENTER_SWD}};
	uint8_t answer[2] = {0};

	for (unsigned tries = 1;; tries++) {
		if (debug_ask(s, call, sizeof answer, answer, "connecting", deadline, fault) == 0) {
			s->entered = true;
			return 0;
		}
		bool again = answer[0] == 0x0B || answer[0] == 0x0E;
		if (fault->code != FAIL_CONTACT || !again || tries >= ENTER_TRIES)
			return -1;
		if (send_only(s, CMD_DEBUG, DEBUG_EXIT, "leaving debug mode", deadline, fault) != 0)
			return -1;
	}
}

static int no_answer(uint32_t id, uint32_t millivolts, struct fault *fault)
{
	if (millivolts >= NO_POWER_MV && millivolts < LOW_MV)
		return fault_set(fault, FAIL_POWER,
		                 "no chip answers on SWD, and its supply is only %u.%02u V: is the board powered?",
		                 (unsigned)(millivolts + 5) / 1000, (unsigned)(millivolts + 5) % 1000 / 10);
	if (id == UINT32_MAX)
		return fault_set(fault, FAIL_CONTACT, "no chip answers on SWD: SWDIO is stuck high; check the wiring");
	return fault_set(fault, FAIL_CONTACT,
	                 "no chip answers on SWD (id 0x0000): is a board set, has it power, is SWDIO swapped with SWCLK, is "
	                 "GND connected?");
}

static int check_voltage(uint32_t millivolts, struct fault *fault)
{
	if (millivolts < NO_POWER_MV || (millivolts >= LOW_MV && millivolts <= HIGH_MV))
		return 0;
	return fault_set(fault, FAIL_POWER, "the supply of the board is %u.%02u V, it must be %s %u.%u V: check its power",
	                 (unsigned)(millivolts + 5) / 1000, (unsigned)(millivolts + 5) % 1000 / 10,
	                 millivolts < LOW_MV ? "at least" : "at most", millivolts < LOW_MV ? 2u : 3u,
	                 millivolts < LOW_MV ? 7u : 6u);
}

static int connect(struct stlink *s, uint32_t hz, bool under_reset, struct swd_target *target, deadline_t deadline,
                   struct fault *fault)
{
	if (go_idle(s, deadline, fault) != 0 || get_voltage(s, &target->millivolts, deadline, fault) != 0 ||
	    set_speed(s, hz, deadline, fault) != 0)
		return -1;
	if (under_reset && set_nrst(s, true, deadline, fault) != 0)
		return -1;
	if (enter_swd(s, deadline, fault) != 0 || read_port_id(s, &target->port_id, deadline, fault) != 0)
		return fault->code == FAIL_CONTACT ? no_answer(0, target->millivolts, fault) : -1;
	if (target->port_id == 0 || target->port_id == UINT32_MAX)
		return no_answer(target->port_id, target->millivolts, fault);
	if (check_voltage(target->millivolts, fault) != 0)
		return -1;
	/* A voltage that cannot be with a chip that answers was not measured. */
	if (target->millivolts < NO_POWER_MV)
		target->millivolts = 0;
	target->used_hz = s->wire.swclk_hz;
	return 0;
}

static int stlink_enter(struct programmer *programmer, uint32_t hz, bool under_reset, struct swd_target *target,
                        deadline_t deadline, struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);

	*target = (struct swd_target){0};
	if (s->nrst_low)
		stlink_leave(programmer, deadline);
	if (connect(s, hz, under_reset, target, deadline, fault) != 0) {
		stlink_leave(programmer, deadline);
		return -1;
	}
	stlink_wire_fresh(&s->wire);
	return 0;
}

/* Also when the step's time is over: a board must not be left in reset. */
static void stlink_leave(struct programmer *programmer, deadline_t deadline)
{
	struct stlink *s = stlink_of(programmer);
	deadline_t least = deadline_in_ms(RELEASE_MS), end = deadline > least ? deadline : least;
	struct fault ignored;

	if (!s->wire.lost && s->nrst_low)
		set_nrst(s, false, end, &ignored);
	if (!s->wire.lost && s->entered)
		send_only(s, CMD_DEBUG, DEBUG_EXIT, "leaving debug mode", end, &ignored);
	s->entered = s->nrst_low = false;
}

/* ---- the port */

static int must_be_entered(const struct stlink *s, struct fault *fault)
{
	if (s->wire.lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the ST-Link is gone");
	if (!s->entered)
		return fault_set(fault, FAIL_CONTACT, "the chip is not connected");
	return 0;
}

static int stlink_speed(struct programmer *programmer, uint32_t hz, uint32_t *used_hz, deadline_t deadline,
                        struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);

	if (must_be_entered(s, fault) != 0 || set_speed(s, hz, deadline, fault) != 0)
		return -1;
	*used_hz = s->wire.swclk_hz;
	return 0;
}

static int stlink_nrst(struct programmer *programmer, bool low, deadline_t deadline, struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);

	if (must_be_entered(s, fault) != 0)
		return -1;
	return set_nrst(s, low, deadline, fault);
}

static void put_word(uint8_t *b, uint32_t word)
{
	b[0] = (uint8_t)word;
	b[1] = (uint8_t)(word >> 8);
	b[2] = (uint8_t)(word >> 16);
	b[3] = (uint8_t)(word >> 24);
}

/* A bus fault leaves a sticky flag in the debug port, and later accesses would fail because of it. Newer firmware lets us
 * clear it (ABORT, Arm Debug Interface v5); older one does so by itself. */
static void clear_sticky(struct stlink *s, deadline_t deadline)
{
	static const struct stlink_call call = {.bytes = {0, DEBUG_DP_WRITE, 0xFF, 0xFF, 0, 0, 0x1E, 0, 0, 0}};
	uint8_t answer[2] = {0};
	struct fault ignored;

	if (!s->wire.lost && (s->major >= 3 || s->j >= DAP_J))
		debug_ask(s, call, sizeof answer, answer, "clearing the debug port", deadline, &ignored);
}

static int stlink_get(struct programmer *programmer, uint32_t address, uint32_t *word, deadline_t deadline,
                      struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);
	struct stlink_call call = {.bytes = {0, DEBUG_GET}, .refused = FAIL_VERIFY};
	uint8_t answer[8] = {0};

	if (must_be_entered(s, fault) != 0)
		return -1;
	put_word(call.bytes + 2, address);
	if (debug_ask(s, call, sizeof answer, answer, "reading a word", deadline, fault) != 0) {
		if (fault->code == FAIL_VERIFY)
			clear_sticky(s, deadline);
		return -1;
	}
	*word = word_at(answer + 4);
	return 0;
}

static int stlink_set(struct programmer *programmer, uint32_t address, uint32_t word, deadline_t deadline,
                      struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);
	struct stlink_call call = {.bytes = {0, DEBUG_SET}, .refused = FAIL_WRITE};
	uint8_t answer[2] = {0};

	if (must_be_entered(s, fault) != 0)
		return -1;
	put_word(call.bytes + 2, address);
	put_word(call.bytes + 6, word);
	if (debug_ask(s, call, sizeof answer, answer, "writing a word", deadline, fault) != 0) {
		if (fault->code == FAIL_WRITE)
			clear_sticky(s, deadline);
		return -1;
	}
	return 0;
}

static int memory_status(struct stlink *s, uint8_t *status, deadline_t deadline, struct fault *fault)
{
	uint8_t answer[12] = {0};
	struct stlink_call call = {.bytes = {CMD_DEBUG, DEBUG_STATUS},
	                           .answer = answer,
	                           .answer_len = sizeof answer,
	                           .doing = "being asked how the memory access went"};
	size_t got = 0;

	if (stlink_exchange(&s->wire, &call, &got, deadline, fault) != 0)
		return -1;
	*status = answer[0];
	return 0;
}

/* One block; read or written again when the chip said "wait". */
static int move_block(struct stlink *s, uint32_t address, uint8_t *to, const uint8_t *from, size_t len,
                      deadline_t deadline, struct fault *fault)
{
	struct stlink_call call = {
	        .bytes = {CMD_DEBUG, to != NULL ? DEBUG_READ_32 : DEBUG_WRITE_32},
	        .data = from,
	        .data_len = from != NULL ? len : 0,
	        .answer = to,
	        .answer_len = to != NULL ? len : 0,
	        .refused = to != NULL ? FAIL_VERIFY : FAIL_WRITE,
	        .doing = to != NULL ? "reading memory" : "writing memory",
	};

	put_word(call.bytes + 2, address);
	call.bytes[6] = (uint8_t)len;
	call.bytes[7] = (uint8_t)(len >> 8);
	for (unsigned tries = 0;; tries++) {
		uint8_t status = 0;
		if (stlink_exchange(&s->wire, &call, NULL, deadline, fault) != 0 ||
		    memory_status(s, &status, deadline, fault) != 0)
			return -1;
		if (status == STLINK_OK)
			return 0;
		if (!stlink_status_waits(status) || tries >= 3) {
			clear_sticky(s, deadline);
			stlink_status_fault(status, call.refused, call.doing, fault);
			fault->has_address = fault->code == call.refused;
			fault->address = address;
			return -1;
		}
		clock_sleep_us(1000LL << tries);
	}
}

static int stlink_read(struct programmer *programmer, uint32_t address, uint8_t *bytes, size_t len,
                       deadline_t deadline, struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);

	if (must_be_entered(s, fault) != 0)
		return -1;
	for (size_t done = 0; done < len;) {
		size_t n = len - done < BLOCK ? len - done : BLOCK;
		if (move_block(s, address + (uint32_t)done, bytes + done, NULL, n, deadline, fault) != 0)
			return -1;
		done += n;
	}
	return 0;
}

static int stlink_write(struct programmer *programmer, uint32_t address, const uint8_t *bytes, size_t len,
                        deadline_t deadline, struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);

	if (must_be_entered(s, fault) != 0)
		return -1;
	for (size_t done = 0; done < len;) {
		size_t n = len - done < BLOCK ? len - done : BLOCK;
		if (move_block(s, address + (uint32_t)done, NULL, bytes + done, n, deadline, fault) != 0)
			return -1;
		done += n;
	}
	return 0;
}

static int stlink_get_core(struct programmer *programmer, unsigned number, uint32_t *value, deadline_t deadline,
                           struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);
	struct stlink_call call = {.bytes = {0, DEBUG_GET_CORE, (uint8_t)number}};
	uint8_t answer[8] = {0};

	if (must_be_entered(s, fault) != 0 ||
	    debug_ask(s, call, sizeof answer, answer, "reading a core register", deadline, fault) != 0)
		return -1;
	*value = word_at(answer + 4);
	return 0;
}

static int stlink_set_core(struct programmer *programmer, unsigned number, uint32_t value, deadline_t deadline,
                           struct fault *fault)
{
	struct stlink *s = stlink_of(programmer);
	struct stlink_call call = {.bytes = {0, DEBUG_SET_CORE, (uint8_t)number}};
	uint8_t answer[2] = {0};

	if (must_be_entered(s, fault) != 0)
		return -1;
	put_word(call.bytes + 3, value);
	return debug_ask(s, call, sizeof answer, answer, "writing a core register", deadline, fault);
}

static const struct swd_ops stlink_swd = {
        .enter = stlink_enter,
        .leave = stlink_leave,
        .speed = stlink_speed,
        .nrst = stlink_nrst,
        .get = stlink_get,
        .set = stlink_set,
        .read = stlink_read,
        .write = stlink_write,
        .get_core = stlink_get_core,
        .set_core = stlink_set_core,
};

const struct programmer_driver programmer_stlink = {
        .kind = "stlink",
        .match = stlink_match,
        .open = stlink_open,
        .close = stlink_close,
};
