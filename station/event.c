#include "station/event.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Nodes of one allocation, on one of two lists: `free`, or the queue from `head` (oldest) to `tail`. */
struct node {
	struct node *prev, *next;
	struct event event;
};

struct event_queue {
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	struct node *head, *tail, *free;
	uint64_t lost;
	struct node nodes[];
};

/* What a full queue gives up, cheapest first. Results and states are what people act on. */
static bool is_kept(const struct event *event)
{
	return event->kind == EVENT_RESULT || event->kind == EVENT_STATE ||
	       event->kind == EVENT_RUN_BEGIN || event->kind == EVENT_RUN_END;
}

static void unlink_node(struct event_queue *queue, struct node *node)
{
	if (node->prev)
		node->prev->next = node->next;
	else
		queue->head = node->next;
	if (node->next)
		node->next->prev = node->prev;
	else
		queue->tail = node->prev;
}

static void release(struct event_queue *queue, struct node *node)
{
	unlink_node(queue, node);
	node->next = queue->free;
	queue->free = node;
}

static void append(struct event_queue *queue, const struct event *event)
{
	struct node *node = queue->free;

	queue->free = node->next;
	node->event = *event;
	node->next = NULL;
	node->prev = queue->tail;
	if (queue->tail)
		queue->tail->next = node;
	else
		queue->head = node;
	queue->tail = node;
}

static struct node *same_progress(struct event_queue *queue, const struct event *event)
{
	for (struct node *node = queue->head; node; node = node->next)
		if (node->event.kind == EVENT_PROGRESS && node->event.slot == event->slot &&
		    node->event.step == event->step)
			return node;
	return NULL;
}

static struct node *oldest_progress(struct event_queue *queue)
{
	for (struct node *node = queue->head; node; node = node->next)
		if (node->event.kind == EVENT_PROGRESS)
			return node;
	return NULL;
}

static struct node *oldest_minor(struct event_queue *queue)
{
	for (struct node *node = queue->head; node; node = node->next)
		if (!is_kept(&node->event))
			return node;
	return NULL;
}

/* Makes a free node for the event, or returns false: then the event itself is what goes. A replaced
 * progress goes to the tail again, so that it never overtakes the end of its own board. */
static bool make_room(struct event_queue *queue, const struct event *event)
{
	struct node *victim = NULL;

	if (event->kind == EVENT_PROGRESS) {
		victim = same_progress(queue, event);
		if (!victim)
			victim = oldest_progress(queue);
		if (!victim)
			return false; /* progress pushes nothing else out */
		release(queue, victim);
		return true;
	}
	victim = oldest_progress(queue);
	if (victim) {
		release(queue, victim);
		return true;
	}
	queue->lost++;
	victim = oldest_minor(queue);
	if (!victim && !is_kept(event))
		return false;
	release(queue, victim ? victim : queue->head);
	return true;
}

struct event_queue *event_queue_create(unsigned room)
{
	if (room == 0)
		room = 1;
	struct event_queue *queue = calloc(1, sizeof(*queue) + room * sizeof(queue->nodes[0]));
	pthread_condattr_t attr;

	if (!queue)
		return NULL;
	for (unsigned i = 0; i + 1 < room; i++)
		queue->nodes[i].next = &queue->nodes[i + 1];
	queue->free = &queue->nodes[0];
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->arrived, &attr);
	pthread_condattr_destroy(&attr);
	return queue;
}

void event_queue_destroy(struct event_queue *queue)
{
	if (!queue)
		return;
	pthread_cond_destroy(&queue->arrived);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

void event_post(struct event_queue *queue, const struct event *event)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->free || make_room(queue, event)) {
		append(queue, event);
		pthread_cond_signal(&queue->arrived);
	}
	pthread_mutex_unlock(&queue->lock);
}

static struct timespec instant_in_ms(int ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

bool event_take(struct event_queue *queue, struct event *out, int timeout_ms)
{
	struct timespec until = instant_in_ms(timeout_ms > 0 ? timeout_ms : 0);
	int result = 0;

	pthread_mutex_lock(&queue->lock);
	while (!queue->head && timeout_ms != 0 && result == 0) {
		if (timeout_ms < 0)
			result = pthread_cond_wait(&queue->arrived, &queue->lock);
		else
			result = pthread_cond_timedwait(&queue->arrived, &queue->lock, &until);
	}
	struct node *node = queue->head;
	if (node) {
		*out = node->event;
		release(queue, node);
	}
	pthread_mutex_unlock(&queue->lock);
	return node != NULL;
}

uint64_t event_lost(struct event_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	uint64_t lost = queue->lost;
	pthread_mutex_unlock(&queue->lock);
	return lost;
}

const char *slot_state_name(enum slot_state state)
{
	static const char *const names[SLOT_STATES] = {
		[SLOT_ABSENT] = "absent", [SLOT_WAITING] = "waiting", [SLOT_RUNNING] = "running",
		[SLOT_PASS] = "pass",     [SLOT_FAIL] = "fail",	      [SLOT_ERROR] = "error",
		[SLOT_DONE] = "done",
	};

	return (unsigned)state < SLOT_STATES ? names[state] : "unknown";
}

const char *slot_step_name(enum slot_step step)
{
	static const char *const names[STEP_COUNT] = {
		[STEP_NONE] = "none",	    [STEP_IDENTIFY] = "identify", [STEP_SERIAL] = "serial",
		[STEP_ERASE] = "erase",	    [STEP_CLOCK] = "clock",	  [STEP_PROGRAM] = "program",
		[STEP_VERIFY] = "verify",   [STEP_CONFIGURE] = "configure", [STEP_LOCK] = "lock",
		[STEP_RECORD] = "record",
	};

	return (unsigned)step < STEP_COUNT ? names[step] : "unknown";
}
