#ifndef POGO_STATION_CHIP_AVR_ISP_H
#define POGO_STATION_CHIP_AVR_ISP_H

#include "station/chip/chip.h"

/* Private to station/chip: the AVR serial programming instructions, one function each, over the
 * programmer's isp port. Every call checks its deadline before the transfer and forgets the board
 * when the programmer is lost, so that nobody speaks to a dead handle later. */

/* One instruction. `checked`: MISO byte 3 must repeat MOSI byte 2, else FAIL_CONTACT. */
int avr_command(struct chip *chip, const uint8_t out[4], uint8_t in[4], bool checked,
                deadline_t deadline, struct fault *fault);

/* New reset pulse and programming enable, then sck_hz, attached. Failed: not attached. */
int avr_enter(struct chip *chip, uint32_t sck_hz, deadline_t deadline, struct fault *fault);
void avr_leave(struct chip *chip);

/* Read twice and compared: FAIL_CONTACT when unstable, all 00 or all FF. */
int avr_signature(struct chip *chip, uint8_t signature[3], deadline_t deadline,
                  struct fault *fault);
/* The part's fuses (0xFF for one that it has not) and lock bits, all read twice; FAIL_CONTACT when
 * the two differ. */
int avr_settings(struct chip *chip, uint8_t fuses[PART_FUSES], uint8_t *lock, deadline_t deadline,
                 struct fault *fault);
int avr_fuse(struct chip *chip, enum part_fuse fuse, uint8_t *value, deadline_t deadline,
             struct fault *fault);
int avr_lock(struct chip *chip, uint8_t *value, deadline_t deadline, struct fault *fault);
/* Byte `row` of the signature row. */
int avr_signature_row(struct chip *chip, unsigned row, uint8_t *value, deadline_t deadline,
                      struct fault *fault);

/* Sends a write or erase instruction and waits for its end: RDY/BSY where the part has it (up to
 * three times twd_us, then `code`), else the fixed time. */
int avr_commit(struct chip *chip, const uint8_t out[4], uint32_t twd_us, enum fail_code code,
               deadline_t deadline, struct fault *fault);

/* Blocks through the driver, with the programmer's reach checked. */
int avr_read_block(struct chip *chip, enum isp_memory memory, uint32_t address, uint8_t *bytes,
                   size_t len, deadline_t deadline, struct fault *fault);
int avr_write_block(struct chip *chip, enum isp_memory memory, uint32_t address,
                    const uint8_t *bytes, size_t len, deadline_t deadline, struct fault *fault);

/* FAIL_CONTACT unless attached; FAIL_TIMEOUT when the deadline is past. */
int avr_may_go(const struct chip *chip, deadline_t deadline, struct fault *fault);
/* The same, and FAIL_ABORTED when the run is being stopped: for the places where stopping is safe.
 */
int avr_may_go_on(const struct chip *chip, deadline_t deadline, struct fault *fault);

#endif
