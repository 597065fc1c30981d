#ifndef POGO_STATION_STLINK_WIRE_H
#define POGO_STATION_STLINK_WIRE_H

#include "station/programmer/programmer.h"

/* The conversation with an ST-Link: 16 command bytes out, then an optional data phase in one direction. Nothing frames or
 * numbers the replies, so one that is lost shifts every later one: after a silence the conversation is brought back into
 * step; a dongle that does not come has its port reset, once. A second silence, or nothing helping, means that it is lost. */

struct stlink_wire {
	struct link *link;
	uint8_t out, in;   /* endpoint addresses */
	uint16_t packet;   /* of the endpoints: 64, or 512 at high speed */
	uint32_t swclk_hz; /* in force: how long a block may take */
	bool lost;
	bool out_of_step;  /* a reply may still be on its way */
	unsigned silences; /* since the last stlink_wire_fresh */
	unsigned restarts; /* how often its port was reset */
	uint8_t version[6]; /* what the version command said when it was opened: proves later that we are in step */
};

struct stlink_call {
	uint8_t bytes[16];
	const uint8_t *data; /* goes out behind the command; NULL: nothing */
	size_t data_len;
	uint8_t *answer; /* comes back; NULL: nothing */
	size_t answer_len;
	enum fail_code refused; /* of an address that the target does not let us have */
	const char *doing;      /* "reading memory" */
};

/* One command and its data phase. `got` (may be NULL: then the answer must be complete) tells how many bytes came. */
int stlink_exchange(struct stlink_wire *wire, const struct stlink_call *call, size_t *got, deadline_t deadline,
                    struct fault *fault);

/* The same for commands whose answer begins with a status byte, judged before the length. */
int stlink_ask(struct stlink_wire *wire, const struct stlink_call *call, deadline_t deadline, struct fault *fault);

/* Reads the IN endpoint empty and asks for the version; *version may differ from the one before when `first`. */
int stlink_sync(struct stlink_wire *wire, bool first, deadline_t deadline, struct fault *fault);

/* A new board: what hung before is forgotten. */
void stlink_wire_fresh(struct stlink_wire *wire);

enum { STLINK_OK = 0x80 };

/* Is it a state in which the same command may be sent again? */
bool stlink_status_waits(uint8_t status);
/* Fault of a status that is not STLINK_OK; always -1. */
int stlink_status_fault(uint8_t status, enum fail_code refused, const char *doing, struct fault *fault);

#endif
