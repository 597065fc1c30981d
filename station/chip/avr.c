#include "station/chip/chip.h"

#include <stdio.h>
#include <string.h>

#include "hextools/fuses.h"
#include "station/chip/avr_isp.h"
#include "station/chip/avr_memory.h"

enum {
	POLLS_PER_SLOW_TRY = 4, /* every fourth poll in vain looks for a slower chip */
	POLLS_FOR_LAST = 2,     /* the first polls after a lost contact use the last board's SCK */
	SLOWEST_HZ = 1000,      /* below, one try of a USBasp takes more than two seconds */
	CAUTIOUS_HZ =
	        125000,    /* below a quarter of the 1 MHz that every RC part is delivered with */
	BOUNCE_US = 30000, /* pogo pins bounce for some ms when a board is set down */
	EDGE_BYTES = 16,
	SWAP_MS = 1500, /* nobody takes a board off and sets another one faster */
	AVR_ID_BYTES = 10,
	ANOTHER_BOARD = -2, /* of enter_proved: no fuse is to blame */
};

/* ---- which SCK */

static bool is_rc(const struct part *part, const uint8_t fuses[PART_FUSES])
{
	const struct part_fuse_bit *cksel = part_bit(part, "CKSEL");
	unsigned value = cksel ? part_field(cksel, fuses) : 0;

	for (size_t i = 0; cksel && i < part->clock_count; i++)
		if (value >= part->clocks[i].cksel_low && value <= part->clocks[i].cksel_high)
			return part->clocks[i].source == CLOCK_RC ||
			       part->clocks[i].source == CLOCK_PLL;
	return false;
}

/* The highest SCK that a chip with these fuses hears; 0 = its clock would not run. RC
 * oscillators leave the factory within 10 % only (data sheets, "Internal RC accuracy"), and the PLL
 * is fed by one. */
static uint32_t legal_sck(const struct chip *chip, const uint8_t fuses[PART_FUSES])
{
	uint32_t cpu_hz = fuses_cpu_hz(chip->part, fuses, chip->recipe->crystal_hz);

	if (is_rc(chip->part, fuses))
		cpu_hz = cpu_hz / 10 * 9;
	return cpu_hz ? fuses_sck_limit(cpu_hz) : 0;
}

/* A board comes fresh from the factory or, for rework, with the recipe's fuses: what both hear. */
static uint32_t start_sck(const struct chip *chip)
{
	uint32_t fresh = legal_sck(chip, chip->part->fuse_factory);
	uint32_t rework = legal_sck(chip, chip->recipe->fuses);

	if (fresh && rework)
		return fresh < rework ? fresh : rework;
	if (fresh || rework)
		return fresh ? fresh : rework;
	return CAUTIOUS_HZ;
}

/* The programmer's fastest step at or below `limit`; `limit` itself when it has no steps. */
static uint32_t step_within(const struct programmer_info *info, uint32_t limit)
{
	uint32_t best = 0;

	for (size_t i = 0;
	     i < sizeof(info->sck_steps) / sizeof(info->sck_steps[0]) && info->sck_steps[i]; i++)
		if (info->sck_steps[i] <= limit && info->sck_steps[i] > best)
			best = info->sck_steps[i];
	return best ? best : limit;
}

/* The next step below `hz`, 0 = none. */
static uint32_t step_below(const struct programmer_info *info, uint32_t hz)
{
	uint32_t step;

	if (!info->sck_control || hz <= SLOWEST_HZ)
		return 0;
	step = step_within(info, hz - 1);
	return step >= SLOWEST_HZ && step < hz - 1 ? step : 0;
}

/* SCK for this poll, and how many steps it is below the first choice. */
static uint32_t poll_sck(const struct chip *chip, uint32_t *below)
{
	const struct programmer_info *info = &chip->programmer->info;
	uint32_t start = step_within(info, start_sck(chip)), sck = start, steps = 0, nth;

	*below = 0;
	/* Right after a contact was lost it is most likely the same board that answers again. */
	if (chip->polls < POLLS_FOR_LAST && chip->facts.sck_first_hz &&
	    chip->facts.sck_first_hz < start) {
		*below = chip->facts.retries;
		return chip->facts.sck_first_hz;
	}
	if (chip->polls % POLLS_PER_SLOW_TRY != POLLS_PER_SLOW_TRY - 1)
		return start;
	for (uint32_t hz = step_below(info, start); hz; hz = step_below(info, hz))
		steps++;
	if (!steps)
		return start;
	nth = chip->polls / POLLS_PER_SLOW_TRY % steps + 1;
	for (*below = nth; nth; nth--)
		sck = step_below(info, sck);
	return sck;
}

/* ---- contact */

/* One lucky answer may be a bouncing contact: the board counts as there when it still answers,
 * twice the same, after the pins had time to come to rest. */
static int settle(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t once, again;

	clock_sleep_us(BOUNCE_US);
	if (avr_signature_row(chip, 0, &once, deadline, fault) ||
	    avr_signature_row(chip, 0, &again, deadline, fault))
		return -1;
	if (once != again)
		return fault_set(fault, FAIL_CONTACT,
		                 "a board answers unsteadily (signature byte %02X, then %02X): "
		                 "contact not settled",
		                 once, again);
	return 0;
}

static int first_contact(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint32_t below, sck_hz = poll_sck(chip, &below);

	if (avr_enter(chip, sck_hz, deadline, fault) || settle(chip, deadline, fault)) {
		avr_leave(chip);
		/* Also after a time-out: the next try must not be at the very SCK that was too slow. */
		chip->polls++;
		return -1;
	}
	memset(&chip->facts, 0, sizeof(chip->facts));
	chip->facts.sck_first_hz = chip->sck_hz;
	chip->facts.retries = below;
	chip->polls = 0;
	return 0;
}

static bool known(const uint8_t signature[3])
{
	return signature[0] || signature[1] || signature[2];
}

static int still_there(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t signature[3];

	if (avr_signature(chip, signature, deadline, fault)) {
		if (fault->code == FAIL_CONTACT)
			avr_leave(chip);
		return -1;
	}
	if (known(chip->facts.signature) && memcmp(signature, chip->facts.signature, 3) != 0) {
		avr_leave(chip);
		return fault_set(fault, FAIL_CONTACT,
		                 "the board is gone or another one took its place");
	}
	return 0;
}

static int avr_attach(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	return chip->attached ? still_there(chip, deadline, fault)
	                      : first_contact(chip, deadline, fault);
}

static void avr_detach(struct chip *chip)
{
	avr_leave(chip);
}

/* Lot, wafer and place on it, bytes 0x0E..0x17 of the signature row: documented for the ATmega324PB
 * and 328PB only, present on others. False in *there: the row is blank. */
static int read_silicon_id(struct chip *chip, uint8_t id[AVR_ID_BYTES], bool *there, deadline_t deadline,
                           struct fault *fault)
{
	enum { FIRST_ROW = 0x0E };
	uint8_t all = 0xFF, any = 0;

	for (unsigned i = 0; i < AVR_ID_BYTES; i++) {
		if (avr_signature_row(chip, FIRST_ROW + i, &id[i], deadline, fault))
			return -1;
		all &= id[i];
		any |= id[i];
	}
	*there = all != 0xFF && any != 0x00;
	return 0;
}

/* Looking for a silent board takes seconds, in which a hand can set another one: it would get the
 * rest of this one's steps and its verdict. */
static int same_silicon(struct chip *chip, int64_t silent_since, deadline_t deadline,
                        struct fault *fault)
{
	uint8_t id[AVR_ID_BYTES];
	bool there;

	if (!chip->facts.silicon_id_bytes) {
		if (clock_now() - silent_since < SWAP_MS * 1000000LL)
			return 0;
		avr_leave(chip);
		fault_set(fault, FAIL_CONTACT,
		          "the board fell silent for %d ms, and its chip has no number of its own by "
		          "which to know it again: set it again",
		          (int)((clock_now() - silent_since) / 1000000));
		return ANOTHER_BOARD;
	}
	if (read_silicon_id(chip, id, &there, deadline, fault))
		return -1;
	if (memcmp(id, chip->facts.silicon_id, sizeof(id)) == 0)
		return 0;
	avr_leave(chip);
	fault_set(fault, FAIL_CONTACT,
	          "the board fell silent, and another one answered in its place: set both boards "
	          "again, one after the other");
	return ANOTHER_BOARD;
}

/* Enters programming mode and proves by the signature that the chip is understood; steps down from
 * sck_hz until it is. The first speed gets two chances, for a crystal that starts only now. */
static int enter_proved(struct chip *chip, uint32_t sck_hz, deadline_t deadline,
                        struct fault *fault)
{
	uint8_t signature[3];
	int64_t begin = clock_now();

	sck_hz = step_within(&chip->programmer->info, sck_hz);
	avr_leave(chip);
	for (unsigned tries = 1;; tries++) {
		if (!avr_enter(chip, sck_hz, deadline, fault) &&
		    !avr_signature(chip, signature, deadline, fault)) {
			if (memcmp(signature, chip->part->signature, 3) == 0)
				return tries == 1 ? 0
				                  : same_silicon(chip, begin, deadline, fault);
			fault_set(fault, FAIL_CONTACT, "the signature has become %02X %02X %02X",
			          signature[0], signature[1], signature[2]);
		}
		if (fault->code != FAIL_CONTACT)
			return -1;
		avr_leave(chip);
		if (tries < 2)
			continue;
		sck_hz = step_below(&chip->programmer->info, sck_hz);
		if (!sck_hz)
			return -1;
	}
}

/* ---- identify */

/* Signatures that meet on a keyboard line, for the message only: part data is in configs/parts. */
static const char *signature_title(const uint8_t signature[3])
{
	static const struct {
		uint8_t signature[3];
		const char *title;
	} titles[] = {
	        {{0x1E, 0x93, 0x07}, "ATmega8A"},         {{0x1E, 0x93, 0x0B}, "ATtiny85"},
	        {{0x1E, 0x93, 0x89}, "ATmega8U2"},        {{0x1E, 0x94, 0x0B}, "ATmega168P"},
	        {{0x1E, 0x94, 0x82}, "AT90USB162"},       {{0x1E, 0x94, 0x88}, "ATmega16U4"},
	        {{0x1E, 0x94, 0x89}, "ATmega16U2"},       {{0x1E, 0x95, 0x02}, "ATmega32A"},
	        {{0x1E, 0x95, 0x0F}, "ATmega328P"},       {{0x1E, 0x95, 0x14}, "ATmega328"},
	        {{0x1E, 0x95, 0x16}, "ATmega328PB"},      {{0x1E, 0x95, 0x87}, "ATmega32U4"},
	        {{0x1E, 0x95, 0x8A}, "ATmega32U2"},       {{0x1E, 0x96, 0x82}, "AT90USB646/647"},
	        {{0x1E, 0x97, 0x82}, "AT90USB1286/1287"},
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (memcmp(titles[i].signature, signature, 3) == 0)
			return titles[i].title;
	return "unknown part";
}

static int avr_identify(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	const uint8_t *wanted = chip->part->signature;
	struct chip_facts *facts = &chip->facts;
	uint8_t found[3];

	if (avr_signature(chip, found, deadline, fault)) {
		/* It talks rubbish: the next attach must find out anew whether there is a board. */
		if (fault->code == FAIL_CONTACT)
			avr_leave(chip);
		return -1;
	}
	memcpy(facts->signature, found, 3);
	/* Before any fuse is read: another part may not have the third one. */
	if (memcmp(found, wanted, 3) != 0)
		return fault_set(fault, FAIL_SIGNATURE,
		                 "expected %02X %02X %02X (%s), found %02X %02X %02X (%s)",
		                 wanted[0], wanted[1], wanted[2], chip->part->title, found[0],
		                 found[1], found[2], signature_title(found));
	if (avr_settings(chip, facts->fuses_found, &facts->lock_found, deadline, fault))
		return -1;
	memcpy(facts->fuses_left, facts->fuses_found, PART_FUSES);
	facts->lock_left = facts->lock_found;
	bool there = false;
	if (read_silicon_id(chip, facts->silicon_id, &there, deadline, fault))
		return -1;
	facts->silicon_id_bytes = there ? AVR_ID_BYTES : 0;
	return 0;
}

/* ---- erase */

/* Both ends of the flash, cheaply: an erase that was not heard shows at address 0, where every
 * program starts, or in the boot section at the end. Reading all of it would cost as much as the
 * verify, which compares every byte of the image anyway. */
static int prove_blank(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	const uint32_t ends[2] = {0, chip->part->flash_bytes - EDGE_BYTES};
	uint8_t found[EDGE_BYTES];

	for (unsigned e = 0; e < 2; e++) {
		if (avr_read_block(chip, ISP_FLASH, ends[e], found, EDGE_BYTES, deadline, fault))
			return -1;
		for (uint32_t i = 0; i < EDGE_BYTES; i++)
			if (found[i] != 0xFF)
				return fault_byte(fault, FAIL_ERASE, ends[e] + i, 0xFF, found[i],
				                  "flash is not blank after the chip erase");
	}
	return 0;
}

static int erase_once(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	static const uint8_t erase[4] = {0xAC, 0x80, 0x00, 0x00};
	const struct part *part = chip->part;
	uint8_t locked;

	if (avr_may_go_on(chip, deadline, fault) ||
	    avr_commit(chip, erase, part->twd_erase_us, FAIL_ERASE, deadline, fault))
		return -1;
	/* Older parts end a chip erase only with a RESET pulse (application note AVR910), and it is
	 * needed for the open lock bits to count. */
	if (enter_proved(chip, chip->sck_hz, deadline, fault) ||
	    avr_settings(chip, chip->facts.fuses_left, &chip->facts.lock_left, deadline, fault))
		return -1;
	locked = (uint8_t)~chip->facts.lock_left & part->lock_mask;
	if (locked)
		return fault_set(
		        fault, FAIL_ERASE,
		        "lock bits still read 0x%02X after the chip erase: it was not heard",
		        chip->facts.lock_left);
	return prove_blank(chip, deadline, fault);
}

/* ---- fuses and lock */

static const char *fuse_name(enum part_fuse fuse)
{
	static const char *const names[PART_FUSES] = {"low", "high", "extended"};

	return names[fuse];
}

static int fuse_fault(struct fault *fault, enum fail_code code, const char *name, uint8_t wanted,
                      uint8_t found, uint8_t mask)
{
	fault_set(fault, code, "%s: wrote 0x%02X, reads 0x%02X (bits that count: 0x%02X)", name,
	          wanted, found, mask);
	fault->expected = wanted;
	fault->found = found;
	return -1;
}

static bool fuse_differs(const struct chip *chip, enum part_fuse fuse, uint8_t wanted)
{
	return ((chip->facts.fuses_left[fuse] ^ wanted) & chip->part->fuse_mask[fuse]) != 0;
}

/* Bits that do not exist are written as 1, as every data sheet asks. */
static int write_fuse(struct chip *chip, enum part_fuse fuse, uint8_t wanted, deadline_t deadline,
                      struct fault *fault)
{
	static const uint8_t codes[PART_FUSES] = {0xA0, 0xA8, 0xA4};
	const struct part *part = chip->part;
	uint8_t mask = part->fuse_mask[fuse], value = wanted | (uint8_t)~mask, found;
	const uint8_t write[4] = {0xAC, codes[fuse], 0x00, value};
	char name[24];

	/* The recipe was proved, but some bits here may come from what was read: the last gate. */
	if ((~value & part->isp_must_be_1[fuse]) || (value & part->isp_must_be_0[fuse]))
		return fault_set(
		        fault, FAIL_FUSE,
		        "%s fuse 0x%02X would end serial programming for ever: not written",
		        fuse_name(fuse), value);
	if (avr_commit(chip, write, part->twd_fuse_us, FAIL_FUSE, deadline, fault) ||
	    avr_fuse(chip, fuse, &found, deadline, fault))
		return -1;
	chip->facts.fuses_left[fuse] = found;
	if (!fuse_differs(chip, fuse, wanted))
		return 0;
	snprintf(name, sizeof(name), "%s fuse", fuse_name(fuse));
	return fuse_fault(fault, FAIL_FUSE, name, value, found, mask);
}

/* A board that comes back may have EESAVE programmed while the recipe leaves it unprogrammed: its
 * old EEPROM outlived the erase, and the same release would make two different keyboards. */
static bool kept_eeprom(const struct chip *chip, uint8_t *eesave)
{
	const struct part_fuse_bit *bit = part_bit(chip->part, "EESAVE");

	if (!bit || bit->fuse != FUSE_HIGH)
		return false;
	*eesave = (uint8_t)(1u << bit->lsb);
	return !(chip->facts.fuses_left[FUSE_HIGH] & *eesave) &&
	       (chip->recipe->fuses[FUSE_HIGH] & *eesave);
}

/* Only after the first erase: lock bits would hold the fuse. And in anew before the second one, for
 * what is in force is what an entry latched (7766J, 28.2.1). */
static int avr_erase(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t eesave;

	if (erase_once(chip, deadline, fault))
		return -1;
	if (!kept_eeprom(chip, &eesave))
		return 0;
	if (write_fuse(chip, FUSE_HIGH, chip->facts.fuses_left[FUSE_HIGH] | eesave, deadline, fault) ||
	    enter_proved(chip, chip->sck_hz, deadline, fault))
		return -1;
	return erase_once(chip, deadline, fault);
}

/* The low byte is clock and its companions: written whole, and without CKDIV8 where the recipe
 * allows that for the fast phase; configure writes the final one. In the high byte only CKOPT
 * (ATmega8A, 32A) belongs to the clock; the rest waits for configure: a board that loses power
 * half-way should start where a fresh one does, and not in a boot section that is still empty. */
static uint8_t clock_byte(const struct chip *chip, enum part_fuse fuse)
{
	const struct part_fuse_bit *ckopt = part_bit(chip->part, "CKOPT");
	uint8_t bits = 0;

	if (fuse == FUSE_LOW)
		return recipe_fast_fuses(chip->recipe)[FUSE_LOW];
	if (ckopt && ckopt->fuse == fuse)
		bits = (uint8_t)(((1u << ckopt->width) - 1) << ckopt->lsb);
	return (chip->facts.fuses_left[fuse] & (uint8_t)~bits) | (chip->recipe->fuses[fuse] & bits);
}

/* CKOPT before CKSEL when it is switched on, after when off: an oscillator above 8 MHz needs it
 * (ATmega32A data sheet 8155I, 12.4), and a board whose power fails between the two writes must
 * still be reachable. */
static int write_clock_fuses(struct chip *chip, bool *changed, deadline_t deadline,
                             struct fault *fault)
{
	static const enum part_fuse order[] = {FUSE_HIGH, FUSE_LOW, FUSE_HIGH};

	*changed = false;
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		uint8_t wanted = clock_byte(chip, order[i]);
		bool switches_on = (chip->facts.fuses_left[order[i]] & (uint8_t)~wanted) != 0;

		if (!fuse_differs(chip, order[i], wanted) || (i == 0 && !switches_on))
			continue;
		*changed = true;
		if (write_fuse(chip, order[i], wanted, deadline, fault))
			return -1;
	}
	return 0;
}

static int avr_clock(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint32_t sck_hz = legal_sck(chip, recipe_fast_fuses(chip->recipe));
	bool changed;

	if (avr_may_go_on(chip, deadline, fault) ||
	    write_clock_fuses(chip, &changed, deadline, fault))
		return -1;
	if (!sck_hz)
		sck_hz = chip->facts.sck_first_hz;
	sck_hz = step_within(&chip->programmer->info, sck_hz);
	/* Fuses are latched on entry to programming mode (7766J, 28.2.1): out and in again, then
	 * fast. */
	if (changed || (chip->programmer->info.sck_control && sck_hz > chip->sck_hz)) {
		int rc = enter_proved(chip, sck_hz, deadline, fault);
		if (rc) {
			if (changed && rc != ANOTHER_BOARD && fault->code == FAIL_CONTACT)
				fault_set(fault, FAIL_FUSE,
				          "the board does not run with its new clock fuses (low "
				          "0x%02X): does the "
				          "crystal oscillate? Does the board have the %u Hz of the "
				          "recipe?",
				          recipe_fast_fuses(chip->recipe)[FUSE_LOW], chip->recipe->crystal_hz);
			return -1;
		}
	}
	chip->facts.sck_fast_hz = chip->sck_hz;
	return 0;
}

/* Also takes back what the fast phase needed, on this board or on an earlier, interrupted attempt. */
static int avr_configure(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	for (unsigned i = 0; i < PART_FUSES && i < chip->part->fuse_count; i++) {
		enum part_fuse fuse = (enum part_fuse)i;
		uint8_t wanted = chip->recipe->fuses[i];

		if (fuse_differs(chip, fuse, wanted) &&
		    write_fuse(chip, fuse, wanted, deadline, fault))
			return -1;
	}
	return 0;
}

static int write_lock(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t mask = chip->part->lock_mask, value = chip->recipe->lock | (uint8_t)~mask, found;
	const uint8_t write[4] = {0xAC, 0xE0, 0x00, value};

	if (((chip->facts.lock_left ^ value) & mask) == 0)
		return 0;
	if (avr_commit(chip, write, chip->part->twd_fuse_us, FAIL_LOCK, deadline, fault) ||
	    avr_lock(chip, &found, deadline, fault))
		return -1;
	chip->facts.lock_left = found;
	if ((found ^ value) & mask)
		return fuse_fault(fault, FAIL_LOCK, "lock bits", value, found, mask);
	return 0;
}

/* What will be in force for the customer is what a fresh entry latches: read everything once more.
 */
static int prove_final_state(struct chip *chip, uint8_t lock, deadline_t deadline,
                             struct fault *fault)
{
	const struct part *part = chip->part;
	struct chip_facts *facts = &chip->facts;

	if (avr_settings(chip, facts->fuses_left, &facts->lock_left, deadline, fault))
		return -1;
	for (unsigned i = 0; i < PART_FUSES && i < part->fuse_count; i++)
		if (fuse_differs(chip, (enum part_fuse)i, chip->recipe->fuses[i])) {
			fault_set(fault, FAIL_FUSE,
			          "%s fuse reads 0x%02X after a new start, must be 0x%02X",
			          fuse_name((enum part_fuse)i), facts->fuses_left[i],
			          chip->recipe->fuses[i]);
			fault->expected = chip->recipe->fuses[i];
			fault->found = facts->fuses_left[i];
			return -1;
		}
	if ((facts->lock_left ^ lock) & part->lock_mask) {
		fault_set(fault, FAIL_LOCK,
		          "lock bits read 0x%02X after a new start, must be 0x%02X",
		          facts->lock_left, lock);
		fault->expected = lock;
		fault->found = facts->lock_left;
		return -1;
	}
	return 0;
}

static int avr_lock_step(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t lock = chip->recipe->write_lock ? chip->recipe->lock : chip->facts.lock_left;
	uint32_t sck_hz = legal_sck(chip, chip->recipe->fuses);

	if (avr_may_go(chip, deadline, fault))
		return -1;
	if (chip->recipe->write_lock && write_lock(chip, deadline, fault))
		return -1;
	int rc = enter_proved(chip, sck_hz ? sck_hz : chip->facts.sck_first_hz, deadline, fault);
	if (rc) {
		if (rc != ANOTHER_BOARD && fault->code == FAIL_CONTACT)
			fault_set(fault, FAIL_FUSE,
			          "the board does not answer any more with its final fuses and "
			          "lock bits");
		return -1;
	}
	return prove_final_state(chip, lock, deadline, fault);
}

const struct chip_driver chip_avr = {
        .family = "avr",
        .port = PORT_ISP,
        .attach = avr_attach,
        .identify = avr_identify,
        .read = avr_memory_read,
        .erase = avr_erase,
        .clock = avr_clock,
        .program = avr_memory_program,
        .verify = avr_memory_verify,
        .configure = avr_configure,
        .lock = avr_lock_step,
        .detach = avr_detach,
};
