#include "station/attempt.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "station/chip/stm32f1_make.h"

static void post(struct attempt *attempt, struct event *event)
{
	event->state = SLOT_RUNNING;
	event->step = attempt->step;
	event->attempt_id = attempt->id;
	memcpy(event->serial, attempt->serial, sizeof event->serial);
	slot_post(attempt->slot, event);
}

/* A view redraws a few times a second; more events would only be thrown away there. */
static void report_progress(void *context, uint32_t done, uint32_t total)
{
	struct attempt *attempt = context;
	int64_t now = clock_now();

	if (done < total && now - attempt->reported_ns < 200 * 1000000LL)
		return;
	attempt->reported_ns = now;
	struct event event = {.kind = EVENT_PROGRESS, .done = done, .total = total};
	post(attempt, &event);
}

/* ---- budgets */

/* How long moving `bytes` may take. A byte of flash or EEPROM costs one 4-byte instruction, 32 SCK
 * periods (ATmega16U4/32U4 data sheet 7766J, 28.8), here at the SCK of first contact, which is the
 * slowest of the attempt; on USB a low-speed device moves 8 bytes per packet and may take two whole
 * 1 ms frames for one (USB 2.0, 5.5.3). Three times that, and 4 s of grace for set-up and retries.
 */
static int64_t wire_ms(const struct attempt *attempt, uint64_t bytes)
{
	uint32_t sck_hz = attempt->chip->facts.sck_first_hz;

	if (sck_hz == 0)
		sck_hz = 8000; /* unknown: what a USBasp with its slow-SCK jumper runs at */
	return (int64_t)(3 * (bytes * 32 * 1000 / sck_hz + bytes / 4)) + 4000;
}

/* Bytes that travel for the image: whole flash pages. */
static uint64_t image_wire_bytes(const struct attempt *attempt)
{
	const struct hex_image *image = &attempt->image;

	return hex_image_bytes(image) + 2ull * attempt->chip->part->flash_page * image->count;
}

static int64_t few_commands_ms(const struct attempt *attempt)
{
	const struct part *part = attempt->chip->part;

	return wire_ms(attempt, 256) + 8 * ((int64_t)part->twd_erase_us + part->twd_fuse_us) / 1000;
}

static int64_t serial_ms(const struct attempt *attempt)
{
	return wire_ms(attempt, 2 * (uint64_t)attempt->slot->job->recipe->serial.length);
}

static int64_t program_ms(const struct attempt *attempt)
{
	const struct part *part = attempt->chip->part;
	/* An AVR writes a page at a time, an STM32 a half-word. */
	uint32_t unit = part->fuse_count > 0 ? part->flash_page : 2;
	uint64_t bytes = image_wire_bytes(attempt), flash_us = 0, eeprom_us = 0;

	if (unit > 0)
		flash_us = bytes / unit * part->twd_flash_us;
	for (size_t i = 0; i < attempt->image.count; i++)
		if (part_in_eeprom(part, attempt->image.segments[i].addr))
			eeprom_us += attempt->image.segments[i].len * (uint64_t)part->twd_eeprom_us;
	return wire_ms(attempt, bytes) + (int64_t)(3 * (flash_us + eeprom_us) / 1000);
}

static int64_t verify_ms(const struct attempt *attempt)
{
	return wire_ms(attempt, image_wire_bytes(attempt));
}

/* ---- the serial number */

/* What stands in the board's serial field, if it is exactly what the rule would have written. */
static bool fits_rule(const struct serial_rule *rule, const uint8_t *field, char text[48])
{
	size_t prefix = strlen(rule->prefix);

	if (memcmp(field, rule->prefix, prefix) != 0)
		return false;
	for (size_t i = prefix; i < rule->length; i++)
		if (!isdigit(field[i]))
			return false;
	memcpy(text, field, rule->length);
	text[rule->length] = '\0';
	return true;
}

/* Twice: no wire on the way checks its bytes, and a number with one wrong bit may be another unit's,
 * which would then be written to this board too. */
static int read_field(struct attempt *attempt, uint8_t field[48], deadline_t deadline,
                      struct fault *fault)
{
	const struct serial_rule *rule = &attempt->slot->job->recipe->serial;
	struct chip *chip = attempt->chip;
	uint8_t again[48] = {0};

	if (chip->driver->read(chip, rule->address, field, rule->length, deadline, fault) != 0 ||
	    chip->driver->read(chip, rule->address, again, rule->length, deadline, fault) != 0)
		return -1;
	if (memcmp(field, again, rule->length) != 0)
		return fault_set(fault, FAIL_CONTACT,
		                 "the serial number field reads differently twice: bad contact on "
		                 "MISO or SCK, or unstable power");
	return 0;
}

/* A board that was here before carries its number; a locked one hides it and counts as new. */
static int read_serial(struct attempt *attempt, char text[48], deadline_t deadline)
{
	const struct serial_rule *rule = &attempt->slot->job->recipe->serial;
	uint8_t field[48] = {0};
	struct fault fault = {.code = FAIL_NONE};

	text[0] = '\0';
	if (rule->length >= sizeof field)
		return fault_set(&attempt->fault, FAIL_SERIAL,
		                 "a serial of %u characters is too long", rule->length);
	if (read_field(attempt, field, deadline, &fault) != 0) {
		if (fault.code == FAIL_PROTECTED)
			return 0;
		attempt->fault = fault;
		return -1;
	}
	fits_rule(rule, field, text);
	return 0;
}

static int refuse_serial(struct attempt *attempt, enum log_serial_result result, const char *found,
                         const char *given)
{
	const struct serial_rule *rule = &attempt->slot->job->recipe->serial;

	switch (result) {
	case LOG_SERIAL_UNKNOWN:
		return fault_set(
		        &attempt->fault, FAIL_SERIAL,
		        "the board carries serial %s, which this log never gave; set it aside: "
		        "it comes from another line, or is a copy",
		        found);
	case LOG_SERIAL_BUSY:
		return fault_set(&attempt->fault, FAIL_SERIAL,
		                 "the board %s serial %s, and so does a board in another slot; set both "
		                 "aside",
		                 found[0] != '\0' ? "carries" : "has by its chip", given);
	case LOG_SERIAL_OTHER_CHIP:
		return fault_set(&attempt->fault, FAIL_SERIAL,
		                 "the board carries serial %s, which was given to another chip: one of the "
		                 "two is a copy; set both aside",
		                 found);
	case LOG_SERIAL_OTHER_NUMBER:
		return fault_set(&attempt->fault, FAIL_SERIAL,
		                 "this chip was given serial %s before, and now %s%s; set the board aside",
		                 given, found[0] != '\0' ? "carries " : "the recipe wants another kind",
		                 found);
	case LOG_SERIAL_EXHAUSTED:
		return fault_set(&attempt->fault, FAIL_SERIAL,
		                 "no serial number \"%s\" with %u digits is left; give the recipe "
		                 "another prefix or more digits",
		                 rule->prefix, rule->width);
	default:
		return 0;
	}
}

/* The chip's own number in hex, where it names the unit; NULL: it does not. */
static const char *unit_silicon_id(const struct chip *chip, char text[2 * SILICON_ID_BYTES + 1])
{
	const struct chip_facts *facts = &chip->facts;

	if (!facts->silicon_id_unique)
		return NULL;
	for (unsigned i = 0; i < facts->silicon_id_bytes; i++)
		snprintf(text + 2 * i, 3, "%02X", facts->silicon_id[i]);
	return text;
}

static int claim_serial(struct attempt *attempt, const char *found)
{
	char silicon_id[2 * SILICON_ID_BYTES + 1];
	const struct slot_shared *shared = attempt->slot->shared;
	const struct recipe *recipe = attempt->slot->job->recipe;
	const struct serial_rule *rule = &recipe->serial;
	enum log_serial_result result = LOG_SERIAL_EXHAUSTED;
	struct log_serial_wish wish = {
	        .attempt_id = attempt->id,
	        .product = recipe->product,
	        .prefix = rule->prefix,
	        .width = rule->width,
	        .first = rule->first,
	        .found = found[0] != '\0' ? found : NULL,
	        .silicon_id = unit_silicon_id(attempt->chip, silicon_id),
	        .now_ms = clock_wall_ms(),
	};
	char serial[48] = "";

	if (recorder_serial_claim(shared->recorder, &wish, serial, &result, &attempt->fault) != 0)
		return -1;
	if (refuse_serial(attempt, result, found, serial) != 0)
		return -1;
	memcpy(attempt->serial, serial, sizeof attempt->serial);
	struct event event = {.kind = EVENT_SERIAL};
	post(attempt, &event);
	return 0;
}

/* ---- the steps */

static int do_identify(struct attempt *attempt, deadline_t deadline)
{
	return attempt->chip->driver->identify(attempt->chip, deadline, &attempt->fault);
}

static int do_serial(struct attempt *attempt, deadline_t deadline)
{
	const struct recipe *recipe = attempt->slot->job->recipe;
	struct pogo_error err = {.text = ""};
	char found[48];

	if (read_serial(attempt, found, deadline) != 0 || claim_serial(attempt, found) != 0)
		return -1;
	if (recipe_unit_image(recipe, attempt->serial, &attempt->image, &err) != 0)
		return fault_set(&attempt->fault, FAIL_SERIAL, "%.180s", err.text);
	return 0;
}

static int do_erase(struct attempt *attempt, deadline_t deadline)
{
	return attempt->chip->driver->erase(attempt->chip, deadline, &attempt->fault);
}

/* Fuses that are not the final ones, for the fast phase only: a board that loses its power now keeps them until
 * it comes back, so the log must know first. */
static int record_fast_fuses(struct attempt *attempt)
{
	const struct recipe *recipe = attempt->slot->job->recipe;
	const struct part *part = recipe->part;
	char text[2 * PART_FUSES + 1] = "";
	struct log_measure measure = {"fuses_for_fast_phase", 0, text};

	if (memcmp(recipe_fast_fuses(recipe), recipe->fuses, PART_FUSES) == 0)
		return 0;
	for (unsigned i = 0; i < part->fuse_count && i < PART_FUSES; i++)
		snprintf(text + 2 * i, 3, "%02X", recipe->fast_fuses[i]);
	return recorder_measure(attempt->slot->shared->recorder, attempt->id, &measure, &attempt->fault);
}

static int do_clock(struct attempt *attempt, deadline_t deadline)
{
	if (record_fast_fuses(attempt) != 0)
		return -1;
	return attempt->chip->driver->clock(attempt->chip, deadline, &attempt->fault);
}

static int do_program(struct attempt *attempt, deadline_t deadline)
{
	attempt->chip_written = true;
	return attempt->chip->driver->program(attempt->chip, &attempt->image, deadline,
	                                      &attempt->fault);
}

static int do_verify(struct attempt *attempt, deadline_t deadline)
{
	const struct slot_shared *shared = attempt->slot->shared;

	if (attempt->chip->driver->verify(attempt->chip, &attempt->image, deadline,
	                                  &attempt->fault) != 0)
		return -1;
	if (attempt->serial[0] == '\0')
		return 0;
	return recorder_serial_written(shared->recorder, attempt->id, &attempt->fault);
}

static int do_configure(struct attempt *attempt, deadline_t deadline)
{
	return attempt->chip->driver->configure(attempt->chip, deadline, &attempt->fault);
}

static int do_lock(struct attempt *attempt, deadline_t deadline)
{
	return attempt->chip->driver->lock(attempt->chip, deadline, &attempt->fault);
}

static bool wants_serial(const struct recipe *recipe)
{
	return recipe->serial.wanted;
}

static const struct step {
	enum slot_step step;
	bool (*wanted)(const struct recipe *recipe); /* NULL: always */
	int64_t (*budget_ms)(const struct attempt *attempt);
	int (*run)(struct attempt *attempt, deadline_t deadline);
} steps[] = {
        {STEP_IDENTIFY, NULL, few_commands_ms, do_identify},
        {STEP_SERIAL, wants_serial, serial_ms, do_serial},
        {STEP_ERASE, NULL, few_commands_ms, do_erase},
        {STEP_CLOCK, NULL, few_commands_ms, do_clock},
        {STEP_PROGRAM, NULL, program_ms, do_program},
        {STEP_VERIFY, NULL, verify_ms, do_verify},
        {STEP_CONFIGURE, NULL, few_commands_ms, do_configure},
        {STEP_LOCK, NULL, few_commands_ms, do_lock},
};

static int run_step(struct attempt *attempt, const struct step *step)
{
	struct slot_shared *shared = attempt->slot->shared;
	const char *name = slot_step_name(step->step);

	attempt->step = step->step;
	if (atomic_load(&shared->abort))
		return fault_set(&attempt->fault, FAIL_ABORTED,
		                 "the operator stopped the run before this step");
	struct event event = {.kind = EVENT_STEP};
	post(attempt, &event);
	recorder_step_begin(shared->recorder, attempt->id, name);
	int64_t begin = clock_now();
	int result = step->run(attempt, deadline_in_ms(step->budget_ms(attempt)));
	recorder_step_end(shared->recorder, attempt->id, name, (clock_now() - begin) / 1000,
	                  result == 0 ? "ok" : fail_name(attempt->fault.code));
	/* What a step got over by trying again is no fault of this attempt. */
	if (result == 0)
		attempt->fault = (struct fault){.code = FAIL_NONE};
	return result;
}

int attempt_open(struct attempt *attempt, const struct slot *slot, struct chip *chip,
                 const char *usb)
{
	const struct slot_shared *shared = slot->shared;

	*attempt = (struct attempt){
	        .slot = slot, .chip = chip, .found_ns = clock_now(), .step = STEP_IDENTIFY};
	hex_image_init(&attempt->image);
	struct log_attempt row = {
	        .run_id = slot->job->run_id,
	        .slot = slot->place.name,
	        .port = slot->place.port,
	        .programmer_kind = chip->programmer->info.kind,
	        .programmer_firmware = chip->programmer->info.firmware,
	        .programmer_usb = usb,
	        .now_ms = clock_wall_ms(),
	};
	return recorder_attempt_open(shared->recorder, &row, &attempt->id, &attempt->fault);
}

int attempt_run(struct attempt *attempt)
{
	const struct slot_shared *shared = attempt->slot->shared;
	const struct recipe *recipe = attempt->slot->job->recipe;
	struct chip *chip = attempt->chip;
	struct pogo_error err = {.text = ""};
	int result = 0;

	/* With a serial the serial step makes this board's image, once its number is known. */
	if (!recipe->serial.wanted &&
	    hex_image_copy(&attempt->image, &recipe->image, &err) != 0)
		return fault_set(&attempt->fault, FAIL_WRITE, "%.180s", err.text);
	chip->progress = (struct chip_progress){report_progress, attempt, &shared->abort};
	for (size_t i = 0; i < sizeof steps / sizeof steps[0] && result == 0; i++)
		if (steps[i].wanted == NULL || steps[i].wanted(recipe))
			result = run_step(attempt, &steps[i]);
	chip->progress = (struct chip_progress){0};
	return result;
}

/* ---- the result */

static void make_sentence(struct attempt *attempt)
{
	const struct fault *fault = &attempt->fault;
	const char *slot = attempt->slot->place.name, *step = slot_step_name(attempt->step);
	char *out = attempt->sentence;
	size_t size = sizeof attempt->sentence;

	if (attempt->step == STEP_NONE)
		snprintf(out, size, "slot %s: %s", slot, fault->text);
	else if (!fault->has_address || strstr(fault->text, "expected") != NULL)
		snprintf(out, size, "slot %s, %s: %s", slot, step, fault->text);
	else if (part_in_eeprom(attempt->chip->part, fault->address))
		snprintf(out, size,
		         "slot %s, %s: EEPROM 0x%03" PRIX32 ": expected 0x%02" PRIX32
		         ", found 0x%02" PRIX32 " — %s",
		         slot, step, fault->address - AVR_EEPROM_BASE, fault->expected,
		         fault->found, fault->text);
	else
		snprintf(out, size,
		         "slot %s, %s: flash 0x%0*" PRIX32 ": expected 0x%02" PRIX32
		         ", found 0x%02" PRIX32 " — %s",
		         slot, step, attempt->chip->part->flash_start > 0 ? 8 : 4, fault->address,
		         fault->expected, fault->found, fault->text);
}

struct measures {
	struct log_measure list[24];
	size_t count;
	char signature[8], silicon[2 * SILICON_ID_BYTES + 1], fuses_found[12], fuses_left[12], lock_found[4],
	        lock_left[4], crc[12], port_id[12], core_id[12], device_id[12], options_found[20],
	        options_left[20];
};

static void measure(struct measures *measures, const char *name, int64_t number)
{
	measures->list[measures->count++] = (struct log_measure){name, number, NULL};
}

static void measure_hex(struct measures *measures, const char *name, char *text, size_t size,
                        const uint8_t *bytes, size_t len)
{
	text[0] = '\0';
	for (size_t i = 0; i < len && 2 * i + 2 < size; i++)
		snprintf(text + 2 * i, 3, "%02X", bytes[i]);
	measures->list[measures->count++] = (struct log_measure){name, 0, text};
}

static void measure_text(struct measures *measures, const char *name, const char *text)
{
	measures->list[measures->count++] = (struct log_measure){name, 0, text};
}

static void measure_word(struct measures *measures, const char *name, char text[12], uint32_t word)
{
	const uint8_t bytes[4] = {(uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};

	measure_hex(measures, name, text, 12, bytes, sizeof bytes);
}

static void measure_fuses(struct measures *m, const struct chip *chip)
{
	const struct chip_facts *facts = &chip->facts;
	size_t fuses = chip->part->fuse_count < PART_FUSES ? chip->part->fuse_count : PART_FUSES;

	measure_hex(m, "signature", m->signature, sizeof m->signature, facts->signature,
	            sizeof facts->signature);
	measure_hex(m, "fuses_found", m->fuses_found, sizeof m->fuses_found, facts->fuses_found,
	            fuses);
	measure_hex(m, "fuses_left", m->fuses_left, sizeof m->fuses_left, facts->fuses_left, fuses);
	measure_hex(m, "lock_found", m->lock_found, sizeof m->lock_found, &facts->lock_found, 1);
	measure_hex(m, "lock_left", m->lock_left, sizeof m->lock_left, &facts->lock_left, 1);
}

static void measure_stm32f1(struct measures *m, const struct stm32f1_facts *facts)
{
	measure_word(m, "debug_port_id", m->port_id, facts->port_id);
	measure_word(m, "core_id", m->core_id, facts->core_id);
	measure_word(m, "device_id", m->device_id, facts->device_id);
	if (facts->make != NULL)
		measure_text(m, "silicon", facts->make->title);
	measure(m, "flash_kib", facts->flash_kib);
	measure(m, "target_mv", facts->millivolts);
	measure(m, "protected_found", facts->protected_found);
	measure(m, "protected_left", facts->protected_left);
	measure_hex(m, "options_found", m->options_found, sizeof m->options_found, facts->options_found,
	            sizeof facts->options_found);
	measure_hex(m, "options_left", m->options_left, sizeof m->options_left, facts->options_left,
	            sizeof facts->options_left);
	measure_text(m, "erased", facts->erased_by_page ? "pages" : "all");
	measure_text(m, "verified_by", facts->verified_by_crc ? "crc" : "read-back");
}

static void measure_facts(struct measures *m, const struct chip *chip)
{
	const struct chip_facts *facts = &chip->facts;

	if (chip->part->fuse_count > 0)
		measure_fuses(m, chip);
	else
		measure_stm32f1(m, &facts->stm32f1);
	if (facts->silicon_id_bytes > 0)
		measure_hex(m, "silicon_id", m->silicon, sizeof m->silicon, facts->silicon_id,
		            facts->silicon_id_bytes);
	measure(m, "sck_first_hz", facts->sck_first_hz);
	measure(m, "sck_fast_hz", facts->sck_fast_hz);
	measure(m, "retries", facts->retries);
	measure(m, "bytes_written", facts->bytes_written);
	measure(m, "bytes_verified", facts->bytes_verified);
	measure(m, "pages_skipped", facts->pages_skipped);
	measure_word(m, "readback_crc", m->crc, facts->readback_crc);
}

static int record(struct attempt *attempt)
{
	const struct fault *fault = &attempt->fault;
	struct measures measures = {.count = 0};
	char silicon_id[2 * SILICON_ID_BYTES + 1];
	struct log_result result = {
	        .attempt_id = attempt->id,
	        .status = "PASS",
	        .now_ms = clock_wall_ms(),
	        .duration_us = (clock_now() - attempt->found_ns) / 1000,
	};

	if (fault->code != FAIL_NONE) {
		result.status = fail_is_error(fault->code) ? "ERROR" : "FAIL";
		result.code = fail_name(fault->code);
		result.step = attempt->step != STEP_NONE ? slot_step_name(attempt->step) : NULL;
		result.sentence = attempt->sentence;
		result.has_address = fault->has_address;
		result.address = fault->address;
		result.expected = fault->expected;
		result.found = fault->found;
		result.serial_may_be_on_chip = attempt->chip_written;
	}
	/* An attempt without a board has measured nothing. */
	if (fault->code != FAIL_NO_BOARD) {
		measure_facts(&measures, attempt->chip);
		result.silicon_id = unit_silicon_id(attempt->chip, silicon_id);
	}
	result.measures = measures.list;
	result.measure_count = measures.count;
	struct fault refused = {.code = FAIL_NONE};
	if (recorder_attempt_close(attempt->slot->shared->recorder, &result, &refused) == 0)
		return 0;
	attempt->fault = refused;
	attempt->step = STEP_RECORD;
	make_sentence(attempt);
	return -1;
}

static void count_verdict(struct attempt *attempt)
{
	struct slot_shared *shared = attempt->slot->shared;

	if (attempt->fault.code == FAIL_NONE) {
		attempt->verdict = SLOT_PASS;
		atomic_fetch_add(&shared->passed, 1);
	} else if (fail_is_error(attempt->fault.code)) {
		attempt->verdict = SLOT_ERROR;
		/* A slot where nobody set a board is no board that did not pass. */
		if (attempt->fault.code != FAIL_NO_BOARD)
			atomic_fetch_add(&shared->errors, 1);
	} else {
		attempt->verdict = SLOT_FAIL;
		atomic_fetch_add(&shared->failed, 1);
	}
}

int attempt_close(struct attempt *attempt)
{
	if (attempt->fault.code != FAIL_NONE)
		make_sentence(attempt);
	int result = record(attempt);
	hex_image_finish(&attempt->image);
	count_verdict(attempt);

	struct event event = {.kind = EVENT_RESULT, .fault = attempt->fault};
	event.duration_ms = (clock_now() - attempt->found_ns) / 1000000;
	memcpy(event.text, attempt->sentence, sizeof event.text);
	post(attempt, &event);
	return result;
}
