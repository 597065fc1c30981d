#include "station/link/link.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* What a station of fixed serial lines has for a host on a machine without USB: nothing to list, and a bench to sit on
 * between two looks at the device files. */

enum { LOOK_AGAIN_MS = 300 }; /* nothing tells of a device file that appears */

struct none_host {
	struct host base;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	unsigned wakes;
};

static int none_list(struct host *base, struct usb_identity *out, size_t room, bool with_strings, struct pogo_error *err)
{
	(void)base, (void)out, (void)room, (void)with_strings, (void)err;
	return 0;
}

static int none_open(struct host *base, const char *path, struct link **link, struct usb_identity *identity,
		     struct pogo_error *err)
{
	(void)base, (void)path, (void)link, (void)identity, (void)err;
	return 1;
}

static void none_wait_change(struct host *base, deadline_t deadline)
{
	struct none_host *host = (struct none_host *)base;
	deadline_t again = deadline_in_ms(LOOK_AGAIN_MS);

	if (again < deadline)
		deadline = again;
	const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = deadline % 1000000000};
	pthread_mutex_lock(&host->lock);
	unsigned begin = host->wakes;
	while (host->wakes == begin && pthread_cond_timedwait(&host->woken, &host->lock, &until) == 0)
		;
	pthread_mutex_unlock(&host->lock);
}

static void none_wake(struct host *base)
{
	struct none_host *host = (struct none_host *)base;

	pthread_mutex_lock(&host->lock);
	host->wakes++;
	pthread_cond_broadcast(&host->woken);
	pthread_mutex_unlock(&host->lock);
}

static void none_destroy(struct host *base)
{
	struct none_host *host = (struct none_host *)base;

	pthread_cond_destroy(&host->woken);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

static const struct host_ops none_ops = {
	.list = none_list,
	.open = none_open,
	.open_serial = none_open,
	.wait_change = none_wait_change,
	.wake = none_wake,
	.destroy = none_destroy,
};

int host_none_create(struct host **out, struct pogo_error *err)
{
	struct none_host *host = calloc(1, sizeof *host);
	pthread_condattr_t attributes;

	if (host == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	host->base.ops = &none_ops;
	pthread_mutex_init(&host->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&host->woken, &attributes);
	pthread_condattr_destroy(&attributes);
	*out = &host->base;
	return 0;
}
