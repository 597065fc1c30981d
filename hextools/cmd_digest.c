#include "hextools/cmd_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hextools/digest.h"
#include "hextools/ihex.h"

enum {
	WORTH_A_THREAD = 1024 * 1024, /* bytes of text */
	PART = 120 * 1024,            /* stays in the processor's cache */
};

struct file_digest {
	pthread_t thread;
	atomic_bool give_up;
	int fd;
	struct stat before;
	struct sha256 sha; /* the thread's, like done, until it is joined */
	bool done;
};

/* pread that comes back with less only at the end. */
static bool read_part(int fd, uint8_t *to, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t got = pread(fd, to, len, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		len -= (size_t)got;
		offset += (uint64_t)got;
	}
	return true;
}

static void *hash_file(void *context)
{
	struct file_digest *digest = context;
	uint64_t length = (uint64_t)digest->before.st_size;
	uint8_t *part = malloc(PART);
	sha256_init(&digest->sha);
	for (uint64_t at = 0; part != NULL && !atomic_load(&digest->give_up);) {
		size_t len = length - at < PART ? (size_t)(length - at) : PART;
		if (!read_part(digest->fd, part, len, at))
			break;
		sha256_update(&digest->sha, part, len);
		at += len;
		digest->done = at == length;
		if (digest->done)
			break;
	}
	free(part);
	return NULL;
}

static bool worth_it(const struct file_digest *digest)
{
	cpu_set_t processors;
	uint8_t mark = 0;
	return S_ISREG(digest->before.st_mode) && digest->before.st_size >= WORTH_A_THREAD &&
	       read_part(digest->fd, &mark, 1, 0) && mark == ':' &&
	       sched_getaffinity(0, sizeof processors, &processors) == 0 && CPU_COUNT(&processors) > 1;
}

struct file_digest *file_digest_begin(const char *path)
{
	struct file_digest *digest = calloc(1, sizeof *digest);
	if (digest == NULL)
		return NULL;
	digest->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (digest->fd >= 0 && fstat(digest->fd, &digest->before) == 0 && worth_it(digest) &&
	    pthread_create(&digest->thread, NULL, hash_file, digest) == 0)
		return digest;
	if (digest->fd >= 0)
		close(digest->fd);
	free(digest);
	return NULL;
}

/* A sink's flush: the text that is written is what the file has there, or the writer may stop. */
struct comparison {
	int fd;
	uint64_t at;
	uint8_t part[PART];
};

static int compare(void *context, const void *data, size_t len)
{
	struct comparison *with = context;
	for (const uint8_t *text = data; len > 0;) {
		size_t part = len < PART ? len : PART;
		if (!read_part(with->fd, with->part, part, with->at) || memcmp(with->part, text, part) != 0)
			return EINVAL;
		text += part;
		len -= part;
		with->at += part;
	}
	return 0;
}

/* Whether the file is the image's canonical text to the last byte, and nobody wrote to it meanwhile. */
static bool is_canonical(const struct file_digest *digest, const struct hex_image *image)
{
	struct stat now;
	struct sink sink;
	struct comparison *with = calloc(1, sizeof *with);
	if (with == NULL)
		return false;
	with->fd = digest->fd;
	bool same = sink_init(&sink, compare, with, NULL) == 0;
	if (same) {
		same = ihex_write(image, IHEX_CANONICAL_WIDTH, &sink, NULL) == 0;
		same = sink_finish(&sink) == 0 && same;
	}
	same = same && with->at == (uint64_t)digest->before.st_size && fstat(digest->fd, &now) == 0 &&
	       now.st_size == digest->before.st_size &&
	       memcmp(&now.st_mtim, &digest->before.st_mtim, sizeof now.st_mtim) == 0 &&
	       memcmp(&now.st_ctim, &digest->before.st_ctim, sizeof now.st_ctim) == 0;
	free(with);
	return same;
}

/* The thread has ended. */
static void let_go(struct file_digest *digest)
{
	close(digest->fd);
	free(digest);
}

void file_digest_abandon(struct file_digest *digest)
{
	if (digest == NULL)
		return;
	atomic_store(&digest->give_up, true);
	pthread_join(digest->thread, NULL);
	let_go(digest);
}

int file_digest_end(struct file_digest *digest, const struct hex_image *image, char hex[65], struct pogo_error *err)
{
	bool known = digest != NULL && is_canonical(digest, image);
	if (known) {
		pthread_join(digest->thread, NULL);
		known = digest->done;
		if (known)
			sha256_final_hex(&digest->sha, hex);
		let_go(digest);
	} else {
		file_digest_abandon(digest);
	}
	return known ? 0 : ihex_digest(image, hex, err);
}
