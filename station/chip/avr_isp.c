#include "station/chip/avr_isp.h"

#include <string.h>

/* Instructions: ATmega16U4/32U4 data sheet 7766J, 28.8.2 (Serial Programming Instruction Set); the
 * same bytes stand in the sheets of all other parts of configs/parts. */

int avr_may_go(const struct chip *chip, deadline_t deadline, struct fault *fault)
{
	if (!chip->attached)
		return fault_set(fault, FAIL_CONTACT, "no board is in programming mode");
	if (clock_now() > deadline)
		return fault_set(fault, FAIL_TIMEOUT, "the step's time is over");
	return 0;
}

int avr_may_go_on(const struct chip *chip, deadline_t deadline, struct fault *fault)
{
	if (chip->progress.stop && atomic_load(chip->progress.stop))
		return fault_set(fault, FAIL_ABORTED, "stopped by the operator");
	return avr_may_go(chip, deadline, fault);
}

/* After FAIL_PROGRAMMER_LOST only close may be called: not even leave. */
static int outcome(struct chip *chip, int rc, const struct fault *fault)
{
	if (rc && fault->code == FAIL_PROGRAMMER_LOST)
		chip->attached = false;
	return rc;
}

int avr_command(struct chip *chip, const uint8_t out[4], uint8_t in[4], bool checked,
                deadline_t deadline, struct fault *fault)
{
	if (avr_may_go(chip, deadline, fault))
		return -1;
	memset(in, 0, 4);
	if (outcome(chip,
	            chip->programmer->isp->command(chip->programmer, out, in, deadline, fault),
	            fault))
		return -1;
	if (checked && in[2] != out[1])
		return fault_set(fault, FAIL_CONTACT,
		                 "the board does not echo (sent %02X, heard %02X): contact lost, "
		                 "or SCK too fast",
		                 out[1], in[2]);
	return 0;
}

int avr_enter(struct chip *chip, uint32_t sck_hz, deadline_t deadline, struct fault *fault)
{
	uint32_t used = 0;

	chip->attached = false;
	if (clock_now() > deadline)
		return fault_set(fault, FAIL_TIMEOUT, "the step's time is over");
	if (chip->programmer->isp->enter(chip->programmer, chip->part, sck_hz, &used, deadline, fault))
		return -1;
	chip->sck_hz = used;
	chip->attached = true;
	return 0;
}

void avr_leave(struct chip *chip)
{
	if (!chip->attached)
		return;
	chip->attached = false;
	/* Its own time: the step's deadline may be the very reason for leaving. */
	chip->programmer->isp->leave(chip->programmer, deadline_in_ms(1000));
}

static int read_byte(struct chip *chip, uint8_t b1, uint8_t b2, uint8_t b3, uint8_t *value,
                     deadline_t deadline, struct fault *fault)
{
	const uint8_t out[4] = {b1, b2, b3, 0};
	uint8_t in[4];

	if (avr_command(chip, out, in, true, deadline, fault))
		return -1;
	*value = in[3];
	return 0;
}

static int signature_once(struct chip *chip, uint8_t signature[3], deadline_t deadline,
                          struct fault *fault)
{
	for (uint8_t i = 0; i < 3; i++)
		if (read_byte(chip, 0x30, 0x00, i, &signature[i], deadline, fault))
			return -1;
	return 0;
}

int avr_signature(struct chip *chip, uint8_t signature[3], deadline_t deadline, struct fault *fault)
{
	static const uint8_t low[3] = {0x00, 0x00, 0x00}, high[3] = {0xFF, 0xFF, 0xFF};
	uint8_t again[3];

	if (signature_once(chip, signature, deadline, fault) ||
	    signature_once(chip, again, deadline, fault))
		return -1;
	/* Out of step by a bit or a byte, a chip still answers, but not twice the same. */
	if (memcmp(signature, again, 3) != 0)
		return fault_set(fault, FAIL_CONTACT,
		                 "signature read as %02X %02X %02X, then as %02X %02X %02X: bad "
		                 "contact on MISO or SCK, "
		                 "unstable power, or a crystal that does not run",
		                 signature[0], signature[1], signature[2], again[0], again[1],
		                 again[2]);
	if (memcmp(signature, low, 3) == 0 || memcmp(signature, high, 3) == 0)
		return fault_set(fault, FAIL_CONTACT,
		                 "signature reads %02X %02X %02X: check MISO, the board's power "
		                 "and its crystal",
		                 signature[0], signature[1], signature[2]);
	return 0;
}

int avr_fuse(struct chip *chip, enum part_fuse fuse, uint8_t *value, deadline_t deadline,
             struct fault *fault)
{
	static const uint8_t read[PART_FUSES][2] = {{0x50, 0x00}, {0x58, 0x08}, {0x50, 0x08}};

	return read_byte(chip, read[fuse][0], read[fuse][1], 0x00, value, deadline, fault);
}

int avr_lock(struct chip *chip, uint8_t *value, deadline_t deadline, struct fault *fault)
{
	return read_byte(chip, 0x58, 0x00, 0x00, value, deadline, fault);
}

static int settings_once(struct chip *chip, uint8_t fuses[PART_FUSES], uint8_t *lock,
                         deadline_t deadline, struct fault *fault)
{
	memset(fuses, 0xFF, PART_FUSES);
	/* A part with two fuse bytes must not even be asked for a third one: the instruction is not
	 * its own. */
	for (unsigned i = 0; i < PART_FUSES && i < chip->part->fuse_count; i++)
		if (avr_fuse(chip, (enum part_fuse)i, &fuses[i], deadline, fault))
			return -1;
	return avr_lock(chip, lock, deadline, fault);
}

int avr_settings(struct chip *chip, uint8_t fuses[PART_FUSES], uint8_t *lock, deadline_t deadline,
                 struct fault *fault)
{
	uint8_t again[PART_FUSES], lock_again;

	if (settings_once(chip, fuses, lock, deadline, fault) ||
	    settings_once(chip, again, &lock_again, deadline, fault))
		return -1;
	if (memcmp(fuses, again, PART_FUSES) != 0 || *lock != lock_again)
		return fault_set(fault, FAIL_CONTACT,
		                 "fuses or lock bits read differently twice: bad contact on MISO "
		                 "or SCK, or unstable power");
	return 0;
}

int avr_signature_row(struct chip *chip, unsigned row, uint8_t *value, deadline_t deadline,
                      struct fault *fault)
{
	/* Even bytes with "read signature", odd bytes with "read calibration": the row is words
	 * wide. */
	return read_byte(chip, row % 2 ? 0x38 : 0x30, 0x00, (uint8_t)(row / 2), value, deadline,
	                 fault);
}

static int poll_ready(struct chip *chip, uint32_t twd_us, enum fail_code code, deadline_t deadline,
                      struct fault *fault)
{
	static const uint8_t poll[4] = {0xF0, 0x00, 0x00, 0x00};
	int64_t end = clock_now() + (int64_t)twd_us * 3 * 1000;

	for (;;) {
		bool last = clock_now() > end;
		uint8_t in[4];

		if (avr_command(chip, poll, in, false, deadline, fault))
			return -1;
		if (!(in[3] & 1))
			return 0;
		if (last)
			return fault_set(fault, code,
			                 "the chip is still busy after three times its %u us",
			                 twd_us);
		clock_sleep_us(200); /* a programmer on a fast link need not spin */
	}
}

int avr_commit(struct chip *chip, const uint8_t out[4], uint32_t twd_us, enum fail_code code,
               deadline_t deadline, struct fault *fault)
{
	uint8_t in[4];

	if (avr_command(chip, out, in, true, deadline, fault))
		return -1;
	if (chip->part->rdy_bsy_poll)
		return poll_ready(chip, twd_us, code, deadline, fault);
	clock_sleep_us(twd_us);
	return 0;
}

static int in_reach(const struct chip *chip, enum isp_memory memory, uint32_t address, size_t len,
                    struct fault *fault)
{
	uint32_t limit = chip->programmer->info.flash_limit;

	if (memory == ISP_FLASH && limit && address + len > limit)
		return fault_set(fault, FAIL_WRITE,
		                 "this %s reaches only the first %u bytes of flash and the image "
		                 "ends above: take "
		                 "another programmer",
		                 chip->programmer->info.kind, limit);
	return 0;
}

int avr_read_block(struct chip *chip, enum isp_memory memory, uint32_t address, uint8_t *bytes,
                   size_t len, deadline_t deadline, struct fault *fault)
{
	if (avr_may_go(chip, deadline, fault) || in_reach(chip, memory, address, len, fault))
		return -1;
	return outcome(chip,
	               chip->programmer->isp->read(chip->programmer, memory, address, bytes, len,
	                                           deadline, fault),
	               fault);
}

int avr_write_block(struct chip *chip, enum isp_memory memory, uint32_t address,
                    const uint8_t *bytes, size_t len, deadline_t deadline, struct fault *fault)
{
	uint16_t page = memory == ISP_FLASH ? chip->part->flash_page : chip->part->eeprom_page;

	if (avr_may_go(chip, deadline, fault) || in_reach(chip, memory, address, len, fault))
		return -1;
	return outcome(chip,
	               chip->programmer->isp->write(chip->programmer, memory, address, bytes, len,
	                                            page, deadline, fault),
	               fault);
}
