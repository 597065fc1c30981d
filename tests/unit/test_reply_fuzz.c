#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "station/chip/chip.h"
#include "tests/unit/virtual_clock.h"

#include "tests/unit/isp_mkii.h"
#include "tests/unit/isp_pirate.h"
#include "tests/unit/isp_stk.h"
#include "tests/unit/isp_usbasp.h"
#include "tests/unit/isp_usbtiny.h"
#include "tests/unit/noise_link.h"

/* Whole boards through every driver, while a seed spoils some transfers. Whatever comes back, each call ends in its time, and
 * a board is called good only if the chip holds what it should. Time is virtual: a hang of seconds costs nothing.
 *
 * A new driver joins by one line in `pods`; without it only its behaviour towards a babbler is tested. */

enum {
	RUNS = 20000,
	BABBLES = 300, /* for each driver */
	STEP_MS = 20000,
	OPEN_MS = 3000,
	SLACK_MS = 2500, /* letting the board go when the time is over */
	CODES = FAIL_RECORD + 1,
};

static struct link *new_usbasp(struct isp_chip *chip)
{
	return &isp_usbasp_new(chip)->base;
}

static struct link *new_usbtiny(struct isp_chip *chip)
{
	return &isp_usbtiny_new(chip)->base;
}

static struct link *new_mkii(struct isp_chip *chip)
{
	return &isp_mkii_new(chip)->base;
}

static struct link *new_old_mkii(struct isp_chip *chip)
{
	struct isp_mkii *d = isp_mkii_new(chip);

	d->in = 0x83;
	d->packet = 16;
	d->forgets_empty_packet = true;
	return &d->base;
}

static struct link *new_micro(struct isp_chip *chip)
{
	return &isp_stk_new(chip, true, 19200)->wire.base;
}

static struct link *new_uno(struct isp_chip *chip)
{
	struct isp_stk *d = isp_stk_new(chip, false, 19200);

	d->boot_ms = 1000;
	return &d->wire.base;
}

static struct link *new_pirate(struct isp_chip *chip)
{
	return &isp_pirate_new(chip, false)->wire.base;
}

static struct link *new_old_pirate(struct isp_chip *chip)
{
	struct isp_pirate *d = isp_pirate_new(chip, false);

	d->no_avr = d->no_blocks = true;
	return &d->wire.base;
}

static const struct pod {
	const struct programmer_driver *driver;
	struct usb_identity identity;
	struct link *(*make)(struct isp_chip *chip); /* freed with free() */
} pods[] = {
        {&programmer_usbasp, {.vendor = 0x16C0, .product = 0x05DC, .release = 0x0104}, new_usbasp},
        {&programmer_usbtiny, {.vendor = 0x1781, .product = 0x0C9F, .release = 0x0106}, new_usbtiny},
        {&programmer_avrispmk2, {.vendor = 0x03EB, .product = 0x2104, .serial = "0000B0018028"}, new_mkii},
        {&programmer_avrispmk2, {.vendor = 0x03EB, .product = 0x2104, .serial = "000200312345"}, new_old_mkii},
        {&programmer_stk500v1, {.vendor = 0x2341, .product = 0x8037}, new_micro},
        {&programmer_stk500v1, {.vendor = 0x2341, .product = 0x0043}, new_uno},
        {&programmer_buspirate, {.vendor = 0x0403, .product = 0x6001}, new_pirate},
        {&programmer_buspirate, {.vendor = 0x0403, .product = 0x6001}, new_old_pirate},
};
enum { PODS = sizeof pods / sizeof pods[0] };

struct job { /* what every board is to become */
	struct recipe recipe;
	struct hex_image image;
	uint8_t flash[0x8000]; /* all of it, afterwards */
};

static void add(struct job *job, uint32_t address, size_t len)
{
	uint8_t bytes[1024];
	static uint32_t seed = 1;

	for (size_t i = 0; i < len; i++) { /* no two blocks alike: a stale one must show */
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24);
	}
	assert_int_equal(hex_image_add(&job->image, address, bytes, len, HEX_OVERLAP_ERROR, NULL, NULL), 0);
}

static struct job *job_new(void)
{
	struct job *job = calloc(1, sizeof *job);
	struct pogo_error err;

	assert_non_null(job);
	job->recipe = (struct recipe){.fuses = {0xFF, 0xD8, 0xFB}, .write_lock = true, .lock = 0xEF, .crystal_hz = 16000000};
	if (part_load("configs", "atmega32u4", &job->recipe.part, &err) != 0)
		fail_msg("%s", err.text);
	hex_image_init(&job->image);
	add(job, 0x0000, 600);
	add(job, 0x7000, 256);
	add(job, AVR_EEPROM_BASE + 3, 11);
	hex_image_read(&job->image, 0, job->flash, sizeof job->flash, 0xFF);
	return job;
}

static void job_free(struct job *job)
{
	hex_image_finish(&job->image);
	free(job->recipe.part);
	free(job);
}

/* ---- one board */

struct outcome {
	enum fail_code code;
	const char *step, *late; /* late: a step that took longer than it had */
	char text[200];
};

static bool in_time(struct outcome *out, const char *step, deadline_t deadline)
{
	out->step = step;
	if (virtual_now > deadline + SLACK_MS * 1000000LL)
		out->late = step;
	return out->late == NULL;
}

static int attach_patiently(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	int rc = -1;

	for (unsigned i = 0; i < 4 && rc != 0 && virtual_now < deadline; i++) {
		rc = chip->driver->attach(chip, deadline_in_ms(OPEN_MS), fault);
		if (rc != 0 && fault->code == FAIL_PROGRAMMER_LOST)
			break;
	}
	return rc;
}

static int work(struct chip *chip, const struct job *job, struct outcome *out, struct fault *fault)
{
	static const struct {
		const char *name;
		size_t call; /* in struct chip_driver */
	} steps[] = {
	        {"identify", offsetof(struct chip_driver, identify)},
	        {"erase", offsetof(struct chip_driver, erase)},
	        {"clock", offsetof(struct chip_driver, clock)},
	        {"program", offsetof(struct chip_driver, program)},
	        {"verify", offsetof(struct chip_driver, verify)},
	        {"configure", offsetof(struct chip_driver, configure)},
	        {"lock", offsetof(struct chip_driver, lock)},
	};
	deadline_t deadline = deadline_in_ms(STEP_MS);
	int rc = attach_patiently(chip, deadline, fault);

	if (!in_time(out, "attach", deadline) || rc != 0)
		return -1;
	for (size_t i = 0; i < sizeof steps / sizeof steps[0] && rc == 0; i++) {
		const char *at = (const char *)chip->driver + steps[i].call;
		deadline = deadline_in_ms(STEP_MS);
		if (i == 3 || i == 4) {
			int (*call)(struct chip *, const struct hex_image *, deadline_t, struct fault *);
			memcpy(&call, at, sizeof call);
			rc = call(chip, &job->image, deadline, fault);
		} else {
			int (*call)(struct chip *, deadline_t, struct fault *);
			memcpy(&call, at, sizeof call);
			rc = call(chip, deadline, fault);
		}
		if (!in_time(out, steps[i].name, deadline))
			return -1;
	}
	return rc;
}

static struct outcome flash(const struct pod *pod, const struct programmer_driver *driver, struct noise *noise,
                            const struct job *job)
{
	static const struct usb_identity nobody = {.path = "1-1"};
	struct outcome out = {.step = "open"};
	struct fault fault = {.code = FAIL_NONE};
	struct programmer *programmer = NULL;
	struct chip chip;
	deadline_t deadline = deadline_in_ms(OPEN_MS);
	int rc = driver->open(&noise->base, pod != NULL ? &pod->identity : &nobody, &programmer, deadline, &fault);

	if (rc != 0)
		noise->base.ops->close(&noise->base);
	if (in_time(&out, "open", deadline) && rc == 0) {
		chip_init(&chip, &chip_avr, &job->recipe);
		chip.programmer = programmer;
		rc = work(&chip, job, &out, &fault);
		deadline = deadline_in_ms(0);
		if (rc == 0 || fault.code != FAIL_PROGRAMMER_LOST)
			chip.driver->detach(&chip);
		driver->close(programmer);
		in_time(&out, out.step, deadline);
	}
	out.code = rc == 0 ? FAIL_NONE : fault.code;
	snprintf(out.text, sizeof out.text, "%s", fault.text);
	return out;
}

/* What the chip holds, of all that the station answers for: the pages of the image. A transfer that was heard twice may
 * have written beside them, and no station reads there. */
static const char *wrong_with(const struct isp_chip *chip, const struct job *job)
{
	const struct part *part = job->recipe.part;
	uint8_t eeprom[11];

	for (uint32_t at = 0; at < sizeof job->flash; at += part->flash_page) {
		const struct hex_segment *segment = hex_image_from(&job->image, at);
		if (segment != NULL && segment->addr < at + part->flash_page &&
		    memcmp(chip->flash + at, job->flash + at, part->flash_page) != 0)
			return "flash";
	}
	hex_image_read(&job->image, AVR_EEPROM_BASE + 3, eeprom, sizeof eeprom, 0xFF);
	if (memcmp(chip->eeprom + 3, eeprom, sizeof eeprom) != 0)
		return "EEPROM";
	for (unsigned i = 0; i < part->fuse_count; i++)
		if ((chip->fuses[i] ^ job->recipe.fuses[i]) & part->fuse_mask[i])
			return "fuses";
	uint8_t lock = job->recipe.write_lock ? job->recipe.lock : 0xFF;
	return (chip->lock ^ lock) & part->lock_mask ? "lock bits" : NULL;
}

/* ---- the tests */

struct tally {
	unsigned passed, runs, codes[CODES];
};

/* transfers = 0: nothing goes wrong. Returns how many transfers there were. */
static unsigned run(struct job *job, const struct pod *pod, uint64_t seed, unsigned transfers, struct tally *tally)
{
	struct isp_chip *chip = isp_chip_new(job->recipe.part);
	struct link *device = pod->make(chip);
	struct noise noise = noise_over(device, seed);

	job->recipe.write_lock = seed & 1; /* without, nothing else is asked between verify and the last entry */
	if (transfers > 0)
		noise_choose(&noise, transfers);
	struct outcome out = flash(pod, pod->driver, &noise, job);
	const char *wrong = out.code == FAIL_NONE ? wrong_with(chip, job) : NULL;
	if (out.late != NULL || wrong != NULL)
		fail_msg("%s, seed %llu (trouble %d at transfer %u, and %u more): %s %s", pod->driver->kind,
		         (unsigned long long)seed, (int)noise.kind[0], noise.at[0], noise.count - 1,
		         out.late != NULL ? "late in" : "called good with other", out.late != NULL ? out.late : wrong);
	if (transfers == 0 && (out.code != FAIL_NONE || chip->violations > 0))
		fail_msg("%s: %s: %s, %u violations", pod->driver->kind, out.step, out.text, chip->violations);
	tally->runs++;
	tally->codes[out.code]++;
	free(device);
	isp_chip_free(chip);
	return noise.transfers;
}

static void spoiled_replies_make_no_good_board(void **state)
{
	(void)state;
	struct job *job = job_new();
	struct tally tallies[PODS] = {{0}};
	unsigned transfers[PODS];

	for (unsigned i = 0; i < PODS; i++)
		transfers[i] = run(job, &pods[i], 1, 0, &tallies[i]);
	for (unsigned i = 0; i < RUNS; i++)
		run(job, &pods[i / 2 % PODS], i + 1, transfers[i / 2 % PODS], &tallies[i / 2 % PODS]);
	for (unsigned i = 0; i < PODS; i++) {
		printf("  %-10s %5u runs of about %u transfers:", pods[i].driver->kind, tallies[i].runs, transfers[i]);
		for (unsigned c = 0; c < CODES; c++)
			if (tallies[i].codes[c] > 0)
				printf(" %s %u", c == FAIL_NONE ? "good" : fail_name((enum fail_code)c), tallies[i].codes[c]);
		printf("\n");
		/* Troubles were met, and not all of them were fatal. */
		assert_true(tallies[i].codes[FAIL_NONE] > 1 && tallies[i].codes[FAIL_NONE] < tallies[i].runs / 2);
	}
	job_free(job);
}

static void a_babbler_makes_no_good_board(void **state)
{
	(void)state;
	struct job *job = job_new();

	for (const struct programmer_driver *const *p = programmer_drivers; *p != NULL; p++) {
		const struct pod *pod = NULL;
		for (unsigned i = 0; i < PODS && pod == NULL; i++)
			pod = pods[i].driver == *p ? &pods[i] : NULL;
		if (pod == NULL)
			printf("  %s has no line in pods: its replies are only babble\n", (*p)->kind);
		for (unsigned i = 0; i < BABBLES; i++) {
			struct noise noise = noise_over(NULL, i + 1);
			struct outcome out = flash(pod, *p, &noise, job);
			if (out.code == FAIL_NONE || out.late != NULL)
				fail_msg("%s, seed %u: %s %s", (*p)->kind, i + 1, out.late != NULL ? "late in" : "good after",
				         out.step);
		}
	}
	job_free(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(spoiled_replies_make_no_good_board),
	        cmocka_unit_test(a_babbler_makes_no_good_board),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
