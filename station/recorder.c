#include "station/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "station/clock.h"
#include "station/event.h"
#include "station/station_file.h"

/* Between two gating calls, which wait, a slot notes the begin and the end of at most STEP_COUNT
 * steps. So this room is never short, and a step note never waits for the disk. */
enum { QUEUE_ROOM = STATION_SLOTS * (2 * STEP_COUNT + 2) };

enum request_kind {
	RUN_BEGIN,
	RUN_END,
	ATTEMPT_OPEN,
	SERIAL_CLAIM,
	SERIAL_WRITTEN,
	MEASURE,
	STEP_BEGIN,
	STEP_END,
	ATTEMPT_CLOSE,
};

struct reply { /* on the stack of the waiting caller */
	pthread_cond_t ready;
	bool done;
	int result;
	int64_t id;
	char serial[48];
	enum log_serial_result serial_result;
	char text[480];
};

struct request {
	enum request_kind kind;
	const void *words;   /* log_run, log_attempt, log_measure, …: the waiting caller's */
	struct reply *reply; /* NULL: nobody waits */
	int64_t id;          /* run or attempt */
	int64_t now_ms, duration_us;
	char step[16], result[24];
};

struct recorder {
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below; never held while the log works */
	pthread_cond_t work, room;
	struct request queue[QUEUE_ROOM];
	size_t first, count;
	bool ending, broken;
	char why[480];

	const char *path; /* until opened */
	struct log_recovery recovery;
	struct reply opened;
	bool newer; /* why opening failed */
};

static int perform(struct log *log, const struct request *request, struct reply *reply,
                   struct log_error *err)
{
	switch (request->kind) {
	case RUN_BEGIN:
		return log_run_begin(log, request->words, &reply->id, err);
	case RUN_END:
		return log_run_end(log, request->id, request->now_ms, err);
	case ATTEMPT_OPEN:
		return log_attempt_open(log, request->words, &reply->id, err);
	case SERIAL_CLAIM:
		return log_serial_claim(log, request->words, reply->serial, &reply->serial_result,
		                        err);
	case SERIAL_WRITTEN:
		return log_serial_written(log, request->id, request->now_ms, err);
	case MEASURE:
		return log_attempt_measure(log, request->id, request->words, err);
	case STEP_BEGIN:
		return log_step_begin(log, request->id, request->step, request->now_ms, err);
	case STEP_END:
		return log_step_end(log, request->id, request->step, request->duration_us,
		                    request->result, err);
	case ATTEMPT_CLOSE:
		return log_attempt_close(log, request->words, err);
	}
	return -1;
}

/* Under the lock. Only the first failure is kept: the others follow from it. */
static void break_down(struct recorder *recorder, const char *text)
{
	if (!recorder->broken)
		snprintf(recorder->why, sizeof recorder->why, "%s", text);
	recorder->broken = true;
}

/* Under the lock, which is let go while the log works. */
static void serve(struct recorder *recorder, struct log *log, const struct request *request)
{
	struct log_error err = {.text = ""};
	struct reply nobody = {.id = 0};
	struct reply *reply = request->reply != NULL ? request->reply : &nobody;
	int result = -1;

	if (!recorder->broken) {
		pthread_mutex_unlock(&recorder->lock);
		result = perform(log, request, reply, &err);
		pthread_mutex_lock(&recorder->lock);
		if (result != 0)
			break_down(recorder, err.text);
	}
	reply->result = result;
	if (result != 0)
		snprintf(reply->text, sizeof reply->text, "%s", recorder->why);
	if (request->reply != NULL) {
		reply->done = true;
		pthread_cond_signal(&reply->ready);
	}
}

static struct log *open_log(struct recorder *recorder)
{
	struct log *log = NULL;
	struct log_error err = {.text = ""};
	int result = log_open(recorder->path, clock_wall_ms(), &log, &recorder->recovery, &err);

	pthread_mutex_lock(&recorder->lock);
	recorder->opened.result = result;
	recorder->newer = err.newer;
	snprintf(recorder->opened.text, sizeof recorder->opened.text, "%s", err.text);
	recorder->opened.done = true;
	pthread_cond_signal(&recorder->opened.ready);
	pthread_mutex_unlock(&recorder->lock);
	return result == 0 ? log : NULL;
}

static void *recorder_main(void *arg)
{
	struct recorder *recorder = arg;
	/* Opened here, because one thread owns a log from its first to its last call. */
	struct log *log = open_log(recorder);

	if (log == NULL)
		return NULL;
	pthread_mutex_lock(&recorder->lock);
	while (recorder->count > 0 || !recorder->ending) {
		if (recorder->count == 0) {
			pthread_cond_wait(&recorder->work, &recorder->lock);
			continue;
		}
		struct request request = recorder->queue[recorder->first];
		recorder->first = (recorder->first + 1) % QUEUE_ROOM;
		recorder->count--;
		pthread_cond_signal(&recorder->room);
		serve(recorder, log, &request);
	}
	pthread_mutex_unlock(&recorder->lock);
	log_close(log);
	return NULL;
}

/* Under the lock. */
static void push(struct recorder *recorder, const struct request *request)
{
	while (recorder->count == QUEUE_ROOM)
		pthread_cond_wait(&recorder->room, &recorder->lock);
	recorder->queue[(recorder->first + recorder->count) % QUEUE_ROOM] = *request;
	recorder->count++;
	pthread_cond_signal(&recorder->work);
}

/* Hands the request over and waits until its commit returned. */
static int gate(struct recorder *recorder, struct request request, struct reply *reply)
{
	*reply = (struct reply){.result = -1};
	pthread_cond_init(&reply->ready, NULL);
	request.reply = reply;
	pthread_mutex_lock(&recorder->lock);
	if (recorder->broken) {
		snprintf(reply->text, sizeof reply->text, "%s", recorder->why);
	} else {
		push(recorder, &request);
		while (!reply->done)
			pthread_cond_wait(&reply->ready, &recorder->lock);
	}
	pthread_mutex_unlock(&recorder->lock);
	pthread_cond_destroy(&reply->ready);
	return reply->result;
}

static int record_fault(struct fault *fault, const struct reply *reply)
{
	return fault_set(fault, FAIL_RECORD, "%s", reply->text);
}

static void free_recorder(struct recorder *recorder)
{
	pthread_cond_destroy(&recorder->opened.ready);
	pthread_cond_destroy(&recorder->work);
	pthread_cond_destroy(&recorder->room);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder);
}

int recorder_create(const char *db_path, struct recorder **out, struct log_recovery *recovery,
                    struct pogo_error *err)
{
	struct recorder *recorder = calloc(1, sizeof *recorder);

	if (recorder == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the log writer of \"%s\"",
		                 db_path);
	recorder->path = db_path;
	pthread_mutex_init(&recorder->lock, NULL);
	pthread_cond_init(&recorder->work, NULL);
	pthread_cond_init(&recorder->room, NULL);
	pthread_cond_init(&recorder->opened.ready, NULL);
	int number = pthread_create(&recorder->thread, NULL, recorder_main, recorder);
	if (number != 0) {
		free_recorder(recorder);
		return pogo_fail_errno(err, number, "cannot start the log writer's thread");
	}
	pthread_mutex_lock(&recorder->lock);
	while (!recorder->opened.done)
		pthread_cond_wait(&recorder->opened.ready, &recorder->lock);
	pthread_mutex_unlock(&recorder->lock);
	if (recorder->opened.result != 0) {
		pthread_join(recorder->thread, NULL);
		/* A newer file is a wrong file; everything else is a disk or a system in trouble.
		 */
		pogo_fail(err, recorder->newer ? POGO_INPUT : POGO_SYSTEM, "%s",
		          recorder->opened.text);
		free_recorder(recorder);
		return -1;
	}
	if (recovery != NULL)
		*recovery = recorder->recovery;
	*out = recorder;
	return 0;
}

void recorder_destroy(struct recorder *recorder)
{
	if (recorder == NULL)
		return;
	pthread_mutex_lock(&recorder->lock);
	recorder->ending = true;
	pthread_cond_signal(&recorder->work);
	pthread_mutex_unlock(&recorder->lock);
	pthread_join(recorder->thread, NULL);
	free_recorder(recorder);
}

bool recorder_broken(struct recorder *recorder)
{
	pthread_mutex_lock(&recorder->lock);
	bool broken = recorder->broken;
	pthread_mutex_unlock(&recorder->lock);
	return broken;
}

void recorder_why(struct recorder *recorder, char *text, size_t size)
{
	pthread_mutex_lock(&recorder->lock);
	snprintf(text, size, "%s", recorder->why);
	pthread_mutex_unlock(&recorder->lock);
}

int recorder_run_begin(struct recorder *recorder, const struct log_run *run, int64_t *run_id,
                       struct pogo_error *err)
{
	struct reply reply;

	if (gate(recorder, (struct request){.kind = RUN_BEGIN, .words = run}, &reply) != 0)
		return pogo_fail(err, POGO_SYSTEM, "%s", reply.text);
	*run_id = reply.id;
	return 0;
}

int recorder_run_end(struct recorder *recorder, int64_t run_id, struct pogo_error *err)
{
	struct reply reply;
	struct request request = {.kind = RUN_END, .id = run_id, .now_ms = clock_wall_ms()};

	if (gate(recorder, request, &reply) != 0)
		return pogo_fail(err, POGO_SYSTEM, "%s", reply.text);
	return 0;
}

int recorder_attempt_open(struct recorder *recorder, const struct log_attempt *attempt,
                          int64_t *attempt_id, struct fault *fault)
{
	struct reply reply;

	if (gate(recorder, (struct request){.kind = ATTEMPT_OPEN, .words = attempt}, &reply) != 0)
		return record_fault(fault, &reply);
	*attempt_id = reply.id;
	return 0;
}

int recorder_serial_claim(struct recorder *recorder, const struct log_serial_wish *wish,
                          char serial[48], enum log_serial_result *result, struct fault *fault)
{
	struct reply reply;

	if (gate(recorder, (struct request){.kind = SERIAL_CLAIM, .words = wish}, &reply) != 0)
		return record_fault(fault, &reply);
	memcpy(serial, reply.serial, sizeof reply.serial);
	*result = reply.serial_result;
	return 0;
}

int recorder_serial_written(struct recorder *recorder, int64_t attempt_id, struct fault *fault)
{
	struct reply reply;
	struct request request = {
	        .kind = SERIAL_WRITTEN, .id = attempt_id, .now_ms = clock_wall_ms()};

	if (gate(recorder, request, &reply) != 0)
		return record_fault(fault, &reply);
	return 0;
}

int recorder_measure(struct recorder *recorder, int64_t attempt_id, const struct log_measure *measure,
                     struct fault *fault)
{
	struct reply reply;
	struct request request = {.kind = MEASURE, .id = attempt_id, .words = measure};

	if (gate(recorder, request, &reply) != 0)
		return record_fault(fault, &reply);
	return 0;
}

static void note(struct recorder *recorder, struct request *request, const char *step)
{
	snprintf(request->step, sizeof request->step, "%s", step);
	pthread_mutex_lock(&recorder->lock);
	if (!recorder->broken)
		push(recorder, request);
	pthread_mutex_unlock(&recorder->lock);
}

void recorder_step_begin(struct recorder *recorder, int64_t attempt_id, const char *step)
{
	struct request request = {.kind = STEP_BEGIN, .id = attempt_id, .now_ms = clock_wall_ms()};

	note(recorder, &request, step);
}

void recorder_step_end(struct recorder *recorder, int64_t attempt_id, const char *step,
                       int64_t duration_us, const char *result)
{
	struct request request = {.kind = STEP_END, .id = attempt_id, .duration_us = duration_us};

	snprintf(request.result, sizeof request.result, "%s", result);
	note(recorder, &request, step);
}

int recorder_attempt_close(struct recorder *recorder, const struct log_result *result,
                           struct fault *fault)
{
	struct reply reply;

	if (gate(recorder, (struct request){.kind = ATTEMPT_CLOSE, .words = result}, &reply) != 0)
		return record_fault(fault, &reply);
	return 0;
}
