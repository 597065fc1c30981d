#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "station/programmer/programmer.h"
#include "tests/unit/virtual_clock.h"

#include "tests/unit/isp_mkii.h"

struct bench {
	struct part *part;
	struct isp_chip *chip;
	struct isp_mkii *device;
	struct programmer *p;
	struct fault fault;
};

static const struct usb_identity genuine = {.vendor = 0x03EB, .product = 0x2104, .serial = "0000B0018028"};
static const struct usb_identity imitation = {.vendor = 0x03EB, .product = 0x2104, .serial = "000200012345"};

static deadline_t soon(void)
{
	return deadline_in_ms(3000);
}

static struct bench bench_of(const char *part)
{
	struct bench b = {.p = NULL};
	struct pogo_error err;

	if (part_load("configs", part, &b.part, &err) != 0)
		fail_msg("%s", err.text);
	b.chip = isp_chip_new(b.part);
	b.device = isp_mkii_new(b.chip);
	return b;
}

static void open_as(struct bench *b, const struct usb_identity *id)
{
	if (programmer_avrispmk2.open(&b->device->base, id, &b->p, soon(), &b->fault) != 0)
		fail_msg("%s", b->fault.text);
}

static void enter_at(struct bench *b, uint32_t hz)
{
	if (b->p->isp->enter(b->p, b->part, hz, NULL, soon(), &b->fault) != 0)
		fail_msg("%s", b->fault.text);
}

static struct bench entered(const char *part)
{
	struct bench b = bench_of(part);

	open_as(&b, &genuine);
	enter_at(&b, 1000000);
	return b;
}

static void done(struct bench *b)
{
	if (b->p != NULL) {
		programmer_avrispmk2.close(b->p);
		assert_true(b->device->closed);
	}
	assert_int_equal(b->device->violations, 0);
	assert_int_equal(b->chip->violations, 0);
	isp_chip_free(b->chip);
	free(b->device);
	free(b->part);
}

static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256 + seed);
}

static void open_says_who_it_is(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4");
	open_as(&b, &genuine);
	assert_string_equal(b.p->info.kind, "avrispmk2");
	assert_string_equal(b.p->info.firmware, "1.18");
	assert_non_null(strstr(b.p->info.abilities, "target-voltage"));
	assert_int_equal(b.p->info.sck_steps[0], 8000000);
	for (size_t i = 1; b.p->info.sck_steps[i] != 0; i++)
		assert_true(b.p->info.sck_steps[i] < b.p->info.sck_steps[i - 1]);
	assert_int_equal(b.chip->resets, 0); /* no target was touched */
	assert_int_equal(b.device->parameters[0x9E], 1);
	done(&b);

	b = bench_of("atmega32u4");
	open_as(&b, &imitation);
	assert_string_equal(b.p->info.firmware, "1.18 (LUFA)");
	assert_null(strstr(b.p->info.abilities, "target-voltage"));
	done(&b);
}

static void the_last_users_speed_is_forgotten(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4");
	uint32_t hz = 0;
	open_as(&b, &genuine);
	assert_int_equal(b.p->isp->enter(b.p, b.part, 499999, &hz, soon(), &b.fault), 0);
	assert_int_equal(hz, 250000);
	assert_int_equal(b.device->parameters[0x98], 5);
	assert_int_equal(b.chip->resets, 1);
	/* Fast: a new RESET pulse, and the speed set once more; then only the pulse. */
	assert_int_equal(b.p->isp->enter(b.p, b.part, 2666666, &hz, soon(), &b.fault), 0);
	assert_int_equal(hz, 2000000);
	assert_int_equal(b.chip->resets, 2);
	unsigned sets = b.device->messages[0x02];
	assert_int_equal(b.p->isp->enter(b.p, b.part, 2666666, &hz, soon(), &b.fault), 0);
	assert_int_equal(b.chip->resets, 3);
	assert_int_equal(b.device->messages[0x02], sets); /* it is kept in EEPROM, which wears */
	done(&b);
}

static void a_run_has_one_address_and_one_message_for_each_page(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t data[1024], back[1024];
	fill(data, sizeof data, 3);
	memset(b.chip->flash, 0xFF, b.part->flash_bytes);
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0x400, data, 1024, 128, soon(), &b.fault), 0);
	assert_memory_equal(b.chip->flash + 0x400, data, 1024);
	assert_int_equal(b.device->messages[0x13], 8);
	assert_int_equal(b.device->messages[0x06], 1);
	assert_true(b.chip->polls > 0);
	/* Across calls, too. */
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0x800, data, 256, 128, soon(), &b.fault), 0);
	assert_int_equal(b.device->messages[0x06], 1);
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0x400, back, 1024, soon(), &b.fault), 0);
	assert_memory_equal(back, data, 1024);
	assert_int_equal(b.device->messages[0x14], 4);
	assert_int_equal(b.device->messages[0x06], 2);
	done(&b);
}

static void half_words_are_read_with_their_other_half(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t back[300];
	fill(b.chip->flash, 1024, 9);
	for (uint32_t at = 0; at < 3; at++)
		for (size_t len = 1; len < 300; len += 37) {
			memset(back, 0, sizeof back);
			assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, at, back, len, soon(), &b.fault), 0);
			assert_memory_equal(back, b.chip->flash + at, len);
			assert_int_equal(back[len], 0);
		}
	done(&b);
}

static void above_64_kib_is_nothing_special(void **state)
{
	(void)state;
	struct bench b = entered("at90usb1286");
	uint8_t data[512], back[512];
	fill(data, sizeof data, 1);
	memset(b.chip->flash, 0xFF, b.part->flash_bytes);
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0x1FE00, data, 512, 256, soon(), &b.fault), 0);
	assert_memory_equal(b.chip->flash + 0x1FE00, data, 512);
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0x1FE00, back, 512, soon(), &b.fault), 0);
	assert_memory_equal(back, data, 512);
	assert_false(b.device->extended);
	/* Above 128 KiB the programmer is asked to send "load extended address". */
	struct part big = *b.part;
	big.flash_bytes = 0x40000;
	assert_int_equal(b.p->isp->enter(b.p, &big, 1000000, NULL, soon(), &b.fault), 0);
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0x100, back, 16, soon(), &b.fault), 0);
	assert_true(b.device->extended);
	done(&b);
}

static void a_slow_page_comes_in_pieces(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4");
	uint8_t data[128], back[128];
	fill(data, sizeof data, 5);
	open_as(&b, &genuine);
	enter_at(&b, 4000);
	memset(b.chip->flash, 0xFF, b.part->flash_bytes);
	deadline_t minute = deadline_in_ms(60000);
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0x80, data, 128, 128, minute, &b.fault), 0);
	assert_true(b.device->messages[0x13] > 1);
	assert_int_equal(b.chip->commits, 1);
	assert_memory_equal(b.chip->flash + 0x80, data, 128);
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0x80, back, 128, minute, &b.fault), 0);
	assert_memory_equal(back, data, 128);
	done(&b);
}

/* Every length and start: full packets at the end, pages, single bytes before the first page. */
static void eeprom_of_any_length(void **state)
{
	(void)state;
	static const char *const parts[] = {"atmega32u4", "atmega8a"}; /* with pages and without */
	static const uint16_t packets[] = {64, 8};
	uint8_t data[300], back[300];

	for (unsigned i = 0; i < 4; i++) {
		struct bench b = bench_of(parts[i % 2]);
		b.device->packet = packets[i / 2];
		b.device->in = 0x83; /* an old build of LUFA */
		b.device->forgets_empty_packet = true;
		open_as(&b, &imitation);
		enter_at(&b, 1000000);
		for (size_t len = 1; len < 260; len += len < 130 ? 1 : 17) {
			uint32_t at = (uint32_t)len % 5;
			fill(data, len, (unsigned)len);
			memset(back, 0, sizeof back);
			assert_int_equal(b.p->isp->write(b.p, ISP_EEPROM, at, data, len, 0, deadline_in_ms(60000), &b.fault), 0);
			assert_memory_equal(b.chip->eeprom + at, data, len);
			assert_int_equal(b.p->isp->read(b.p, ISP_EEPROM, at, back, len, soon(), &b.fault), 0);
			assert_memory_equal(back, data, len);
			assert_int_equal(back[len], 0);
		}
		if (i == 3) /* single bytes in messages of whole packets were among them */
			assert_true(b.device->empty_packets > 0);
		done(&b);
	}
}

static void what_lies_in_the_pipe_is_taken_away(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4");
	/* The last program died: two answers nobody took, half a message nobody ended, RESET held. */
	isp_mkii_answer(b.device, (const uint8_t[2]){0x13, 0x00}, 2);
	isp_mkii_answer(b.device, (const uint8_t[7]){0x1D, 0x00, 0xFF, 0x30, 0x00, 0x1E, 0x00}, 7);
	b.device->message[0] = 0x13;
	b.device->message_len = 64;
	isp_chip_reset(b.chip, true);
	open_as(&b, &genuine);
	assert_int_equal(b.device->answer_count, 0);
	assert_false(b.chip->reset_low);
	enter_at(&b, 1000000);
	done(&b);
}

static void another_device_is_refused(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4");
	b.device->refuse = 0x01;
	b.device->refuse_status = 0xC0;
	assert_int_equal(programmer_avrispmk2.open(&b.device->base, &genuine, &b.p, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_PROGRAMMER_LOST);
	assert_false(b.device->closed); /* the link stays the caller's */
	b.device->packet = 6;
	assert_int_equal(programmer_avrispmk2.open(&b.device->base, &genuine, &b.p, soon(), &b.fault), -1);
	assert_non_null(strstr(b.fault.text, "bulk endpoints"));
	b.p = NULL;
	done(&b);
}

static void nobody_there(void **state)
{
	(void)state;
	static const struct {
		uint8_t connection, tenths;
		const struct usb_identity *id;
		enum fail_code code;
		const char *word;
	} cases[] = {
	        {0x00, 33, &genuine, FAIL_CONTACT, "3.3 V"},    {0x10, 0, &genuine, FAIL_CONTACT, "no chip"},
	        {0x10, 12, &genuine, FAIL_CONTACT, "1.2 V"},    {0x00, 12, &genuine, FAIL_POWER, "1.2 V"},
	        {0x05, 33, &genuine, FAIL_CONTACT, "MOSI, SCK"}, {0x00, 0, &genuine, FAIL_CONTACT, "0.0 V"},
	        {0x00, 12, &imitation, FAIL_CONTACT, "no chip"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct bench b = bench_of("atmega32u4");
		b.chip->absent = true;
		b.device->parameters[0xA1] = cases[i].connection;
		b.device->parameters[0x94] = cases[i].tenths;
		open_as(&b, cases[i].id);
		assert_int_equal(b.p->isp->enter(b.p, b.part, 100000, NULL, soon(), &b.fault), -1);
		if (b.fault.code != cases[i].code || strstr(b.fault.text, cases[i].word) == NULL)
			fail_msg("case %zu: %s: %s", i, fail_name(b.fault.code), b.fault.text);
		assert_false(b.chip->reset_low);
		assert_int_equal(b.p->isp->command(b.p, (const uint8_t[4]){0x30}, (uint8_t[4]){0}, soon(), &b.fault), -1);
		assert_int_equal(b.fault.code, FAIL_CONTACT);
		done(&b);
	}
}

static void every_status_has_its_code(void **state)
{
	(void)state;
	static const struct {
		uint8_t message, status;
		enum fail_code code;
	} cases[] = {
	        {0x13, 0x81, FAIL_WRITE},  {0x13, 0xC0, FAIL_WRITE},   {0x15, 0x80, FAIL_WRITE}, {0x06, 0xC0, FAIL_WRITE},
	        {0x14, 0xC0, FAIL_VERIFY}, {0x16, 0xC0, FAIL_VERIFY},  {0x1D, 0xC0, FAIL_WRITE}, {0x10, 0x80, FAIL_CONTACT},
	        {0x10, 0xCC, FAIL_CONTACT}, {0x02, 0xC9, FAIL_CONTACT},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct bench b = bench_of("atmega32u4");
		const struct isp_ops *isp;
		uint8_t page[128] = {0};
		open_as(&b, &genuine);
		isp = b.p->isp;
		bool entering = cases[i].message == 0x10 || cases[i].message == 0x02;
		if (!entering)
			enter_at(&b, 1000000);
		b.device->refuse = cases[i].message;
		b.device->refuse_status = cases[i].status;
		int rc = entering ? isp->enter(b.p, b.part, 1000000, NULL, soon(), &b.fault) : 0;
		if (rc == 0)
			rc = isp->write(b.p, ISP_FLASH, 0, page, 128, 128, soon(), &b.fault);
		if (rc == 0)
			rc = isp->read(b.p, ISP_FLASH, 0, page, 128, soon(), &b.fault);
		if (rc == 0)
			rc = isp->write(b.p, ISP_EEPROM, 0, page, 8, 0, soon(), &b.fault);
		if (rc == 0)
			rc = isp->read(b.p, ISP_EEPROM, 0, page, 8, soon(), &b.fault);
		if (rc == 0)
			rc = isp->command(b.p, (const uint8_t[4]){0x30}, page, soon(), &b.fault);
		if (rc != -1 || b.fault.code != cases[i].code)
			fail_msg("%02X %02X: %s: %s", cases[i].message, cases[i].status, fail_name(b.fault.code), b.fault.text);
		b.device->refuse = 0;
		enter_at(&b, 1000000); /* and it is as good as before */
		done(&b);
	}
}

/* Every answer comes one command late from now on: nothing that is read is what was asked for. */
static void a_doubled_answer_is_not_believed(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t back[512], in[4];
	static const uint8_t signature[4] = {0x30, 0x00, 0x00, 0x00};

	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, 256, soon(), &b.fault), 0);
	isp_mkii_answer(b.device, (const uint8_t[259]){0x14, 0x00}, 259);
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 256, back, 256, soon(), &b.fault), 0); /* nobody can know yet */
	assert_int_equal(b.p->isp->command(b.p, signature, in, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_WRITE);
	assert_int_equal(b.p->isp->command(b.p, signature, in, soon(), &b.fault), 0); /* in step again */
	assert_int_equal(in[3], 0x1E);

	/* Found when the board is let go, where no fault can be told: the next entry tells it, once. */
	isp_mkii_answer(b.device, (const uint8_t[7]){0x1D, 0x00, 0xFF, 0x30, 0x00, 0x1E, 0x00}, 7);
	b.p->isp->leave(b.p, soon());
	assert_int_equal(b.p->isp->enter(b.p, b.part, 1000000, NULL, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_VERIFY);
	enter_at(&b, 1000000);
	done(&b);
}

static void a_late_answer_is_not_taken_for_the_next_ones(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t back[256], in[4];
	static const uint8_t signature[4] = {0x30, 0x00, 0x00, 0x00};

	/* The step's time ends before the answer comes: 8192 bits at 1 MHz. */
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, 256, clock_now() + 3000000, &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_TIMEOUT);
	assert_int_equal(b.p->isp->command(b.p, signature, in, soon(), &b.fault), 0);
	assert_int_equal(in[3], 0x1E);
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(open_says_who_it_is),
	        cmocka_unit_test(the_last_users_speed_is_forgotten),
	        cmocka_unit_test(a_run_has_one_address_and_one_message_for_each_page),
	        cmocka_unit_test(half_words_are_read_with_their_other_half),
	        cmocka_unit_test(above_64_kib_is_nothing_special),
	        cmocka_unit_test(a_slow_page_comes_in_pieces),
	        cmocka_unit_test(eeprom_of_any_length),
	        cmocka_unit_test(what_lies_in_the_pipe_is_taken_away),
	        cmocka_unit_test(another_device_is_refused),
	        cmocka_unit_test(nobody_there),
	        cmocka_unit_test(every_status_has_its_code),
	        cmocka_unit_test(a_doubled_answer_is_not_believed),
	        cmocka_unit_test(a_late_answer_is_not_taken_for_the_next_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
