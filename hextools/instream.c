#include "hextools/instream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Less than what malloc gets from the system each time anew: the next file and the output find it touched already. */
enum { WINDOW = 120 * 1024 };

static int cannot_open(const char *path, int number, struct pogo_error *err)
{
	pogo_fail_errno(err, number, "cannot read \"%.300s\"", path);
	/* A name that leads nowhere is the caller's mistake; a lack of handles is the system's. */
	if (err != NULL && number != EMFILE && number != ENFILE && number != ENOMEM && number != EIO)
		err->kind = POGO_INPUT;
	return -1;
}

static int look_at(struct instream *in, const char *path, struct pogo_error *err)
{
	struct stat st;
	if (fstat(in->fd, &st) != 0)
		return pogo_fail_errno(err, errno, "cannot read \"%.300s\"", path);
	if (S_ISDIR(st.st_mode))
		return pogo_fail(err, POGO_INPUT, "cannot read \"%.300s\": it is a folder", path);
	off_t base = S_ISREG(st.st_mode) ? lseek(in->fd, 0, SEEK_CUR) : -1;
	in->keep = base < 0;
	in->base = in->keep ? 0 : (uint64_t)base;
	in->limit = UINT64_MAX;
	if (!in->keep)
		in->limit = st.st_size > base ? (uint64_t)(st.st_size - base) : 0;
	in->room = WINDOW;
	in->buffer = malloc(in->room);
	if (in->buffer == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory while reading \"%.300s\"", path);
	in->at = in->end = in->buffer;
	return 0;
}

int instream_open(struct instream *in, const char *path, struct pogo_error *err)
{
	bool standard = strcmp(path, "-") == 0;
	*in = (struct instream){.name = standard ? "standard input" : path, .fd = STDIN_FILENO};
	if (!standard) {
		in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (in->fd < 0)
			return cannot_open(path, errno, err);
		in->close_fd = true;
	}
	return look_at(in, path, err);
}

void instream_memory(struct instream *in, const void *data, size_t len, const char *name)
{
	*in = (struct instream){.name = name,
				.at = data,
				.end = (const uint8_t *)data + len,
				.last = true,
				.fd = -1,
				.seen = len,
				.limit = len,
				.memory = data};
}

void instream_close(struct instream *in)
{
	if (in->close_fd && in->fd >= 0)
		close(in->fd);
	free(in->buffer);
	*in = (struct instream){.fd = -1};
}

uint64_t instream_offset(const struct instream *in)
{
	return in->seen - (uint64_t)(in->end - in->at);
}

/* Makes room for one read behind the bytes in view; kept bytes stay, others are slid out. */
static int make_room(struct instream *in, struct pogo_error *err)
{
	size_t before = (size_t)(in->at - in->buffer), shown = (size_t)(in->end - in->at);
	if (!in->keep) {
		memmove(in->buffer, in->at, shown);
		in->at = in->buffer;
		in->end = in->at + shown;
		return 0;
	}
	if (in->seen >= INSTREAM_MAX)
		return pogo_fail(err, POGO_INPUT, "\"%.300s\" is larger than 1 GiB: not an input file",
				 in->name);
	if (before + shown + WINDOW / 2 <= in->room)
		return 0;
	uint8_t *grown = realloc(in->buffer, in->room * 2);
	if (grown == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory while reading \"%.300s\"", in->name);
	in->buffer = grown;
	in->room *= 2;
	in->at = grown + before;
	in->end = in->at + shown;
	return 0;
}

static int read_some(struct instream *in, struct pogo_error *err)
{
	if (make_room(in, err) != 0)
		return -1;
	size_t used = (size_t)(in->end - in->buffer), part = in->room - used;
	if (in->limit - in->seen < part)
		part = (size_t)(in->limit - in->seen);
	ssize_t got;
	do
		got = in->keep ? read(in->fd, in->buffer + used, part)
			       : pread(in->fd, in->buffer + used, part, (off_t)(in->base + in->seen));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return pogo_fail_errno(err, errno, "cannot read \"%.300s\"", in->name);
	in->end += got;
	in->seen += (uint64_t)got;
	if (got == 0)
		in->limit = in->seen;
	in->last = in->seen == in->limit;
	return 0;
}

int instream_ahead(struct instream *in, size_t want, struct pogo_error *err)
{
	while (!in->last && (size_t)(in->end - in->at) < want)
		if (read_some(in, err) != 0)
			return -1;
	return 0;
}

int instream_rewind(struct instream *in, struct pogo_error *err)
{
	(void)err;
	if (in->fd < 0 || in->keep) {
		in->at = in->fd < 0 ? in->memory : in->buffer;
		return 0;
	}
	in->at = in->end = in->buffer;
	in->seen = 0;
	in->last = in->limit == 0;
	return 0;
}

int instream_whole(struct instream *in, struct pogo_error *err)
{
	if (instream_rewind(in, err) != 0)
		return -1;
	if (in->fd >= 0 && !in->keep) {
		if (in->limit > INSTREAM_MAX)
			return pogo_fail(err, POGO_INPUT, "\"%.300s\" is larger than 1 GiB: not an input file",
					 in->name);
		uint8_t *grown = realloc(in->buffer, (size_t)in->limit + WINDOW);
		if (grown == NULL)
			return pogo_fail(err, POGO_SYSTEM, "out of memory while reading \"%.300s\"", in->name);
		in->buffer = grown;
		in->at = in->end = grown;
		in->room = (size_t)in->limit + WINDOW;
	}
	return instream_ahead(in, SIZE_MAX, err);
}

uint64_t instream_length(const struct instream *in)
{
	return in->limit;
}

int instream_tail(struct instream *in, uint8_t *out, size_t len, struct pogo_error *err)
{
	uint64_t offset = in->limit - len;
	if (in->fd < 0 || in->keep) {
		memcpy(out, (in->fd < 0 ? in->memory : in->buffer) + offset, len);
		return 0;
	}
	ssize_t got;
	do
		got = pread(in->fd, out, len, (off_t)(in->base + offset));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return pogo_fail_errno(err, errno, "cannot read \"%.300s\"", in->name);
	if ((size_t)got < len)
		return pogo_fail(err, POGO_SYSTEM, "\"%.300s\" became shorter while it was read", in->name);
	return 0;
}

void instream_cut(struct instream *in, uint64_t length)
{
	in->limit = length;
	if (in->seen >= length) {
		in->end -= in->seen - length;
		in->seen = length;
		in->last = true;
	}
}
