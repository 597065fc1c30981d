#include "hextools/check_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/fuse_words.h"
#include "hextools/fuses.h"

static bool between(uint64_t first, uint64_t last, uint64_t base, uint64_t size)
{
	return first >= base && last < base + size;
}

/* An ELF for production carries fuses, lock bits and signature: they count unless others are given. */
static void take_fuse_page(struct check *check)
{
	uint8_t bytes[PART_FUSES];
	uint32_t first;
	if (!check_first(&check->image, AVR_FUSE_BASE, AVR_FUSE_BASE + AVR_PAGE, &first))
		return;
	size_t found = hex_image_read(&check->image, AVR_FUSE_BASE, bytes, PART_FUSES, 0xFF);
	if (found < check->part->fuse_count)
		return;
	if (!check->has_fuses)
		memcpy(check->fuses, bytes, PART_FUSES);
	for (unsigned i = 0; check->has_fuses && i < check->part->fuse_count; i++)
		if (((check->fuses[i] ^ bytes[i]) & check->part->fuse_mask[i]) != 0) {
			check_find(check, "fuses-differ", CHECK_WARNING, AVR_FUSE_BASE + i,
				   "decide which of the two is meant",
				   "the image carries fuse byte 0x%02X, 0x%02X is given", bytes[i],
				   check->fuses[i]);
			break;
		}
	check->has_fuses = true;
}

static void take_lock_page(struct check *check)
{
	uint8_t byte;
	if (hex_image_read(&check->image, AVR_LOCK_BASE, &byte, 1, 0xFF) == 0)
		return;
	if (!check->has_lock)
		check->lock = byte;
	else if (((check->lock ^ byte) & check->part->lock_mask) != 0)
		check_find(check, "lock-differs", CHECK_WARNING, AVR_LOCK_BASE, "decide which of the two is meant",
			   "the image carries lock byte 0x%02X, 0x%02X is given", byte, check->lock);
	check->has_lock = true;
}

static void check_signature_page(struct check *check)
{
	uint8_t bytes[3]; /* avr-libc stores the last byte first */
	const uint8_t *own = check->part->signature;
	if (hex_image_read(&check->image, AVR_SIGNATURE_BASE, bytes, 3, 0xFF) < 3)
		return;
	if (bytes[2] == own[0] && bytes[1] == own[1] && bytes[0] == own[2])
		return;
	check_find(check, "signature", CHECK_ERROR, AVR_SIGNATURE_BASE, "build for the part, or name the part it is for",
		   "the image is for signature %02X %02X %02X, the %s has %02X %02X %02X", bytes[2], bytes[1],
		   bytes[0], check->part->title, own[0], own[1], own[2]);
}

void check_places(struct check *check)
{
	const struct part *part = check->part;
	for (size_t i = 0; i < check->image.count; i++) {
		uint64_t first = check->image.segments[i].addr;
		uint64_t last = first + check->image.segments[i].len - 1;
		if (between(first, last, 0, part->flash_bytes) ||
		    between(first, last, AVR_EEPROM_BASE, part->eeprom_bytes) ||
		    between(first, last, AVR_FUSE_BASE, part->fuse_count) ||
		    between(first, last, AVR_LOCK_BASE, 1) || between(first, last, AVR_SIGNATURE_BASE, 3))
			continue;
		if (first < part->flash_bytes)
			first = part->flash_bytes;
		check_find(check, "outside-part", CHECK_ERROR, (uint32_t)first,
			   "it is for a larger part, or an address record went wrong",
			   "0x%05" PRIX64 "-0x%05" PRIX64 " lies outside the %s (flash 0x00000-0x%05" PRIX32
			   ", EEPROM %" PRIu32 " bytes)",
			   first, last, part->title, part->flash_bytes - 1, part->eeprom_bytes);
	}
	take_fuse_page(check);
	take_lock_page(check);
	check_signature_page(check);
}

void check_fuses(struct check *check, uint32_t crystal_hz, bool external_clock)
{
	struct fuse_report report;
	if (!check->has_fuses)
		return;
	fuse_report_make(check->part, check->fuses, crystal_hz, external_clock, &report);
	for (size_t i = 0; i < report.remark_count; i++) {
		const struct fuse_remark *remark = &report.remarks[i];
		if (remark->weight == FUSE_DANGER)
			check_find(check, "fuse-danger", CHECK_ERROR, CHECK_NOWHERE,
				   "look at the set with pogo-hex fuses", "%s", remark->text);
		else if (remark->weight == FUSE_WARNING)
			check_find(check, "fuse-doubt", CHECK_WARNING, CHECK_NOWHERE,
				   "look at the set with pogo-hex fuses", "%s", remark->text);
	}
}

/* ---- lock bits ------------------------------------------------------------------------------------ */

/* ATmega16U4/32U4 data sheet 7766J, table 28-2: BLB0 in bits 3..2, BLB1 in bits 5..4, LB in bits 1..0. */
static void check_blb0(struct check *check)
{
	unsigned mode = check->lock >> 2 & 3;
	if (mode == 2 || mode == 0)
		check_find(check, "lock-stops-bootloader", CHECK_ERROR, CHECK_NOWHERE,
			   "set bits 3 and 2 of the lock byte to 1 (0xEF)",
			   "lock 0x%02X: BLB0 forbids writing the application section by SPM, so the bootloader can "
			   "never update the firmware", check->lock);
	else if (mode == 1)
		check_find(check, "lock-stops-bootloader", CHECK_ERROR, CHECK_NOWHERE,
			   "set bits 3 and 2 of the lock byte to 1 (0xEF)",
			   "lock 0x%02X: BLB0 forbids reading the application section from the boot section, so the "
			   "bootloader cannot verify and runs without the application's interrupts", check->lock);
}

static void check_blb1(struct check *check)
{
	unsigned mode = check->lock >> 4 & 3;
	if (mode == 0 || mode == 1)
		check_find(check, "lock-hides-boot", CHECK_WARNING, CHECK_NOWHERE,
			   "0xEF protects the boot section and leaves it readable",
			   "lock 0x%02X: the application cannot read the boot section (a serial number there is hidden), "
			   "and a bootloader with its vectors in the application section has no interrupts",
			   check->lock);
	if (mode == 3 || mode == 1)
		check_find(check, "lock-boot-open", CHECK_NOTE, CHECK_NOWHERE, "0xEF protects it",
			   "lock 0x%02X leaves the boot section open to SPM: a firmware gone wild may overwrite the "
			   "bootloader", check->lock);
}

void check_lock(struct check *check)
{
	if (!check->has_lock)
		return;
	if (check->part->boot_bytes[0] != 0 && check->has_boot) {
		check_blb0(check);
		check_blb1(check);
	}
	unsigned mode = check->lock & 3;
	if (mode == 0 || mode == 1)
		check_find(check, "lock-no-readback", CHECK_NOTE, CHECK_NOWHERE, "0xEF leaves it readable",
			   "lock 0x%02X: ISP can neither read back nor write until a chip erase", check->lock);
	else if (mode == 2)
		check_find(check, "lock-frozen", CHECK_NOTE, CHECK_NOWHERE, "0xEF leaves them open",
			   "lock 0x%02X: memories and fuses are frozen until a chip erase", check->lock);
}

/* ---- EEPROM --------------------------------------------------------------------------------------- */

/* QMK's layout (quantum/nvm/eeprom/nvm_eeprom_eeconfig_internal.h): magic at 0, handedness at 14. */
enum { QMK_MAGIC_LOW = 0xE3, QMK_MAGIC_HIGH = 0xFE, QMK_HAND = 14 };

static void say_magic(struct check *check, const uint8_t *bytes)
{
	if (bytes[0] == QMK_MAGIC_LOW && bytes[1] == QMK_MAGIC_HIGH)
		check_find(check, "eeprom-magic-kept", CHECK_NOTE, AVR_EEPROM_BASE,
			   "make it with the very firmware that is programmed",
			   "the EEPROM image has QMK's magic 0xFEE3: the firmware takes the settings behind it as "
			   "they are, if its release still has this magic");
	else
		check_find(check, "eeprom-magic-wiped", CHECK_NOTE, AVR_EEPROM_BASE,
			   "nothing to do when fresh settings are wanted",
			   "the EEPROM image begins with %02X %02X, not with QMK's magic: the firmware starts with "
			   "fresh settings and keeps the handedness byte only", bytes[0], bytes[1]);
}

void check_eeprom(struct check *check)
{
	uint8_t bytes[16];
	uint32_t first;
	const struct part_fuse_bit *eesave = part_bit(check->part, "EESAVE");
	bool kept = check->has_fuses && eesave != NULL && part_field(eesave, check->fuses) == 0;
	bool any = check_first(&check->image, AVR_EEPROM_BASE, AVR_EEPROM_BASE + check->part->eeprom_bytes,
			       &first);
	if (any) {
		if (hex_image_read(&check->image, AVR_EEPROM_BASE, bytes, 2, 0xFF) == 2)
			say_magic(check, bytes);
		if (hex_image_read(&check->image, AVR_EEPROM_BASE + QMK_HAND, bytes, 1, 0xFF) == 1)
			check_find(check, "eeprom-hand", CHECK_NOTE, AVR_EEPROM_BASE + QMK_HAND,
				   "program the other half with the other image",
				   "byte 14 makes a QMK keyboard with EE_HANDS the %s half",
				   bytes[0] == 0 ? "right" : "left");
	}
	if (kept)
		check_find(check, "eesave-stale", CHECK_NOTE, CHECK_NOWHERE,
			   "put the whole EEPROM into the image for boards that come back",
			   "EESAVE is programmed: what stood in the EEPROM before%s survives the chip erase",
			   any ? " and is not in the image" : "");
}
