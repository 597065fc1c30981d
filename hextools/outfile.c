#include "hextools/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nothing that these tools read is larger; a wrong file name must not fill the memory. */
#define INFILE_MAX ((size_t)1 << 30)

static int write_all(int fd, const void *data, size_t len)
{
	const char *at = data;
	while (len > 0) {
		ssize_t done = write(fd, at, len);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		at += done;
		len -= (size_t)done;
	}
	return 0;
}

static void outfile_free(struct outfile *file)
{
	free(file->target);
	free(file->temporary);
	free(file->data);
	*file = (struct outfile){0};
}

static void folder_of(const char *target, char folder[PATH_MAX])
{
	const char *slash = strrchr(target, '/');
	if (slash == NULL)
		snprintf(folder, PATH_MAX, ".");
	else
		snprintf(folder, PATH_MAX, "%.*s", slash == target ? 1 : (int)(slash - target), target);
}

static int keep_for_direct(struct outfile *file, const void *data, size_t len,
			   struct pogo_error *err)
{
	file->data = malloc(len > 0 ? len : 1);
	if (file->data == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the output");
	if (len > 0)
		memcpy(file->data, data, len);
	file->len = len;
	return 0;
}

/* "FOLDER/.NAME.XXXXXX": hidden, and on the same file system as the target. */
static char *temporary_name(const char *target)
{
	const char *slash = strrchr(target, '/');
	size_t folder = slash == NULL ? 0 : (size_t)(slash - target) + 1;
	/* A name may be 255 bytes long already; the template must not exceed that. */
	size_t name = strlen(target + folder) > 200 ? 200 : strlen(target + folder);
	char *text = malloc(folder + name + 10);
	if (text != NULL)
		sprintf(text, "%.*s.%.*s.XXXXXX", (int)folder, target, (int)name, target + folder);
	return text;
}

/* mkostemp makes 0600; the file shall be what open(…, 0666) would have made, or keep its mode. */
static mode_t wanted_mode(const char *target)
{
	struct stat st;
	if (stat(target, &st) == 0)
		return st.st_mode & 07777;
	mode_t mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

static int fill_temporary(struct outfile *file, const void *data, size_t len,
			  struct pogo_error *err)
{
	int fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0) {
		int number = errno;
		free(file->temporary);
		file->temporary = NULL;
		return pogo_fail_errno(err, number, "cannot write \"%s\"", file->target);
	}
	bool ok = write_all(fd, data, len) == 0 && fchmod(fd, wanted_mode(file->target)) == 0 &&
		  fsync(fd) == 0;
	int number = errno;
	if (close(fd) != 0 && ok) {
		ok = false;
		number = errno;
	}
	if (ok)
		return 0;
	unlink(file->temporary);
	free(file->temporary);
	file->temporary = NULL;
	return pogo_fail_errno(err, number, "cannot write \"%s\"", file->target);
}

static int stage(struct outfile *file, const char *path, const void *data, size_t len,
		 struct pogo_error *err)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return keep_for_direct(file, data, len, err);
	bool exists = stat(path, &st) == 0;
	if (exists && S_ISDIR(st.st_mode))
		return pogo_fail(err, POGO_INPUT, "cannot write \"%s\": it is a folder", path);
	/* Through a symbolic link, not over it. */
	file->target = exists ? realpath(path, NULL) : strdup(path);
	if (file->target == NULL)
		return pogo_fail_errno(err, errno, "cannot write \"%s\"", path);
	if (exists && !S_ISREG(st.st_mode))
		return keep_for_direct(file, data, len, err);
	if (exists && access(file->target, W_OK) != 0)
		return pogo_fail_errno(err, errno, "cannot write \"%s\"", path);
	file->temporary = temporary_name(file->target);
	if (file->temporary == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the output");
	return fill_temporary(file, data, len, err);
}

/* Folder and name of two targets lead to one file (or both are standard output). */
static bool same_target(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
	if (strcmp(slash_a != NULL ? slash_a + 1 : a, slash_b != NULL ? slash_b + 1 : b) != 0)
		return false;
	char folder_a[PATH_MAX], folder_b[PATH_MAX];
	struct stat st_a, st_b;
	folder_of(a, folder_a);
	folder_of(b, folder_b);
	return stat(folder_a, &st_a) == 0 && stat(folder_b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

int outfile_stage(struct outfile_set *set, const char *path, const void *data, size_t len,
		  struct pogo_error *err)
{
	if (set->count == OUTFILE_SET)
		return pogo_fail(err, POGO_INPUT, "more than %d output files at once", OUTFILE_SET);
	struct outfile *file = &set->files[set->count];
	*file = (struct outfile){0};
	if (stage(file, path, data, len, err) != 0) {
		outfile_free(file);
		return -1;
	}
	for (size_t i = 0; i < set->count; i++) {
		if (!same_target(set->files[i].target, file->target))
			continue;
		if (file->temporary != NULL)
			unlink(file->temporary);
		outfile_free(file);
		return pogo_fail(err, POGO_INPUT, "two outputs go to \"%s\"", path);
	}
	set->count++;
	return 0;
}

static int write_direct(const struct outfile *file, struct pogo_error *err)
{
	if (file->target == NULL) {
		if (write_all(STDOUT_FILENO, file->data, file->len) != 0)
			return pogo_fail_errno(err, errno, "cannot write to standard output");
		return 0;
	}
	int fd = open(file->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return pogo_fail_errno(err, errno, "cannot write \"%s\"", file->target);
	int rc = 0;
	if (write_all(fd, file->data, file->len) != 0)
		rc = pogo_fail_errno(err, errno, "cannot write \"%s\"", file->target);
	if (close(fd) != 0 && rc == 0)
		rc = pogo_fail_errno(err, errno, "cannot write \"%s\"", file->target);
	return rc;
}

/* Makes the rename itself durable. A file system that cannot sync a folder says EINVAL: no harm. */
static int sync_folder(const char *target, struct pogo_error *err)
{
	char folder[PATH_MAX];
	folder_of(target, folder);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* a folder that may be written but not read: the file is there */
	int rc = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
	close(fd);
	return rc == 0 ? 0 : pogo_fail_errno(err, rc, "cannot make \"%s\" durable", target);
}

static int commit_one(struct outfile *file, struct pogo_error *err)
{
	if (rename(file->temporary, file->target) != 0)
		return pogo_fail_errno(err, errno, "cannot write \"%s\"", file->target);
	free(file->temporary);
	file->temporary = NULL;
	return sync_folder(file->target, err);
}

int outfile_commit(struct outfile_set *set, struct pogo_error *err)
{
	int rc = 0;
	for (size_t i = 0; i < set->count && rc == 0; i++)
		if (set->files[i].temporary == NULL)
			rc = write_direct(&set->files[i], err);
	for (size_t i = 0; i < set->count && rc == 0; i++)
		if (set->files[i].temporary != NULL)
			rc = commit_one(&set->files[i], err);
	outfile_discard(set);
	return rc;
}

void outfile_discard(struct outfile_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->files[i].temporary != NULL)
			unlink(set->files[i].temporary);
		outfile_free(&set->files[i]);
	}
	set->count = 0;
}

int outfile_write(const char *path, const void *data, size_t len, struct pogo_error *err)
{
	struct outfile_set set = {.count = 0};
	if (outfile_stage(&set, path, data, len, err) != 0)
		return -1;
	return outfile_commit(&set, err);
}

static int read_all(int fd, const char *path, size_t expected, char **data, size_t *len,
		    struct pogo_error *err)
{
	size_t room = expected + 2, used = 0;
	char *buffer = malloc(room);
	while (buffer != NULL) {
		if (used + 1 == room) {
			room *= 2;
			char *grown = realloc(buffer, room);
			if (grown == NULL)
				break;
			buffer = grown;
		}
		ssize_t got = read(fd, buffer + used, room - used - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int number = errno;
			free(buffer);
			return pogo_fail_errno(err, number, "cannot read \"%s\"", path);
		}
		if (got == 0) {
			buffer[used] = '\0';
			*data = buffer;
			*len = used;
			return 0;
		}
		used += (size_t)got;
		if (used > INFILE_MAX) {
			free(buffer);
			return pogo_fail(err, POGO_INPUT, "\"%s\" is larger than 1 GiB: not an input file",
					 path);
		}
	}
	free(buffer);
	return pogo_fail(err, POGO_SYSTEM, "out of memory while reading \"%s\"", path);
}

static int cannot_open(const char *path, int number, struct pogo_error *err)
{
	pogo_fail_errno(err, number, "cannot read \"%s\"", path);
	/* A name that leads nowhere is the caller's mistake; a lack of handles is the system's. */
	if (err != NULL && number != EMFILE && number != ENFILE && number != ENOMEM && number != EIO)
		err->kind = POGO_INPUT;
	return -1;
}

int infile_read(const char *path, char **data, size_t *len, struct pogo_error *err)
{
	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, "standard input", 65536, data, len, err);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return cannot_open(path, errno, err);
	struct stat st;
	int rc;
	if (fstat(fd, &st) != 0)
		rc = pogo_fail_errno(err, errno, "cannot read \"%s\"", path);
	else if (S_ISDIR(st.st_mode))
		rc = pogo_fail(err, POGO_INPUT, "cannot read \"%s\": it is a folder", path);
	else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > INFILE_MAX)
		rc = pogo_fail(err, POGO_INPUT, "\"%s\" is larger than 1 GiB: not an input file", path);
	else
		rc = read_all(fd, path, S_ISREG(st.st_mode) ? (size_t)st.st_size : 65536, data, len, err);
	close(fd);
	return rc;
}
