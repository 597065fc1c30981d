#include "db/log_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/sql.h"

static int refuse_holder(const char *path, int fd, struct log_error *err)
{
	char text[24] = "";
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	long pid = got > 0 ? strtol(text, NULL, 10) : 0;
	char who[48] = "";

	if (pid > 0)
		snprintf(who, sizeof(who), " (process %ld)", pid);
	return log_fail(err, "the log %s is in use by another station%s; end that one first, or give this one its own with --db",
			path, who);
}

static int refuse_folder(const char *path, const char *lock, int number, struct log_error *err)
{
	const char *slash = strrchr(path, '/');
	int length = slash ? (int)(slash - path) : 1;
	const char *folder = slash ? path : ".";

	if (slash == path && slash)
		length = 1;
	if (number == ENOENT || number == ENOTDIR)
		return log_fail(err, "cannot open the log %s: there is no folder %.*s; create it, or name another place with --db",
				path, length, folder);
	if (number == EACCES || number == EROFS)
		return log_fail(err,
				"cannot open the log %s: its folder %.*s is not writable for this user (%s); change its "
				"owner, or name another place with --db",
				path, length, folder, strerror(number));
	log_fail(err, "cannot create %s: %s", lock, strerror(number));
	if (err)
		err->full = number == ENOSPC || number == EDQUOT;
	return -1;
}

int log_lock_take(const char *path, int *fd, struct log_error *err)
{
	char name[600], pid[24];

	snprintf(name, sizeof(name), "%s.lock", path);
	int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (lock < 0)
		return refuse_folder(path, name, errno, err);
	if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
		int number = errno;

		if (number == EWOULDBLOCK)
			refuse_holder(path, lock, err);
		else
			log_fail(err, "cannot lock %s: %s; the log must lie on a local disk", name, strerror(number));
		close(lock);
		return -1;
	}
	/* The number is a courtesy for the message above; the lock holds without it. */
	int length = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

	if (ftruncate(lock, 0) != 0 || pwrite(lock, pid, (size_t)length, 0) != length)
		(void)!ftruncate(lock, 0);
	*fd = lock;
	return 0;
}

void log_lock_drop(int fd)
{
	if (fd >= 0)
		close(fd);
}
