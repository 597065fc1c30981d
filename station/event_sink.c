#include "station/event_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "station/clock.h"

enum { ROOM = 1 << 20, LINE_ROOM = 64 * 1024, CHUNK = 16 * 1024, LAST_WORDS_MS = 2000 };

struct event_sink {
	FILE *stream;
	int fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work;
	size_t first, used; /* of ring */
	bool ending, dead;
	deadline_t last_words;
	uint64_t lost;   /* lines, since the last that fitted */
	size_t line_len; /* only the writing thread: the line that grows */
	bool line_too_long;
	char line[LINE_ROOM];
	char ring[ROOM];
};

/* Under the lock. */
static bool put(struct event_sink *sink, const char *text, size_t len)
{
	if (ROOM - sink->used < len)
		return false;
	for (size_t i = 0; i < len; i++)
		sink->ring[(sink->first + sink->used + i) % ROOM] = text[i];
	sink->used += len;
	return true;
}

static void push_line(struct event_sink *sink)
{
	pthread_mutex_lock(&sink->lock);
	char gap[64];
	size_t gap_len = 0;
	if (sink->lost > 0)
		gap_len = (size_t)snprintf(gap, sizeof gap, "{\"event\":\"lost\",\"lines\":%llu}\n",
		                           (unsigned long long)sink->lost);
	if (sink->dead) {
		sink->used = 0;
	} else if (sink->line_too_long || ROOM - sink->used < gap_len + sink->line_len) {
		sink->lost++;
	} else {
		put(sink, gap, gap_len);
		put(sink, sink->line, sink->line_len);
		sink->lost = 0;
	}
	pthread_cond_signal(&sink->work);
	pthread_mutex_unlock(&sink->lock);
	sink->line_len = 0;
	sink->line_too_long = false;
}

static ssize_t cookie_write(void *cookie, const char *text, size_t len)
{
	struct event_sink *sink = cookie;

	for (size_t i = 0; i < len; i++) {
		if (sink->line_len < LINE_ROOM)
			sink->line[sink->line_len++] = text[i];
		else
			sink->line_too_long = true;
		if (text[i] == '\n')
			push_line(sink);
	}
	return (ssize_t)len;
}

/* Writes a piece; false: the reader is gone, or too slow for the last words. */
static bool send_all(struct event_sink *sink, const char *text, size_t len)
{
	while (len > 0) {
		struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
		int answer = poll(&ready, 1, 100);
		pthread_mutex_lock(&sink->lock);
		bool late = sink->ending && deadline_left_ms(sink->last_words) == 0;
		pthread_mutex_unlock(&sink->lock);
		if (late)
			return false;
		if (answer <= 0)
			continue;
		ssize_t sent = write(sink->fd, text, len);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (sent > 0) {
			text += sent;
			len -= (size_t)sent;
		}
	}
	return true;
}

static void *drain(void *arg)
{
	struct event_sink *sink = arg;
	char chunk[CHUNK];

	pthread_mutex_lock(&sink->lock);
	while (!sink->dead && (sink->used > 0 || !sink->ending)) {
		if (sink->used == 0) {
			pthread_cond_wait(&sink->work, &sink->lock);
			continue;
		}
		size_t len = sink->used < CHUNK ? sink->used : CHUNK;
		for (size_t i = 0; i < len; i++)
			chunk[i] = sink->ring[(sink->first + i) % ROOM];
		sink->first = (sink->first + len) % ROOM;
		sink->used -= len;
		pthread_mutex_unlock(&sink->lock);
		bool alive = send_all(sink, chunk, len);
		pthread_mutex_lock(&sink->lock);
		sink->dead = !alive;
	}
	pthread_mutex_unlock(&sink->lock);
	return NULL;
}

static int connect_socket(const char *path, struct pogo_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		return pogo_fail(err, POGO_INPUT, "the path of the event socket \"%s\" is too long",
		                 path);
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return pogo_fail_errno(err, errno, "cannot make a socket for the events");
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		pogo_fail_errno(err, errno,
		                "cannot connect the events to the socket \"%s\"; does anybody "
		                "listen there?",
		                path);
		close(fd);
		return -1;
	}
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
		pogo_fail_errno(err, errno, "cannot use the event socket \"%s\"", path);
		close(fd);
		return -1;
	}
	return fd;
}

static int open_target(const char *path, struct pogo_error *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		return connect_socket(path, err);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0666);
	if (fd < 0 && errno == ENXIO)
		return pogo_fail(
		        err, POGO_SYSTEM,
		        "nobody reads the pipe \"%s\" yet; start the reader of the events first",
		        path);
	if (fd < 0)
		return pogo_fail_errno(err, errno, "cannot write the events to \"%s\"", path);
	return fd;
}

int event_sink_open(const char *path, struct event_sink **out, struct pogo_error *err)
{
	cookie_io_functions_t functions = {.write = cookie_write};
	struct event_sink *sink = calloc(1, sizeof *sink);

	if (sink == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for the events to \"%s\"", path);
	sink->fd = open_target(path, err);
	if (sink->fd < 0) {
		free(sink);
		return -1;
	}
	pthread_mutex_init(&sink->lock, NULL);
	pthread_cond_init(&sink->work, NULL);
	sink->stream = fopencookie(sink, "w", functions);
	int number =
	        sink->stream == NULL ? ENOMEM : pthread_create(&sink->thread, NULL, drain, sink);
	if (number == 0) {
		setvbuf(sink->stream, NULL, _IOLBF, 4096);
		*out = sink;
		return 0;
	}
	if (sink->stream != NULL)
		fclose(sink->stream);
	close(sink->fd);
	pthread_cond_destroy(&sink->work);
	pthread_mutex_destroy(&sink->lock);
	free(sink);
	return pogo_fail_errno(err, number, "cannot start the events to \"%s\"", path);
}

FILE *event_sink_stream(struct event_sink *sink)
{
	return sink->stream;
}

void event_sink_close(struct event_sink *sink)
{
	if (sink == NULL)
		return;
	fclose(sink->stream);
	pthread_mutex_lock(&sink->lock);
	sink->ending = true;
	sink->last_words = deadline_in_ms(LAST_WORDS_MS);
	pthread_cond_signal(&sink->work);
	pthread_mutex_unlock(&sink->lock);
	pthread_join(sink->thread, NULL);
	close(sink->fd);
	pthread_cond_destroy(&sink->work);
	pthread_mutex_destroy(&sink->lock);
	free(sink);
}
