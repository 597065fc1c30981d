#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "hextools/outfile.h"
#include "tests/unit/scratch.h"

static char folder[256], path[300], other[300];

/* The kernel's, unless a test plays a file system that knows no flags, or a rename to this name that fails. */
static bool no_flags;
static const char *refused_name;

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	if (refused_name != NULL && strcmp(to, refused_name) == 0)
		errno = EPERM;
	else if (no_flags)
		errno = EINVAL;
	else
		return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
	return -1;
}

int rename(const char *from, const char *to)
{
	if (refused_name == NULL || strcmp(to, refused_name) != 0)
		return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
	errno = EPERM;
	return -1;
}

static int setup(void **state)
{
	(void)state;
	no_flags = false;
	refused_name = NULL;
	scratch_make(folder);
	snprintf(path, sizeof path, "%s/a", folder);
	snprintf(other, sizeof other, "%s/b", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(folder);
	return 0;
}

static void assert_content(const char *name, const char *wanted)
{
	char *data;
	size_t len;
	assert_int_equal(infile_read(name, &data, &len, NULL), 0);
	assert_int_equal(len, strlen(wanted));
	assert_string_equal(data, wanted);
	free(data);
}

static void write_and_replace(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(outfile_write(path, "one", 3, NULL), 0);
	assert_content(path, "one");
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(outfile_write(path, "", 0, NULL), 0);
	assert_content(path, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(scratch_count(folder), 1);
}

static void through_a_symbolic_link(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(outfile_write(path, "old", 3, NULL), 0);
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(outfile_write(other, "new", 3, NULL), 0);
	assert_content(path, "new");
	assert_int_equal(lstat(other, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

/* Neither replaced nor guessed at. */
static void a_link_that_leads_nowhere(void **state)
{
	(void)state;
	struct stat st;
	struct pogo_error err;
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(outfile_write(other, "new", 3, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, "leads nowhere"));
	assert_int_equal(lstat(other, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(scratch_count(folder), 1);
}

/* A pipe's name in /dev/fd has no path behind it. */
static void into_a_pipe_by_its_name(void **state)
{
	(void)state;
	int ends[2];
	char name[40], got[4] = "";
	assert_int_equal(pipe(ends), 0);
	snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
	assert_int_equal(outfile_write(name, "new", 3, NULL), 0);
	assert_int_equal(read(ends[0], got, 3), 3);
	assert_string_equal(got, "new");
	close(ends[0]);
	close(ends[1]);
}

static void refusals_leave_nothing(void **state)
{
	(void)state;
	struct pogo_error err;
	char deep[320];
	snprintf(deep, sizeof deep, "%s/none/x", folder);
	assert_int_equal(outfile_write(deep, "x", 1, &err), -1);
	assert_int_equal(err.kind, POGO_SYSTEM);
	assert_int_equal(outfile_write(folder, "x", 1, &err), -1);
	assert_non_null(strstr(err.text, "folder"));
	assert_int_equal(outfile_write("/dev/full", "x", 1, &err), -1);
	assert_int_equal(err.kind, POGO_SYSTEM);
	assert_int_equal(outfile_write("/dev/null", "x", 1, &err), 0);
	assert_int_equal(scratch_count(folder), 0);
}

static void a_set_appears_together(void **state)
{
	(void)state;
	struct outfile_set set = {.count = 0};
	struct pogo_error err;
	assert_int_equal(outfile_stage(&set, path, "1", 1, &err), 0);
	assert_int_equal(outfile_stage(&set, other, "2", 1, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	char again[320];
	snprintf(again, sizeof again, "%s/./a", folder);
	assert_int_equal(outfile_stage(&set, again, "3", 1, &err), -1);
	assert_non_null(strstr(err.text, "two outputs"));
	assert_int_equal(outfile_commit(&set, &err), 0);
	assert_content(path, "1");
	assert_content(other, "2");
	assert_int_equal(scratch_count(folder), 2);
}

static void a_discarded_set_leaves_nothing(void **state)
{
	(void)state;
	struct outfile_set set = {.count = 0};
	assert_int_equal(outfile_stage(&set, path, "1", 1, NULL), 0);
	outfile_discard(&set);
	assert_int_equal(scratch_count(folder), 0);
	/* A direct write that fails comes before the first rename. */
	assert_int_equal(outfile_stage(&set, path, "1", 1, NULL), 0);
	assert_int_equal(outfile_stage(&set, "/dev/full", "1", 1, NULL), 0);
	assert_int_equal(outfile_commit(&set, NULL), -1);
	assert_int_equal(scratch_count(folder), 0);
}

/* ---- a late rename fails ---- */

/* a is replaced, b is new, and the third of four is refused. */
static int commit_with_a_refusal(struct pogo_error *err)
{
	static char third[320], fourth[320];
	struct outfile_set set = {.count = 0};
	snprintf(third, sizeof third, "%s/c", folder);
	snprintf(fourth, sizeof fourth, "%s/d", folder);
	assert_int_equal(outfile_write(path, "old", 3, NULL), 0);
	assert_int_equal(outfile_write(third, "old", 3, NULL), 0);
	assert_int_equal(outfile_stage(&set, path, "1", 1, NULL), 0);
	assert_int_equal(outfile_stage(&set, other, "2", 1, NULL), 0);
	assert_int_equal(outfile_stage(&set, third, "3", 1, NULL), 0);
	assert_int_equal(outfile_stage(&set, fourth, "4", 1, NULL), 0);
	refused_name = third;
	int rc = outfile_commit(&set, err);
	assert_content(third, "old");
	assert_int_equal(access(other, F_OK), -1);
	assert_int_equal(scratch_count(folder), 2);
	return rc;
}

static void a_late_refusal_takes_all_back(void **state)
{
	(void)state;
	struct pogo_error err;
	assert_int_equal(commit_with_a_refusal(&err), -1);
	assert_int_equal(err.kind, POGO_SYSTEM);
	assert_non_null(strstr(err.text, "/c\": Operation not permitted"));
	assert_null(strstr(err.text, "stays"));
	assert_content(path, "old");
}

static void without_a_swap_it_says_what_stays(void **state)
{
	(void)state;
	struct pogo_error err;
	no_flags = true;
	assert_int_equal(commit_with_a_refusal(&err), -1);
	assert_non_null(strstr(err.text, "/a\" was written before, and stays"));
	assert_content(path, "1");
}

static void a_set_replaces_files(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct outfile_set set = {.count = 0};
		no_flags = i == 1;
		assert_int_equal(outfile_write(path, "old", 3, NULL), 0);
		assert_int_equal(outfile_write(other, "old", 3, NULL), 0);
		assert_int_equal(outfile_stage(&set, path, "1", 1, NULL), 0);
		assert_int_equal(outfile_stage(&set, other, "2", 1, NULL), 0);
		assert_int_equal(outfile_commit(&set, NULL), 0);
		assert_content(path, "1");
		assert_content(other, "2");
		assert_int_equal(scratch_count(folder), 2);
	}
}

/* ---- ended in the middle ---- */

/* Writes a part, is sent a signal, and goes on as if nothing were. */
static int write_and_be_signalled(void *context, struct sink *sink, struct pogo_error *err)
{
	static const char part[4096];
	(void)err;
	for (int i = 0; i < 100; i++) {
		if (i == 50)
			raise(*(const int *)context);
		sink_put(sink, part, sizeof part);
	}
	return 0;
}

static void one_file(int number)
{
	outfile_write_from(path, write_and_be_signalled, &number, NULL);
}

/* The second of a set is interrupted; nobody stages it again. */
static void a_set(int number)
{
	struct outfile_set set = {.count = 0};
	if (outfile_stage(&set, other, "new", 3, NULL) != 0 ||
	    outfile_stage_from(&set, path, write_and_be_signalled, &number, NULL) == 0)
		_exit(1);
	outfile_discard(&set);
}

static void raised_between(int number)
{
	struct outfile_set set = {.count = 0};
	if (outfile_stage(&set, other, "new", 3, NULL) != 0)
		_exit(1);
	raise(number);
	if (outfile_stage(&set, path, "new", 3, NULL) == 0)
		_exit(1);
	outfile_discard(&set);
}

static void assert_ended_by(void (*work)(int number), int number)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* SIGQUIT's */
		signal(number, SIG_DFL);
		work(number);
		_exit(2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), number);
}

/* Ctrl-C, kill and a closed terminal take effect, and the folder is as it was. */
static void a_signal_leaves_nothing_behind(void **state)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	(void)state;
	assert_int_equal(outfile_write(path, "old", 3, NULL), 0);
	for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
		assert_ended_by(one_file, ending[i]);
		assert_ended_by(a_set, ending[i]);
		assert_ended_by(raised_between, ending[i]);
		assert_int_equal(scratch_count(folder), 1);
		assert_content(path, "old");
	}
}

/* Nobody can put off SIGKILL: the target is as it was. */
static void killed_the_target_is_whole(void **state)
{
	(void)state;
	assert_int_equal(outfile_write(path, "old", 3, NULL), 0);
	assert_ended_by(one_file, SIGKILL);
	assert_content(path, "old");
}

/* As under nohup. */
static void an_ignored_signal_stays_ignored(void **state)
{
	(void)state;
	sigset_t mask;
	int number = SIGHUP;
	void (*before)(int) = signal(SIGHUP, SIG_IGN);
	assert_int_equal(outfile_write_from(path, write_and_be_signalled, &number, NULL), 0);
	signal(SIGHUP, before);
	assert_int_equal(scratch_count(folder), 1);
	/* And the thread hears again what it heard before. */
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	assert_int_equal(sigismember(&mask, SIGINT), 0);
}

static void a_set_of_many(void **state)
{
	(void)state;
	struct outfile_set set = {.count = 0};
	struct pogo_error err;
	char name[320];
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "%s/n%d", folder, i);
		assert_int_equal(outfile_stage(&set, name, "x", 1, NULL), 0);
	}
	snprintf(name, sizeof name, "%s/n3", folder);
	assert_int_equal(outfile_stage(&set, name, "y", 1, &err), -1);
	assert_non_null(strstr(err.text, "two outputs"));
	assert_int_equal(outfile_commit(&set, NULL), 0);
	assert_int_equal(scratch_count(folder), 100);
	assert_content(name, "x");
}

/* What umask leaves, and nobody else's when the target is private. */
static void modes(void **state)
{
	(void)state;
	struct stat st;
	mode_t mask = umask(027);
	assert_int_equal(outfile_write(path, "x", 1, NULL), 0);
	umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void unreadable_inputs(void **state)
{
	(void)state;
	struct pogo_error err;
	char *data;
	size_t len;
	assert_int_equal(infile_read(path, &data, &len, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(infile_read(folder, &data, &len, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(write_and_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(through_a_symbolic_link, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_that_leads_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(into_a_pipe_by_its_name, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_leave_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_set_appears_together, setup, teardown),
		cmocka_unit_test_setup_teardown(a_discarded_set_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_late_refusal_takes_all_back, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_swap_it_says_what_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_set_replaces_files, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_leaves_nothing_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_the_target_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(an_ignored_signal_stays_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(a_set_of_many, setup, teardown),
		cmocka_unit_test_setup_teardown(modes, setup, teardown),
		cmocka_unit_test_setup_teardown(unreadable_inputs, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
