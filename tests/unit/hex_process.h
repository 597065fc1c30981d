#ifndef POGO_TESTS_HEX_PROCESS_H
#define POGO_TESTS_HEX_PROCESS_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "hextools/commands.h"
#include "hextools/outfile.h"
#include "tests/unit/scratch.h"

/* pogo-hex as a process of its own in a scratch folder: exit code, standard output and error. Include
 * after cmocka.h. */

static char folder[256], *out_text, *err_text;

static int setup(void **state)
{
	(void)state;
	scratch_make(folder);
	setenv("POGOLINE_CONFIGS", "configs", 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(out_text);
	free(err_text);
	out_text = err_text = NULL;
	scratch_remove(folder);
	return 0;
}

/* "@x" stands for the file x of the scratch folder. */
static const char *expand(const char *word, char *buffer)
{
	if (word[0] != '@')
		return word;
	snprintf(buffer, 320, "%s/%s", folder, word + 1);
	return buffer;
}

static void redirect(const char *path, int flags, int to)
{
	int fd = open(path, flags, 0600);
	if (fd < 0 || dup2(fd, to) < 0)
		_exit(99);
	close(fd);
}

static char *take_file(const char *path)
{
	char *text = NULL;
	size_t len;
	if (infile_read(path, &text, &len, NULL) != 0)
		abort();
	unlink(path);
	return text;
}

/* What a run has of its own: NULL and 0 for none. */
struct run_with {
	const char *input;  /* a file for standard input */
	const char *output; /* a file for standard output, whose text is then not taken */
	rlim_t file_limit;  /* bytes that a file may have */
};

static int run_with(const struct run_with *with, const char *const words[])
{
	char in[320], out[300], err[300], buffers[32][320], *argv[34];
	int argc = 0, status;
	snprintf(out, sizeof out, "%s/.stdout", folder);
	snprintf(err, sizeof err, "%s/.stderr", folder);
	argv[argc++] = (char[]){"pogo-hex"};
	for (; words[argc - 1] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)expand(words[argc - 1], buffers[argc - 1]);
	argv[argc] = NULL;
	pid_t child = fork();
	if (child == 0) {
		redirect(with->input != NULL ? expand(with->input, in) : "/dev/null", O_RDONLY, 0);
		redirect(err, O_WRONLY | O_CREAT | O_TRUNC, 2);
		redirect(with->output != NULL ? with->output : out, O_WRONLY | O_CREAT | O_TRUNC, 1);
		if (with->file_limit > 0) {
			struct rlimit limit = {with->file_limit, with->file_limit};
			setrlimit(RLIMIT_FSIZE, &limit);
		}
		_exit(pogo_hex_run(argc, argv));
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	free(out_text);
	free(err_text);
	out_text = with->output == NULL ? take_file(out) : strdup("");
	err_text = take_file(err);
	return WEXITSTATUS(status);
}

#define run(...) run_with(&(struct run_with){.input = NULL}, (const char *const[]){__VA_ARGS__, NULL})
#define run_from(file, ...) run_with(&(struct run_with){.input = (file)}, (const char *const[]){__VA_ARGS__, NULL})

static void put(const char *name, const char *text)
{
	char path[320];
	scratch_write(expand(name, path), text);
}

static void assert_file(const char *name, const char *wanted)
{
	char path[320], *text;
	size_t len;
	assert_int_equal(infile_read(expand(name, path), &text, &len, NULL), 0);
	assert_string_equal(text, wanted);
	free(text);
}

/* Exit 0, and this phrase on standard output. */
static void assert_said(int got, const char *phrase)
{
	if (got != 0 || strstr(out_text, phrase) == NULL)
		fail_msg("exit %d, wanted \"%s\", got: %s%s", got, phrase, out_text, err_text);
}

/* Exit code, one line on stderr with this phrase, nothing on stdout, `files` files left. */
static void assert_failed(int got, int code, const char *phrase, int files)
{
	if (got != code || strstr(err_text, phrase) == NULL)
		fail_msg("exit %d, wanted %d and \"%s\", got: %s", got, code, phrase, err_text);
	assert_int_equal(strncmp(err_text, "pogo-hex: ", 10), 0);
	assert_ptr_equal(strchr(err_text, '\n'), err_text + strlen(err_text) - 1);
	assert_string_equal(out_text, "");
	assert_int_equal(scratch_count(folder), files);
}

#endif
