#include "station/programmer/stlink_wire.h"

#include <string.h>

enum {
	ANSWER_MS = 2000,   /* shortest time a transfer gets before the dongle counts as hung */
	SYNC_MS = 300,      /* for the version, which needs no target */
	DRAIN_MS = 5,       /* a stale reply is in the dongle already: it comes within a frame or two */
	DRAIN_PACKETS = 256, /* more than the longest reply */
	WAIT_TRIES = 8,     /* of a target that says "wait": 1, 2, 4 … ms, as long as OpenOCD has patience */
	GET_VERSION = 0xF1,
};

/* ---- status codes */

enum {
	AP_WAIT = 0x10,
	DP_WAIT = 0x14,
};

/* Status byte of OpenOCD's stlink_usb.c and pyOCD's stlink/constants.py, and what an operator can do about it. */
static const struct status {
	uint8_t code;
	enum fail_code fail; /* FAIL_NONE: the caller's `refused` */
	const char *text;
} statuses[] = {
        {0x04, FAIL_CONTACT, "no chip answers"},
        {0x05, FAIL_CONTACT, "no chip answers"},
        {0x09, FAIL_CONTACT, "no chip answers"},
        {0x10, FAIL_CONTACT, "the chip keeps saying \"wait\""},
        {0x14, FAIL_CONTACT, "the chip keeps saying \"wait\""},
        {0x81, FAIL_CONTACT, "fault on the SWD lines"},
        {0x0B, FAIL_CONTACT, "the chip does not power its debug port"},
        {0x0E, FAIL_CONTACT, "the ST-Link is open in another mode"},
        {0x12, FAIL_CONTACT, "the chip does not answer any more"},
        {0x13, FAIL_CONTACT, "parity error on SWDIO"},
        {0x16, FAIL_CONTACT, "the chip does not answer any more"},
        {0x17, FAIL_CONTACT, "parity error on SWDIO"},
        {0x18, FAIL_CONTACT, "a write got lost on the SWD lines"},
        {0x19, FAIL_CONTACT, "the debug port reports an earlier error"},
        {0x1A, FAIL_CONTACT, "the debug port was overrun"},
        {0x0C, FAIL_NONE, "write error"},
        {0x0D, FAIL_NONE, "write error, found when reading back"},
        {0x11, FAIL_NONE, "the chip refused this address"},
        {0x15, FAIL_NONE, "the chip refused this address"},
        {0x41, FAIL_PROGRAMMER_LOST, "the firmware of the ST-Link does not know this speed: update it"},
        {0x42, FAIL_PROGRAMMER_LOST, "the firmware of the ST-Link does not know this command: update it"},
        {0x02, FAIL_PROGRAMMER_LOST, "internal error of the ST-Link: unplug it and plug it in again"},
        {0x03, FAIL_PROGRAMMER_LOST, "internal error of the ST-Link: unplug it and plug it in again"},
        {0x06, FAIL_PROGRAMMER_LOST, "internal error of the ST-Link: unplug it and plug it in again"},
};

bool stlink_status_waits(uint8_t status)
{
	return status == AP_WAIT || status == DP_WAIT;
}

int stlink_status_fault(uint8_t status, enum fail_code refused, const char *doing, struct fault *fault)
{
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		const struct status *known = &statuses[i];
		if (known->code != status)
			continue;
		return fault_set(fault, known->fail != FAIL_NONE ? known->fail : refused, "%s while %s (status %02X)",
		                 known->text, doing, status);
	}
	return fault_set(fault, FAIL_CONTACT, "the ST-Link reports status %02X while %s", status, doing);
}

/* ---- transfers */

static deadline_t transfer_deadline(const struct stlink_wire *wire, size_t bytes, deadline_t step)
{
	/* A word takes 46 clocks (Arm Debug Interface v5: request, acknowledge, data, turnarounds); four times that. */
	uint64_t clocks = bytes / 4 * 46 * 4;
	uint32_t hz = wire->swclk_hz > 0 ? wire->swclk_hz : 100000;
	deadline_t own = deadline_in_ms(ANSWER_MS + (int64_t)(clocks * 1000 / hz));

	return own < step ? own : step;
}

static int bulk(struct stlink_wire *wire, uint8_t endpoint, void *data, size_t len, deadline_t step)
{
	return wire->link->ops->bulk(wire->link, endpoint, data, len, transfer_deadline(wire, len, step));
}

void stlink_wire_fresh(struct stlink_wire *wire)
{
	wire->silences = 0;
}

static int declare_lost(struct stlink_wire *wire, const char *what, const char *doing, struct fault *fault)
{
	wire->lost = true;
	return fault_set(fault, FAIL_PROGRAMMER_LOST, "the ST-Link %s while %s", what, doing);
}

static void drain(struct stlink_wire *wire)
{
	uint8_t stale[512];

	for (unsigned i = 0; i < DRAIN_PACKETS; i++)
		if (wire->link->ops->bulk(wire->link, wire->in, stale, wire->packet, deadline_in_ms(DRAIN_MS)) <= 0)
			return;
}

static int ask_version(struct stlink_wire *wire, uint8_t version[6], deadline_t deadline)
{
	uint8_t command[16] = {GET_VERSION};
	int result = bulk(wire, wire->out, command, sizeof command, deadline);

	if (result == (int)sizeof command)
		result = bulk(wire, wire->in, version, 6, deadline);
	return result;
}

static int sync_once(struct stlink_wire *wire, bool first, deadline_t deadline, struct fault *fault)
{
	const char *doing = "being asked for its version";
	uint8_t version[6] = {0};

	drain(wire);
	deadline_t soon = deadline_in_ms(SYNC_MS);
	int got = ask_version(wire, version, soon < deadline ? soon : deadline);
	if (got == -LINK_GONE)
		return declare_lost(wire, "was unplugged", doing, fault);
	if (got < 0 && deadline_left_ms(deadline) == 0)
		return fault_set(fault, FAIL_TIMEOUT, "time ran out while the ST-Link was brought back into step");
	if (got != (int)sizeof version)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the ST-Link does not answer: unplug it and plug it in again");
	if (!first && memcmp(version, wire->version, sizeof version) != 0)
		return declare_lost(wire, "answers out of step: unplug it and plug it in again;", doing, fault);
	memcpy(wire->version, version, sizeof version);
	wire->out_of_step = false;
	return 0;
}

/* All that can be done without a hand. */
static int restart(struct stlink_wire *wire, deadline_t deadline)
{
	struct link *link = wire->link;

	if (link->ops->restart == NULL || link->ops->restart(link, deadline) != 0)
		return -1;
	wire->restarts++;
	return 0;
}

int stlink_sync(struct stlink_wire *wire, bool first, deadline_t deadline, struct fault *fault)
{
	if (sync_once(wire, first, deadline, fault) == 0)
		return 0;
	if (fault->code == FAIL_PROGRAMMER_LOST && !wire->lost && restart(wire, deadline) == 0 &&
	    sync_once(wire, first, deadline, fault) == 0)
		return 0;
	wire->lost = wire->lost || fault->code == FAIL_PROGRAMMER_LOST;
	return -1;
}

/* Something did not come. Brings the conversation back once, and fails in any case: what the command has done is not known. */
static int on_silence(struct stlink_wire *wire, int result, const char *doing, deadline_t step, struct fault *fault)
{
	if (result == -LINK_GONE)
		return declare_lost(wire, "was unplugged", doing, fault);
	wire->out_of_step = true;
	if (deadline_left_ms(step) == 0)
		return fault_set(fault, FAIL_TIMEOUT, "time ran out while %s", doing);
	if (wire->silences++ > 0)
		return declare_lost(wire, "stopped answering again: unplug it and plug it in again;", doing, fault);
	unsigned restarts = wire->restarts;
	if (stlink_sync(wire, false, step, fault) != 0)
		return -1;
	return fault_set(fault, FAIL_TIMEOUT, "the ST-Link %s while %s; %sit answers again",
	                 result == -LINK_TIMEOUT ? "did not answer" : "refused or lost a transfer", doing,
	                 wire->restarts > restarts ? "its USB port was reset, and " : "");
}

int stlink_exchange(struct stlink_wire *wire, const struct stlink_call *call, size_t *got, deadline_t deadline,
                    struct fault *fault)
{
	uint8_t command[16];
	int result;

	if (wire->lost)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the ST-Link is gone");
	if (deadline_left_ms(deadline) == 0)
		return fault_set(fault, FAIL_TIMEOUT, "time ran out before %s", call->doing);
	if (wire->out_of_step && stlink_sync(wire, false, deadline, fault) != 0)
		return -1;
	memcpy(command, call->bytes, sizeof command);
	result = bulk(wire, wire->out, command, sizeof command, deadline);
	if (result != (int)sizeof command)
		return on_silence(wire, result, call->doing, deadline, fault);
	if (call->data != NULL) {
		/* The link takes no const bytes; it does not change what goes out. */
		void *out = (void *)(uintptr_t)call->data; /* NOLINT(performance-no-int-to-ptr) */
		result = bulk(wire, wire->out, out, call->data_len, deadline);
		if (result != (int)call->data_len)
			return on_silence(wire, result, call->doing, deadline, fault);
	}
	if (call->answer == NULL)
		return 0;
	result = bulk(wire, wire->in, call->answer, call->answer_len, deadline);
	if (result <= 0 || (got == NULL && result != (int)call->answer_len))
		return on_silence(wire, result, call->doing, deadline, fault);
	if (got != NULL)
		*got = (size_t)result;
	return 0;
}

int stlink_ask(struct stlink_wire *wire, const struct stlink_call *call, deadline_t deadline, struct fault *fault)
{
	for (unsigned tries = 0;; tries++) {
		size_t got = 0;
		if (stlink_exchange(wire, call, &got, deadline, fault) != 0)
			return -1;
		uint8_t status = call->answer[0];
		if (status == STLINK_OK) {
			if (got == call->answer_len)
				return 0;
			return on_silence(wire, -LINK_IO, call->doing, deadline, fault);
		}
		if (!stlink_status_waits(status) || tries >= WAIT_TRIES || deadline_left_ms(deadline) == 0) {
			int failed = stlink_status_fault(status, call->refused, call->doing, fault);
			wire->lost = wire->lost || fault->code == FAIL_PROGRAMMER_LOST;
			return failed;
		}
		clock_sleep_us(1000LL << tries);
	}
}
