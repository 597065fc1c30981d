#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "station/programmer/programmer.h"
#include "station/programmer/swd.h"
#include "tests/unit/fake_stlink.h"

struct rig {
	struct fake_stlink *dongle;
	struct usb_identity identity;
	struct programmer *programmer;
	struct fault fault;
	struct swd_target target;
};

static deadline_t soon(void)
{
	return deadline_in_ms(20000);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof *rig);

	rig->dongle = fs_create();
	rig->identity = (struct usb_identity){.vendor = 0x0483, .product = 0x3748, .speed = 2};
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	if (rig->programmer != NULL)
		rig->programmer->driver->close(rig->programmer);
	fs_destroy(rig->dongle);
	free(rig);
	return 0;
}

static int open_rig(struct rig *rig)
{
	return programmer_stlink.open(&rig->dongle->base, &rig->identity, &rig->programmer, soon(), &rig->fault);
}

static int enter(struct rig *rig, uint32_t hz, bool under_reset)
{
	return rig->programmer->swd->enter(rig->programmer, hz, under_reset, &rig->target, soon(), &rig->fault);
}

static void test_ids(void **state)
{
	static const uint16_t known[] = {0x3748, 0x374B, 0x374A, 0x3752, 0x3742, 0x374E, 0x374F, 0x3753, 0x3754, 0x3757};

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct usb_identity id = {.vendor = 0x0483, .product = known[i]};
		assert_ptr_equal(programmer_match(&id), &programmer_stlink);
	}
	struct usb_identity vcp = {.vendor = 0x0483, .product = 0x5740};
	assert_null(programmer_match(&vcp));
}

static void test_open_says_what_it_is(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(open_rig(rig), 0);
	assert_string_equal(rig->programmer->info.kind, "stlink");
	assert_string_equal(rig->programmer->info.firmware, "V2J37S7");
	assert_true(rig->programmer->info.sck_control);
	assert_int_equal(rig->programmer->info.sck_steps[0], 4000000);
	assert_null(rig->programmer->isp);
}

static void test_v3_offers_its_own_speeds(void **state)
{
	struct rig *rig = *state;

	rig->identity.product = rig->dongle->product = 0x374F;
	rig->identity.speed = 3;
	fs_version(rig->dongle, 3, 0, 0);
	rig->dongle->version_v3[2] = 9;
	rig->dongle->version_v3[3] = 2;
	assert_int_equal(open_rig(rig), 0);
	assert_string_equal(rig->programmer->info.firmware, "V3J9M2");
	assert_int_equal(rig->programmer->info.sck_steps[0], 24000000);
	assert_int_equal(enter(rig, 5000000, false), 0);
	assert_int_equal(rig->dongle->hz, 4000000);
	assert_int_equal(rig->target.used_hz, 4000000);
}

static void test_old_firmware_is_refused_with_the_way_out(void **state)
{
	struct rig *rig = *state;

	fs_version(rig->dongle, 2, 14, 4);
	assert_int_equal(open_rig(rig), -1);
	assert_int_equal(rig->fault.code, FAIL_PROGRAMMER_LOST);
	assert_non_null(strstr(rig->fault.text, "V2J14S4"));
	assert_non_null(strstr(rig->fault.text, "update the dongle"));
	fs_version(rig->dongle, 2, 15, 4);
	assert_int_equal(open_rig(rig), 0);
	assert_non_null(strstr(rig->programmer->info.abilities, "update-advised"));
	assert_false(rig->programmer->info.sck_control); /* J22 brought it */
	assert_int_equal(enter(rig, 4000000, false), 0);
	assert_int_equal(rig->target.used_hz, 1800000);
}

static void test_useless_ones_say_why(void **state)
{
	static const struct {
		uint16_t product;
		const char *words;
	} cases[] = {{0x3744, "ST-Link V1"}, {0x374D, "waits for new firmware"}, {0x3755, "waits for new firmware"}};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct usb_identity id = {.vendor = 0x0483, .product = cases[i].product, .speed = 2};
		assert_true(programmer_stlink.match(&id));
		assert_int_equal(programmer_stlink.open(&rig->dongle->base, &id, &rig->programmer, soon(), &rig->fault), -1);
		assert_non_null(strstr(rig->fault.text, cases[i].words));
		assert_int_equal(rig->dongle->commands, 0);
		rig->programmer = NULL;
	}
}

static void test_any_mode_is_left(void **state)
{
	struct rig *rig = *state;

	for (uint8_t mode = 0; mode < 4; mode++) {
		rig->dongle->mode = mode;
		assert_int_equal(open_rig(rig), 0);
		assert_int_equal(rig->dongle->mode, 1);
		rig->programmer->driver->close(rig->programmer);
		rig->programmer = NULL;
	}
	assert_int_equal(rig->dongle->dfu_exits, 1);
	rig->dongle->mode = 4;
	assert_int_equal(open_rig(rig), -1);
	assert_non_null(strstr(rig->fault.text, "mode 4"));
}

static void test_stale_reply_is_drained(void **state)
{
	struct rig *rig = *state;

	/* Who used it last was killed between a read and its data. */
	rig->dongle->reply_len = 6144;
	rig->dongle->reply_there = true;
	assert_int_equal(open_rig(rig), 0);
	assert_string_equal(rig->programmer->info.firmware, "V2J37S7");
}

static void test_no_stlink_behind_the_id(void **state)
{
	struct rig *rig = *state;

	rig->dongle->version[4] = 0x99;
	assert_int_equal(open_rig(rig), -1);
	assert_non_null(strstr(rig->fault.text, "out of step"));
}

static void test_label_of_raw_and_shared_serials(void **state)
{
	struct rig *rig = *state;
	struct fake_stlink *d = rig->dongle;

	/* 12 bytes of the dongle's chip id, zeros and high bytes among them. */
	d->serial_len = d->serial[0] = 26;
	d->serial[1] = 3;
	for (unsigned i = 0; i < 12; i++)
		d->serial[2 + 2 * i] = (const uint8_t[]){0x56, 0x00, 0xFF, 1, 2, 3, 4, 5, 6, 7, 8, 0x9A}[i];
	assert_int_equal(open_rig(rig), 0);
	assert_string_equal(rig->programmer->info.label, "5600FF01020304050607089A");
	rig->programmer->driver->close(rig->programmer);
	rig->programmer = NULL;
	d->serial_len = d->serial[0] = 50;
	for (unsigned i = 0; i < 24; i++)
		d->serial[2 + 2 * i] = (uint8_t)"37FF6C064E50313542480443"[i];
	assert_int_equal(open_rig(rig), 0);
	assert_string_equal(rig->programmer->info.label, "37FF6C064E50313542480443");
	rig->programmer->driver->close(rig->programmer);
	rig->programmer = NULL;
	d->serial_len = 0; /* a broken clone refuses the descriptor: it works all the same */
	assert_int_equal(open_rig(rig), 0);
	assert_string_equal(rig->programmer->info.label, "");
}

static void test_nobody_answers(void **state)
{
	struct rig *rig = *state;

	rig->dongle->chip.absent = true;
	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), -1);
	assert_int_equal(rig->fault.code, FAIL_CONTACT);
	assert_non_null(strstr(rig->fault.text, "0x0000"));
	assert_non_null(strstr(rig->fault.text, "SWDIO swapped with SWCLK"));
	rig->dongle->millivolts = 1900;
	assert_int_equal(enter(rig, 1800000, false), -1);
	assert_int_equal(rig->fault.code, FAIL_POWER);
	assert_non_null(strstr(rig->fault.text, "1.90 V"));
	/* The port id is stuck although the dongle said that it is connected. */
	rig->dongle->chip.absent = false;
	rig->dongle->chip.port_id = 0xFFFFFFFF;
	rig->dongle->millivolts = 3300;
	assert_int_equal(enter(rig, 1800000, false), -1);
	assert_non_null(strstr(rig->fault.text, "stuck high"));
}

static void test_voltage(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), 0);
	assert_in_range(rig->target.millivolts, 3290, 3300);
	assert_int_equal(rig->target.port_id, 0x1BA01477);
	rig->dongle->millivolts = 2400;
	assert_int_equal(enter(rig, 1800000, false), -1);
	assert_int_equal(rig->fault.code, FAIL_POWER);
	assert_non_null(strstr(rig->fault.text, "at least 2.7 V"));
	rig->dongle->millivolts = 5000;
	assert_int_equal(enter(rig, 1800000, false), -1);
	assert_int_equal(rig->fault.code, FAIL_POWER);
	rig->dongle->millivolts = 0; /* a clone does not measure */
	assert_int_equal(enter(rig, 1800000, false), 0);
	assert_int_equal(rig->target.millivolts, 0);
}

static void test_speed_takes_the_step_below(void **state)
{
	struct rig *rig = *state;
	uint32_t used = 0;

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1000000, false), 0);
	assert_int_equal(rig->target.used_hz, 950000);
	assert_int_equal(rig->programmer->swd->speed(rig->programmer, 4000000, &used, soon(), &rig->fault), 0);
	assert_int_equal(used, 4000000);
	assert_int_equal(rig->dongle->hz, 4000000);
	assert_int_equal(rig->programmer->swd->speed(rig->programmer, 1, &used, soon(), &rig->fault), 0);
	assert_int_equal(used, 100000);
}

static void test_blocks_are_cut(void **state)
{
	struct rig *rig = *state;
	static uint8_t out[16384], in[16384];
	const struct swd_ops *swd;

	for (unsigned i = 0; i < sizeof out; i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(open_rig(rig), 0);
	swd = rig->programmer->swd;
	assert_int_equal(enter(rig, 1800000, false), 0);
	assert_int_equal(swd->write(rig->programmer, 0x20000000, out, sizeof out, soon(), &rig->fault), 0);
	assert_int_equal(swd->read(rig->programmer, 0x20000000, in, sizeof in, soon(), &rig->fault), 0);
	assert_memory_equal(in, out, sizeof out);
	assert_int_equal(rig->dongle->longest, 6144);
}

static void test_waiting_target_is_asked_again(void **state)
{
	struct rig *rig = *state;
	uint32_t word = 0;

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), 0);
	rig->dongle->next_status = 0x10;
	rig->dongle->next_status_times = 3;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), 0);
	assert_int_equal(word, 0x411FC231);
	rig->dongle->next_status_times = 100;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_CONTACT);
	rig->dongle->next_status_times = 0;
}

static void test_status_in_words(void **state)
{
	static const struct {
		uint8_t status;
		enum fail_code code;
		const char *word;
	} cases[] = {
	        {0x11, FAIL_VERIFY, "refused this address"}, {0x12, FAIL_CONTACT, "does not answer any more"},
	        {0x13, FAIL_CONTACT, "parity"},              {0x0B, FAIL_CONTACT, "debug port"},
	        {0x77, FAIL_CONTACT, "status 77"},
	};
	struct rig *rig = *state;
	uint32_t word = 0;

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		rig->dongle->next_status = cases[i].status;
		rig->dongle->next_status_times = 1;
		assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
		assert_int_equal(rig->fault.code, cases[i].code);
		assert_non_null(strstr(rig->fault.text, cases[i].word));
	}
	assert_int_equal(rig->dongle->aborts, 1); /* the sticky error after the refused address */
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), 0);
}

static void test_refused_block_names_its_address(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[8];

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), 0);
	assert_int_equal(rig->programmer->swd->read(rig->programmer, 0x60000000, bytes, 8, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_VERIFY);
	assert_true(rig->fault.has_address);
	assert_int_equal(rig->fault.address, 0x60000000);
	assert_int_equal(rig->programmer->swd->write(rig->programmer, 0x60000000, bytes, 8, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_WRITE);
}

static void test_one_silence_is_forgiven(void **state)
{
	struct rig *rig = *state;
	uint32_t word = 0;

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), 0);
	rig->dongle->lose_reply_at = (int)rig->dongle->commands + 1;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_TIMEOUT);
	assert_non_null(strstr(rig->fault.text, "it answers again"));
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), 0);
	assert_int_equal(word, 0x411FC231);
	rig->dongle->lose_reply_at = (int)rig->dongle->commands + 1;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_PROGRAMMER_LOST);
	/* After that nothing speaks to it any more. */
	unsigned commands = rig->dongle->commands;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_PROGRAMMER_LOST);
	assert_int_equal(rig->dongle->commands, commands);
}

static void test_hanging_dongle_is_restarted_once(void **state)
{
	struct rig *rig = *state;
	uint32_t word = 0;

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), 0);
	rig->dongle->hangs_until_restart = true;
	rig->dongle->lose_from = rig->dongle->commands + 1;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_TIMEOUT);
	assert_non_null(strstr(rig->fault.text, "its USB port was reset, and it answers again"));
	assert_int_equal(rig->dongle->restarts, 1);
	/* Once it has been entered again all is as before, and the next hang has its own chance. */
	assert_int_equal(enter(rig, 1800000, false), 0);
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), 0);
	assert_int_equal(word, 0x411FC231);
	rig->dongle->hangs_until_restart = false;
	rig->dongle->lose_from = rig->dongle->commands + 1;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_PROGRAMMER_LOST);
	assert_int_equal(rig->dongle->restarts, 2);
}

static void test_dead_dongle_and_unplugged_one_are_lost(void **state)
{
	struct rig *rig = *state;
	uint32_t word = 0;

	assert_int_equal(open_rig(rig), 0);
	assert_int_equal(enter(rig, 1800000, false), 0);
	rig->dongle->lose_from = rig->dongle->commands + 1;
	assert_int_equal(rig->programmer->swd->get(rig->programmer, 0xE000ED00, &word, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_PROGRAMMER_LOST);
	assert_non_null(strstr(rig->fault.text, "unplug it"));
	rig->programmer->driver->close(rig->programmer);
	rig->programmer = NULL;
	assert_true(rig->dongle->closed);
	rig->dongle->lose_from = 0;
	assert_int_equal(open_rig(rig), 0);
	rig->dongle->unplugged = true;
	assert_int_equal(enter(rig, 1800000, false), -1);
	assert_int_equal(rig->fault.code, FAIL_PROGRAMMER_LOST);
	assert_non_null(strstr(rig->fault.text, "unplugged"));
}

static void test_reset_line_is_let_go(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(open_rig(rig), 0);
	rig->dongle->chip.swd_off_by_firmware = true;
	f1_reset(&rig->dongle->chip);
	assert_int_equal(enter(rig, 1800000, false), -1);
	assert_int_equal(rig->fault.code, FAIL_CONTACT);
	assert_int_equal(enter(rig, 1800000, true), 0);
	assert_true(rig->dongle->chip.nrst_low);
	rig->programmer->swd->leave(rig->programmer, 0);
	assert_false(rig->dongle->chip.nrst_low);
	assert_int_equal(rig->dongle->mode, 1);
	rig->dongle->chip.absent = true;
	assert_int_equal(enter(rig, 1800000, true), -1);
	assert_false(rig->dongle->chip.nrst_low);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        CASE(test_ids),
	        CASE(test_open_says_what_it_is),
	        CASE(test_v3_offers_its_own_speeds),
	        CASE(test_old_firmware_is_refused_with_the_way_out),
	        CASE(test_useless_ones_say_why),
        CASE(test_any_mode_is_left),
	        CASE(test_stale_reply_is_drained),
	        CASE(test_no_stlink_behind_the_id),
	        CASE(test_label_of_raw_and_shared_serials),
	        CASE(test_nobody_answers),
	        CASE(test_voltage),
	        CASE(test_speed_takes_the_step_below),
	        CASE(test_blocks_are_cut),
	        CASE(test_waiting_target_is_asked_again),
	        CASE(test_status_in_words),
	        CASE(test_refused_block_names_its_address),
	        CASE(test_one_silence_is_forgiven),
	        CASE(test_hanging_dongle_is_restarted_once),
        CASE(test_dead_dongle_and_unplugged_one_are_lost),
	        CASE(test_reset_line_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
