#include "tests/unit/serial_rig.h"

#include "fixtures/bench/serial_pod.h"

/* Firmware that sends back what it reads, after `work_ns`; 0xEE makes it hang. */

struct echo {
	struct line_firmware base;
	int64_t work_ns;
	unsigned starts, stops;
};

static int64_t echo_byte(struct line_firmware *firmware, uint8_t byte, int64_t now_ns,
                         struct line_output *output)
{
	const struct echo *echo = (const void *)firmware;

	line_output_put(output, byte, now_ns + echo->work_ns);
	output->whole = true;
	return byte == 0xEE ? INT64_MAX : now_ns + echo->work_ns;
}

static int64_t echo_start(struct line_firmware *firmware, int64_t now_ns)
{
	((struct echo *)(void *)firmware)->starts++;
	return now_ns;
}

static void echo_stop(struct line_firmware *firmware, int64_t now_ns)
{
	(void)now_ns;
	((struct echo *)(void *)firmware)->stops++;
}

static void echo_dump(const struct line_firmware *firmware, struct jsonw *json)
{
	jsonw_int(json, "starts", ((const struct echo *)(const void *)firmware)->starts);
}

static void echo_destroy(struct line_firmware *firmware)
{
	free(firmware);
}

static const struct line_firmware_ops echo_ops = {echo_byte, echo_start, echo_stop, echo_dump,
                                                  echo_destroy};

static struct rig *open_echo(const char *board, uint32_t baud, uint16_t room, int64_t work_ns,
                             bool charge)
{
	struct echo *echo = calloc(1, sizeof *echo);
	struct pod_options options = {.charge_time = charge, .seed = 9};

	assert_non_null(echo);
	echo->base.ops = &echo_ops;
	echo->base.baud = baud;
	echo->base.receive_room = room;
	echo->work_ns = work_ns;
	struct rig *rig = rig_with(serial_pod_create(board, "echo", "echo", &echo->base, &options));
	configure(rig);
	return rig;
}

static struct rig *open_cdc(const char *board, uint32_t baud, uint16_t room, int64_t work_ns)
{
	struct rig *rig = open_echo(board, baud, room, work_ns, true);

	set_baud(rig, baud);
	set_lines(rig, 3);
	rig->now += 2000000000;
	return rig;
}

/* ---- CDC-ACM: what a board says of itself ---- */

static void expect_descriptor(struct rig *rig, uint16_t kind, const uint8_t *bytes, uint16_t count)
{
	assert_int_equal(control(rig, 0x80, 6, kind, 0, NULL, 255), POD_DONE);
	expect(rig, bytes, count);
}

static void expect_text(struct rig *rig, uint8_t index, const char *text)
{
	assert_int_equal(control(rig, 0x80, 6, (uint16_t)(0x300 | index), 0x409, NULL, 255),
	                 POD_DONE);
	assert_int_equal(rig->length, 2 + 2 * strlen(text));
	for (size_t i = 0; text[i]; i++)
		assert_int_equal(rig->data[2 + 2 * i], text[i]);
}

static void teensyduino_describes_itself(void **state)
{
	static const uint8_t device[] = {0x12, 0x01, 0x00, 0x02, 0x02, 0x00, 0x00, 0x20, 0xC0,
	                                 0x16, 0x83, 0x04, 0x00, 0x01, 0x01, 0x02, 0x03, 0x01};
	static const uint8_t configuration[] = {
	        0x09, 0x02, 0x43, 0x00, 0x02, 0x01, 0x00, 0xC0, 0x32, 0x09, 0x04, 0x00, 0x00, 0x01,
	        0x02, 0x02, 0x01, 0x00, 0x05, 0x24, 0x00, 0x10, 0x01, 0x05, 0x24, 0x01, 0x00, 0x01,
	        0x04, 0x24, 0x02, 0x06, 0x05, 0x24, 0x06, 0x00, 0x01, 0x07, 0x05, 0x82, 0x03, 0x08,
	        0x00, 0x40, 0x09, 0x04, 0x01, 0x00, 0x02, 0x0A, 0x00, 0x00, 0x00, 0x07, 0x05, 0x03,
	        0x02, 0x40, 0x00, 0x00, 0x07, 0x05, 0x84, 0x02, 0x40, 0x00, 0x00};
	struct rig *rig = open_board("teensy", false);

	(void)state;
	expect_descriptor(rig, 0x100, device, sizeof device);
	expect_descriptor(rig, 0x200, configuration, sizeof configuration);
	expect_text(rig, 1, "Teensyduino");
	expect_text(rig, 2, "USB Serial");
	expect_text(rig, 3, "12345");
	assert_int_equal(control(rig, 0xA1, 0x21, 0, 0, NULL, 7), POD_DONE);
	EXPECT(rig, 0x00, 0x4B, 0, 0, 0, 0, 8);
	assert_int_equal(control(rig, 0xA1, 0x55, 0, 0, NULL, 7), POD_STALL);
	close_rig(rig);
}

static void each_board_has_its_ids(void **state)
{
	static const struct {
		const char *name;
		uint16_t vendor, product;
		uint8_t ep0;
	} boards[] = {{"uno", 0x2341, 0x0043, 8},
	              {"micro", 0x2341, 0x8037, 64},
	              {"promicro", 0x1B4F, 0x9206, 64},
	              {"promicro-qmk", 0x16C0, 0x0483, 32},
	              {"teensy", 0x16C0, 0x0483, 32}};
	struct pod_options unknown = {.firmware = "due"};

	(void)state;
	for (size_t i = 0; i < sizeof boards / sizeof boards[0]; i++) {
		struct rig *rig = open_board(boards[i].name, false);
		const uint8_t *device = rig->pod->device_descriptor;
		const uint8_t *bytes = rig->pod->configuration_descriptor;
		size_t at = 0;
		assert_int_equal(device[8] | device[9] << 8, boards[i].vendor);
		assert_int_equal(device[10] | device[11] << 8, boards[i].product);
		assert_int_equal(device[7], boards[i].ep0);
		while (at < rig->pod->configuration_length && bytes[at] > 0)
			at += bytes[at];
		assert_int_equal(at, rig->pod->configuration_length);
		assert_int_equal(bytes[2] | bytes[3] << 8, at);
		close_rig(rig);
	}
	assert_null(pod_stk500v1_create(&unknown));
}

static void nothing_moves_before_it_is_configured(void **state)
{
	struct pod_options options = {.firmware = "micro", .seed = 9};
	struct rig *rig = rig_with(pod_stk500v1_create(&options));
	struct pod_bulk transfer;
	uint8_t byte = 0x30;

	(void)state;
	assert_int_equal(bulk(rig, 0x02, &byte, 1, &transfer), POD_SILENT);
	assert_int_equal(bulk(rig, 0x83, rig->data, 64, &transfer), POD_SILENT);
	configure(rig);
	set_lines(rig, 3);
	assert_int_equal(bulk(rig, 0x81, rig->data, 16, &transfer), POD_WAIT); /* no line state */
	assert_true(transfer.retry_ns == INT64_MAX);
	SEND(rig, 0x30, 0x20);
	assert_true(collect_until(rig, 128, INT64_MAX - 1));
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

/* ---- packets ---- */

static void full_packets_end_with_an_empty_one(void **state)
{
	static const char *const boards[] = {"micro", "teensy"};
	uint8_t bytes[128];

	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	for (unsigned b = 0; b < 2; b++) {
		struct rig *rig = open_echo(boards[b], 9600, 1, 0, true);
		set_lines(rig, 3);
		send(rig, bytes, 64);
		int64_t begin = rig->now;
		assert_true(collect_until(rig, 128, INT64_MAX - 1));
		assert_int_equal(rig->length, 64);
		assert_memory_equal(rig->data, bytes, 64);
		/* Teensyduino only notices when its flush timer runs out */
		assert_true(b == 0 ? rig->now - begin < 1100000
		                   : rig->now - begin > 1900000 && rig->now - begin < 3100000);
		close_rig(rig);
	}
}

static void bytes_go_at_the_next_frame(void **state)
{
	struct rig *rig = open_cdc("micro", 9600, 1, 0);

	(void)state;
	rig->now = 5000100000;
	SEND(rig, 1, 2, 3);
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	EXPECT(rig, 1, 2, 3);
	assert_in_range(rig->now, 5001000000, 5001020000);
	close_rig(rig);
}

/* ---- a UART ---- */

static void bytes_take_ten_bit_times(void **state)
{
	struct rig *rig = open_cdc("uno", 19200, 64, 0);
	uint8_t bytes[60] = {0};
	int64_t begin = rig->now;

	(void)state;
	send(rig, bytes, sizeof bytes);
	collect_for(rig, 60000000, false);
	assert_int_equal(rig->length, sizeof bytes);
	begin = rig->now;
	SEND(rig, 0x55);
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	EXPECT(rig, 0x55);
	/* there and back in 1.04 ms, then up to 4.096 ms until the bridge looks */
	assert_in_range(rig->now - begin, 1041000, 1041000 + 4096000 + 100000);
	close_rig(rig);
}

static void a_full_receive_buffer_loses_bytes(void **state)
{
	struct rig *rig = open_cdc("uno", 19200, 63, 100000000);
	uint8_t bytes[128];

	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	/* one is being worked on, 63 wait, the rest comes within 67 ms */
	send(rig, bytes, sizeof bytes);
	collect_for(rig, 20000000000, false);
	assert_int_equal(rig->length, 64);
	assert_memory_equal(rig->data, bytes, 64);
	assert_int_equal(figure(rig, "overflows"), 64);
	close_rig(rig);
}

static void native_usb_makes_the_host_wait(void **state)
{
	struct rig *rig = open_cdc("micro", 9600, 1, 10000000);
	uint8_t bytes[300];
	int64_t begin = rig->now;

	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i % 100);
	send(rig, bytes, sizeof bytes);
	assert_true(rig->now - begin > 1000000000); /* two banks hold 128 of them */
	collect_for(rig, 5000000000, false);
	assert_int_equal(figure(rig, "overflows"), 0);
	assert_int_equal(figure(rig, "bytes_in"), 300);
	close_rig(rig);
}

static void other_rates_make_garbage(void **state)
{
	static const uint32_t rates[] = {1200, 4800, 9600, 38400, 57600, 115200, 1000000};

	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
		for (unsigned charge = 0; charge < 2; charge++) {
			struct rig *rig = open_board("uno", charge);
			set_baud(rig, rates[i]);
			SEND(rig, 0x30, 0x20, 0x30, 0x20);
			collect_for(rig, 3000000000, false);
			const uint8_t good[4] = {0x14, 0x10, 0x14, 0x10};
			assert_false(rig->length == 4 && memcmp(rig->data, good, 4) == 0);
			assert_true(figure(rig, "garbled") >= 4);
			close_rig(rig);
		}
}

static void near_rates_are_good_enough(void **state)
{
	static const uint32_t rates[] = {18700, 19200, 19700};

	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct rig *rig = open_board("uno", true);
		set_baud(rig, rates[i]);
		SEND(rig, 0x30, 0x20);
		collect_for(rig, 1000000000, false);
		EXPECT(rig, 0x14, 0x10);
		assert_int_equal(figure(rig, "garbled"), 0);
		close_rig(rig);
	}
}

/* As an EEPROM block of more than 32 bytes does on a real one: programmers.md, 3.4. */
static void a_long_eeprom_block_overflows_an_uno(void **state)
{
	struct rig *rig = open_board("uno", true);
	uint8_t block[134] = {0x64, 0, 128, 'E'};

	(void)state;
	set_board(rig, "atmega32u4");
	SEND(rig, 0x42, 0x86, 0, 0, 1, 1, 1, 1, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 128, 4, 0, 0, 0, 0x80,
	     0, 0x20);
	SEND(rig, 0x50, 0x20);
	collect_for(rig, 500000000, false);
	EXPECT(rig, 0x14, 0x10, 0x14, 0x10);
	block[132] = 0x20;
	send(rig, block, 133);
	collect_for(rig, 20000000000, false);
	assert_int_equal(rig->length, 0);
	assert_true(figure(rig, "overflows") > 30);
	close_rig(rig);
}

/* ---- DTR and special rates ---- */

static void an_uno_starts_anew_when_it_is_opened(void **state)
{
	struct rig *rig = open_board("uno", true);

	(void)state;
	set_lines(rig, 0);
	set_lines(rig, 3);
	assert_int_equal(figure(rig, "resets"), 2);
	SEND(rig, 0x30, 0x20); /* for the bootloader */
	collect_for(rig, 1600000000, false);
	assert_int_equal(rig->length, 0);
	assert_int_equal(figure(rig, "eaten"), 2);
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 100000000, false);
	EXPECT(rig, 0x14, 0x10);
	set_lines(rig, 1); /* RTS is not wired */
	set_lines(rig, 3);
	assert_int_equal(figure(rig, "resets"), 2);
	close_rig(rig);
}

static void a_reset_lets_go_of_the_target(void **state)
{
	struct rig *rig = open_board("uno", false);

	(void)state;
	set_board(rig, "atmega32u4");
	SEND(rig, 0x50, 0x20, 0x75, 0x20);
	collect_for(rig, 500000000, false);
	EXPECT(rig, 0x14, 0x10, 0x14, 0x1E, 0x95, 0x87, 0x10);
	set_lines(rig, 0);
	set_lines(rig, 3);
	rig->now += 100000000;
	SEND(rig, 0x50, 0x20, 0x75, 0x20);
	collect_for(rig, 500000000, false);
	EXPECT(rig, 0x14, 0x10, 0x14, 0x1E, 0x95, 0x87, 0x10);
	close_rig(rig);
}

static void the_arduino_core_is_silent_without_a_line(void **state)
{
	struct rig *rig = open_board("micro", true);

	(void)state;
	set_lines(rig, 0);
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 1000000000, false);
	assert_int_equal(rig->length, 0);
	assert_int_equal(figure(rig, "muted_bytes"), 2);
	set_lines(rig, 2); /* RTS alone will do */
	SEND(rig, 0x31, 0x20);
	collect_for(rig, 1000000000, false);
	EXPECT(rig, 0x14, 'A', 'V', 'R', ' ', 'I', 'S', 'P', 0x10);
	close_rig(rig);

	rig = open_board("promicro-qmk", true); /* Teensyduino does not care */
	set_lines(rig, 0);
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 1000000000, false);
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

static unsigned product(const struct rig *rig)
{
	return rig->pod->device_descriptor[10] | rig->pod->device_descriptor[11] << 8;
}

/* As the bench does when the time has come. */
static void leave(struct rig *rig)
{
	rig->now = rig->pod->leaves_ns;
	rig->pod->ops->power(rig->pod, false, rig->now);
	rig->pod->ops->power(rig->pod, true, rig->now);
	configure(rig);
}

static void a_touch_starts_the_bootloader(void **state)
{
	struct rig *rig = open_board("promicro", true);

	(void)state;
	set_baud(rig, 1200);
	assert_int_equal(rig->pod->leaves_ns, 0);
	set_lines(rig, 0);
	assert_in_range(rig->pod->leaves_ns - rig->now, 119000000, 120000000);
	set_lines(rig, 3); /* in time */
	assert_int_equal(rig->pod->leaves_ns, 0);
	set_lines(rig, 0);
	assert_true(rig->pod->replugs);
	leave(rig);
	assert_int_equal(product(rig), 0x9205);
	set_lines(rig, 3);
	SEND(rig, 0x30, 0x20, 'S');
	collect_for(rig, 100000000, false);
	EXPECT(rig, '?', '?', 'C', 'A', 'T', 'E', 'R', 'I', 'N');
	assert_true(rig->pod->leaves_ns - rig->now > 7000000000);
	leave(rig);
	assert_int_equal(product(rig), 0x9206);
	set_lines(rig, 3);
	rig->now += 1000000000;
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 100000000, false);
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

static void a_teensy_has_special_rates(void **state)
{
	struct rig *rig = open_board("teensy", true);

	(void)state;
	set_baud(rig, 1200);
	set_lines(rig, 0);
	assert_int_equal(rig->pod->leaves_ns, 0); /* no touch here */
	set_baud(rig, 134);
	assert_in_range(rig->pod->leaves_ns - rig->now, 13000000, 15000000);
	assert_false(rig->pod->replugs);
	close_rig(rig);

	rig = open_board("promicro-qmk", true);
	set_baud(rig, 150);
	assert_true(rig->pod->replugs && rig->pod->leaves_ns > 0);
	leave(rig);
	assert_int_equal(product(rig), 0x0483);
	close_rig(rig);
}

static void a_host_that_does_not_read_loses_bytes(void **state)
{
	struct rig *rig = open_cdc("teensy", 9600, 1, 0);
	uint8_t bytes[200] = {0};

	(void)state;
	send(rig, bytes, sizeof bytes);
	rig->now += 1000000000;
	collect_for(rig, 100000000, false);
	assert_int_equal(rig->length, 128); /* two banks */
	assert_int_equal(figure(rig, "host_overflows"), 72);
	close_rig(rig);
}

/* ---- FTDI ---- */

static struct rig *open_ftdi(uint32_t baud, int64_t work_ns, bool charge)
{
	struct rig *rig = open_echo("buspirate-v3", baud, 4, work_ns, charge);

	assert_int_equal(control(rig, 0x40, 0, 0, 0, NULL, 0), POD_DONE);
	assert_int_equal(control(rig, 0x40, 3, 0x001A, 0, NULL, 0), POD_DONE); /* 115384 */
	return rig;
}

static void expect_baud(struct rig *rig, uint16_t value, uint16_t index, uint32_t baud)
{
	assert_int_equal(control(rig, 0x40, 3, value, index, NULL, 0), POD_DONE);
	assert_int_equal(figure(rig, "baud"), baud);
}

static void ftdi_knows_its_rates(void **state)
{
	struct rig *rig = open_ftdi(115200, 0, true);

	(void)state;
	expect_baud(rig, 0x0000, 0, 3000000);
	expect_baud(rig, 0x0001, 0, 2000000);
	expect_baud(rig, 0x001A, 0, 115384); /* 26 */
	expect_baud(rig, 0x4138, 0, 9600);   /* 312.5 */
	expect_baud(rig, 0xC027, 0, 76677);  /* 39.125 */
	expect_baud(rig, 0x809C, 0, 19200);  /* 156.25 */
	expect_baud(rig, 0x0008, 1, 358208); /* 8.375 */
	expect_baud(rig, 0x4008, 1, 347826); /* 8.625 */
	expect_baud(rig, 0x8008, 1, 342857); /* 8.75 */
	expect_baud(rig, 0xC008, 1, 338028); /* 8.875 */
	close_rig(rig);
}

static void ftdi_answers_its_requests(void **state)
{
	struct rig *rig = open_ftdi(115200, 0, true);

	(void)state;
	assert_int_equal(control(rig, 0xC0, 0x0A, 0, 0, NULL, 1), POD_DONE);
	EXPECT(rig, 16);
	assert_int_equal(control(rig, 0x40, 0x09, 1, 0, NULL, 0), POD_DONE);
	assert_int_equal(control(rig, 0xC0, 0x0A, 0, 0, NULL, 1), POD_DONE);
	EXPECT(rig, 1);
	assert_int_equal(control(rig, 0x40, 0x09, 0, 0, NULL, 0), POD_STALL);
	assert_int_equal(control(rig, 0xC0, 0x05, 0, 0, NULL, 2), POD_DONE);
	EXPECT(rig, 0x01, 0x60);
	assert_int_equal(control(rig, 0xC0, 0x90, 0, 0x0A, NULL, 2), POD_DONE);
	EXPECT(rig, 0x23, 0x10);
	assert_int_equal(control(rig, 0x40, 0x01, 0x0303, 0, NULL, 0), POD_DONE);
	assert_int_equal(control(rig, 0xC0, 0x77, 0, 0, NULL, 2), POD_STALL);
	assert_int_equal(control(rig, 0xA1, 0x21, 0, 0, NULL, 7), POD_STALL); /* not a CDC device */
	expect_text(rig, 2, "FT232R USB UART");
	close_rig(rig);
}

static void ftdi_waits_for_its_latency_timer(void **state)
{
	struct rig *rig = open_ftdi(115200, 0, true);
	int64_t begin;

	(void)state;
	assert_true(collect_until(rig, 64, INT64_MAX - 1)); /* what has been due for long */
	EXPECT(rig, 0x01, 0x60);
	begin = rig->now;
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	EXPECT(rig, 0x01, 0x60);
	assert_in_range(rig->now - begin, 16000000, 16020000);
	begin = rig->now;
	SEND(rig, 0x42);
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	EXPECT(rig, 0x01, 0x60, 0x42);
	assert_in_range(rig->now - begin, 16000000, 16020000);
	assert_int_equal(control(rig, 0x40, 0x09, 1, 0, NULL, 0), POD_DONE);
	begin = rig->now;
	SEND(rig, 0x43);
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	EXPECT(rig, 0x01, 0x60, 0x43);
	assert_in_range(rig->now - begin, 900000, 1100000);
	close_rig(rig);
}

static void ftdi_sends_62_bytes_at_once(void **state)
{
	struct rig *rig = open_ftdi(115200, 0, true);
	uint8_t bytes[62];
	int64_t begin;

	(void)state;
	memset(bytes, 7, sizeof bytes);
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	begin = rig->now;
	send(rig, bytes, sizeof bytes);
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	assert_int_equal(rig->length, 64);
	assert_memory_equal(rig->data + 2, bytes, 62);
	/* 62 bytes one way and the last one back */
	assert_in_range(rig->now - begin, 5400000, 5600000);
	close_rig(rig);
}

static void ftdi_costs_nothing_when_nothing_is_charged(void **state)
{
	struct rig *rig = open_ftdi(115200, 0, false);
	int64_t begin;

	(void)state;
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	begin = rig->now;
	SEND(rig, 1, 2, 3);
	assert_true(collect_until(rig, 64, INT64_MAX - 1));
	EXPECT(rig, 0x01, 0x60, 1, 2, 3);
	assert_int_equal(rig->now, begin);
	close_rig(rig);
}

static void each_ftdi_has_its_number(void **state)
{
	struct pod_options one = {.seed = 1}, two = {.seed = 2};
	struct echo *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
	uint8_t first[64];

	(void)state;
	assert_true(a && b);
	a->base.ops = b->base.ops = &echo_ops;
	struct rig *rig = rig_with(serial_pod_create("buspirate-v3", "x", "x", &a->base, &one));
	assert_int_equal(control(rig, 0x80, 6, 0x303, 0x409, NULL, 64), POD_DONE);
	memcpy(first, rig->data, 18);
	close_rig(rig);
	rig = rig_with(serial_pod_create("buspirate-v3", "x", "x", &b->base, &two));
	assert_int_equal(control(rig, 0x80, 6, 0x303, 0x409, NULL, 64), POD_DONE);
	assert_int_equal(rig->length, 18);
	assert_memory_not_equal(first, rig->data, 18);
	close_rig(rig);
}

/* ---- faults ---- */

static void commands_are_counted_for_faults(void **state)
{
	struct rig *rig = open_board("micro", true);

	(void)state;
	rig->pod->faults.reply_lost = 2;
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 100000000, false);
	EXPECT(rig, 0x14, 0x10);
	SEND(rig, 0x31, 0x20);
	collect_for(rig, 100000000, false);
	assert_int_equal(rig->length, 0);
	rig->pod->faults.reply_wrong = 1;
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 100000000, false);
	EXPECT(rig, 0x14, 0x00);
	rig->pod->faults.reply_stale = 1;
	SEND(rig, 0x41, 0x82, 0x20);
	collect_for(rig, 100000000, false);
	EXPECT(rig, 0x14, 0x10);
	rig->pod->faults.reply_cut = 1;
	SEND(rig, 0x31, 0x20);
	collect_for(rig, 100000000, false);
	EXPECT(rig, 0x14, 'A', 'V', 'R');
	rig->pod->faults.reply_long = 1;
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 100000000, false);
	EXPECT(rig, 0x14, 0x10, 0x5A);
	rig->pod->faults.reply_late = 1;
	rig->pod->faults.late_ms = 700;
	SEND(rig, 0x30, 0x20);
	collect_for(rig, 690000000, false);
	assert_int_equal(rig->length, 0);
	collect_for(rig, 20000000, false);
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

static void hung_firmware_says_nothing_and_takes_nothing(void **state)
{
	struct rig *rig = open_cdc("micro", 9600, 1, 0);
	uint8_t bytes[64] = {0};
	struct pod_bulk transfer;

	(void)state;
	SEND(rig, 0xEE);
	collect_for(rig, 10000000, false);
	send(rig, bytes, 64);
	send(rig, bytes, 64);
	assert_int_equal(bulk(rig, 0x02, bytes, 1, &transfer), POD_WAIT);
	assert_true(transfer.retry_ns == INT64_MAX);
	rig->pod->ops->power(rig->pod, false, rig->now);
	assert_int_equal(bulk(rig, 0x02, bytes, 1, &transfer), POD_GONE);
	rig->pod->ops->power(rig->pod, true, rig->now);
	configure(rig);
	set_lines(rig, 3);
	SEND(rig, 0x11);
	collect_for(rig, 10000000, false);
	EXPECT(rig, 0x11);
	close_rig(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(teensyduino_describes_itself),
	        cmocka_unit_test(each_board_has_its_ids),
	        cmocka_unit_test(nothing_moves_before_it_is_configured),
	        cmocka_unit_test(full_packets_end_with_an_empty_one),
	        cmocka_unit_test(bytes_go_at_the_next_frame),
	        cmocka_unit_test(bytes_take_ten_bit_times),
	        cmocka_unit_test(a_full_receive_buffer_loses_bytes),
	        cmocka_unit_test(native_usb_makes_the_host_wait),
	        cmocka_unit_test(other_rates_make_garbage),
	        cmocka_unit_test(near_rates_are_good_enough),
	        cmocka_unit_test(a_long_eeprom_block_overflows_an_uno),
	        cmocka_unit_test(an_uno_starts_anew_when_it_is_opened),
	        cmocka_unit_test(a_reset_lets_go_of_the_target),
	        cmocka_unit_test(the_arduino_core_is_silent_without_a_line),
	        cmocka_unit_test(a_touch_starts_the_bootloader),
	        cmocka_unit_test(a_teensy_has_special_rates),
	        cmocka_unit_test(a_host_that_does_not_read_loses_bytes),
	        cmocka_unit_test(ftdi_knows_its_rates),
	        cmocka_unit_test(ftdi_answers_its_requests),
	        cmocka_unit_test(ftdi_waits_for_its_latency_timer),
	        cmocka_unit_test(ftdi_sends_62_bytes_at_once),
	        cmocka_unit_test(ftdi_costs_nothing_when_nothing_is_charged),
	        cmocka_unit_test(each_ftdi_has_its_number),
	        cmocka_unit_test(commands_are_counted_for_faults),
	        cmocka_unit_test(hung_firmware_says_nothing_and_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
