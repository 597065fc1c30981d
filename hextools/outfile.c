#include "hextools/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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

/* ---- signals that would leave a temporary behind ------------------------------------------------------ */

struct outfile_signals {
	sigset_t waiting, before; /* which wait; the thread's mask as it was */
};

static void let_signals_wait(struct outfile_set *set)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action;
	if (set->signals != NULL)
		return;
	struct outfile_signals *signals = malloc(sizeof *signals);
	if (signals == NULL)
		return;
	sigemptyset(&signals->waiting);
	/* One that is ignored would look as if it waited. */
	for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++)
		if (sigaction(ending[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&signals->waiting, ending[i]);
	pthread_sigmask(SIG_BLOCK, &signals->waiting, &signals->before);
	set->signals = signals;
}

static bool signal_waits(const struct outfile_set *set)
{
	sigset_t both;
	if (set->signals == NULL || sigpending(&both) != 0)
		return false;
	sigandset(&both, &both, &set->signals->waiting);
	return sigisemptyset(&both) == 0;
}

/* The program may end in here. */
static void let_signals_through(struct outfile_set *set)
{
	if (set->signals == NULL)
		return;
	sigset_t before = set->signals->before;
	free(set->signals);
	set->signals = NULL;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- one file ----------------------------------------------------------------------------------------- */

/* What a sink's flush needs to know. */
struct target {
	int fd;
	const struct outfile_set *set; /* NULL: a signal may come at any time */
};

static int flush_to_fd(void *context, const void *data, size_t len)
{
	const struct target *target = context;
	if (target->set != NULL && signal_waits(target->set))
		return EINTR;
	return write_all(target->fd, data, len) == 0 ? 0 : errno;
}

/* Runs the writer into the file descriptor: 0, -1 = it refused (*err says why), else an errno value. */
static int fill_fd(struct target target, outfile_writer *writer, void *context, struct pogo_error *err)
{
	struct sink sink;
	if (sink_init(&sink, flush_to_fd, &target, err) != 0)
		return -1;
	int rc = writer(context, &sink, err);
	int number = sink_finish(&sink);
	return rc != 0 ? -1 : number;
}

/* Text that is there already, as a writer. */
struct text {
	const void *data;
	size_t len;
};

static int write_text(void *context, struct sink *sink, struct pogo_error *err)
{
	const struct text *text = context;
	(void)err;
	sink_put(sink, text->data, text->len);
	return 0;
}

static int keep_for_direct(struct outfile *file, outfile_writer *writer, void *context,
			   struct pogo_error *err)
{
	struct sink_memory memory = {.data = NULL};
	struct sink sink;
	if (sink_init(&sink, sink_to_memory, &memory, err) != 0)
		return -1;
	int rc = writer(context, &sink, err);
	if (sink_finish(&sink) != 0 && rc == 0)
		rc = pogo_fail(err, POGO_SYSTEM, "out of memory for the output");
	if (rc != 0) {
		free(memory.data);
		return -1;
	}
	file->data = memory.data;
	file->len = memory.len;
	return 0;
}

/* "FOLDER/.NAME.XXXXXXXX": hidden, and on the same file system as the target. */
static char *temporary_name(const char *target)
{
	const char *slash = strrchr(target, '/');
	size_t folder = slash == NULL ? 0 : (size_t)(slash - target) + 1;
	/* A name may be 255 bytes long already; the temporary's must not exceed that. */
	size_t name = strlen(target + folder) > 200 ? 200 : strlen(target + folder);
	char *text = malloc(folder + name + 12);
	if (text != NULL)
		sprintf(text, "%.*s.%.*s.XXXXXXXX", (int)folder, target, (int)name, target + folder);
	return text;
}

/* As mkostemp, but with the mode that open gives. */
static int create_temporary(char *name, mode_t mode)
{
	char *digits = name + strlen(name) - 8;
	for (int tries = 0;; tries++) {
		uint32_t number = 0;
		if (getrandom(&number, sizeof number, 0) != sizeof number)
			return -1;
		sprintf(digits, "%08x", number);
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, mode);
		if (fd >= 0 || errno != EEXIST || tries == 100)
			return fd;
	}
}

static int fill_temporary(struct outfile_set *set, struct outfile *file, outfile_writer *writer, void *context,
			  struct pogo_error *err)
{
	struct stat st;
	bool replaces = stat(file->target, &st) == 0; /* then it keeps that mode */
	let_signals_wait(set);
	int fd = create_temporary(file->temporary, replaces ? 0600 : 0666);
	if (fd < 0) {
		int number = errno;
		free(file->temporary);
		file->temporary = NULL;
		return pogo_fail_errno(err, number, "cannot write \"%s\"", file->target);
	}
	int number = fill_fd((struct target){fd, set}, writer, context, err);
	if (number == 0 && ((replaces && fchmod(fd, st.st_mode & 07777) != 0) || fsync(fd) != 0))
		number = errno;
	if (close(fd) != 0 && number == 0)
		number = errno;
	if (number > 0)
		pogo_fail_errno(err, number, "cannot write \"%s\"", file->target);
	return number == 0 ? 0 : -1;
}

bool outfile_is_stdout(const char *path)
{
	struct stat st, out;
	if (strcmp(path, "-") == 0)
		return true;
	return fstat(STDOUT_FILENO, &out) == 0 && stat(path, &st) == 0 && st.st_dev == out.st_dev &&
	       st.st_ino == out.st_ino;
}

/* Of a word like FILE, FILE@OFFSET or "-". */
static int stat_input(const char *input, struct stat *st)
{
	char plain[PATH_MAX];
	if (strcmp(input, "-") == 0)
		return fstat(STDIN_FILENO, st);
	/* A file may have an @ in its name. */
	if (stat(input, st) == 0)
		return 0;
	snprintf(plain, sizeof plain, "%s", input);
	char *offset = strrchr(plain, '@');
	if (offset == NULL)
		return -1;
	*offset = '\0';
	return strcmp(plain, "-") == 0 ? fstat(STDIN_FILENO, st) : stat(plain, st);
}

int outfile_not_over(const char *output, const char *input, struct pogo_error *err)
{
	struct stat from, to;
	if (output == NULL || input == NULL || outfile_is_stdout(output) || stat(output, &to) != 0 ||
	    !S_ISREG(to.st_mode) || stat_input(input, &from) != 0)
		return 0;
	if (from.st_dev != to.st_dev || from.st_ino != to.st_ino)
		return 0;
	return pogo_fail(err, POGO_INPUT, "the output \"%.150s\" is the input \"%.150s\", which would be lost; write to another name",
			 output, input);
}

/* Where the bytes will go: file->target, NULL for standard output; *direct if not through a temporary. */
static int find_target(struct outfile *file, const char *path, bool *direct, struct pogo_error *err)
{
	struct stat st;
	*direct = true;
	/* Also as /dev/stdout: a rename over it would lose what the shell's other commands write there. */
	if (outfile_is_stdout(path))
		return 0;
	bool exists = stat(path, &st) == 0;
	if (exists && S_ISDIR(st.st_mode))
		return pogo_fail(err, POGO_INPUT, "cannot write \"%s\": it is a folder", path);
	if (!exists && lstat(path, &st) == 0)
		return pogo_fail(err, POGO_INPUT,
				 "cannot write \"%s\": it is a symbolic link that leads nowhere; remove it or make "
				 "its target", path);
	/* Through a symbolic link, not over it. A pipe's link in /dev/fd has no path behind it. */
	*direct = exists && !S_ISREG(st.st_mode);
	file->target = exists && !*direct ? realpath(path, NULL) : strdup(path);
	if (file->target == NULL)
		return pogo_fail_errno(err, errno, "cannot write \"%s\"", path);
	if (*direct)
		return 0;
	if (exists && access(file->target, W_OK) != 0)
		return pogo_fail_errno(err, errno, "cannot write \"%s\"", path);
	file->temporary = temporary_name(file->target);
	return file->temporary != NULL ? 0 : pogo_fail(err, POGO_SYSTEM, "out of memory for the output");
}

static void give_up(struct outfile *file)
{
	/* Of one that could not be swapped back it is the old file. */
	if (file->temporary != NULL && file->placed != OUTFILE_SWAPPED)
		unlink(file->temporary);
	outfile_free(file);
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;
	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash;
}

/* Folder and name of two targets lead to one file (or both are standard output). */
static bool same_target(const struct outfile *a, const struct outfile *b)
{
	char folder_a[PATH_MAX], folder_b[PATH_MAX];
	struct stat st_a, st_b;
	if (a->target == NULL || b->target == NULL)
		return a->target == b->target;
	if (a->name_hash != b->name_hash || strcmp(last_component(a->target), last_component(b->target)) != 0)
		return false;
	folder_of(a->target, folder_a);
	folder_of(b->target, folder_b);
	return stat(folder_a, &st_a) == 0 && stat(folder_b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

static int stage(struct outfile_set *set, struct outfile *file, const char *path, outfile_writer *writer, void *context,
		 struct pogo_error *err)
{
	bool direct;
	if (signal_waits(set))
		return pogo_fail(err, POGO_SYSTEM, "interrupted before \"%s\" was written", path);
	if (find_target(file, path, &direct, err) != 0)
		return -1;
	if (file->target != NULL)
		file->name_hash = hash_name(last_component(file->target));
	for (size_t i = 0; i < set->count; i++)
		if (same_target(&set->files[i], file))
			return pogo_fail(err, POGO_INPUT, "two outputs go to \"%s\"", path);
	return direct ? keep_for_direct(file, writer, context, err)
		      : fill_temporary(set, file, writer, context, err);
}

int outfile_stage_from(struct outfile_set *set, const char *path, outfile_writer *writer, void *context,
		       struct pogo_error *err)
{
	if (set->count == set->room) {
		size_t room = set->room == 0 ? 4 : 2 * set->room;
		struct outfile *grown = realloc(set->files, room * sizeof *grown);
		if (grown == NULL)
			return pogo_fail(err, POGO_SYSTEM, "out of memory for the output");
		set->files = grown;
		set->room = room;
	}
	struct outfile *file = &set->files[set->count];
	*file = (struct outfile){.target = NULL};
	if (stage(set, file, path, writer, context, err) != 0) {
		give_up(file);
		if (set->count == 0)
			outfile_discard(set);
		return -1;
	}
	set->count++;
	return 0;
}

int outfile_stage(struct outfile_set *set, const char *path, const void *data, size_t len,
		  struct pogo_error *err)
{
	struct text text = {data, len};
	return outfile_stage_from(set, path, write_text, &text, err);
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

/* Takes a file to its place so that it can be taken back: a file that is there is swapped with the temporary, whose
 * name then keeps the old one. */
static int place(struct outfile *file)
{
	const char *from = file->temporary, *to = file->target;
	struct stat st;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
		file->placed = OUTFILE_NEW;
		return 0;
	}
	if (errno == EEXIST && renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
		file->placed = OUTFILE_SWAPPED;
		return 0;
	}
	/* A file system that knows no swap, like NFS: what is replaced there stays replaced. */
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	bool there = lstat(to, &st) == 0;
	if (rename(from, to) != 0)
		return -1;
	file->placed = there ? OUTFILE_OVER : OUTFILE_NEW;
	return 0;
}

static bool take_back(struct outfile *file)
{
	const char *from = file->target, *to = file->temporary;
	if ((file->placed == OUTFILE_SWAPPED && renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) ||
	    (file->placed == OUTFILE_NEW && rename(from, to) == 0))
		file->placed = OUTFILE_WAITS;
	return file->placed == OUTFILE_WAITS;
}

/* The first `count` of the set; what cannot be taken back is named behind the reason in *err. */
static void take_all_back(struct outfile_set *set, size_t count, struct pogo_error *err)
{
	const struct outfile *stays = NULL;
	for (size_t i = count; i-- > 0;)
		if (!take_back(&set->files[i]))
			stays = &set->files[i];
	if (stays == NULL || err == NULL)
		return;
	bool kept = stays->placed == OUTFILE_SWAPPED;
	size_t used = strlen(err->text);
	snprintf(err->text + used, sizeof err->text - used, "; \"%.150s\" was written before, and stays%s%.150s%s",
		 stays->target, kept ? "; the old one is \"" : "", kept ? stays->temporary : "", kept ? "\"" : "");
}

static int place_all(struct outfile_set *set, struct pogo_error *err)
{
	size_t last = set->count;
	while (last > 0 && set->files[last - 1].temporary == NULL)
		last--;
	for (size_t i = 0; i < last; i++) {
		struct outfile *file = &set->files[i];
		if (file->temporary == NULL)
			continue;
		/* Behind the last one nothing can fail for which it had to be taken back. */
		if ((i + 1 < last ? place(file) : rename(file->temporary, file->target)) == 0)
			continue;
		pogo_fail_errno(err, errno, "cannot write \"%s\"", file->target);
		take_all_back(set, i, err);
		return -1;
	}
	return 0;
}

/* Makes the renames themselves durable. A file system that cannot sync a folder says EINVAL: no harm. */
static int sync_folder(const char *target, struct pogo_error *err)
{
	char folder[PATH_MAX];
	folder_of(target, folder);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* a folder that may be written but not read: the file is there */
	int rc = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
	close(fd);
	return rc == 0 ? 0 : pogo_fail_errno(err, rc, "\"%s\" is written, but cannot be made durable", target);
}

/* Removes the old files, and syncs a folder after the last of the files in a row that are in it. */
static int settle(struct outfile_set *set, struct pogo_error *err)
{
	const char *unsynced = NULL;
	char folder[PATH_MAX], before[PATH_MAX] = "";
	int rc = 0;
	for (size_t i = 0; i < set->count; i++) {
		struct outfile *file = &set->files[i];
		if (file->temporary == NULL)
			continue;
		if (file->placed == OUTFILE_SWAPPED)
			unlink(file->temporary);
		free(file->temporary);
		file->temporary = NULL;
		folder_of(file->target, folder);
		if (unsynced != NULL && strcmp(folder, before) != 0 && rc == 0)
			rc = sync_folder(unsynced, err);
		unsynced = file->target;
		memcpy(before, folder, sizeof before);
	}
	return unsynced != NULL && rc == 0 ? sync_folder(unsynced, err) : rc;
}

int outfile_commit(struct outfile_set *set, struct pogo_error *err)
{
	int rc = 0;
	for (size_t i = 0; i < set->count && rc == 0; i++)
		if (set->files[i].temporary == NULL)
			rc = write_direct(&set->files[i], err);
	if (rc == 0)
		rc = place_all(set, err) == 0 ? settle(set, err) : -1;
	outfile_discard(set);
	return rc;
}

void outfile_discard(struct outfile_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		give_up(&set->files[i]);
	free(set->files);
	set->files = NULL;
	set->count = set->room = 0;
	let_signals_through(set);
}

/* To standard output or a device, as it comes. */
static int stream_direct(const struct outfile *file, outfile_writer *writer, void *context,
			 struct pogo_error *err)
{
	int fd = STDOUT_FILENO;
	if (file->target != NULL)
		fd = open(file->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return pogo_fail_errno(err, errno, "cannot write \"%s\"", file->target);
	int number = fill_fd((struct target){fd, NULL}, writer, context, err);
	if (file->target != NULL && close(fd) != 0 && number == 0)
		number = errno;
	if (number <= 0)
		return number;
	if (file->target == NULL)
		return pogo_fail_errno(err, number, "cannot write to standard output");
	return pogo_fail_errno(err, number, "cannot write \"%s\"", file->target);
}

int outfile_write_from(const char *path, outfile_writer *writer, void *context, struct pogo_error *err)
{
	struct outfile_set set = {.count = 0};
	struct outfile file = {.target = NULL};
	bool direct;
	int rc = find_target(&file, path, &direct, err);
	if (rc == 0 && direct)
		rc = stream_direct(&file, writer, context, err);
	give_up(&file);
	if (rc != 0 || direct)
		return rc;
	rc = outfile_stage_from(&set, path, writer, context, err);
	return rc == 0 ? outfile_commit(&set, err) : -1;
}

int outfile_write(const char *path, const void *data, size_t len, struct pogo_error *err)
{
	struct text text = {data, len};
	return outfile_write_from(path, write_text, &text, err);
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
