#include "fixtures/bench/usb_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixtures/bench/pod.h"

/* Rows measured with USBasp 2011 at three transactions per frame, in ms; the ends of a range where
 * one was seen. They count from the first bit of SETUP; the wait for the frame before it, 0 .. 1
 * ms, is extra, and by half a millisecond on average over the places in a frame at which a host
 * hands the transfer over. */
struct row {
	const char *name;
	uint8_t code; /* SCK */
	uint8_t request;
	double low, high;
};

enum { PLACES = 20 };

static void control(struct pod *pod, int64_t *now, const uint8_t setup[8], uint8_t *data)
{
	struct pod_control transfer = {.data = data, .start_ns = *now};

	memcpy(transfer.setup, setup, 8);
	assert_int_equal(pod->ops->control(pod, &transfer), POD_DONE);
	*now = transfer.end_ns;
}

static void simple(struct pod *pod, int64_t *now, uint8_t request, uint8_t p0)
{
	uint8_t data[4], setup[8] = {0xC0, request, p0, 0, 0, 0, 4, 0};

	control(pod, now, setup, data);
}

static struct target *make_target(void)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct target_options options = {.crystal_hz = 16000000};
	struct pogo_error err = {0};
	struct target *target;
	struct part *part;

	if (part_load(configs ? configs : "configs", "atmega32u4", &part, &err))
		fail_msg("%s", err.text);
	part->fuse_factory[FUSE_LOW] = 0xDE; /* 16 MHz, not divided, so that every SCK is heard */
	part->lock_factory = 0xFF;
	target = target_create(part, &options, 1);
	free(part);
	return target;
}

static double measure(const struct row *row, int64_t place_ns)
{
	struct pod_options options = {.firmware = "2011", .charge_time = true};
	struct pod *pod = pod_usbasp_create(&options);
	uint8_t data[128], setup[8] = {0xC0, row->request, 0, 0, 0, 0, 4, 0};
	int64_t now = 5000000, start;

	pod->target = make_target();
	simple(pod, &now, 10, row->code);
	simple(pod, &now, 1, 0);
	now += 20000000; /* 7766J, 28.8.2 */
	simple(pod, &now, 5, 0);
	simple(pod, &now, 9, 0);
	memset(data, 0x55, sizeof data);
	if (row->request == 4 || row->request == 6)
		setup[6] = 128;
	if (row->request == 6) {
		setup[0] = 0x40;
		setup[4] = 128;
		setup[5] = 1;
	}
	if (row->request == 3)
		setup[2] = 0x30;
	start = now = (now / 1000000 + 2) * 1000000 + place_ns;
	control(pod, &now, setup, data);
	target_destroy(pod->target);
	pod->ops->destroy(pod);
	return (double)(now - start) / 1e6;
}

static void test_table_of_three_per_frame(void **state)
{
	static const struct row rows[] = {
	        {"1.5 M WRITEFLASH 128 + commit", 12, 6, 21.4, 21.4},
	        {"1.5 M READFLASH 128", 12, 4, 15.9, 15.9},
	        {"750 k WRITEFLASH 128 + commit", 11, 6, 21.6, 21.6},
	        {"750 k READFLASH 128", 11, 4, 16.0, 16.0},
	        {"375 k WRITEFLASH 128 + commit", 10, 6, 36.7, 36.7},
	        {"375 k READFLASH 128", 10, 4, 32.0, 32.0},
	        {"187.5 k WRITEFLASH 128 + commit", 9, 6, 52.9, 52.9},
	        {"187.5 k READFLASH 128", 9, 4, 32.9, 32.9},
	        {"93.75 k WRITEFLASH 128 + commit", 8, 6, 84.7, 84.7},
	        {"93.75 k READFLASH 128", 8, 4, 64.0, 64.0},
	        {"1.5 M TRANSMIT", 12, 3, 0.6, 0.9},
	        {"1.5 M SETLONGADDRESS", 12, 9, 0.5, 1.1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double sum = 0, mean;

		for (int place = 0; place < PLACES; place++)
			sum += measure(&rows[i], place * (int64_t)(1000000 / PLACES));
		mean = sum / PLACES;
		mean -= 0.5; /* the wait */
		print_message("%-34s model %6.2f ms, measured %.1f .. %.1f ms\n", rows[i].name,
		              mean, rows[i].low, rows[i].high);
		assert_true(mean >= rows[i].low * 0.9 && mean <= rows[i].high * 1.1);
	}
}

/* Whoever hands a transfer over waits for a frame: from nothing to a whole one, half on average. */
static void test_a_transfer_waits_for_its_frame(void **state)
{
	enum { STEPS = 100 };
	int64_t sum = 0, longest = 0;

	(void)state;
	for (int i = 0; i < STEPS; i++) {
		int64_t start = 7000000 + i * (1000000 / STEPS), wait;
		struct usb_wire wire;

		usb_wire_init(&wire, USB_WIRE_PER_FRAME);
		wait = usb_wire_setup(&wire, start) - 108000 - start;
		assert_in_range(wait, 0, 1000000);
		longest = wait > longest ? wait : longest;
		sum += wait;
	}
	assert_in_range(sum / STEPS, 480000, 520000);
	assert_in_range(longest, 980000, 1000000);
}

static void test_early_polls_are_answered_nak_and_stretch_the_work(void **state)
{
	struct usb_wire wire;
	int64_t setup, taken;

	(void)state;
	usb_wire_init(&wire, 1);
	setup = usb_wire_setup(&wire, 10000000);
	assert_int_equal(setup, 10108000);
	usb_wire_work(&wire, 950000, 0,
	              0); /* would be done at 11.06 ms: the poll at 11 ms is too early */
	taken = usb_wire_packet(&wire, USB_WIRE_IN, 8);
	assert_int_equal(wire.naks, 1);
	assert_in_range(taken, 12000000, 12200000);
	usb_wire_work(&wire, 960000, 0,
	              0); /* done at 13.08 ms and 45 us more by the NAK, still in time for 14 */
	taken = usb_wire_packet(&wire, USB_WIRE_IN, 8);
	assert_in_range(taken, 14000000, 14200000);
}

static void test_a_wait_for_the_chip_is_not_stretched(void **state)
{
	struct usb_wire wire;
	int64_t work, wait;

	(void)state;
	usb_wire_init(&wire, 3);
	usb_wire_setup(&wire, 0);
	usb_wire_work(&wire, 0, 0, 4500000);
	wait = usb_wire_packet(&wire, USB_WIRE_OUT, 8);
	usb_wire_init(&wire, 3);
	usb_wire_setup(&wire, 0);
	usb_wire_work(&wire, 4500000, 0, 0);
	work = usb_wire_packet(&wire, USB_WIRE_OUT, 8);
	assert_in_range(wait, 5000000, 5200000);
	assert_true(work > wait + 1000000);
}

static void test_no_more_than_n_per_frame_and_none_over_its_end(void **state)
{
	struct usb_wire wire;

	(void)state;
	usb_wire_init(&wire, 2);
	usb_wire_setup(&wire, 1000000);
	assert_in_range(usb_wire_packet(&wire, USB_WIRE_IN, 8), 1200000, 1300000);
	assert_in_range(usb_wire_packet(&wire, USB_WIRE_OUT, 0), 2000000, 2100000);
	assert_int_equal(usb_wire_setup(&wire, 3950000), 4108000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_table_of_three_per_frame),
	        cmocka_unit_test(test_a_transfer_waits_for_its_frame),
	        cmocka_unit_test(test_early_polls_are_answered_nak_and_stretch_the_work),
	        cmocka_unit_test(test_a_wait_for_the_chip_is_not_stretched),
	        cmocka_unit_test(test_no_more_than_n_per_frame_and_none_over_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
