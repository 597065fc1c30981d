#include "fixtures/bench/line_firmware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Byte conversations with the Bus Pirate's firmware, from its public pages; without a carrier: a byte is there when
 * the firmware looks for it. */

struct rig {
	struct part *part;
	struct line_firmware *pirate;
	struct line_output out;
	size_t taken;
	int64_t now;
};

static struct rig *open_rig(const char *part_name, bool charge)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct target_options options = {.crystal_hz = 16000000};
	struct pogo_error err = {0};
	struct rig *rig = calloc(1, sizeof *rig);

	assert_non_null(rig);
	rig->pirate = firmware_buspirate_create(charge);
	assert_non_null(rig->pirate);
	rig->now = rig->pirate->ops->start(rig->pirate, 1000000);
	if (!part_name)
		return rig;
	if (part_load(configs ? configs : "configs", part_name, &rig->part, &err))
		fail_msg("%s", err.text);
	rig->pirate->target = target_create(rig->part, &options, 5);
	assert_non_null(rig->pirate->target);
	return rig;
}

static void close_rig(struct rig *rig)
{
	if (rig->part)
		target_destroy(rig->pirate->target);
	free(rig->part);
	rig->pirate->ops->destroy(rig->pirate);
	free(rig);
}

static void rest(struct rig *rig, int64_t us)
{
	rig->now += us * 1000;
}

static void send(struct rig *rig, const void *bytes, size_t length)
{
	const uint8_t *from = bytes;

	rig->out.count = rig->taken = 0;
	for (size_t i = 0; i < length; i++) {
		int64_t next = rig->pirate->ops->byte(rig->pirate, from[i], rig->now, &rig->out);
		assert_true(next >= rig->now);
		rig->now = next;
	}
	for (size_t i = 1; i < rig->out.count; i++)
		assert_true(rig->out.at_ns[i] >= rig->out.at_ns[i - 1]);
	assert_true(rig->out.count < LINE_OUTPUT);
}

/* All that it answers to these bytes, and nothing else. */
static void talk(struct rig *rig, const void *bytes, size_t length, const void *answer, size_t answer_length)
{
	send(rig, bytes, length);
	assert_int_equal(rig->out.count, answer_length);
	assert_memory_equal(rig->out.bytes, answer, answer_length);
}

#define TALK(rig, bytes, answer) talk(rig, bytes, sizeof(bytes) - 1, answer, sizeof(answer) - 1)

static void to_bbio(struct rig *rig)
{
	static const uint8_t zeros[20] = {0};

	send(rig, zeros, sizeof zeros);
	assert_in_range(rig->out.count, 5, 10); /* some may have come before */
	assert_memory_equal(rig->out.bytes, "BBIO1", 5);
}

/* Power, no pull-ups, CS high; 3.3 V, idle low, edge; the SCK; CS low, which is RESET. */
static void to_isp(struct rig *rig, uint8_t speed)
{
	const uint8_t rate[] = {0x60 | speed};

	to_bbio(rig);
	TALK(rig, "\x01", "SPI1");
	TALK(rig, "\x49", "\x01");
	rest(rig, 50000);
	talk(rig, rate, 1, "\x01", 1);
	TALK(rig, "\x8A", "\x01");
	TALK(rig, "\x48", "\x01");
	rest(rig, 20100);
}

static uint8_t spi(struct rig *rig, uint32_t instruction)
{
	const uint8_t bytes[5] = {0x13, (uint8_t)(instruction >> 24), (uint8_t)(instruction >> 16), (uint8_t)(instruction >> 8),
	                          (uint8_t)instruction};

	send(rig, bytes, sizeof bytes);
	assert_int_equal(rig->out.count, 5);
	assert_int_equal(rig->out.bytes[0], 1);
	return rig->out.bytes[4];
}

static bool enable(struct rig *rig)
{
	(void)spi(rig, 0xAC530000);
	return rig->out.bytes[3] == 0x53;
}

static uint64_t violations(const struct rig *rig)
{
	uint64_t sum = 0;

	for (int i = 0; i < VIOLATION_KINDS; i++)
		sum += target_violations(rig->pirate->target, (enum target_violation_kind)i);
	return sum;
}

static uint8_t pattern(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) * 31 + 1);
}

/* ---- terminal and BBIO1 */

static void a_line_feed_brings_the_prompt(void **state)
{
	(void)state;
	struct rig *rig = open_rig(NULL, true);
	assert_int_equal(rig->pirate->baud, 115200);
	assert_int_equal(rig->pirate->receive_room, 4);
	TALK(rig, "\n\r", "\r\nHiZ>\r\nHiZ>");
	TALK(rig, "x\n", "x\r\nSyntax error at char 1\r\nHiZ>");
	TALK(rig, "\x07", "\x07");
	send(rig, "i\n", 2);
	rig->out.bytes[rig->out.count] = 0;
	assert_non_null(strstr((char *)rig->out.bytes, "Bus Pirate v3"));
	assert_non_null(strstr((char *)rig->out.bytes, "Firmware v6.1"));
	send(rig, "#\n", 2);
	rig->out.bytes[rig->out.count] = 0;
	assert_non_null(strstr((char *)rig->out.bytes, "RESET\r\n\r\nBus Pirate v3"));
	assert_string_equal((char *)rig->out.bytes + rig->out.count - 4, "HiZ>");
	close_rig(rig);
}

static void twenty_zeros_in_all_enter_binary_mode(void **state)
{
	static const uint8_t zeros[40] = {0};
	(void)state;
	struct rig *rig = open_rig(NULL, false);
	talk(rig, zeros, 19, "", 0);
	TALK(rig, "\n", "\r\nHiZ>"); /* does not begin the count anew */
	talk(rig, zeros, 1, "BBIO1", 5);
	talk(rig, zeros, 2, "BBIO1BBIO1", 10);
	send(rig, "\x0F", 1);
	assert_int_equal(rig->out.bytes[0], 1);
	rig->out.bytes[rig->out.count] = 0;
	assert_string_equal((char *)rig->out.bytes + rig->out.count - 4, "HiZ>");
	talk(rig, zeros, 19, "", 0); /* its reset does */
	talk(rig, zeros, 2, "BBIO1BBIO1", 10);
	close_rig(rig);
}

static void binary_modes_say_their_names(void **state)
{
	static const char *const names[] = {"SPI1", "I2C1", "ART1", "1W01", "RAW1", "OCD1"};
	(void)state;
	struct rig *rig = open_rig(NULL, false);
	to_bbio(rig);
	for (uint8_t i = 0; i < 6; i++) {
		const uint8_t enter = i + 1;
		talk(rig, &enter, 1, names[i], 4);
		talk(rig, "\x01", 1, names[i], 4);
		talk(rig, "\x00", 1, "BBIO1", 5);
	}
	close_rig(rig);
}

static void bbio_knows_its_commands(void **state)
{
	(void)state;
	struct rig *rig = open_rig(NULL, false);
	to_bbio(rig);
	TALK(rig, "\x12\x00\x12\x34\x56\x78", "\x01"); /* PWM: five bytes, then the answer */
	TALK(rig, "\x13", "\x01");
	talk(rig, "\x14", 1, "\0\0", 2);
	talk(rig, "\x10", 1, "\0", 1); /* self test, and its echo until FF */
	TALK(rig, "\x41\xFF", "\x41\x01");
	talk(rig, "\x07\x1F\x3F", 3, "\0\0\0", 3); /* unknown */
	close_rig(rig);
}

static void bbio_reads_pins_back(void **state)
{
	(void)state;
	struct rig *rig = open_rig("atmega32u4", false);
	to_bbio(rig);
	TALK(rig, "\x5F", "\x40"); /* all inputs, no power: nothing lifts them */
	TALK(rig, "\xC0", "\xC1"); /* power: the board lifts RESET */
	TALK(rig, "\xE0", "\xFF"); /* pull-ups */
	TALK(rig, "\x42", "\x42"); /* all but MISO are outputs, low */
	TALK(rig, "\xC9", "\xC9");
	close_rig(rig);
}

/* ---- SPI1 */

static void spi_knows_its_commands(void **state)
{
	(void)state;
	struct rig *rig = open_rig(NULL, false);
	to_bbio(rig);
	TALK(rig, "\x01", "SPI1");
	TALK(rig, "\x01", "SPI1");
	TALK(rig, "\x02\x03", "\x01\x01");
	TALK(rig, "\x40\x4F", "\x01\x01");
	TALK(rig, "\x60\x67", "\x01\x01");
	TALK(rig, "\x80\x8F", "\x01\x01");
	TALK(rig, "\x0D", "\x01"); /* sniffer: any byte ends it, unanswered */
	talk(rig, "\x01", 1, "", 0);
	TALK(rig, "\x0E", "\x01");
	talk(rig, "\x00", 1, "", 0);
	TALK(rig, "\x01", "SPI1");
	talk(rig, "\x07\x08\x0F\x20\x30\x50\x70\x90\xF0", 9, "\0\0\0\0\0\0\0\0\0", 9); /* none of a v3 */
	talk(rig, "\x00", 1, "BBIO1", 5);
	close_rig(rig);
}

static void a_bulk_transfer_answers_byte_by_byte(void **state)
{
	(void)state;
	struct rig *rig = open_rig(NULL, false);
	to_bbio(rig);
	TALK(rig, "\x01", "SPI1");
	TALK(rig, "\x8A", "\x01");
	TALK(rig, "\x12", "\x01");
	TALK(rig, "\x11", "\xFF");
	TALK(rig, "\x22", "\xFF");
	TALK(rig, "\x33", "\xFF");
	TALK(rig, "\x01", "SPI1"); /* the third was the last */
	send(rig, "\x1F" "0123456789ABCDEF", 17);
	assert_int_equal(rig->out.count, 17);
	TALK(rig, "\x10\x10", "\x01\xFF"); /* one byte, whatever it looks like */
	close_rig(rig);
}

static void write_then_read_checks_lengths_before_data(void **state)
{
	uint8_t *long_write = calloc(1, 5 + 4096);
	(void)state;
	assert_non_null(long_write);
	struct rig *rig = open_rig(NULL, false);
	to_bbio(rig);
	TALK(rig, "\x01", "SPI1");
	talk(rig, "\x05\x00\x00\x00\x00", 5, "\x01", 1);
	talk(rig, "\x05\x00\x02\x00\x03", 5, "", 0); /* needs its data first */
	TALK(rig, "\x01", "");
	TALK(rig, "\x01", "\x01\xFF\xFF\xFF");
	talk(rig, "\x05\x10\x01\x00\x00", 5, "\0", 1); /* 4097 to write: refused at once */
	TALK(rig, "\x01", "SPI1");                     /* and what follows is a command */
	talk(rig, "\x04\x00\x00\x10\x01", 5, "\0", 1);
	memcpy(long_write, "\x05\x10\x00\x10\x00", 5); /* 4096 both ways: no refusal */
	send(rig, long_write, 5 + 4096);
	assert_int_equal(rig->out.count, 1 + 4096);
	assert_int_equal(rig->out.bytes[0], 1);
	assert_int_equal(rig->out.bytes[4096], 0xFF);
	free(long_write);
	close_rig(rig);
}

static void avr_extended_commands(void **state)
{
	(void)state;
	struct rig *rig = open_rig("at90usb1286", false);
	to_isp(rig, 1);
	assert_true(enable(rig));
	talk(rig, "\x06\x00", 2, "\x01\x01", 2);
	talk(rig, "\x06\x01", 2, "\x01\x01\x00\x01", 4);
	talk(rig, "\x06\x03", 2, "\x01\x00", 2);
	TALK(rig, "\x06", "\x01"); /* one by one */
	talk(rig, "\x02\0\0\0\0\0\0\0", 8, "", 0);
	talk(rig, "\0", 1, "\x01", 1); /* no bytes: OK and nothing */
	/* word address and bytes, each to FFFF, and together too */
	talk(rig, "\x06\x02\0\0\xFE\xFF\0\0\x01\x01", 10, "\x01\x00", 2);
	talk(rig, "\x06\x02\0\x01\x00\x00\0\0\0\x01", 10, "\x01\x00", 2);
	talk(rig, "\x06\x02\0\0\0\0\0\x01\x00\x00", 10, "\x01\x00", 2);
	send(rig, "\x06\x02\0\0\xFE\xFF\0\0\x01\x00", 10);
	assert_int_equal(rig->out.count, 2 + 256);
	/* so of the last 512 bytes of 128 KiB nothing comes by pages of 256 */
	send(rig, "\x06\x02\0\0\xFE\x80\0\0\x01\x00", 10);
	assert_int_equal(rig->out.count, 2 + 256);
	talk(rig, "\x06\x02\0\0\xFF\x00\0\0\x01\x00", 10, "\x01\x00", 2);
	talk(rig, "\x06\x02\0\0\xFF\x80\0\0\x01\x00", 10, "\x01\x00", 2);
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

/* Faults hold back what is not whole, so it is whole wherever a host may wait. */
static void each_answer_is_whole(void **state)
{
	(void)state;
	struct rig *rig = open_rig(NULL, false);
	talk(rig, "\0", 1, "", 0);
	assert_false(rig->out.whole);
	to_bbio(rig);
	TALK(rig, "\x01", "SPI1");
	assert_true(rig->out.whole);
	TALK(rig, "\x11", "\x01");
	assert_true(rig->out.whole);
	TALK(rig, "\x55", "\xFF");
	assert_true(rig->out.whole);
	TALK(rig, "\x55\x06", "\xFF\x01");
	assert_true(rig->out.whole);
	talk(rig, "\x02\0\0\0\0\0\0\0", 8, "", 0);
	assert_false(rig->out.whole);
	TALK(rig, "\x01", "\x01\xFF");
	assert_true(rig->out.whole);
	close_rig(rig);
}

static void the_longest_reply_of_all(void **state)
{
	(void)state;
	struct rig *rig = open_rig("at90usb1286", false);
	to_isp(rig, 1);
	assert_true(enable(rig));
	send(rig, "\x06\x02\0\0\0\0\0\0\xFF\xFF", 10);
	assert_int_equal(rig->out.count, 2 + 0xFFFF);
	close_rig(rig);
}

/* ---- a board */

static void load_and_write_page(struct rig *rig, uint32_t at)
{
	uint8_t bytes[5 + 4 * 128] = {0x05, 4 * 128 / 256, 0, 0, 0};

	for (uint32_t i = 0; i < 128; i++) {
		uint8_t *instruction = bytes + 5 + 4 * i;
		instruction[0] = i & 1 ? 0x48 : 0x40;
		instruction[1] = 0;
		instruction[2] = (uint8_t)((at + i) / 2);
		instruction[3] = pattern(at + i);
	}
	talk(rig, bytes, sizeof bytes, "\x01", 1);
	(void)spi(rig, 0x4C000000 | at / 2 << 8);
	rest(rig, 4500);
}

static void erase(struct rig *rig)
{
	assert_true(enable(rig));
	(void)spi(rig, 0xAC800000);
	rest(rig, 10000);
	TALK(rig, "\x49\x48", "\x01\x01");
	rest(rig, 20100);
	assert_true(enable(rig));
}

static void an_atmega32u4_is_programmed_and_read_back(void **state)
{
	struct target_view view;
	(void)state;
	struct rig *rig = open_rig("atmega32u4", true);
	to_isp(rig, 2); /* 250 kHz: an eighth of its 2 MHz */
	erase(rig);
	assert_int_equal(spi(rig, 0x30000000), 0x1E);
	assert_int_equal(spi(rig, 0x30000100), 0x95);
	assert_int_equal(spi(rig, 0x30000200), 0x87);
	for (uint32_t at = 0; at < 0x8000; at += 128)
		load_and_write_page(rig, at);
	(void)spi(rig, 0xC0000577);
	rest(rig, 9000);
	(void)spi(rig, 0xACA400FB);
	rest(rig, 9000);
	for (uint32_t at = 0; at < 0x8000; at += 1024) {
		const uint8_t command[10] = {0x06, 0x02, 0, 0, (uint8_t)(at / 2 >> 8), (uint8_t)(at / 2), 0, 0, 0x04, 0};
		send(rig, command, sizeof command);
		assert_int_equal(rig->out.count, 2 + 1024);
		for (uint32_t i = 0; i < 1024; i++)
			assert_int_equal(rig->out.bytes[2 + i], pattern(at + i));
	}
	assert_int_equal(spi(rig, 0xA0000500), 0x77);
	/* 05 with an answer: three bytes of an instruction, its fourth read while FF goes out */
	send(rig, "\x05\x00\x03\x00\x01\x50\x08\x00", 8);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(rig->out.bytes[1] & 0x0F, 0x0B);
	assert_int_equal(violations(rig), 0);
	target_view(rig->pirate->target, &view);
	for (uint32_t i = 0; i < 0x8000; i++)
		assert_int_equal(view.flash[i], pattern(i));
	assert_int_equal(view.eeprom[5], 0x77);
	assert_int_equal(view.fuses[FUSE_EXT] & 0x0F, 0x0B);
	close_rig(rig);
}

static void speed_and_configuration_let_reset_go(void **state)
{
	static const char *const commands[] = {"\x62", "\x8A", "\x49", "\x03", "\x40"};
	(void)state;
	struct rig *rig = open_rig("atmega32u4", false);
	to_isp(rig, 1);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		assert_true(enable(rig));
		assert_int_equal(spi(rig, 0x30000000), 0x1E);
		talk(rig, commands[i], 1, "\x01", 1);
		assert_int_equal(spi(rig, 0x30000000), 0xFF);
		TALK(rig, "\x49\x61\x48", "\x01\x01\x01");
		rest(rig, 20100);
	}
	/* 04 ends with CS high, which a chip in programming mode takes for its release */
	assert_true(enable(rig));
	send(rig, "\x04\x00\x03\x00\x01\x30\x00\x00", 8);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(rig->out.bytes[1], 0x1E);
	assert_int_equal(spi(rig, 0x30000000), 0xFF);
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void a_wrong_configuration_is_not_understood(void **state)
{
	(void)state;
	struct rig *rig = open_rig("atmega32u4", false);
	to_isp(rig, 1);
	TALK(rig, "\x82\x48", "\x01\x01"); /* open drain, and nothing that lifts SCK */
	rest(rig, 20100);
	assert_false(enable(rig));
	TALK(rig, "\x4C", "\x01"); /* pull-ups do at 125 kHz */
	assert_true(enable(rig));
	assert_int_equal(spi(rig, 0x30000100), 0x95);
	TALK(rig, "\x62\x4C", "\x01\x01"); /* and are too weak for 250 kHz */
	rest(rig, 20100);
	assert_false(enable(rig));
	TALK(rig, "\x61\x88\x48", "\x01\x01\x01"); /* the wrong edge: MOSI a bit late */
	rest(rig, 20100);
	assert_false(enable(rig));
	TALK(rig, "\x8E\x48", "\x01\x01"); /* SCK rests high */
	rest(rig, 20100);
	assert_false(enable(rig));
	TALK(rig, "\x8B\x48", "\x01\x01"); /* sampling late is no harm */
	rest(rig, 20100);
	assert_true(enable(rig));
	close_rig(rig);
}

static void the_power_bit_is_the_boards_power(void **state)
{
	(void)state;
	struct rig *rig = open_rig("atmega32u4", false);
	to_isp(rig, 1);
	assert_true(enable(rig));
	TALK(rig, "\x40", "\x01");
	assert_false(enable(rig));
	rest(rig, 2000);
	TALK(rig, "\x48", "\x01"); /* with RESET low from the start */
	assert_false(enable(rig)); /* needs its 20 ms */
	rest(rig, 20100);
	assert_true(enable(rig));
	talk(rig, "\x00", 1, "BBIO1", 5); /* all pins off */
	TALK(rig, "\x01\x8A", "SPI1\x01");
	TALK(rig, "\x02", "\x01");
	assert_false(enable(rig));
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void a_pulled_plug_is_no_violation(void **state)
{
	(void)state;
	struct rig *rig = open_rig("atmega32u4", true);
	to_isp(rig, 1);
	assert_true(enable(rig));
	(void)spi(rig, 0xAC800000);
	rig->pirate->ops->stop(rig->pirate, rig->now);
	assert_int_equal(violations(rig), 0);
	rest(rig, 500000);
	rig->now = rig->pirate->ops->start(rig->pirate, rig->now);
	TALK(rig, "\n", "\r\nHiZ>"); /* where it began */
	to_isp(rig, 1);
	assert_true(enable(rig));
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void letting_go_of_a_busy_chip_is_one(void **state)
{
	(void)state;
	struct rig *rig = open_rig("atmega32u4", true);
	to_isp(rig, 1);
	assert_true(enable(rig));
	(void)spi(rig, 0xAC800000);
	TALK(rig, "\x49", "\x01");
	assert_int_equal(target_violations(rig->pirate->target, VIOLATION_BUSY), 1);
	close_rig(rig);
}

/* ---- time */

static int64_t time_of(struct rig *rig, const void *bytes, size_t length)
{
	int64_t begin = rig->now;

	send(rig, bytes, length);
	return rig->now - begin;
}

static void spi_takes_its_time_at_every_speed(void **state)
{
	static const uint32_t hz[8] = {31250, 125000, 250000, 1000000, 2000000, 2666667, 4000000, 8000000};
	static const uint8_t write[5 + 256] = {0x05, 0x01, 0x00, 0x00, 0x00};
	(void)state;
	for (unsigned charge = 0; charge < 2; charge++) {
		struct rig *rig = open_rig(NULL, charge);
		to_bbio(rig);
		TALK(rig, "\x01", "SPI1");
		for (uint8_t i = 0; i < 8; i++) {
			const uint8_t speed = 0x60 | i;
			talk(rig, &speed, 1, "\x01", 1);
			int64_t shifting = 256 * (INT64_C(8000000000) / hz[i]), took = time_of(rig, write, sizeof write);
			if (!charge)
				assert_int_equal(took, shifting);
			else /* 261 bytes to read and 256 gaps: below 4 us for each */
				assert_in_range(took, shifting + 256 * 1000, shifting + 261 * 4000);
		}
		close_rig(rig);
	}
}

/* Its UART has four places; a reader of flash is sent 115200 baud, whatever SCK is. */
static void sending_waits_for_the_line(void **state)
{
	(void)state;
	struct rig *rig = open_rig(NULL, true);
	to_bbio(rig);
	TALK(rig, "\x01\x8A\x63", "SPI1\x01\x01");
	rest(rig, 10000);
	int64_t took = time_of(rig, "\x06\x02\0\0\0\0\0\0\x02\x00", 10);
	assert_int_equal(rig->out.count, 2 + 512);
	assert_in_range(took, (514 - 6) * INT64_C(86805), 515 * INT64_C(86806));
	for (size_t i = 32; i < rig->out.count; i++) /* by then its places are full */
		assert_in_range(rig->out.at_ns[i] - rig->out.at_ns[i - 1], 86805, 86806);
	close_rig(rig);
}

static void a_slow_one_is_slower(void **state)
{
	static const uint8_t write[5 + 256] = {0x05, 0x01, 0x00, 0x00, 0x00};
	(void)state;
	struct rig *rig = open_rig(NULL, true);
	to_bbio(rig);
	TALK(rig, "\x01\x67", "SPI1\x01");
	int64_t usual = time_of(rig, write, sizeof write);
	rig->pirate->slow_percent = 300;
	assert_true(time_of(rig, write, sizeof write) > 2 * usual);
	close_rig(rig);
}

static void the_dump_tells_what_it_did(void **state)
{
	struct jsonw json;
	(void)state;
	struct rig *rig = open_rig("atmega32u4", false);
	to_isp(rig, 2);
	assert_true(enable(rig));
	TALK(rig, "\x07", "\0");
	jsonw_init(&json, 0);
	jsonw_open(&json, NULL, '{');
	rig->pirate->ops->dump(rig->pirate, &json);
	jsonw_close(&json, '}');
	assert_true(jsonw_ok(&json));
	assert_non_null(strstr(json.text, "\"mode\":\"spi\",\"target_power\":true,\"pullups\":false,\"reset_low\":true,"
	                                  "\"sck_hz\":250000,\"commands\":7,\"refused\":1,"
	                                  "\"spi_bytes\":4"));
	jsonw_finish(&json);
	close_rig(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_line_feed_brings_the_prompt),
	        cmocka_unit_test(twenty_zeros_in_all_enter_binary_mode),
	        cmocka_unit_test(binary_modes_say_their_names),
	        cmocka_unit_test(bbio_knows_its_commands),
	        cmocka_unit_test(bbio_reads_pins_back),
	        cmocka_unit_test(spi_knows_its_commands),
	        cmocka_unit_test(a_bulk_transfer_answers_byte_by_byte),
	        cmocka_unit_test(write_then_read_checks_lengths_before_data),
	        cmocka_unit_test(avr_extended_commands),
	        cmocka_unit_test(each_answer_is_whole),
	        cmocka_unit_test(the_longest_reply_of_all),
	        cmocka_unit_test(an_atmega32u4_is_programmed_and_read_back),
	        cmocka_unit_test(speed_and_configuration_let_reset_go),
	        cmocka_unit_test(a_wrong_configuration_is_not_understood),
	        cmocka_unit_test(the_power_bit_is_the_boards_power),
	        cmocka_unit_test(a_pulled_plug_is_no_violation),
	        cmocka_unit_test(letting_go_of_a_busy_chip_is_one),
	        cmocka_unit_test(spi_takes_its_time_at_every_speed),
	        cmocka_unit_test(sending_waits_for_the_line),
	        cmocka_unit_test(a_slow_one_is_slower),
	        cmocka_unit_test(the_dump_tells_what_it_did),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
