#include "hextools/cmd_digest.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/ihex.h"

/* The reader's thread copies what it has into slots, 64 KiB of addresses each, and the second one writes and hashes
 * their canonical text. (Handing over the text instead, which is three times as much, took longer.) The reader never
 * waits: what finds no free slot is offered again with its next look, or left to the end. So its memory stays its own. */

enum {
	SLOTS = 64, /* enough to hash while the command does without the digest */
	SLOT = 64 * 1024,
	WORTH_A_THREAD = 64 * 1024, /* bytes of data */
};

struct slot {
	uint32_t addr;
	size_t len; /* 0: that was all */
	uint8_t bytes[SLOT];
};

struct early_digest {
	struct builder_watch watch;
	pthread_t thread;
	bool running, failed;
	uint32_t addr;   /* of the first byte */
	size_t taken;    /* so many bytes are in slots or hashed */
	size_t put, got; /* slots filled, by the reader; emptied, by the thread */
	sem_t filled, empty;
	struct slot slot[SLOTS];

	struct ihex_running_digest sum; /* the thread's until it is joined */
};

static void *hash_slots(void *context)
{
	struct early_digest *digest = context;
	for (;;) {
		while (sem_wait(&digest->filled) != 0)
			;
		const struct slot *slot = &digest->slot[digest->got++ % SLOTS];
		if (slot->len == 0)
			return NULL;
		ihex_digest_more(&digest->sum, slot->addr, slot->bytes, slot->len);
		sem_post(&digest->empty);
	}
}

/* Fills a slot that is known to be empty with the next bytes; `bytes` is the first one's place. */
static void fill(struct early_digest *digest, const uint8_t *bytes, size_t len)
{
	struct slot *slot = &digest->slot[digest->put++ % SLOTS];
	slot->addr = digest->addr + (uint32_t)digest->taken;
	slot->len = len;
	if (len > 0)
		memcpy(slot->bytes, bytes + digest->taken, len);
	digest->taken += len;
	sem_post(&digest->filled);
}

/* On another processor than this one's: where the scheduler puts it beside its parent, the two take turns for the first
 * milliseconds, which is a good part of the whole. */
static bool start_elsewhere(struct early_digest *digest)
{
	pthread_attr_t attr;
	cpu_set_t others;
	int here = sched_getcpu();
	if (here < 0 || sched_getaffinity(0, sizeof others, &others) != 0 || pthread_attr_init(&attr) != 0)
		return false;
	CPU_CLR(here, &others);
	bool started = CPU_COUNT(&others) > 0 && pthread_attr_setaffinity_np(&attr, sizeof others, &others) == 0 &&
		       pthread_create(&digest->thread, &attr, hash_slots, digest) == 0;
	pthread_attr_destroy(&attr);
	return started;
}

static void begin(struct early_digest *digest, uint32_t addr, size_t len)
{
	if (digest->running || digest->failed || len < WORTH_A_THREAD)
		return;
	digest->addr = addr;
	digest->running = start_elsewhere(digest);
	digest->failed = !digest->running;
}

static void grown(void *context, uint32_t addr, const uint8_t *bytes, size_t len)
{
	struct early_digest *digest = context;
	begin(digest, addr, len);
	while (digest->running) {
		size_t to_edge = SLOT - (addr + digest->taken) % SLOT;
		if (len - digest->taken < to_edge || sem_trywait(&digest->empty) != 0)
			return;
		fill(digest, bytes, to_edge);
	}
}

struct early_digest *early_digest_begin(void)
{
	cpu_set_t processors;
	if (sched_getaffinity(0, sizeof processors, &processors) != 0 || CPU_COUNT(&processors) < 2)
		return NULL;
	struct early_digest *digest = calloc(1, sizeof *digest);
	if (digest == NULL || ihex_digest_begin(&digest->sum, NULL) != 0) {
		free(digest);
		return NULL;
	}
	digest->watch = (struct builder_watch){grown, digest};
	sem_init(&digest->filled, 0, 0);
	sem_init(&digest->empty, 0, SLOTS);
	return digest;
}

const struct builder_watch *early_digest_watch(const struct early_digest *digest)
{
	return digest != NULL ? &digest->watch : NULL;
}

/* When it returns the thread has hashed all that it was given. */
static void join(struct early_digest *digest)
{
	while (sem_wait(&digest->empty) != 0)
		;
	fill(digest, NULL, 0);
	pthread_join(digest->thread, NULL);
}

static void let_go(struct early_digest *digest)
{
	sem_destroy(&digest->filled);
	sem_destroy(&digest->empty);
	free(digest);
}

void early_digest_abandon(struct early_digest *digest)
{
	if (digest == NULL)
		return;
	if (digest->running)
		join(digest);
	ihex_digest_abandon(&digest->sum);
	let_go(digest);
}

int early_digest_end(struct early_digest *digest, const struct hex_image *image, char hex[65],
		     struct pogo_error *err)
{
	/* Else something is in front of what was hashed, or it was moved: that is other text. */
	bool begins = digest != NULL && digest->running && image->count > 0 &&
		      image->segments[0].addr == digest->addr;
	if (!begins) {
		early_digest_abandon(digest);
		return ihex_digest(image, hex, err);
	}
	join(digest);
	ihex_digest_end(&digest->sum, image, digest->taken, hex);
	let_go(digest);
	return 0;
}
