#ifndef POGO_TESTS_ISP_CHIP_H
#define POGO_TESTS_ISP_CHIP_H

#include <stdlib.h>
#include <string.h>

#include "hextools/part.h"
#include "station/clock.h"

/* An AVR on an ISP plug, from the data sheets' words (ATmega16U4/32U4 7766J, 28.8; AT90USB64/128 7593L): it hears
 * instructions after "programming enable" only, is busy for a while after a write, and programs by AND. What it was
 * told while busy, or to a page that is not its own, is lost and counted. */

struct isp_chip {
	const struct part *part;
	uint8_t *flash, eeprom[4096];
	uint8_t page[256], eeprom_page[16];
	uint16_t eeprom_loaded; /* a bit for each byte */
	uint8_t fuses[PART_FUSES], lock;
	bool absent, reset_low, enabled;
	int64_t busy_until;
	unsigned resets, commits, polls, violations;
};

static struct isp_chip *isp_chip_new(const struct part *part)
{
	struct isp_chip *chip = calloc(1, sizeof *chip);

	if (chip != NULL)
		chip->flash = malloc(part->flash_bytes);
	if (chip == NULL || chip->flash == NULL)
		abort();
	chip->part = part;
	memset(chip->flash, 0x5A, part->flash_bytes); /* the last firmware */
	memset(chip->eeprom, 0x33, sizeof chip->eeprom);
	memset(chip->page, 0xFF, sizeof chip->page);
	memcpy(chip->fuses, part->fuse_factory, PART_FUSES);
	chip->lock = part->lock_factory;
	return chip;
}

static void isp_chip_free(struct isp_chip *chip)
{
	free(chip->flash);
	free(chip);
}

static void isp_chip_reset(struct isp_chip *chip, bool low)
{
	if (low && !chip->reset_low) {
		chip->resets++;
		chip->enabled = false;
		memset(chip->page, 0xFF, sizeof chip->page);
		chip->eeprom_loaded = 0;
	}
	chip->reset_low = low;
}

static void isp_chip_busy(struct isp_chip *chip, uint32_t us)
{
	chip->busy_until = clock_now() + (int64_t)us * 900; /* data sheets give the longest */
}

static void isp_chip_commit(struct isp_chip *chip, uint32_t word)
{
	uint32_t size = chip->part->flash_page;
	uint32_t at = word * 2 % chip->part->flash_bytes / size * size;

	for (uint32_t i = 0; i < size; i++)
		chip->flash[at + i] &= chip->page[i];
	memset(chip->page, 0xFF, sizeof chip->page);
	chip->commits++;
	isp_chip_busy(chip, chip->part->twd_flash_us);
}

static void isp_chip_commit_eeprom(struct isp_chip *chip, uint32_t address)
{
	uint32_t size = chip->part->eeprom_page;

	if (address % size != 0 || !chip->part->eeprom_page_isp)
		chip->violations++;
	for (uint32_t i = 0; i < size; i++)
		if (chip->eeprom_loaded >> i & 1)
			chip->eeprom[address / size * size % sizeof chip->eeprom + i] = chip->eeprom_page[i];
	chip->eeprom_loaded = 0;
	isp_chip_busy(chip, chip->part->twd_eeprom_us);
}

static void isp_chip_erase(struct isp_chip *chip)
{
	memset(chip->flash, 0xFF, chip->part->flash_bytes);
	memset(chip->eeprom, 0xFF, sizeof chip->eeprom);
	chip->lock = 0xFF;
	isp_chip_busy(chip, chip->part->twd_erase_us);
}

/* AC xx: enable, erase, fuses, lock. */
static void isp_chip_special(struct isp_chip *chip, const uint8_t out[4])
{
	switch (out[1]) {
	case 0x80:
		isp_chip_erase(chip);
		return;
	case 0xA0:
		chip->fuses[FUSE_LOW] = out[3];
		break;
	case 0xA8:
		chip->fuses[FUSE_HIGH] = out[3];
		break;
	case 0xA4:
		chip->fuses[FUSE_EXT] = out[3];
		break;
	case 0xE0:
		chip->lock &= out[3];
		break;
	default:
		return;
	}
	isp_chip_busy(chip, chip->part->twd_fuse_us);
}

static uint8_t isp_chip_answer(struct isp_chip *chip, const uint8_t out[4])
{
	uint32_t word = (uint32_t)out[1] << 8 | out[2];
	uint32_t half = out[0] >> 3 & 1;

	switch (out[0]) {
	case 0xAC:
		isp_chip_special(chip, out);
		return out[2];
	case 0x30:
		return out[2] < 3 ? chip->part->signature[out[2]] : (uint8_t)(0x40 + out[2]);
	case 0x38:
		return (uint8_t)(0x60 + out[2]);
	case 0x50:
		return chip->fuses[out[1] == 0x08 ? FUSE_EXT : FUSE_LOW];
	case 0x58:
		return out[1] == 0x08 ? chip->fuses[FUSE_HIGH] : chip->lock;
	case 0x20:
	case 0x28:
		return chip->flash[(word * 2 + half) % chip->part->flash_bytes];
	case 0x40:
	case 0x48:
		chip->page[(word * 2 + half) % chip->part->flash_page] = out[3];
		return out[2];
	case 0x4C:
		isp_chip_commit(chip, word);
		return out[2];
	case 0xA0:
		return chip->eeprom[word % sizeof chip->eeprom];
	case 0xC0:
		chip->eeprom[word % sizeof chip->eeprom] = out[3];
		isp_chip_busy(chip, chip->part->twd_eeprom_us);
		return out[2];
	case 0xC1:
		chip->eeprom_page[out[2] % chip->part->eeprom_page] = out[3];
		chip->eeprom_loaded |= (uint16_t)(1u << out[2] % chip->part->eeprom_page);
		return out[2];
	case 0xC2:
		isp_chip_commit_eeprom(chip, word);
		return out[2];
	default:
		return out[2];
	}
}

static void isp_chip_command(struct isp_chip *chip, const uint8_t out[4], uint8_t in[4])
{
	bool busy = clock_now() < chip->busy_until;

	memset(in, 0xFF, 4);
	if (chip->absent || !chip->reset_low)
		return;
	if (!chip->enabled && (out[0] != 0xAC || out[1] != 0x53))
		return;
	chip->enabled = true;
	in[1] = out[0];
	in[2] = out[1];
	if (out[0] == 0xF0) {
		chip->polls++;
		in[3] = busy;
	} else if (busy) {
		chip->violations++;
		in[3] = 0xFF;
	} else {
		in[3] = isp_chip_answer(chip, out);
	}
}

#endif
