#ifndef POGO_HEXTOOLS_PART_H
#define POGO_HEXTOOLS_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"

/* A chip as data: configs/parts/NAME.cfg. Sizes in bytes, addresses are byte addresses, waits in
 * microseconds. A fuse bit that reads 0 is programmed (active). Sources stand in each file.
 *
 * Two families. "avr": flash from 0, EEPROM and fuses; an image has the EEPROM at AVR_EEPROM_BASE. "stm32f1": flash
 * and SRAM anywhere in 32 bits, no EEPROM, option bytes instead of fuses (fuse_count 0, no bits, no clocks). */

enum { PART_FUSES = 3, PART_FUSE_BITS = 24, PART_CLOCKS = 16, PART_BODS = 8, PART_PORTS = 12 };
enum part_fuse { FUSE_LOW, FUSE_HIGH, FUSE_EXT };

struct part_fuse_bit {
	char name[12];      /* "CKSEL", "BOOTRST", … as in the data sheet */
	enum part_fuse fuse;
	uint8_t lsb, width; /* bits lsb .. lsb + width - 1 */
};

enum clock_source { CLOCK_EXTERNAL, CLOCK_RC, CLOCK_CRYSTAL, CLOCK_LOW_CRYSTAL /* 32 kHz */, CLOCK_PLL };

struct part_clock {
	uint8_t cksel_low, cksel_high; /* inclusive range of the CKSEL field */
	enum clock_source source;
	uint32_t hz; /* nominal; 0 = whatever crystal or clock the board has */
	uint32_t min_hz, max_hz; /* what a crystal may be; 0 = not said */
	char title[48];          /* "internal RC 8 MHz" */
};

struct part {
	char name[24];    /* "atmega32u4": what recipes say */
	char title[32];   /* "ATmega32U4" */
	char family[8];   /* which chip driver: "avr", "stm32f1" */
	bool confirmed;   /* real hardware has been programmed with this data */
	uint8_t signature[3]; /* avr */
	uint16_t device_id;   /* stm32f1: DBGMCU_IDCODE bits 11:0 */

	uint32_t flash_start; /* 0 on an AVR */
	uint32_t flash_bytes, eeprom_bytes, sram_start, sram_bytes;
	uint16_t flash_page, eeprom_page;
	uint8_t vector_count, vector_bytes; /* interrupt vectors at flash_start; 0 = not said */
	uint8_t ports[PART_PORTS];          /* ports A, B, …: bits that have a pin; all 0 = not said */

	uint8_t fuse_count;                  /* 2: no extended fuse, its instructions must not be sent */
	uint8_t fuse_mask[PART_FUSES];       /* bits that exist; compare and report through it */
	uint8_t fuse_factory[PART_FUSES];
	uint8_t isp_must_be_1[PART_FUSES];   /* RSTDISBL, DWEN: a 0 here ends ISP */
	uint8_t isp_must_be_0[PART_FUSES];   /* SPIEN */
	uint8_t lock_mask, lock_factory;
	bool lock_factory_confirmed; /* false: no data sheet says for sure how it is delivered */

	bool rdy_bsy_poll;     /* F0 instruction exists */
	bool eeprom_page_isp;  /* C1/C2 exist */
	/* avr: page write, EEPROM byte or page, chip erase, fuse or lock byte. stm32f1: half-word, 0, mass erase,
	 * option byte; and the erase of one page. */
	uint32_t twd_flash_us, twd_eeprom_us, twd_erase_us, twd_fuse_us, twd_page_erase_us;

	/* Boot section by BOOTSZ code 0..3, 0 bytes = the part has none. */
	uint32_t boot_bytes[4], boot_start[4];

	struct part_fuse_bit bits[PART_FUSE_BITS];
	size_t bit_count;
	struct part_clock clocks[PART_CLOCKS];
	size_t clock_count;

	int16_t bod_mv[PART_BODS]; /* by code of BODLEVEL: millivolts, 0 = off, -1 = reserved */
	size_t bod_count;          /* 0 = not said */
	uint32_t startup_short_us, startup_long_us; /* the two waits of the start-up codes; 0 = not said */
	uint8_t startup_ck;                         /* clock cycles added to each */
};

/* Loads CONFIGS/parts/NAME.cfg and proves it: units divide sizes, sections lie in flash, bits do not
 * overlap, unknown keys are errors. An unknown name lists the known ones. Caller frees with free(). */
int part_load(const char *configs, const char *name, struct part **out, struct pogo_error *err);

/* Every part of CONFIGS/parts, ascending by name; *parts is an array of *count pointers. */
int part_load_all(const char *configs, struct part ***parts, size_t *count, struct pogo_error *err);
void part_free_all(struct part **parts, size_t count);

/* Loads a part for work that only AVRs have (fuses, boot sections): another family is POGO_INPUT, `what` in the
 * sentence. */
int part_load_avr(const char *configs, const char *name, const char *what, struct part **out, struct pogo_error *err);

/* Does an image's data at this address belong to the EEPROM (else to the flash)? */
bool part_in_eeprom(const struct part *part, uint32_t address);

/* Is there a pin at this bit of the port ('A' …)? True as well when the file does not say the ports. */
bool part_has_pin(const struct part *part, char port, unsigned bit);

bool part_is_avr(const struct part *part);

/* NULL if the part has no such field. */
const struct part_fuse_bit *part_bit(const struct part *part, const char *name);
/* The field's value in these fuse bytes. */
unsigned part_field(const struct part_fuse_bit *bit, const uint8_t fuses[PART_FUSES]);

#endif
