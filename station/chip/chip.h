#ifndef POGO_STATION_CHIP_H
#define POGO_STATION_CHIP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/image.h"
#include "hextools/part.h"
#include "station/programmer/programmer.h"
#include "station/recipe.h"

/* A chip is an algorithm over a programmer's port: what to send, in which order, what must come back.
 * Geometry comes from the part, wishes from the recipe. One slot thread owns it. Calls return 0 or -1
 * with *fault; each spends from its own deadline, given by the slot per step. */

struct chip_progress {
	void (*report)(void *context, uint32_t done, uint32_t total); /* bytes; may be NULL */
	void *context;
	const atomic_bool *stop; /* set: end at the next safe point with FAIL_ABORTED; may be NULL */
};

struct stm32f1_make; /* whose silicon: stm32f1_make.h */

/* What only an STM32F1 or its clone tells. */
struct stm32f1_facts {
	uint32_t port_id, core_id, device_id;  /* DPIDR, CPUID, DBGMCU_IDCODE */
	uint32_t millivolts;                   /* of the board; 0 = the programmer cannot tell */
	uint16_t flash_kib;                    /* what the size word claims */
	bool protected_found, protected_left;  /* read-out protection */
	bool starts_rom;                       /* BOOT0 is 1: the boot loader in the ROM runs after a reset */
	uint8_t options_found[8], options_left[8]; /* RDP, USER, DATA0, DATA1, WRP0 … WRP3 */
	const struct stm32f1_make *make;       /* NULL: not identified yet */
	bool erased_by_page, verified_by_crc;  /* the way that was taken */
};

enum { SILICON_ID_BYTES = 12 };

/* What identify and later steps learned; all of it goes into the log. A first contact clears it: copy
 * what is wanted before polling for the next board. */
struct chip_facts {
	uint8_t signature[3];
	uint8_t fuses_found[PART_FUSES], lock_found; /* as read at identify, unmasked */
	uint8_t fuses_left[PART_FUSES], lock_left;   /* as read last: after every write, and once more at the end */
	uint32_t sck_first_hz, sck_fast_hz;          /* SCK of first contact, and of programming */
	uint32_t retries;                            /* slower SCK steps tried before contact: 0 = the first choice
						      * answered, n = the n-th step below it did */
	uint32_t bytes_written, bytes_verified, pages_skipped;
	uint32_t readback_crc;                        /* CRC-32 of the flash pages read back, ascending */
	/* AVR: signature row 0x0E..0x17 (lot, wafer, x, y), undocumented, a hint. STM32F1: the 96-bit unique id, which by its
	 * manual no two chips share (RM0008, 30.2). */
	uint8_t silicon_id[SILICON_ID_BYTES];
	uint8_t silicon_id_bytes; /* 0 = it has none, or it was not read */
	bool silicon_id_unique;   /* by the word of its maker: names the unit */
	struct stm32f1_facts stm32f1;
};

struct chip {
	const struct chip_driver *driver;
	const struct part *part;       /* borrowed */
	const struct recipe *recipe;   /* borrowed */
	struct programmer *programmer; /* borrowed; replaced by the slot after a replug */
	struct chip_progress progress;
	struct chip_facts facts;
	uint32_t sck_hz;  /* in force while attached */
	bool attached;
	unsigned polls;   /* attach calls in vain since the last success: chooses the SCK of the next one */
};

enum chip_port { PORT_ISP, PORT_SWD };

struct chip_driver {
	const char *family;
	enum chip_port port; /* of the programmer that it needs */
	/* Is a board there? Not attached: one try to enter programming mode (every few calls at a slower
	 * SCK). Attached: asks without disturbing; a board gone or swapped detaches. FAIL_CONTACT = no. */
	int (*attach)(struct chip *chip, deadline_t deadline, struct fault *fault);
	/* Signature or ids (twice), fuses, lock, silicon id into facts; refuses another part. Changes nothing. */
	int (*identify)(struct chip *chip, deadline_t deadline, struct fault *fault);
	/* Reads any memory by image address (flash, AVR_EEPROM_BASE + x); FAIL_PROTECTED when locked. */
	int (*read)(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len, deadline_t deadline,
		    struct fault *fault);
	int (*erase)(struct chip *chip, deadline_t deadline, struct fault *fault);
	/* Writes and proves the fuses that set the clock, re-enters, raises SCK to what is legal now. */
	int (*clock)(struct chip *chip, deadline_t deadline, struct fault *fault);
	/* Writes the image, blank pages skipped. */
	int (*program)(struct chip *chip, const struct hex_image *image, deadline_t deadline, struct fault *fault);
	/* Reads the silicon back and compares every byte of the image. */
	int (*verify)(struct chip *chip, const struct hex_image *image, deadline_t deadline, struct fault *fault);
	/* The remaining fuses, read back through their masks. */
	int (*configure)(struct chip *chip, deadline_t deadline, struct fault *fault);
	/* Lock bits, read back; then leaves, enters once more and proves that the board still answers. */
	int (*lock)(struct chip *chip, deadline_t deadline, struct fault *fault);
	/* Lets the board run. Never fails. */
	void (*detach)(struct chip *chip);
};

void chip_init(struct chip *chip, const struct chip_driver *driver, const struct recipe *recipe);

extern const struct chip_driver chip_avr, chip_stm32f1;
const struct chip_driver *chip_find(const char *family); /* NULL: unknown */

#endif
