#include "fixtures/bench/reply_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fixtures/bench/faults.h"

/* A protocol whose n-th reply is four bytes n. */
struct talk {
	struct pod_faults faults;
	struct reply_history history;
	uint8_t next, bytes[8];
	struct reply reply;
};

static void start(struct talk *talk, const char *words)
{
	struct bench_fault_set set = {0};
	struct pogo_error err = {0};
	if (bench_fault_add(&set, words, 32768, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(set.has_pod);
	memset(talk, 0, sizeof *talk);
	talk->faults = set.pod;
}

static const uint8_t *command(struct talk *talk)
{
	memset(talk->bytes, ++talk->next, 4);
	talk->reply = (struct reply){.bytes = talk->bytes, .length = 4, .room = sizeof talk->bytes};
	reply_faults_apply(&talk->faults, &talk->history, &talk->reply);
	return talk->bytes;
}

static void expect_good(struct talk *talk, unsigned commands)
{
	for (unsigned i = 0; i < commands; i++) {
		uint8_t value = command(talk)[0];
		assert_int_equal(value, talk->next);
		assert_int_equal(talk->reply.length, 4);
		assert_memory_equal(talk->bytes, talk->bytes + 1, 3);
		assert_false(talk->reply.lost);
		assert_int_equal(talk->reply.late_ns, 0);
	}
}

static void a_fault_meets_its_command_and_no_other(void **state)
{
	(void)state;
	struct talk talk;
	start(&talk, "reply-lost=3");
	expect_good(&talk, 2);
	command(&talk);
	assert_true(talk.reply.lost);
	expect_good(&talk, 5);

	start(&talk, "reply-cut=2");
	expect_good(&talk, 1);
	command(&talk);
	assert_int_equal(talk.reply.length, 2);
	expect_good(&talk, 5);

	start(&talk, "reply-late=1.250");
	command(&talk);
	assert_int_equal(talk.reply.late_ns, 250000000);
	expect_good(&talk, 5);

	start(&talk, "reply-wrong=2");
	expect_good(&talk, 1);
	assert_memory_equal(command(&talk), "\x02\x02\x12\x02", 4);
	expect_good(&talk, 5);

	start(&talk, "reply-long=1");
	command(&talk);
	assert_int_equal(talk.reply.length, 5);
	expect_good(&talk, 5);

	start(&talk, "reply-stale=4");
	expect_good(&talk, 3);
	assert_memory_equal(command(&talk), "\3\3\3\3", 4);
	expect_good(&talk, 5);
}

/* One that could not be seen waits for the next command that shows it. */
static void a_fault_waits_until_it_can_show(void **state)
{
	(void)state;
	struct talk talk;
	start(&talk, "reply-stale=1");
	expect_good(&talk, 1);
	assert_int_equal(command(&talk)[0], 1);

	start(&talk, "reply-cut=1");
	talk.reply = (struct reply){.bytes = talk.bytes, .room = 8};
	reply_faults_apply(&talk.faults, &talk.history, &talk.reply);
	assert_int_equal(talk.reply.length, 0);
	command(&talk);
	assert_int_equal(talk.reply.length, 2);

	start(&talk, "reply-long=1");
	talk.reply = (struct reply){.bytes = talk.bytes, .length = 8, .room = 8};
	reply_faults_apply(&talk.faults, &talk.history, &talk.reply);
	assert_int_equal(talk.reply.length, 8);
	command(&talk);
	assert_int_equal(talk.reply.length, 5);
}

/* Whatever the firmware answers and however much room there is, nothing outside the room is
 * touched. */
static void any_length_is_safe(void **state)
{
	(void)state;
	uint8_t bytes[2 * REPLY_HISTORY];
	struct pod_faults faults;
	struct reply_history history = {.length = 0};
	unsigned seed = 7;
	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245u + 12345u;
		faults = (struct pod_faults){.reply_wrong = seed >> 8 & 1,
		                             .reply_long = seed >> 9 & 1,
		                             .reply_cut = seed >> 10 & 1,
		                             .reply_stale = seed >> 11 & 1};
		size_t room = (seed >> 12) % (sizeof bytes - 1);
		memset(bytes, (int)(seed >> 24), sizeof bytes);
		bytes[room] = 0xA5;
		struct reply reply = {
		        .bytes = bytes, .length = room ? seed % room : 0, .room = room};
		reply_faults_apply(&faults, &history, &reply);
		assert_true(reply.length <= room);
		assert_int_equal(bytes[room], 0xA5);
	}
}

static void words_out_of_range_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"reply-lost",          "reply-lost=0", "reply-late=3",
	                                    "reply-late=3.0",      "reply-cut=x",  "reply-long=1.2",
	                                    "reply-late=1.600001", "reply-=1"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct bench_fault_set set = {0};
		struct pogo_error err = {0};
		assert_int_equal(bench_fault_add(&set, wrong[i], 32768, &err), -1);
		assert_non_null(strstr(err.text, wrong[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_fault_meets_its_command_and_no_other),
	        cmocka_unit_test(a_fault_waits_until_it_can_show),
	        cmocka_unit_test(any_length_is_safe),
	        cmocka_unit_test(words_out_of_range_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
